//! Resources that are in force but not stored: provider accounts from the environment, built-in
//! providers that those switch on, model servers found on loopback.
//!
//! A stored resource of the same kind and id takes precedence.

use std::collections::BTreeMap;

use aws_lc_rs::hmac;
use bitrouter_keys::Secret;
use serde_json::Value;

use crate::resource::{Declared, Kind, Owner, Resource, Revision, Spec};

/// The resources that are not stored, each with the revision that it came with.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    entries: BTreeMap<(Kind, String), Entry>,
    /// Set once this process was told what there is.
    is_known: bool,
    /// Set while it is in force, but not a part of what is published: its revision may be an old one.
    is_unpublished: bool,
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
        self.is_unpublished |= !std::mem::replace(&mut self.is_known, true);
        let mut old = std::mem::take(&mut self.entries);
        for Declared { id, spec, secret } in new {
            let key = (spec.kind(), id);
            let kept = old.remove(&key).filter(|_| !changed.contains(&key));
            let entry = kept.unwrap_or(Entry { version, spec, secret, since_ms: now_ms });
            self.entries.insert(key, entry);
        }
    }

    /// True if anybody would look in the audit for one of these changes.
    pub(crate) fn matters(&self, new: &[Declared], changed: &[(Kind, String)]) -> bool {
        let is_changed =
            |kind, id: &str| changed.iter().any(|(of, other)| *of == kind && other == id);
        let mut new = new.iter().map(|new| (new.spec.kind(), new.id.as_str(), &new.spec));
        let mut old = self.iter().map(|((kind, id), old)| (*kind, id.as_str(), &old.spec));
        new.any(|(kind, id, spec)| counts(spec) && is_changed(kind, id))
            || old.any(|(kind, id, spec)| counts(spec) && is_changed(kind, id))
    }

    /// True once [`Self::replace`] was called.
    pub(crate) const fn is_known(&self) -> bool {
        self.is_known
    }

    /// True if all of it is to be published, whatever the store says has changed.
    pub(crate) const fn is_unpublished(&self) -> bool {
        self.is_unpublished
    }

    /// Says that what is in force is published.
    pub(crate) const fn published(&mut self) {
        self.is_unpublished = false;
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

/// What tells one overlay from another, secrets included, and gives none of them away.
pub(crate) fn digest(declared: &[Declared], key: &[u8; 32]) -> Vec<u8> {
    let mut sorted: Vec<_> = declared.iter().collect();
    sorted.sort_by_key(|declared| (declared.spec.kind(), declared.id.as_str()));
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    context.update(b"bitrouter/overlay/v1");
    for Declared { id, spec, secret } in sorted {
        let spec = serde_json::to_value(spec).map(|spec| spec.to_string()).unwrap_or_default();
        let secret = secret.as_ref().map(Secret::expose);
        for text in [Some(id.as_str()), Some(&spec), secret] {
            // No text is that long: it marks the absent one.
            let length = text.map_or(u64::MAX, |text| text.len() as u64);
            context.update(&length.to_be_bytes());
            context.update(text.unwrap_or_default().as_bytes());
        }
    }
    context.sign().as_ref().to_vec()
}

/// False for a provider that only waits for a key.
const fn counts(spec: &Spec) -> bool {
    !matches!(spec, Spec::Provider(provider) if provider.inactive_reason.is_some())
}

/// The names of an overlay's resources that count, as JSON for the audit.
pub(crate) fn audited<'a>(resources: impl Iterator<Item = (&'a str, &'a Spec)>) -> String {
    let mut names: Vec<String> = resources
        .filter(|(_, spec)| counts(spec))
        .map(|(id, spec)| format!("{} {id}", spec.kind().as_str()))
        .collect();
    names.sort_unstable();
    Value::from(names).to_string()
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
    fn the_digest_tells_overlays_apart_whatever_their_order() {
        let key = [7; 32];
        let both = digest(&[user("a", "A"), user("b", "B")], &key);
        assert_eq!(both, digest(&[user("b", "B"), user("a", "A")], &key));
        let secret = Some(Secret::new("s".to_owned()));
        let others = [
            digest(&[user("a", "A")], &key),
            digest(&[user("a", "A"), user("b", "C")], &key),
            digest(&[user("a", "A"), Declared { secret, ..user("b", "B") }], &key),
            digest(&[user("a", "A"), user("b", "B")], &[8; 32]),
        ];
        assert!(!others.contains(&both));
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
