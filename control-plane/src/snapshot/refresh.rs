//! Reads what has changed in the database since the published revision, and compiles it.
//!
//! What it gives is of one revision: it reads again while others write.

use std::collections::BTreeSet;

use bitrouter_keys::Secret;
use bitrouter_proto::v1 as wire;

use crate::{
    resource::{Kind, Resource, Revision},
    snapshot::{
        compile::{compile, digest_key, wire_kind},
        overlay::Overlay,
        state::{CompiledChange, Key},
    },
    store::{Store, StoreError},
};

/// After so many tries the newest of what was read is taken; what was written meanwhile is read
/// again with the next revision.
const TRIES: u32 = 5;

/// What was read.
#[derive(Debug)]
pub(crate) enum Read {
    /// What may have changed.
    Changes(Vec<CompiledChange>),
    /// All that there is.
    Everything(Vec<CompiledChange>),
}

/// Reads and compiles.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a> {
    pub(crate) store: &'a Store,
    pub(crate) overlay: &'a Overlay,
    pub(crate) now_ms: u64,
}

impl Reader<'_> {
    /// What has changed since `published`, and the revision that it is of. `None`: nothing.
    pub(crate) async fn read(
        self,
        published: Revision,
    ) -> Result<Option<(Revision, Read)>, StoreError> {
        let mut before = self.store.revision().await?;
        for _ in 1..TRIES {
            if before == published && !self.overlay.is_unpublished() {
                return Ok(None);
            }
            let changes = self.changes(published).await?;
            let after = self.store.revision().await?;
            if after == before {
                return Ok(Some((before, changes)));
            }
            before = after;
        }
        Ok(Some((before, self.changes(published).await?)))
    }

    async fn changes(self, published: Revision) -> Result<Read, StoreError> {
        let changed = match published {
            Revision(0) => None,
            _ if self.overlay.is_unpublished() => None,
            _ => self.store.changes_since(published).await?,
        };
        match changed {
            Some(changed) => self.some(changed).await.map(Read::Changes),
            None => self.everything().await.map(Read::Everything),
        }
    }

    async fn some(self, named: Vec<(Kind, String)>) -> Result<Vec<CompiledChange>, StoreError> {
        let mut changes = Vec::with_capacity(named.len());
        for (kind, id) in named {
            let Some(number) = wire_kind(kind) else { continue };
            let compiled = match self.store.resource(kind, &id).await? {
                Some(resource) => self.stored(&resource).await?,
                None => self.overlaid(kind, &id),
            };
            changes.push(((number.into(), id), compiled));
        }
        Ok(changes)
    }

    async fn everything(self) -> Result<Vec<CompiledChange>, StoreError> {
        let digest_key = digest_key(&self.store.digest_key().await?);
        let mut changes: Vec<CompiledChange> = Vec::new();
        if let Some(name) = &digest_key.r#ref {
            changes.push(((name.kind, name.id.clone()), Some(digest_key.clone())));
        }
        let (_, resources) = self.store.load_all().await?;
        for resource in &resources {
            let Some(number) = wire_kind(resource.spec.kind()) else { continue };
            let compiled = self.stored(resource).await?;
            changes.push(((number.into(), resource.id.clone()), compiled));
        }
        let mut named: BTreeSet<Key> = changes.iter().map(|(key, _)| key.clone()).collect();
        for ((kind, id), _) in self.overlay.iter() {
            let Some(number) = wire_kind(*kind) else { continue };
            let key = (number.into(), id.clone());
            if named.insert(key.clone()) {
                changes.push((key, self.overlaid(*kind, id)));
            }
        }
        Ok(changes)
    }

    async fn stored(self, resource: &Resource) -> Result<Option<wire::Resource>, StoreError> {
        let Resource { id, resource_version, spec, .. } = resource;
        let secret = match spec.kind() {
            Kind::Account => match self.secret_of(id).await? {
                Ok(secret) => secret,
                Err(Unreadable) => return Ok(None),
            },
            _ => None,
        };
        Ok(compile(id, *resource_version, spec, secret.as_ref(), self.now_ms))
    }

    /// An account whose secret does not open is left out, so that the rest can be served.
    async fn secret_of(self, id: &str) -> Result<Result<Option<Secret>, Unreadable>, StoreError> {
        match self.store.secret_of(id).await {
            Err(StoreError::Seal(error)) => {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::error!(account.id = id, error, "an account's secret cannot be opened");
                Ok(Err(Unreadable))
            }
            read => read.map(Ok),
        }
    }

    fn overlaid(self, kind: Kind, id: &str) -> Option<wire::Resource> {
        let entry = self.overlay.get(kind, id)?;
        compile(id, entry.version, &entry.spec, entry.secret.as_ref(), self.now_ms)
    }
}

/// A sealed secret that no key opens.
struct Unreadable;
