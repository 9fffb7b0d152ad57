//! From one table to the next: a delta or a whole snapshot, one resource at a time.
//!
//! A resource that cannot be used is rejected with its reason and keeps its previous version; it
//! never stops the rest of a change.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Account, KeyById, Kind, Provider, Resource, ResourceRef, Revision, RoutingTable, StateHash,
    VirtualKey,
};

/// A change from one revision to another.
#[derive(Debug)]
pub struct Change {
    /// The revision that it leads to.
    pub revision: Revision,
    /// What is new or different.
    pub upserts: Vec<Incoming>,
    /// What is gone.
    pub removals: Vec<ResourceRef>,
}

/// A resource as it arrived.
#[derive(Debug)]
pub struct Incoming {
    /// What it claims to be.
    pub reference: ResourceRef,
    /// The revision at which it last changed.
    pub version: Revision,
    /// Ready for use, or why it cannot be used.
    pub resource: Result<Resource, String>,
}

/// A resource that is not at the version which the control plane sent.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rejection {
    /// Which one.
    pub reference: ResourceRef,
    /// The version that was sent.
    pub sent: Revision,
    /// The version that stays in force.
    pub kept: Option<Revision>,
    /// For people.
    pub reason: String,
}

impl RoutingTable {
    /// The table after a change to this one.
    #[must_use]
    pub fn apply(&self, change: Change) -> Self {
        let mut next = self.clone();
        next.revision = change.revision;
        for reference in change.removals {
            next.take(&reference);
            next.forgive(&reference);
        }
        for incoming in change.upserts {
            let before = next.take(&incoming.reference);
            next.accept(incoming, before);
        }
        next.reorder();
        next
    }

    /// The table that a whole configuration makes. What it rejects keeps the version that it has in
    /// this one.
    #[must_use]
    pub fn replace(&self, revision: Revision, resources: Vec<Incoming>) -> Self {
        let mut next = Self { revision, ..Self::empty() };
        for incoming in resources {
            let before = self.resource(&incoming.reference);
            next.take(&incoming.reference);
            next.accept(incoming, before);
        }
        next.reorder();
        next
    }

    /// The hash of what the control plane sent, of rejected resources too: equal on both sides
    /// unless something was lost or added on the way.
    pub fn sent_hash(&self) -> StateHash {
        let mut hash = self.state_hash;
        for rejection in self.rejected.values() {
            hash.toggle(&rejection.reference, rejection.sent);
            if let Some(kept) = rejection.kept {
                hash.toggle(&rejection.reference, kept);
            }
        }
        hash
    }

    /// Puts a resource in, or, if it cannot be used, what was there before.
    fn accept(&mut self, incoming: Incoming, before: Option<Resource>) {
        let Incoming { reference, version, resource } = incoming;
        let outcome = resource.and_then(|resource| self.put(resource));
        let Err(reason) = outcome else { return self.forgive(&reference) };
        let kept = before.and_then(|before| {
            let version = before.version();
            self.put(before).is_ok().then_some(version)
        });
        let rejection = Rejection { reference: reference.clone(), sent: version, kept, reason };
        Arc::make_mut(&mut self.rejected).insert(reference, rejection);
    }

    fn forgive(&mut self, reference: &ResourceRef) {
        if self.rejected.contains_key(reference) {
            Arc::<BTreeMap<_, _>>::make_mut(&mut self.rejected).remove(reference);
        }
    }

    fn resource(&self, reference: &ResourceRef) -> Option<Resource> {
        let id = &*reference.id;
        match reference.kind {
            Kind::Provider => self.provider(id).cloned().map(Resource::Provider),
            Kind::Account => self.account(id).cloned().map(Resource::Account),
            Kind::Route => self.route(id).cloned().map(Resource::Route),
            Kind::Preset => self.preset(id).cloned().map(Resource::Preset),
            Kind::Variant => self.variant(id).cloned().map(Resource::Variant),
            Kind::VirtualKey => self.key(id).cloned().map(Resource::VirtualKey),
            Kind::DigestKey => {
                let key = self.digest_keys().iter().find(|key| &*key.id == id);
                key.cloned().map(Resource::DigestKey)
            }
            Kind::Unknown(_) => None,
        }
    }

    /// Takes a resource out, if it is there.
    fn take(&mut self, reference: &ResourceRef) -> Option<Resource> {
        let resource = self.resource(reference)?;
        self.state_hash.toggle(reference, resource.version());
        let id = &*reference.id;
        match &resource {
            Resource::Provider(_) => {
                self.sources.providers.remove(id);
            }
            Resource::Account(account) => {
                self.sources.accounts.remove(id);
                self.repool(account, false);
            }
            Resource::Route(_) => {
                self.names.routes.remove(id);
            }
            Resource::Preset(_) => {
                self.names.presets.remove(id);
            }
            Resource::Variant(_) => {
                self.names.variants.remove(id);
            }
            Resource::VirtualKey(key) => {
                self.keys.by_id.remove(id);
                for digest in &key.digests {
                    self.keys.by_digest.remove(&digest.digest);
                }
            }
            Resource::DigestKey(_) => {
                let others = self.keys.digesting.iter().filter(|key| &*key.id != id);
                self.keys.digesting = others.cloned().collect();
            }
        }
        Some(resource)
    }

    /// Puts a resource in where none of its name is.
    fn put(&mut self, resource: Resource) -> Result<(), String> {
        let (reference, version) = (resource.reference(), resource.version());
        match resource {
            Resource::Provider(provider) => {
                self.sources.providers.insert(Arc::clone(&provider.id), provider);
            }
            Resource::Account(account) => {
                self.repool(&account, true);
                self.sources.accounts.insert(Arc::clone(&account.id), account);
            }
            Resource::Route(route) => {
                self.names.routes.insert(Arc::clone(&route.name), route);
            }
            Resource::Preset(preset) => {
                self.names.presets.insert(Arc::clone(&preset.name), preset);
            }
            Resource::Variant(variant) => {
                self.names.variants.insert(Arc::clone(&variant.name), variant);
            }
            Resource::VirtualKey(key) => self.put_key(key)?,
            Resource::DigestKey(key) => {
                let mut keys = self.keys.digesting.to_vec();
                keys.push(key);
                keys.sort_by_key(|key| std::cmp::Reverse(key.version));
                self.keys.digesting = keys.into();
            }
        }
        self.state_hash.toggle(&reference, version);
        Ok(())
    }

    fn put_key(&mut self, key: Arc<VirtualKey>) -> Result<(), String> {
        for digest in &key.digests {
            if let Some(other) = self.keys.by_digest.get(&digest.digest) {
                return Err(format!("`{}` has the same digest", other.id));
            }
        }
        for digest in &key.digests {
            self.keys.by_digest.insert(digest.digest, Arc::clone(&key));
        }
        self.keys.by_id.insert(KeyById(key), ());
        Ok(())
    }

    /// Takes an account out of its provider's pool, and puts it in again if it is to stay.
    fn repool(&mut self, account: &Arc<Account>, stays: bool) {
        if account.route_name.is_some() {
            return;
        }
        let others = self.accounts_of(&account.provider_id).iter().filter(|it| it.id != account.id);
        let mut pool: Vec<_> = others.cloned().collect();
        if stays {
            pool.push(Arc::clone(account));
            pool.sort_by(|a, b| (a.position, &a.id).cmp(&(b.position, &b.id)));
        }
        if pool.is_empty() {
            self.sources.pools.remove(&*account.provider_id);
        } else {
            self.sources.pools.insert(Arc::clone(&account.provider_id), pool.into());
        }
    }

    /// Lists the providers anew, if one of them changed.
    fn reorder(&mut self) {
        let providers = &self.sources.providers;
        let listed = &self.sources.in_order;
        let same = |listed: &Arc<Provider>| {
            providers.get(&listed.id).is_some_and(|provider| Arc::ptr_eq(provider, listed))
        };
        if listed.len() == providers.len() && listed.iter().all(same) {
            return;
        }
        let mut all: Vec<_> = providers.iter().map(|(_, provider)| Arc::clone(provider)).collect();
        all.sort_by(|a, b| (a.order, &a.id).cmp(&(b.order, &b.id)));
        let aliases = all.iter().rev().flat_map(|provider| {
            provider.aliases.iter().map(|alias| (alias.clone(), Arc::clone(provider)))
        });
        self.sources.aliases = Arc::new(aliases.collect());
        self.sources.in_order = all.into();
    }
}
