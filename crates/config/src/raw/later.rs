//! Sections whose feature is not active yet. Their form is checked all the same.

#![expect(dead_code, reason = "decoding checks the form; nothing uses the values yet")]

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    guardrail::Guardrails,
    route::{Endpoint, Strategy},
    scalar::{Decimal, Money, OneOrMany},
};

/// A section whose form is not settled.
pub(crate) type Anything = Map<String, Value>;

/// Older spellings of sections.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Plugins {
    /// Same as `guardrails`.
    pub(crate) bitrouter_guardrails: Option<Guardrails>,
    /// Same as `telemetry`.
    pub(crate) bitrouter_observe: Option<Anything>,
}

/// A tool name and where it is served.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tool {
    /// How the endpoints are ordered. Default: priority.
    pub(crate) strategy: Option<Strategy>,
    /// What serves it.
    #[schemars(required)]
    pub(crate) endpoints: Option<Vec<Endpoint>>,
    /// A sentence about it.
    pub(crate) description: Option<String>,
    /// JSON Schema of its parameters.
    pub(crate) input_schema: Option<Map<String, Value>>,
    /// The skill that explains it.
    pub(crate) skill: Option<String>,
    /// What a call costs.
    pub(crate) pricing: Option<ToolPricing>,
}

/// USD per call.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ToolPricing {
    /// For every tool.
    pub(crate) default: Option<Decimal>,
    /// By the upstream's tool id.
    pub(crate) overrides: Option<IndexMap<String, Decimal>>,
}

/// An MCP server: a URL, or a command to start.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct McpServer {
    /// Streamable HTTP.
    pub(crate) url: Option<String>,
    /// Standard input and output.
    pub(crate) command: Option<String>,
    /// Its arguments.
    pub(crate) args: Option<Vec<String>>,
    /// Its variables.
    pub(crate) env: Option<IndexMap<String, String>>,
    /// Sent with every request.
    pub(crate) headers: Option<IndexMap<String, String>>,
    /// How it is reached. Default: told from `url` or `command`.
    #[serde(rename = "type", alias = "transport")]
    pub(crate) transport: Option<String>,
    /// The key.
    pub(crate) api_key: Option<String>,
    /// Default: true.
    pub(crate) enabled: Option<bool>,
    /// A sentence about it.
    pub(crate) description: Option<String>,
    /// Expose it as `POST /mcp/<name>`.
    pub(crate) bridge: Option<bool>,
}

/// A rule over models, keys and cost.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Policy {
    /// What people call it.
    pub(crate) name: Option<String>,
    /// Which requests. Absent: all.
    #[serde(rename = "match")]
    pub(crate) matches: Option<PolicyMatch>,
    /// Providers or models that may serve them.
    pub(crate) allow: Option<OneOrMany<String>>,
    /// Providers or models that may not.
    pub(crate) deny: Option<OneOrMany<String>>,
    /// Providers or models to try first.
    pub(crate) prefer: Option<OneOrMany<String>>,
    /// In USD.
    pub(crate) max_cost_per_request: Option<Money>,
    /// What happens above that.
    pub(crate) over_cost: Option<OverCost>,
}

/// Which requests a policy is about.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyMatch {
    pub(crate) models: Option<OneOrMany<String>>,
    pub(crate) keys: Option<OneOrMany<String>>,
    pub(crate) users: Option<OneOrMany<String>>,
    pub(crate) tags: Option<OneOrMany<String>>,
}

/// What happens to a request that would cost too much.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverCost {
    /// The route to use instead.
    #[serde(rename = "use")]
    #[schemars(required)]
    pub(crate) route: Option<String>,
}

/// A spending limit.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Budget {
    /// `key:ID`, `user:ID`, `team:ID`, `provider:ID`, `model:PATTERN` or `all`.
    #[schemars(required)]
    pub(crate) owner: Option<String>,
    /// In USD.
    #[schemars(required)]
    pub(crate) limit: Option<Money>,
    /// `total`, `day`, `week`, `month`, `every:1h`, `duration:30d`, `session` or `rounds:10`.
    pub(crate) window: Option<String>,
    /// How firmly it holds. Default: strict.
    pub(crate) mode: Option<BudgetMode>,
    /// When to tell: percentages of the limit.
    pub(crate) alerts: Option<Vec<Value>>,
    /// Take what is left over into the next window.
    pub(crate) rollover: Option<bool>,
    /// When the window begins.
    pub(crate) reset: Option<Value>,
}

/// How firmly a budget holds.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BudgetMode {
    Strict,
    Expected,
    Soft,
}

/// The wallet.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wallet {
    /// Its name.
    pub(crate) name: Option<String>,
    /// Where its keys are.
    pub(crate) vault_path: Option<String>,
    /// How it pays.
    pub(crate) payment: Option<Payment>,
}

/// How the wallet pays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Payment {
    pub(crate) tempo_rpc_url: Option<String>,
    pub(crate) solana_rpc_url: Option<String>,
    pub(crate) session_max_deposit: Option<u64>,
    pub(crate) session_default_deposit: Option<u64>,
}

/// The Machine Payment Protocol.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mpp {
    /// Default: true, if the section is there.
    pub(crate) enabled: Option<bool>,
    /// The name shown to payers.
    pub(crate) realm: Option<String>,
    /// Authenticates challenges.
    pub(crate) secret_key: Option<String>,
    /// By name.
    pub(crate) networks: Option<IndexMap<String, Network>>,
}

/// A payment network.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Network {
    pub(crate) recipient: Option<String>,
    pub(crate) escrow_contract: Option<String>,
    pub(crate) rpc_url: Option<String>,
    pub(crate) currency: Option<String>,
    pub(crate) fee_payer: Option<bool>,
    pub(crate) default_deposit: Option<String>,
}
