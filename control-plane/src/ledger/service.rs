//! The gRPC side of the usage stream: a batch is acknowledged once it is stored, never before.

use std::{error::Error as _, time::Duration};

use bitrouter_proto::v1::{
    self as wire,
    ledger_service_server::{LedgerService, LedgerServiceServer},
};
use bitrouter_runtime::{Clock, tasks::Tasks};
use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};

use crate::{ledger::ingest::batch, store::Store};

/// The largest message that is taken in: a batch of usage.
const MOST_MESSAGE_BYTES: usize = 16 * 1024 * 1024;
/// Acknowledgements that wait for a data plane to read them. They are cumulative and small.
const QUEUE: usize = 16;
/// How long a data plane may take to read one.
const SEND_PATIENCE: Duration = Duration::from_secs(10);

/// What every stream works with.
#[derive(Clone, Debug)]
pub(crate) struct Ledger {
    pub(crate) store: Store,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
}

type Answers = mpsc::Sender<Result<wire::ReportResponse, Status>>;

#[tonic::async_trait]
impl LedgerService for Ledger {
    type ReportStream = ReceiverStream<Result<wire::ReportResponse, Status>>;

    async fn report(
        &self,
        request: Request<Streaming<wire::ReportRequest>>,
    ) -> Result<Response<Self::ReportStream>, Status> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        let ledger = self.clone();
        self.tasks.spawn("usage stream", async move {
            if let Err(status) = ledger.serve(request.into_inner(), &sender).await {
                tracing::warn!(reason = status.message(), "a usage stream was closed");
                let _ = timeout(SEND_PATIENCE, sender.send(Err(status))).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

impl Ledger {
    /// What a gRPC server takes.
    pub(crate) fn into_server(self) -> LedgerServiceServer<Self> {
        LedgerServiceServer::new(self).max_decoding_message_size(MOST_MESSAGE_BYTES)
    }

    async fn serve(
        &self,
        mut inbound: Streaming<wire::ReportRequest>,
        answers: &Answers,
    ) -> Result<(), Status> {
        loop {
            // A batch that is being stored is finished and acknowledged before the stream ends.
            let message = tokio::select! {
                message = inbound.message() => message,
                () = self.tasks.stopping().cancelled() => return Ok(()),
            };
            let Ok(Some(report)) = message else { return Ok(()) };
            let answer = self.take(report).await?;
            match timeout(SEND_PATIENCE, answers.send(Ok(answer))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Ok(()),
            }
        }
    }

    async fn take(&self, report: wire::ReportRequest) -> Result<wire::ReportResponse, Status> {
        let batch = batch(report).map_err(|bad| Status::invalid_argument(bad.to_string()))?;
        let stored = self.store.ingest(&batch, self.clock.now_ms()).await;
        let stored = stored.map_err(|error| {
            tracing::error!(%error, source = error.source(), "usage could not be stored");
            Status::unavailable("the database does not answer; try again")
        })?;
        if stored.quarantined {
            tracing::error!(
                log.id = batch.log_id,
                acked_seq = stored.acked_seq,
                "a usage log contradicts what was stored (a cloned or restored disk?); \
                 nothing more is accepted from it"
            );
        }
        Ok(wire::ReportResponse {
            log_id: batch.log_id,
            acked_seq: stored.acked_seq,
            tail_hash: Bytes::copy_from_slice(&stored.tail_hash),
            retry_after_ms: 0,
            quarantined: stored.quarantined,
        })
    }
}
