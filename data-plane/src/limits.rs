//! How fast a key may be used: requests and tokens per minute, and requests in flight.
//!
//! Both rates are smooth (the generic cell rate algorithm): after a small burst, requests pass at
//! the rate's own pace, and no window's edge lets twice as many through. Tokens are charged by
//! estimate and settled by what was used. Nothing here reads a clock; a key without limits costs
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

#[derive(Debug)]
struct Held {
    key: Arc<KeyUse>,
    limits: Limits,
    charged: u64,
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
        let now = self.nanos(now);
        let state = self.state(&key.id, now);
        state.enter(limits.concurrency)?;
        // From here on, dropping it leaves again.
        let mut held = Held { key: state, limits, charged: 0 };
        held.pay(estimated_tokens, now)?;
        Ok(Permit { held: Some(held) })
    }

    fn nanos(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.origin);
        // Counted from one hour before, so that a full burst fits before the first request.
        u64::try_from((since + MINUTE * 60).as_nanos()).unwrap_or(u64::MAX)
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
    pub fn settle(&mut self, actual_tokens: u64) {
        let Some(held) = &mut self.held else { return };
        let Some(cost) = per_unit(held.limits.tpm) else { return };
        let mut paces = held.key.paces.lock();
        let estimate = cost.saturating_mul(held.charged);
        let actual = cost.saturating_mul(actual_tokens);
        paces.tokens = paces.tokens.saturating_sub(estimate).saturating_add(actual);
        held.charged = actual_tokens;
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
