//! The response that a client gets: a provider's answer or an error of ours, with our own headers.

use std::fmt::Display;

use bitrouter_metering::Cost;
use bitrouter_translate::{
    Dialect,
    error::{ApiError, CONTENT_TYPE_JSON},
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};

use super::{
    attempt::{Content, Reply},
    detach::Detached,
    error::RequestError,
    relay::{AnswerBody, Passing, Relay},
    settle::{Ending, Settlement},
};
use crate::record::Outcome;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-bitrouter-request-id");
const PROVIDER: HeaderName = HeaderName::from_static("x-bitrouter-provider");
const MODEL: HeaderName = HeaderName::from_static("x-bitrouter-model");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-bitrouter-attempts");
const COST: HeaderName = HeaderName::from_static("x-bitrouter-cost-usd");

/// Passes a provider's answer on. From here on its body settles the request.
pub(crate) fn respond(
    reply: Reply,
    mut settlement: Settlement,
    detached: &Detached,
) -> Response<AnswerBody> {
    let Reply { status, mut headers, content } = reply;
    settlement.tell(status);
    describe(&mut headers, &mut settlement);
    let body = match content {
        Content::Whole { body, observed } => {
            if let Some(Cost::Priced(cost)) = settlement.cost_of(&observed) {
                set(&mut headers, COST, cost);
            }
            settlement.sent(body.len());
            let failed = !status.is_success() || observed.fault.is_some();
            let outcome = if failed { Outcome::UpstreamError } else { Outcome::Completed };
            settlement.conclude(Ending::whole(outcome, *observed));
            AnswerBody::Whole(body)
        }
        Content::Events { stream, out } => {
            let relay = Relay::new(*stream, settlement, out, detached.clone());
            AnswerBody::Events(Box::new(relay))
        }
        Content::Large { held, upstream, idle } => {
            AnswerBody::Large(Box::new(Passing::new(held, upstream, idle, settlement)))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Says what went wrong in the client's dialect, and settles.
pub(crate) fn fail(
    error: &RequestError,
    dialect: Dialect,
    settlement: Option<Settlement>,
    request_id: Option<&str>,
) -> Response<AnswerBody> {
    let id = settlement.as_ref().map(|it| it.request_id().to_owned());
    let id = id.or_else(|| request_id.map(str::to_owned)).unwrap_or_default();
    let api_error = error.to_api_error().with_request_id(&id);
    let mut response = draw(&api_error, dialect);
    set(response.headers_mut(), REQUEST_ID, &id);
    if let Some(mut settlement) = settlement {
        describe(response.headers_mut(), &mut settlement);
        if matches!(error, RequestError::Unrecorded(_)) {
            settlement.forgo_record();
        }
        let bytes = usize::try_from(http_body::Body::size_hint(response.body()).lower());
        let status = response.status();
        settlement.refuse(error.outcome(), status, api_error.code, bytes.unwrap_or(0));
    }
    response
}

/// Draws an error as a whole response.
pub(crate) fn draw(error: &ApiError, dialect: Dialect) -> Response<AnswerBody> {
    let mut response = Response::new(AnswerBody::Whole(error.body(dialect)));
    let status = StatusCode::from_u16(error.status);
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE_JSON));
    if let Some(wait) = error.retry_after {
        // Whole seconds, and never so few that the client comes too early.
        let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    }
    response
}

/// Our own headers, as far as they are known.
fn describe(headers: &mut HeaderMap, settlement: &mut Settlement) {
    set(headers, REQUEST_ID, settlement.request_id());
    if let Some((endpoint, attempts)) = settlement.served_by() {
        set(headers, PROVIDER, &endpoint.provider);
        set(headers, MODEL, &endpoint.model);
        headers.insert(ATTEMPTS, HeaderValue::from(attempts));
    }
}

/// Sets a header; a name of the configuration that no header can carry is left out.
fn set(headers: &mut HeaderMap, name: HeaderName, value: impl Display) {
    if let Ok(value) = HeaderValue::try_from(value.to_string()) {
        headers.insert(name, value);
    }
}
