//! Taking usage in: exactly once, in the order of each data plane's log.

use bytes::Bytes;

use crate::store::{Store, StoreError, UsageRecord};

/// How far a data plane's log is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UsageLog {
    /// The log's id.
    pub log_id: String,
    /// Everything up to here is stored. Zero: nothing yet.
    pub acked_seq: u64,
    /// The log's hash at `acked_seq`.
    pub tail_hash: [u8; 32],
    /// Counts the data plane's hellos.
    pub session_epoch: u64,
    /// True if its hashes contradicted what was stored; nothing more is accepted.
    pub quarantined: bool,
}

/// A gapless run of a log.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The log's id.
    pub log_id: String,
    /// The number of the first entry.
    pub first_seq: u64,
    /// The log's hash before the first entry.
    pub prev_hash: [u8; 32],
    /// In order. Empty: only asks how far the log is stored.
    pub entries: Vec<LogEntry>,
}

/// One entry of a log.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// What it says. Absent: this version does not understand it; it is kept as it is.
    pub record: Option<UsageRecord>,
    /// As the data plane encoded it: what the hash is taken over.
    pub encoded: Bytes,
}

/// The answer to a batch, once it is stored.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ingested {
    /// Everything up to here is stored.
    pub acked_seq: u64,
    /// The log's hash at `acked_seq`.
    pub tail_hash: [u8; 32],
    /// True if the log's hashes contradict what is stored; nothing was taken in.
    pub quarantined: bool,
    /// How many records were new.
    pub inserted: u64,
}

impl Store {
    /// Notes that a data plane has said hello for this log, and says how far it is stored.
    pub async fn open_log(&self, log_id: &str, now_ms: u64) -> Result<UsageLog, StoreError> {
        todo!()
    }

    /// Every log, by id.
    pub async fn logs(&self) -> Result<Vec<UsageLog>, StoreError> {
        todo!()
    }

    /// Stores a batch, in one transaction. A repeated one changes nothing.
    pub async fn ingest(&self, batch: &Batch, now_ms: u64) -> Result<Ingested, StoreError> {
        todo!()
    }
}
