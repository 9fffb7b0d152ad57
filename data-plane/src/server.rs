//! Accepts connections and speaks HTTP/1.1 and HTTP/2 on them.
//!
//! Head size, header count, head time and the number of connections are bounded here. A connection
//! ends in a drain as soon as its requests have: HTTP/1.1 by `connection: close`, HTTP/2 by GOAWAY.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bitrouter_runtime::{
    drain,
    tls::{Identity, Protocols},
};
use http::{Request, Response};
use hyper::{body::Incoming, rt::Executor, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use crate::{
    plane::StartError,
    settings::{Limits, Listen},
};

pub(crate) mod cors;
pub(crate) mod origin;
pub(crate) mod peer;
mod stall;

const TLS_HANDSHAKE: Duration = Duration::from_secs(10);
/// How long to wait after the system refused a connection, for instance for want of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// At a drain's deadline the providers' connections are cut; so long later the clients' are, which by
/// then have been told in their dialect.
const LAST_WORDS: Duration = Duration::from_millis(500);
const HTTP2_STREAMS: u32 = 256;
const HTTP2_WINDOW: u32 = 1 << 20;
const HTTP2_PING: Duration = Duration::from_secs(30);

/// Answers requests.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    /// What an answer's body is made of.
    type Body: http_body::Body<Data = bytes::Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
        + Send
        + 'static;

    /// Answers one request of the client at that address.
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A bound listener that does not accept yet.
pub(crate) struct Server {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<TlsAcceptor>,
    limits: Limits,
}

impl Server {
    /// Binds the address and reads the certificate.
    pub(crate) async fn bind(listen: &Listen, limits: &Limits) -> Result<Self, StartError> {
        let bind = |source| StartError::Bind { address: listen.address, source };
        let identity = listen.tls.as_ref().map(|files| Identity::read(&files.cert, &files.key));
        let tls = identity.transpose()?.map(|identity| identity.server(Protocols::Http2OrHttp1));
        let listener = TcpListener::bind(listen.address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        Ok(Self { listener, address, tls: tls.map(TlsAcceptor::from), limits: limits.clone() })
    }

    /// Where it is bound.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the drain starts. Connections live on as tasks of the tracker.
    pub(crate) async fn run(
        self,
        handler: impl Handler,
        tasks: TaskTracker,
        drain: drain::Watcher,
    ) {
        let slots = Arc::new(Semaphore::new(self.limits.max_connections));
        let connections = Arc::new(Connections {
            builder: builder(&self.limits, Tracked::new(tasks.clone(), drain.clone(), LAST_WORDS)),
            head_timeout: self.limits.head_timeout,
            write_timeout: self.limits.write_timeout,
            tls: self.tls,
            drain: drain.clone(),
        });
        loop {
            // The slot comes before the connection: beyond the cap, clients wait in the system's queue.
            let (stream, peer, slot) = tokio::select! {
                biased;
                _ = drain.started() => return,
                accepted = accept(&self.listener, &slots) => accepted,
            };
            let connections = Arc::clone(&connections);
            tasks.spawn(connections.serve(stream, peer, slot, handler.clone()));
        }
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> (TcpStream, SocketAddr, Option<OwnedSemaphorePermit>) {
    // The semaphore is never closed.
    let slot = Arc::clone(slots).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => return (stream, peer, slot),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

fn builder(limits: &Limits, executor: Tracked) -> auto::Builder<Tracked> {
    let mut builder = auto::Builder::new(executor);
    let head_bytes = usize::try_from(limits.max_head_bytes).unwrap_or(usize::MAX);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head_timeout)
        .max_headers(limits.max_headers)
        .max_buf_size(head_bytes.max(8_192));
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(limits.max_head_bytes)
        .max_concurrent_streams(HTTP2_STREAMS)
        .initial_stream_window_size(HTTP2_WINDOW)
        .initial_connection_window_size(HTTP2_WINDOW * 4)
        .keep_alive_interval(HTTP2_PING)
        .keep_alive_timeout(HTTP2_PING);
    builder
}

/// What all connections share.
struct Connections {
    builder: auto::Builder<Tracked>,
    head_timeout: Duration,
    write_timeout: Duration,
    tls: Option<TlsAcceptor>,
    drain: drain::Watcher,
}

impl Connections {
    async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        slot: Option<OwnedSemaphorePermit>,
        handler: impl Handler,
    ) {
        // Without it the system holds a stream's small events back for up to 40 ms.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        match &self.tls {
            None => self.speak(stream, peer, handler).await,
            Some(tls) => match tokio::time::timeout(TLS_HANDSHAKE, tls.accept(stream)).await {
                Ok(Ok(stream)) => self.speak(stream, peer, handler).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
        drop(slot);
    }

    async fn speak(
        &self,
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        peer: SocketAddr,
        handler: impl Handler,
    ) {
        let stream = stall::Unstalled::new(stream, self.write_timeout);
        let spoken = AtomicBool::new(false);
        let spoken = &spoken;
        let service = service_fn(move |request| {
            spoken.store(true, Ordering::Relaxed);
            let handler = handler.clone();
            async move { Ok::<_, Infallible>(handler.handle(request, peer).await) }
        });
        let mut connection =
            std::pin::pin!(self.builder.serve_connection(TokioIo::new(stream), service));
        // hyper's own timer starts only when it knows which version is spoken.
        let mut mute = std::pin::pin!(tokio::time::sleep(self.head_timeout));
        let mut waits_for_first = true;
        let ended = loop {
            tokio::select! {
                ended = connection.as_mut() => break ended,
                _ = self.drain.started() => {
                    connection.as_mut().graceful_shutdown();
                    tokio::select! {
                        ended = connection.as_mut() => break ended,
                        () = expired(&self.drain, LAST_WORDS) => return,
                    }
                }
                () = mute.as_mut(), if waits_for_first => {
                    if !spoken.load(Ordering::Relaxed) {
                        return;
                    }
                    waits_for_first = false;
                }
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection ended early");
        }
    }
}

/// Runs hyper's tasks on the tracker; they are dropped some time after a drain's deadline.
#[derive(Clone)]
pub(crate) struct Tracked {
    tasks: TaskTracker,
    drain: drain::Watcher,
    grace: Duration,
}

impl Tracked {
    pub(crate) const fn new(tasks: TaskTracker, drain: drain::Watcher, grace: Duration) -> Self {
        Self { tasks, drain, grace }
    }
}

impl<F> Executor<F> for Tracked
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        let (drain, grace) = (self.drain.clone(), self.grace);
        self.tasks.spawn(async move {
            tokio::select! {
                _ = task => {}
                () = expired(&drain, grace) => {}
            }
        });
    }
}

/// Waits until so much time has passed since a drain's deadline.
async fn expired(drain: &drain::Watcher, grace: Duration) {
    drain.expired().await;
    tokio::time::sleep(grace).await;
}
