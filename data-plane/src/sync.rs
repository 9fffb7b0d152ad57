//! Keeps the routing table at the control plane's newest revision.
//!
//! A control plane that stalls or goes away changes nothing about traffic: the last table stays.

pub mod backoff;
pub mod client;
mod session;

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use tokio::sync::watch;

pub use self::client::follow;
use crate::table::{Revision, RoutingTable};

/// Who this data plane is, to the control plane.
#[derive(Clone, Debug, Default)]
pub struct NodeIdentity {
    /// Names it across restarts.
    pub node_id: String,
    /// The software's version.
    pub version: String,
    /// What the operator says about it.
    pub labels: HashMap<String, String>,
}

/// The table in force. Cheap to clone; readers take the table once per request.
#[derive(Clone, Debug)]
pub struct Tables {
    current: Arc<ArcSwap<RoutingTable>>,
    revision: watch::Sender<Revision>,
}

impl Default for Tables {
    fn default() -> Self {
        Self::new(RoutingTable::empty())
    }
}

impl Tables {
    /// Begins with a table.
    pub fn new(table: RoutingTable) -> Self {
        let revision = watch::Sender::new(table.revision());
        Self { current: Arc::new(ArcSwap::from_pointee(table)), revision }
    }

    /// The table in force now.
    pub fn load(&self) -> Arc<RoutingTable> {
        self.current.load_full()
    }

    /// Puts a table in force, in one step.
    pub fn install(&self, table: Arc<RoutingTable>) {
        let revision = table.revision();
        self.current.store(table);
        self.revision.send_replace(revision);
    }

    /// Follows the revision in force. Zero: nothing has arrived.
    pub fn revision(&self) -> watch::Receiver<Revision> {
        self.revision.subscribe()
    }

    /// Waits until a configuration has arrived.
    pub async fn configured(&self) {
        self.reached(Revision(1)).await;
    }

    /// Waits until at least that revision is in force.
    pub async fn reached(&self, revision: Revision) {
        let mut current = self.revision.subscribe();
        // The sender lives in here.
        let _ = current.wait_for(|current| *current >= revision).await;
    }
}
