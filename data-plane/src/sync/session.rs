//! One session of the configuration stream, as a machine without a clock and without I/O.
//!
//! Hello → Welcome → snapshot or delta → Ack → deltas. A table is complete before it is put in force,
//! and what this side holds is compared with the other's hash at every change: if they differ, the
//! next session asks for everything.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bitrouter_proto::v1::{
    self, Ack, Delta, Heartbeat, Hello, NodeHeartbeat, SnapshotChunk, SyncRequest, SyncResponse,
    Welcome, ack::Status, sync_request, sync_response::Message,
};

use super::NodeIdentity;
use crate::table::{Change, Incoming, Rejection, ResourceRef, Revision, RoutingTable};

/// The schemas that this version understands.
const SCHEMA: u32 = 1;
/// What a control plane's wish for the interval is kept within.
const HEARTBEATS: (Duration, Duration) = (Duration::from_millis(50), Duration::from_mins(1));
/// Before the control plane has said how often.
const FIRST_HEARTBEAT: Duration = Duration::from_secs(2);
/// Behind for so many heartbeats, a new session is begun.
const BEHIND: u32 = 2;
/// Silent for so many intervals, the control plane counts as gone.
const SILENT: u32 = 4;
/// A change of more rejections lists only so many of them.
const MAX_REJECTIONS: usize = 500;

/// What a session knows.
#[derive(Debug)]
pub(super) struct Session {
    table: Arc<RoutingTable>,
    interval: Duration,
    is_welcome: bool,
    /// Heartbeats in a row that named a newer revision.
    behind: u32,
    heard: Instant,
    beat: Instant,
    snapshot: Option<Snapshot>,
}

/// A snapshot that is arriving.
#[derive(Debug)]
struct Snapshot {
    revision: Revision,
    next_index: u32,
    resources: Vec<Incoming>,
}

/// What is to be done.
#[derive(Debug)]
pub(super) enum Action {
    /// To the control plane.
    Send(SyncRequest),
    /// A new table is in force.
    Install(Arc<RoutingTable>),
    /// This session is over.
    Reopen(Reopen),
}

/// Why a session ends.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(super) enum Reopen {
    #[error("the control plane goes away")]
    Drained,
    #[error("the control plane has newer revisions and does not send them")]
    Behind,
    #[error("the control plane is silent")]
    Silent,
    #[error("a change does not follow the revision in force")]
    OutOfOrder,
    /// The next session asks for everything.
    #[error("both sides do not hold the same")]
    Diverged,
}

/// What a heartbeat tells.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Vitals {
    pub(super) now_us: u64,
    pub(super) spool_bytes: u64,
    pub(super) oldest_unacked_ms: u64,
}

/// Names of the usage log, for the first message.
#[derive(Clone, Debug, Default)]
pub(super) struct LogIdentity {
    pub(super) log_id: String,
    pub(super) boot_id: String,
}

impl Session {
    /// Begins a session with the table in force, or with nothing if everything is to come anew.
    pub(super) fn open(
        identity: &NodeIdentity,
        log: LogIdentity,
        table: Arc<RoutingTable>,
        is_anew: bool,
        now: Instant,
    ) -> (Self, SyncRequest) {
        let (revision, hash) = if is_anew {
            (0, Vec::new())
        } else {
            (table.revision().0, table.state_hash().as_bytes().to_vec())
        };
        let hello = Hello {
            node_id: identity.node_id.clone(),
            log_id: log.log_id,
            boot_id: log.boot_id,
            version: identity.version.clone(),
            schema_min: SCHEMA,
            schema_max: SCHEMA,
            labels: identity.labels.clone(),
            applied_revision: revision,
            state_hash: hash.into(),
        };
        let session = Self {
            table,
            interval: FIRST_HEARTBEAT,
            is_welcome: false,
            behind: 0,
            heard: now,
            beat: now,
            snapshot: None,
        };
        (session, request(sync_request::Message::Hello(hello)))
    }

    /// True once the control plane has answered.
    pub(super) const fn is_welcome(&self) -> bool {
        self.is_welcome
    }

    /// When [`Self::tick`] is to be called.
    pub(super) fn next_tick(&self) -> Instant {
        self.beat + self.interval
    }

    /// Takes a message from the control plane.
    pub(super) fn receive(&mut self, message: SyncResponse, now: Instant) -> Vec<Action> {
        self.heard = now;
        match message.message {
            Some(Message::Welcome(welcome)) => self.welcome(&welcome),
            Some(Message::SnapshotChunk(chunk)) => self.chunk(chunk),
            Some(Message::Delta(delta)) => self.delta(delta),
            Some(Message::Heartbeat(heartbeat)) => self.heartbeat(heartbeat),
            Some(Message::Drain(_)) => vec![Action::Reopen(Reopen::Drained)],
            // Of a newer control plane.
            None => Vec::new(),
        }
    }

    /// Lets time pass: tells that this side lives, and notices whether the other does.
    pub(super) fn tick(&mut self, now: Instant, vitals: Vitals) -> Vec<Action> {
        if now.saturating_duration_since(self.heard) >= self.interval * SILENT {
            return vec![Action::Reopen(Reopen::Silent)];
        }
        if now < self.next_tick() {
            return Vec::new();
        }
        self.beat = now;
        if !self.is_welcome {
            return Vec::new();
        }
        vec![Action::Send(request(sync_request::Message::Heartbeat(NodeHeartbeat {
            send_us: vitals.now_us,
            applied_revision: self.table.revision().0,
            spool_bytes: vitals.spool_bytes,
            oldest_unacked_ms: vitals.oldest_unacked_ms,
        })))]
    }

    fn welcome(&mut self, welcome: &Welcome) -> Vec<Action> {
        let interval = Duration::from_millis(welcome.heartbeat_ms.into());
        self.interval = interval.clamp(HEARTBEATS.0, HEARTBEATS.1);
        self.is_welcome = true;
        Vec::new()
    }

    fn heartbeat(&mut self, heartbeat: Heartbeat) -> Vec<Action> {
        let is_behind = heartbeat.head_revision > self.table.revision().0;
        self.behind = if is_behind { self.behind + 1 } else { 0 };
        // A snapshot that is on its way is not silence.
        if self.behind > BEHIND && self.snapshot.is_none() {
            return vec![Action::Reopen(Reopen::Behind)];
        }
        Vec::new()
    }

    fn chunk(&mut self, chunk: SnapshotChunk) -> Vec<Action> {
        let revision = Revision(chunk.revision);
        if chunk.index == 0 {
            self.snapshot = Some(Snapshot { revision, next_index: 0, resources: Vec::new() });
        }
        let expected = |it: &&mut Snapshot| it.revision == revision && it.next_index == chunk.index;
        let Some(snapshot) = self.snapshot.as_mut().filter(expected) else {
            return reject(revision, Reopen::Diverged);
        };
        let Some(resources) = read(chunk.resources) else {
            return reject(revision, Reopen::Diverged);
        };
        snapshot.next_index += 1;
        snapshot.resources.extend(resources);
        if !chunk.last {
            return Vec::new();
        }
        let resources = std::mem::take(&mut snapshot.resources);
        self.snapshot = None;
        let next = self.table.replace(revision, resources);
        self.put_in_force(next, &chunk.state_hash)
    }

    fn delta(&mut self, delta: Delta) -> Vec<Action> {
        let revision = Revision(delta.to_revision);
        if revision <= self.table.revision() {
            // Sent again; in force already.
            let ack = Ack { revision: revision.0, ..accepted(&self.table) };
            return vec![Action::Send(request(sync_request::Message::Ack(ack)))];
        }
        if Revision(delta.from_revision) != self.table.revision() {
            return reject(revision, Reopen::OutOfOrder);
        }
        let Some(upserts) = read(delta.upserts) else {
            return reject(revision, Reopen::Diverged);
        };
        let removals = delta.removals.iter().map(ResourceRef::from_wire).collect();
        let next = self.table.apply(Change { revision, upserts, removals });
        self.put_in_force(next, &delta.state_hash)
    }

    fn put_in_force(&mut self, next: RoutingTable, expected: &[u8]) -> Vec<Action> {
        let revision = next.revision();
        if next.sent_hash().as_bytes()[..] != *expected {
            return reject(revision, Reopen::Diverged);
        }
        let table = Arc::new(next);
        self.table = Arc::clone(&table);
        self.behind = 0;
        let ack = accepted(&table);
        vec![Action::Install(table), Action::Send(request(sync_request::Message::Ack(ack)))]
    }
}

/// Reads resources; `None` if one has no name, so that nobody could say what it replaces.
fn read(resources: Vec<v1::Resource>) -> Option<Vec<Incoming>> {
    resources.into_iter().map(Incoming::from_wire).collect()
}

fn accepted(table: &RoutingTable) -> Ack {
    let rejections = table.rejections();
    let status = if rejections.len() == 0 { Status::Applied } else { Status::AppliedInPart };
    Ack {
        revision: table.revision().0,
        status: status.into(),
        rejections: rejections.take(MAX_REJECTIONS).map(Rejection::to_wire).collect(),
    }
}

fn reject(revision: Revision, reopen: Reopen) -> Vec<Action> {
    let status = Status::Rejected.into();
    let ack = Ack { revision: revision.0, status, rejections: Vec::new() };
    vec![Action::Send(request(sync_request::Message::Ack(ack))), Action::Reopen(reopen)]
}

const fn request(message: sync_request::Message) -> SyncRequest {
    SyncRequest { message: Some(message) }
}

#[cfg(test)]
mod tests;
