//! What the data plane knows, as the process-level endpoints show it.

use bitrouter_control_plane::api::types::LeftOutView;
use bitrouter_data_plane::health::Trust;
use bitrouter_data_plane::inspect::{EndpointState, Listing, NoPlan};
use bitrouter_data_plane::resolve::{Candidate, LeftOut, Plan};

use crate::failure::Failure;
use crate::process::{CandidateView, EndpointView, PlanView, ProviderTest};

/// Where a name goes, or why it goes nowhere.
pub(super) fn plan(model: &str, planned: Result<Plan, NoPlan>) -> Result<PlanView, Failure> {
    let view = PlanView {
        model: model.to_owned(),
        route: None,
        strategy: String::new(),
        candidates: Vec::new(),
        left_out: Vec::new(),
        problem: None,
    };
    match planned {
        Ok(plan) => Ok(PlanView {
            route: plan.route.as_ref().map(|route| route.name.to_string()),
            strategy: plan.strategy.to_owned(),
            candidates: plan.candidates.iter().map(candidate).collect(),
            left_out: plan.left_out.iter().map(left_out).collect(),
            ..view
        }),
        Err(NoPlan::Unresolved(unresolved)) => Ok(PlanView {
            route: unresolved.route_name.as_ref().map(ToString::to_string),
            left_out: unresolved.left_out.iter().map(left_out).collect(),
            problem: Some(unresolved.error.to_string()),
            ..view
        }),
        Err(error @ NoPlan::NoKey(_)) => Err(Failure::not_found(error.to_string())),
    }
}

fn candidate(candidate: &Candidate) -> CandidateView {
    CandidateView {
        provider: candidate.provider.id.to_string(),
        account: candidate.account.as_ref().map(|account| account.label.to_string()),
        model: candidate.model.to_string(),
        dialect: candidate.dialect,
        base_url: candidate.base_url.to_string(),
        reason: candidate.placed.to_string(),
    }
}

fn left_out(left_out: &LeftOut) -> LeftOutView {
    let endpoint = &left_out.endpoint;
    LeftOutView {
        provider: endpoint.provider.to_string(),
        account: Some(endpoint.account.to_string()).filter(|label| !label.is_empty()),
        model: endpoint.model.to_string(),
        reason: left_out.reason.to_string(),
    }
}

/// How an endpoint has been doing.
pub(super) fn endpoint(endpoint: &EndpointState) -> EndpointView {
    let state = match endpoint.trust {
        Trust::Trusted => "healthy".to_owned(),
        Trust::ProbeDue => "cooled down; the next request finds out".to_owned(),
        Trust::Probing => "cooled down; a request is finding out".to_owned(),
        Trust::Cooling { remaining, .. } => format!("cooling down for {} s", remaining.as_secs()),
        Trust::Paused { remaining } => {
            format!("paused for {} s, as the provider asked", remaining.as_secs())
        }
    };
    EndpointView {
        account: endpoint.account.to_string(),
        model: endpoint.model.to_string(),
        state,
        in_flight: endpoint.in_flight,
        first_token_ms: endpoint
            .first_token
            .map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// What asking a provider for its models gave.
pub(super) fn listing(provider: &str, listing: Listing) -> ProviderTest {
    let is_ok = matches!(listing.answer, Ok(200..=299));
    let outcome = match listing.answer {
        Ok(200..=299) => "it answers".to_owned(),
        Ok(status @ (401 | 403)) => format!("it refuses the key ({status})"),
        Ok(404) => {
            "it answers, but has no model listing there (404): is the base URL right?".to_owned()
        }
        Ok(status) => format!("it answers with {status}"),
        Err(problem) => problem,
    };
    ProviderTest {
        provider: provider.to_owned(),
        account: listing.account.map(|label| label.to_string()),
        is_ok,
        outcome,
        duration_ms: u64::try_from(listing.took.as_millis()).unwrap_or(u64::MAX),
    }
}
