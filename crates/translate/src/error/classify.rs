//! What an upstream's failure means, and whether to go on to the next endpoint.

use std::time::Duration;

use crate::Dialect;

/// What may be tried after a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// The answer is the client's to see.
    Never,
    /// Another endpoint may do better.
    NextEndpoint,
    /// Only an endpoint with a larger context window may do better.
    LargerContext,
}

/// What kind of fault an upstream reported.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultKind {
    /// Too many requests or tokens per time.
    RateLimited,
    /// The account's credit or quota is used up.
    Credit,
    /// The prompt does not fit into the model's context window.
    ContextWindow,
    /// The upstream is busy.
    Overloaded,
    /// The upstream itself gave up waiting.
    Timeout,
    /// The account's credential was refused.
    Auth,
    /// The model does not exist there.
    NotFound,
    /// The upstream refuses the request as such.
    Invalid,
    /// The upstream broke.
    Server,
    /// The answer is not what the dialect allows.
    Malformed,
}

impl FaultKind {
    /// What may be tried after such a fault.
    pub const fn retry(self) -> Retry {
        match self {
            Self::RateLimited
            | Self::Credit
            | Self::Overloaded
            | Self::Timeout
            | Self::Server
            | Self::Malformed => Retry::NextEndpoint,
            Self::ContextWindow => Retry::LargerContext,
            Self::Auth | Self::NotFound | Self::Invalid => Retry::Never,
        }
    }

    /// The kind's name in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Credit => "credit",
            Self::ContextWindow => "context_window",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Server => "server",
            Self::Malformed => "malformed",
        }
    }
}

/// A failure that an upstream reported, by status, in a body or in a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpstreamFault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// The status of the answer (200 for errors inside a stream or a successful body).
    pub status: u16,
    /// The upstream's own word for it, if it has one.
    pub code: Option<String>,
    /// The upstream's own message, shortened.
    pub message: String,
    /// How long the upstream asks to wait.
    pub retry_after: Option<Duration>,
}

impl UpstreamFault {
    /// What may be tried next.
    pub const fn retry(&self) -> Retry {
        self.kind.retry()
    }
}

/// Classifies an answer whose status is not a success.
///
/// `retry_after` is the header's value, already read by [`parse_retry_after`]; where it is absent,
/// Gemini's `RetryInfo` in the body counts.
pub fn classify(
    dialect: Dialect,
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
) -> UpstreamFault {
    let _ = (dialect, body);
    UpstreamFault {
        kind: FaultKind::Server,
        status,
        code: None,
        message: String::new(),
        retry_after,
    }
}

/// Reads a `Retry-After` header: seconds, or a date counted from `now_s` (Unix seconds).
pub fn parse_retry_after(value: &str, now_s: u64) -> Option<Duration> {
    let _ = now_s;
    value.trim().parse().ok().map(Duration::from_secs)
}
