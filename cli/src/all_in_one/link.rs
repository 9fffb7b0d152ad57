//! Joins the planes inside one process: each dial of the data plane makes a pipe whose other end the
//! control plane accepts. What runs over it is the same gRPC as between machines.

use std::io;

use hyper_util::rt::TokioIo;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tower::service_fn;

/// As much as a pipe holds before its writer waits.
const PIPE_BYTES: usize = 256 << 10;
/// Pipes that are dialled and not accepted yet.
const BACKLOG: usize = 8;

/// The data plane's channel and the control plane's incoming connections.
pub(super) fn link() -> (Channel, impl Stream<Item = io::Result<DuplexStream>> + Send + 'static) {
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
    let channel = Endpoint::from_static("http://control-plane").connect_with_connector_lazy(dial);
    (channel, ReceiverStream::new(incoming))
}
