//! The gRPC side of the configuration stream: carries out what [`Session`] decides.
//!
//! Every queue is bounded; a data plane that does not read is closed, and comes back when it can.

use std::{error::Error as _, sync::Arc, time::Duration};

use bitrouter_proto::v1::{
    self as wire,
    discovery_service_server::{DiscoveryService, DiscoveryServiceServer},
    sync_response::Message,
};
use bitrouter_runtime::{Clock, tasks::Tasks};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{
    discovery::{
        nodes::{Connected, Nodes},
        session::{Closing, HEARTBEAT, Input, Output, Sent, Session, Touched},
    },
    snapshot::{
        publisher::Publisher,
        state::{StateHash, Update},
    },
    store::Store,
};

/// Messages that wait for a data plane to read them; each is at most about 1 MiB.
const QUEUE: usize = 8;
/// How long a data plane may take to read one message.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// What every session works with.
#[derive(Clone, Debug)]
pub(crate) struct Discovery {
    pub(crate) store: Store,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
}

impl Discovery {
    /// What a gRPC server takes.
    pub(crate) fn into_server(self) -> DiscoveryServiceServer<Self> {
        DiscoveryServiceServer::new(self)
    }
}

#[tonic::async_trait]
impl DiscoveryService for Discovery {
    type SyncStream = ReceiverStream<Result<wire::SyncResponse, Status>>;

    async fn sync(
        &self,
        request: Request<Streaming<wire::SyncRequest>>,
    ) -> Result<Response<Self::SyncStream>, Status> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let stream = Stream { with: self.clone(), sender, node: None };
        self.tasks.spawn("configuration stream", stream.run(request.into_inner()));
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// One data plane's stream.
struct Stream {
    with: Discovery,
    sender: mpsc::Sender<Result<wire::SyncResponse, Status>>,
    node: Option<(String, Connected)>,
}

/// Why a stream ends.
enum End {
    /// The data plane is gone, does not read, or has opened another stream.
    Gone,
    /// The data plane is told why.
    Told(Status),
}

impl Stream {
    async fn run(mut self, inbound: Streaming<wire::SyncRequest>) {
        let ended = self.serve(inbound).await;
        if let Some((id, session)) = &self.node {
            self.with.nodes.disconnect(id, session);
            tracing::info!(node.id = id.as_str(), "a data plane left");
        }
        if let Err(End::Told(status)) = ended {
            tracing::warn!(reason = status.message(), "a configuration stream was closed");
            let _ = timeout(SEND_PATIENCE, self.sender.send(Err(status))).await;
        }
    }

    async fn serve(&mut self, mut inbound: Streaming<wire::SyncRequest>) -> Result<(), End> {
        let mut session = Session::new(self.with.clock.instant());
        let mut head = self.with.publisher.watch();
        head.mark_unchanged();
        let mut ticks = interval(HEARTBEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let stop = self.with.tasks.stopping().clone();
        loop {
            let superseded = self.node.as_ref().map(|(_, session)| session.superseded.clone());
            let input = tokio::select! {
                message = inbound.message() => match message {
                    Ok(Some(message)) => Input::Message(message),
                    Ok(None) | Err(_) => return Err(End::Gone),
                },
                Ok(()) = head.changed() => Input::Published(*head.borrow_and_update()),
                _ = ticks.tick() => Input::Tick,
                () = stop.cancelled() => {
                    return self.send(Message::Drain(wire::Drain {})).await;
                }
                () = cancelled(superseded.as_ref()) => return Err(End::Gone),
            };
            self.step(&mut session, input).await?;
        }
    }

    async fn step(&mut self, session: &mut Session, input: Input) -> Result<(), End> {
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for output in session.step(input, self.with.clock.instant()) {
                inputs.extend(self.perform(output).await?);
            }
        }
        Ok(())
    }

    /// Does what the session wants, and gives what the session is to hear about it.
    async fn perform(&mut self, output: Output) -> Result<Option<Input>, End> {
        match output {
            Output::Open(hello) => return self.open(&hello).await.map(Some),
            Output::Welcome { session_epoch, head } => {
                let welcome = wire::Welcome {
                    session_epoch,
                    head_revision: head,
                    control_plane_us: self.with.clock.now_us(),
                    heartbeat_ms: u32::try_from(HEARTBEAT.as_millis()).unwrap_or(u32::MAX),
                };
                self.send(Message::Welcome(welcome)).await?;
            }
            Output::CatchUp { from, hash } => {
                return self.catch_up(from, hash).await.map(|sent| Some(Input::Updated(sent)));
            }
            Output::Acked { ack, touched } => self.acked(ack, &touched),
            Output::Heard(heartbeat) => {
                if let Some((id, session)) = &self.node {
                    self.with.nodes.heard(id, session, &heartbeat, self.with.clock.now());
                }
            }
            Output::Heartbeat { head } => {
                let control_plane_us = self.with.clock.now_us();
                let heartbeat = wire::Heartbeat { control_plane_us, head_revision: head };
                self.send(Message::Heartbeat(heartbeat)).await?;
            }
            Output::Close(closing) => return Err(End::Told(status(closing))),
        }
        Ok(None)
    }

    async fn open(&mut self, hello: &wire::Hello) -> Result<Input, End> {
        let opened = self.with.store.open_log(&hello.log_id, self.with.clock.now_ms()).await;
        let log = opened.map_err(|error| {
            tracing::error!(%error, source = error.source(), "a usage log could not be opened");
            End::Told(Status::unavailable("the database does not answer; try again"))
        })?;
        let connected = self.with.nodes.connect(hello, self.with.clock.now());
        self.node = Some((hello.node_id.clone(), connected));
        tracing::info!(
            node.id = hello.node_id,
            version = hello.version,
            revision = hello.applied_revision,
            "a data plane came"
        );
        let (head, _) = self.with.publisher.head();
        Ok(Input::Opened { session_epoch: log.session_epoch, head: head.0 })
    }

    async fn catch_up(&self, from: u64, hash: Option<StateHash>) -> Result<Vec<Sent>, End> {
        let mut sent = Vec::new();
        match self.with.publisher.since(from, hash) {
            Update::None => {}
            Update::Deltas(deltas) => {
                for delta in deltas {
                    self.send(Message::Delta(wire::Delta::clone(&delta))).await?;
                    let revision = delta.to_revision;
                    sent.push(Sent { revision, touched: Touched::These(delta) });
                }
            }
            Update::Snapshot(snapshot) => {
                for chunk in snapshot.chunks() {
                    self.send(Message::SnapshotChunk(chunk)).await?;
                }
                sent.push(Sent { revision: snapshot.revision, touched: Touched::Everything });
            }
        }
        Ok(sent)
    }

    fn acked(&self, ack: wire::Ack, touched: &Touched) {
        let Some((id, session)) = &self.node else { return };
        for rejection in &ack.rejections {
            tracing::warn!(
                node.id = id.as_str(),
                revision = ack.revision,
                resource = rejection.r#ref.as_ref().map(|refused| refused.id.as_str()),
                reason = rejection.reason,
                "a data plane refused a resource"
            );
        }
        self.with.nodes.acked(id, session, ack, touched, self.with.clock.now());
    }

    async fn send(&self, message: Message) -> Result<(), End> {
        let response = wire::SyncResponse { message: Some(message) };
        match timeout(SEND_PATIENCE, self.sender.send(Ok(response))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(End::Gone),
        }
    }
}

async fn cancelled(token: Option<&tokio_util::sync::CancellationToken>) {
    match token {
        Some(token) => token.cancelled().await,
        None => std::future::pending().await,
    }
}

fn status(closing: Closing) -> Status {
    let message = closing.to_string();
    match closing {
        Closing::OutOfOrder
        | Closing::Nameless
        | Closing::UnknownMessage
        | Closing::UnknownRevision => Status::invalid_argument(message),
        Closing::TooOld | Closing::TooNew => Status::failed_precondition(message),
        Closing::Unacknowledged | Closing::Silent => Status::deadline_exceeded(message),
    }
}
