//! Reading configuration.

use bitrouter_keys::Secret;

use crate::{
    resource::{Kind, Resource, Revision},
    store::{Store, StoreError},
};

/// A page of a listing in the order of ids.
#[derive(Clone, Debug)]
pub struct Page {
    /// The last id of the page before. Absent: the first page.
    pub after: Option<String>,
    /// At most so many.
    pub limit: u32,
}

impl Store {
    /// The current revision.
    pub async fn revision(&self) -> Result<Revision, StoreError> {
        todo!()
    }

    /// Every stored resource, with the revision that they are of.
    pub async fn load_all(&self) -> Result<(Revision, Vec<Resource>), StoreError> {
        todo!()
    }

    /// What changed after `since`, each once. `None`: that is too long ago, or not a revision of
    /// this database; everything has to be loaded.
    pub async fn changes_since(
        &self,
        since: Revision,
    ) -> Result<Option<Vec<(Kind, String)>>, StoreError> {
        todo!()
    }

    /// One resource, if it is there.
    pub async fn resource(&self, kind: Kind, id: &str) -> Result<Option<Resource>, StoreError> {
        todo!()
    }

    /// The resources of a kind, in the order of their ids.
    pub async fn list(&self, kind: Kind, page: &Page) -> Result<Vec<Resource>, StoreError> {
        todo!()
    }

    /// The secret of an account, if it has one.
    pub async fn secret_of(&self, account: &str) -> Result<Option<Secret>, StoreError> {
        todo!()
    }

    /// Every account's secret, by the account's id.
    pub async fn secrets(&self) -> Result<Vec<(String, Secret)>, StoreError> {
        todo!()
    }

    /// Forgets changes that are both older than seven days and not among the last 100,000.
    pub async fn prune_changes(&self, now_ms: u64) -> Result<u64, StoreError> {
        todo!()
    }
}
