//! The order in which candidates are tried.
//!
//! Endpoints are ordered first, then each one's accounts; what cools down goes behind everything that
//! does not, and what its provider paused is left out.

use std::{cmp::Reverse, fmt, sync::Arc, time::Instant};

use super::{
    Candidate, LeftOut, Plan, Reason, ResolveError, Unresolved,
    expand::{Expanded, Group},
    price_of, turns,
};
use crate::{
    health::Trust,
    table::{AccountStrategy, Billing, RoutingTable, Sort, Strategy},
};

/// Why a candidate stands at its place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Placed {
    /// From zero.
    pub place: usize,
    /// What put it there.
    pub by: By,
}

/// What orders candidates.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum By {
    /// The request named its provider.
    Pinned,
    /// A bare name: the providers' priority.
    Cascade,
    /// The route's strategy.
    Strategy(Strategy),
    /// A preset's or a variant's wish.
    Sort(Sort),
    /// It is cooling down, and comes after everything that is not.
    CoolingDown,
    /// Its cool-down is over; this request finds out.
    Probe,
}

impl By {
    /// Its name in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Cascade => "cascade",
            Self::Strategy(strategy) => strategy.as_str(),
            Self::Sort(Sort::Price) => "sort: price",
            Self::Sort(Sort::Latency) => "sort: latency",
            Self::Sort(Sort::Throughput) => "sort: throughput",
            Self::CoolingDown => "cooling down, tried last",
            Self::Probe => "probe after a cool-down",
        }
    }
}

impl fmt::Display for Placed {
    /// As `first by priority`, `third by sort: price`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place {
            0 => f.write_str("first")?,
            1 => f.write_str("second")?,
            2 => f.write_str("third")?,
            more => write!(f, "number {}", more + 1)?,
        }
        write!(f, " by {}", self.by.as_str())
    }
}

pub(super) fn order(
    expanded: Expanded,
    table: &RoutingTable,
    now: Instant,
    seed: u64,
) -> Result<Plan, Box<Unresolved>> {
    let Expanded { asked, route, effects, by, mut groups, mut left_out } = expanded;
    let by = effects.sort().map_or(by, By::Sort);
    let inner_seed = sort_groups(&mut groups, by, now, seed);
    let mut ready = Vec::with_capacity(groups.len());
    let mut cooling = Vec::new();
    for group in groups {
        for candidate in with_accounts_in_order(group, inner_seed) {
            match candidate.health.trust(now) {
                Trust::Trusted => ready.push((by, candidate)),
                Trust::ProbeDue => ready.push((By::Probe, candidate)),
                trust @ (Trust::Cooling { .. } | Trust::Probing) => {
                    cooling.push((trust, candidate));
                }
                Trust::Paused { remaining } => {
                    let reason = Reason::Paused(remaining);
                    left_out.push(LeftOut { endpoint: candidate.endpoint(), reason });
                }
            }
        }
    }
    cooling.sort_by_key(|(trust, _)| *trust);
    ready.extend(cooling.into_iter().map(|(_, candidate)| (By::CoolingDown, candidate)));
    if ready.is_empty() {
        let error = ResolveError::nothing_left(asked, &left_out);
        let route_name = route.map(|route| Arc::clone(&route.name));
        return Err(Box::new(Unresolved { error, left_out, route_name }));
    }
    let in_place = ready.into_iter().enumerate();
    let candidates = in_place
        .map(|(place, (by, candidate))| Candidate { placed: Placed { place, by }, ..candidate });
    Ok(Plan {
        candidates: candidates.collect(),
        left_out,
        route,
        effects,
        strategy: by.as_str(),
        revision: table.revision(),
        seed,
    })
}

/// Orders the endpoints, and returns the seed for the order of their accounts: what is left of it
/// once the endpoints have had their turns.
fn sort_groups(groups: &mut Vec<Group>, by: By, now: Instant, seed: u64) -> u64 {
    match by {
        By::Strategy(Strategy::LoadBalance) => {
            let weights: Vec<_> = groups.iter().map(|group| group.weight).collect();
            return turns::rotate(groups, &weights, seed);
        }
        By::Strategy(Strategy::LeastBusy) => {
            // Equals take turns.
            let rest = turns::rotate(groups, &vec![1; groups.len()], seed);
            groups.sort_by_key(|group| least(group, |it| Some(it.health.in_flight())));
            return rest;
        }
        // Those that were not observed lately go first: nothing else would ever observe them.
        By::Strategy(Strategy::LowestLatency) | By::Sort(Sort::Latency) => {
            groups.sort_by_key(|group| least(group, |it| it.health.first_token(now)));
        }
        By::Sort(Sort::Throughput) => {
            let fastest = |it: &Candidate| it.health.speed(now).unwrap_or(u64::MAX);
            groups.sort_by_key(|group| Reverse(group.candidates.iter().map(fastest).max()));
        }
        By::Strategy(Strategy::LowestCost) | By::Sort(Sort::Price) => {
            groups.sort_by_key(|group| least(group, list_price).unwrap_or(u64::MAX));
        }
        By::Strategy(Strategy::LocalFirst) => {
            let is_local = |it: &Candidate| it.provider.billing == Billing::Local;
            groups.sort_by_key(|group| !group.candidates.first().is_some_and(is_local));
        }
        By::Strategy(Strategy::Priority)
        | By::Pinned
        | By::Cascade
        | By::CoolingDown
        | By::Probe => {}
    }
    seed
}

fn least<T: Ord>(group: &Group, key: impl Fn(&Candidate) -> Option<T>) -> Option<T> {
    group.candidates.iter().map(key).min().flatten()
}

fn with_accounts_in_order(mut group: Group, seed: u64) -> Vec<Candidate> {
    let strategy = group.candidates.first().map(|it| it.provider.account_strategy);
    if strategy == Some(AccountStrategy::Balance) {
        let weight = |it: &Candidate| it.account.as_ref().map_or(1, |account| account.weight);
        let weights: Vec<_> = group.candidates.iter().map(weight).collect();
        turns::rotate(&mut group.candidates, &weights, seed);
    }
    group.candidates
}

/// A measure of list prices: three input tokens and one output token, in pico-dollars.
fn list_price(candidate: &Candidate) -> Option<u64> {
    let rates = price_of(&candidate.provider, &candidate.model)?.base;
    Some(rates.input_uncached?.0.saturating_mul(3).saturating_add(rates.output?.0))
}
