//! A map that is cheap to copy and cheap to change a copy of: the entries lie in shards behind
//! `Arc`s, and a change copies the one shard that it touches, unless nobody else holds it.
//!
//! Lookups cost what a hash map's do. A persistent tree would copy less per change, and pay for it
//! with every lookup and with memory per entry; here the lookups are what counts.

use std::{
    borrow::Borrow,
    collections::{HashMap, hash_map::RandomState},
    fmt,
    hash::{BuildHasher, Hash},
    sync::Arc,
};

/// With 256, a change among 100,000 entries copies about 400 of them.
const SHARDS: usize = 256;

type Shard<K, V> = Arc<HashMap<K, V, RandomState>>;

#[derive(Clone)]
pub(crate) struct Shards<K, V> {
    /// Empty until the first entry comes.
    parts: Vec<Shard<K, V>>,
    hasher: RandomState,
    len: usize,
}

impl<K: Clone + Eq + Hash, V: Clone> Shards<K, V> {
    pub(crate) fn new() -> Self {
        Self { parts: Vec::new(), hasher: RandomState::new(), len: 0 }
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.parts.get(self.place(key))?.get(key)
    }

    /// The key as it is held.
    pub(crate) fn get_key<Q>(&self, key: &Q) -> Option<&K>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.parts.get(self.place(key))?.get_key_value(key).map(|(key, _)| key)
    }

    /// Returns what stood there before.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if self.parts.is_empty() {
            let empty = || Arc::new(HashMap::with_hasher(self.hasher.clone()));
            self.parts = std::iter::repeat_with(empty).take(SHARDS).collect();
        }
        let place = self.place(&key);
        let before = Arc::make_mut(&mut self.parts[place]).insert(key, value);
        self.len += usize::from(before.is_none());
        before
    }

    /// Returns what stood there before.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.get(key)?;
        let place = self.place(key);
        let before = Arc::make_mut(&mut self.parts[place]).remove(key);
        self.len -= usize::from(before.is_some());
        before
    }

    /// Every entry, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.parts.iter().flat_map(|shard| shard.iter())
    }

    /// The shard comes from the hash's middle bits: within a shard, its map uses the outer ones.
    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        let hash = self.hasher.hash_one(key);
        usize::try_from((hash >> 32) & 0xFF).unwrap_or(0)
    }
}

impl<K, V> fmt::Debug for Shards<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shards({} entries)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_copy_leaves_the_original_as_it_was() {
        let mut first = Shards::new();
        for n in 0..1_000 {
            assert_eq!(first.insert(n, n), None);
        }
        let mut second = first.clone();
        assert_eq!(second.insert(7, 70), Some(7));
        assert_eq!(second.remove(&8), Some(8));
        assert_eq!(second.remove(&8), None);
        assert_eq!((first.get(&7), first.get(&8), first.len()), (Some(&7), Some(&8), 1_000));
        assert_eq!((second.get(&7), second.get(&8), second.len()), (Some(&70), None, 999));
        assert_eq!(second.iter().count(), 999);
    }

    #[test]
    fn a_change_copies_one_shard() {
        let mut first = Shards::new();
        for n in 0..10_000 {
            first.insert(n, n);
        }
        let mut second = first.clone();
        second.insert(1, 2);
        let shared =
            first.parts.iter().zip(&second.parts).filter(|(a, b)| Arc::ptr_eq(a, b)).count();
        assert_eq!(shared, SHARDS - 1);
    }
}
