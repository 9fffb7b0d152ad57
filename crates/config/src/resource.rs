//! What can be declared, by `bitrouter.yaml` or through the admin API: one type for each kind of
//! resource, as it is stored and shown.
//!
//! Secrets are not part of a resource; they are declared beside it ([`DeclaredAccount`]), sealed in a
//! place of their own and never shown again.

use bitrouter_keys::{Pattern, Secret};
use bitrouter_metering::Price;
use bitrouter_translate::Dialect;
use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

/// A configured model source. Its id is its key in `providers`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// First match on the upstream's model id wins. Empty: it serves no model traffic.
    pub dialects: Vec<DialectRule>,
    /// At most one per dialect, and one without a dialect that serves the rest. Normalised: version
    /// path included, no trailing slash.
    pub base_urls: Vec<BaseUrl>,
    /// How an account's secret travels.
    #[serde(default)]
    pub auth: Auth,
    /// Sent with every request to the provider.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub default_headers: IndexMap<String, String>,
    /// The provider's catalogue, by its own model ids.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub models: IndexMap<String, Model>,
    /// Lower goes first where a bare model name is served by several providers.
    #[serde(default)]
    pub priority: i32,
    /// Declaration order: breaks ties of `priority`.
    #[serde(default)]
    pub position: u32,
    /// How its tokens are paid for.
    #[serde(default)]
    pub billing: Billing,
    /// How one of several accounts is chosen.
    #[serde(default)]
    pub account_strategy: AccountStrategy,
    /// Limits of one upstream attempt.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// Set if the provider takes no traffic: what is missing, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inactive_reason: Option<String>,
    /// True if requests need one of its accounts; false for open servers.
    pub needs_account: bool,
    /// True if it reports usage at the end of a stream without being asked, or refuses to be asked.
    #[serde(default)]
    pub stream_usage_unasked: bool,
    /// Labels that presets can require.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Other names before `:` and `/` in model names, where no provider has the name as its id.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
}

/// Which dialects serve the models that a pattern matches.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct DialectRule {
    /// Over the upstream's model id.
    pub glob: Pattern,
    /// In order of preference.
    pub dialects: Vec<Dialect>,
}

/// Where a dialect is served.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct BaseUrl {
    /// Absent: every dialect that has no base URL of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// With the version path, without a trailing slash.
    pub url: Url,
}

/// How an account's secret travels.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "type", deny_unknown_fields)]
pub enum Auth {
    /// As the dialect has it: `authorization: Bearer`, `x-api-key` or `x-goog-api-key`.
    #[default]
    Bearer,
    /// In a header of the provider's own.
    Header {
        /// Lower case.
        header_name: String,
    },
}

/// One model of a provider's catalogue.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Model {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A sentence about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The context window, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// The longest answer, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// What it takes: `text`, `image`, `audio`, `video`, `file`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub input_modalities: Vec<String>,
    /// What it gives.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub output_modalities: Vec<String>,
    /// Absent: unknown, which is not free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
    /// Where set, overrides the provider's.
    #[serde(skip_serializing_if = "Timeouts::is_empty")]
    pub timeouts: Timeouts,
}

/// How a provider's tokens are paid for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Billing {
    /// Each token has a price.
    #[default]
    Token,
    /// Tokens are counted; the price is zero by declaration.
    Subscription,
    /// Runs on one's own hardware; the price is zero by declaration.
    Local,
}

/// How one of several accounts is chosen.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStrategy {
    /// In declaration order.
    #[default]
    Failover,
    /// Weighted round robin.
    Balance,
}

/// Limits of one upstream attempt, in milliseconds. Absent: the data plane's default.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// Until the connection stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_ms: Option<u32>,
    /// From sending the request to the first meaningful byte of the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u32>,
    /// Between two pieces of a streamed answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_ms: Option<u32>,
    /// For a whole answer that is not streamed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_ms: Option<u32>,
}

impl Timeouts {
    /// True if nothing is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One credential of a provider. Its id is `<provider>/<label>`; that of an account which belongs to
/// one endpoint of a route is `<provider>/route:<route>:<index>`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// The provider that it belongs to.
    pub provider: String,
    /// Its name among that provider's accounts.
    pub label: String,
    /// Overrides the provider's base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Url>,
    /// For weighted round robin. At least 1.
    #[serde(default = "one")]
    pub weight: u32,
    /// Declaration order.
    #[serde(default)]
    pub position: u32,
    /// Set if the account belongs to one endpoint of this route and serves nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// An account together with its secret.
#[derive(Clone, Debug)]
pub struct DeclaredAccount {
    /// What is stored and shown.
    pub account: Account,
    /// What is sealed.
    pub secret: Secret,
}

/// A public model name. Its id is the name.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// How its endpoints are ordered.
    #[serde(default)]
    pub strategy: Strategy,
    /// At least one.
    pub endpoints: Vec<RouteEndpoint>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// A sentence about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Requests with more input are refused. In tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// Requests that ask for more output are refused. In tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// What happens where a translation would lose something.
    #[serde(default)]
    pub fidelity: Fidelity,
    /// Where the request's content may go.
    #[serde(default)]
    pub data: DataPolicy,
}

/// How a route's endpoints are ordered. Every strategy fails over to the rest.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In declaration order. `cascade` is another name for it.
    #[default]
    #[serde(alias = "cascade")]
    Priority,
    /// Weighted round robin.
    LoadBalance,
    /// Fewest requests in flight first.
    LeastBusy,
    /// Shortest observed time to the first token first.
    LowestLatency,
    /// Cheapest list price first.
    LowestCost,
    /// Local providers first, then declaration order.
    LocalFirst,
}

/// One endpoint of a route.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RouteEndpoint {
    /// The provider's id.
    pub provider: String,
    /// The provider's own model id.
    pub model: String,
    /// The only account to use. Absent: the provider's accounts by its strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Overrides the base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Url>,
    /// For weighted round robin. At least 1.
    #[serde(default = "one")]
    pub weight: u32,
}

/// What happens where a translation would lose something.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fidelity {
    /// The loss is reported with the answer.
    #[default]
    Report,
    /// The request is refused.
    Strict,
}

/// Where a request's content may go.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DataPolicy {
    /// To any provider.
    #[default]
    Any,
    /// Only to providers with `billing: local`.
    LocalOnly,
}

/// A named bundle, used as the model `@name`. Its id is the name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Preset {
    /// The model that it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Put before the request's own instructions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub system_prompt: Option<String>,
    /// Request parameters; they apply where the request does not set them.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Which candidates, in which order.
    pub routing: Routing,
}

/// A named way of choosing among candidates, used as the suffix `:name`. Its id is the name.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Variant {
    /// Which candidates, in which order.
    pub routing: Routing,
    /// Request parameters; they apply where the request does not set them.
    #[serde(skip_serializing_if = "serde_json::Map::is_empty")]
    pub parameters: serde_json::Map<String, serde_json::Value>,
}

/// Filters and order of candidates.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Routing {
    /// Replaces the strategy's order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sort: Option<Sort>,
    /// Only these providers. Empty: all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub only: Vec<String>,
    /// Not these providers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ignore: Vec<String>,
    /// A candidate's provider must carry all of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub require_tags: Vec<String>,
}

/// What candidates are sorted by.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// Cheapest list price first.
    Price,
    /// Shortest observed time to the first token first.
    Latency,
    /// Most observed output tokens per second first.
    Throughput,
}

const fn one() -> u32 {
    1
}
