//! The JSON of the endpoints that this process adds to the admin API: its own life, and what only a
//! data plane in the same process can tell. One definition for server and commands.

use std::collections::{BTreeMap, BTreeSet};

use bitrouter_config::resource::Route;
use bitrouter_control_plane::api::types::LeftOutView;
use bitrouter_translate::Dialect;
use serde::{Deserialize, Serialize};

use crate::daemon::Running;

/// The answer of `GET /v1/process`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Process {
    /// What it is and where it listens.
    #[serde(flatten)]
    pub(crate) running: Running,
    /// True if a request without a key is served.
    pub(crate) skip_auth: bool,
    /// Model servers that were found on this machine.
    pub(crate) discovered: Vec<String>,
    /// What the config asks for and this version does not do.
    pub(crate) not_active: Vec<String>,
    /// Variables that `reload` takes from its caller.
    pub(crate) env_names: BTreeSet<String>,
    /// What the data plane serves.
    pub(crate) data_plane: DataPlaneView,
}

/// The data plane of this process.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct DataPlaneView {
    /// The configuration that it serves.
    pub(crate) applied_revision: u64,
    /// True if its stream from the control plane is open.
    pub(crate) is_connected: bool,
}

/// The body of `POST /v1/reload`.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct ReloadRequest {
    /// Provider keys and base URLs of the caller's environment. Secrets.
    pub(crate) env: BTreeMap<String, String>,
}

/// The answer of `POST /v1/reload`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Reloaded {
    /// The configuration's revision now.
    pub(crate) revision: u64,
    /// The names of the variables that the caller changed.
    pub(crate) changed_env: Vec<String>,
    /// What works, but not as somebody may expect.
    pub(crate) warnings: Vec<String>,
}

/// The body of `POST /v1/stop`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct StopRequest {
    /// How long requests that are under way may take. Absent: 30 seconds.
    pub(crate) drain_s: Option<u32>,
}

/// The answer of `POST /v1/stop`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Stopping {
    /// The process that ends.
    pub(crate) pid: u32,
}

/// The answer of `POST /v1/flush`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Flushed {
    /// True if the records of all requests that have ended are stored.
    pub(crate) is_complete: bool,
}

/// The body of `POST /v1/resolve`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ResolveRequest {
    /// The name as a client would send it.
    pub(crate) model: String,
    /// What the client speaks.
    pub(crate) dialect: Dialect,
    /// Only what this virtual key (its id) may use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
}

/// Where a name goes: the answer of `POST /v1/resolve`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct PlanView {
    /// The name that was asked for.
    pub(crate) model: String,
    /// The route that it stands for. Absent: it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) route: Option<String>,
    /// What orders the candidates.
    pub(crate) strategy: String,
    /// In the order in which they would be tried.
    pub(crate) candidates: Vec<CandidateView>,
    /// Endpoints that would not be tried, and why.
    pub(crate) left_out: Vec<LeftOutView>,
    /// Set if no endpoint can serve it: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) problem: Option<String>,
}

/// An endpoint that would be tried.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CandidateView {
    /// The provider's id.
    pub(crate) provider: String,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// The provider's own model id.
    pub(crate) model: String,
    /// What the provider would be spoken to in.
    pub(crate) dialect: Dialect,
    /// Where the request would be sent.
    pub(crate) base_url: String,
    /// Why it is at this place.
    pub(crate) reason: String,
}

/// How an endpoint has been doing: an item of the answer of `GET /v1/endpoints`.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct EndpointView {
    /// The account's id, or the provider's where none is used.
    pub(crate) account: String,
    /// The provider's own model id.
    pub(crate) model: String,
    /// Whether it would be tried now, for people.
    pub(crate) state: String,
    /// Requests under way.
    pub(crate) in_flight: u32,
    /// Until the first token, as last observed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_token_ms: Option<u64>,
}

/// The body of `PUT /v1/ephemeral-routes/{name}`.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EphemeralRoute {
    /// What is declared.
    pub(crate) spec: Route,
}

/// What asking a provider for its models gave: the answer of `POST /v1/providers/{id}/test`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct ProviderTest {
    /// The provider's id.
    pub(crate) provider: String,
    /// The account whose key was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    /// True if it answered with a listing.
    pub(crate) is_ok: bool,
    /// What came of it, for people.
    pub(crate) outcome: String,
    /// How long it took.
    pub(crate) duration_ms: u64,
}
