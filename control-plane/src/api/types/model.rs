//! What can be asked for.

use bitrouter_config::resource::Billing;
use bitrouter_metering::Price;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A model name that clients can ask for.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ModelView {
    /// As it is asked for: a route's name, or `<provider>:<model>`.
    pub name: String,
    /// Where it comes from.
    pub source: ModelSource,
    /// The provider's id. Absent for routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// True if something can serve it.
    pub is_active: bool,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
    /// The context window, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
    /// The longest answer, in tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_output_tokens: Option<u64>,
    /// What it takes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub input_modalities: Vec<String>,
    /// What it gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub output_modalities: Vec<String>,
    /// How its tokens are paid for. Absent for routes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub billing: Option<Billing>,
    /// In pico-dollars per token. Absent: unknown, which is not free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<Price>,
}

/// Where a model name comes from.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelSource {
    /// It is a route.
    Route,
    /// It is in a provider's catalogue.
    Provider,
}
