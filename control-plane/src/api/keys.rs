//! Virtual keys.

use std::time::Duration;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        extract::{By, IdempotencyKey, Name, Params, Raw, read_json},
        types::{KeyView, List, MintRequest, Minted, Revoked, RotateRequest},
        view::{PageQuery, changed, versioned},
    },
    keys::{Answer, view},
    resource::{Kind, Resource, Spec},
};

/// How long a revocation waits for the data planes' confirmation.
const CONFIRMATION: Duration = Duration::from_secs(1);

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/keys", list)
            .says("keys", "Virtual keys, without their secrets")
            .query::<PageQuery>()
            .answers::<List<KeyView>>(),
        Endpoint::post("/v1/keys", mint)
            .says("keys", "Mint a key; its secret is in this answer only")
            .body::<MintRequest>()
            .answers::<Minted>()
            .idempotent(),
        Endpoint::get("/v1/keys/{id}", show)
            .says("keys", "A virtual key, without its secret")
            .answers::<KeyView>(),
        Endpoint::post("/v1/keys/{id}/revoke", revoke)
            .says("keys", "Take a key back, at once and for good")
            .answers::<Revoked>(),
        Endpoint::post("/v1/keys/{id}/rotate", rotate)
            .says("keys", "Replace a key's secret; the new one is in this answer only")
            .body::<RotateRequest>()
            .answers::<Minted>()
            .idempotent(),
    ]
}

async fn list(
    State(api): State<Api>,
    Params(page): Params<PageQuery>,
) -> Result<Json<List<KeyView>>, ApiError> {
    let now_ms = api.clock.now_ms();
    let List { items, next } = page.read(&api, Kind::VirtualKey).await?;
    let shown = |key: &Resource| match &key.spec {
        Spec::VirtualKey(spec) => Some(view(key, spec, now_ms)),
        _ => None,
    };
    Ok(Json(List { items: items.iter().filter_map(shown).collect(), next }))
}

async fn mint(
    State(api): State<Api>,
    By(actor): By,
    key: IdempotencyKey,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let request: MintRequest = read_json(&body)?;
    let once = key.once(&body, api.clock.now_ms());
    let answer = api.keys.mint(&actor, request, once).await?;
    Ok((StatusCode::CREATED, secret(answer)).into_response())
}

async fn show(State(api): State<Api>, Name(id): Name) -> Result<Response, ApiError> {
    let view = api.keys.show(&id).await?;
    let version = view.meta.resource_version;
    Ok(versioned(view, version))
}

async fn revoke(
    State(api): State<Api>,
    By(actor): By,
    Name(id): Name,
) -> Result<Response, ApiError> {
    let (view, revision) = api.keys.revoke(&actor, &id).await?;
    let unconfirmed_nodes = api.nodes.unconfirmed(revision.0, CONFIRMATION).await;
    let revoked = Revoked { view, revision, unconfirmed_nodes };
    Ok(changed(Json(revoked).into_response(), revision))
}

async fn rotate(
    State(api): State<Api>,
    By(actor): By,
    Name(id): Name,
    key: IdempotencyKey,
    Raw(body): Raw,
) -> Result<Response, ApiError> {
    let RotateRequest { grace_s } = read_json(&body)?;
    let once = key.once(&body, api.clock.now_ms());
    let grace = Duration::from_secs(grace_s);
    let answer = api.keys.rotate(&actor, &id, grace, once).await?;
    Ok(secret(answer))
}

/// An answer that no cache may keep.
fn secret(answer: Answer) -> Response {
    let mut response = answer.body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match answer.revision {
        Some(revision) => changed(response, revision),
        None => response,
    }
}
