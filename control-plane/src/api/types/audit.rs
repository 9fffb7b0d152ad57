//! Who changed what.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;
use crate::resource::Revision;

/// `GET /v1/audit`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// How many at most. Absent: 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Continues a list: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
}

/// One change of one resource.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AuditRow {
    /// Counts them.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// The revision that it is part of.
    pub revision: Revision,
    /// Who: a token's name, `socket` or `file`.
    pub actor: String,
    /// What was done: `create`, `update`, `delete`, `revoke`, …
    pub action: String,
    /// The resource's kind.
    pub kind: String,
    /// The resource's id.
    pub id: String,
    /// What it was before. Holds no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<serde_json::Value>,
    /// What it was after. Holds no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<serde_json::Value>,
}
