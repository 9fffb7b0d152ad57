//! What a name stands for: preset and variant, then route, pinned provider, or every provider that
//! declares exactly that model.

use std::sync::Arc;

use url::Url;

use super::{Ask, By, Effects, ResolveError, Unresolved, listing};
use crate::table::{Provider, Route, RoutingTable};

/// A name, looked up.
#[derive(Debug)]
pub(super) struct Named {
    pub(super) route: Option<Arc<Route>>,
    pub(super) effects: Effects,
    pub(super) by: By,
    pub(super) targets: Vec<Target>,
    /// The model's name without preset and variant.
    pub(super) model: String,
}

/// An endpoint before its account is known.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) provider_id: Arc<str>,
    /// `None`: not declared.
    pub(super) provider: Option<Arc<Provider>>,
    pub(super) model: Arc<str>,
    pub(super) account_id: Option<Box<str>>,
    pub(super) base_url: Option<Arc<Url>>,
    pub(super) weight: u32,
}

/// What a name without preset and variant stands for.
type Found = (Option<Arc<Route>>, By, Vec<Target>);

pub(super) fn find(ask: &Ask<'_>, table: &RoutingTable) -> Result<Named, Box<Unresolved>> {
    let (name, effects) = preset(ask, table)?;
    if let Some((base, suffix)) = name.rsplit_once(':')
        && let Some(variant) = table.variant(suffix)
        && let Some((route, by, targets)) = look_up(ask, base, table)?
    {
        let effects = Effects { variant: Some(Arc::clone(variant)), ..effects };
        return Ok(Named { route, effects, by, targets, model: base.to_owned() });
    }
    match look_up(ask, &name, table)? {
        Some((route, by, targets)) => Ok(Named { route, effects, by, targets, model: name }),
        None => Err(Box::new(Unresolved::because(ResolveError::NotFound {
            model: ask.model.to_owned(),
            nearest: listing::nearest(&name, table, ask.principal),
        }))),
    }
}

/// Takes a preset off: `@name`, `@name:variant`, or `@name/MODEL` for another model than its own.
fn preset(ask: &Ask<'_>, table: &RoutingTable) -> Result<(String, Effects), Box<Unresolved>> {
    let Some(rest) = ask.model.strip_prefix('@') else {
        return Ok((ask.model.to_owned(), Effects::default()));
    };
    let end = rest.find(['/', ':']).unwrap_or(rest.len());
    let (name, suffix) = if table.preset(rest).is_some() { (rest, "") } else { rest.split_at(end) };
    let Some(preset) = table.preset(name) else {
        let nearest = listing::nearest_presets(name, table);
        let error = ResolveError::NoPreset { name: name.to_owned(), nearest };
        return Err(Unresolved::because(error).into());
    };
    let effects = Effects { preset: Some(Arc::clone(preset)), variant: None };
    if let Some(model) = suffix.strip_prefix('/').filter(|model| !model.is_empty()) {
        return Ok((model.to_owned(), effects));
    }
    let Some(model) = &preset.model else {
        let error = ResolveError::PresetWithoutModel { name: name.to_owned() };
        return Err(Unresolved::because(error).into());
    };
    Ok((format!("{model}{suffix}"), effects))
}

fn look_up(
    ask: &Ask<'_>,
    name: &str,
    table: &RoutingTable,
) -> Result<Option<Found>, Box<Unresolved>> {
    if let Some(route) = table.route(name) {
        let targets = route.endpoints.iter().map(|endpoint| Target {
            provider_id: Arc::clone(&endpoint.provider_id),
            provider: table.provider(&endpoint.provider_id).cloned(),
            model: Arc::clone(&endpoint.model),
            account_id: endpoint.account_id.clone(),
            base_url: endpoint.base_url.clone(),
            weight: endpoint.weight,
        });
        let by = By::Strategy(route.strategy);
        return Ok(Some((Some(Arc::clone(route)), by, targets.collect())));
    }
    if let Some((provider, model)) = split(name, ':', table)
        && !model.is_empty()
    {
        must_be_active(ask, provider)?;
        return Ok(Some((None, By::Pinned, vec![Target::of(provider, model)])));
    }
    let slashed = split(name, '/', table);
    if let Some((provider, model)) = slashed
        && provider.is_active()
        && provider.models.contains_key(model)
    {
        return Ok(Some((None, By::Pinned, vec![Target::of(provider, model)])));
    }
    let declare = table.providers().iter().filter(|it| it.is_active());
    let declare = declare.filter(|it| it.models.contains_key(name));
    let targets: Vec<_> = declare.map(|provider| Target::of(provider, name)).collect();
    if targets.is_empty() {
        if let Some((provider, _)) = slashed {
            must_be_active(ask, provider)?;
        }
        return Ok(None);
    }
    Ok(Some((None, By::Cascade, targets)))
}

/// A known provider before the first separator, and what stands behind it.
fn split<'a, 't>(
    name: &'a str,
    separator: char,
    table: &'t RoutingTable,
) -> Option<(&'t Arc<Provider>, &'a str)> {
    let (provider, model) = name.split_once(separator)?;
    Some((table.provider_named(provider)?, model))
}

/// Says what to do for an inactive provider, to those who may use it.
fn must_be_active(ask: &Ask<'_>, provider: &Provider) -> Result<(), Box<Unresolved>> {
    match &provider.inactive_reason {
        Some(reason) if ask.principal.may_use(&provider.id) => {
            Err(Box::new(Unresolved::because(ResolveError::Inactive {
                model: ask.model.to_owned(),
                provider: Arc::clone(&provider.id),
                reason: reason.clone(),
            })))
        }
        _ => Ok(()),
    }
}

impl Target {
    /// The catalogue's own name for the model, so that no text is copied where it is listed.
    fn of(provider: &Arc<Provider>, model: &str) -> Self {
        let listed = provider.models.get_key_value(model).map(|(id, _)| Arc::clone(id));
        Self {
            provider_id: Arc::clone(&provider.id),
            provider: Some(Arc::clone(provider)),
            model: listed.unwrap_or_else(|| model.into()),
            account_id: None,
            base_url: None,
            weight: 1,
        }
    }
}
