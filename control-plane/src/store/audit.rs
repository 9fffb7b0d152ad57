//! Who changed what: rows that are written with the change itself, chained by their hashes.

use std::fmt;

use crate::{
    resource::Revision,
    store::{Store, StoreError},
};

/// Who makes a change.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Actor {
    /// bitrouter itself.
    System,
    /// A configuration file, by its path.
    File(String),
    /// Somebody on this machine, through the control socket.
    Socket,
    /// The holder of an admin token, by the token's id.
    Token(String),
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("system"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Socket => f.write_str("socket"),
            Self::Token(id) => write!(f, "token:{id}"),
        }
    }
}

/// One change that was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct AuditRow {
    /// Counts from 1, without gaps.
    pub seq: u64,
    /// The revision that the change is part of; the current one if it made none.
    pub revision: Revision,
    /// Unix milliseconds.
    pub time_ms: u64,
    /// Who made it, as [`Actor`] is shown.
    pub actor: String,
    /// What was done: `put`, `delete`, `overlay`, …
    pub action: String,
    /// What it was done to.
    pub kind: String,
    /// What it was done to.
    pub id: String,
    /// JSON without secrets.
    pub before: Option<String>,
    /// JSON without secrets.
    pub after: Option<String>,
}

/// What an examination of the audit rows found.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AuditVerdict {
    /// All rows are as they were written.
    Intact {
        /// How many there are.
        rows: u64,
    },
    /// From this row on they are not: it was changed, or rows are missing.
    Broken {
        /// The first bad row.
        seq: u64,
    },
}

impl Store {
    /// The audit rows before `before` (absent: the newest), newest first.
    pub async fn audit(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<AuditRow>, StoreError> {
        todo!()
    }

    /// Recomputes the chain of hashes.
    pub async fn verify_audit(&self) -> Result<AuditVerdict, StoreError> {
        todo!()
    }
}
