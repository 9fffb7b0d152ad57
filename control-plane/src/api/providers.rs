//! Providers and their accounts.

use axum::{Json, extract::State, response::Response};
use bitrouter_config::resource::{Account, Provider};
use url::Url;

use crate::{
    api::{
        Api,
        endpoint::Endpoint,
        error::ApiError,
        extract::{Body, By, IfMatch, Name},
        models::is_active,
        types::{AccountPut, AccountView, List, Meta, ProviderPut, ProviderView},
        view::{all, changed, check_name, deleted, find, in_force, removing, replacing, versioned},
    },
    resource::{Declared, Kind, Owner, Resource, Spec},
    snapshot::publisher::Urgency,
    store::{Change, Expect},
};

pub(super) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get("/v1/providers", list)
            .says("providers", "Providers and their accounts")
            .answers::<List<ProviderView>>(),
        Endpoint::get("/v1/providers/{id}", show)
            .says("providers", "A provider and its accounts")
            .answers::<ProviderView>(),
        Endpoint::put("/v1/providers/{id}", put)
            .says("providers", "Declare a provider and its accounts")
            .body::<ProviderPut>()
            .answers::<ProviderView>(),
        Endpoint::delete("/v1/providers/{id}", delete)
            .says("providers", "Delete a provider that no route uses, and its accounts"),
    ]
}

async fn list(State(api): State<Api>) -> Result<Json<List<ProviderView>>, ApiError> {
    let accounts = in_force(&api, Kind::Account).await?;
    let providers = in_force(&api, Kind::Provider).await?;
    let views = providers.into_iter().filter_map(|provider| view(provider, &accounts));
    Ok(Json(List::whole(views.collect())))
}

async fn show(State(api): State<Api>, Name(id): Name) -> Result<Response, ApiError> {
    let found = find(&api, Kind::Provider, &id).await?;
    let accounts = in_force(&api, Kind::Account).await?;
    let view = found.and_then(|provider| view(provider, &accounts));
    let view = view.ok_or(ApiError::NotFound { what: "provider", id })?;
    let version = view.meta.resource_version;
    Ok(versioned(view, version))
}

async fn put(
    State(api): State<Api>,
    By(actor): By,
    Name(id): Name,
    if_match: IfMatch,
    Body(ProviderPut { spec, accounts }): Body<ProviderPut>,
) -> Result<Response, ApiError> {
    check(&id, &spec)?;
    let expect = replacing(&api, Kind::Provider, &id, if_match).await?;
    let declared = Declared { id: id.clone(), spec: Spec::Provider(spec), secret: None };
    let mut changes = vec![Change::Put { declared, owner: Owner::Api, expect }];
    if let Some(accounts) = accounts {
        changes.extend(account_changes(&api, &id, accounts).await?);
    }
    let committed = api.store.commit(&actor, changes, api.clock.now_ms()).await?;
    api.publisher.notify(Urgency::Ordinary);
    Ok(changed(show(State(api), Name(id)).await?, committed.revision))
}

async fn delete(
    State(api): State<Api>,
    By(actor): By,
    Name(id): Name,
    if_match: IfMatch,
) -> Result<Response, ApiError> {
    let expect = removing(&api, Kind::Provider, &id, if_match).await?;
    for route in in_force(&api, Kind::Route).await? {
        let Spec::Route(spec) = &route.spec else { continue };
        if spec.endpoints.iter().any(|endpoint| endpoint.provider == id) {
            let route = route.id;
            let message = format!("the route `{route}` uses the provider `{id}`; change it first");
            return Err(ApiError::InUse(message));
        }
    }
    let mut changes: Vec<Change> = own_accounts(&api, &id).await?.map(delete_account).collect();
    changes.push(Change::Delete { kind: Kind::Provider, id, owner: Owner::Api, expect });
    let committed = api.store.commit(&actor, changes, api.clock.now_ms()).await?;
    api.publisher.notify(Urgency::Ordinary);
    Ok(deleted(committed.revision))
}

/// Puts the listed accounts, in order, and deletes the others of owner `api`.
async fn account_changes(
    api: &Api,
    provider: &str,
    accounts: Vec<AccountPut>,
) -> Result<Vec<Change>, ApiError> {
    let mut labels = std::collections::BTreeSet::new();
    let mut changes = Vec::with_capacity(accounts.len());
    for (position, account) in (0..).zip(accounts) {
        check_account(&account)?;
        let AccountPut { label, secret, base_url, weight } = account;
        if !labels.insert(label.clone()) {
            let message = format!("accounts[{position}]: the label `{label}` is used twice");
            return Err(ApiError::Invalid(message));
        }
        let id = format!("{provider}/{label}");
        let provider = provider.to_owned();
        let weight = weight.unwrap_or(1);
        let account = Account { provider, label, base_url, weight, position, route: None };
        let declared = Declared { id, spec: Spec::Account(account), secret };
        changes.push(Change::Put { declared, owner: Owner::Api, expect: Expect::Any });
    }
    let own = own_accounts(api, provider).await?;
    let unnamed = own.filter(
        |found| matches!(&found.spec, Spec::Account(account) if !labels.contains(&account.label)),
    );
    changes.extend(unnamed.map(delete_account));
    Ok(changes)
}

async fn own_accounts(
    api: &Api,
    provider: &str,
) -> Result<impl Iterator<Item = Resource> + use<>, ApiError> {
    let provider = provider.to_owned();
    let accounts = all(api, Kind::Account).await?.into_iter();
    Ok(accounts.filter(move |found| {
        let is_of = matches!(&found.spec, Spec::Account(account) if account.provider == provider);
        is_of && found.owner == Owner::Api
    }))
}

fn delete_account(found: Resource) -> Change {
    let expect = Expect::Version(found.resource_version);
    Change::Delete { kind: Kind::Account, id: found.id, owner: Owner::Api, expect }
}

fn check(id: &str, spec: &Provider) -> Result<(), ApiError> {
    check_name("provider's id", id)?;
    spec.check(id).map_err(|unsound| ApiError::Invalid(unsound.to_string()))?;
    for (index, base) in spec.base_urls.iter().enumerate() {
        check_url(&base.url).map_err(|problem| {
            ApiError::Invalid(format!("spec.base_urls[{index}].url: {problem}"))
        })?;
        if spec.base_urls[..index].iter().any(|other| other.dialect == base.dialect) {
            let message = format!("spec.base_urls[{index}]: its dialect has a base URL already");
            return Err(ApiError::Invalid(message));
        }
    }
    Ok(())
}

fn check_account(account: &AccountPut) -> Result<(), ApiError> {
    check_name("account's label", &account.label)?;
    if account.label.starts_with("route:") {
        let message = "labels that start with `route:` belong to routes of bitrouter.yaml";
        return Err(ApiError::Invalid(message.to_owned()));
    }
    if account.weight == Some(0) {
        return Err(ApiError::Invalid("an account's weight is at least 1".to_owned()));
    }
    let problem = account.base_url.as_ref().map(check_url).and_then(Result::err);
    problem.map_or(Ok(()), |problem| Err(ApiError::Invalid(format!("base_url: {problem}"))))
}

fn check_url(url: &Url) -> Result<(), &'static str> {
    match url {
        _ if !matches!(url.scheme(), "http" | "https") => Err("only http and https are spoken"),
        _ if !url.username().is_empty() || url.password().is_some() => {
            Err("a base URL holds no password; give it to an account")
        }
        _ if url.query().is_some() || url.fragment().is_some() => {
            Err("a base URL ends with its path")
        }
        _ => Ok(()),
    }
}

fn view(provider: Resource, accounts: &[Resource]) -> Option<ProviderView> {
    let meta = Meta::of(&provider);
    let Spec::Provider(mut spec) = provider.spec else { return None };
    spec.redact();
    let mut own: Vec<AccountView> = accounts
        .iter()
        .filter_map(account_view)
        .filter(|(of, _)| *of == provider.id)
        .map(|(_, view)| view)
        .collect();
    own.sort_by_key(|account| account.position);
    Some(ProviderView { id: provider.id, meta, is_active: is_active(&spec), spec, accounts: own })
}

fn account_view(resource: &Resource) -> Option<(&str, AccountView)> {
    let Spec::Account(spec) = &resource.spec else { return None };
    let view = AccountView {
        id: resource.id.clone(),
        label: spec.label.clone(),
        owner: resource.owner,
        base_url: spec.base_url.clone(),
        weight: spec.weight,
        position: spec.position,
        route: spec.route.clone(),
    };
    Some((&spec.provider, view))
}
