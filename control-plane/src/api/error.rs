//! How errors look: one enum, one status and one stable kind each.

use std::error::Error as _;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    api::types::{ErrorBody, ErrorDetail},
    keys::KeyError,
    reconcile::Clashes,
    resource::Kind,
    store::StoreError,
};

/// Why a request is not answered with what it asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiError {
    #[error("the request carries no valid admin token")]
    Unauthenticated,
    #[error("the request is not meant for this listener: {0}")]
    Misdirected(&'static str),
    #[error("no {what} is named `{id}`")]
    NotFound { what: &'static str, id: String },
    #[error("the admin API has no such path")]
    UnknownPath,
    #[error("the path does not take this method")]
    UnknownMethod,
    #[error("the body is too large")]
    BodyTooLarge,
    #[error("{0}")]
    Invalid(String),
    #[error("the document cannot be used:\n{}", .0.join("\n"))]
    Document(Vec<String>),
    #[error("the {kind} `{id}` exists; name the version that you saw")]
    PreconditionRequired { kind: Kind, id: String },
    #[error("{0}")]
    InUse(String),
    #[error(transparent)]
    Clashes(#[from] Clashes),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an error looks from outside.
struct Look(StatusCode, &'static str, Option<&'static str>);

impl ApiError {
    fn look(&self) -> Look {
        let hint = match self {
            Self::Unauthenticated => {
                Some("send `Authorization: Bearer bradm_…`, or use the control socket")
            }
            Self::Misdirected(_) => {
                Some("use the listener's own name in the URL, and no browser page of another site")
            }
            Self::UnknownPath | Self::UnknownMethod => Some("GET /v1/openapi.json lists them"),
            Self::PreconditionRequired { .. } => {
                Some("read it, and send its `resource_version` as `If-Match: \"<version>\"`")
            }
            Self::Store(StoreError::Conflict { .. }) => Some("read it again and repeat the change"),
            Self::NotFound { .. }
            | Self::BodyTooLarge
            | Self::Invalid(_)
            | Self::Document(_)
            | Self::InUse(_)
            | Self::Clashes(_)
            | Self::Key(_)
            | Self::Store(_) => None,
        };
        let (status, kind) = self.status_and_kind();
        Look(status, kind, hint)
    }

    const fn status_and_kind(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            Self::Misdirected(_) => (StatusCode::MISDIRECTED_REQUEST, "misdirected"),
            Self::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
            Self::UnknownPath => (StatusCode::NOT_FOUND, "unknown_path"),
            Self::UnknownMethod => (StatusCode::METHOD_NOT_ALLOWED, "unknown_method"),
            Self::BodyTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "body_too_large"),
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "invalid_request"),
            Self::Document(_) => (StatusCode::BAD_REQUEST, "invalid_document"),
            Self::PreconditionRequired { .. } => {
                (StatusCode::PRECONDITION_REQUIRED, "precondition_required")
            }
            Self::InUse(_) => (StatusCode::CONFLICT, "in_use"),
            Self::Clashes(_) => (StatusCode::CONFLICT, "name_clash"),
            Self::Key(error) => of_key(error),
            Self::Store(error) => of_store(error),
        }
    }
}

const fn of_key(error: &KeyError) -> (StatusCode, &'static str) {
    match error {
        KeyError::User
        | KeyError::Name
        | KeyError::ZeroLimit { .. }
        | KeyError::ExpiresInThePast
        | KeyError::UnknownProvider(_)
        | KeyError::GraceTooLong { .. } => (StatusCode::BAD_REQUEST, "invalid_request"),
        KeyError::Unknown { .. } => (StatusCode::NOT_FOUND, "not_found"),
        KeyError::Revoked => (StatusCode::CONFLICT, "key_revoked"),
        KeyError::Expired => (StatusCode::CONFLICT, "key_expired"),
        KeyError::TooManyDigests { .. } => (StatusCode::CONFLICT, "too_many_secrets"),
        KeyError::Store(error) => of_store(error),
    }
}

const fn of_store(error: &StoreError) -> (StatusCode, &'static str) {
    match error {
        StoreError::Conflict { .. } => (StatusCode::PRECONDITION_FAILED, "conflict"),
        StoreError::OwnedBy { .. } => (StatusCode::CONFLICT, "owned_by_other"),
        StoreError::IdempotencyKeyReused => {
            (StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused")
        }
        StoreError::NotFound { .. } => (StatusCode::NOT_FOUND, "not_found"),
        StoreError::Undecodable { .. } | StoreError::Seal(_) | StoreError::Damaged(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "database")
        }
        StoreError::Database(_) => (StatusCode::SERVICE_UNAVAILABLE, "database"),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Look(status, kind, hint) = self.look();
        if status.is_server_error() {
            tracing::error!(error = %self, source = self.source(), "an admin request failed");
        }
        let error = ErrorDetail {
            kind: kind.to_owned(),
            message: self.to_string(),
            hint: hint.map(str::to_owned),
        };
        let mut response = (status, Json(ErrorBody { error })).into_response();
        if status == StatusCode::UNAUTHORIZED {
            let challenge = header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        }
        response
    }
}

/// Answers what no route takes.
pub(super) async fn unknown_path() -> ApiError {
    ApiError::UnknownPath
}

/// Answers what no method of a route takes.
pub(super) async fn unknown_method() -> ApiError {
    ApiError::UnknownMethod
}
