//! The few numbers that matter, for Prometheus.
//!
//! Labels are bounded: they hold names of the configuration and words of ours, never what clients send.

use std::{
    fmt::Write as _,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bitrouter_translate::Surface;
use prometheus_client::{
    encoding::{EncodeLabelSet, text},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::{
    record::{Ending, Outcome, Record},
    spool::SpoolStatus,
};

const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    surface: &'static str,
    status: &'static str,
    provider: Arc<str>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct AttemptLabels {
    provider: Arc<str>,
    outcome: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct TokenLabels {
    provider: Arc<str>,
    class: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct ProviderLabels {
    provider: Arc<str>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SurfaceLabels {
    surface: &'static str,
}

type Times = Family<SurfaceLabels, Histogram, fn() -> Histogram>;

/// Every number, and the registry that draws them.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    unrecorded: Counter,
    attempts: Family<AttemptLabels, Counter>,
    tokens: Family<TokenLabels, Counter>,
    cost: Family<ProviderLabels, Counter>,
    first_byte: Times,
    duration: Times,
    in_flight: Arc<AtomicU64>,
    in_flight_shown: Gauge,
    detached: Gauge,
    spool_bytes: Gauge,
    spool_entries: Gauge,
    revision: Gauge,
}

/// What is read where it stands when the numbers are drawn.
#[derive(Clone, Debug)]
pub(crate) struct Levels {
    /// Answers that are read to their end without a client.
    pub(crate) detached: usize,
    pub(crate) spool: SpoolStatus,
    pub(crate) revision: u64,
}

fn times() -> Histogram {
    Histogram::new(SECONDS)
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("bitrouter"),
            requests: Family::default(),
            unrecorded: Counter::default(),
            attempts: Family::default(),
            tokens: Family::default(),
            cost: Family::default(),
            first_byte: Family::new_with_constructor(times),
            duration: Family::new_with_constructor(times),
            in_flight: Arc::default(),
            in_flight_shown: Gauge::default(),
            detached: Gauge::default(),
            spool_bytes: Gauge::default(),
            spool_entries: Gauge::default(),
            revision: Gauge::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("requests", "Requests that ended", self.requests.clone());
        registry.register(
            "requests_unrecorded",
            "Requests refused without a usage record, since the usage log takes none",
            self.unrecorded.clone(),
        );
        registry.register("attempts", "Calls of providers that ended", self.attempts.clone());
        registry.register("tokens", "Tokens that were used", self.tokens.clone());
        registry.register("cost_micro_usd", "What they cost", self.cost.clone());
        registry.register_with_unit(
            "first_byte",
            "From a request's arrival to the first byte of its answer",
            Unit::Seconds,
            self.first_byte.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's arrival to its end",
            Unit::Seconds,
            self.duration.clone(),
        );
        registry.register("requests_in_flight", "Now", self.in_flight_shown.clone());
        let detached = self.detached.clone();
        registry.register("detached_answers", "Read to their end without a client", detached);
        registry.register_with_unit(
            "spool",
            "The usage log on the disk, with what is acknowledged and not yet deleted",
            Unit::Bytes,
            self.spool_bytes.clone(),
        );
        registry.register(
            "spool_unacknowledged_entries",
            "Usage records that the control plane has not acknowledged",
            self.spool_entries.clone(),
        );
        registry.register("config_revision", "The revision in force", self.revision.clone());
    }

    /// Counts a request in.
    pub(crate) fn enter(&self) -> InFlightGauge {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        InFlightGauge(Arc::clone(&self.in_flight))
    }

    /// How many requests are in.
    pub(crate) fn in_flight(&self) -> usize {
        usize::try_from(self.in_flight.load(Ordering::Acquire)).unwrap_or(usize::MAX)
    }

    /// An attempt ended.
    pub(crate) fn attempt(&self, provider: &Arc<str>, outcome: Outcome) {
        let labels = AttemptLabels { provider: Arc::clone(provider), outcome: word(outcome) };
        self.attempts.get_or_create(&labels).inc();
    }

    /// A request was refused without a record.
    pub(crate) fn unrecorded(&self) {
        self.unrecorded.inc();
    }

    /// A request ended.
    pub(crate) fn settled(
        &self,
        surface: Surface,
        record: &Record,
        ending: &Ending,
        duration: Duration,
    ) {
        let surface = surface.as_str();
        let provider = record
            .attempts
            .last()
            .map_or_else(Arc::default, |it| Arc::clone(&it.endpoint.provider));
        let labels = RequestLabels { surface, status: class(ending.status), provider };
        self.requests.get_or_create(&labels).inc();
        for attempt in &record.attempts {
            let provider = &attempt.endpoint.provider;
            for (class, count) in attempt.usage.unwrap_or_default().by_class() {
                if count > 0 {
                    let provider = Arc::clone(provider);
                    let labels = TokenLabels { provider, class: class.as_str() };
                    self.tokens.get_or_create(&labels).inc_by(count);
                }
            }
            let micros = attempt.cost.map_or(0, |cost| cost.known().get());
            if micros > 0 {
                let labels = ProviderLabels { provider: Arc::clone(provider) };
                self.cost.get_or_create(&labels).inc_by(u64::try_from(micros).unwrap_or(0));
            }
        }
        let labels = SurfaceLabels { surface };
        self.duration.get_or_create(&labels).observe(duration.as_secs_f64());
        if let Some(first) = ending.first_byte {
            self.first_byte.get_or_create(&labels).observe(first.as_secs_f64());
        }
    }

    /// Draws everything in the text format.
    pub(crate) fn draw(&self, levels: &Levels) -> String {
        let gauge = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.in_flight_shown.set(gauge(self.in_flight.load(Ordering::Relaxed)));
        self.detached.set(i64::try_from(levels.detached).unwrap_or(i64::MAX));
        self.spool_bytes.set(gauge(levels.spool.bytes));
        self.spool_entries.set(gauge(levels.spool.unacked));
        self.revision.set(gauge(levels.revision));
        let mut text = String::new();
        if text::encode(&mut text, &self.registry).is_err() {
            // Writing to a text cannot fail; a broken encoder must not pass for an idle router.
            let _ = writeln!(text, "# the numbers cannot be drawn");
        }
        text
    }
}

/// Counts one request as in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlightGauge(Arc<AtomicU64>);

impl Drop for InFlightGauge {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

const fn class(status: Option<u16>) -> &'static str {
    match status {
        None => "none",
        Some(200..300) => "2xx",
        Some(400) => "400",
        Some(401) => "401",
        Some(403) => "403",
        Some(404) => "404",
        Some(429) => "429",
        Some(400..500) => "4xx",
        Some(_) => "5xx",
    }
}

const fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Completed => "completed",
        Outcome::Refused => "refused",
        Outcome::UpstreamError => "upstream_error",
        Outcome::TransportError => "transport_error",
        Outcome::Timeout => "timeout",
        Outcome::Interrupted => "interrupted",
        Outcome::ClientGone => "client_gone",
        Outcome::NodeCrashed => "node_crashed",
    }
}
