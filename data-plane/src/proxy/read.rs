//! Takes a request's body in: whole, bounded in size, and not from clients that let it drip.

use std::time::Duration;

use bitrouter_translate::error::{ApiError, ErrorKind};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

/// What a client has to deliver on average once the grace period is over.
const BYTES_PER_SECOND: u64 = 1_024;
/// How long a body that was refused is still read, so that the client gets to read the answer.
const DISCARD_FOR: Duration = Duration::from_secs(5);

/// Why a body cannot be had.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    #[error("the body is larger than the {limit} bytes that this router accepts (server.max_body)")]
    TooLarge { limit: usize },
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body is encoded as `{encoding}`: send it without content-encoding")]
    Encoded { encoding: String },
    #[error("the body broke off")]
    Broken,
}

impl ReadError {
    /// How the client hears of it.
    pub(crate) fn to_api_error(&self) -> ApiError {
        let (kind, code, status) = match self {
            Self::TooLarge { .. } => (ErrorKind::TooLarge, "request_too_large", 413),
            Self::TooSlow => (ErrorKind::InvalidRequest, "request_timeout", 408),
            Self::Encoded { .. } => (ErrorKind::InvalidRequest, "unsupported_encoding", 415),
            Self::Broken => (ErrorKind::InvalidRequest, "incomplete_body", 400),
        };
        ApiError::new(kind, code, self.to_string()).with_status(status)
    }
}

/// Reads the whole body. What is left of one that is too large is given back with the error.
pub(crate) async fn read(
    headers: &HeaderMap,
    mut body: Incoming,
    limit: usize,
    grace: Duration,
) -> Result<Bytes, (ReadError, Option<Incoming>)> {
    if let Some(encoding) = foreign_encoding(headers) {
        return Err((ReadError::Encoded { encoding }, Some(body)));
    }
    let too_large = |size: u64| size > u64::try_from(limit).unwrap_or(u64::MAX);
    let declared = body.size_hint().lower();
    if too_large(declared) {
        return Err((ReadError::TooLarge { limit }, Some(body)));
    }
    let start = Instant::now();
    let mut whole = Pieces::default();
    while !body.is_end_stream() {
        let deadline = start + grace + Duration::from_secs(whole.len() / BYTES_PER_SECOND);
        let piece = match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(_))) => return Err((ReadError::Broken, None)),
            Ok(None) => break,
            Err(_) => return Err((ReadError::TooSlow, None)),
        };
        if too_large(whole.len() + u64::try_from(piece.len()).unwrap_or(u64::MAX)) {
            return Err((ReadError::TooLarge { limit }, Some(body)));
        }
        whole.push(piece, declared);
    }
    Ok(whole.into_bytes())
}

/// Reads on without keeping anything: a client that is still sending would otherwise find the
/// connection reset instead of the answer.
pub(crate) async fn discard(mut body: Incoming) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whoever sends for longer than this meets the reset.
    tokio::time::timeout(DISCARD_FOR, rest).await.ok();
}

fn foreign_encoding(headers: &HeaderMap) -> Option<String> {
    let encoding = headers.get(header::CONTENT_ENCODING)?;
    let encoding = String::from_utf8_lossy(encoding.as_bytes()).trim().to_ascii_lowercase();
    (!encoding.is_empty() && encoding != "identity").then_some(encoding)
}

/// A body as it arrives: a single piece is never copied.
#[derive(Default)]
enum Pieces {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Pieces {
    fn len(&self) -> u64 {
        let len = match self {
            Self::None => 0,
            Self::One(piece) => piece.len(),
            Self::Many(joined) => joined.len(),
        };
        u64::try_from(len).unwrap_or(u64::MAX)
    }

    fn push(&mut self, piece: Bytes, expected: u64) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(piece),
            Self::One(first) => {
                let size = usize::try_from(expected).unwrap_or(0).max(first.len() + piece.len());
                let mut joined = BytesMut::with_capacity(size);
                joined.extend_from_slice(&first);
                joined.extend_from_slice(&piece);
                Self::Many(joined)
            }
            Self::Many(mut joined) => {
                joined.extend_from_slice(&piece);
                Self::Many(joined)
            }
        };
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::None => Bytes::new(),
            Self::One(piece) => piece,
            Self::Many(joined) => joined.freeze(),
        }
    }
}
