//! A runtime on one thread of its own, for everything that must not disturb traffic.

use std::future::Future;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::CancellationToken;

use crate::failure::{Doing as _, Failure};

/// How long what is left may take to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The thread and its runtime; both end when it is dropped.
#[derive(Debug)]
pub(super) struct Background {
    handle: Handle,
    stop: CancellationToken,
}

impl Background {
    /// Starts the thread.
    pub(super) fn start() -> Result<Self, Failure> {
        let runtime =
            Builder::new_current_thread().enable_all().build().doing("start the runtime")?;
        let (handle, stop) = (runtime.handle().clone(), CancellationToken::new());
        let stopped = stop.clone();
        std::thread::Builder::new()
            .name("bitrouter-admin".to_owned())
            .spawn(move || {
                runtime.block_on(stopped.cancelled());
                runtime.shutdown_timeout(PATIENCE);
            })
            .doing("start a thread")?;
        Ok(Self { handle, stop })
    }

    /// The runtime's handle.
    pub(super) const fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Lets something start tasks there.
    pub(super) fn enter<T>(&self, work: impl FnOnce() -> T) -> T {
        let _entered = self.handle.enter();
        work()
    }

    /// Runs something there and waits for what it gives.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        match self.handle.spawn(work).await {
            Ok(result) => result,
            Err(error) => Err(Failure::failed(format!("starting failed: {error}"))),
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
