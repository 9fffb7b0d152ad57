//! Virtual keys.

use std::fmt;

use bitrouter_keys::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Meta, Time};
use crate::resource::{Limits, Revision};

/// A virtual key as it is kept: everything but the secret.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct KeyView {
    /// Public: `key_…`.
    pub id: String,
    /// Owner, version and times.
    #[serde(flatten)]
    pub meta: Meta,
    /// Whether it is accepted.
    pub state: KeyState,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user that it belongs to.
    pub user: String,
    /// Which model names it may ask for. Empty: every one.
    pub models: Vec<Pattern>,
    /// Which providers may serve it. Empty: every one.
    pub providers: Vec<String>,
    /// When it stops being accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How fast it may be used.
    pub limits: Limits,
    /// The last four characters of the secret, to recognise it by.
    pub last4: String,
    /// The Ed25519 public half, base64url.
    pub public_key: String,
    /// Set while the secret before the last rotation is still accepted: until when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous_until: Option<Time>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Time>,
}

/// Whether a key is accepted.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// It is.
    Active,
    /// Its time is over.
    Expired,
    /// It was taken back.
    Revoked,
}

/// Mints a key: `POST /v1/keys`. The user is made if new.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct MintRequest {
    /// The user that it belongs to.
    pub user: String,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which model names it may ask for. Empty: every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Pattern>,
    /// Which providers may serve it. Empty: every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// When it stops being accepted. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
    /// How fast it may be used.
    #[serde(default)]
    pub limits: Limits,
}

/// A key that was just minted or rotated: the only answer that holds its secret.
#[derive(Clone, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Minted {
    /// The secret (`brvk_…`). It is kept nowhere and cannot be shown again.
    pub key: String,
    /// Everything else.
    #[serde(flatten)]
    pub view: KeyView,
}

impl fmt::Debug for Minted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Minted").field("view", &self.view).finish_non_exhaustive()
    }
}

/// Replaces a key's secret: `POST /v1/keys/{id}/rotate`.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RotateRequest {
    /// For how long the secret before this one is still accepted, in seconds. Zero: not at all.
    pub grace_s: u64,
}

/// A key that was taken back: the answer of `POST /v1/keys/{id}/revoke`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Revoked {
    /// The key.
    #[serde(flatten)]
    pub view: KeyView,
    /// From this revision on it is refused.
    pub revision: Revision,
    /// Data planes that had not confirmed the revision when the answer was sent.
    pub unconfirmed_nodes: Vec<String>,
}
