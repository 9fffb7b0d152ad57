//! Users.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Meta;
use crate::resource::User;

/// A user as it is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct UserView {
    /// As the operator chose it.
    pub id: String,
    /// Owner, version and times.
    #[serde(flatten)]
    pub meta: Meta,
    /// What was declared.
    pub spec: User,
}

/// Declares a user: `PUT /v1/users/{id}`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UserPut {
    /// What is declared.
    pub spec: User,
}
