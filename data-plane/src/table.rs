//! What a data plane knows: every resource of one revision, compiled for lookup.
//!
//! A table never changes; a change makes a new one that shares what stayed the same
//! ([`RoutingTable::apply`]), so that it costs what changed. Requests hold the table that they began
//! with. A table equals exactly one revision, except for the resources that it rejected: those keep
//! their previous version, and are listed.

pub mod apply;
pub mod convert;
mod hash;
pub mod resource;
mod shards;

use std::{
    borrow::Borrow,
    collections::{BTreeMap, HashMap},
    hash::{Hash, Hasher},
    sync::Arc,
};

use bitrouter_keys::Digest;

use self::shards::Shards;
pub use self::{
    apply::{Change, Incoming, Rejection},
    hash::StateHash,
    resource::{
        Account, AccountStrategy, Auth, Billing, DigestKey, Kind, Limits, Model, Parameters,
        Preset, Provider, Resource, ResourceRef, Revision, Route, RouteEndpoint, Routing, Sort,
        Strategy, Timeouts, Variant, VirtualKey,
    },
};

/// The compiled configuration of one revision.
#[derive(Clone, Debug)]
pub struct RoutingTable {
    revision: Revision,
    /// Over the resources that were accepted.
    state_hash: StateHash,
    sources: Sources,
    names: Names,
    keys: Keys,
    rejected: Arc<BTreeMap<ResourceRef, Rejection>>,
}

/// Where requests can go.
#[derive(Clone, Debug)]
struct Sources {
    providers: Shards<Arc<str>, Arc<Provider>>,
    /// By priority, then declaration order.
    in_order: Arc<[Arc<Provider>]>,
    /// By other names; the first in order has the name.
    aliases: Arc<HashMap<Box<str>, Arc<Provider>>>,
    accounts: Shards<Arc<str>, Arc<Account>>,
    /// By provider, in declaration order, without those that belong to a route.
    pools: Shards<Arc<str>, Arc<[Arc<Account>]>>,
}

/// What requests can ask for beside the providers' own models.
#[derive(Clone, Debug)]
struct Names {
    routes: Shards<Arc<str>, Arc<Route>>,
    presets: Shards<Arc<str>, Arc<Preset>>,
    variants: Shards<Arc<str>, Arc<Variant>>,
}

/// Who may ask.
#[derive(Clone, Debug)]
struct Keys {
    by_id: Shards<KeyById, ()>,
    by_digest: Shards<Digest, Arc<VirtualKey>>,
    digesting: Arc<[Arc<DigestKey>]>,
}

/// A virtual key that stands for its id, so that the id lies in memory once.
#[derive(Clone, Debug)]
struct KeyById(Arc<VirtualKey>);

impl Borrow<str> for KeyById {
    fn borrow(&self) -> &str {
        &self.0.id
    }
}

impl Hash for KeyById {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (*self.0.id).hash(state);
    }
}

impl PartialEq for KeyById {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for KeyById {}

impl Default for RoutingTable {
    fn default() -> Self {
        Self::empty()
    }
}

impl RoutingTable {
    /// The table of a data plane that has heard nothing yet.
    pub fn empty() -> Self {
        Self {
            revision: Revision(0),
            state_hash: StateHash::default(),
            sources: Sources {
                providers: Shards::new(),
                in_order: Arc::default(),
                aliases: Arc::default(),
                accounts: Shards::new(),
                pools: Shards::new(),
            },
            names: Names { routes: Shards::new(), presets: Shards::new(), variants: Shards::new() },
            keys: Keys {
                by_id: Shards::new(),
                by_digest: Shards::new(),
                digesting: Arc::default(),
            },
            rejected: Arc::default(),
        }
    }

    /// The revision that it equals. Zero: nothing has arrived.
    pub const fn revision(&self) -> Revision {
        self.revision
    }

    /// Over the resources that were accepted; see `discovery.proto`.
    pub const fn state_hash(&self) -> StateHash {
        self.state_hash
    }

    /// Every provider, inactive ones too: by priority, then declaration order.
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.sources.in_order
    }

    /// A provider by id.
    pub fn provider(&self, id: &str) -> Option<&Arc<Provider>> {
        self.sources.providers.get(id)
    }

    /// A provider by id, or else by another name of it.
    pub fn provider_named(&self, name: &str) -> Option<&Arc<Provider>> {
        self.provider(name).or_else(|| self.sources.aliases.get(name))
    }

    /// A provider's accounts in declaration order, without those that belong to one route.
    pub fn accounts_of(&self, provider_id: &str) -> &[Arc<Account>] {
        self.sources.pools.get(provider_id).map_or(&[], |pool| pool)
    }

    /// An account by id.
    pub fn account(&self, id: &str) -> Option<&Arc<Account>> {
        self.sources.accounts.get(id)
    }

    /// A route by name.
    pub fn route(&self, name: &str) -> Option<&Arc<Route>> {
        self.names.routes.get(name)
    }

    /// Every route, in no order.
    pub fn routes(&self) -> impl Iterator<Item = &Arc<Route>> {
        self.names.routes.iter().map(|(_, route)| route)
    }

    /// A preset by name.
    pub fn preset(&self, name: &str) -> Option<&Arc<Preset>> {
        self.names.presets.get(name)
    }

    /// Every preset, in no order.
    pub fn presets(&self) -> impl Iterator<Item = &Arc<Preset>> {
        self.names.presets.iter().map(|(_, preset)| preset)
    }

    /// A variant by name.
    pub fn variant(&self, name: &str) -> Option<&Arc<Variant>> {
        self.names.variants.get(name)
    }

    /// The virtual key that has this digest, with the digest's own end.
    pub fn key_by_digest(&self, digest: &Digest) -> Option<&Arc<VirtualKey>> {
        self.keys.by_digest.get(digest)
    }

    /// A virtual key by id.
    pub fn key(&self, id: &str) -> Option<&Arc<VirtualKey>> {
        self.keys.by_id.get_key(id).map(|KeyById(key)| key)
    }

    /// How many virtual keys there are.
    pub const fn key_count(&self) -> usize {
        self.keys.by_id.len()
    }

    /// The keys that digests are made with, the newest first.
    pub fn digest_keys(&self) -> &[Arc<DigestKey>] {
        &self.keys.digesting
    }

    /// The resources that are not at the revision's version, in a fixed order.
    pub fn rejections(&self) -> impl ExactSizeIterator<Item = &Rejection> {
        self.rejected.values()
    }

    /// How many resources there are, of all kinds.
    pub fn len(&self) -> usize {
        self.sources.providers.len()
            + self.sources.accounts.len()
            + self.names.routes.len()
            + self.names.presets.len()
            + self.names.variants.len()
            + self.keys.by_id.len()
            + self.keys.digesting.len()
    }

    /// True if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests;
