//! Takes what the configuration file, the environment and this machine say into use, together.
//!
//! What is stored and what is only in force change in one revision: a route of the file that moves to
//! a provider of the environment is never published without it. On an error nothing has changed.

use super::{Publisher, Urgency};
use crate::{
    plane::{ReconcileError, stored_secrets},
    reconcile::{Unnamed, plan},
    resource::{Declared, Kind, Owner, Revision},
    snapshot::overlay::{self, Overlay},
    store::{Actor, Change, Committed, OverlayChange, StoreError},
};

/// How often it is tried while others write.
const TRIES: u32 = 3;
/// How the configuration file is named in the audit, wherever it is.
const CONFIG_FILE: &str = "bitrouter.yaml";

/// An overlay that is to take the place of the one in force.
struct Next {
    declared: Vec<Declared>,
    changed: Vec<(Kind, String)>,
    noted: Noted,
}

/// What the store is told of an overlay.
enum Noted {
    /// It is the one of this revision.
    Already(Revision),
    /// It is as empty as if there had never been one.
    Nothing,
    /// It needs a revision.
    Anew { digest: Vec<u8>, is_first: bool, audited: Option<(String, String)> },
}

impl Publisher {
    /// Puts these in force in place of what the file declared and what the overlay was. What is absent
    /// stays as it is. Returns when it is published.
    pub(crate) async fn adopt(
        &self,
        file: Option<Vec<Declared>>,
        overlay: Option<Vec<Declared>>,
    ) -> Result<Revision, ReconcileError> {
        // Somebody who changes resources through the API meanwhile is not a reason to fail.
        for _ in 1..TRIES {
            match self.try_adopt(file.clone(), overlay.clone()).await {
                Err(ReconcileError::Store(
                    StoreError::Conflict { .. } | StoreError::OwnedBy { .. },
                )) => {}
                adopted => return adopted,
            }
        }
        self.try_adopt(file, overlay).await
    }

    async fn try_adopt(
        &self,
        file: Option<Vec<Declared>>,
        overlay: Option<Vec<Declared>>,
    ) -> Result<Revision, ReconcileError> {
        let mut held = self.overlay.lock().await;
        let changes = match file {
            Some(file) => self.changes(file).await?,
            None => Vec::new(),
        };
        let next = match overlay {
            Some(declared) => self.next(&held, declared).await?,
            None => None,
        };
        let now_ms = self.clock.now_ms();
        let noted = next.as_ref().and_then(Next::change);
        let is_same = changes.is_empty() && noted.is_none();
        let committed = if is_same {
            Committed { revision: self.store.revision().await?, changed: Vec::new() }
        } else {
            let actor = Actor::File(CONFIG_FILE.to_owned());
            self.store.commit_with_overlay(&actor, changes, noted, now_ms).await?
        };
        if let Some(Next { declared, changed, noted }) = next {
            let version = match noted {
                Noted::Already(revision) => revision,
                Noted::Nothing | Noted::Anew { .. } => committed.revision,
            };
            held.replace(declared, &changed, version, now_ms);
        }
        if let Err(error) = self.refresh(&mut held).await {
            // It is stored and in force; the publishing task tries again.
            let error = &error as &(dyn std::error::Error + 'static);
            tracing::warn!(error, "a change is stored, but not published yet");
            self.notify(Urgency::Immediate);
        }
        Ok(committed.revision)
    }

    /// What makes what is stored of the file equal to what it declares.
    async fn changes(&self, file: Vec<Declared>) -> Result<Vec<Change>, ReconcileError> {
        let (_, stored) = self.store.load_all().await?;
        let secrets = stored_secrets(&self.store, &stored).await?;
        Ok(plan(file, Owner::File, &stored, &secrets, Unnamed::Delete)?.changes)
    }

    /// Absent: it is in force as it is. The overlay that was in force when the process last ended
    /// needs no new revision.
    async fn next(
        &self,
        held: &Overlay,
        declared: Vec<Declared>,
    ) -> Result<Option<Next>, StoreError> {
        let changed = held.difference(&declared);
        if changed.is_empty() && held.is_known() {
            return Ok(None);
        }
        let digest = overlay::digest(&declared, &self.store.digest_key().await?.key);
        let mark = if held.is_known() { None } else { self.store.overlay_mark().await? };
        let noted = match mark {
            // Whoever follows already has this revision without the overlay, and needs another one.
            Some(mark) if mark.digest == digest && self.head.receiver_count() == 0 => {
                Noted::Already(mark.revision)
            }
            None if changed.is_empty() => Noted::Nothing,
            mark => {
                let before = held.iter().map(|((_, id), old)| (id.as_str(), &old.spec));
                let after = declared.iter().map(|new| (new.id.as_str(), &new.spec));
                let is_told = held.matters(&declared, &changed) || mark.is_some();
                let audited = is_told.then(|| (overlay::audited(before), overlay::audited(after)));
                Noted::Anew { digest, is_first: !held.is_known(), audited }
            }
        };
        Ok(Some(Next { declared, changed, noted }))
    }
}

impl Next {
    fn change(&self) -> Option<OverlayChange<'_>> {
        let Noted::Anew { digest, is_first, audited } = &self.noted else { return None };
        let audited = audited.as_ref();
        Some(OverlayChange {
            digest,
            // The first of a process is published as a whole.
            changed: if *is_first { &[] } else { &self.changed },
            audited: audited
                .map(|(before, after)| ((!is_first).then_some(before.as_str()), after.as_str())),
        })
    }
}
