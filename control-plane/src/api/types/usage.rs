//! Sums over requests.

use bitrouter_metering::{Micros, Tokens};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// What usage is summed by.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageBy {
    /// The provider's own model id.
    #[default]
    Model,
    /// The virtual key.
    Key,
    /// The user.
    User,
    /// The provider that served.
    Provider,
    /// The route. Requests that named a model go without.
    Route,
    /// The day, in UTC.
    Day,
    /// The hour.
    Hour,
}

/// `GET /v1/usage`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct UsageQuery {
    /// What to sum by.
    pub by: UsageBy,
    /// Requests that started at this time or later. Absent: 30 days ago.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// Requests that started before this time. Absent: now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
}

/// The answer of `GET /v1/usage`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct UsageReport {
    /// What is summed by.
    pub by: UsageBy,
    /// The period's begin; sums are kept by the hour, so it is rounded down to one.
    pub since: Time,
    /// The period's end, not included.
    pub until: Time,
    /// The dearest first; by day and hour in order.
    pub rows: Vec<UsageRow>,
    /// Over all rows.
    pub total: UsageTotals,
}

/// One group's sums.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct UsageRow {
    /// The model, key, user, provider, route, day or begin of the hour. Empty: the request had none.
    pub group: String,
    /// The sums.
    #[serde(flatten)]
    pub totals: UsageTotals,
}

/// Sums over some requests.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct UsageTotals {
    /// How many there were.
    pub requests: u64,
    /// How many of them did not end with a whole answer.
    pub failed: u64,
    /// What they used.
    pub tokens: Tokens,
    /// What they cost.
    pub cost_micros: Micros,
    /// How many had usage without a price: the cost is then a lower bound.
    pub unpriced: u64,
}
