//! Weighted round robin without a lock: whose turn it is follows from a number.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    sync::atomic::{AtomicU64, Ordering},
};

/// Names share a counter with one in so many others.
const COUNTERS: usize = 256;
/// Larger sums of weights are scaled down: the order is exact to half a percent.
const MAX_SUM: u64 = 256;

/// Counts the requests by name, so that consecutive seeds make the choice smooth.
#[derive(Debug)]
pub struct Turns {
    counters: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Turns {
    /// Begins at a random number, so that data planes that start together do not go in step.
    pub fn new(start: u64) -> Self {
        // Within what JSON numbers carry exactly, since seeds are shown.
        let start = start & 0xFFFF_FFFF;
        let counters = std::iter::repeat_with(|| AtomicU64::new(start)).take(COUNTERS).collect();
        Self { counters, hasher: RandomState::new() }
    }

    /// The seed of the next request for a name.
    pub fn next(&self, name: &str) -> u64 {
        self.counter(name).fetch_add(1, Ordering::Relaxed)
    }

    /// The same, without taking the turn.
    pub fn peek(&self, name: &str) -> u64 {
        self.counter(name).load(Ordering::Relaxed)
    }

    fn counter(&self, name: &str) -> &AtomicU64 {
        let slot = usize::try_from(self.hasher.hash_one(name) & 0xFF).unwrap_or(0);
        &self.counters[slot % COUNTERS]
    }
}

/// Brings the one whose turn it is to the front, and the others behind it by weight. Returns what is
/// left of the seed, for a choice below this one.
pub(super) fn rotate<T>(items: &mut Vec<T>, weights: &[u32], seed: u64) -> u64 {
    let weights = scaled(weights);
    let sum: u64 = weights.iter().sum();
    if items.len() < 2 || sum == 0 {
        return seed;
    }
    let chosen = choose(&weights, seed % sum);
    let mut order: Vec<_> = (0..items.len()).collect();
    order.sort_by_key(|&at| (at != chosen, u64::MAX - weights.get(at).copied().unwrap_or(0)));
    let mut taken: Vec<_> = items.drain(..).map(Some).collect();
    items.extend(order.into_iter().filter_map(|at| taken.get_mut(at)?.take()));
    seed / sum
}

/// Smooth weighted round robin: each turn everyone gains their weight, and the richest is chosen and
/// pays the sum. After as many turns as the sum it begins anew.
fn choose(weights: &[u64], turn: u64) -> usize {
    let sum: u64 = weights.iter().sum();
    let mut credits = vec![0_i64; weights.len()];
    let mut chosen = 0;
    for _ in 0..=turn {
        chosen = 0;
        for at in 0..weights.len() {
            credits[at] = credits[at].saturating_add_unsigned(weights[at]);
            if credits[at] > credits[chosen] {
                chosen = at;
            }
        }
        credits[chosen] = credits[chosen].saturating_sub_unsigned(sum);
    }
    chosen
}

/// The weights in lowest terms, and small enough to count through.
fn scaled(weights: &[u32]) -> Vec<u64> {
    let divisor = weights.iter().copied().map(u64::from).fold(0, greatest_common_divisor).max(1);
    let mut weights: Vec<_> = weights.iter().map(|&it| (u64::from(it) / divisor).max(1)).collect();
    let sum: u64 = weights.iter().sum();
    if sum > MAX_SUM {
        for weight in &mut weights {
            *weight = (*weight * MAX_SUM / sum).max(1);
        }
    }
    weights
}

const fn greatest_common_divisor(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fronts(weights: &[u32], turns: u64) -> String {
        let names = ['a', 'b', 'c', 'd'];
        let first = |seed| {
            let mut items = names[..weights.len()].to_vec();
            rotate(&mut items, weights, seed);
            items[0]
        };
        (0..turns).map(first).collect()
    }

    #[test]
    fn turns_follow_the_weights_and_are_spread_out() {
        assert_eq!(fronts(&[1, 1], 4), "abab");
        assert_eq!(fronts(&[5, 1, 1], 7), "aabacaa");
        assert_eq!(fronts(&[70, 30], 10), fronts(&[7, 3], 10));
        let large = fronts(&[100_000, 1], 256);
        assert_eq!(large.matches('b').count(), 1);
    }

    #[test]
    fn everyone_stays_in_the_list() {
        for seed in 0..20 {
            let mut items = vec!['a', 'b', 'c'];
            assert_eq!(rotate(&mut items, &[3, 2, 1], seed), seed / 6);
            items.sort_unstable();
            assert_eq!(items, ['a', 'b', 'c']);
        }
    }

    #[test]
    fn seeds_count_by_name() {
        let turns = Turns::new(u64::MAX);
        let first = turns.next("a");
        assert_eq!((turns.peek("a"), turns.next("a")), (first + 1, first + 1));
        assert!(first < 1 << 33);
    }
}
