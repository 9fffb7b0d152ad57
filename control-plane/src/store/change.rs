//! Writing configuration: a batch of changes is one transaction, one revision, one audit row each.

use std::{collections::BTreeSet, fmt};

use crate::{
    resource::{Declared, Kind, Owner, Revision},
    store::{
        Actor, Once, OnceOutcome, Store, StoreError,
        audit::{Entry, append_audit},
        config::{ResourceRow, encode_spec, select_resource},
        number,
        pool::{Tx, execute, within},
        redact::redacted,
        sealed::delete_secret,
    },
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
    /// Makes a resource where there is none, whoever owns the one that is there.
    Ensure {
        /// What is to be.
        declared: Declared,
        /// On whose behalf.
        owner: Owner,
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

const LOCK_REVISION: &str = "UPDATE revision SET current = current WHERE id = 1 RETURNING current";
const SET_REVISION: &str = "UPDATE revision SET current = $1 WHERE id = 1";
const UPSERT_RESOURCE: &str = "\
    INSERT INTO resource (kind, id, owner, spec, resource_version, created_at_ms, updated_at_ms) \
    VALUES ($1, $2, $3, $4, $5, $6, $6) \
    ON CONFLICT (kind, id) DO UPDATE SET spec = excluded.spec, \
    resource_version = excluded.resource_version, updated_at_ms = excluded.updated_at_ms";
const TOUCH_RESOURCE: &str = "\
    UPDATE resource SET resource_version = $3, updated_at_ms = $4 \
    WHERE kind = $1 AND id = $2 AND resource_version <> $3 RETURNING id";
const DELETE_RESOURCE: &str = "DELETE FROM resource WHERE kind = $1 AND id = $2";
const INSERT_CHANGE: &str = "\
    INSERT INTO config_change (revision, kind, id, op, at_ms) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (revision, kind, id) DO UPDATE SET op = excluded.op";

impl Store {
    /// Commits a batch: all of it or nothing.
    pub async fn commit(
        &self,
        actor: &Actor,
        changes: Vec<Change>,
        now_ms: u64,
    ) -> Result<Committed, StoreError> {
        let mut tx = self.begin_write().await?;
        let committed = self.apply(&mut tx, actor, changes, now_ms).await?;
        if !committed.changed.is_empty() {
            tx.commit().await?;
        }
        Ok(committed)
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
        let mut tx = self.begin_write().await?;
        lock_revision(&mut tx).await?;
        if let Some(response) = self.recall(&mut tx, actor, once, now_ms).await? {
            return Ok(OnceOutcome::Replayed(response));
        }
        let committed = self.apply(&mut tx, actor, changes, now_ms).await?;
        let response = respond(&committed);
        self.remember(&mut tx, actor, once, &response).await?;
        tx.commit().await?;
        Ok(OnceOutcome::Committed(committed, response))
    }

    pub(super) async fn apply(
        &self,
        tx: &mut Tx,
        actor: &Actor,
        changes: Vec<Change>,
        now_ms: u64,
    ) -> Result<Committed, StoreError> {
        let mut batch = BatchWrite::begin(tx, actor, now_ms).await?;
        for change in changes {
            match change {
                Change::Put { declared, owner, expect } => {
                    self.put(tx, &mut batch, &declared, owner, expect).await?;
                }
                Change::Ensure { declared, owner } => {
                    let kind = declared.spec.kind();
                    if select_resource(tx, kind, &declared.id).await?.is_none() {
                        self.put(tx, &mut batch, &declared, owner, Expect::Absent).await?;
                    }
                }
                Change::Delete { kind, id, owner, expect } => {
                    delete(tx, &mut batch, (kind, &id), owner, expect).await?;
                }
            }
        }
        touch_providers(tx, &batch).await?;
        if batch.changed.is_empty() {
            let revision = Revision(batch.revision.0 - 1);
            return Ok(Committed { revision, changed: batch.changed });
        }
        set_revision(tx, batch.revision).await?;
        Ok(Committed { revision: batch.revision, changed: batch.changed })
    }

    async fn put(
        &self,
        tx: &mut Tx,
        batch: &mut BatchWrite<'_>,
        declared: &Declared,
        owner: Owner,
        expect: Expect,
    ) -> Result<(), StoreError> {
        let (kind, id) = (declared.spec.kind(), declared.id.as_str());
        if owner == Owner::Env {
            return Err(StoreError::OwnedBy { kind, id: id.to_owned(), owner });
        }
        let stored = select_for_write(tx, (kind, id), owner, expect).await?;
        let has_new_secret = match &declared.secret {
            Some(secret) => self.put_secret(tx, (kind, id), secret).await?,
            None => false,
        };
        let is_same = stored.as_ref().is_some_and(|row| row.says(&declared.spec));
        if is_same && !has_new_secret {
            return Ok(());
        }
        let spec = encode_spec(&declared.spec, id)?;
        execute!(
            tx,
            sqlx::query(UPSERT_RESOURCE)
                .bind(kind.as_str())
                .bind(id)
                .bind(owner.as_str())
                .bind(&spec)
                .bind(number::stored(batch.revision.0))
                .bind(number::stored(batch.now_ms))
        );
        let before = stored.and_then(|row| redacted(row.spec()));
        let action = if has_new_secret { "put_with_secret" } else { "put" };
        batch.note(tx, kind, id, action, (before, redacted(&spec))).await
    }
}

/// Who sees a provider sees its accounts with it: where those change, so does its version.
async fn touch_providers(tx: &mut Tx, batch: &BatchWrite<'_>) -> Result<(), StoreError> {
    let accounts = batch.changed.iter().filter(|(kind, _)| *kind == Kind::Account);
    let providers: BTreeSet<&str> =
        accounts.filter_map(|(_, id)| id.split_once('/')).map(|(provider, _)| provider).collect();
    for id in providers {
        let touched: Option<String> = within!(tx, |connection| {
            sqlx::query_scalar(TOUCH_RESOURCE)
                .bind(Kind::Provider.as_str())
                .bind(id)
                .bind(number::stored(batch.revision.0))
                .bind(number::stored(batch.now_ms))
                .fetch_optional(connection)
                .await?
        });
        if touched.is_some() {
            let provider = (Kind::Provider, id);
            insert_change(tx, batch.revision, provider, "touch", batch.now_ms).await?;
        }
    }
    Ok(())
}

async fn delete(
    tx: &mut Tx,
    batch: &mut BatchWrite<'_>,
    (kind, id): (Kind, &str),
    owner: Owner,
    expect: Expect,
) -> Result<(), StoreError> {
    let Some(stored) = select_for_write(tx, (kind, id), owner, expect).await? else {
        return Ok(());
    };
    execute!(tx, sqlx::query(DELETE_RESOURCE).bind(kind.as_str()).bind(id));
    delete_secret(tx, (kind, id)).await?;
    batch.note(tx, kind, id, "delete", (redacted(stored.spec()), None)).await
}

/// The stored resource, if this writer may change it.
async fn select_for_write(
    tx: &mut Tx,
    (kind, id): (Kind, &str),
    owner: Owner,
    expect: Expect,
) -> Result<Option<ResourceRow>, StoreError> {
    let stored = select_resource(tx, kind, id).await?;
    let found = stored.as_ref().map(ResourceRow::version);
    if let Some(row) = &stored {
        let theirs = row.owner()?;
        if theirs != owner {
            return Err(StoreError::OwnedBy { kind, id: id.to_owned(), owner: theirs });
        }
    }
    let holds = match expect {
        Expect::Any => true,
        Expect::Absent => found.is_none(),
        Expect::Version(version) => found == Some(version),
    };
    if !holds {
        return Err(StoreError::Conflict { kind, id: id.to_owned(), expected: expect, found });
    }
    Ok(stored)
}

/// The revision that a transaction is making, and what it has changed so far.
struct BatchWrite<'a> {
    actor: &'a Actor,
    now_ms: u64,
    revision: Revision,
    changed: Vec<(Kind, String)>,
}

impl<'a> BatchWrite<'a> {
    async fn begin(tx: &mut Tx, actor: &'a Actor, now_ms: u64) -> Result<Self, StoreError> {
        let current = lock_revision(tx).await?;
        Ok(Self { actor, now_ms, revision: Revision(current.0 + 1), changed: Vec::new() })
    }

    /// Writes the change's record for data planes and its audit row.
    async fn note(
        &mut self,
        tx: &mut Tx,
        kind: Kind,
        id: &str,
        action: &'static str,
        (before, after): (Option<String>, Option<String>),
    ) -> Result<(), StoreError> {
        insert_change(tx, self.revision, (kind, id), action, self.now_ms).await?;
        let (revision, time_ms) = (self.revision, self.now_ms);
        let (kind_name, actor) = (kind.as_str(), self.actor);
        append_audit(
            tx,
            Entry { revision, time_ms, actor, action, kind: kind_name, id, before, after },
        )
        .await?;
        if !self.changed.iter().any(|(k, i)| *k == kind && i == id) {
            self.changed.push((kind, id.to_owned()));
        }
        Ok(())
    }
}

/// Records for data planes that a resource has changed.
pub(super) async fn insert_change(
    tx: &mut Tx,
    revision: Revision,
    (kind, id): (Kind, &str),
    action: &str,
    now_ms: u64,
) -> Result<(), StoreError> {
    execute!(
        tx,
        sqlx::query(INSERT_CHANGE)
            .bind(number::stored(revision.0))
            .bind(kind.as_str())
            .bind(id)
            .bind(action)
            .bind(number::stored(now_ms))
    );
    Ok(())
}

/// Makes other writers of configuration wait until this transaction ends.
pub(super) async fn lock_revision(tx: &mut Tx) -> Result<Revision, StoreError> {
    let current: i64 =
        within!(tx, |connection| sqlx::query_scalar(LOCK_REVISION).fetch_one(connection).await?);
    Ok(Revision(number::loaded(current)))
}

pub(super) async fn set_revision(tx: &mut Tx, revision: Revision) -> Result<(), StoreError> {
    execute!(tx, sqlx::query(SET_REVISION).bind(number::stored(revision.0)));
    Ok(())
}
