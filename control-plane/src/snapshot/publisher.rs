//! Holds what is published and tells the sessions when there is something new.
//!
//! Ordinary changes wait a moment for others to come along with them; a revocation waits for nothing.
//! Sessions read under a short lock and never see half a revision.

mod adopt;

use std::{sync::Arc, time::Duration};

use bitrouter_runtime::Clock;
use parking_lot::RwLock;
use tokio::{
    sync::{Mutex, Notify, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use crate::{
    resource::{Kind, Resource, Revision},
    snapshot::{
        overlay::Overlay,
        refresh::{Read, Reader},
        state::{State, StateHash, Update},
    },
    store::{Store, StoreError},
};

/// A change is published once nothing has changed for so long …
const QUIET: Duration = Duration::from_millis(10);
/// … or the first of several has waited for so long.
const LONGEST_WAIT: Duration = Duration::from_millis(100);
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
