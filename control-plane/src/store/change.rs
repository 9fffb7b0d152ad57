//! Writing configuration: a batch of changes is one transaction, one revision, one audit row each.

use std::fmt;

use crate::{
    resource::{Declared, Kind, Owner, Revision},
    store::{Actor, Once, OnceOutcome, Store, StoreError},
};

/// One change of a batch.
#[derive(Clone, Debug)]
pub enum Change {
    /// Makes a resource, or replaces it. One that changes nothing is left alone.
    Put {
        /// What is to be.
        declared: Declared,
        /// On whose behalf; a resource never changes its owner.
        owner: Owner,
        /// What the writer saw.
        expect: Expect,
    },
    /// Removes a resource and its secret. One that is not there is left alone, unless a version is
    /// expected.
    Delete {
        /// The resource's kind.
        kind: Kind,
        /// The resource's id.
        id: String,
        /// On whose behalf.
        owner: Owner,
        /// What the writer saw.
        expect: Expect,
    },
}

/// What a writer saw before it decided.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Expect {
    /// It does not care.
    Any,
    /// There was none.
    Absent,
    /// This `resource_version`.
    Version(Revision),
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("anything"),
            Self::Absent => f.write_str("nothing"),
            Self::Version(version) => write!(f, "version {}", version.0),
        }
    }
}

/// What a batch did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Committed {
    /// The new revision; the current one if the batch had no effect.
    pub revision: Revision,
    /// What changed, in the batch's order. Empty: nothing.
    pub changed: Vec<(Kind, String)>,
}

impl Store {
    /// Commits a batch: all of it or nothing.
    pub async fn commit(
        &self,
        actor: &Actor,
        changes: Vec<Change>,
        now_ms: u64,
    ) -> Result<Committed, StoreError> {
        todo!()
    }

    /// Commits a batch unless the same request has been committed before; then gives the response
    /// that was given then. `respond` draws the response, which is sealed and kept with the batch in
    /// the same transaction.
    pub async fn commit_once(
        &self,
        actor: &Actor,
        changes: Vec<Change>,
        once: &Once,
        now_ms: u64,
        respond: impl FnOnce(&Committed) -> Vec<u8> + Send,
    ) -> Result<OnceOutcome, StoreError> {
        todo!()
    }

    /// Makes a revision for changes of resources that are not stored.
    pub async fn bump_revision(
        &self,
        actor: &Actor,
        changed: &[(Kind, String)],
        now_ms: u64,
    ) -> Result<Revision, StoreError> {
        todo!()
    }
}
