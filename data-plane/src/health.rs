//! What is known of the endpoints' health: who is busy, who failed, who must be left alone for now.
//!
//! An endpoint that fails repeatedly cools down, longer each time; after that one request probes it,
//! for a few seconds alone, before it is trusted again. Where nothing else is left it is used all the
//! same: only a pause that the provider asked for is a reason to refuse. A credential that was refused cools down with its
//! whole account. Nothing here reads a clock or draws a random number, and locks are held for a few
//! instructions. The number of remembered endpoints is bounded: a model name that clients make up
//! cannot fill the memory.

mod breaker;

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use parking_lot::{Mutex, RwLock};

use self::breaker::Breaker;
pub use self::breaker::{Cause, Failure, Pass, Refusal, Resort, Trust};

/// More endpoints than this are served, but not remembered.
const MAX_ENDPOINTS: usize = 8_192;
/// A stream shorter than this came out of a buffer, and says nothing about the model's pace.
const SHORTEST_SPAN: Duration = Duration::from_millis(50);
/// An observation older than this counts as none, so that a slow endpoint gets another chance.
const OBSERVATION_LIFE: Duration = Duration::from_mins(5);

/// The health of every endpoint.
#[derive(Debug)]
pub struct Health {
    origin: Instant,
    accounts: RwLock<HashMap<Arc<str>, Arc<AccountHealth>>>,
    remembered: AtomicUsize,
}

/// The health of one account, shared by its models.
struct AccountHealth {
    breaker: Mutex<Breaker>,
    models: RwLock<HashMap<Arc<str>, Arc<EndpointHealth>>>,
}

/// The health of one endpoint.
pub struct EndpointHealth {
    account: Arc<AccountHealth>,
    breaker: Mutex<Breaker>,
    in_flight: AtomicU32,
    origin: Instant,
    first_token: Ewma,
    /// In thousandths of a token per second.
    speed: Ewma,
}

/// A request under way at an endpoint; counts as busy until dropped.
#[derive(Debug)]
#[must_use = "the request counts as in flight only as long as this lives"]
pub struct InFlight {
    endpoint: Arc<EndpointHealth>,
    account_pass: Option<Pass>,
    endpoint_pass: Option<Pass>,
}

impl Health {
    /// Knows nothing yet. `origin` is any point before the first request.
    pub fn new(origin: Instant) -> Self {
        Self { origin, accounts: RwLock::default(), remembered: AtomicUsize::new(0) }
    }

    /// The health of an endpoint. `account` names the account, or the provider where none is used.
    pub fn endpoint(&self, account: &Arc<str>, model: &Arc<str>) -> Arc<EndpointHealth> {
        let known = self.accounts.read().get(account).cloned();
        let account = known.unwrap_or_else(|| self.account(account));
        if let Some(endpoint) = account.models.read().get(model) {
            return Arc::clone(endpoint);
        }
        self.remember(&account, model)
    }

    /// Every endpoint that is remembered, with the account's and the model's names, in their order.
    pub fn remembered(&self) -> Vec<(Arc<str>, Arc<str>, Arc<EndpointHealth>)> {
        let mut all = Vec::with_capacity(self.len());
        for (account, health) in self.accounts.read().iter() {
            for (model, endpoint) in health.models.read().iter() {
                all.push((Arc::clone(account), Arc::clone(model), Arc::clone(endpoint)));
            }
        }
        all.sort_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        all
    }

    /// How many endpoints are remembered.
    pub fn len(&self) -> usize {
        self.remembered.load(Ordering::Relaxed)
    }

    /// True if no endpoint has been used yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn account(&self, id: &Arc<str>) -> Arc<AccountHealth> {
        let new =
            || Arc::new(AccountHealth { breaker: Mutex::default(), models: RwLock::default() });
        Arc::clone(self.accounts.write().entry(Arc::clone(id)).or_insert_with(new))
    }

    fn remember(&self, account: &Arc<AccountHealth>, model: &Arc<str>) -> Arc<EndpointHealth> {
        if self.len() >= MAX_ENDPOINTS {
            self.forget_idle();
        }
        let new = || {
            Arc::new(EndpointHealth {
                account: Arc::clone(account),
                breaker: Mutex::default(),
                in_flight: AtomicU32::new(0),
                origin: self.origin,
                first_token: Ewma::default(),
                speed: Ewma::default(),
            })
        };
        if self.len() >= MAX_ENDPOINTS {
            return new();
        }
        let mut models = account.models.write();
        let before = models.len();
        let endpoint = Arc::clone(models.entry(Arc::clone(model)).or_insert_with(new));
        self.remembered.fetch_add(models.len() - before, Ordering::Relaxed);
        endpoint
    }

    /// Makes room: an endpoint that nobody uses and that nothing is held against is forgotten.
    fn forget_idle(&self) {
        let accounts: Vec<_> = self.accounts.read().values().cloned().collect();
        for account in accounts {
            let mut models = account.models.write();
            let before = models.len();
            models.retain(|_, it| Arc::strong_count(it) > 1 || !it.breaker.lock().is_clean());
            self.remembered.fetch_sub(before - models.len(), Ordering::Relaxed);
        }
    }
}

impl EndpointHealth {
    /// Whether it would be tried now.
    pub fn trust(&self, now: Instant) -> Trust {
        let account = self.account.breaker.lock().trust(now);
        account.max(self.breaker.lock().trust(now))
    }

    /// How many requests are under way.
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The usual time to the first token, if it was observed lately.
    pub fn first_token(&self, now: Instant) -> Option<Duration> {
        self.first_token.read(self.origin, now).map(Duration::from_micros)
    }

    /// The usual speed in thousandths of a token per second, if it was observed lately.
    pub fn speed(&self, now: Instant) -> Option<u64> {
        self.speed.read(self.origin, now)
    }

    /// Begins a request. Refused while the provider asked for a pause and, unless it is the last
    /// resort, while another one probes.
    pub fn begin(self: &Arc<Self>, now: Instant, resort: Resort) -> Result<InFlight, Refusal> {
        let account_pass = self.account.breaker.lock().begin(now, resort)?;
        let endpoint_pass = self.breaker.lock().begin(now, resort);
        match endpoint_pass {
            Ok(endpoint_pass) => {
                self.in_flight.fetch_add(1, Ordering::Relaxed);
                Ok(InFlight {
                    endpoint: Arc::clone(self),
                    account_pass: Some(account_pass),
                    endpoint_pass: Some(endpoint_pass),
                })
            }
            Err(refusal) => {
                self.account.breaker.lock().abandoned(account_pass);
                Err(refusal)
            }
        }
    }
}

impl InFlight {
    /// True if this request decides whether the endpoint is trusted again.
    pub fn is_probe(&self) -> bool {
        [self.account_pass, self.endpoint_pass].contains(&Some(Pass::Probe))
    }

    /// The head of a good answer came. What a probe finds out is known by that: the rest may take
    /// minutes.
    pub fn began_well(&mut self) {
        let endpoint = &self.endpoint;
        let passes = [
            (&endpoint.account.breaker, &mut self.account_pass),
            (&endpoint.breaker, &mut self.endpoint_pass),
        ];
        for (breaker, pass) in passes {
            if let Some(found) = pass.filter(|pass| *pass != Pass::Trusted) {
                breaker.lock().began_well(found);
                *pass = Some(Pass::Trusted);
            }
        }
    }

    /// The endpoint answered: it works, even if it refused this one request. `first_token` is the
    /// time to the first meaningful byte, where the answer had one.
    pub fn answered(&mut self, first_token: Option<Duration>, now: Instant) {
        let endpoint = &self.endpoint;
        if let Some(pass) = self.account_pass.take() {
            endpoint.account.breaker.lock().succeeded(pass);
        }
        if let Some(pass) = self.endpoint_pass.take() {
            endpoint.breaker.lock().succeeded(pass);
        }
        if let Some(time) = first_token {
            let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
            endpoint.first_token.observe(micros, endpoint.origin, now);
        }
    }

    /// The answer had that many output tokens, the first to the last of them in `span`.
    pub fn streamed(&self, output_tokens: u64, span: Duration, now: Instant) {
        let millis = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
        if output_tokens > 1 && span >= SHORTEST_SPAN {
            let speed = output_tokens.saturating_mul(1_000_000) / millis;
            self.endpoint.speed.observe(speed, self.endpoint.origin, now);
        }
    }

    /// The request failed for a reason that lies with the endpoint. `roll` is a random number, for
    /// the length of the cool-down.
    pub fn failed(mut self, failure: Failure, now: Instant, roll: u64) {
        let account_pass = self.account_pass.take().unwrap_or(Pass::Trusted);
        let endpoint_pass = self.endpoint_pass.take().unwrap_or(Pass::Trusted);
        let mut account = self.endpoint.account.breaker.lock();
        let mut endpoint = self.endpoint.breaker.lock();
        if failure.is_of_the_account() {
            account.failed(account_pass, failure, now, roll);
            endpoint.abandoned(endpoint_pass);
        } else {
            account.abandoned(account_pass);
            endpoint.failed(endpoint_pass, failure, now, roll);
        }
    }
}

impl Drop for InFlight {
    /// Without a verdict (the client left first), nothing is held against the endpoint, and the next
    /// request may probe it.
    fn drop(&mut self) {
        if let Some(pass) = self.account_pass.take() {
            self.endpoint.account.breaker.lock().abandoned(pass);
        }
        if let Some(pass) = self.endpoint_pass.take() {
            self.endpoint.breaker.lock().abandoned(pass);
        }
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl fmt::Debug for AccountHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccountHealth").field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

impl fmt::Debug for EndpointHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EndpointHealth")
            .field("breaker", &self.breaker)
            .field("in_flight", &self.in_flight)
            .finish_non_exhaustive()
    }
}

/// A moving average of whole numbers that forgets. Two observations at once may count as one.
#[derive(Debug, Default)]
struct Ewma {
    /// Zero: nothing observed.
    value: AtomicU64,
    /// Milliseconds after the origin.
    at_ms: AtomicU64,
}

impl Ewma {
    fn observe(&self, sample: u64, origin: Instant, now: Instant) {
        let value = match self.read(origin, now) {
            None => sample,
            Some(before) => before - before / 5 + sample / 5,
        };
        self.value.store(value.max(1), Ordering::Relaxed);
        self.at_ms.store(millis_since(origin, now), Ordering::Relaxed);
    }

    fn read(&self, origin: Instant, now: Instant) -> Option<u64> {
        let value = self.value.load(Ordering::Relaxed);
        let age = millis_since(origin, now).saturating_sub(self.at_ms.load(Ordering::Relaxed));
        (value > 0 && u128::from(age) <= OBSERVATION_LIFE.as_millis()).then_some(value)
    }
}

fn millis_since(origin: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(origin).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
