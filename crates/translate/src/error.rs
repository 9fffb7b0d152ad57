//! Errors, in both directions: what we tell a client in its dialect, and what an upstream told us.
//!
//! A failure becomes one [`ApiError`] and is drawn by the dialect that the client speaks, as a whole
//! body or as the terminal frames of a stream that has begun. [`classify`] reads an upstream's answer
//! and says whether another endpoint may be asked instead.

use std::time::Duration;

mod classify;
mod draw;

pub use classify::{FaultKind, Retry, UpstreamFault, classify, parse_retry_after};
pub use draw::{ArrayPosition, CONTENT_TYPE_JSON, StreamPosition};

/// What kind of failure an error is; each dialect has its own word for it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum ErrorKind {
    /// No or a bad credential.
    Authentication,
    /// A good credential that may not do this.
    Permission,
    /// The model or path does not exist.
    NotFound,
    /// The request itself is wrong.
    InvalidRequest,
    /// The body is larger than allowed.
    TooLarge,
    /// Too many requests or tokens per time.
    RateLimit,
    /// Money or credit is used up.
    Quota,
    /// Busy: try again later.
    Overloaded,
    /// The upstream took too long.
    Timeout,
    /// The upstream failed or answered nonsense.
    Upstream,
    /// Our own fault.
    Internal,
}

impl ErrorKind {
    /// The HTTP status that goes with it, unless the error says another.
    pub const fn status(self) -> u16 {
        match self {
            Self::Authentication => 401,
            Self::Permission => 403,
            Self::NotFound => 404,
            Self::InvalidRequest => 400,
            Self::TooLarge => 413,
            Self::RateLimit | Self::Quota => 429,
            Self::Overloaded => 503,
            Self::Timeout => 504,
            Self::Upstream => 502,
            Self::Internal => 500,
        }
    }
}

/// An error as a client sees it, before a dialect draws it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ApiError {
    /// The HTTP status.
    pub status: u16,
    /// What kind of failure it is.
    pub kind: ErrorKind,
    /// A stable word that programs may compare.
    pub code: &'static str,
    /// What went wrong and what to do about it.
    pub message: String,
    /// The request's parameter at fault.
    pub param: Option<String>,
    /// How long to wait before trying again.
    pub retry_after: Option<Duration>,
    /// The id of the request, for those dialects whose errors carry one.
    pub request_id: Option<String>,
}

impl ApiError {
    /// Makes an error with the kind's own status.
    pub fn new(kind: ErrorKind, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status: kind.status(),
            kind,
            code,
            message: message.into(),
            param: None,
            retry_after: None,
            request_id: None,
        }
    }

    /// Says another status than the kind's own.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Names the parameter at fault.
    #[must_use]
    pub fn with_param(mut self, param: impl Into<String>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// Says how long to wait.
    #[must_use]
    pub const fn with_retry_after(mut self, wait: Option<Duration>) -> Self {
        self.retry_after = wait;
        self
    }

    /// Gives the request's id.
    #[must_use]
    pub fn with_request_id(mut self, id: impl Into<String>) -> Self {
        self.request_id = Some(id.into());
        self
    }
}
