//! `models` (routes), `presets` and `variants`.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

/// A public model name.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Route {
    /// How the endpoints are ordered. Default: priority.
    pub(crate) strategy: Option<Strategy>,
    /// What serves it. May be left out with `cascade`.
    pub(crate) endpoints: Option<Vec<Endpoint>>,
    /// What people call it.
    pub(crate) name: Option<String>,
    /// A sentence about it.
    pub(crate) description: Option<String>,
    /// Requests with more input are refused. In tokens.
    #[schemars(range(min = 1))]
    pub(crate) max_input_tokens: Option<u64>,
    /// Requests that ask for more output are refused. In tokens.
    #[schemars(range(min = 1))]
    pub(crate) max_output_tokens: Option<u64>,
    /// What happens where a translation would lose something. Default: report.
    pub(crate) fidelity: Option<Fidelity>,
    /// Where the content may go. Default: any.
    pub(crate) data: Option<Data>,
}

/// How endpoints are ordered. Every strategy fails over to the rest.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Strategy {
    Priority,
    LoadBalance,
    LeastBusy,
    LowestLatency,
    LowestCost,
    LocalFirst,
    Cascade,
}

/// What happens where a translation would lose something.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Fidelity {
    Report,
    Strict,
}

/// Where the content may go.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Data {
    Any,
    LocalOnly,
}

/// One endpoint.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Endpoint {
    /// The provider's id.
    #[schemars(required)]
    pub(crate) provider: Option<String>,
    /// The provider's own id of the model or tool.
    pub(crate) service_id: Option<String>,
    /// Same as `service_id`.
    pub(crate) model_id: Option<String>,
    /// Same as `service_id`.
    pub(crate) tool_id: Option<String>,
    /// A key for this endpoint only.
    pub(crate) api_key: Option<String>,
    /// A base URL for this endpoint only.
    pub(crate) api_base: Option<String>,
    /// For `load_balance`. Default: 1.
    #[schemars(range(min = 1))]
    pub(crate) weight: Option<u32>,
}

/// A named bundle.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Preset {
    /// The model that it stands for.
    pub(crate) model: Option<String>,
    /// Put before the request's own instructions.
    pub(crate) system_prompt: Option<String>,
    /// Request parameters; they apply where the request sets none.
    pub(crate) parameters: Option<Map<String, Value>>,
    /// Which candidates, in which order.
    pub(crate) routing: Option<Routing>,
}

/// Which candidates, in which order.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Routing {
    /// Replaces the strategy's order.
    pub(crate) sort: Option<Sort>,
    /// A candidate's provider must carry all of them.
    pub(crate) require_tags: Option<Vec<String>>,
    /// Only these providers.
    pub(crate) only: Option<Vec<String>>,
    /// Not these providers.
    pub(crate) ignore: Option<Vec<String>>,
}

/// A named way of choosing.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Variant {
    /// Replaces the strategy's order.
    pub(crate) sort: Option<Sort>,
    /// A candidate's provider must carry all of them.
    pub(crate) require_tags: Option<Vec<String>>,
    /// Only these providers.
    pub(crate) only: Option<Vec<String>>,
    /// Not these providers.
    pub(crate) ignore: Option<Vec<String>>,
    /// Request parameters; they apply where the request sets none.
    pub(crate) parameters: Option<Map<String, Value>>,
}

/// What candidates are sorted by.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Sort {
    Price,
    Latency,
    Throughput,
}
