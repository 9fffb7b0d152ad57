//! What can be asked for.

use std::collections::BTreeSet;

use axum::{Json, extract::State};
use bitrouter_config::resource::{Model, Provider, Route};

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        types::{List, ModelSource, ModelView},
        view::in_force,
    },
    resource::{Kind, Spec},
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/models", list)
            .says("models", "Every model name that can be asked for")
            .answers::<List<ModelView>>(),
    ]
}

async fn list(State(api): State<Api>) -> Result<Json<List<ModelView>>, ApiError> {
    Ok(Json(List::whole(all(&api).await?)))
}

/// Routes first, then each provider's catalogue.
pub(super) async fn all(api: &Api) -> Result<Vec<ModelView>, ApiError> {
    let providers = in_force(api, Kind::Provider).await?;
    let active: BTreeSet<&str> = providers
        .iter()
        .filter(|found| matches!(&found.spec, Spec::Provider(spec) if is_active(spec)))
        .map(|found| found.id.as_str())
        .collect();
    let mut models = Vec::new();
    for route in in_force(api, Kind::Route).await? {
        if let Spec::Route(spec) = route.spec {
            models.push(of_route(route.id, spec, &active));
        }
    }
    for provider in &providers {
        if let Spec::Provider(spec) = &provider.spec {
            models.extend(
                spec.models.iter().map(|(id, model)| of_provider(&provider.id, spec, id, model)),
            );
        }
    }
    Ok(models)
}

/// True if a provider takes traffic.
pub(super) const fn is_active(spec: &Provider) -> bool {
    spec.inactive_reason.is_none()
}

fn of_route(name: String, spec: Route, active: &BTreeSet<&str>) -> ModelView {
    let is_active = spec.endpoints.iter().any(|end| active.contains(end.provider.as_str()));
    ModelView {
        name,
        source: ModelSource::Route,
        provider: None,
        is_active,
        display_name: spec.display_name,
        max_input_tokens: spec.max_input_tokens,
        max_output_tokens: spec.max_output_tokens,
        input_modalities: Vec::new(),
        output_modalities: Vec::new(),
        billing: None,
        price: None,
    }
}

fn of_provider(provider: &str, spec: &Provider, id: &str, model: &Model) -> ModelView {
    ModelView {
        name: format!("{provider}:{id}"),
        source: ModelSource::Provider,
        provider: Some(provider.to_owned()),
        is_active: is_active(spec),
        display_name: model.display_name.clone(),
        max_input_tokens: model.max_input_tokens,
        max_output_tokens: model.max_output_tokens,
        input_modalities: model.input_modalities.clone(),
        output_modalities: model.output_modalities.clone(),
        billing: Some(spec.billing),
        price: model.price.clone(),
    }
}
