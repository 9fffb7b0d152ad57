//! What the process-level endpoints see of the process: what is in force, the data plane, and the two
//! things that they can ask for.

use std::collections::BTreeSet;
use std::time::Duration;

use bitrouter_data_plane::Handle;
use tokio::sync::{mpsc, oneshot, watch};

use super::keeper::{InForce, Wish};
use super::views;
use crate::daemon::Running;
use crate::failure::Failure;
use crate::process::{
    DataPlaneView, EndpointView, PlanView, Process, ProviderTest, ResolveRequest,
};

/// Shared by the endpoints.
#[derive(Debug)]
pub(super) struct Shell {
    pub(super) running: Running,
    pub(super) skip_auth: bool,
    pub(super) in_force: watch::Receiver<InForce>,
    pub(super) wishes: mpsc::Sender<Wish>,
    pub(super) stop: watch::Sender<Option<Stop>>,
    /// True once this machine was looked over for model servers, or need not be.
    pub(super) looked_around: watch::Sender<bool>,
    pub(super) data_plane: Handle,
}

/// The wish that the process ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stop {
    /// How long requests that are under way may take. Absent: as configured.
    pub(super) drain: Option<Duration>,
}

impl Shell {
    /// What the process is and serves.
    pub(super) fn process(&self) -> Process {
        let in_force = self.in_force.borrow().clone();
        Process {
            running: self.running.clone(),
            skip_auth: self.skip_auth,
            discovered: in_force.discovered,
            not_active: in_force.document.not_active.iter().map(ToString::to_string).collect(),
            env_names: in_force.env_names,
            data_plane: DataPlaneView {
                applied_revision: self.data_plane.revision().0,
                is_connected: true,
            },
        }
    }

    /// Variables that provider keys and base URLs are read from.
    pub(super) fn env_names(&self) -> BTreeSet<String> {
        self.in_force.borrow().env_names.clone()
    }

    /// Asks the keeper, and waits for its answer.
    pub(super) async fn ask<T>(
        &self,
        wish: Wish,
        answer: oneshot::Receiver<T>,
    ) -> Result<T, Failure> {
        let ending = || Failure::unreachable("bitrouter is about to end");
        self.wishes.send(wish).await.map_err(|_| ending())?;
        answer.await.map_err(|_| ending())
    }

    /// Lets the process end.
    pub(super) fn stop(&self, drain: Option<Duration>) {
        self.stop.send_replace(Some(Stop { drain }));
    }

    /// Where a name would go.
    pub(super) fn resolve(&self, request: &ResolveRequest) -> Result<PlanView, Failure> {
        let planned =
            self.data_plane.resolve(&request.model, request.dialect, request.key.as_deref());
        views::plan(&request.model, planned)
    }

    /// How the endpoints have been doing that were used.
    pub(super) fn endpoints(&self) -> Vec<EndpointView> {
        self.data_plane.endpoints().iter().map(views::endpoint).collect()
    }

    /// Asks a provider for its models.
    pub(super) async fn test_provider(&self, id: &str) -> Result<Vec<ProviderTest>, Failure> {
        let listings = self.data_plane.list_models(id).await.ok_or_else(|| {
            Failure::not_found(format!("no provider is called `{id}`"))
                .hint("`bitrouter providers list --all` shows them")
        })?;
        Ok(listings.into_iter().map(|listing| views::listing(id, listing)).collect())
    }
}
