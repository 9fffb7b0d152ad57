//! The admin API: what operators, the command line and the console use.
//!
//! One table of endpoints makes both the router and the OpenAPI document. Over the network every
//! request needs an admin token and must be meant for this listener; over the control socket, which
//! only its owner can open, it needs neither.

mod apply;
mod audit;
mod auth;
mod endpoint;
mod error;
mod extract;
mod keys;
mod models;
mod openapi;
mod providers;
mod requests;
mod routes;
mod status;
#[cfg(test)]
mod tests;
pub mod types;
mod usage;
mod users;
mod view;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware::from_fn_with_state};

pub use auth::Access;

use self::{auth::Admission, endpoint::Endpoint};
use crate::plane::Shared;

/// The largest body that is taken in.
const MOST_BODY_BYTES: usize = 4 * 1024 * 1024;

/// What every handler works with.
pub(crate) type Api = Arc<Shared>;

/// Everything that the API offers, in the order of its document.
fn endpoints() -> Vec<Endpoint> {
    [
        status::endpoints(),
        providers::endpoints(),
        routes::endpoints(),
        models::endpoints(),
        users::endpoints(),
        keys::endpoints(),
        usage::endpoints(),
        requests::endpoints(),
        audit::endpoints(),
        apply::endpoints(),
        openapi::endpoints(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The router for one kind of listener.
pub(crate) fn router(api: Api, access: Access, more: Router) -> Router {
    let mut router = Router::new();
    for endpoint in endpoints() {
        router = router.route(endpoint.path, endpoint.handler);
    }
    let admission = Admission { api: Arc::clone(&api), access };
    router
        .with_state(Arc::clone(&api))
        .merge(more)
        .fallback(error::unknown_path)
        .method_not_allowed_fallback(error::unknown_method)
        .layer(DefaultBodyLimit::max(MOST_BODY_BYTES))
        .layer(from_fn_with_state(api, extract::revision_header))
        .layer(from_fn_with_state(admission, auth::admit))
}
