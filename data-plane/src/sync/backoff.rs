//! How long to wait before trying again.

use std::time::Duration;

use bitrouter_runtime::Entropy;

const LEAST: Duration = Duration::from_millis(100);
const MOST: Duration = Duration::from_secs(15);

/// Exponential, with full jitter: a random part of a pause that doubles up to 15 s, so that data
/// planes do not come back in step.
#[derive(Debug)]
pub struct Backoff {
    entropy: Entropy,
    attempts: u32,
}

impl Backoff {
    /// Begins with at most 100 ms.
    pub const fn new(entropy: Entropy) -> Self {
        Self { entropy, attempts: 0 }
    }

    /// It worked: the next pause is a short one again.
    pub const fn reset(&mut self) {
        self.attempts = 0;
    }

    /// The next pause.
    pub fn pause(&mut self) -> Duration {
        let most = LEAST.saturating_mul(1 << self.attempts.min(16)).min(MOST);
        self.attempts = self.attempts.saturating_add(1);
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.entropy.number() % micros.max(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_start_again() {
        let mut backoff = Backoff::new(Entropy::seeded(1));
        assert!(backoff.pause() < LEAST);
        let longest = (0..100).map(|_| backoff.pause()).max().unwrap();
        assert!(longest > Duration::from_secs(10) && longest < MOST, "{longest:?}");
        backoff.reset();
        assert!(backoff.pause() < LEAST);
    }
}
