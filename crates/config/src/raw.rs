//! What the file says, in the spellings of both generations.
//!
//! The JSON Schema is made from these types and every value is checked against it before they are
//! decoded, so that a spelling is told here and nowhere else. Fields that must be given are still
//! `Option`s: what is missing has been reported, and the rest can still be looked at. What may hold a
//! key has no `Debug`.

pub(crate) mod guardrail;
pub(crate) mod later;
pub(crate) mod price;
pub(crate) mod provider;
pub(crate) mod route;
pub(crate) mod scalar;
pub(crate) mod server;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

/// The configuration of bitrouter. Top-level keys that begin with `x-` are left alone: they are a
/// place for anchors.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Configuration")]
pub(crate) struct File {
    /// The process's own settings.
    pub(crate) server: Option<server::Server>,
    /// Where the control plane keeps its state.
    pub(crate) database: Option<server::Database>,
    /// False: only the providers declared here exist. Default: true.
    pub(crate) inherit_defaults: Option<bool>,
    /// Model sources, by id. A built-in's id overrides that built-in.
    pub(crate) providers: Option<IndexMap<String, provider::Provider>>,
    /// Public model names (routes), by name.
    pub(crate) models: Option<IndexMap<String, route::Route>>,
    /// Bundles used as the model `@name`.
    pub(crate) presets: Option<IndexMap<String, route::Preset>>,
    /// Ways of choosing, used as the suffix `:name`.
    pub(crate) variants: Option<IndexMap<String, route::Variant>>,
    /// Content rules. Not active in this version.
    pub(crate) guardrails: Option<guardrail::Guardrails>,
    /// Older spellings of `guardrails` and `telemetry`.
    pub(crate) plugins: Option<later::Plugins>,
    /// Tool names and where they are served. Not active in this version.
    pub(crate) tools: Option<IndexMap<String, later::Tool>>,
    /// Settings of the MCP gateway. Not active in this version.
    pub(crate) mcp: Option<later::Anything>,
    /// MCP servers behind the gateway. Not active in this version.
    pub(crate) mcp_servers: Option<IndexMap<String, later::McpServer>>,
    /// Tools that the router runs itself. Not active in this version.
    pub(crate) server_tools: Option<later::Anything>,
    /// Agents. Not active in this version.
    pub(crate) agents: Option<later::Anything>,
    /// Rules over models, keys and cost. Not active in this version.
    pub(crate) policies: Option<Vec<later::Policy>>,
    /// Spending limits. Not active in this version.
    pub(crate) budgets: Option<Vec<later::Budget>>,
    /// Payments: the wallet. Not active in this version.
    pub(crate) wallet: Option<later::Wallet>,
    /// Payments: the Machine Payment Protocol. Not active in this version.
    pub(crate) mpp: Option<later::Mpp>,
    /// Payments: the Solana node. Not active in this version.
    pub(crate) solana_rpc_url: Option<String>,
    /// Export of traces and metrics. Not active in this version.
    pub(crate) telemetry: Option<later::Anything>,
}

/// A provider manifest: one entry of `providers` in a file of its own.
#[derive(Deserialize)]
pub(crate) struct Manifest {
    /// Absent: the file's stem.
    pub(crate) id: Option<String>,
    /// The entry.
    #[serde(flatten)]
    pub(crate) provider: provider::Provider,
}
