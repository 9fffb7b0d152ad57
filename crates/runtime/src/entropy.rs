//! Randomness: the operating system's, or a reproducible one for tests.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use uuid::Uuid;

use crate::Timestamp;

/// Where random bytes come from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Entropy(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Seeded(Arc<AtomicU64>),
}

impl Entropy {
    /// A cryptographically strong source: the operating system itself.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// The same bytes for the same seed: for tests and for replaying choices, never for secrets.
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(AtomicU64::new(seed))))
    }

    /// Fills the whole buffer.
    ///
    /// # Panics
    /// Where the system has no randomness to give: nothing could go on without.
    #[expect(clippy::expect_used, reason = "a system that runs programs has randomness")]
    pub fn fill(&self, buffer: &mut [u8]) {
        match &self.0 {
            Source::System => getrandom::fill(buffer).expect("the system's random numbers"),
            Source::Seeded(state) => {
                for piece in buffer.chunks_mut(8) {
                    piece.copy_from_slice(&split_mix(state).to_le_bytes()[..piece.len()]);
                }
            }
        }
    }

    /// That many random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.fill(&mut bytes);
        bytes
    }

    /// A random number.
    pub fn number(&self) -> u64 {
        match &self.0 {
            Source::System => u64::from_le_bytes(self.bytes()),
            Source::Seeded(state) => split_mix(state),
        }
    }

    /// An identifier that sorts by time (UUID version 7).
    pub fn uuid(&self, now: Timestamp) -> Uuid {
        uuid::Builder::from_unix_timestamp_millis(now.as_millis(), &self.bytes()).into_uuid()
    }
}

/// Has the cryptographic library gather the entropy for its handshakes, which takes it some 50 ms the
/// first time; without this the first connection to a provider would wait for it. Blocks.
pub fn prepare_handshakes() {
    // Should it fail, the first handshake says so.
    let _ = aws_lc_rs::rand::fill(&mut [0]);
}

/// The `SplitMix64` generator: a counter and a finaliser, so that threads need no lock.
fn split_mix(state: &AtomicU64) -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
    let mut z = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_bytes_again() {
        let (a, b) = (Entropy::seeded(7), Entropy::seeded(7));
        assert_eq!(a.bytes::<19>(), b.bytes::<19>());
        assert_ne!(a.number(), Entropy::seeded(8).number());
    }

    #[test]
    fn the_generator_gives_its_published_first_number() {
        assert_eq!(Entropy::seeded(0).number(), 0xE220_A839_7B1D_CDAF);
    }

    #[test]
    fn the_system_does_not_repeat_itself() {
        assert_ne!(Entropy::system().bytes::<32>(), Entropy::system().bytes::<32>());
    }

    #[test]
    fn identifiers_sort_by_time() {
        let entropy = Entropy::system();
        let earlier = entropy.uuid(Timestamp::from_millis(1_000));
        let later = entropy.uuid(Timestamp::from_millis(1_001));
        assert!(earlier < later);
        assert_eq!(later.get_version_num(), 7);
    }
}
