//! Numbers on their way into the database and back. Both databases have 64-bit signed integers.

use bitrouter_metering::Micros;

/// The most that one request can count of anything: sums of a hundred thousand such still fit.
const MOST: u64 = 1 << 46;

/// As the database keeps it. No time, sequence or revision ever reaches the limit.
pub(super) fn stored(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A count of one request. A provider that reports absurd numbers must not make sums overflow.
pub(super) fn counted(number: u64) -> i64 {
    stored(number.min(MOST))
}

/// A cost of one request, likewise.
pub(super) fn counted_cost(cost: Micros) -> Micros {
    Micros::new(counted(loaded(cost.get()))).unwrap_or_default()
}

/// As it was before it was stored.
pub(super) fn loaded(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// Likewise, of a smaller type.
pub(super) fn small<T: TryFrom<i64> + Default>(number: i64) -> T {
    T::try_from(number).unwrap_or_default()
}
