//! Percentiles.

/// Samples in microseconds.
#[derive(Debug, Default)]
pub(crate) struct Samples(Vec<u64>);

impl Samples {
    /// Adds one.
    pub(crate) fn push(&mut self, sample_us: u64) {
        self.0.push(sample_us);
    }

    /// Adds another run's.
    pub(crate) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// p50, p90, p99 and the maximum, in milliseconds.
    pub(crate) fn summary(&mut self) -> serde_json::Value {
        self.0.sort_unstable();
        let at = |per_mille: usize| {
            let index = (self.0.len() * per_mille / 1000).min(self.0.len().saturating_sub(1));
            self.0.get(index).map(|&us| millis(us))
        };
        serde_json::json!({ "n": self.0.len(), "p50": at(500), "p90": at(900), "p99": at(990), "max": at(1000) })
    }
}

/// Microseconds as milliseconds with three decimals.
fn millis(us: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "for people; far below 2^52")]
    let us = us as f64;
    us / 1000.0
}
