//! Resources that are in force but not stored: provider accounts from the environment, built-in
//! providers that those switch on, model servers found on loopback.
//!
//! A stored resource of the same kind and id takes precedence.

use std::collections::BTreeMap;

use bitrouter_keys::Secret;

use crate::resource::{Declared, Kind, Owner, Resource, Revision, Spec};

/// The resources that are not stored, each with the revision that it came with.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    entries: BTreeMap<(Kind, String), Entry>,
}

/// One resource of the overlay.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) version: Revision,
    pub(crate) spec: Spec,
    pub(crate) secret: Option<Secret>,
    since_ms: u64,
}

impl Overlay {
    /// What is different in a new overlay: added, changed or gone.
    pub(crate) fn difference(&self, new: &[Declared]) -> Vec<(Kind, String)> {
        let key = |declared: &Declared| (declared.spec.kind(), declared.id.clone());
        let named: BTreeMap<_, _> = new.iter().map(|declared| (key(declared), declared)).collect();
        let changed = named.iter().filter(|(key, declared)| {
            let old = self.entries.get(*key);
            old.is_none_or(|old| old.spec != declared.spec || old.secret != declared.secret)
        });
        let gone = self.entries.keys().filter(|key| !named.contains_key(*key));
        changed.map(|(key, _)| key).chain(gone).cloned().collect()
    }

    /// Puts a new overlay in force. What is not among the changes keeps its version.
    pub(crate) fn replace(
        &mut self,
        new: Vec<Declared>,
        changed: &[(Kind, String)],
        version: Revision,
        now_ms: u64,
    ) {
        let mut old = std::mem::take(&mut self.entries);
        for Declared { id, spec, secret } in new {
            let key = (spec.kind(), id);
            let kept = old.remove(&key).filter(|_| !changed.contains(&key));
            let entry = kept.unwrap_or(Entry { version, spec, secret, since_ms: now_ms });
            self.entries.insert(key, entry);
        }
    }

    pub(crate) fn get(&self, kind: Kind, id: &str) -> Option<&Entry> {
        self.entries.get(&(kind, id.to_owned()))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&(Kind, String), &Entry)> {
        self.entries.iter()
    }

    /// The resources of a kind, as they are shown.
    pub(crate) fn of_kind(&self, kind: Kind) -> impl Iterator<Item = Resource> {
        let entries = self.entries.iter().filter(move |((of, _), _)| *of == kind);
        entries.map(|((_, id), entry)| Resource {
            id: id.clone(),
            owner: Owner::Env,
            resource_version: entry.version,
            created_at_ms: entry.since_ms,
            updated_at_ms: entry.since_ms,
            spec: entry.spec.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::User;

    fn user(id: &str, name: &str) -> Declared {
        let spec = Spec::User(User { display_name: Some(name.to_owned()) });
        Declared { id: id.to_owned(), spec, secret: None }
    }

    #[test]
    fn only_what_differs_gets_a_new_version() {
        let mut overlay = Overlay::default();
        let first = vec![user("a", "A"), user("b", "B"), user("c", "C")];
        let changed = overlay.difference(&first);
        assert_eq!(changed.len(), 3);
        overlay.replace(first, &changed, Revision(1), 0);
        let second = vec![user("a", "A"), user("b", "other"), user("d", "D")];
        let changed = overlay.difference(&second);
        assert_eq!(changed, ["b", "d", "c"].map(|id| (Kind::User, id.to_owned())));
        overlay.replace(second, &changed, Revision(2), 1);
        let versions: Vec<_> = overlay
            .of_kind(Kind::User)
            .map(|resource| (resource.id, resource.resource_version.0))
            .collect();
        assert_eq!(versions, [("a".to_owned(), 1), ("b".to_owned(), 2), ("d".to_owned(), 2)]);
    }
}
