//! A provider's catalogue: what is built in, and what the file lays over it.

use std::collections::HashSet;

use bitrouter_catalog::CatalogModel;

use crate::{
    context::{Context, merge_timeouts},
    price,
    raw::provider::{self as raw, ModelItem, Models},
    report::Place,
    resource::Model,
};

/// The declared models with their ids, whichever way they are spelled.
pub(super) fn listed(
    cx: &mut Context<'_>,
    raw: &raw::Provider,
    place: &Place,
) -> Vec<(String, raw::Model, Place)> {
    let place = place.key("models");
    let mut listed: Vec<(String, raw::Model, Place)> = Vec::new();
    match &raw.models {
        None => {}
        Some(Models::Map(models)) => {
            for (id, model) in models {
                let place = place.key(id);
                if model.id.as_ref().is_some_and(|given| given != id) {
                    let message = format!("differs from the key `{id}`");
                    cx.report.problem(&place.key("id"), message, None);
                }
                listed.push((id.clone(), model.clone(), place));
            }
        }
        Some(Models::List(items)) => {
            for (index, item) in items.iter().enumerate() {
                let place = place.index(index);
                match item {
                    ModelItem::Id(id) => listed.push((id.clone(), raw::Model::default(), place)),
                    ModelItem::Entry(model) => match &model.id {
                        Some(id) => listed.push((id.clone(), (**model).clone(), place)),
                        None => cx.report.problem(&place, "`id` is missing", None),
                    },
                }
            }
        }
    }
    let mut seen = HashSet::new();
    for (id, _, place) in &listed {
        if id.trim().is_empty() {
            cx.report.problem(place, "a model needs an id", None);
        } else if !seen.insert(id) {
            cx.report.problem(place, format!("`{id}` is listed twice"), None);
        }
    }
    listed
}

/// What the file says about a model.
pub(super) fn model(cx: &mut Context<'_>, raw: &raw::Model, place: &Place) -> Model {
    let pricing = raw.pricing.as_ref();
    Model {
        display_name: raw.name.clone(),
        description: raw.description.clone(),
        max_input_tokens: raw.max_input_tokens,
        max_output_tokens: raw.max_output_tokens,
        input_modalities: raw.input_modalities.clone().unwrap_or_default(),
        output_modalities: raw.output_modalities.clone().unwrap_or_default(),
        price: pricing.map(|raw| price::price(raw, &place.key("pricing"), &mut cx.report)),
        timeouts: cx.timeouts(raw.timeouts.as_ref(), &place.key("timeouts")),
    }
}

/// Lays one model over another: what it says wins, a price as a whole.
pub(super) fn lay_over(known: &mut Model, over: Model) {
    let set = |known: &mut Option<String>, over: Option<String>| {
        if over.is_some() {
            *known = over;
        }
    };
    set(&mut known.display_name, over.display_name);
    set(&mut known.description, over.description);
    known.max_input_tokens = over.max_input_tokens.or(known.max_input_tokens);
    known.max_output_tokens = over.max_output_tokens.or(known.max_output_tokens);
    if !over.input_modalities.is_empty() {
        known.input_modalities = over.input_modalities;
    }
    if !over.output_modalities.is_empty() {
        known.output_modalities = over.output_modalities;
    }
    if over.price.is_some() {
        known.price = over.price;
    }
    known.timeouts = merge_timeouts(over.timeouts, known.timeouts);
}

/// A built-in model.
pub(super) fn builtin(model: &CatalogModel) -> Model {
    let names = |modalities: &[bitrouter_catalog::Modality]| {
        modalities.iter().map(|it| it.as_str().to_owned()).collect()
    };
    Model {
        max_input_tokens: model.max_input_tokens,
        max_output_tokens: model.max_output_tokens,
        input_modalities: names(&model.input_modalities),
        output_modalities: names(&model.output_modalities),
        price: model.price.clone(),
        ..Model::default()
    }
}
