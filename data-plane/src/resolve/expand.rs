//! From what a name stands for to what can really be tried: filters, dialects, accounts.
//!
//! Whatever is taken away here is listed with its reason.

use std::sync::Arc;

use bitrouter_translate::Dialect;

use super::{
    Ask, By, Candidate, Effects, Endpoint, LeftOut, Operation, Placed, Reason, ResolveError,
    Unresolved, listing,
    name::{Named, Target},
};
use crate::{
    health::Health,
    table::{Account, Billing, Provider, Route, RoutingTable},
};

/// Candidates that can be tried, not yet in order.
#[derive(Debug)]
pub(super) struct Expanded {
    pub(super) asked: String,
    pub(super) route: Option<Arc<Route>>,
    pub(super) effects: Effects,
    pub(super) by: By,
    pub(super) groups: Vec<Group>,
    pub(super) left_out: Vec<LeftOut>,
}

/// One endpoint with each of its accounts, in declaration order.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) weight: u32,
    pub(super) candidates: Vec<Candidate>,
}

pub(super) fn expand(
    ask: &Ask<'_>,
    table: &RoutingTable,
    health: &Health,
    named: Named,
) -> Result<Expanded, Box<Unresolved>> {
    if let Some(route) = &named.route {
        check_lengths(ask, route)?;
    }
    let gate = Gate {
        ask,
        table,
        health,
        // A pattern over the requested name opens the whole plan.
        is_open: ask.principal.may_name([ask.model, &*named.model]),
        is_local_only: named.route.as_ref().is_some_and(|route| route.is_local_only),
        effects: &named.effects,
    };
    let mut groups = Vec::with_capacity(named.targets.len());
    let mut left_out = Vec::new();
    for target in &named.targets {
        match gate.candidates(target) {
            Ok(candidates) => groups.push(Group { weight: target.weight, candidates }),
            Err(reason) => left_out.push(LeftOut { endpoint: target.endpoint(), reason }),
        }
    }
    let Named { route, effects, by, .. } = named;
    Ok(Expanded { asked: ask.model.to_owned(), route, effects, by, groups, left_out })
}

fn check_lengths(ask: &Ask<'_>, route: &Arc<Route>) -> Result<(), Box<Unresolved>> {
    let model = || ask.model.to_owned();
    let error = match (route.max_input_tokens, route.max_output_tokens, ask.max_output_tokens) {
        (Some(limit), _, _) if ask.input_tokens > limit => {
            ResolveError::InputTooLong { model: model(), tokens: ask.input_tokens, limit }
        }
        (_, Some(limit), Some(tokens)) if tokens > limit => {
            ResolveError::OutputTooLong { model: model(), tokens, limit }
        }
        _ => return Ok(()),
    };
    let route_name = Some(Arc::clone(&route.name));
    Err(Box::new(Unresolved { error, left_out: Vec::new(), route_name }))
}

/// Everything that decides whether a target can be tried.
struct Gate<'a> {
    ask: &'a Ask<'a>,
    table: &'a RoutingTable,
    health: &'a Health,
    is_open: bool,
    is_local_only: bool,
    effects: &'a Effects,
}

impl Gate<'_> {
    fn candidates(&self, target: &Target) -> Result<Vec<Candidate>, Reason> {
        let provider = target.provider.as_ref().ok_or(Reason::NoProvider)?;
        self.check(provider, &target.model)?;
        if let Some(reason) = &provider.inactive_reason {
            return Err(Reason::Inactive(reason.clone()));
        }
        let dialect = self.dialect(provider, &target.model)?;
        let accounts = self.accounts(target, provider)?;
        let mut candidates = Vec::with_capacity(accounts.len());
        for account in accounts {
            let own = account.as_ref().and_then(|it| it.base_url.as_ref());
            let base_url = target.base_url.as_ref().or(own).or_else(|| provider.base_url(dialect));
            let id = account.as_ref().map_or(&provider.id, |account| &account.id);
            candidates.push(Candidate {
                health: self.health.endpoint(id, &target.model),
                base_url: Arc::clone(base_url.ok_or(Reason::NoDialect)?),
                provider: Arc::clone(provider),
                account,
                model: Arc::clone(&target.model),
                dialect,
                placed: Placed { place: 0, by: By::Cascade },
            });
        }
        Ok(candidates)
    }

    /// What the key, the route, the preset and the variant allow.
    fn check(&self, provider: &Provider, model: &str) -> Result<(), Reason> {
        let principal = self.ask.principal;
        let is_allowed = if self.is_open {
            principal.may_use(&provider.id)
        } else {
            listing::may_know(provider, model, principal)
        };
        if !is_allowed {
            return Err(Reason::NotAllowed);
        }
        if self.is_local_only && provider.billing != Billing::Local {
            return Err(Reason::NotLocal);
        }
        for (source, routing) in self.effects.routings() {
            let has = |list: &[Box<str>]| list.iter().any(|id| **id == *provider.id);
            let lacks_tag = routing.require_tags.iter().any(|tag| !provider.tags.contains(tag));
            let is_out = !routing.only.is_empty() && !has(&routing.only);
            if is_out || has(&routing.ignore) || lacks_tag {
                return Err(Reason::Excluded(source));
            }
        }
        Ok(())
    }

    /// The client's dialect, if the endpoint speaks it.
    fn dialect(&self, provider: &Provider, model: &str) -> Result<Dialect, Reason> {
        let spoken = provider.dialects_of(model);
        let to = *spoken.first().ok_or(Reason::NoDialect)?;
        let from = self.ask.dialect;
        let is_spoken = match self.ask.operation {
            Operation::Generate => spoken.contains(&from),
            // These have no dialects of their own; servers of either OpenAI dialect have them.
            Operation::Embed | Operation::Complete => {
                spoken.iter().any(|it| matches!(it, Dialect::ChatCompletions | Dialect::Responses))
            }
        };
        if is_spoken { Ok(from) } else { Err(Reason::NeedsTranslation { from, to }) }
    }

    /// The accounts to try it with; `None` stands for none.
    fn accounts(
        &self,
        target: &Target,
        provider: &Provider,
    ) -> Result<Vec<Option<Arc<Account>>>, Reason> {
        if let Some(id) = &target.account_id {
            let account = self.table.account(id).filter(|it| it.provider_id == provider.id);
            return Ok(vec![Some(Arc::clone(account.ok_or(Reason::NoAccount)?))]);
        }
        let pool = self.table.accounts_of(&provider.id);
        if !pool.is_empty() {
            return Ok(pool.iter().cloned().map(Some).collect());
        }
        if provider.needs_account { Err(Reason::NoAccount) } else { Ok(vec![None]) }
    }
}

impl Target {
    fn endpoint(&self) -> Endpoint {
        Endpoint {
            provider: Arc::clone(&self.provider_id),
            account: Arc::default(),
            model: Arc::clone(&self.model),
        }
    }
}
