//! What lies between the planes: carries their bytes for as long as the test lets it.
//!
//! Nothing is lost in an open link, and nothing that was held back arrives after a cut.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::{Stream, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, ReadHalf, WriteHalf, split},
    sync::{mpsc, watch},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const PIPE_BYTES: usize = 64 << 10;
const PIECE_BYTES: usize = 16 << 10;
const BACKLOG: usize = 8;

/// What the link does.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum State {
    /// Carries everything.
    #[default]
    Open,
    /// The data plane is heard and hears nothing: the control plane's answers are held back.
    Deaf,
    /// Nothing passes, and nobody is told.
    Stalled,
    /// Connections have broken; who dials waits.
    Cut,
}

type Accepted = mpsc::Sender<io::Result<DuplexStream>>;

/// The link. Clones are the same one; it ends when the last is dropped.
#[derive(Clone, Debug)]
pub(super) struct Link(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    state: watch::Sender<State>,
    control_plane: watch::Sender<Option<Accepted>>,
    dials: watch::Sender<usize>,
    received: Arc<AtomicU64>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Default for Link {
    fn default() -> Self {
        Self(Arc::new(Inner {
            state: watch::Sender::default(),
            control_plane: watch::Sender::default(),
            dials: watch::Sender::default(),
            received: Arc::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        }))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Link {
    pub(super) fn set(&self, state: State) {
        self.0.state.send_replace(state);
    }

    /// How often the data plane has dialled.
    pub(super) fn dials(&self) -> watch::Receiver<usize> {
        self.0.dials.subscribe()
    }

    /// How many bytes have reached the data plane.
    pub(super) fn received(&self) -> u64 {
        self.0.received.load(Ordering::Relaxed)
    }

    /// What the control plane serves from now on, in place of the one before.
    pub(super) fn control_plane(
        &self,
    ) -> impl Stream<Item = io::Result<DuplexStream>> + Send + 'static {
        let (accepted, incoming) = mpsc::channel(BACKLOG);
        self.0.control_plane.send_replace(Some(accepted));
        ReceiverStream::new(incoming)
    }

    /// Nobody accepts any more.
    pub(super) fn without_control_plane(&self) {
        self.0.control_plane.send_replace(None);
    }

    /// Carries what a data plane dials.
    pub(super) fn carry(
        &self,
        dialled: impl Stream<Item = io::Result<DuplexStream>> + Send + 'static,
    ) {
        let Inner { state, control_plane, dials, received, tasks, stop } = &*self.0;
        let (state, control_plane) = (state.subscribe(), control_plane.subscribe());
        let (dials, received, pipes) = (dials.clone(), Arc::clone(received), tasks.clone());
        let stopped = stop.clone();
        let accept = async move {
            let mut dialled = std::pin::pin!(dialled);
            while let Some(Ok(near)) = dialled.next().await {
                dials.send_modify(|dials| *dials += 1);
                let pipe = Pipe { state: state.clone(), received: Arc::clone(&received) };
                let carried = pipe.carry(near, control_plane.clone());
                let stopped = stopped.clone();
                pipes.spawn(async move { stopped.run_until_cancelled(carried).await });
            }
        };
        let stopped = stop.clone();
        tasks.spawn(async move { stopped.run_until_cancelled(accept).await });
    }
}

/// One connection.
#[derive(Clone)]
struct Pipe {
    state: watch::Receiver<State>,
    received: Arc<AtomicU64>,
}

impl Pipe {
    /// Ends with either side, or when the link is cut; both see that their pipe has ended.
    async fn carry(
        mut self,
        near: DuplexStream,
        mut control_plane: watch::Receiver<Option<Accepted>>,
    ) {
        let _ = self.state.wait_for(|state| *state != State::Cut).await;
        let accepted = match control_plane.wait_for(Option::is_some).await {
            Ok(accepted) => accepted.clone(),
            Err(_) => None,
        };
        let (theirs, far) = tokio::io::duplex(PIPE_BYTES);
        let Some(accepted) = accepted else { return };
        if accepted.send(Ok(theirs)).await.is_err() {
            return;
        }
        let ((near_says, near_hears), (far_says, far_hears)) = (split(near), split(far));
        let (mut up, mut down) = (self.clone(), self.clone());
        let passes = |state: State| matches!(state, State::Open | State::Deaf);
        tokio::select! {
            _ = self.state.wait_for(|state| *state == State::Cut) => {}
            _ = up.pump(near_says, far_hears, passes, false) => {}
            _ = down.pump(far_says, near_hears, |state| state == State::Open, true) => {}
        }
    }

    async fn pump(
        &mut self,
        mut from: ReadHalf<DuplexStream>,
        mut to: WriteHalf<DuplexStream>,
        passes: impl Fn(State) -> bool,
        is_counted: bool,
    ) -> io::Result<()> {
        let mut piece = vec![0; PIECE_BYTES];
        loop {
            let length = from.read(&mut piece).await?;
            if length == 0 {
                return to.shutdown().await;
            }
            let _ = self.state.wait_for(|state| passes(*state)).await;
            to.write_all(&piece[..length]).await?;
            if is_counted {
                self.received.fetch_add(length as u64, Ordering::Relaxed);
            }
        }
    }
}
