//! Joins the planes inside one process: each dial of the data plane makes a pipe whose other end the
//! control plane accepts. What runs over it is the same gRPC as between machines.
//!
//! A pipe never breaks by itself, so a side that has stopped to answer is noticed by its silence: the
//! next dial makes a new one.

use std::{io, time::Duration};

use hyper_util::rt::TokioIo;
use tokio::{io::DuplexStream, sync::mpsc};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// As much as a pipe holds before its writer waits.
const PIPE_BYTES: usize = 256 << 10;
/// Pipes that are dialled and not accepted yet.
const BACKLOG: usize = 8;

/// The data plane's channel, and the connections that [`crate::ControlPlane::serve_sync`] takes. A
/// connection whose other side says nothing for `silence` is given up.
pub fn link(
    silence: Duration,
) -> (Channel, impl Stream<Item = io::Result<DuplexStream>> + Send + 'static) {
    let (dialled, incoming) = mpsc::channel(BACKLOG);
    let dial = service_fn(move |_| {
        let dialled = dialled.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(PIPE_BYTES);
            let sent = dialled.send(Ok(theirs)).await;
            sent.map(|()| TokioIo::new(ours))
                .map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))
        }
    });
    let channel = Endpoint::from_static("http://control-plane")
        .http2_keep_alive_interval(silence / 2)
        .keep_alive_timeout(silence / 2)
        .keep_alive_while_idle(true)
        .connect_with_connector_lazy(dial);
    (channel, ReceiverStream::new(incoming))
}
