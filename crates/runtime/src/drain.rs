//! Finishing and leaving: one trigger, any number of watchers, one deadline.
//!
//! A drain is never taken back; triggering it again can only bring the deadline nearer.

use std::time::Instant;

use tokio::sync::watch;

/// Makes a trigger and the watcher that sees it.
pub fn channel() -> (Trigger, Watcher) {
    let (sender, receiver) = watch::channel(None);
    (Trigger { sender: sender.clone() }, Watcher { receiver, _alive: sender })
}

/// Starts the drain.
#[derive(Clone, Debug)]
pub struct Trigger {
    sender: watch::Sender<Option<Instant>>,
}

impl Trigger {
    /// Asks everyone to finish before the deadline.
    pub fn drain(&self, deadline: Instant) {
        self.sender.send_if_modified(|current| {
            let nearer = current.is_none_or(|standing| deadline < standing);
            if nearer {
                *current = Some(deadline);
            }
            nearer
        });
    }
}

/// Sees the drain. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Watcher {
    receiver: watch::Receiver<Option<Instant>>,
    // Dropping the trigger is no drain: a watcher keeps the channel open itself.
    _alive: watch::Sender<Option<Instant>>,
}

impl Watcher {
    /// True once the drain has started.
    pub fn is_draining(&self) -> bool {
        self.receiver.borrow().is_some()
    }

    /// The deadline, once the drain has started.
    pub fn deadline(&self) -> Option<Instant> {
        *self.receiver.borrow()
    }

    /// Waits for the drain to start and returns its deadline.
    pub async fn started(&self) -> Instant {
        let mut receiver = self.receiver.clone();
        loop {
            if let Some(deadline) = *receiver.borrow_and_update() {
                return deadline;
            }
            if receiver.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Waits until the deadline of a drain has passed: whoever still works is to stop at once.
    pub async fn expired(&self) {
        let mut receiver = self.receiver.clone();
        let mut deadline = self.started().await;
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(deadline.into()) => return,
                Ok(()) = receiver.changed() => deadline = receiver.borrow_and_update().unwrap_or(deadline),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_drain_reaches_every_watcher_and_expires() {
        let (trigger, watcher) = channel();
        let other = watcher.clone();
        assert!(!watcher.is_draining());
        let start = tokio::time::Instant::now();
        trigger.drain((start + Duration::from_secs(30)).into_std());
        assert_eq!(other.started().await, (start + Duration::from_secs(30)).into_std());
        watcher.expired().await;
        assert_eq!(start.elapsed(), Duration::from_secs(30));
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_only_comes_nearer() {
        let (trigger, watcher) = channel();
        let start = tokio::time::Instant::now();
        trigger.drain((start + Duration::from_secs(30)).into_std());
        let waiting = tokio::join!(watcher.expired(), async {
            trigger.drain((start + Duration::from_mins(1)).into_std());
            trigger.drain((start + Duration::from_secs(5)).into_std());
        });
        assert_eq!(waiting, ((), ()));
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_trigger_is_no_drain() {
        let (trigger, watcher) = channel();
        drop(trigger);
        let waited = tokio::time::timeout(Duration::from_secs(1), watcher.started()).await;
        assert!(waited.is_err());
    }
}
