//! Routes.

use axum::{Json, extract::State, response::Response};
use bitrouter_config::resource::Route;

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        extract::{Body, By, IfMatch, Name},
        types::{List, Meta, RoutePut, RouteView},
        view::{changed, check_name, deleted, find, in_force, removing, replacing, versioned},
    },
    names::ProviderNames,
    resource::{Declared, Kind, Owner, Resource, Spec},
    snapshot::{compile::account_id, publisher::Urgency},
    store::Change,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/routes", list).says("routes", "Routes").answers::<List<RouteView>>(),
        Endpoint::get("/v1/routes/{name}", show).says("routes", "A route").answers::<RouteView>(),
        Endpoint::put("/v1/routes/{name}", put)
            .says("routes", "Declare a route")
            .body::<RoutePut>()
            .answers::<RouteView>(),
        Endpoint::delete("/v1/routes/{name}", delete).says("routes", "Delete a route"),
    ]
}

async fn list(State(api): State<Api>) -> Result<Json<List<RouteView>>, ApiError> {
    let routes = in_force(&api, Kind::Route).await?;
    Ok(Json(List::whole(routes.into_iter().filter_map(view).collect())))
}

async fn show(State(api): State<Api>, Name(name): Name) -> Result<Response, ApiError> {
    let found = find(&api, Kind::Route, &name).await?.and_then(view);
    let view = found.ok_or(ApiError::NotFound { what: "route", id: name })?;
    let version = view.meta.resource_version;
    Ok(versioned(view, version))
}

async fn put(
    State(api): State<Api>,
    By(actor): By,
    Name(name): Name,
    if_match: IfMatch,
    Body(RoutePut { mut spec }): Body<RoutePut>,
) -> Result<Response, ApiError> {
    check_name("route's name", &name)?;
    check(&api, &mut spec).await?;
    let expect = replacing(&api, Kind::Route, &name, if_match).await?;
    let declared = Declared { id: name.clone(), spec: Spec::Route(spec), secret: None };
    let change = Change::Put { declared, owner: Owner::Api, expect };
    let committed = api.store.commit(&actor, vec![change], api.clock.now_ms()).await?;
    api.publisher.notify(Urgency::Ordinary);
    Ok(changed(show(State(api), Name(name)).await?, committed.revision))
}

async fn delete(
    State(api): State<Api>,
    By(actor): By,
    Name(name): Name,
    if_match: IfMatch,
) -> Result<Response, ApiError> {
    let expect = removing(&api, Kind::Route, &name, if_match).await?;
    let change = Change::Delete { kind: Kind::Route, id: name, owner: Owner::Api, expect };
    let committed = api.store.commit(&actor, vec![change], api.clock.now_ms()).await?;
    api.publisher.notify(Urgency::Ordinary);
    Ok(deleted(committed.revision))
}

/// Finds what the endpoints name; providers are kept by their ids, whichever name was said.
async fn check(api: &Api, spec: &mut Route) -> Result<(), ApiError> {
    if spec.endpoints.is_empty() {
        return Err(ApiError::Invalid("a route needs at least one endpoint".to_owned()));
    }
    let names = ProviderNames::read(&api.store, &api.publisher).await?;
    for (index, endpoint) in spec.endpoints.iter_mut().enumerate() {
        endpoint.provider = names.id_of(&endpoint.provider).map_err(|unknown| {
            ApiError::Invalid(format!("spec.endpoints[{index}].provider: {unknown}"))
        })?;
        let provider = &endpoint.provider;
        let Some(account) = &endpoint.account else { continue };
        if find(api, Kind::Account, &account_id(provider, account)).await?.is_none() {
            return Err(ApiError::Invalid(format!(
                "spec.endpoints[{index}].account: the provider `{provider}` has no account \
                 `{account}`"
            )));
        }
    }
    Ok(())
}

fn view(resource: Resource) -> Option<RouteView> {
    let meta = Meta::of(&resource);
    match resource.spec {
        Spec::Route(spec) => Some(RouteView { name: resource.id, meta, spec }),
        _ => None,
    }
}
