//! The names that a principal may know: what it can ask for, and the nearest to what it asked for.

use std::{collections::HashSet, sync::Arc};

use crate::{
    admit::Principal,
    table::{Model, Provider, Route, RoutingTable},
};

/// How like a name must be to be worth proposing.
const LIKENESS: f64 = 0.7;
/// Comparing costs about a microsecond each; a wrong name must not cost much.
const MAX_COMPARED: usize = 5_000;

/// Something that can be asked for by name.
#[derive(Clone, Debug)]
pub enum Listed {
    /// A route.
    Route(Arc<Route>),
    /// A model that a provider declares, by its own id; the first provider that would serve it.
    Model {
        /// The provider.
        provider: Arc<Provider>,
        /// The model's id.
        id: Arc<str>,
    },
}

impl Listed {
    /// What to ask for.
    pub fn name(&self) -> &Arc<str> {
        match self {
            Self::Route(route) => &route.name,
            Self::Model { id, .. } => id,
        }
    }

    /// The catalogue's entry of a model.
    pub fn model(&self) -> Option<&Model> {
        match self {
            Self::Route(_) => None,
            Self::Model { provider, id } => provider.models.get(id),
        }
    }
}

/// Everything that a principal can ask for: routes by name, then the providers' models in the order
/// in which they would serve.
pub fn listing(table: &RoutingTable, principal: &Principal) -> Vec<Listed> {
    let mut routes: Vec<_> =
        table.routes().filter(|route| may_know_route(route, table, principal)).collect();
    routes.sort_by(|a, b| a.name.cmp(&b.name));
    let mut seen: HashSet<&str> = routes.iter().map(|route| &*route.name).collect();
    let mut all: Vec<_> = routes.iter().map(|route| Listed::Route(Arc::clone(route))).collect();
    for provider in table.providers().iter().filter(|it| it.is_active()) {
        for id in provider.models.keys() {
            if !seen.contains(&**id) && may_know(provider, id, principal) {
                seen.insert(id);
                all.push(Listed::Model { provider: Arc::clone(provider), id: Arc::clone(id) });
            }
        }
    }
    all
}

/// One name of the listing.
pub fn listed(name: &str, table: &RoutingTable, principal: &Principal) -> Option<Listed> {
    if let Some(route) = table.route(name) {
        let is_known = may_know_route(route, table, principal);
        return is_known.then(|| Listed::Route(Arc::clone(route)));
    }
    let (pinned, id) = match name.split_once(':') {
        Some((provider, id)) => match table.provider_named(provider) {
            Some(pinned) => (Some(&pinned.id), id),
            None => (None, name),
        },
        None => (None, name),
    };
    table.providers().iter().filter(|it| it.is_active()).find_map(|provider| {
        let (id, _) = provider.models.get_key_value(id)?;
        let is_meant = pinned.is_none_or(|pinned| *pinned == provider.id);
        (is_meant && may_know(provider, id, principal))
            .then(|| Listed::Model { provider: Arc::clone(provider), id: Arc::clone(id) })
    })
}

/// True if a candidate of this provider and model is open to the principal by its own name.
pub(super) fn may_know(provider: &Provider, id: &str, principal: &Principal) -> bool {
    principal.may_use(&provider.id)
        && (!principal.has_patterns()
            || principal.may_name([id])
            || principal.may_name([&*format!("{}:{id}", provider.id)]))
}

fn may_know_route(route: &Route, table: &RoutingTable, principal: &Principal) -> bool {
    let is_named = principal.may_name([&*route.name]);
    route.endpoints.iter().any(|endpoint| {
        table.provider(&endpoint.provider_id).is_some_and(|provider| {
            provider.is_active()
                && principal.may_use(&provider.id)
                && (is_named || may_know(provider, &endpoint.model, principal))
        })
    })
}

/// The three names nearest to one that does not exist.
pub(super) fn nearest(name: &str, table: &RoutingTable, principal: &Principal) -> Vec<String> {
    let all = listing(table, principal);
    let meant = name.split_once([':', '/']).and_then(|(name, _)| table.provider_named(name));
    let is_named = |provider: &Provider| {
        name.starts_with(&*provider.id) || meant.is_some_and(|meant| meant.id == provider.id)
    };
    let names = all.iter().take(MAX_COMPARED).map(|listed| {
        // Somebody who named a provider is told the name with the provider.
        match listed {
            Listed::Model { provider, id } if is_named(provider) => {
                format!("{}:{id}", provider.id)
            }
            Listed::Model { .. } | Listed::Route(_) => listed.name().to_string(),
        }
    });
    three_nearest(name, names)
}

/// The three presets nearest to one that does not exist.
pub(super) fn nearest_presets(name: &str, table: &RoutingTable) -> Vec<String> {
    let presets = table.presets().map(|preset| preset.name.to_string());
    three_nearest(name, presets).into_iter().map(|name| format!("@{name}")).collect()
}

fn three_nearest(name: &str, names: impl Iterator<Item = String>) -> Vec<String> {
    let name = name.to_lowercase();
    let mut near: Vec<_> = names
        .map(|other| (strsim::jaro_winkler(&name, &other.to_lowercase()), other))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .collect();
    near.sort_by(|(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    near.into_iter().take(3).map(|(_, name)| name).collect()
}
