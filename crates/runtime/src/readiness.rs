//! Whether the process may be given work: the conjunction of named gates, each closed at first.

use std::{collections::BTreeMap, sync::Arc};

use tokio::sync::watch;

/// What the process still waits for. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Readiness {
    closed: Arc<watch::Sender<BTreeMap<&'static str, String>>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { closed: Arc::new(watch::Sender::new(BTreeMap::new())) }
    }
}

impl Readiness {
    /// Adds a gate, closed for a reason that people can read.
    pub fn gate(&self, name: &'static str, reason: impl Into<String>) -> Gate {
        let gate = Gate { name, closed: Arc::clone(&self.closed) };
        gate.close(reason);
        gate
    }

    /// True if every gate is open.
    pub fn is_ready(&self) -> bool {
        self.closed.borrow().is_empty()
    }

    /// The closed gates and why they are.
    pub fn waiting_for(&self) -> BTreeMap<&'static str, String> {
        self.closed.borrow().clone()
    }

    /// Waits until every gate is open.
    pub async fn ready(&self) {
        let mut receiver = self.closed.subscribe();
        // It can only fail when the sender is gone, and `self` holds it.
        let _ = receiver.wait_for(BTreeMap::is_empty).await;
    }
}

/// One condition of readiness.
#[derive(Clone, Debug)]
pub struct Gate {
    name: &'static str,
    closed: Arc<watch::Sender<BTreeMap<&'static str, String>>>,
}

impl Gate {
    /// The condition holds.
    pub fn open(&self) {
        self.closed.send_if_modified(|closed| closed.remove(self.name).is_some());
    }

    /// The condition does not hold (any more).
    pub fn close(&self, reason: impl Into<String>) {
        let reason = reason.into();
        self.closed.send_modify(|closed| {
            closed.insert(self.name, reason);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_gate_counts() {
        let readiness = Readiness::default();
        assert!(readiness.is_ready());
        let config = readiness.gate("config", "no configuration has arrived");
        let listener = readiness.gate("listener", "not bound");
        config.open();
        assert!(!readiness.is_ready());
        assert_eq!(readiness.waiting_for()["listener"], "not bound");
        listener.open();
        readiness.ready().await;
        config.close("draining");
        assert!(!readiness.is_ready());
    }
}
