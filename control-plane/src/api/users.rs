//! Users.

use axum::{Json, extract::State, response::Response};

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        extract::{Body, By, IfMatch, Name, Params},
        types::{KeyState, List, Meta, UserPut, UserView},
        view::{PageQuery, all, changed, check_name, deleted, removing, replacing, versioned},
    },
    keys,
    resource::{Declared, Kind, Owner, Resource, Spec},
    snapshot::publisher::Urgency,
    store::Change,
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/users", list)
            .says("users", "Users")
            .query::<PageQuery>()
            .answers::<List<UserView>>(),
        Endpoint::put("/v1/users/{id}", put)
            .says("users", "Declare a user")
            .body::<UserPut>()
            .answers::<UserView>(),
        Endpoint::delete("/v1/users/{id}", delete)
            .says("users", "Delete a user who has no active keys"),
    ]
}

async fn list(
    State(api): State<Api>,
    Params(page): Params<PageQuery>,
) -> Result<Json<List<UserView>>, ApiError> {
    let List { items, next } = page.read(&api, Kind::User).await?;
    Ok(Json(List { items: items.into_iter().filter_map(view).collect(), next }))
}

async fn put(
    State(api): State<Api>,
    By(actor): By,
    Name(id): Name,
    if_match: IfMatch,
    Body(UserPut { spec }): Body<UserPut>,
) -> Result<Response, ApiError> {
    check_name("user's id", &id)?;
    let expect = replacing(&api, Kind::User, &id, if_match).await?;
    let declared = Declared { id: id.clone(), spec: Spec::User(spec), secret: None };
    let change = Change::Put { declared, owner: Owner::Api, expect };
    let committed = api.store.commit(&actor, vec![change], api.clock.now_ms()).await?;
    api.publisher.notify(Urgency::Ordinary);
    let stored = api.store.resource(Kind::User, &id).await?.and_then(view);
    let view = stored.ok_or(ApiError::NotFound { what: "user", id })?;
    let version = view.meta.resource_version;
    Ok(changed(versioned(view, version), committed.revision))
}

async fn delete(
    State(api): State<Api>,
    By(actor): By,
    Name(id): Name,
    if_match: IfMatch,
) -> Result<Response, ApiError> {
    let expect = removing(&api, Kind::User, &id, if_match).await?;
    let now_ms = api.clock.now_ms();
    let keys = all(&api, Kind::VirtualKey).await?;
    let is_active = |key: &&Resource| match &key.spec {
        Spec::VirtualKey(spec) => {
            spec.user == id && keys::view(key, spec, now_ms).state == KeyState::Active
        }
        _ => false,
    };
    if let Some(key) = keys.iter().find(is_active) {
        let key = &key.id;
        return Err(ApiError::InUse(format!("the user `{id}` has the key `{key}`; revoke it")));
    }
    let change = Change::Delete { kind: Kind::User, id, owner: Owner::Api, expect };
    let committed = api.store.commit(&actor, vec![change], now_ms).await?;
    api.publisher.notify(Urgency::Ordinary);
    Ok(deleted(committed.revision))
}

fn view(resource: Resource) -> Option<UserView> {
    let meta = Meta::of(&resource);
    match resource.spec {
        Spec::User(spec) => Some(UserView { id: resource.id, meta, spec }),
        _ => None,
    }
}
