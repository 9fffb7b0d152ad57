//! The HTTP client towards providers: pooled connections, TLS, HTTP/2 where offered, proxies.

use std::{
    error::Error,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::{
    body::Incoming,
    rt::{Read, ReadBufCursor, Write},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::{
        legacy::{
            self, Client,
            connect::{Connected, Connection, HttpConnector, capture_connection, proxy::Tunnel},
        },
        proxy::matcher::Matcher,
    },
    rt::{TokioIo, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio::{net::TcpStream, time::Instant};
use tower_service::Service;

use crate::{plane::StartError, server::Tracked, settings::Outbound};

const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
/// The most that any connection attempt may take, whatever a provider's settings say.
const CONNECT_CAP: Duration = Duration::from_mins(2);

/// A kept connection that was dead already says so within this time of being used; one that dies
/// later may have carried the request.
const STALE_WITHIN: Duration = Duration::from_secs(1);

type BoxError = Box<dyn Error + Send + Sync>;

/// Why no answer came.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("connecting took longer than {} ms", .0.as_millis())]
    ConnectTimeout(Duration),
    #[error("no answer within {} ms", .0.as_millis())]
    AnswerTimeout(Duration),
    #[error("cannot connect: {}", root(.0))]
    Connect(#[source] legacy::Error),
    /// A connection that had been used before was closed at once, before a byte of the answer came:
    /// the provider had given it up while the request was under way.
    #[error("a kept connection was closed")]
    Stale,
    #[error("the connection broke off: {}", root(.0))]
    Broken(#[source] legacy::Error),
}

/// What lies at the bottom of an error: its layers say nothing by themselves.
fn root(error: &legacy::Error) -> &dyn Error {
    let mut root: &dyn Error = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root
}

/// How long to wait, by phase.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    pub(crate) connect: Duration,
    pub(crate) answer: Duration,
}

/// Which connection a request may travel on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Via {
    /// A kept one, if there is one.
    Any,
    /// One that is opened for it: where one kept connection has died, others often have too.
    New,
}

/// Sends requests to providers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Upstream {
    client: Client<HttpsConnector<Dialler>, Full<Bytes>>,
    /// Keeps no connection.
    opener: Client<HttpsConnector<Dialler>, Full<Bytes>>,
    proxy: Arc<Matcher>,
}

impl Upstream {
    /// Builds the client; its connections are tasks of the tracker.
    pub(crate) fn new(settings: &Outbound, executor: Tracked) -> Result<Self, StartError> {
        let proxy = Arc::new(
            Matcher::builder()
                .http(settings.http_proxy.expose())
                .https(settings.https_proxy.expose())
                .no(settings.no_proxy.as_str())
                .build(),
        );
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(TCP_KEEPALIVE));
        tcp.set_connect_timeout(Some(CONNECT_CAP));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(settings)?)
            .https_or_http()
            .enable_all_versions()
            .wrap_connector(Dialler { tcp, proxy: Arc::clone(&proxy) });
        let mut builder = Client::builder(executor);
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(settings.pool_idle)
            .pool_max_idle_per_host(settings.pool_per_host)
            .http2_adaptive_window(true)
            .http2_keep_alive_interval(TCP_KEEPALIVE);
        let client = builder.build(connector.clone());
        let opener = builder.pool_max_idle_per_host(0).build(connector);
        Ok(Self { client, opener, proxy })
    }

    /// Sends a request and waits for the head of its answer. `dialled` is called when the request has
    /// a connection. Gives the moment too at which the patience for the rest ends.
    pub(crate) async fn send(
        &self,
        mut request: Request<Full<Bytes>>,
        via: Via,
        patience: Patience,
        dialled: impl Fn() + Send,
    ) -> Result<(Response<Incoming>, Instant), DialError> {
        self.authorize_to_proxy(&mut request);
        let mut connection = capture_connection(&mut request);
        let captured = connection.clone();
        let client = if via == Via::New { &self.opener } else { &self.client };
        let mut answer = std::pin::pin!(client.request(request));
        let mut timer = std::pin::pin!(tokio::time::sleep(patience.connect));
        let mut kept = None;
        let mut sent_at = Instant::now();
        loop {
            tokio::select! {
                biased;
                answer = answer.as_mut() => {
                    // The connection may have been found and have failed within one poll; and where a
                    // dead one was noticed before anything was sent, the client took another.
                    let last = was_used(captured.connection_metadata().as_ref());
                    let is_young = sent_at.elapsed() < STALE_WITHIN;
                    let kept = kept.unwrap_or(last) && is_young;
                    let answer = answer.map_err(|error| classify(error, kept))?;
                    return Ok((answer, timer.deadline()));
                }
                found = connection.wait_for_connection_metadata(), if kept.is_none() => {
                    kept = Some(was_used(found.as_ref()));
                    dialled();
                    sent_at = Instant::now();
                    timer.as_mut().reset(Instant::now() + patience.answer);
                }
                () = timer.as_mut() => {
                    return Err(match kept {
                        None => DialError::ConnectTimeout(patience.connect),
                        Some(_) => DialError::AnswerTimeout(patience.answer),
                    });
                }
            }
        }
    }

    /// A tunnel carries its own credential; a plain request through a proxy carries it itself.
    fn authorize_to_proxy(&self, request: &mut Request<Full<Bytes>>) {
        if request.uri().scheme_str() != Some("http") {
            return;
        }
        let Some(proxy) = self.proxy.intercept(request.uri()) else { return };
        if let Some(credential) = proxy.basic_auth() {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, credential.clone());
        }
    }
}

fn classify(error: legacy::Error, kept: bool) -> DialError {
    if error.is_connect() {
        return DialError::Connect(error);
    }
    let closed = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
    match closed {
        Some(closed) if kept && died_unanswered(closed) => DialError::Stale,
        _ => DialError::Broken(error),
    }
}

fn died_unanswered(error: &hyper::Error) -> bool {
    let reset = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    error.is_incomplete_message()
        || error.is_canceled()
        || reset.is_some_and(|io| {
            matches!(
                io.kind(),
                std::io::ErrorKind::ConnectionReset | std::io::ErrorKind::BrokenPipe
            )
        })
}

fn tls_config(settings: &Outbound) -> Result<ClientConfig, StartError> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    for path in &settings.extra_ca {
        let unreadable = |problem: String| StartError::Tls { path: path.clone(), problem };
        let certificates = CertificateDer::pem_file_iter(path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| unreadable(error.to_string()))?;
        if certificates.is_empty() {
            return Err(unreadable("it holds no certificate".to_owned()));
        }
        for certificate in certificates {
            roots.add(certificate).map_err(|error| unreadable(error.to_string()))?;
        }
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| StartError::Client { problem: error.to_string() })?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

/// Opens TCP connections, directly or through the proxy that the settings name for the host.
#[derive(Clone)]
struct Dialler {
    tcp: HttpConnector,
    proxy: Arc<Matcher>,
}

impl Service<Uri> for Dialler {
    type Response = Dialled;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Dialled, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.tcp.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let mut tcp = self.tcp.clone();
        let Some(proxy) = self.proxy.intercept(&target) else {
            let connecting = tcp.call(target);
            return Box::pin(async move { Ok(Dialled::new(connecting.await?, false)) });
        };
        if target.scheme_str() == Some("http") {
            let connecting = tcp.call(proxy.uri().clone());
            return Box::pin(async move { Ok(Dialled::new(connecting.await?, true)) });
        }
        let mut tunnel = Tunnel::new(proxy.uri().clone(), tcp);
        if let Some(credential) = proxy.basic_auth() {
            let mut credential: HeaderValue = credential.clone();
            credential.set_sensitive(true);
            tunnel = tunnel.with_auth(credential);
        }
        let connecting = tunnel.call(target);
        Box::pin(async move { Ok(Dialled::new(connecting.await?, false)) })
    }
}

/// A TCP connection that remembers whether a request has been sent on it.
struct Dialled {
    stream: TokioIo<TcpStream>,
    /// True if requests must name the whole URL, since a proxy reads them.
    proxied: bool,
    used: Used,
}

#[derive(Clone, Debug, Default)]
struct Used(Arc<AtomicBool>);

impl Dialled {
    fn new(stream: TokioIo<TcpStream>, proxied: bool) -> Self {
        Self { stream, proxied, used: Used::default() }
    }
}

/// True if the connection had served before; from now on it has.
fn was_used(connected: Option<&Connected>) -> bool {
    let mut extensions = http::Extensions::new();
    if let Some(connected) = connected {
        connected.get_extras(&mut extensions);
    }
    extensions.get::<Used>().is_some_and(|used| used.0.swap(true, Ordering::Relaxed))
}

impl Connection for Dialled {
    fn connected(&self) -> Connected {
        Connected::new().proxy(self.proxied).extra(self.used.clone())
    }
}

impl Read for Dialled {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Dialled {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }
}
