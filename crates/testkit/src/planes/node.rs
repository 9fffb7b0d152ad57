//! A data plane with a runtime of its own, so that it can be ended like a process.

use std::{path::Path, time::Duration};

use bitrouter_data_plane::{DataPlane, Handle, Settings};
use bitrouter_runtime::{Clock, Entropy};
use tokio::runtime::{Builder, Runtime};

use super::link::Link;

const THREADS: usize = 2;
const PATIENCE: Duration = Duration::from_secs(5);

/// A running data plane. Ends at once when dropped.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) handle: Handle,
    runtime: Option<Runtime>,
}

impl Node {
    /// Starts one on a free port, on what an earlier one has left in the directory.
    pub(super) async fn start(
        directory: &Path,
        clock: Clock,
        silence: Duration,
        link: &Link,
    ) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(THREADS).enable_all().build();
        let runtime = runtime.expect("threads");
        let (channel, dialled) = {
            let _entered = runtime.enter();
            bitrouter_control_plane::link(silence)
        };
        link.carry(dialled);
        let mut settings = Settings::new(directory);
        settings.listen.address.set_port(0);
        let background = runtime.handle().clone();
        let starting = async move {
            DataPlane::start(settings, channel, clock, Entropy::system(), &background).await
        };
        let started = runtime.spawn(starting).await.expect("starting does not panic");
        let handle = started.expect("the data plane starts");
        Self { handle, runtime: Some(runtime) }
    }

    /// Lets it finish what it does; false if something had to be cut off.
    pub(super) async fn drain(mut self, patience: Duration) -> bool {
        let finished = self.handle.drain(patience).await;
        self.end().await;
        finished
    }

    /// Ends it in the middle of whatever it does.
    pub(super) async fn kill(mut self) {
        self.end().await;
        let spool = self.handle.spool().clone();
        // Its thread holds the directory's lock.
        let closing = tokio::task::spawn_blocking(move || spool.close());
        closing.await.expect("closing does not panic");
    }

    async fn end(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            let ending = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
            ending.await.expect("ending does not panic");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
