//! Makes what is stored equal to what a document declares: one batch, one revision.
//!
//! Only resources of the document's own owner are changed; a name that another owner has refuses the
//! whole document, naming every such clash.

use std::collections::{BTreeMap, BTreeSet};

use bitrouter_catalog::Catalog;
use bitrouter_config::{Document, Entry, Origin};
use bitrouter_keys::Secret;

use crate::{
    api::types::{Change as Shown, ChangeOperation},
    resource::{Declared, Kind, Owner, Resource, Revision, Spec},
    store::{Change, Expect},
};

/// Two owners declare the same name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Clash {
    /// The resource's kind.
    pub kind: Kind,
    /// The resource's id.
    pub id: String,
    /// Who has it.
    pub owner: Owner,
}

/// A document that cannot be taken, because names in it belong to others.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{}", shown(.0))]
pub struct Clashes(pub Vec<Clash>);

/// What is to be changed, and how that is shown.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) changes: Vec<Change>,
    pub(crate) shown: Vec<Shown>,
}

/// What a document declares: what is stored, and what is only in force while the process runs.
pub fn declared(document: &Document) -> (Vec<Declared>, Vec<Declared>) {
    let (mut stored, mut overlay) = (Vec::new(), Vec::new());
    let mut add = |origin, id: &str, spec, secret| {
        let declared = Declared { id: id.to_owned(), spec, secret };
        match origin {
            Origin::File => stored.push(declared),
            Origin::Env => overlay.push(declared),
        }
    };
    for Entry { id, origin, spec } in &document.providers {
        add(*origin, id, Spec::Provider(spec.clone()), None);
    }
    for Entry { id, origin, spec } in &document.accounts {
        let secret = Some(spec.secret.clone());
        add(*origin, id, Spec::Account(spec.account.clone()), secret);
    }
    for Entry { id, origin, spec } in &document.routes {
        add(*origin, id, Spec::Route(spec.clone()), None);
    }
    for Entry { id, origin, spec } in &document.presets {
        add(*origin, id, Spec::Preset(spec.clone()), None);
    }
    for Entry { id, origin, spec } in &document.variants {
        add(*origin, id, Spec::Variant(spec.clone()), None);
    }
    (stored, overlay)
}

/// Whether what a document does not name is deleted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Unnamed {
    Keep,
    Delete,
}

/// Compares what is to be with what is. `secrets` are those that are stored.
pub(crate) fn plan(
    declared: Vec<Declared>,
    owner: Owner,
    stored: &[Resource],
    secrets: &BTreeMap<String, Secret>,
    unnamed: Unnamed,
) -> Result<Plan, Clashes> {
    let by_key: BTreeMap<(Kind, &str), &Resource> =
        stored.iter().map(|found| ((found.spec.kind(), found.id.as_str()), found)).collect();
    let mut named = BTreeSet::new();
    let mut clashes = Vec::new();
    let mut plan = Plan::default();
    for declared in declared {
        let kind = declared.spec.kind();
        named.insert((kind, declared.id.clone()));
        let found = by_key.get(&(kind, declared.id.as_str())).copied();
        match found {
            Some(found) if found.owner != owner => {
                clashes.push(Clash { kind, id: declared.id, owner: found.owner });
            }
            Some(found) if is_same(found, &declared, secrets) => {}
            found => plan.put(declared, owner, found.map(|found| found.resource_version)),
        }
    }
    if unnamed == Unnamed::Delete {
        let own = stored.iter().filter(|found| found.owner == owner && is_declarable(found));
        for found in own.filter(|found| !named.contains(&(found.spec.kind(), found.id.clone()))) {
            plan.delete(found);
        }
    }
    if clashes.is_empty() { Ok(plan) } else { Err(Clashes(clashes)) }
}

impl Plan {
    fn put(&mut self, declared: Declared, owner: Owner, found: Option<Revision>) {
        let (operation, expect) = match found {
            None => (ChangeOperation::Create, Expect::Absent),
            Some(version) => (ChangeOperation::Update, Expect::Version(version)),
        };
        let (kind, id) = (declared.spec.kind(), declared.id.clone());
        self.shown.push(Shown { operation, kind, id });
        self.changes.push(Change::Put { declared, owner, expect });
    }

    fn delete(&mut self, found: &Resource) {
        let (kind, id, owner) = (found.spec.kind(), found.id.clone(), found.owner);
        self.shown.push(Shown { operation: ChangeOperation::Delete, kind, id: id.clone() });
        let expect = Expect::Version(found.resource_version);
        self.changes.push(Change::Delete { kind, id, owner, expect });
    }
}

/// Providers that the configuration file may name without declaring them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Elsewhere {
    /// Those that were made through the API.
    pub made: BTreeSet<String>,
    /// Those that are not there any more, though a route of the file that is in force names them:
    /// that does not make a configuration wrong which was right when it was taken.
    pub gone: BTreeSet<String>,
}

impl Elsewhere {
    pub(crate) fn of(stored: &[Resource]) -> Self {
        let (mut all, mut elsewhere) = (BTreeSet::new(), Self::default());
        for found in stored.iter().filter(|found| found.spec.kind() == Kind::Provider) {
            all.insert(found.id.as_str());
            if found.owner == Owner::Api {
                elsewhere.made.insert(found.id.clone());
            }
        }
        for found in stored.iter().filter(|found| found.owner == Owner::File) {
            let Spec::Route(route) = &found.spec else { continue };
            let named = route.endpoints.iter().map(|endpoint| &endpoint.provider);
            // Built-in providers are not stored where the environment has switched them on.
            let gone = named.filter(|id| {
                !all.contains(id.as_str()) && Catalog::builtin().provider(id).is_none()
            });
            elsewhere.gone.extend(gone.cloned());
        }
        elsewhere
    }
}

/// A document that names no secret leaves the stored one as it is.
fn is_same(found: &Resource, declared: &Declared, secrets: &BTreeMap<String, Secret>) -> bool {
    let keeps_secret = match &declared.secret {
        Some(secret) => secrets.get(&declared.id) == Some(secret),
        None => true,
    };
    found.spec == declared.spec && keeps_secret
}

/// Users and keys are never declared in a document, so a document says nothing by not naming them.
const fn is_declarable(resource: &Resource) -> bool {
    !matches!(resource.spec.kind(), Kind::User | Kind::VirtualKey)
}

fn shown(clashes: &[Clash]) -> String {
    let one = |clash: &Clash| {
        let Clash { kind, id, owner } = clash;
        let (whose, way_out) = match owner {
            Owner::Api => ("was made through the API", "delete it there"),
            Owner::File => ("is declared in bitrouter.yaml", "remove it there"),
            Owner::Env => ("comes from the environment", "unset its variable"),
        };
        format!("the {kind} `{id}` {whose}; {way_out}, or choose another name here")
    };
    clashes.iter().map(one).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use bitrouter_config::resource::{Account, Preset};

    use super::*;
    use crate::resource::User;

    fn preset(id: &str, model: &str) -> Declared {
        let spec = Spec::Preset(Preset { model: Some(model.to_owned()), ..Preset::default() });
        Declared { id: id.to_owned(), spec, secret: None }
    }

    fn account(secret: &str) -> Declared {
        let spec = Account {
            provider: "p".to_owned(),
            label: "main".to_owned(),
            base_url: None,
            weight: 1,
            position: 0,
            route: None,
        };
        let secret = Some(Secret::new(secret.to_owned()));
        Declared { id: "p/main".to_owned(), spec: Spec::Account(spec), secret }
    }

    fn stored(owner: Owner, declared: Declared) -> Resource {
        Resource {
            id: declared.id,
            owner,
            resource_version: Revision(1),
            created_at_ms: 0,
            updated_at_ms: 0,
            spec: declared.spec,
        }
    }

    fn changes(declared: Vec<Declared>, found: &[Resource], unnamed: Unnamed) -> Vec<String> {
        let secret = Secret::new("old".to_owned());
        let secrets = BTreeMap::from([("p/main".to_owned(), secret)]);
        let plan = plan(declared, Owner::File, found, &secrets, unnamed).unwrap();
        assert_eq!(plan.changes.len(), plan.shown.len());
        plan.shown.iter().map(|shown| format!("{:?} {}", shown.operation, shown.id)).collect()
    }

    #[test]
    fn only_differences_are_changed() {
        let found = [
            stored(Owner::File, preset("same", "a")),
            stored(Owner::File, preset("other", "a")),
            stored(Owner::File, preset("gone", "a")),
            stored(Owner::Api, preset("theirs", "a")),
        ];
        let declared = || vec![preset("same", "a"), preset("other", "b"), preset("new", "a")];
        let kept = changes(declared(), &found, Unnamed::Keep);
        assert_eq!(kept, ["Update other", "Create new"]);
        let deleted = changes(declared(), &found, Unnamed::Delete);
        assert_eq!(deleted, ["Update other", "Create new", "Delete gone"]);
    }

    #[test]
    fn a_changed_secret_is_a_change() {
        let found = [stored(Owner::File, account("old"))];
        assert!(changes(vec![account("old")], &found, Unnamed::Delete).is_empty());
        assert_eq!(changes(vec![account("new")], &found, Unnamed::Delete), ["Update p/main"]);
        let silent = Declared { secret: None, ..account("") };
        assert!(changes(vec![silent], &found, Unnamed::Delete).is_empty());
    }

    #[test]
    fn every_clash_is_named() {
        let found = [stored(Owner::Api, preset("a", "x")), stored(Owner::Api, preset("b", "x"))];
        let declared = vec![preset("a", "x"), preset("b", "y"), preset("c", "y")];
        let clashes = plan(declared, Owner::File, &found, &BTreeMap::new(), Unnamed::Delete);
        let text = clashes.unwrap_err().to_string();
        assert_eq!(text.lines().count(), 2);
        assert!(text.contains("preset `a` was made through the API"), "{text}");
    }

    #[test]
    fn users_and_keys_are_not_the_documents_business() {
        let user = Declared { id: "u".into(), spec: Spec::User(User::default()), secret: None };
        let found = [stored(Owner::File, user)];
        assert!(changes(Vec::new(), &found, Unnamed::Delete).is_empty());
    }
}
