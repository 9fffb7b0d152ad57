//! What the control plane keeps, in `SQLite` or `PostgreSQL`: the only SQL of the project.
//!
//! Every write of configuration is one transaction that makes one revision and its audit rows. The
//! first statement of a write transaction is a write, so that writers queue and never deadlock.
//! Secrets are sealed before they reach a statement.

mod admin_token;
mod audit;
mod backup;
mod change;
mod config;
mod error;
mod event;
mod ingest;
mod number;
mod once;
mod open;
mod overlay;
mod pool;
mod redact;
mod requests;
mod sealed;
#[cfg(test)]
mod tests;
mod usage;

use std::sync::Arc;

use crate::secrets::SealingKeys;

pub use admin_token::AdminToken;
pub use audit::{Actor, AuditRow, AuditVerdict};
pub use backup::BackupError;
pub use change::{Change, Committed, Expect};
pub use config::Page;
pub use error::{OpenError, StoreError};
pub use ingest::{Batch, Ingested, LogEntry, UsageLog};
pub use once::{Once, Outcome as OnceOutcome};
pub use overlay::{OverlayChange, OverlayMark};
pub use requests::{Asked, Ended, Marks, Outcome, RequestFilter, Served, StoredUsage, UsageRecord};
pub use sealed::DigestKeyRow;
pub use usage::{By, Group, Totals, UsageRow, UsageVerdict};

/// The database. Cheap to clone; clones share their connections.
#[derive(Clone, Debug)]
pub struct Store {
    pool: pool::Pool,
    seal: Arc<SealingKeys>,
}
