//! The half of the process that is not traffic: the control plane, told by the keeper, and the sockets
//! of the admin API.

use std::io;

use bitrouter_control_plane::{ControlPlane, ControlPlaneSettings, OpenError, store};
use bitrouter_keys::Secret;
use bitrouter_runtime::tasks::Tasks;
use bitrouter_runtime::{Clock, Entropy};
use tokio::io::DuplexStream;
use tokio::net::UnixListener;
use tokio::sync::{mpsc, watch};
use tokio_stream::Stream;

use super::keeper::{InForce, Keeper, Wish};
use super::listeners::{self, Admin};
use crate::failure::{Failure, chain};
use crate::installation::{Configuration, Installation};
use crate::serving::Serving;

/// Wishes that wait for the one before.
const WISHES: usize = 16;

/// Everything that is known before anything is started.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) installation: Installation,
    pub(super) configuration: Configuration,
    pub(super) serving: Serving,
    pub(super) database_url: String,
    pub(super) clock: Clock,
}

/// What has been started.
#[derive(Debug)]
pub(super) struct Administration {
    pub(super) control_plane: ControlPlane,
    pub(super) in_force: watch::Receiver<InForce>,
    pub(super) wishes: mpsc::Sender<Wish>,
    pub(super) admin: Admin,
    pub(super) socket: UnixListener,
}

impl Administration {
    /// Starts it on the runtime that this is called on; the data plane comes in by `incoming`.
    pub(super) async fn start(
        prepared: Prepared,
        incoming: impl Stream<Item = io::Result<DuplexStream>> + Send + 'static,
        tasks: Tasks,
    ) -> Result<Self, Failure> {
        let places = &prepared.installation.places;
        let listen = &prepared.serving.settings.listen;
        let admin = Admin::bind(prepared.serving.admin_listen, listen.tls.as_ref()).await?;
        let socket = listeners::socket(&prepared.serving.socket, places).await?;
        let settings = ControlPlaneSettings {
            database_url: Secret::new(prepared.database_url),
            keys_dir: places.keys(),
            retention: prepared.serving.retention,
        };
        let opened = ControlPlane::open(settings, prepared.clock, Entropy::system()).await;
        let control_plane = opened.map_err(|error| cannot_open(&error))?;
        let (keeper, in_force) = Keeper::start(
            control_plane.clone(),
            prepared.installation,
            prepared.configuration,
            &prepared.serving,
        )
        .await?;
        // Not before all of the configuration is in: the data plane is ready with the first that it
        // gets.
        control_plane.serve_sync(incoming);
        let (wishes, receiver) = mpsc::channel(WISHES);
        let stop = tasks.stopping().clone();
        tasks.spawn("keeper", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = keeper.run(receiver) => {}
            }
        });
        Ok(Self { control_plane, in_force, wishes, admin, socket })
    }
}

fn cannot_open(error: &OpenError) -> Failure {
    match error {
        OpenError::Store(store::OpenError::Unusable { database, problem, hint }) => {
            Failure::failed(format!("cannot open the database {database}: {problem}"))
                .hint(hint.clone())
        }
        _ => Failure::failed(chain(error)),
    }
    .kind("database")
}
