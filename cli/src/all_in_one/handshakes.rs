//! TLS on the admin API's listener.
//!
//! Handshakes are bounded in time and number, and a slow one holds no other up.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use bitrouter_runtime::tasks::Tasks;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, OwnedPermit};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

const PATIENCE: Duration = Duration::from_secs(10);
/// Handshakes at the same time, with what is done and not taken yet; more wait in the system's queue.
const UNDER_WAY: usize = 64;

type Done = (TlsStream<TcpStream>, SocketAddr);

/// A listener whose connections have their handshake behind them.
#[derive(Debug)]
pub(super) struct Handshaken {
    done: mpsc::Receiver<Done>,
    address: SocketAddr,
}

impl Handshaken {
    /// Accepts connections until the tasks are stopped.
    pub(super) fn start(
        listener: TcpListener,
        config: Arc<ServerConfig>,
        address: SocketAddr,
        tasks: &Tasks,
    ) -> Self {
        let (sender, done) = mpsc::channel(UNDER_WAY);
        let (acceptor, own) = (TlsAcceptor::from(config), tasks.clone());
        tasks.spawn("admin handshakes", async move {
            tokio::select! {
                () = own.stopping().cancelled() => {}
                () = accept(listener, &acceptor, &sender, &own) => {}
            }
        });
        Self { done, address }
    }
}

impl Listener for Handshaken {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Done {
        match self.done.recv().await {
            Some(done) => done,
            // The tasks are stopped, and who serves from here with them.
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}

async fn accept(
    mut listener: TcpListener,
    acceptor: &TlsAcceptor,
    sender: &mpsc::Sender<Done>,
    tasks: &Tasks,
) {
    while let Ok(place) = sender.clone().reserve_owned().await {
        let (stream, peer) = Listener::accept(&mut listener).await;
        let (acceptor, stop) = (acceptor.clone(), tasks.stopping().clone());
        tasks.spawn("admin handshake", async move {
            tokio::select! {
                () = stop.cancelled() => {}
                () = shake_hands(&acceptor, stream, peer, place) => {}
            }
        });
    }
}

async fn shake_hands(
    acceptor: &TlsAcceptor,
    stream: TcpStream,
    peer: SocketAddr,
    place: OwnedPermit<Done>,
) {
    match tokio::time::timeout(PATIENCE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => drop(place.send((stream, peer))),
        Ok(Err(error)) => tracing::debug!(%peer, %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!(%peer, "a TLS handshake took too long"),
    }
}
