//! Background tasks under one roof: named, stopped together, and never gone in silence.
//!
//! A task that panics is logged. One that was started with [`Tasks::supervise`] is started again,
//! after a pause that grows; the end of one that was started with [`Tasks::essential`] is the end of
//! the process's work, which whoever waits on [`Tasks::failed`] hears of.

use std::{future::Future, time::Duration};

use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The tasks of a plane. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    failed: watch::Sender<Option<&'static str>>,
}

impl Default for Tasks {
    fn default() -> Self {
        Self {
            tracker: TaskTracker::new(),
            stop: CancellationToken::new(),
            failed: watch::Sender::new(None),
        }
    }
}

impl Tasks {
    /// Cancelled when the tasks are to end; every task selects on it.
    pub const fn stopping(&self) -> &CancellationToken {
        &self.stop
    }

    /// Runs a task that may end by itself, such as one connection.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let inner = self.tracker.spawn(task);
        self.tracker.spawn(async move {
            completed(name, inner.await);
        });
    }

    /// Runs a task without which the process is useless: if it ends before the tasks are stopped,
    /// [`Tasks::failed`] returns.
    pub fn essential(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let inner = self.tracker.spawn(task);
        let (stop, failed) = (self.stop.clone(), self.failed.clone());
        self.tracker.spawn(async move {
            completed(name, inner.await);
            if !stop.is_cancelled() {
                tracing::error!(task = name, "an essential task ended");
                failed.send_replace(Some(name));
            }
        });
    }

    /// Runs a task, and runs it again if it panics. It ends when it returns.
    pub fn supervise<F>(&self, name: &'static str, mut task: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (tracker, stop) = (self.tracker.clone(), self.stop.clone());
        self.tracker.spawn(async move {
            let mut pause = FIRST_PAUSE;
            while !completed(name, tracker.spawn(task()).await) {
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(pause) => pause = (pause * 2).min(LONGEST_PAUSE),
                }
            }
        });
    }

    /// Waits until an essential task has ended too early, and returns its name.
    pub async fn failed(&self) -> &'static str {
        let mut receiver = self.failed.subscribe();
        loop {
            if let Some(name) = *receiver.borrow_and_update() {
                return name;
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Asks all tasks to end and waits for them, for so long at most. False if some are left.
    pub async fn finish(&self, patience: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        let all = tokio::time::timeout(patience, self.tracker.wait()).await.is_ok();
        if !all {
            tracing::warn!(left = self.tracker.len(), "tasks did not end in time");
        }
        all
    }
}

/// True if the task returned by itself; a panic is logged.
fn completed(name: &'static str, ended: Result<(), tokio::task::JoinError>) -> bool {
    match ended {
        Err(error) if error.is_panic() => {
            tracing::error!(task = name, "a task panicked");
            false
        }
        // An error without a panic: the runtime is shutting down.
        Ok(()) | Err(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_supervised_task_is_started_again() {
        let tasks = Tasks::default();
        let runs = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&runs);
        tasks.supervise("flaky", move || {
            let runs = Arc::clone(&counted);
            async move { assert!(runs.fetch_add(1, Ordering::Relaxed) >= 2, "not yet") }
        });
        tasks.tracker.close();
        tasks.tracker.wait().await;
        assert_eq!(runs.load(Ordering::Relaxed), 3);
    }

    #[tokio::test]
    async fn the_early_end_of_an_essential_task_is_heard() {
        let tasks = Tasks::default();
        let stop = tasks.stopping().clone();
        tasks.essential("steady", async move { stop.cancelled().await });
        tasks.essential("brittle", async { panic!("broken") });
        assert_eq!(tasks.failed().await, "brittle");
        assert!(tasks.finish(Duration::from_secs(5)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_that_does_not_end_is_not_waited_for_for_ever() {
        let tasks = Tasks::default();
        tasks.spawn("deaf", std::future::pending());
        assert!(!tasks.finish(Duration::from_secs(5)).await);
    }
}
