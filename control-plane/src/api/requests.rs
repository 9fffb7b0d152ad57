//! Single requests.

use axum::{Json, extract::State};
use uuid::Uuid;

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        extract::{Name, Params},
        types::{List, RequestDetail, RequestQuery, RequestRow, Time},
    },
    ledger::convert::{detail, row, stored},
    store::{RequestFilter, StoreError},
};

const PAGE: u32 = 50;
const LONGEST_PAGE: u32 = 1_000;

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/requests", list)
            .says("requests", "Requests, the newest first")
            .query::<RequestQuery>()
            .answers::<List<RequestRow>>(),
        Endpoint::get("/v1/requests/{id}", show)
            .says("requests", "A request with every attempt and everything that was left out")
            .answers::<RequestDetail>(),
    ]
}

async fn list(
    State(api): State<Api>,
    Params(query): Params<RequestQuery>,
) -> Result<Json<List<RequestRow>>, ApiError> {
    let limit = query.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
    let outcome = match query.outcome.map(stored) {
        // Nothing that is stored ended in a way that is not known.
        Some(None) => return Ok(Json(List::whole(Vec::new()))),
        Some(outcome) => outcome,
        None => None,
    };
    let filter = RequestFilter {
        key_id: query.key,
        user_id: None,
        model: query.model,
        provider: query.provider,
        outcome,
        since_ms: query.since.map(Time::as_millis),
        before: query.after.as_deref().map(read_id).transpose()?,
    };
    let mut found = api.store.requests(&filter, limit + 1).await?;
    let has_more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| has_more).map(|last| last.event_id.to_string());
    Ok(Json(List { items: found.iter().map(row).collect(), next }))
}

async fn show(State(api): State<Api>, Name(id): Name) -> Result<Json<RequestDetail>, ApiError> {
    let found = api.store.request(read_id(&id)?).await?;
    let found = found.ok_or_else(|| ApiError::NotFound { what: "request", id: id.clone() })?;
    let shown = detail(&found).map_err(|source| StoreError::Undecodable {
        what: "request",
        id,
        source: Box::new(source),
    })?;
    Ok(Json(shown))
}

fn read_id(text: &str) -> Result<Uuid, ApiError> {
    Uuid::parse_str(text).map_err(|_| ApiError::Invalid("a request's id is a UUID".to_owned()))
}
