//! How fast a key may be used: requests and tokens per minute, and requests in flight.
//!
//! Both rates are smooth (the generic cell rate algorithm): after a burst, requests pass at the rate's
//! own pace. No span of time lets more through than the burst and what the pace gives in it: after
//! idling, a first minute may see up to twice a small rate of requests, or twice the rate of tokens,
//! whose burst is a whole minute's. Tokens are charged by estimate and settled by what was used; an
//! estimate that was too high gives back only what lies ahead of it. Nothing here reads a clock; a key without limits costs
//! nothing; what idle keys leave behind is swept away.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use crate::table::{Limits, VirtualKey};

/// Idle keys are swept away whenever this many more have come.
const SWEEP_EVERY: usize = 1_024;
const MINUTE: Duration = Duration::from_mins(1);

/// The state of every limited key that was used lately.
#[derive(Debug)]
pub struct Limiter {
    origin: Instant,
    keys: RwLock<HashMap<Arc<str>, Arc<KeyUse>>>,
    sweep_at: AtomicUsize,
}

/// A request that was let through; it counts as in flight until dropped.
#[derive(Debug)]
#[must_use = "the request counts as in flight only as long as this lives"]
pub struct Permit {
    held: Option<Held>,
}

/// How many tokens a request used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Used {
    /// As the provider said.
    Exactly(u64),
    /// So many are known of, and there may be more: an estimate that is higher stands.
    AtLeast(u64),
}

#[derive(Debug)]
struct Held {
    key: Arc<KeyUse>,
    limits: Limits,
    origin: Instant,
    /// Tokens.
    charged: u64,
    /// Until when the charge lasts at the rate's own pace.
    paid_until: u64,
    /// [`Paces::given_back`] when it was charged: what others gave back since has moved it forward.
    given_back: u64,
}

#[derive(Debug, Default)]
struct KeyUse {
    in_flight: AtomicU32,
    paces: Mutex<Paces>,
}

/// When the next request, and the next token, would come at the rate's own pace: nanoseconds after
/// the origin.
#[derive(Clone, Copy, Debug, Default)]
struct Paces {
    requests: u64,
    tokens: u64,
    /// Nanoseconds of the tokens' rate that settled requests gave back, ever.
    given_back: u64,
}

/// Why a request must wait.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum LimitError {
    /// Too many requests per minute.
    #[error("the key's limit of {limit} requests per minute is reached")]
    Requests {
        /// What is allowed.
        limit: u32,
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// Too many tokens per minute.
    #[error("the key's limit of {limit} tokens per minute is reached")]
    Tokens {
        /// What is allowed.
        limit: u64,
        /// When it may be tried again.
        retry_after: Duration,
    },
    /// Too many requests at once.
    #[error("the key's limit of {limit} requests at once is reached")]
    Concurrency {
        /// What is allowed.
        limit: u32,
    },
}

impl LimitError {
    /// When it makes sense to try again.
    pub const fn retry_after(&self) -> Duration {
        match self {
            Self::Requests { retry_after, .. } | Self::Tokens { retry_after, .. } => *retry_after,
            Self::Concurrency { .. } => Duration::from_secs(1),
        }
    }

    /// The stable code that clients see.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Requests { .. } => "requests_per_minute",
            Self::Tokens { .. } => "tokens_per_minute",
            Self::Concurrency { .. } => "concurrency",
        }
    }
}

impl Limiter {
    /// Knows of no use yet. `origin` is any point before the first request.
    pub fn new(origin: Instant) -> Self {
        Self { origin, keys: RwLock::default(), sweep_at: AtomicUsize::new(SWEEP_EVERY) }
    }

    /// Lets a request of about so many tokens through, or says when to come again.
    pub fn admit(
        &self,
        key: &VirtualKey,
        estimated_tokens: u64,
        now: Instant,
    ) -> Result<Permit, LimitError> {
        let limits = key.limits;
        if limits == Limits::default() {
            return Ok(Permit { held: None });
        }
        let now = nanos(self.origin, now);
        let state = self.state(&key.id, now);
        state.enter(limits.concurrency)?;
        // From here on, dropping it leaves again.
        let mut held = Held {
            key: state,
            limits,
            origin: self.origin,
            charged: 0,
            paid_until: 0,
            given_back: 0,
        };
        held.pay(estimated_tokens, now)?;
        Ok(Permit { held: Some(held) })
    }

    fn state(&self, id: &Arc<str>, now: u64) -> Arc<KeyUse> {
        if let Some(state) = self.keys.read().get(id) {
            return Arc::clone(state);
        }
        let mut keys = self.keys.write();
        if keys.len() >= self.sweep_at.load(Ordering::Relaxed) {
            keys.retain(|_, it| Arc::strong_count(it) > 1 || !it.paces.lock().is_idle(now));
            self.sweep_at.store(keys.len() + SWEEP_EVERY, Ordering::Relaxed);
        }
        Arc::clone(keys.entry(Arc::clone(id)).or_default())
    }
}

impl Permit {
    /// Books what the request really used instead of the estimate.
    pub fn settle(&mut self, used: Used, now: Instant) {
        let Some(held) = &mut self.held else { return };
        let Some(cost) = per_unit(held.limits.tpm) else { return };
        let actual = match used {
            Used::Exactly(tokens) => tokens,
            Used::AtLeast(tokens) => tokens.max(held.charged),
        };
        let now = nanos(held.origin, now);
        let mut paces = held.key.paces.lock();
        let more = cost.saturating_mul(actual.saturating_sub(held.charged));
        let less = cost.saturating_mul(held.charged.saturating_sub(actual));
        if more > 0 {
            paces.tokens = paces.tokens.max(now).saturating_add(more);
        }
        // What has passed is paid: given back, it would pay for somebody else.
        let moved = paces.given_back - held.given_back;
        let ahead = held.paid_until.saturating_sub(moved).saturating_sub(now);
        let less = less.min(ahead);
        paces.tokens = paces.tokens.saturating_sub(less);
        paces.given_back = paces.given_back.saturating_add(less);
        held.charged = actual;
    }
}

impl KeyUse {
    fn enter(&self, limit: u32) -> Result<(), LimitError> {
        let before = self.in_flight.fetch_add(1, Ordering::AcqRel);
        if limit > 0 && before >= limit {
            self.in_flight.fetch_sub(1, Ordering::AcqRel);
            return Err(LimitError::Concurrency { limit });
        }
        Ok(())
    }
}

impl Held {
    fn pay(&mut self, tokens: u64, now: u64) -> Result<(), LimitError> {
        let limits = self.limits;
        let mut paces = self.key.paces.lock();
        let mut next = *paces;
        if let Some(cost) = per_unit(u64::from(limits.rpm)) {
            let burst = cost.saturating_mul(u64::from(burst(limits.rpm)));
            next.requests = step(paces.requests, cost, burst, now)
                .map_err(|retry_after| LimitError::Requests { limit: limits.rpm, retry_after })?;
        }
        if let Some(cost) = per_unit(limits.tpm) {
            let cost = cost.saturating_mul(tokens);
            let burst = u64::try_from(MINUTE.as_nanos()).unwrap_or(u64::MAX);
            next.tokens = step(paces.tokens, cost, burst, now)
                .map_err(|retry_after| LimitError::Tokens { limit: limits.tpm, retry_after })?;
            self.charged = tokens;
            self.paid_until = next.tokens;
            self.given_back = paces.given_back;
        }
        *paces = next;
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.key.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Paces {
    const fn is_idle(&self, now: u64) -> bool {
        self.requests <= now && self.tokens <= now
    }
}

fn nanos(origin: Instant, now: Instant) -> u64 {
    let since = now.saturating_duration_since(origin);
    // Counted from one hour before, so that a full burst fits before the first request.
    u64::try_from((since + MINUTE * 60).as_nanos()).unwrap_or(u64::MAX)
}

/// The new pace after something that takes `cost` nanoseconds of the rate, or how long to wait. What
/// is larger than the whole burst passes when nothing else is owed.
fn step(pace: u64, cost: u64, burst: u64, now: u64) -> Result<u64, Duration> {
    let after = pace.max(now).saturating_add(cost);
    let allowed = now.saturating_add(burst.max(cost));
    if after > allowed { Err(Duration::from_nanos(after - allowed)) } else { Ok(after) }
}

/// Nanoseconds of the rate that one request or token takes; `None` without a limit.
fn per_unit(per_minute: u64) -> Option<u64> {
    let minute = u64::try_from(MINUTE.as_nanos()).ok()?;
    (per_minute > 0).then(|| (minute / per_minute).max(1))
}

/// How many requests may come at once: all of a small limit, ten seconds' worth of a large one.
fn burst(rpm: u32) -> u32 {
    rpm.min((rpm / 6).max(10))
}

#[cfg(test)]
mod tests;
