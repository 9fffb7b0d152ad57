//! Keeps the control plane told what the config, the environment and this machine say. One task owns
//! that state, so that reloads, finds on loopback and ephemeral routes never cross.
//!
//! What cannot be read or does not hold changes nothing: the configuration in force stays.

use std::collections::BTreeMap;

use bitrouter_config::resource::Route;
use bitrouter_config::{Document, Server};
use bitrouter_control_plane::resource::{Declared, Spec};
use bitrouter_control_plane::{ControlPlane, reconcile};
use tokio::sync::{mpsc, oneshot, watch};

use crate::announce;
use crate::discovery::Found;
use crate::failure::{Failure, chain};
use crate::installation::{Configuration, Installation};
use crate::process::Reloaded;

/// What it is asked to do.
#[derive(Debug)]
pub(super) enum Wish {
    /// Read everything again, with these variables of a caller.
    Reload { env: BTreeMap<String, String>, done: oneshot::Sender<Result<Reloaded, Failure>> },
    /// These model servers are on loopback.
    Discovered { servers: Vec<Found>, done: oneshot::Sender<()> },
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
    /// The section that the process started with; it cannot change while it runs.
    server: Server,
    discovered: Vec<Found>,
    ephemeral: BTreeMap<String, Route>,
    in_force: watch::Sender<InForce>,
}

impl Keeper {
    /// Tells the control plane the first configuration.
    pub(super) async fn start(
        control_plane: ControlPlane,
        installation: Installation,
        configuration: Configuration,
    ) -> Result<(Self, watch::Receiver<InForce>), Failure> {
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
            server,
            discovered: Vec::new(),
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
                Wish::Discovered { servers, done } => {
                    self.discovered(servers).await;
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
        let mut configuration = installation.load(&self.discovered).map_err(Self::stays)?;
        if configuration.document.server != self.server {
            configuration.warnings.push(
                "the `server` section has changed: `bitrouter restart` takes it into use"
                    .to_owned(),
            );
        }
        let warnings = configuration.warnings.clone();
        let revision = self.adopt(configuration).await.map_err(Self::stays)?;
        self.installation = installation;
        Ok(Reloaded { revision, changed_env, warnings })
    }

    async fn discovered(&mut self, servers: Vec<Found>) {
        let before = std::mem::replace(&mut self.discovered, servers);
        let adopted = match self.installation.load(&self.discovered) {
            Ok(configuration) => self.adopt(configuration).await,
            Err(failure) => Err(failure),
        };
        if let Err(failure) = adopted {
            tracing::warn!(%failure, "model servers were found, but the config cannot be used");
            self.discovered = before;
        }
    }

    async fn route(&mut self, name: String, route: Option<Route>) -> Result<(), Failure> {
        let before = self.ephemeral.clone();
        match route {
            Some(route) => {
                self.ephemeral.insert(name, route);
            }
            None if self.ephemeral.remove(&name).is_none() => {
                return Err(Failure::not_found(format!("no route is called `{name}`"))
                    .hint("`bitrouter route list` shows them"));
            }
            None => {}
        }
        let document = std::sync::Arc::clone(&self.in_force.borrow().document);
        let told = self.tell(&document).await;
        if told.is_err() {
            self.ephemeral = before;
        }
        told.map(drop)
    }

    async fn adopt(&mut self, configuration: Configuration) -> Result<u64, Failure> {
        let revision = self.tell(&configuration.document).await?;
        for line in announce::sources(&configuration.document) {
            tracing::debug!(line, "in force");
        }
        let discovered = self
            .discovered
            .iter()
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
        let failed = |error: &dyn std::error::Error| Failure::failed(chain(error));
        self.control_plane.reconcile(stored).await.map_err(|error| failed(&error))?;
        let told = self.control_plane.set_overlay(overlay).await.map_err(|error| failed(&error))?;
        Ok(told.0)
    }

    /// Says that nothing has changed.
    fn stays(failure: Failure) -> Failure {
        let message =
            format!("{}\nthe configuration that is in force stays in force", failure.message);
        failure.reworded(message)
    }
}
