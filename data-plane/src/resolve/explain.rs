//! A plan for people and machines to read, with nothing secret in it.

use std::time::Instant;

use bitrouter_translate::Dialect;
use serde::Serialize;

use super::{Ask, Candidate, LeftOut, Plan, Unresolved};
use crate::{health::Trust, table::Revision};

/// What resolving a name came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Explained {
    /// The model as it was asked for.
    pub model: String,
    /// The client's dialect.
    pub dialect: Dialect,
    /// The configuration in force.
    pub revision: Revision,
    /// The route that the name stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// How the candidates are ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<&'static str>,
    /// What decided between equals.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// In the order in which they would be tried.
    pub candidates: Vec<ExplainedCandidate>,
    /// What would not be tried.
    pub left_out: Vec<ExplainedLeftOut>,
    /// Why it may go nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<ExplainedError>,
}

/// An endpoint that would be tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedCandidate {
    /// The provider's id.
    pub provider: String,
    /// The account's label. Empty: none.
    pub account: String,
    /// The provider's own model id.
    pub model: String,
    /// What would be spoken to it.
    pub dialect: Dialect,
    /// Where.
    pub base_url: String,
    /// Why it stands at its place.
    pub reason: String,
    /// Its health: `trusted`, `probe_due`, `cooling`, `probing`.
    pub health: &'static str,
    /// Requests under way.
    pub in_flight: u32,
    /// The usual time to the first token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
    /// USD per million input tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input_price: Option<String>,
    /// USD per million output tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_price: Option<String>,
}

/// An endpoint that would not be tried.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedLeftOut {
    /// The provider's id.
    pub provider: String,
    /// The account's label. Empty: none.
    pub account: String,
    /// The provider's own model id.
    pub model: String,
    /// Why not.
    pub reason: String,
}

/// Why a name may go nowhere.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExplainedError {
    /// Stable.
    pub code: &'static str,
    /// For people.
    pub message: String,
}

impl Explained {
    /// Puts what [`resolve`](super::resolve) gave into words.
    pub fn new(
        ask: &Ask<'_>,
        revision: Revision,
        outcome: &Result<Plan, Box<Unresolved>>,
        now: Instant,
    ) -> Self {
        let (plan, unresolved) = (outcome.as_ref().ok(), outcome.as_ref().err());
        let route = match outcome {
            Ok(plan) => plan.route.as_ref().map(|route| route.name.to_string()),
            Err(unresolved) => unresolved.route_name.as_ref().map(ToString::to_string),
        };
        let left_out = plan.map_or_else(
            || unresolved.map_or(&[][..], |unresolved| &unresolved.left_out),
            |plan| &plan.left_out,
        );
        let candidates = plan.map_or(&[][..], |plan| &plan.candidates);
        Self {
            model: ask.model.to_owned(),
            dialect: ask.dialect,
            revision,
            route,
            strategy: plan.map(|plan| plan.strategy),
            seed: plan.map(|plan| plan.seed),
            candidates: candidates.iter().map(|it| ExplainedCandidate::new(it, now)).collect(),
            left_out: left_out.iter().map(ExplainedLeftOut::new).collect(),
            error: unresolved
                .map(|it| ExplainedError { code: it.error.code(), message: it.error.to_string() }),
        }
    }
}

impl ExplainedCandidate {
    fn new(it: &Candidate, now: Instant) -> Self {
        let rates = it.price().map(|price| price.base).unwrap_or_default();
        let first_token = it.health.first_token(now);
        let endpoint = it.endpoint();
        Self {
            provider: endpoint.provider.to_string(),
            account: endpoint.account.to_string(),
            model: endpoint.model.to_string(),
            dialect: it.dialect,
            base_url: it.base_url.to_string(),
            reason: it.placed.to_string(),
            health: match it.health.trust(now) {
                Trust::Trusted => "trusted",
                Trust::ProbeDue => "probe_due",
                Trust::Cooling { .. } => "cooling",
                Trust::Probing => "probing",
                Trust::Paused { .. } => "paused",
            },
            in_flight: it.health.in_flight(),
            first_token_ms: first_token.and_then(|it| u64::try_from(it.as_millis()).ok()),
            input_price: rates.input_uncached.map(bitrouter_metering::PicoUsd::usd_per_million),
            output_price: rates.output.map(bitrouter_metering::PicoUsd::usd_per_million),
        }
    }
}

impl ExplainedLeftOut {
    fn new(it: &LeftOut) -> Self {
        Self {
            provider: it.endpoint.provider.to_string(),
            account: it.endpoint.account.to_string(),
            model: it.endpoint.model.to_string(),
            reason: it.reason.to_string(),
        }
    }
}
