//! Looks into a running data plane: where a name would go, how the endpoints do, whether a provider
//! answers. Nothing here serves traffic.

use std::{sync::Arc, time::Duration};

use bitrouter_translate::Dialect;
use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Full;
use url::Position;

use crate::{
    Handle,
    admit::Principal,
    exchange::Exchange,
    health::Trust,
    resolve::{Ask, Operation, Plan, Unresolved, resolve},
    settings::PhaseTimeouts,
    table::{Account, Provider},
    upstream::{
        client::{Patience, Via},
        credentials::authorize,
    },
};

/// How an endpoint has been doing.
#[derive(Clone, Debug)]
pub struct EndpointState {
    /// The account's id, or the provider's where it has none.
    pub account: Arc<str>,
    /// The provider's own model id.
    pub model: Arc<str>,
    /// Whether it would be tried now.
    pub trust: Trust,
    /// Requests under way.
    pub in_flight: u32,
    /// The usual time to the first token.
    pub first_token: Option<Duration>,
}

/// What asking a provider for its models gave.
#[derive(Clone, Debug)]
pub struct Listing {
    /// The account's label; `None` for an open server.
    pub account: Option<Arc<str>>,
    /// The HTTP status, or why none came.
    pub answer: Result<u16, String>,
    /// How long it took.
    pub took: Duration,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum NoPlan {
    /// The name goes nowhere.
    #[error(transparent)]
    Unresolved(#[from] Box<Unresolved>),
    /// No virtual key has this id.
    #[error("no virtual key has the id `{0}`")]
    NoKey(String),
}

impl Handle {
    /// Where a request for a model would go; for the key of that id, or for nobody in particular.
    pub fn resolve(
        &self,
        model: &str,
        dialect: Dialect,
        key: Option<&str>,
    ) -> Result<Plan, NoPlan> {
        let exchange = self.exchange();
        let table = exchange.tables.load();
        let principal = match key {
            None => Principal::Local,
            Some(id) => match table.key(id) {
                Some(key) => Principal::Key(Arc::clone(key)),
                None => return Err(NoPlan::NoKey(id.to_owned())),
            },
        };
        let ask = Ask {
            model,
            dialect,
            operation: Operation::Generate,
            principal: &principal,
            input_tokens: 0,
            max_output_tokens: None,
        };
        let (now, seed) = (exchange.books.clock.instant(), exchange.turns.peek(model));
        Ok(resolve(&ask, &table, &exchange.health, now, seed)?)
    }

    /// How the endpoints have been doing that were used.
    pub fn endpoints(&self) -> Vec<EndpointState> {
        let exchange = self.exchange();
        let now = exchange.books.clock.instant();
        let remembered = exchange.health.remembered().into_iter();
        let states = remembered.map(|(account, model, health)| EndpointState {
            account,
            model,
            trust: health.trust(now),
            in_flight: health.in_flight(),
            first_token: health.first_token(now),
        });
        states.collect()
    }

    /// Asks a provider for its models, with each of its accounts. `None`: no provider has that id.
    pub async fn list_models(&self, provider_id: &str) -> Option<Vec<Listing>> {
        let exchange = self.exchange();
        let table = exchange.tables.load();
        let provider = table.provider(provider_id)?;
        let accounts = table.accounts_of(provider_id);
        let mut listings = Vec::with_capacity(accounts.len().max(1));
        for account in accounts {
            listings.push(list_models(exchange, provider, Some(account)).await);
        }
        if accounts.is_empty() {
            listings.push(list_models(exchange, provider, None).await);
        }
        Some(listings)
    }
}

async fn list_models(
    exchange: &Exchange,
    provider: &Provider,
    account: Option<&Arc<Account>>,
) -> Listing {
    let clock = &exchange.books.clock;
    let start = clock.instant();
    let asked = ask_for_models(exchange, provider, account).await;
    Listing {
        account: account.map(|account| Arc::clone(&account.label)),
        answer: asked,
        took: clock.instant().saturating_duration_since(start),
    }
}

async fn ask_for_models(
    exchange: &Exchange,
    provider: &Provider,
    account: Option<&Arc<Account>>,
) -> Result<u16, String> {
    let dialects = provider.wire.dialects.iter().flat_map(|rule| &rule.dialects);
    let dialect = dialects.copied().next().unwrap_or(Dialect::ChatCompletions);
    let own = account.and_then(|account| account.base_url.as_ref());
    let base = own.or_else(|| provider.base_url(dialect)).ok_or("it has no base URL")?;
    let url =
        format!("{}{}/models", &base[..Position::BeforePath], base.path().trim_end_matches('/'));
    let mut request = Request::new(Full::new(Bytes::new()));
    *request.method_mut() = Method::GET;
    *request.uri_mut() = Uri::try_from(url).map_err(|error| error.to_string())?;
    let headers = request.headers_mut();
    for (name, value) in &provider.wire.default_headers {
        headers.insert(name.clone(), value.clone());
    }
    let secret = account.map(|account| &account.secret);
    authorize(headers, dialect, &provider.wire.auth, secret).map_err(|error| error.to_string())?;
    let PhaseTimeouts { connect, .. } = exchange.rules.timeouts;
    let patience = Patience { connect, answer: connect };
    match exchange.upstream.send(request, Via::Any, patience, || {}).await {
        Ok((answer, _)) => Ok(answer.status().as_u16()),
        Err(error) => Err(error.to_string()),
    }
}
