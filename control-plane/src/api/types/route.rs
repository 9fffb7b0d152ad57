//! Routes.

use bitrouter_config::resource::Route;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Meta;

/// A route as it is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RouteView {
    /// The model name that clients ask for.
    pub name: String,
    /// Owner, version and times.
    #[serde(flatten)]
    pub meta: Meta,
    /// What was declared.
    pub spec: Route,
}

/// Declares a route: `PUT /v1/routes/{name}`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct RoutePut {
    /// What is declared.
    pub spec: Route,
}
