//! What several resources' handlers share: listing, answering, checking names.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{
    api::{
        Api,
        error::ApiError,
        extract::{IfMatch, REVISION_HEADER},
        types::List,
    },
    names::is_name,
    resource::{Kind, Owner, Resource, Revision},
    store::{Expect, Page, StoreError},
};

const PAGE: u32 = 500;
const LONGEST_PAGE: u32 = 1_000;

/// A page of a listing.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(super) struct PageQuery {
    /// How many at most. Absent: 500.
    limit: Option<u32>,
    /// Continues a list: the `next` of the page before.
    after: Option<String>,
}

impl PageQuery {
    /// One page of the stored resources of a kind.
    pub(super) async fn read(self, api: &Api, kind: Kind) -> Result<List<Resource>, StoreError> {
        let limit = self.limit.unwrap_or(PAGE).clamp(1, LONGEST_PAGE);
        let page = Page { after: self.after, limit: limit + 1 };
        let mut items = api.store.list(kind, &page).await?;
        let has_more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| has_more).map(|last| last.id.clone());
        Ok(List { items, next })
    }
}

/// Every stored resource of a kind.
pub(super) async fn all(api: &Api, kind: Kind) -> Result<Vec<Resource>, StoreError> {
    let mut found: Vec<Resource> = Vec::new();
    loop {
        let after = found.last().map(|last| last.id.clone());
        let page = api.store.list(kind, &Page { after, limit: PAGE }).await?;
        let is_last = page.len() < PAGE as usize;
        found.extend(page);
        if is_last {
            return Ok(found);
        }
    }
}

/// Every resource of a kind that is in force: stored ones, and those of the overlay whose names are
/// free. In the order of their ids.
pub(super) async fn in_force(api: &Api, kind: Kind) -> Result<Vec<Resource>, StoreError> {
    let mut found = all(api, kind).await?;
    let stored: std::collections::BTreeSet<String> =
        found.iter().map(|resource| resource.id.clone()).collect();
    let overlaid = api.publisher.overlay(kind).await.into_iter();
    found.extend(overlaid.filter(|resource| !stored.contains(&resource.id)));
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

/// One resource that is in force.
pub(super) async fn find(api: &Api, kind: Kind, id: &str) -> Result<Option<Resource>, StoreError> {
    if let Some(found) = api.store.resource(kind, id).await? {
        return Ok(Some(found));
    }
    let overlaid = api.publisher.overlay(kind).await;
    Ok(overlaid.into_iter().find(|resource| resource.id == id))
}

/// What a PUT may expect of what it replaces.
pub(super) async fn replacing(
    api: &Api,
    kind: Kind,
    id: &str,
    if_match: IfMatch,
) -> Result<Expect, ApiError> {
    let found = find(api, kind, id).await?;
    if_match.expect(kind, id, found.as_ref())
}

/// What a DELETE may expect of what it removes.
pub(super) async fn removing(
    api: &Api,
    kind: Kind,
    id: &str,
    if_match: IfMatch,
) -> Result<Expect, ApiError> {
    match find(api, kind, id).await? {
        None => Err(ApiError::NotFound { what: kind.as_str(), id: id.to_owned() }),
        Some(Resource { owner: owner @ Owner::Env, .. }) => {
            Err(StoreError::OwnedBy { kind, id: id.to_owned(), owner }.into())
        }
        Some(found) => if_match.expect(kind, id, Some(&found)),
    }
}

/// An answer about one resource, with its version as entity tag.
pub(super) fn versioned(view: impl Serialize, version: Revision) -> Response {
    let mut response = Json(view).into_response();
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", version.0)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response
}

/// An answer to a change, with the revision that the change is part of.
pub(super) fn changed(mut response: Response, revision: Revision) -> Response {
    response.headers_mut().insert(REVISION_HEADER, HeaderValue::from(revision.0));
    response
}

/// The answer to a deletion.
pub(super) fn deleted(revision: Revision) -> Response {
    changed(StatusCode::NO_CONTENT.into_response(), revision)
}

/// Refuses names that could not be told apart or shown.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    if is_name(name) {
        return Ok(());
    }
    let rule = "is empty, too long, or holds control characters or spaces at its ends";
    Err(ApiError::Invalid(format!("the {what} {rule}")))
}
