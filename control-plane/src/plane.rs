//! Wires the control plane together: what it is opened with, what it offers, how it ends.

use std::{collections::BTreeMap, io, path::PathBuf, sync::Arc, time::Duration};

use bitrouter_keys::Secret;
use bitrouter_runtime::{Clock, Entropy, Timestamp, tasks::Tasks};
use futures::Stream;
use tokio::io::{AsyncRead, AsyncWrite};
use tonic::{
    service::Routes,
    transport::{Server, server::Connected},
};

use crate::{
    api::{self, Access},
    discovery::{nodes::Nodes, service::Discovery},
    housekeeping,
    keys::Keys,
    ledger::service::Ledger,
    names::{ProviderNameError, ProviderNames},
    owner_token::{self, TokenFileError},
    reconcile::{Clashes, Elsewhere},
    resource::{Declared, Kind, Resource, Revision},
    secrets::{KeyFileError, SealingKeys},
    snapshot::publisher::Publisher,
    store::{self, Store, StoreError},
};

/// How often a silent connection is tried.
const KEEPALIVE: Duration = Duration::from_secs(20);

/// What a control plane is opened with.
#[derive(Clone, Debug)]
pub struct ControlPlaneSettings {
    /// `sqlite://PATH` or `postgres://…`; may hold a password.
    pub database_url: Secret,
    /// Where the sealing keys and the first admin token are kept: `<home>/.keys`.
    pub keys_dir: PathBuf,
    /// For how long single requests are kept. Their sums stay.
    pub retention: Duration,
}

/// Why the control plane could not be opened. Each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The sealing keys.
    #[error(transparent)]
    Keys(#[from] KeyFileError),
    /// The database.
    #[error(transparent)]
    Store(#[from] store::OpenError),
    /// The database opened, but cannot be used.
    #[error("the database cannot be used")]
    Database(#[from] StoreError),
    /// The first admin token.
    #[error(transparent)]
    Token(#[from] TokenFileError),
}

/// Why a configuration was not taken. What is in force stays as it is.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// Names in it belong to others.
    #[error(transparent)]
    Clashes(#[from] Clashes),
    /// The database.
    #[error("the configuration could not be stored")]
    Store(#[from] StoreError),
}

/// The control plane. Cheap to clone; clones are the same one.
#[derive(Clone, Debug)]
pub struct ControlPlane {
    pub(crate) shared: Arc<Shared>,
}

/// What the parts of the control plane work with.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) store: Store,
    pub(crate) publisher: Arc<Publisher>,
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) keys: Keys,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) started_at: Timestamp,
    pub(crate) database: &'static str,
}

impl ControlPlane {
    /// Opens the database, publishes what is stored and starts the background work.
    pub async fn open(
        settings: ControlPlaneSettings,
        clock: Clock,
        entropy: Entropy,
    ) -> Result<Self, OpenError> {
        let seal = SealingKeys::load_or_create(&settings.keys_dir)?;
        let url = settings.database_url.expose();
        let database = if url.starts_with("sqlite") { "sqlite" } else { "postgres" };
        let store = Store::open(url, seal).await?;
        owner_token::ensure(&store, &settings.keys_dir, &clock, &entropy).await?;
        let publisher = Publisher::open(store.clone(), clock.clone()).await?;
        let keys = Keys {
            store: store.clone(),
            publisher: Arc::clone(&publisher),
            clock: clock.clone(),
            entropy,
        };
        let shared = Shared {
            store,
            publisher,
            nodes: Arc::default(),
            keys,
            started_at: clock.now(),
            clock,
            tasks: Tasks::default(),
            database,
        };
        let plane = Self { shared: Arc::new(shared) };
        plane.start(settings.retention);
        Ok(plane)
    }

    /// Makes what the configuration file declares desired state, and what it declared before and does
    /// not any more gone; puts in force what the environment and this machine offer, in place of what
    /// they offered before. All of it is one revision, and nothing has changed on an error. Returns
    /// when it is published.
    pub async fn adopt(
        &self,
        file: Vec<Declared>,
        overlay: Vec<Declared>,
    ) -> Result<Revision, ReconcileError> {
        self.shared.publisher.adopt(Some(file), Some(overlay)).await
    }

    /// Takes only what the configuration file declares; see [`Self::adopt`].
    pub async fn reconcile(&self, file: Vec<Declared>) -> Result<Revision, ReconcileError> {
        self.shared.publisher.adopt(Some(file), None).await
    }

    /// The providers that the configuration file may name without declaring them.
    pub async fn providers_elsewhere(&self) -> Result<Elsewhere, StoreError> {
        Ok(Elsewhere::of(&self.shared.store.load_all().await?.1))
    }

    /// True if a resource of this name is stored, whoever owns it: it hides one of the overlay.
    pub async fn stores(&self, kind: Kind, id: &str) -> Result<bool, StoreError> {
        Ok(self.shared.store.resource(kind, id).await?.is_some())
    }

    /// The id of the provider that a name means: its own, or another name of the same built-in.
    pub async fn provider_id(&self, name: &str) -> Result<String, ProviderNameError> {
        let Shared { store, publisher, .. } = &*self.shared;
        Ok(ProviderNames::read(store, publisher).await?.id_of(name)?)
    }

    /// Takes only what the environment and this machine offer; see [`Self::adopt`]. None of it is
    /// stored. What was in force when the last process ended makes no revision.
    pub async fn set_overlay(&self, overlay: Vec<Declared>) -> Result<Revision, ReconcileError> {
        self.shared.publisher.adopt(None, Some(overlay)).await
    }

    /// The published revision.
    pub fn revision(&self) -> Revision {
        self.shared.publisher.head().0
    }

    /// Serves data planes on these connections until the control plane is shut down.
    pub fn serve_sync<I, C>(&self, incoming: I)
    where
        I: Stream<Item = io::Result<C>> + Send + 'static,
        C: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
    {
        let server = Server::builder()
            .http2_keepalive_interval(Some(KEEPALIVE))
            .add_routes(self.grpc())
            .serve_with_incoming_shutdown(
                incoming,
                self.shared.tasks.stopping().clone().cancelled_owned(),
            );
        // It ends by itself where the connections do, as in one process with its data plane.
        self.shared.tasks.spawn("gRPC server", async move {
            if let Err(error) = server.await {
                tracing::error!(%error, "the gRPC server stopped");
            }
        });
    }

    /// The services that data planes connect to.
    pub fn grpc(&self) -> Routes {
        let Shared { store, publisher, nodes, clock, tasks, .. } = &*self.shared;
        let discovery = Discovery {
            store: store.clone(),
            publisher: Arc::clone(publisher),
            nodes: Arc::clone(nodes),
            clock: clock.clone(),
            tasks: tasks.clone(),
        };
        let ledger = Ledger { store: store.clone(), clock: clock.clone(), tasks: tasks.clone() };
        Routes::new(discovery.into_server()).add_service(ledger.into_server())
    }

    /// The admin API, for one kind of listener, with more routes behind the same access control.
    pub fn admin_router(&self, access: Access, more: axum::Router) -> axum::Router {
        api::router(Arc::clone(&self.shared), access, more)
    }

    /// Ends the streams and the background work, and closes the database. False if some of it did not
    /// end in time.
    pub async fn shutdown(&self, patience: Duration) -> bool {
        let finished = self.shared.tasks.finish(patience).await;
        self.shared.store.close().await;
        finished
    }

    fn start(&self, retention: Duration) {
        let Shared { publisher, tasks, store, clock, .. } = &*self.shared;
        let (publisher, stop) = (Arc::clone(publisher), tasks.stopping().clone());
        tasks.supervise("publisher", move || Arc::clone(&publisher).run(stop.clone()));
        let (store, clock, stop) = (store.clone(), clock.clone(), tasks.stopping().clone());
        tasks.supervise("housekeeping", move || {
            housekeeping::run(store.clone(), clock.clone(), retention, stop.clone())
        });
    }
}

/// The stored secrets, by account; without those that no key opens any more, which are then replaced.
pub(crate) async fn stored_secrets(
    store: &Store,
    stored: &[Resource],
) -> Result<BTreeMap<String, Secret>, StoreError> {
    match store.secrets().await {
        Ok(secrets) => return Ok(secrets.into_iter().collect()),
        Err(StoreError::Seal(_)) => {}
        Err(error) => return Err(error),
    }
    let mut secrets = BTreeMap::new();
    for account in stored.iter().filter(|found| found.spec.kind() == crate::resource::Kind::Account)
    {
        match store.secret_of(&account.id).await {
            Ok(Some(secret)) => {
                secrets.insert(account.id.clone(), secret);
            }
            Ok(None) => {}
            Err(StoreError::Seal(error)) => {
                tracing::error!(account.id = account.id, %error, "a secret cannot be opened");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(secrets)
}
