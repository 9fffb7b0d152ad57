//! Every way in which a request can fail, and how its client hears of it.
//!
//! One place decides status, kind and code; the client's dialect draws the rest.

use std::{fmt, time::Duration};

use bitrouter_translate::{
    error::{ApiError, ErrorKind, FaultKind, UpstreamFault},
    scan::ScanError,
    surface::NoSurface,
};

use super::read::ReadError;
use crate::{
    admit::AdmitError,
    health::Refusal,
    limits::LimitError,
    record::Outcome,
    resolve::{Endpoint, ResolveError, Unresolved},
    spool::SpoolError,
    upstream::{client::DialError, request::UnsendableRequest},
};

/// How many attempts an error message lists.
const LISTED: usize = 6;
const OVERLOAD_PAUSE: Duration = Duration::from_secs(1);
const DRAIN_PAUSE: Duration = Duration::from_secs(2);

/// Why a request got no provider's answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    #[error("the router serves {limit} requests already: try again in a moment")]
    Overloaded { limit: usize },
    #[error("the router is shutting down: try again in a moment")]
    Draining,
    #[error("the router has no configuration yet: try again in a moment")]
    NotReady,
    #[error(transparent)]
    Path(#[from] NoSurface),
    #[error("this version of the router does not serve {0} yet")]
    NotServed(&'static str),
    #[error("responses are not served over a WebSocket: use POST")]
    NoWebSocket,
    #[error("there is no model `{model}`, or the key may not use it")]
    NotListed { model: String },
    #[error("the body is not one of /v1/resolve: {problem}")]
    BadQuestion { problem: String },
    #[error(transparent)]
    Admit(#[from] AdmitError),
    #[error(transparent)]
    Limit(#[from] LimitError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Scan(#[from] ScanError),
    #[error("a model's name has at most {limit} bytes, this one has {bytes}")]
    ModelTooLong { bytes: usize, limit: usize },
    #[error("`{name}` must be a number of milliseconds above zero")]
    BadHeader { name: &'static str },
    #[error(transparent)]
    Resolve(#[from] Box<Unresolved>),
    #[error(transparent)]
    Unrecorded(#[from] SpoolError),
    #[error(transparent)]
    Exhausted(#[from] Exhausted),
    #[error("the router failed: this is a defect, please report it with the request's id")]
    Defect,
}

impl RequestError {
    /// The error as a dialect can draw it.
    pub(crate) fn to_api_error(&self) -> ApiError {
        let plain = |kind, code| ApiError::new(kind, code, self.to_string());
        match self {
            Self::Overloaded { .. } => {
                plain(ErrorKind::Overloaded, "overloaded").with_retry_after(Some(OVERLOAD_PAUSE))
            }
            Self::Draining => {
                plain(ErrorKind::Overloaded, "shutting_down").with_retry_after(Some(DRAIN_PAUSE))
            }
            Self::NotReady => {
                plain(ErrorKind::Overloaded, "not_ready").with_retry_after(Some(DRAIN_PAUSE))
            }
            Self::Path(error) => error.to_api_error(),
            Self::NotServed(_) => {
                plain(ErrorKind::InvalidRequest, "not_supported").with_status(501)
            }
            // Clients fall back to POST at once on 426, and retry on others.
            Self::NoWebSocket => {
                plain(ErrorKind::InvalidRequest, "upgrade_required").with_status(426)
            }
            Self::NotListed { .. } => {
                plain(ErrorKind::NotFound, "model_not_found").with_param("model")
            }
            Self::BadQuestion { .. } => plain(ErrorKind::InvalidRequest, "invalid_request"),
            Self::Admit(error @ (AdmitError::OtherOrigin | AdmitError::OtherHost)) => {
                plain(ErrorKind::Permission, admit_code(*error))
            }
            Self::Admit(error) => plain(ErrorKind::Authentication, admit_code(*error)),
            Self::Limit(error) => plain(ErrorKind::RateLimit, error.code())
                .with_retry_after(Some(error.retry_after())),
            Self::Read(error) => error.to_api_error(),
            Self::Scan(error) => error.to_api_error(),
            Self::ModelTooLong { .. } => {
                plain(ErrorKind::InvalidRequest, "model_name_too_long").with_param("model")
            }
            Self::BadHeader { name } => {
                plain(ErrorKind::InvalidRequest, "invalid_header").with_param(*name)
            }
            Self::Resolve(unresolved) => resolve_error(&unresolved.error),
            Self::Unrecorded(error) => {
                plain(ErrorKind::Overloaded, error.code()).with_retry_after(Some(DRAIN_PAUSE))
            }
            Self::Exhausted(exhausted) => exhausted.to_api_error(),
            Self::Defect => plain(ErrorKind::Internal, "internal_error"),
        }
    }

    /// How the record names what happened.
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Exhausted(exhausted) => exhausted.outcome(),
            _ => Outcome::Refused,
        }
    }
}

const fn admit_code(error: AdmitError) -> &'static str {
    match error {
        AdmitError::Missing => "missing_api_key",
        AdmitError::Foreign | AdmitError::Malformed(_) | AdmitError::Unknown => "invalid_api_key",
        AdmitError::Expired => "expired_api_key",
        AdmitError::OtherOrigin => "origin_not_allowed",
        AdmitError::OtherHost => "host_not_allowed",
    }
}

fn resolve_error(error: &ResolveError) -> ApiError {
    let (kind, retry_after) = match error {
        ResolveError::NotFound { .. }
        | ResolveError::NoPreset { .. }
        | ResolveError::Inactive { .. } => (ErrorKind::NotFound, None),
        ResolveError::PresetWithoutModel { .. }
        | ResolveError::NeedsTranslation { .. }
        | ResolveError::InputTooLong { .. }
        | ResolveError::OutputTooLong { .. } => (ErrorKind::InvalidRequest, None),
        ResolveError::Forbidden { .. } => (ErrorKind::Permission, None),
        ResolveError::Paused { retry_after, .. } => (ErrorKind::RateLimit, Some(*retry_after)),
        ResolveError::NothingLeft { .. } => (ErrorKind::Overloaded, Some(OVERLOAD_PAUSE)),
    };
    ApiError::new(kind, error.code(), error.to_string())
        .with_param("model")
        .with_retry_after(retry_after)
}

/// Why one attempt gave no answer to pass on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AttemptError {
    #[error("not tried: {0}")]
    Skipped(Refusal),
    #[error(transparent)]
    Unsendable(#[from] UnsendableRequest),
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("the answer broke off before it began")]
    BrokenOff,
    #[error("the answer did not come within {} ms", .0.as_millis())]
    Late(Duration),
    #[error("{}", Shown(.0))]
    Fault(UpstreamFault),
}

/// A fault for people: status, the provider's word for it, and its message.
struct Shown<'a>(&'a UpstreamFault);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status, self.0.kind.as_str())?;
        if let Some(code) = &self.0.code {
            write!(f, " ({code})")?;
        }
        // A refused credential's message quotes the credential.
        if !self.0.message.is_empty() && self.0.kind != FaultKind::Auth {
            write!(f, ": {}", self.0.message)?;
        }
        Ok(())
    }
}

impl AttemptError {
    /// How the record names what happened.
    pub(crate) const fn outcome(&self) -> Outcome {
        match self {
            Self::Skipped(_) | Self::Unsendable(_) => Outcome::Refused,
            Self::Dial(DialError::ConnectTimeout(_) | DialError::AnswerTimeout(_))
            | Self::Late(_) => Outcome::Timeout,
            Self::Dial(DialError::Connect(_) | DialError::Stale | DialError::Broken(_))
            | Self::BrokenOff => Outcome::TransportError,
            Self::Fault(_) => Outcome::UpstreamError,
        }
    }

    /// In a word, for records and metrics.
    pub(crate) fn code(&self) -> &str {
        match self {
            Self::Skipped(_) => "skipped",
            Self::Unsendable(_) => "unsendable",
            Self::Dial(DialError::ConnectTimeout(_)) => "connect_timeout",
            Self::Dial(DialError::AnswerTimeout(_)) | Self::Late(_) => "answer_timeout",
            Self::Dial(DialError::Connect(_)) => "connect_failed",
            Self::Dial(DialError::Stale | DialError::Broken(_)) | Self::BrokenOff => "broken_off",
            Self::Fault(fault) => fault.code.as_deref().unwrap_or(fault.kind.as_str()),
        }
    }

    /// The provider's HTTP status. Zero: none came.
    pub(crate) const fn status(&self) -> u16 {
        match self {
            Self::Fault(fault) => fault.status,
            _ => 0,
        }
    }

    /// True if the provider may bill it although there was no answer.
    pub(crate) const fn may_have_been_billed(&self) -> bool {
        match self {
            Self::Dial(DialError::AnswerTimeout(_) | DialError::Broken(_))
            | Self::BrokenOff
            | Self::Late(_) => true,
            Self::Fault(fault) => {
                matches!(fault.kind, FaultKind::Malformed | FaultKind::Timeout | FaultKind::Server)
                    && fault.status < 400
            }
            _ => false,
        }
    }

    const fn class(&self) -> Class {
        match self {
            Self::Fault(fault) => match fault.kind {
                FaultKind::RateLimited => Class::RateLimited,
                FaultKind::Credit => Class::Credit,
                FaultKind::Overloaded => Class::Overloaded,
                FaultKind::Timeout => Class::Timeout,
                FaultKind::ContextWindow
                | FaultKind::Auth
                | FaultKind::NotFound
                | FaultKind::Invalid
                | FaultKind::Server
                | FaultKind::Malformed => Class::Other,
            },
            Self::Dial(DialError::ConnectTimeout(_) | DialError::AnswerTimeout(_))
            | Self::Late(_) => Class::Timeout,
            Self::Skipped(Refusal::Paused { .. }) => Class::RateLimited,
            Self::Skipped(Refusal::Probing) => Class::Overloaded,
            Self::Dial(DialError::Connect(_) | DialError::Stale | DialError::Broken(_))
            | Self::BrokenOff
            | Self::Unsendable(_) => Class::Other,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Class {
    RateLimited,
    Credit,
    Overloaded,
    Timeout,
    Other,
}

/// Every endpoint was tried, or none is left to try. Never empty.
#[derive(Debug)]
pub(crate) struct Exhausted {
    pub(crate) failures: Vec<(Endpoint, AttemptError)>,
}

impl std::error::Error for Exhausted {}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.failures.as_slice() {
            [(endpoint, error)] => return write!(f, "{endpoint} failed: {error}"),
            _ => f.write_str("every endpoint failed: ")?,
        }
        for (at, (endpoint, error)) in self.failures.iter().take(LISTED).enumerate() {
            write!(f, "{}{endpoint}: {error}", if at == 0 { "" } else { "; " })?;
        }
        match self.failures.len().saturating_sub(LISTED) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl Exhausted {
    fn all(&self, class: Class) -> bool {
        self.failures.iter().all(|(_, error)| error.class() == class)
    }

    /// The shortest pause that a provider asked for.
    fn retry_after(&self) -> Option<Duration> {
        let pauses = self.failures.iter().filter_map(|(_, error)| match error {
            AttemptError::Fault(fault) => fault.retry_after,
            AttemptError::Skipped(Refusal::Paused { remaining }) => Some(*remaining),
            _ => None,
        });
        pauses.min()
    }

    const fn outcome(&self) -> Outcome {
        match self.failures.as_slice() {
            [.., (_, error)] => error.outcome(),
            [] => Outcome::Refused,
        }
    }

    fn is_about_credentials(&self) -> bool {
        self.failures.iter().all(|(_, error)| {
            matches!(error, AttemptError::Fault(fault) if fault.kind == FaultKind::Auth)
        })
    }

    fn to_api_error(&self) -> ApiError {
        let error = |kind, code| ApiError::new(kind, code, self.to_string());
        if self.all(Class::RateLimited) {
            error(ErrorKind::RateLimit, "rate_limited").with_retry_after(self.retry_after())
        } else if self.all(Class::Timeout) {
            error(ErrorKind::Timeout, "upstream_timeout")
        } else if self.all(Class::Credit) {
            error(ErrorKind::Quota, "provider_credit_exhausted").with_status(402)
        } else if self.all(Class::Overloaded) {
            let wait = self.retry_after().unwrap_or(OVERLOAD_PAUSE);
            error(ErrorKind::Overloaded, "upstream_overloaded").with_retry_after(Some(wait))
        } else if self.is_about_credentials() {
            // Not 401: the client's own credential is good.
            error(ErrorKind::Upstream, "provider_credential_refused")
        } else {
            error(ErrorKind::Upstream, "upstream_failed")
        }
    }
}
