//! The data planes that were seen since the start: what each serves and what it has refused.
//!
//! Bounded: beyond the limit, those that were not heard of for the longest time are forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bitrouter_proto::v1 as wire;
use bitrouter_runtime::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{discovery::session::Touched, snapshot::state::Key};

const MOST_NODES: usize = 10_000;

/// The data planes, by their ids.
#[derive(Debug)]
pub(crate) struct Nodes {
    known: Mutex<Known>,
    /// Counts what was acknowledged, so that one can wait for it.
    acks: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Known {
    nodes: BTreeMap<String, Node>,
    sessions: u64,
}

/// A data plane.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) version: String,
    pub(crate) log_id: String,
    pub(crate) last_seen: Timestamp,
    pub(crate) applied_revision: u64,
    pub(crate) rejections: BTreeMap<Key, Rejection>,
    /// True if it refused the last update as a whole.
    pub(crate) has_refused: bool,
    pub(crate) spool_bytes: u64,
    pub(crate) oldest_unacked_ms: u64,
    session: Option<Connected>,
}

/// Why a resource was refused.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Rejection {
    pub(crate) kept_version: u64,
    pub(crate) reason: String,
}

/// A data plane's open session.
#[derive(Clone, Debug)]
pub(crate) struct Connected {
    number: u64,
    /// Cancelled when the same data plane opens another session.
    pub(crate) superseded: CancellationToken,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { known: Mutex::default(), acks: watch::Sender::new(0) }
    }
}

impl Node {
    pub(crate) const fn is_connected(&self) -> bool {
        self.session.is_some()
    }
}

impl Nodes {
    /// Opens a session; one that the same data plane still has is closed.
    pub(crate) fn connect(&self, hello: &wire::Hello, now: Timestamp) -> Connected {
        let mut known = self.known.lock();
        known.sessions += 1;
        let connected = Connected { number: known.sessions, superseded: CancellationToken::new() };
        let node = Node {
            version: hello.version.clone(),
            log_id: hello.log_id.clone(),
            last_seen: now,
            applied_revision: hello.applied_revision,
            rejections: BTreeMap::new(),
            has_refused: false,
            spool_bytes: 0,
            oldest_unacked_ms: 0,
            session: Some(connected.clone()),
        };
        let before = known.nodes.insert(hello.node_id.clone(), node);
        if let Some(session) = before.and_then(|node| node.session) {
            session.superseded.cancel();
        }
        known.forget_surplus();
        connected
    }

    /// Closes a session, if it is still the data plane's.
    pub(crate) fn disconnect(&self, id: &str, session: &Connected) {
        self.change(id, session, |node| node.session = None);
        self.acks.send_modify(|count| *count += 1);
    }

    /// Keeps a heartbeat.
    pub(crate) fn heard(
        &self,
        id: &str,
        session: &Connected,
        heartbeat: &wire::NodeHeartbeat,
        now: Timestamp,
    ) {
        self.change(id, session, |node| {
            node.last_seen = now;
            node.spool_bytes = heartbeat.spool_bytes;
            node.oldest_unacked_ms = heartbeat.oldest_unacked_ms;
        });
    }

    /// Keeps an acknowledgement of an update.
    pub(crate) fn acked(
        &self,
        id: &str,
        session: &Connected,
        ack: wire::Ack,
        touched: &Touched,
        now: Timestamp,
    ) {
        self.change(id, session, |node| {
            node.last_seen = now;
            node.acked(ack, touched);
        });
        self.acks.send_modify(|count| *count += 1);
    }

    /// Every data plane, by id.
    pub(crate) fn list(&self) -> Vec<(String, Node)> {
        let known = self.known.lock();
        known.nodes.iter().map(|(id, node)| (id.clone(), node.clone())).collect()
    }

    /// Waits until every connected data plane has confirmed a revision, for so long at most, and
    /// gives those that have not, disconnected ones too.
    pub(crate) async fn unconfirmed(&self, revision: u64, patience: Duration) -> Vec<String> {
        let mut acks = self.acks.subscribe();
        let all_have = acks.wait_for(|_| {
            let known = self.known.lock();
            let mut connected = known.nodes.values().filter(|node| node.is_connected());
            connected.all(|node| node.applied_revision >= revision)
        });
        let _ = tokio::time::timeout(patience, all_have).await;
        let known = self.known.lock();
        let behind = known.nodes.iter().filter(|(_, node)| node.applied_revision < revision);
        behind.map(|(id, _)| id.clone()).collect()
    }

    fn change(&self, id: &str, session: &Connected, change: impl FnOnce(&mut Node)) {
        let mut known = self.known.lock();
        let node = known.nodes.get_mut(id);
        let is_own = |node: &&mut Node| {
            node.session.as_ref().is_some_and(|open| open.number == session.number)
        };
        if let Some(node) = node.filter(is_own) {
            change(node);
        }
    }
}

impl Node {
    fn acked(&mut self, ack: wire::Ack, touched: &Touched) {
        self.has_refused = ack.status() == wire::ack::Status::Rejected;
        if !self.has_refused {
            self.applied_revision = ack.revision;
            match touched {
                Touched::Everything => self.rejections.clear(),
                Touched::These(delta) => self.accept(delta),
            }
        }
        for rejection in ack.rejections {
            let Some(refused) = rejection.r#ref else { continue };
            let wire::Rejection { kept_version, reason, .. } = rejection;
            self.rejections.insert((refused.kind, refused.id), Rejection { kept_version, reason });
        }
    }

    /// What a delta brought or took is accepted unless it is refused anew.
    fn accept(&mut self, delta: &wire::Delta) {
        let upserts = delta.upserts.iter().filter_map(|resource| resource.r#ref.as_ref());
        let touched: BTreeSet<(i32, &str)> = upserts
            .chain(&delta.removals)
            .map(|touched| (touched.kind, touched.id.as_str()))
            .collect();
        self.rejections.retain(|(kind, id), _| !touched.contains(&(*kind, id.as_str())));
    }
}

impl Known {
    fn forget_surplus(&mut self) {
        while self.nodes.len() > MOST_NODES {
            let gone = self.nodes.iter().filter(|(_, node)| !node.is_connected());
            let oldest = gone.min_by_key(|(_, node)| node.last_seen).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { return };
            self.nodes.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn hello(id: &str) -> wire::Hello {
        wire::Hello { node_id: id.to_owned(), ..wire::Hello::default() }
    }

    fn ack(revision: u64, refused: &[&str]) -> wire::Ack {
        let rejection = |id: &&str| wire::Rejection {
            r#ref: Some(wire::ResourceRef { kind: 3, id: (*id).to_owned() }),
            kept_version: 1,
            reason: "no".to_owned(),
        };
        let rejections = refused.iter().map(rejection).collect();
        wire::Ack { revision, status: wire::ack::Status::AppliedInPart.into(), rejections }
    }

    fn refused(nodes: &Nodes) -> Vec<String> {
        nodes.list()[0].1.rejections.keys().map(|(_, id)| id.clone()).collect()
    }

    #[test]
    fn a_rejection_stands_until_the_resource_is_accepted() {
        let nodes = Nodes::default();
        let now = Timestamp::default();
        let session = nodes.connect(&hello("n"), now);
        nodes.acked("n", &session, ack(1, &["a", "b"]), &Touched::Everything, now);
        assert_eq!(refused(&nodes), ["a", "b"]);
        let removal = wire::ResourceRef { kind: 3, id: "a".to_owned() };
        let delta = wire::Delta { removals: vec![removal], ..wire::Delta::default() };
        nodes.acked("n", &session, ack(2, &["c"]), &Touched::These(Arc::new(delta)), now);
        assert_eq!(refused(&nodes), ["b", "c"]);
        nodes.acked("n", &session, ack(3, &[]), &Touched::Everything, now);
        assert!(refused(&nodes).is_empty());
    }

    #[tokio::test]
    async fn a_newer_session_supersedes_the_older() {
        let nodes = Nodes::default();
        let now = Timestamp::default();
        let old = nodes.connect(&hello("n"), now);
        let new = nodes.connect(&hello("n"), now);
        old.superseded.cancelled().await;
        nodes.acked("n", &old, ack(9, &[]), &Touched::Everything, now);
        nodes.disconnect("n", &old);
        assert!(nodes.list()[0].1.is_connected());
        assert_eq!(nodes.list()[0].1.applied_revision, 0);
        nodes.disconnect("n", &new);
        assert!(!nodes.list()[0].1.is_connected());
    }

    #[tokio::test]
    async fn one_can_wait_for_confirmations() {
        let nodes = Nodes::default();
        let now = Timestamp::default();
        let gone = nodes.connect(&hello("gone"), now);
        nodes.disconnect("gone", &gone);
        let session = nodes.connect(&hello("here"), now);
        let waiting = nodes.unconfirmed(4, Duration::from_secs(5));
        let acking = async {
            nodes.acked("here", &session, ack(4, &[]), &Touched::Everything, now);
        };
        let (unconfirmed, ()) = tokio::join!(waiting, acking);
        assert_eq!(unconfirmed, ["gone"]);
    }
}
