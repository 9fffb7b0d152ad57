//! What handlers take from a request, and what every answer carries; mistakes become [`ApiError`]s.

use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Query, Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header, request::Parts},
    middleware::Next,
    response::Response,
};
use serde::de::DeserializeOwned;

use crate::{
    api::{Api, error::ApiError},
    keys::REPEATABLE,
    resource::{Kind, Owner, Resource, Revision},
    store::{Actor, Expect, Once},
};

/// Carries the revision that an answer is of.
pub(super) const REVISION_HEADER: HeaderName = HeaderName::from_static("x-config-revision");

const IDEMPOTENCY_KEY: &str = "idempotency-key";
const LONGEST_IDEMPOTENCY_KEY: usize = 255;

/// Sets the newest revision on every answer that does not say its own.
pub(super) async fn revision_header(
    State(api): State<Api>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if !response.headers().contains_key(&REVISION_HEADER) {
        // Where the database does not answer, the answer itself says so.
        if let Ok(Revision(revision)) = api.store.revision().await {
            response.headers_mut().insert(REVISION_HEADER, HeaderValue::from(revision));
        }
    }
    response
}

/// A JSON body. An empty one is that of an object without members.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Api> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let Raw(bytes) = Raw::from_request(request, api).await?;
        read_json(&bytes).map(Self)
    }
}

/// Reads a JSON body.
pub(super) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let read = serde_json::from_slice(bytes);
    read.map_err(|error| ApiError::Invalid(format!("the body is not what is expected: {error}")))
}

/// A body as it came.
#[derive(Debug)]
pub(super) struct Raw(pub(super) Bytes);

impl FromRequest<Api> for Raw {
    type Rejection = ApiError;

    async fn from_request(request: Request, api: &Api) -> Result<Self, ApiError> {
        let read = Bytes::from_request(request, api).await;
        read.map(Self).map_err(|rejection| match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => ApiError::BodyTooLarge,
            _ => ApiError::Invalid(rejection.body_text()),
        })
    }
}

/// The query's parameters.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequestParts<Api> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let read = Query::try_from_uri(&parts.uri);
        let read = read.map_err(|rejection| ApiError::Invalid(rejection.body_text()));
        read.map(|Query(params)| Self(params))
    }
}

/// The name at the end of the path, decoded.
#[derive(Debug)]
pub(super) struct Name(pub(super) String);

impl FromRequestParts<Api> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, ApiError> {
        let read = Path::from_request_parts(parts, api).await;
        let read = read.map_err(|rejection| ApiError::Invalid(rejection.body_text()));
        read.map(|Path(name)| Self(name))
    }
}

/// Who makes the request.
#[derive(Debug)]
pub(super) struct By(pub(super) Actor);

impl FromRequestParts<Api> for By {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        parts.extensions.get().cloned().map(Self).ok_or(ApiError::Unauthenticated)
    }
}

/// The version that the client saw.
#[derive(Clone, Copy, Debug)]
pub(super) struct IfMatch(Option<Revision>);

impl FromRequestParts<Api> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(header::IF_MATCH) else { return Ok(Self(None)) };
        let text = value.to_str().unwrap_or_default();
        let number = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        match number.and_then(|number| number.parse().ok()) {
            Some(version) => Ok(Self(Some(Revision(version)))),
            None => Err(ApiError::Invalid("write If-Match as \"<resource_version>\"".to_owned())),
        }
    }
}

impl IfMatch {
    /// What a change may expect of something that was found, or not. What is only in the overlay is
    /// not stored: a client that saw it may put something in its place.
    pub(super) fn expect(
        self,
        kind: Kind,
        id: &str,
        found: Option<&Resource>,
    ) -> Result<Expect, ApiError> {
        let stored = found.filter(|found| found.owner != Owner::Env);
        let overlaid = found.filter(|found| found.owner == Owner::Env);
        match (self.0, stored) {
            (Some(seen), None) if overlaid.is_some_and(|at| at.resource_version == seen) => {
                Ok(Expect::Absent)
            }
            (Some(seen), _) => Ok(Expect::Version(seen)),
            (None, None) => Ok(Expect::Absent),
            (None, Some(_)) => Err(ApiError::PreconditionRequired { kind, id: id.to_owned() }),
        }
    }
}

/// How the request is recognised when it comes again.
#[derive(Debug)]
pub(super) struct IdempotencyKey(Option<String>, String);

impl FromRequestParts<Api> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Api) -> Result<Self, ApiError> {
        let target = format!("{} {}", parts.method, parts.uri);
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else {
            return Ok(Self(None, target));
        };
        match value.to_str() {
            Ok(key) if !key.is_empty() && key.len() <= LONGEST_IDEMPOTENCY_KEY => {
                Ok(Self(Some(key.to_owned()), target))
            }
            Ok(_) | Err(_) => Err(ApiError::Invalid(format!(
                "an Idempotency-Key has 1 to {LONGEST_IDEMPOTENCY_KEY} ASCII characters"
            ))),
        }
    }
}

impl IdempotencyKey {
    /// Bound to this request's method, path and body.
    pub(super) fn once(self, body: &[u8], now_ms: u64) -> Option<Once> {
        let Self(key, target) = self;
        let mut request = target.into_bytes();
        request.push(b'\n');
        request.extend_from_slice(body);
        let mut request_hash = [0; 32];
        request_hash.copy_from_slice(digest(&SHA256, &request).as_ref());
        let lifetime = u64::try_from(Duration::as_millis(&REPEATABLE)).unwrap_or(u64::MAX);
        Some(Once { key: key?, request_hash, expires_at_ms: now_ms.saturating_add(lifetime) })
    }
}
