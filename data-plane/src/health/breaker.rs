//! The machine that decides whether something is tried: trusted, cooling down, or being probed.

use std::time::{Duration, Instant};

/// A probe is alone for so long: an answer may take minutes, and nobody waits for its end.
const PROBE_ALONE: Duration = Duration::from_secs(3);
/// That many failures in a row end the trust.
const FAILURES: u32 = 3;
/// The first cool-down; each further one is twice as long.
const COOL_DOWN: Duration = Duration::from_secs(1);
/// The longest cool-down after failures.
const MAX_COOL_DOWN: Duration = Duration::from_mins(1);
/// The first cool-down after a refused credential or spent credit.
const ACCOUNT_COOL_DOWN: Duration = Duration::from_secs(30);
/// The longest pause, also where the provider asks for a longer one: it is asked again by then.
const MAX_PAUSE: Duration = Duration::from_mins(10);

/// How an endpoint failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Failure {
    /// No connection, a timeout, a 5xx, an answer that makes no sense.
    Broken,
    /// 429, with the pause that the provider asked for.
    RateLimited {
        /// From `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// The provider refused the account's credential.
    Credential,
    /// The account's credit is spent.
    Credit,
}

/// Why something cools down.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Cause {
    /// It failed repeatedly.
    Failures,
    /// Its credential was refused.
    Credential,
    /// Its credit is spent.
    Credit,
    /// It asked for a pause.
    RateLimit,
}

/// Whether something would be tried now. Greater is worse.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Trust {
    /// As usual.
    Trusted,
    /// Its cool-down is over; the next request decides.
    ProbeDue,
    /// Only when nothing else is left.
    Cooling {
        /// Why.
        cause: Cause,
        /// For how much longer.
        remaining: Duration,
    },
    /// A request is finding out; others go elsewhere meanwhile, if there is anywhere to go.
    Probing,
    /// Not before the pause is over that the provider asked for.
    Paused {
        /// For how much longer.
        remaining: Duration,
    },
}

/// With what standing a request was let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Pass {
    /// As one of many.
    Trusted,
    /// First after the trouble; its result decides.
    Probe,
    /// Beside a probe, since nothing else was left; its result decides too.
    Beside,
}

/// How much a request depends on an endpoint.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Resort {
    /// It may have others to go to.
    Usual,
    /// It has nowhere else to go.
    Last,
}

/// Why a request was not let through.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Refusal {
    /// Another request is finding out.
    #[error("another request is probing it")]
    Probing,
    /// The provider asked for a pause.
    #[error("paused for another {} s, as the provider asked", remaining.as_secs().max(1))]
    Paused {
        /// For how much longer.
        remaining: Duration,
    },
}

/// The state of one endpoint or account.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: u32,
    /// How often it has cooled down since it last worked.
    cool_downs: u32,
    /// Set while it is not trusted.
    cooling: Option<(Cause, Instant)>,
    /// Set while a request is finding out.
    probed_since: Option<Instant>,
}

impl Failure {
    /// True if the account's other endpoints will fail the same way.
    pub(super) const fn is_of_the_account(self) -> bool {
        matches!(self, Self::Credential | Self::Credit)
    }
}

impl Breaker {
    pub(super) fn trust(&self, now: Instant) -> Trust {
        let Some((cause, until)) = self.cooling else { return Trust::Trusted };
        let remaining = until.saturating_duration_since(now);
        if cause == Cause::RateLimit && !remaining.is_zero() {
            Trust::Paused { remaining }
        } else if self.is_probed(now) {
            Trust::Probing
        } else if remaining.is_zero() {
            Trust::ProbeDue
        } else {
            Trust::Cooling { cause, remaining }
        }
    }

    pub(super) fn begin(&mut self, now: Instant, resort: Resort) -> Result<Pass, Refusal> {
        match self.trust(now) {
            Trust::Trusted => Ok(Pass::Trusted),
            Trust::ProbeDue | Trust::Cooling { .. } => {
                self.probed_since = Some(now);
                Ok(Pass::Probe)
            }
            Trust::Probing if resort == Resort::Last => Ok(Pass::Beside),
            Trust::Probing => Err(Refusal::Probing),
            Trust::Paused { remaining } => Err(Refusal::Paused { remaining }),
        }
    }

    fn is_probed(&self, now: Instant) -> bool {
        self.probed_since.is_some_and(|since| now.saturating_duration_since(since) < PROBE_ALONE)
    }

    /// A request that finds out has got the head of a good answer: others may follow. One more
    /// failure ends the trust again, until an answer was good as a whole.
    pub(super) fn began_well(&mut self, pass: Pass) {
        if pass != Pass::Trusted {
            self.cooling = None;
            self.probed_since = None;
            self.failures = self.failures.max(FAILURES - 1);
        }
    }

    /// A request that began before the trouble says nothing about its end.
    pub(super) fn succeeded(&mut self, pass: Pass) {
        if self.cooling.is_none() || pass != Pass::Trusted {
            *self = Self::default();
        }
    }

    pub(super) fn failed(&mut self, pass: Pass, failure: Failure, now: Instant, roll: u64) {
        let was_cooling = self.cooling.is_some();
        self.abandoned(pass);
        self.failures = self.failures.saturating_add(1);
        let (cause, pause) = match failure {
            Failure::RateLimited { retry_after: Some(pause) } => {
                (Cause::RateLimit, pause.min(MAX_PAUSE))
            }
            // A limit without a pause may have been another client's burst.
            Failure::Broken | Failure::RateLimited { retry_after: None } => {
                if self.failures < FAILURES && !was_cooling {
                    return;
                }
                (Cause::Failures, self.backoff(COOL_DOWN, MAX_COOL_DOWN, roll))
            }
            Failure::Credential => {
                (Cause::Credential, self.backoff(ACCOUNT_COOL_DOWN, MAX_PAUSE, roll))
            }
            Failure::Credit => (Cause::Credit, self.backoff(ACCOUNT_COOL_DOWN, MAX_PAUSE, roll)),
        };
        // Requests that fail together count as one cool-down, and none shortens another.
        let until = now + pause;
        if self.cooling.is_none_or(|(_, before)| until > before) {
            let is_new = self.cooling.is_none_or(|(_, before)| before <= now);
            self.cool_downs = self.cool_downs.saturating_add(u32::from(is_new));
            self.cooling = Some((cause, until));
        }
    }

    /// The request ended without telling anything.
    pub(super) fn abandoned(&mut self, pass: Pass) {
        if pass == Pass::Probe {
            self.probed_since = None;
        }
    }

    /// True if nothing is held against it.
    pub(super) const fn is_clean(&self) -> bool {
        self.failures == 0 && self.cooling.is_none()
    }

    /// Doubles with each cool-down; between three quarters and the whole of it, so that data planes
    /// do not probe in step.
    fn backoff(&self, base: Duration, most: Duration, roll: u64) -> Duration {
        let doubled = base.saturating_mul(1 << self.cool_downs.min(16)).min(most);
        let micros = u64::try_from(doubled.as_micros()).unwrap_or(u64::MAX);
        doubled.saturating_sub(Duration::from_micros(roll % (micros / 4).max(1)))
    }
}
