//! Holds what is published and tells the sessions when there is something new.
//!
//! Ordinary changes wait a moment for others to come along with them; a revocation waits for nothing.
//! Sessions read under a short lock and never see half a revision.

use std::{sync::Arc, time::Duration};

use bitrouter_runtime::Clock;
use parking_lot::RwLock;
use tokio::{
    sync::{Mutex, Notify, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    resource::{Declared, Kind, Resource, Revision},
    snapshot::{
        overlay::{self, Overlay},
        refresh::{Read, Reader},
        state::{State, StateHash, Update},
    },
    store::{OverlayChange, Store, StoreError},
};

/// A change is published once nothing has changed for so long …
const QUIET: Duration = Duration::from_millis(10);
/// … or the first of several has waited for so long.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
/// How long a caller waits for its change to be published.
const LONGEST_PUBLICATION: Duration = Duration::from_secs(10);
/// How often the database is looked at for changes that somebody else made.
const POLL: Duration = Duration::from_secs(1);

/// What is published.
#[derive(Debug)]
pub(crate) struct Publisher {
    store: Store,
    clock: Clock,
    state: RwLock<State>,
    head: watch::Sender<u64>,
    // Held while a revision is read, so that no revision is published with half of an overlay. Only
    // the publishing task and changes of the overlay take it for long; no request for traffic does.
    overlay: Mutex<Overlay>,
    changed: Notify,
    urgent: Notify,
}

/// How soon a change is to reach data planes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Urgency {
    /// Together with others that are made about now.
    Ordinary,
    /// At once.
    Immediate,
}

impl Publisher {
    /// Publishes what is stored now.
    pub(crate) async fn open(store: Store, clock: Clock) -> Result<Arc<Self>, StoreError> {
        let publisher = Arc::new(Self {
            store,
            clock,
            state: RwLock::default(),
            head: watch::Sender::new(0),
            overlay: Mutex::default(),
            changed: Notify::new(),
            urgent: Notify::new(),
        });
        if publisher.store.revision().await? == Revision(0) {
            // A data plane that has nothing calls that revision zero.
            publisher.store.first_revision().await?;
        }
        publisher.refresh_changes().await?;
        Ok(publisher)
    }

    /// Publishes changes until it is stopped.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.urgent.notified() => {}
                () = self.changed.notified() => self.settle().await,
                () = tokio::time::sleep(POLL) => {}
            }
            if let Err(error) = self.refresh_changes().await {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::error!(error, "the configuration could not be read; it stays as it was");
            }
        }
    }

    /// Says that something was committed.
    pub(crate) fn notify(&self, urgency: Urgency) {
        match urgency {
            Urgency::Ordinary => self.changed.notify_one(),
            Urgency::Immediate => self.urgent.notify_one(),
        }
    }

    /// Says that something was committed and waits until it is published, within reason.
    pub(crate) async fn publish(&self, revision: Revision) {
        self.notify(Urgency::Immediate);
        let mut head = self.head.subscribe();
        let published = head.wait_for(|head| *head >= revision.0);
        if timeout(LONGEST_PUBLICATION, published).await.is_err() {
            tracing::warn!(revision = revision.0, "a change is stored, but not published yet");
        }
    }

    /// Puts a new overlay in force and publishes it. The one that was in force when the process last
    /// ended makes no new revision.
    pub(crate) async fn set_overlay(&self, new: Vec<Declared>) -> Result<Revision, StoreError> {
        let mut overlay = self.overlay.lock().await;
        let changed = overlay.difference(&new);
        if changed.is_empty() && overlay.is_known() {
            return self.store.revision().await;
        }
        let now_ms = self.clock.now_ms();
        let digest = overlay::digest(&new, &self.store.digest_key().await?.key);
        let mark = if overlay.is_known() { None } else { self.store.overlay_mark().await? };
        let revision = match mark {
            // Whoever follows already has this revision without the overlay, and needs another one.
            Some(mark) if mark.digest == digest && self.head.receiver_count() == 0 => mark.revision,
            None if changed.is_empty() => self.store.revision().await?,
            mark => {
                let is_first = !overlay.is_known();
                let before =
                    overlay::audited(overlay.iter().map(|((_, id), old)| (id.as_str(), &old.spec)));
                let after = overlay::audited(new.iter().map(|new| (new.id.as_str(), &new.spec)));
                let is_told = overlay.matters(&new, &changed) || mark.is_some();
                let change = OverlayChange {
                    digest: &digest,
                    // The first of a process is published as a whole.
                    changed: if is_first { &[] } else { &changed },
                    audited: is_told
                        .then_some(((!is_first).then_some(before.as_str()), after.as_str())),
                };
                self.store.note_overlay(change, now_ms).await?
            }
        };
        overlay.replace(new, &changed, revision, now_ms);
        self.refresh(&mut overlay).await?;
        self.store.revision().await
    }

    /// The overlay's resources of a kind.
    pub(crate) async fn overlay(&self, kind: Kind) -> Vec<Resource> {
        self.overlay.lock().await.of_kind(kind).collect()
    }

    /// Told of each new revision.
    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// The published revision and its hash.
    pub(crate) fn head(&self) -> (Revision, StateHash) {
        let state = self.state.read();
        (Revision(state.revision()), state.hash())
    }

    /// The way from a revision to the newest.
    pub(crate) fn since(&self, from: u64, hash: Option<StateHash>) -> Update {
        self.state.read().since(from, hash)
    }

    async fn settle(&self) {
        let latest = Instant::now() + LONGEST_WAIT;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            tokio::select! {
                () = self.urgent.notified() => return,
                () = sleep_until(quiet) => return,
                () = self.changed.notified(), if quiet < latest => {}
            }
        }
    }

    async fn refresh_changes(&self) -> Result<(), StoreError> {
        let mut overlay = self.overlay.lock().await;
        self.refresh(&mut overlay).await
    }

    async fn refresh(&self, overlay: &mut Overlay) -> Result<(), StoreError> {
        let (published, _) = self.head();
        let reader = Reader { store: &self.store, overlay, now_ms: self.clock.now_ms() };
        let Some((revision, read)) = reader.read(published).await? else { return Ok(()) };
        match read {
            Read::Changes(changes) => self.state.write().apply(revision.0, changes),
            Read::Everything(all) => self.state.write().replace(revision.0, all),
        }
        overlay.published();
        self.head.send_replace(revision.0);
        tracing::debug!(revision = revision.0, "published");
        Ok(())
    }
}
