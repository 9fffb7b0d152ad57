//! Where the admin API is served: TCP, with TLS where model traffic has it, and the control socket
//! that only this user can open.

use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::Path;
use std::time::Duration;
use std::{fs, io};

use axum::Router;
use axum::serve::Listener;
use bitrouter_data_plane::settings::TlsFiles;
use bitrouter_runtime::tasks::Tasks;
use bitrouter_runtime::tls::{Certificate, Identity, Protocols};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::handshakes::Handshaken;
use crate::daemon::remove_stale;
use crate::failure::{Doing as _, Failure, chain};
use crate::home::Places;

/// How long a client may take to send a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(10);

/// The admin API's TCP listener, bound and not serving yet.
#[derive(Debug)]
pub(super) struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    identity: Option<Identity>,
}

impl Admin {
    /// Binds the address and reads the certificate, if there is one.
    pub(super) async fn bind(address: SocketAddr, tls: Option<&TlsFiles>) -> Result<Self, Failure> {
        let identity = tls.map(|files| Identity::read(&files.cert, &files.key)).transpose();
        let identity = identity.map_err(|error| Failure::failed(chain(&error)))?;
        let listener = tcp(address).await?;
        let address = listener.local_addr().doing("find the admin API's address")?;
        Ok(Self { listener, address, identity })
    }

    /// Where it is bound.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it presents to clients; absent without TLS.
    pub(super) fn certificate(&self) -> Option<&Certificate> {
        self.identity.as_ref().map(Identity::certificate)
    }

    /// Serves until the tasks are stopped.
    pub(super) fn serve(self, router: Router, tasks: &Tasks) {
        let name = "admin api";
        match &self.identity {
            None => serve(name, self.listener, router, tasks),
            Some(identity) => {
                let config = identity.server(Protocols::Http1);
                let listener = Handshaken::start(self.listener, config, self.address, tasks);
                serve(name, listener, router, tasks);
            }
        }
    }
}

/// Listens on TCP; says what to do where the port is taken.
async fn tcp(address: SocketAddr) -> Result<TcpListener, Failure> {
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

/// Makes the control socket in the place of one that nobody answers on.
pub(super) async fn socket(path: &Path, places: &Places) -> Result<UnixListener, Failure> {
    places.socket_dir(path)?;
    if let Ok(about) = fs::symlink_metadata(path) {
        check_stale(path, &about).await?;
        remove_stale(path)?;
    }
    let listener = UnixListener::bind(path)
        .doing(format_args!("make the control socket {}", path.display()))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))
        .doing(format_args!("close {} to others", path.display()))?;
    Ok(listener)
}

/// Refuses to replace what somebody uses: the lock is on the home, and the socket may be shared.
async fn check_stale(path: &Path, about: &fs::Metadata) -> Result<(), Failure> {
    if !about.file_type().is_socket() {
        return Err(Failure::refused(format!("{} is there and is no socket", path.display()))
            .hint("name another place with --socket"));
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        // One whose queue is full is alive too.
        _ => Err(Failure::failed(format!("another process answers on {}", path.display()))
            .kind("address_in_use")
            .hint("a bitrouter for another home? name another place with --socket")),
    }
}

/// Serves until the tasks are stopped.
pub(super) fn serve<L>(name: &'static str, listener: L, router: Router, tasks: &Tasks)
where
    L: Listener,
    L::Addr: std::fmt::Debug,
{
    let stop = tasks.stopping().clone();
    tasks.spawn(name, serve_until(listener, router, HEAD_PATIENCE, stop));
}

/// Ends when requests that are under way have been answered.
async fn serve_until<L: Listener>(
    mut listener: L,
    router: Router,
    head_patience: Duration,
    stop: CancellationToken,
) {
    let (connections, under_way) = (GracefulShutdown::new(), TaskTracker::new());
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(head_patience);
    loop {
        let (io, _) = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let service = TowerToHyperService::new(router.clone());
        let connection = connections.watch(http.serve_connection(TokioIo::new(io), service));
        under_way.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to the admin API broke off");
            }
        });
    }
    drop(listener);
    connections.shutdown().await;
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    #[tokio::test]
    async fn who_never_finishes_a_request_is_given_up() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let serving = serve_until(listener, Router::new(), Duration::from_millis(50), stop.clone());
        let slow = async {
            let mut slow = TcpStream::connect(address).await.unwrap();
            slow.write_all(b"GET / HTTP/1.1\r\nhost: x").await.unwrap();
            let mut answer = Vec::new();
            slow.read_to_end(&mut answer).await.unwrap();
            stop.cancel();
        };
        let both = futures::future::join(serving, slow);
        tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
    }
}
