//! Where the admin API is served: TCP on loopback, and the control socket that only this user can
//! open.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::{fs, io};

use axum::Router;
use bitrouter_runtime::tasks::Tasks;
use tokio::net::{TcpListener, UnixListener};

use crate::daemon::remove_stale;
use crate::failure::{Doing as _, Failure};
use crate::home::Places;

/// Listens on TCP; says what to do where the port is taken.
pub(super) async fn tcp(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        let failure = Failure::failed(format!("cannot serve the admin API on {address}: {error}"));
        match error.kind() {
            io::ErrorKind::AddrInUse => failure
                .kind("address_in_use")
                .hint("another program has the port; name another with --admin-listen"),
            _ => failure.hint("name another address with --admin-listen"),
        }
    })
}

/// Makes the control socket. The lock on the home is held, so one that is there is stale.
pub(super) fn socket(path: &Path, places: &Places) -> Result<UnixListener, Failure> {
    places.socket_dir(path)?;
    remove_stale(path)?;
    let listener = UnixListener::bind(path)
        .doing(format_args!("make the control socket {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .doing(format_args!("close {} to others", path.display()))?;
    Ok(listener)
}

/// Serves until the tasks are stopped.
pub(super) fn serve<L>(name: &'static str, listener: L, router: Router, tasks: &Tasks)
where
    L: axum::serve::Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = tasks.stopping().clone();
    tasks.spawn(name, async move {
        let served = axum::serve(listener, router)
            .with_graceful_shutdown(async move { stop.cancelled().await })
            .await;
        if let Err(error) = served {
            tracing::error!(%error, "the admin API ended");
        }
    });
}
