//! How the control plane and its data planes are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::resource::Revision;

/// `GET /v1/status`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Status {
    /// The control plane's version.
    pub version: String,
    /// The newest revision.
    pub revision: Revision,
    /// Over everything that is published; a data plane that has it has exactly this configuration.
    pub state_hash: String,
    /// Where it keeps its state: `sqlite` or `postgres`.
    pub database: String,
    /// When the process started.
    pub started_at: Time,
    /// Providers that take traffic.
    pub active_providers: Vec<String>,
    /// How many model names can be asked for.
    pub model_count: u64,
    /// The data planes that have been seen since the start.
    pub nodes: Vec<NodeView>,
}

/// A data plane.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct NodeView {
    /// Names it across restarts.
    pub id: String,
    /// Its software's version.
    pub version: String,
    /// True if its configuration stream is open.
    pub is_connected: bool,
    /// When it was last heard of.
    pub last_seen: Time,
    /// What it serves.
    pub applied_revision: Revision,
    /// True if it serves the newest revision and has refused nothing of it.
    pub is_in_sync: bool,
    /// What it has refused; each of these keeps its previous version there.
    pub rejections: Vec<RejectionView>,
    /// Bytes in its usage log.
    pub spool_bytes: u64,
    /// The age of the oldest usage record that is not stored yet.
    pub oldest_unacked_ms: u64,
    /// True if its usage log contradicts what was stored (a cloned or restored disk): nothing is
    /// accepted from it until an operator has looked.
    pub is_quarantined: bool,
}

/// A resource that a data plane refused.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RejectionView {
    /// The resource's kind.
    pub kind: String,
    /// The resource's id.
    pub id: String,
    /// The version that stays in force there. Zero: none.
    pub kept_version: Revision,
    /// Why.
    pub reason: String,
}

/// `GET /v1/revision`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RevisionView {
    /// The newest revision.
    pub revision: Revision,
    /// Over everything that is published.
    pub state_hash: String,
}
