//! Time: the wall clock for records, a monotonic one for durations.
//!
//! Nothing else in the workspace reads a clock of the operating system.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;

/// A point in time: Unix microseconds.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Timestamp(u64);

impl Timestamp {
    /// From Unix microseconds.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// From Unix milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000))
    }

    /// In Unix microseconds.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// In Unix milliseconds, rounded down.
    pub const fn as_millis(self) -> u64 {
        self.0 / 1_000
    }

    /// That much later; the end of time at most.
    #[must_use]
    pub fn saturating_add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros(duration)))
    }

    /// That much earlier; 1970 at least.
    #[must_use]
    pub fn saturating_sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros(duration)))
    }

    /// How much later this is than `earlier`; nothing if it is not.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// As RFC 3339, in UTC, with milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.as_millis()).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{millis} ms"),
        }
    }
}

/// Where time comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(ManualClock),
}

impl Clock {
    /// The operating system's.
    pub const fn system() -> Self {
        Self(Source::System)
    }

    /// One that stands still until its handle moves it.
    pub fn manual(start: Timestamp) -> (Self, ManualClock) {
        let handle = ManualClock {
            state: Arc::new(Mutex::new(Manual { now: start, instant: read_monotonic() })),
        };
        (Self(Source::Manual(handle.clone())), handle)
    }

    /// The wall clock's time. It may go back when the machine's clock is set.
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Source::System => read_wall(),
            Source::Manual(manual) => manual.state.lock().now,
        }
    }

    /// The wall clock's time in Unix microseconds.
    pub fn now_us(&self) -> u64 {
        self.now().as_micros()
    }

    /// The wall clock's time in Unix milliseconds.
    pub fn now_ms(&self) -> u64 {
        self.now().as_millis()
    }

    /// A point on the monotonic clock, to measure durations by.
    pub fn instant(&self) -> Instant {
        match &self.0 {
            Source::System => read_monotonic(),
            Source::Manual(manual) => manual.state.lock().instant,
        }
    }
}

/// Moves a [`Clock::manual`].
#[derive(Clone, Debug)]
pub struct ManualClock {
    state: Arc<Mutex<Manual>>,
}

#[derive(Debug)]
struct Manual {
    now: Timestamp,
    instant: Instant,
}

impl ManualClock {
    /// Lets time pass, on both clocks.
    pub fn advance(&self, duration: Duration) {
        let mut state = self.state.lock();
        state.now = state.now.saturating_add(duration);
        state.instant += duration;
    }

    /// Sets the wall clock, as an operator or NTP would; the monotonic one does not notice.
    pub fn set_wall(&self, now: Timestamp) {
        self.state.lock().now = now;
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that others are to take")]
fn read_wall() -> Timestamp {
    Timestamp(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, micros))
}

#[expect(clippy::disallowed_methods, reason = "this is the clock that others are to take")]
fn read_monotonic() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let (clock, hand) = Clock::manual(Timestamp::from_millis(1_000));
        let start = clock.instant();
        assert_eq!(clock.now_ms(), 1_000);
        hand.advance(Duration::from_millis(250));
        assert_eq!(clock.now_us(), 1_250_000);
        assert_eq!(clock.instant() - start, Duration::from_millis(250));
        hand.set_wall(Timestamp::from_millis(1));
        assert_eq!(clock.now_ms(), 1);
        assert_eq!(clock.instant() - start, Duration::from_millis(250));
    }

    #[test]
    fn timestamps_are_shown_as_rfc_3339() {
        assert_eq!(
            Timestamp::from_millis(1_700_000_000_120).to_string(),
            "2023-11-14T22:13:20.120Z"
        );
        assert_eq!(Timestamp::from_micros(u64::MAX).to_string(), "18446744073709551 ms");
    }

    #[test]
    fn arithmetic_stays_in_range() {
        let early = Timestamp::from_micros(1);
        assert_eq!(early.saturating_sub(Duration::from_secs(1)), Timestamp::default());
        assert_eq!(early.since(Timestamp::from_micros(5)), Duration::ZERO);
        assert_eq!(
            Timestamp::from_micros(u64::MAX).saturating_add(Duration::MAX).as_micros(),
            u64::MAX
        );
    }
}
