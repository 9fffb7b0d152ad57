//! Where a request may go: from the name that it asks for to a plan of ordered candidates, with the
//! reason for each one left out.
//!
//! A pure function of the ask, the table, the endpoints' health, a moment and a seed: the same
//! arguments give the same plan. Nothing falls through to a provider that the operator did not
//! configure.

mod error;
mod expand;
mod explain;
mod listing;
mod name;
mod order;
mod turns;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bitrouter_keys::Secret;
use bitrouter_metering::Price;
use bitrouter_translate::Dialect;
use url::Url;

pub use self::{
    error::{ResolveError, Unresolved},
    explain::{Explained, ExplainedCandidate, ExplainedError, ExplainedLeftOut},
    listing::{Listed, listed, listing},
    order::{By, Placed},
    turns::Turns,
};
use crate::{
    admit::Principal,
    health::{EndpointHealth, Health},
    table::{
        Account, Billing, Model, Parameters, Preset, Provider, Revision, Route, Routing,
        RoutingTable, Sort, Timeouts, Variant,
    },
};

/// What is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// The model as the client wrote it.
    pub model: &'a str,
    /// The client's dialect. Embeddings and legacy completions come as `ChatCompletions`.
    pub dialect: Dialect,
    /// What is to be done.
    pub operation: Operation,
    /// Who asks.
    pub principal: &'a Principal,
    /// An estimate of the input, in tokens. Zero: unknown.
    pub input_tokens: u64,
    /// The longest answer that the request asks for, in tokens.
    pub max_output_tokens: Option<u64>,
}

/// What a request wants done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    /// An answer in one of the four dialects.
    Generate,
    /// Embeddings.
    Embed,
    /// A legacy text completion.
    Complete,
}

/// Where a request may go.
#[derive(Clone, Debug)]
pub struct Plan {
    /// In the order in which they are to be tried. Never empty.
    pub candidates: Vec<Candidate>,
    /// What is not to be tried, and why.
    pub left_out: Vec<LeftOut>,
    /// The route that the name stands for.
    pub route: Option<Arc<Route>>,
    /// What a preset and a variant add to the request.
    pub effects: Effects,
    /// How the candidates were ordered, for people: a strategy's name, `pinned`, `sort: price`, …
    pub strategy: &'static str,
    /// The configuration that it was made from.
    pub revision: Revision,
    /// What decided between equals.
    pub seed: u64,
}

/// What a preset and a variant add to a request.
#[derive(Clone, Debug, Default)]
pub struct Effects {
    preset: Option<Arc<Preset>>,
    variant: Option<Arc<Variant>>,
}

/// An endpoint that may serve a request.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// The provider.
    pub provider: Arc<Provider>,
    /// The account; `None` for an open server.
    pub account: Option<Arc<Account>>,
    /// The provider's own model id.
    pub model: Arc<str>,
    /// What is spoken to it: the client's dialect.
    pub dialect: Dialect,
    /// Where that dialect is served: version path included, no trailing slash.
    pub base_url: Arc<Url>,
    /// Why it stands at its place.
    pub placed: Placed,
    /// What is known of its health.
    pub health: Arc<EndpointHealth>,
}

/// What an attempt is made against, by name.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Endpoint {
    /// The provider's id.
    pub provider: Arc<str>,
    /// The account's label. Empty: none.
    pub account: Arc<str>,
    /// The provider's own model id.
    pub model: Arc<str>,
}

/// An endpoint that is not tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LeftOut {
    /// Which one.
    pub endpoint: Endpoint,
    /// Why not.
    pub reason: Reason,
}

/// Why an endpoint is not tried.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Reason {
    /// Its provider is not declared.
    #[error("no provider of that name is declared")]
    NoProvider,
    /// Its provider takes no traffic.
    #[error("the provider is inactive: {0}")]
    Inactive(Box<str>),
    /// Its provider needs an account and has none.
    #[error("the provider has no account")]
    NoAccount,
    /// The key may not use the provider, or the model.
    #[error("the key may not use it")]
    NotAllowed,
    /// The route is for local providers only.
    #[error("the route allows local providers only")]
    NotLocal,
    /// A preset or a variant excludes it.
    #[error("excluded by {0}")]
    Excluded(&'static str),
    /// It speaks none of the client's dialect.
    #[error("would need translation ({from} → {to})")]
    NeedsTranslation {
        /// The client's.
        from: Dialect,
        /// Its preferred one.
        to: Dialect,
    },
    /// It serves no model traffic in any dialect, or nowhere.
    #[error("the provider does not serve this model in any dialect")]
    NoDialect,
    /// The provider asked for a pause.
    #[error("paused for another {} s, as the provider asked", .0.as_secs().max(1))]
    Paused(Duration),
}

/// Finds out where a request may go.
///
/// # Errors
/// Where it may go nowhere: why, with everything that was left out.
pub fn resolve(
    ask: &Ask<'_>,
    table: &RoutingTable,
    health: &Health,
    now: Instant,
    seed: u64,
) -> Result<Plan, Box<Unresolved>> {
    let named = name::find(ask, table)?;
    let expanded = expand::expand(ask, table, health, named)?;
    order::order(expanded, table, now, seed)
}

impl Candidate {
    /// Its names.
    pub fn endpoint(&self) -> Endpoint {
        Endpoint {
            provider: Arc::clone(&self.provider.id),
            account: self.account.as_ref().map_or_else(Arc::default, |it| Arc::clone(&it.label)),
            model: Arc::clone(&self.model),
        }
    }

    /// The catalogue's entry; `None` for a model that is passed through unlisted.
    pub fn listed(&self) -> Option<&Model> {
        self.provider.models.get(&self.model)
    }

    /// What its tokens cost; `None` is unknown, which is not free.
    pub fn price(&self) -> Option<&Price> {
        price_of(&self.provider, &self.model)
    }

    /// The account's secret, if one is to be sent.
    pub fn secret(&self) -> Option<&Secret> {
        self.account.as_ref().map(|it| &it.secret).filter(|secret| !secret.is_empty())
    }

    /// The limits of an attempt.
    pub fn timeouts(&self) -> Timeouts {
        self.provider.timeouts_of(&self.model)
    }
}

fn price_of<'a>(provider: &'a Provider, model: &str) -> Option<&'a Price> {
    match provider.billing {
        Billing::Token => provider.models.get(model)?.price.as_ref(),
        Billing::Subscription | Billing::Local => Some(free()),
    }
}

/// The price of what costs nothing by declaration.
fn free() -> &'static Price {
    static FREE: std::sync::LazyLock<Price> = std::sync::LazyLock::new(Price::free);
    &FREE
}

impl Effects {
    /// Goes before the request's own instructions.
    pub fn system_prompt(&self) -> Option<&str> {
        self.preset.as_ref()?.system_prompt.as_deref()
    }

    /// Apply where the request does not set them; the first ones win over the later.
    pub fn parameters(&self) -> impl Iterator<Item = &Parameters> {
        let variant = self.variant.iter().map(|it| &it.parameters);
        let preset = self.preset.iter().map(|it| &it.parameters);
        variant.chain(preset).filter(|parameters| !parameters.is_empty())
    }

    /// The filters, with the names of where they come from.
    fn routings(&self) -> impl Iterator<Item = (&'static str, &Routing)> {
        let preset = self.preset.iter().map(|it| ("the preset", &it.routing));
        preset.chain(self.variant.iter().map(|it| ("the variant", &it.routing)))
    }

    /// The order asked for; a variant's goes before a preset's.
    fn sort(&self) -> Option<Sort> {
        let variant = self.variant.as_ref().and_then(|it| it.routing.sort);
        variant.or_else(|| self.preset.as_ref().and_then(|it| it.routing.sort))
    }

    /// True if the request goes on as it came, but for the model's name.
    pub fn is_empty(&self) -> bool {
        self.system_prompt().is_none() && self.parameters().next().is_none()
    }
}

impl Operation {
    /// Its name in messages and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generate => "generate",
            Self::Embed => "embed",
            Self::Complete => "complete",
        }
    }
}

impl fmt::Display for Endpoint {
    /// As `provider:model`, with the account where there is one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.provider, self.model)?;
        if self.account.is_empty() { Ok(()) } else { write!(f, " ({})", self.account) }
    }
}

#[cfg(test)]
mod tests;
