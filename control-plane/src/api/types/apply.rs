//! Declaring many resources at once.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::{Kind, Revision};

/// `POST /v1/apply`; the body is YAML as in `bitrouter.yaml`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApplyQuery {
    /// Only tell what would be done.
    pub dry_run: bool,
    /// Delete the resources of owner `api` that the document does not name. Users and keys stay.
    pub prune: bool,
}

/// What applying a document did, or would do.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Applied {
    /// The revision that holds the changes; the standing one if there are none.
    pub revision: Revision,
    /// True if nothing was done.
    pub dry_run: bool,
    /// What changed, or would.
    pub changes: Vec<Change>,
    /// What the document says without effect, for people.
    pub warnings: Vec<String>,
}

/// One resource's change.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
pub struct Change {
    /// What is done.
    pub operation: Operation,
    /// The resource's kind.
    pub kind: Kind,
    /// The resource's id.
    pub id: String,
}

/// What is done to a resource.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they say what they are")]
pub enum Operation {
    Create,
    Update,
    Delete,
}
