//! Holds what is published and tells the sessions when there is something new.
//!
//! Ordinary changes wait a moment for others to come along with them; a revocation waits for nothing.
//! Sessions read under a short lock and never see half a revision.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

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
        overlay::Overlay,
        refresh::{Read, Reader},
        state::{State, StateHash, Update},
    },
    store::{Actor, Store, StoreError},
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
    /// The next refresh reads everything.
    is_to_reload: AtomicBool,
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
            is_to_reload: AtomicBool::new(false),
            changed: Notify::new(),
            urgent: Notify::new(),
        });
        if publisher.store.revision().await? == Revision(0) {
            // A data plane that has nothing calls that revision zero.
            publisher.store.bump_revision(&Actor::System, &[], publisher.clock.now_ms()).await?;
        }
        publisher.refresh().await?;
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
            if let Err(error) = self.refresh().await {
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

    /// Puts a new overlay in force; it is published by the next refresh.
    pub(crate) async fn set_overlay(&self, new: Vec<Declared>) -> Result<Revision, StoreError> {
        let mut overlay = self.overlay.lock().await;
        let changed = overlay.difference(&new);
        if changed.is_empty() {
            return self.store.revision().await;
        }
        let now_ms = self.clock.now_ms();
        // What a start finds is no change that anybody made: it belongs in no audit.
        let is_first = overlay.iter().next().is_none();
        let noted = if is_first { &[] } else { changed.as_slice() };
        let revision = self.store.bump_revision(&Actor::System, noted, now_ms).await?;
        overlay.replace(new, &changed, revision, now_ms);
        if is_first {
            self.is_to_reload.store(true, Ordering::Release);
        }
        Ok(revision)
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

    async fn refresh(&self) -> Result<(), StoreError> {
        let overlay = self.overlay.lock().await;
        let is_reload = self.is_to_reload.load(Ordering::Acquire);
        let published = if is_reload { Revision(0) } else { self.head().0 };
        let reader = Reader { store: &self.store, overlay: &overlay, now_ms: self.clock.now_ms() };
        let Some((revision, read)) = reader.read(published).await? else { return Ok(()) };
        match read {
            Read::Changes(changes) => self.state.write().apply(revision.0, changes),
            Read::Everything(all) => self.state.write().replace(revision.0, all),
        }
        // The overlay is locked, so that nothing has asked for another since.
        self.is_to_reload.store(false, Ordering::Release);
        self.head.send_replace(revision.0);
        tracing::debug!(revision = revision.0, "published");
        Ok(())
    }
}
