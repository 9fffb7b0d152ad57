//! What is published: the compiled resources of one revision, and the way there from earlier ones.
//!
//! Pure. Retains a bounded number of deltas; whoever is further behind gets everything.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};
use bitrouter_proto::v1 as wire;
use bytes::Bytes;
use prost::Message as _;

/// A resource's kind, as the contract numbers it, and id.
pub(crate) type Key = (i32, String);

/// A resource's new form, or none if it is gone.
pub(crate) type CompiledChange = (Key, Option<wire::Resource>);

/// The most that one message holds.
pub(crate) const CHUNK_BYTES: usize = 1024 * 1024;

const RETAINED_DELTAS: usize = 4096;
const RETAINED_BYTES: usize = 64 * 1024 * 1024;

/// The compiled resources of one revision.
#[derive(Debug, Default)]
pub(crate) struct State {
    revision: u64,
    hash: StateHash,
    resources: BTreeMap<Key, Arc<wire::Resource>>,
    deltas: VecDeque<Arc<wire::Delta>>,
    delta_bytes: usize,
    /// The hash before the first retained delta.
    oldest_hash: StateHash,
}

/// How a data plane gets to the newest revision.
#[derive(Clone, Debug)]
pub(crate) enum Update {
    /// It has it.
    None,
    /// One after the other.
    Deltas(Vec<Arc<wire::Delta>>),
    /// All there is.
    Snapshot(Snapshot),
}

/// Every resource of a revision.
#[derive(Clone, Debug)]
pub(crate) struct Snapshot {
    pub(crate) revision: u64,
    pub(crate) hash: StateHash,
    resources: Vec<Arc<wire::Resource>>,
}

/// The hash over all resources, as the contract defines it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct StateHash(pub(crate) [u8; 32]);

impl State {
    pub(crate) const fn revision(&self) -> u64 {
        self.revision
    }

    pub(crate) const fn hash(&self) -> StateHash {
        self.hash
    }

    /// Goes to another revision, of which these are all resources.
    pub(crate) fn replace(&mut self, revision: u64, mut all: Vec<CompiledChange>) {
        let named: BTreeSet<&Key> = all.iter().map(|(key, _)| key).collect();
        let gone: Vec<Key> =
            self.resources.keys().filter(|key| !named.contains(key)).cloned().collect();
        all.extend(gone.into_iter().map(|key| (key, None)));
        self.apply(revision, all);
    }

    /// Goes to another revision. Resources that stay as they are may be among the changes.
    pub(crate) fn apply(&mut self, revision: u64, mut changes: Vec<CompiledChange>) {
        // Parents before their children, and the same delta whatever was read first.
        changes.sort_by(|(one, _), (other, _)| one.cmp(other));
        let mut delta = wire::Delta {
            from_revision: self.revision,
            to_revision: revision,
            upserts: Vec::new(),
            removals: Vec::new(),
            state_hash: Bytes::new(),
        };
        for (key, resource) in changes {
            match resource {
                Some(resource) => self.upsert(key, resource, &mut delta),
                None => self.remove(key, &mut delta),
            }
        }
        delta.state_hash = self.hash.to_bytes();
        self.revision = revision;
        if delta.from_revision < revision {
            self.retain(delta);
        } else {
            // The database was restored: nobody can follow back.
            self.forget_deltas();
        }
    }

    /// The way from a revision that somebody has, with the hash of what they have of it.
    pub(crate) fn since(&self, from: u64, hash: Option<StateHash>) -> Update {
        let at = self.deltas.binary_search_by_key(&from, |delta| delta.from_revision).ok();
        let has_head = from == self.revision && hash.is_none_or(|hash| hash == self.hash);
        match at {
            _ if from == 0 => Update::Snapshot(self.snapshot()),
            _ if has_head => Update::None,
            Some(at) if from < self.revision => {
                if hash.is_some_and(|hash| hash.to_bytes() != self.hash_before(at)) {
                    return Update::Snapshot(self.snapshot());
                }
                Update::Deltas(self.deltas.range(at..).cloned().collect())
            }
            _ => Update::Snapshot(self.snapshot()),
        }
    }

    fn hash_before(&self, at: usize) -> Bytes {
        let before = at.checked_sub(1).and_then(|before| self.deltas.get(before));
        before.map_or_else(|| self.oldest_hash.to_bytes(), |delta| delta.state_hash.clone())
    }

    fn snapshot(&self) -> Snapshot {
        let resources = self.resources.values().cloned().collect();
        Snapshot { revision: self.revision, hash: self.hash, resources }
    }

    fn upsert(&mut self, key: Key, resource: wire::Resource, delta: &mut wire::Delta) {
        let (kind, id) = &key;
        let old = self.resources.get(&key);
        if old.is_some_and(|old| **old == resource) {
            return;
        }
        if let Some(old) = old {
            self.hash.toggle(*kind, id, old.version);
        }
        self.hash.toggle(*kind, id, resource.version);
        delta.upserts.push(resource.clone());
        self.resources.insert(key, Arc::new(resource));
    }

    fn remove(&mut self, key: Key, delta: &mut wire::Delta) {
        let Some(old) = self.resources.remove(&key) else { return };
        let (kind, id) = key;
        self.hash.toggle(kind, &id, old.version);
        delta.removals.push(wire::ResourceRef { kind, id });
    }

    fn retain(&mut self, delta: wire::Delta) {
        let bytes = delta.encoded_len();
        if bytes > CHUNK_BYTES {
            // It does not fit a message, so nobody can follow it.
            self.forget_deltas();
            return;
        }
        self.delta_bytes += bytes;
        self.deltas.push_back(Arc::new(delta));
        while self.deltas.len() > RETAINED_DELTAS || self.delta_bytes > RETAINED_BYTES {
            let Some(oldest) = self.deltas.pop_front() else { return };
            self.delta_bytes -= oldest.encoded_len();
            self.oldest_hash = StateHash::from_bytes(&oldest.state_hash).unwrap_or_default();
        }
    }

    fn forget_deltas(&mut self) {
        self.deltas.clear();
        self.delta_bytes = 0;
        self.oldest_hash = self.hash;
    }
}

impl Snapshot {
    /// In pieces that fit a message each, if no single resource is larger than one.
    pub(crate) fn chunks(&self) -> Vec<wire::SnapshotChunk> {
        let mut chunks = vec![self.chunk(0)];
        let mut bytes = 0;
        for resource in &self.resources {
            let length = resource.encoded_len() + 8;
            if bytes > 0 && bytes + length > CHUNK_BYTES {
                chunks.push(self.chunk(chunks.len()));
                bytes = 0;
            }
            bytes += length;
            if let Some(chunk) = chunks.last_mut() {
                chunk.resources.push(wire::Resource::clone(resource));
            }
        }
        if let Some(chunk) = chunks.last_mut() {
            chunk.last = true;
            chunk.state_hash = self.hash.to_bytes();
        }
        chunks
    }

    fn chunk(&self, index: usize) -> wire::SnapshotChunk {
        wire::SnapshotChunk {
            revision: self.revision,
            index: u32::try_from(index).unwrap_or(u32::MAX),
            last: false,
            resources: Vec::new(),
            state_hash: Bytes::new(),
        }
    }
}

impl StateHash {
    /// From the contract. `None` if it is not one.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn to_bytes(self) -> Bytes {
        Bytes::copy_from_slice(&self.0)
    }

    /// As lower-case hexadecimal.
    pub(crate) fn to_hex(self) -> String {
        use std::fmt::Write as _;
        self.0.iter().fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }

    /// Adds a resource, or takes one out that is in.
    fn toggle(&mut self, kind: i32, id: &str, version: u64) {
        let mut context = Context::new(&SHA256);
        context.update(&kind.to_be_bytes());
        context.update(&u32::try_from(id.len()).unwrap_or(u32::MAX).to_be_bytes());
        context.update(id.as_bytes());
        context.update(&version.to_be_bytes());
        for (own, other) in self.0.iter_mut().zip(context.finish().as_ref()) {
            *own ^= other;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str) -> Key {
        (wire::Kind::Route.into(), id.to_owned())
    }

    fn route(id: &str, version: u64, description: &str) -> wire::Resource {
        let spec = wire::Route { description: description.to_owned(), ..wire::Route::default() };
        wire::Resource {
            r#ref: Some(wire::ResourceRef { kind: wire::Kind::Route.into(), id: id.to_owned() }),
            version,
            spec: Some(wire::resource::Spec::Route(spec)),
        }
    }

    fn put(state: &mut State, revision: u64, id: &str) {
        state.apply(revision, vec![(key(id), Some(route(id, revision, "")))]);
    }

    fn deltas(update: &Update) -> Vec<(u64, u64)> {
        match update {
            Update::Deltas(deltas) => {
                deltas.iter().map(|delta| (delta.from_revision, delta.to_revision)).collect()
            }
            Update::None => Vec::new(),
            Update::Snapshot(snapshot) => vec![(0, snapshot.revision)],
        }
    }

    #[test]
    fn the_way_depends_on_what_one_has() {
        let mut state = State::default();
        for revision in [3, 4, 6] {
            put(&mut state, revision, &format!("r{revision}"));
        }
        let hash = Some(state.hash());
        let wrong = Some(StateHash([1; 32]));
        let cases = [
            ("nothing", 0, None, vec![(0, 6)]),
            ("a revision between", 3, None, vec![(3, 4), (4, 6)]),
            ("one that was never published", 5, None, vec![(0, 6)]),
            ("the newest", 6, hash, vec![]),
            ("the newest in another form", 6, wrong, vec![(0, 6)]),
            ("an older one in another form", 4, wrong, vec![(0, 6)]),
            ("one from the future", 9, None, vec![(0, 6)]),
            ("nothing of the oldest", 0, wrong, vec![(0, 6)]),
        ];
        for (case, from, hash, expected) in cases {
            assert_eq!(deltas(&state.since(from, hash)), expected, "{case}");
        }
    }

    #[test]
    fn the_hash_does_not_depend_on_the_way() {
        let mut one = State::default();
        put(&mut one, 1, "a");
        put(&mut one, 2, "b");
        one.apply(3, vec![(key("a"), None), (key("absent"), None)]);
        let mut other = State::default();
        other.apply(3, vec![(key("b"), Some(route("b", 2, "")))]);
        assert_eq!(one.hash(), other.hash());
        assert_ne!(one.hash(), StateHash::default());
        other.apply(4, vec![(key("b"), None)]);
        assert_eq!(other.hash(), StateHash::default());
    }

    #[test]
    fn a_resource_that_stays_is_not_sent_again() {
        let mut state = State::default();
        put(&mut state, 1, "a");
        state.apply(2, vec![(key("a"), Some(route("a", 1, "")))]);
        let Update::Deltas(deltas) = state.since(1, None) else { panic!("a delta is retained") };
        assert!(deltas[0].upserts.is_empty());
    }

    #[test]
    fn what_is_not_among_all_resources_is_gone() {
        let mut state = State::default();
        put(&mut state, 1, "a");
        put(&mut state, 2, "b");
        state.replace(3, vec![(key("b"), Some(route("b", 2, "")))]);
        let Update::Deltas(deltas) = state.since(2, None) else { panic!("a delta is retained") };
        assert!(deltas[0].upserts.is_empty());
        assert_eq!(deltas[0].removals[0].id, "a");
    }

    #[test]
    fn old_deltas_are_let_go() {
        let mut state = State::default();
        for revision in 1..=5_000 {
            put(&mut state, revision, "a");
        }
        assert!(matches!(state.since(5_000 - 4_096, None), Update::Deltas(_)));
        assert!(matches!(state.since(5_000 - 4_097, None), Update::Snapshot(_)));
        let wrong = Some(StateHash([1; 32]));
        assert!(matches!(state.since(5_000 - 4_096, wrong), Update::Snapshot(_)));
    }

    #[test]
    fn chunks_fit_a_message() {
        let mut state = State::default();
        put(&mut state, 1, "seed");
        let text = "x".repeat(300_000);
        let large = |id: &str| (key(id), Some(route(id, 2, &text)));
        state.apply(2, ["a", "b", "c", "d", "e"].map(large).into());
        let Update::Snapshot(snapshot) = state.since(1, None) else {
            panic!("the delta is too large to be retained")
        };
        let chunks = snapshot.chunks();
        assert_eq!(chunks.len(), 2);
        assert!(chunks.iter().all(|chunk| chunk.encoded_len() <= CHUNK_BYTES + 64));
        assert_eq!(chunks.iter().map(|chunk| chunk.resources.len()).sum::<usize>(), 6);
        assert_eq!(chunks.iter().map(|chunk| chunk.last).collect::<Vec<_>>(), [false, true]);
        assert_eq!(chunks[1].state_hash, state.hash().to_bytes());
    }

    #[test]
    fn nothing_is_still_a_snapshot() {
        let chunks = State::default().snapshot().chunks();
        assert_eq!(chunks.len(), 1);
        assert!(chunks[0].last && chunks[0].resources.is_empty());
    }
}
