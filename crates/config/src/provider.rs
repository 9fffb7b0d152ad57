//! Providers: built-ins, derivation, what the file says, keys and base URLs, in this order.
//!
//! A provider that cannot serve is not an error: it is inactive and says what is missing.

pub(crate) mod credential;
mod derive;
mod header;
mod make;
mod models;
mod template;
mod wire;

use std::collections::{HashMap, HashSet};

use bitrouter_catalog::Access;
use indexmap::IndexMap;
use url::Url;

pub(crate) use self::header::{check as check_header, check_name as check_header_name};
use self::{derive::Resolver, make::Maker, template::Template};
use crate::{
    context::Context,
    document::{Entry, Origin},
    load::Discovered,
    raw::provider as raw,
    report::{Place, did_you_mean},
    resource::{Billing, DeclaredAccount, Provider},
};

/// A declared provider and where it stands.
pub(crate) struct Declared {
    pub(crate) raw: raw::Provider,
    pub(crate) place: Place,
}

/// Every provider, active or not.
#[derive(Debug, Default)]
pub(crate) struct Providers {
    pub(crate) entries: Vec<Entry<Provider>>,
    pub(crate) accounts: Vec<Entry<DeclaredAccount>>,
    /// Other names of built-ins.
    pub(crate) aliases: HashMap<String, String>,
    /// Providers that are declared elsewhere, and those that only serve tools.
    pub(crate) elsewhere: HashSet<String>,
}

impl Providers {
    /// The id that a reference means, if there is such a provider.
    pub(crate) fn find(&self, name: &str) -> Option<String> {
        let is_known = self.get(name).is_some() || self.elsewhere.contains(name);
        if is_known { Some(name.to_owned()) } else { self.aliases.get(name).cloned() }
    }

    /// The id that a reference means. One to a provider that does not exist is reported, or else
    /// presumed to be declared elsewhere.
    pub(crate) fn find_or_report(
        &self,
        cx: &mut Context<'_>,
        name: &str,
        place: &Place,
    ) -> Option<String> {
        let found = self.find(name);
        if found.is_some() {
            return found;
        }
        if let Some(presumed) = &mut cx.presumed {
            presumed.insert(name.to_owned());
            return Some(name.to_owned());
        }
        self.report_unknown(cx, name, place, true);
        None
    }

    /// The provider with this id.
    pub(crate) fn get(&self, id: &str) -> Option<&Provider> {
        self.entries.iter().find(|it| it.id == id).map(|it| &it.spec)
    }

    /// Reports a reference to a provider that does not exist.
    pub(crate) fn report_unknown(
        &self,
        cx: &mut Context<'_>,
        name: &str,
        place: &Place,
        is_active: bool,
    ) {
        let names = self.entries.iter().map(|it| it.id.as_str());
        let names = names.chain(self.elsewhere.iter().map(String::as_str));
        let hint = did_you_mean(name, names.chain(self.aliases.keys().map(String::as_str)));
        let message = format!("no provider is named `{name}`");
        if is_active {
            cx.report.problem(place, message, hint);
        } else {
            cx.report.warning(place, message, hint);
        }
    }
}

/// Makes every provider: the declared ones in their order, those found on loopback, the built-ins.
pub(crate) fn providers(
    cx: &mut Context<'_>,
    declared: &IndexMap<String, Declared>,
    discovered: &[Discovered],
    inherit_defaults: bool,
    elsewhere: &[String],
) -> Providers {
    let elsewhere = elsewhere.iter().cloned().collect();
    let mut made = Providers { elsewhere, ..Providers::default() };
    let mut resolver = Resolver { declared, inherit_defaults, circles: HashSet::new() };
    for (id, it) in declared {
        check_id(cx, id, &it.place);
        let template = resolver.template(cx, id, &mut Vec::new());
        let maker = Maker { id, declared: Some(it), origin: Origin::File };
        maker.make(cx, template, &mut made);
    }
    for server in discovered.iter().filter(|_| inherit_defaults) {
        discover(cx, server, &mut made);
    }
    if inherit_defaults {
        let catalog = cx.catalog;
        for builtin in catalog.providers() {
            let names = || builtin.aliases.iter().chain([&builtin.id]);
            let is_made = |name: &String| {
                made.get(name).is_some()
                    && declared
                        .get(name)
                        .is_none_or(|it| it.raw.derives.is_none() || *name == builtin.id)
            };
            let same = names().find(|name| is_made(name)).cloned();
            let id = same.clone().unwrap_or_else(|| builtin.id.clone());
            let is_free = |name: &&String| {
                **name != id && !declared.contains_key(*name) && !made.elsewhere.contains(*name)
            };
            let others: Vec<String> = names().filter(is_free).cloned().collect();
            made.aliases.extend(others.iter().map(|alias| (alias.clone(), id.clone())));
            if same.is_none() {
                let template = Template::builtin(cx, builtin);
                let maker = Maker { id: &builtin.id, declared: None, origin: Origin::Env };
                maker.make(cx, template, &mut made);
            }
            if let Some(entry) = made.entries.iter_mut().find(|entry| entry.id == id) {
                entry.spec.aliases = others;
            }
        }
    }
    made
}

fn check_id(cx: &mut Context<'_>, id: &str, place: &Place) {
    if !is_provider_id(id) {
        cx.report.problem(place, ID_RULE, None);
    }
}

pub(crate) const ID_RULE: &str =
    "a provider's id is not empty, begins with no `@`, and holds no space, `:` or `/`";

/// True for what can stand before `:` and `/` in the name of a model.
pub(crate) fn is_provider_id(id: &str) -> bool {
    !id.is_empty()
        && !id.starts_with('@')
        && !id.contains([':', '/'])
        && !id.contains(|char: char| char.is_whitespace() || char.is_control())
}

/// A model server found on loopback. One that is declared already stays as it is declared.
fn discover(cx: &mut Context<'_>, server: &Discovered, made: &mut Providers) {
    let is_declared = made
        .entries
        .iter()
        .any(|it| it.spec.base_urls.iter().any(|base| is_same_server(&base.url, &server.base_url)));
    let kind = server.kind.provider_id();
    if is_declared || made.entries.iter().any(|it| it.id == kind && it.origin == Origin::File) {
        return;
    }
    let id = match made.get(kind) {
        None => kind.to_owned(),
        Some(_) => {
            format!("{kind}-{}", server.base_url.port_or_known_default().unwrap_or_default())
        }
    };
    let builtin = cx.catalog.provider(kind);
    let mut template =
        builtin.map_or_else(Template::default, |builtin| Template::builtin(cx, builtin));
    template.about.billing = Billing::Local;
    template.entry.access = Some(Access::Open);
    template.wire.bases.clear();
    template.move_to(server.base_url.clone());
    for model in &server.models {
        template.catalogue.models.entry(model.clone()).or_default();
    }
    Maker { id: &id, declared: None, origin: Origin::Env }.finish(cx, template, true, made);
}

fn is_same_server(one: &Url, other: &Url) -> bool {
    let host = |url: &Url| match url.host_str() {
        Some("localhost" | "127.0.0.1" | "[::1]") => "loopback".to_owned(),
        other => other.unwrap_or_default().to_owned(),
    };
    host(one) == host(other) && one.port_or_known_default() == other.port_or_known_default()
}
