//! What is remembered of the resources that are not stored: a digest, so that a start which finds the
//! same environment again makes no revision and no audit row.

use crate::{
    resource::{Kind, Revision},
    store::{
        Actor, Change, Committed, Store, StoreError,
        audit::{Entry, append_audit},
        change::{insert_change, lock_revision, set_revision},
        number,
        pool::{Tx, execute, reading},
    },
};

/// How the audit names all that is not stored, together.
const NAME: &str = "overlay";
/// Where it comes from.
const ID: &str = "environment";

const SELECT: &str = "SELECT digest, revision FROM overlay WHERE id = 1";
const UPSERT: &str = "\
    INSERT INTO overlay (id, digest, revision) VALUES (1, $1, $2) \
    ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, revision = excluded.revision";

/// An overlay that was in force, as far as it is remembered.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OverlayMark {
    /// Of its resources and their secrets, keyed.
    pub digest: Vec<u8>,
    /// The revision that it came with.
    pub revision: Revision,
}

/// An overlay that takes another's place.
#[derive(Clone, Copy, Debug)]
pub struct OverlayChange<'a> {
    /// Of its resources and their secrets, keyed.
    pub digest: &'a [u8],
    /// What data planes have to be told of; nothing if they get everything anyway.
    pub changed: &'a [(Kind, String)],
    /// What the audit says was in force and is now, as JSON. Absent: nothing that anybody would look
    /// for has changed.
    pub audited: Option<(Option<&'a str>, &'a str)>,
}

impl Store {
    /// The last overlay.
    pub async fn overlay_mark(&self) -> Result<Option<OverlayMark>, StoreError> {
        let row: Option<(Vec<u8>, i64)> =
            reading!(self, |pool| sqlx::query_as(SELECT).fetch_optional(pool).await?);
        Ok(row.map(|(digest, revision)| OverlayMark {
            digest,
            revision: Revision(number::loaded(revision)),
        }))
    }

    /// Commits a batch and the overlay that comes with it: all of it is one revision, or nothing.
    pub async fn commit_with_overlay(
        &self,
        actor: &Actor,
        changes: Vec<Change>,
        overlay: Option<OverlayChange<'_>>,
        now_ms: u64,
    ) -> Result<Committed, StoreError> {
        let Some(overlay) = overlay else { return self.commit(actor, changes, now_ms).await };
        let mut tx = self.begin_write().await?;
        let mut committed = self.apply(&mut tx, actor, changes, now_ms).await?;
        if committed.changed.is_empty() {
            committed.revision = Revision(committed.revision.0 + 1);
            set_revision(&mut tx, committed.revision).await?;
        }
        note(&mut tx, overlay, committed.revision, now_ms).await?;
        tx.commit().await?;
        Ok(committed)
    }

    /// Makes the first revision, which changes nothing: data planes call that of nothing zero.
    pub async fn first_revision(&self) -> Result<Revision, StoreError> {
        let mut tx = self.begin_write().await?;
        let current = lock_revision(&mut tx).await?;
        let first = Revision(current.0.max(1));
        set_revision(&mut tx, first).await?;
        tx.commit().await?;
        Ok(first)
    }
}

async fn note(
    tx: &mut Tx,
    change: OverlayChange<'_>,
    revision: Revision,
    now_ms: u64,
) -> Result<(), StoreError> {
    for (kind, id) in change.changed {
        insert_change(tx, revision, (*kind, id), NAME, now_ms).await?;
    }
    if let Some((before, after)) = change.audited {
        let entry = Entry {
            revision,
            time_ms: now_ms,
            actor: &Actor::System,
            action: NAME,
            kind: NAME,
            id: ID,
            before: before.map(str::to_owned),
            after: Some(after.to_owned()),
        };
        append_audit(tx, entry).await?;
    }
    let revised = number::stored(revision.0);
    execute!(tx, sqlx::query(UPSERT).bind(change.digest).bind(revised));
    Ok(())
}
