//! Connections to the admin API: Unix socket, TCP, TLS.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use url::Url;

use crate::failure::{Doing as _, Failure, chain};

const PATIENCE: Duration = Duration::from_secs(10);

/// A connection of either kind.
#[derive(Debug)]
pub(super) enum Io {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects to a control socket.
pub(super) async fn socket(path: &Path) -> Result<Io, Failure> {
    UnixStream::connect(path).await.map(Io::Unix).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => {
            Failure::refused(format!("{} belongs to another user", path.display()))
                .hint("run the command as the user that bitrouter runs as")
        }
        _ => Failure::unreachable(format!(
            "no bitrouter is running here (nobody answers at {})",
            path.display()
        ))
        .kind("not_running")
        .hint("start one with `bitrouter start`, or name another home or --server"),
    })
}

/// Connects to an admin API elsewhere.
pub(super) async fn remote(url: &Url, extra_ca: Option<&Path>) -> Result<Io, Failure> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(4357);
    let unreachable = |cause: String| {
        Failure::unreachable(format!("{url} cannot be reached: {cause}"))
            .hint("is the control plane running, and is this the address of its admin API?")
    };
    let tcp = tokio::time::timeout(PATIENCE, TcpStream::connect((host, port)))
        .await
        .map_err(|_| unreachable("it does not answer".to_owned()))?
        .map_err(|error| unreachable(chain(&error)))?;
    // The requests are small and their answers are waited for.
    let _ = tcp.set_nodelay(true);
    if url.scheme() == "http" {
        return Ok(Io::Tcp(tcp));
    }
    let name = ServerName::try_from(host.to_owned())
        .map_err(|_| Failure::usage(format!("`{host}` is not a host name")))?;
    let connector = TlsConnector::from(Arc::new(tls(extra_ca)?));
    let stream = tokio::time::timeout(PATIENCE, connector.connect(name, tcp))
        .await
        .map_err(|_| unreachable("it does not answer in TLS".to_owned()))?
        .map_err(|error| untrusted(unreachable(chain(&error)), &error))?;
    Ok(Io::Tls(Box::new(stream)))
}

/// Says what to do where the server's certificate is of a private authority.
fn untrusted(failure: Failure, error: &io::Error) -> Failure {
    let cause = error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        Some(rustls::Error::InvalidCertificate(_)) => {
            failure.hint("name the certificate of the authority that issued it with --ca FILE")
        }
        _ => failure,
    }
}

fn tls(extra_ca: Option<&Path>) -> Result<rustls::ClientConfig, Failure> {
    let mut roots = rustls::RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(path) = extra_ca {
        let reading = format!("read the certificates in {}", path.display());
        for certificate in CertificateDer::pem_file_iter(path).doing(&reading)? {
            roots.add(certificate.doing(&reading)?).doing(&reading)?;
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .doing("set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

impl AsyncRead for Io {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tcp(io) => Pin::new(io).poll_read(cx, buf),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tcp(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(io) => Pin::new(io).poll_flush(cx),
            Self::Tcp(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tcp(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}
