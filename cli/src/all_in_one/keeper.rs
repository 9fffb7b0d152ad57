//! Keeps the control plane told what the config, the environment and this machine say. One task owns
//! that state, so that reloads, finds on loopback and ephemeral routes never cross.
//!
//! What cannot be read or does not hold changes nothing: the configuration in force stays.

use std::collections::BTreeMap;

use bitrouter_config::resource::Route;
use bitrouter_config::{Document, Server};
use bitrouter_control_plane::resource::{Declared, Kind, Spec};
use bitrouter_control_plane::{ControlPlane, ProviderNameError, reconcile};
use tokio::sync::{mpsc, oneshot, watch};

use crate::announce;
use crate::discovery::{Found, Scan};
use crate::failure::{Failure, chain};
use crate::installation::{Configuration, Elsewhere, Installation, Read};
use crate::process::Reloaded;
use crate::serving::{Serving, check_protection};

/// What it is asked to do.
#[derive(Debug)]
pub(super) enum Wish {
    /// Read everything again, with these variables of a caller.
    Reload { env: BTreeMap<String, String>, done: oneshot::Sender<Result<Reloaded, Failure>> },
    /// These model servers are on loopback, beside those that were found before.
    Found { servers: Vec<Found>, done: oneshot::Sender<()> },
    /// Add or remove a route for this run only.
    Route { name: String, route: Option<Route>, done: oneshot::Sender<Result<(), Failure>> },
}

/// What is in force, for those who show it.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub(super) document: std::sync::Arc<Document>,
    pub(super) discovered: Vec<String>,
    pub(super) env_names: std::collections::BTreeSet<String>,
}

/// Owns what the control plane is told.
#[derive(Debug)]
pub(super) struct Keeper {
    control_plane: ControlPlane,
    installation: Installation,
    /// What the configuration in force was made from: an edited file is taken into use by `reload`
    /// alone.
    read: Read,
    /// The section that the process started with; it cannot change while it runs.
    server: Server,
    scan: Scan,
    accepts_inactive: bool,
    /// One that was found and is away stays, so that requests to it say that it does not answer, and
    /// not that its models are unknown.
    found: BTreeMap<String, Found>,
    ephemeral: BTreeMap<String, Route>,
    in_force: watch::Sender<InForce>,
}

impl Keeper {
    /// Tells the control plane the first configuration.
    pub(super) async fn start(
        control_plane: ControlPlane,
        installation: Installation,
        configuration: Configuration,
        serving: &Serving,
    ) -> Result<(Self, watch::Receiver<InForce>), Failure> {
        let configuration = known(&control_plane, configuration).await?;
        let in_force = InForce {
            env_names: configuration.env_names,
            discovered: Vec::new(),
            document: std::sync::Arc::new(configuration.document),
        };
        let server = in_force.document.server.clone();
        let (in_force, shown) = watch::channel(in_force);
        let keeper = Self {
            control_plane,
            installation,
            read: configuration.read,
            server,
            scan: serving.scan.clone(),
            accepts_inactive: serving.accepts_inactive,
            found: BTreeMap::new(),
            ephemeral: BTreeMap::new(),
            in_force,
        };
        let document = std::sync::Arc::clone(&keeper.in_force.borrow().document);
        keeper.tell(&document).await?;
        Ok((keeper, shown))
    }

    /// Fulfils wishes until nobody can have one.
    pub(super) async fn run(mut self, mut wishes: mpsc::Receiver<Wish>) {
        while let Some(wish) = wishes.recv().await {
            // Who asked may have left; what was asked is done all the same.
            match wish {
                Wish::Reload { env, done } => {
                    let _ = done.send(self.reload(env).await);
                }
                Wish::Found { servers, done } => {
                    self.found(servers).await;
                    let _ = done.send(());
                }
                Wish::Route { name, route, done } => {
                    let _ = done.send(self.route(name, route).await);
                }
            }
        }
    }

    async fn reload(&mut self, env: BTreeMap<String, String>) -> Result<Reloaded, Failure> {
        let (installation, changed_env) = self.installation.forwarding(env);
        let found = self.and(self.scan.run().await);
        let loaded = self.load(&installation, &found).await;
        let mut configuration = loaded.map_err(Self::stays)?;
        let changed = self.server.differences(&configuration.document.server);
        if !changed.is_empty() {
            configuration.warnings.push(format!(
                "changed in the `server` section: {}; `bitrouter restart` takes that into use",
                changed.join(", ")
            ));
        }
        let warnings = configuration.warnings.clone();
        let revision = self.adopt(configuration, found).await.map_err(Self::stays)?;
        self.installation = installation;
        Ok(Reloaded { revision, changed_env, warnings })
    }

    async fn found(&mut self, servers: Vec<Found>) {
        let found = self.and(servers);
        if found == self.found {
            return;
        }
        let adopted = match self.with(&found).await {
            Ok(configuration) => self.adopt(configuration, found).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = adopted {
            tracing::warn!(%failure, "model servers were found, but the config cannot be used");
        }
    }

    /// Reads everything, and refuses what `serve` refuses.
    async fn load(
        &self,
        installation: &Installation,
        found: &BTreeMap<String, Found>,
    ) -> Result<Configuration, Failure> {
        let servers: Vec<Found> = found.values().cloned().collect();
        let known = elsewhere(&self.control_plane).await?;
        let configuration = installation.load(&servers, Elsewhere::Known(&known))?;
        check_protection(self.accepts_inactive, &configuration.document)?;
        Ok(configuration)
    }

    /// What is in force, with these servers.
    async fn with(&self, found: &BTreeMap<String, Found>) -> Result<Configuration, Failure> {
        let servers: Vec<Found> = found.values().cloned().collect();
        let known = elsewhere(&self.control_plane).await?;
        self.read.configure(&servers, Elsewhere::Known(&known))
    }

    /// What is known with these servers.
    fn and(&self, servers: Vec<Found>) -> BTreeMap<String, Found> {
        let mut found = self.found.clone();
        found.extend(servers.into_iter().map(|server| (server.id(), server)));
        found
    }

    async fn route(&mut self, name: String, route: Option<Route>) -> Result<(), Failure> {
        let document = std::sync::Arc::clone(&self.in_force.borrow().document);
        if let Some(route) = &route {
            check_ephemeral(&name, route, &document)?;
            let stored = self.control_plane.stores(Kind::Route, &name).await;
            if stored.map_err(|error| Failure::failed(chain(&error)))? {
                return Err(Failure::refused(format!(
                    "the route `{name}` was made through the API; delete it there, or choose \
                     another name here"
                ))
                .kind("name_clash"));
            }
        }
        let before = self.ephemeral.clone();
        match route {
            Some(mut route) => {
                self.name_providers(&mut route).await?;
                self.ephemeral.insert(name, route);
            }
            None if self.ephemeral.remove(&name).is_none() => {
                return Err(Failure::not_found(format!("no route is called `{name}`"))
                    .hint("`bitrouter route list` shows them"));
            }
            None => {}
        }
        let told = self.tell(&document).await;
        if told.is_err() {
            self.ephemeral = before;
        }
        told.map(drop)
    }

    /// Puts the providers' ids in place of their other names.
    async fn name_providers(&self, route: &mut Route) -> Result<(), Failure> {
        for endpoint in &mut route.endpoints {
            let found = self.control_plane.provider_id(&endpoint.provider).await;
            endpoint.provider = found.map_err(|error| match &error {
                ProviderNameError::Unknown(unknown) => Failure::refused(unknown.to_string())
                    .kind("invalid_request")
                    .hint("`bitrouter providers list` shows them"),
                ProviderNameError::Store(_) => Failure::failed(chain(&error)),
            })?;
        }
        Ok(())
    }

    async fn adopt(
        &mut self,
        configuration: Configuration,
        found: BTreeMap<String, Found>,
    ) -> Result<u64, Failure> {
        let revision = self.tell(&configuration.document).await?;
        for (id, server) in found.iter().filter(|(id, server)| self.found.get(*id) != Some(server))
        {
            let models = server.models.len();
            tracing::info!(provider.name = id, models, "found a model server");
        }
        self.found = found;
        self.read = configuration.read;
        for line in announce::sources(&configuration.document) {
            tracing::debug!(line, "in force");
        }
        let discovered = self
            .found
            .values()
            .map(|server| format!("{} on port {}", server.kind.name(), server.port))
            .collect();
        self.in_force.send_replace(InForce {
            document: std::sync::Arc::new(configuration.document),
            discovered,
            env_names: configuration.env_names,
        });
        Ok(revision)
    }

    /// Makes the control plane's desired state what this configuration says.
    async fn tell(&self, document: &Document) -> Result<u64, Failure> {
        let (stored, mut overlay) = reconcile::declared(document);
        overlay.extend(self.ephemeral.iter().map(|(name, route)| Declared {
            id: name.clone(),
            spec: Spec::Route(route.clone()),
            secret: None,
        }));
        let told = self.control_plane.adopt(stored, overlay).await;
        told.map(|revision| revision.0).map_err(|error| Failure::failed(chain(&error)))
    }

    /// Says that nothing has changed.
    fn stays(failure: Failure) -> Failure {
        let message =
            format!("{}\nthe configuration that is in force stays in force", failure.message);
        failure.reworded(message)
    }
}

/// Refuses a route that would serve nothing, or that one of the config would hide.
fn check_ephemeral(name: &str, route: &Route, document: &Document) -> Result<(), Failure> {
    if route.endpoints.is_empty() {
        return Err(Failure::usage("a route needs at least one endpoint").kind("invalid_request"));
    }
    if document.routes.iter().any(|declared| declared.id == name) {
        return Err(Failure::refused(format!(
            "the route `{name}` is declared in bitrouter.yaml; remove it there, or choose another \
             name here"
        ))
        .kind("name_clash"));
    }
    Ok(())
}

async fn elsewhere(control_plane: &ControlPlane) -> Result<reconcile::Elsewhere, Failure> {
    let known = control_plane.providers_elsewhere().await;
    known.map_err(|error| Failure::failed(chain(&error)))
}

/// The first configuration, once the control plane can say which providers it has.
async fn known(
    control_plane: &ControlPlane,
    presuming: Configuration,
) -> Result<Configuration, Failure> {
    let known = elsewhere(control_plane).await?;
    if presuming.presumed.is_empty() && known.made.is_empty() {
        return Ok(presuming);
    }
    let configuration = presuming.read.configure(&[], Elsewhere::Known(&known))?;
    for warning in configuration.warnings.iter().filter(|it| !presuming.warnings.contains(it)) {
        tracing::warn!("{warning}");
    }
    Ok(configuration)
}
