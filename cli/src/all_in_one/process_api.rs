//! The endpoints that this process adds to the admin API: its own life, and what only a data plane in
//! the same process can tell.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use http::StatusCode;
use tokio::sync::oneshot;

use super::keeper::Wish;
use super::shell::Shell;
use crate::failure::{Exit, Failure};
use crate::process::{
    EndpointView, EphemeralRoute, Flushed, PlanView, Process, ProviderTest, ReloadRequest,
    Reloaded, ResolveRequest, StopRequest, Stopping,
};

/// How long `flush` waits for the control plane.
const FLUSH: Duration = Duration::from_secs(1);

type Answer<T> = Result<Json<T>, Failure>;

/// The endpoints.
pub(super) fn router(shell: Arc<Shell>) -> Router {
    Router::new()
        .route("/v1/process", get(process))
        .route("/v1/reload", post(reload))
        .route("/v1/stop", post(stop))
        .route("/v1/flush", post(flush))
        .route("/v1/resolve", post(resolve))
        .route("/v1/endpoints", get(endpoints))
        .route("/v1/ephemeral-routes/{name}", put(add_route).delete(remove_route))
        .route("/v1/providers/{id}/test", post(test_provider))
        .with_state(shell)
}

async fn process(State(shell): State<Arc<Shell>>) -> Json<Process> {
    Json(shell.process())
}

async fn reload(
    State(shell): State<Arc<Shell>>,
    Body(request): Body<ReloadRequest>,
) -> Answer<Reloaded> {
    // Only what provider keys are read from, now or in the changed file: this is no way to change
    // other variables.
    let names = shell.env_names();
    let is_key = |name: &str| name.ends_with("_API_KEY") || name.ends_with("_BASE_URL");
    let env = request.env.into_iter().filter(|(name, _)| names.contains(name) || is_key(name));
    let env = env.collect();
    let (done, answer) = oneshot::channel();
    shell.ask(Wish::Reload { env, done }, answer).await?.map(Json)
}

async fn stop(State(shell): State<Arc<Shell>>, Body(request): Body<StopRequest>) -> Json<Stopping> {
    shell.stop(request.drain_s.map(|drain_s| Duration::from_secs(u64::from(drain_s))));
    Json(Stopping { pid: std::process::id() })
}

/// Waits until what has been recorded so far can be read back, for a second at most.
async fn flush(State(shell): State<Arc<Shell>>) -> Json<Flushed> {
    let stored = shell.data_plane.spool().acknowledged();
    Json(Flushed { is_complete: tokio::time::timeout(FLUSH, stored).await.is_ok() })
}

async fn resolve(
    State(shell): State<Arc<Shell>>,
    Body(request): Body<ResolveRequest>,
) -> Answer<PlanView> {
    shell.resolve(&request).map(Json)
}

async fn endpoints(State(shell): State<Arc<Shell>>) -> Json<Vec<EndpointView>> {
    Json(shell.endpoints())
}

async fn add_route(
    State(shell): State<Arc<Shell>>,
    Path(name): Path<String>,
    Body(route): Body<EphemeralRoute>,
) -> Answer<EphemeralRoute> {
    let (done, answer) = oneshot::channel();
    let wish = Wish::Route { name, route: Some(route.spec.clone()), done };
    shell.ask(wish, answer).await??;
    Ok(Json(route))
}

async fn remove_route(
    State(shell): State<Arc<Shell>>,
    Path(name): Path<String>,
) -> Result<StatusCode, Failure> {
    let (done, answer) = oneshot::channel();
    shell.ask(Wish::Route { name, route: None, done }, answer).await??;
    Ok(StatusCode::NO_CONTENT)
}

async fn test_provider(
    State(shell): State<Arc<Shell>>,
    Path(id): Path<String>,
) -> Answer<Vec<ProviderTest>> {
    shell.test_provider(&id).await.map(Json)
}

/// A JSON body; one that cannot be read is answered in the shape of every other error.
struct Body<T>(T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &S) -> Result<Self, Failure> {
        let invalid = |message: String| Failure::usage(message).kind("invalid_request");
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|rejection| invalid(rejection.body_text()))?;
        let bytes = if bytes.is_empty() { &b"{}"[..] } else { &bytes };
        serde_json::from_slice(bytes)
            .map(Self)
            .map_err(|error| invalid(format!("the body is not what is expected: {error}")))
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match self.exit() {
            Exit::Usage => StatusCode::BAD_REQUEST,
            Exit::Failed => StatusCode::UNPROCESSABLE_ENTITY,
            Exit::NotFound => StatusCode::NOT_FOUND,
            Exit::Refused => StatusCode::CONFLICT,
            Exit::Unreachable => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(serde_json::json!({ "error": self }))).into_response()
    }
}
