//! The resources that the control plane keeps: what a user declared, who owns it, and which revision
//! changed it last.

use std::{fmt, str::FromStr};

use bitrouter_config::resource::{Account, Preset, Provider, Route, Variant};
use bitrouter_keys::{Pattern, Secret};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Counts committed changes of the whole installation. Only grows.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    Deserialize,
    Eq,
    Hash,
    JsonSchema,
    Ord,
    PartialEq,
    PartialOrd,
    Serialize,
)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// The kinds of resource.
#[derive(
    Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, Ord, PartialEq, PartialOrd, Serialize,
)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is documented at its spec")]
pub enum Kind {
    Provider,
    Account,
    Route,
    Preset,
    Variant,
    User,
    VirtualKey,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Provider,
        Self::Account,
        Self::Route,
        Self::Preset,
        Self::Variant,
        Self::User,
        Self::VirtualKey,
    ];

    /// The kind's name in storage, in the API and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Account => "account",
            Self::Route => "route",
            Self::Preset => "preset",
            Self::Variant => "variant",
            Self::User => "user",
            Self::VirtualKey => "virtual_key",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name).ok_or(UnknownName)
    }
}

/// The name is not one of a kind or an owner.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("unknown name")]
pub struct UnknownName;

/// Who may change a resource.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Owner {
    /// `bitrouter.yaml`: immutable through the API.
    File,
    /// The admin API or the command line.
    Api,
    /// The environment, or a model server found on loopback: never stored.
    Env,
}

impl Owner {
    /// Every owner.
    pub const ALL: [Self; 3] = [Self::File, Self::Api, Self::Env];

    /// The owner's name in storage, in the API and in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Api => "api",
            Self::Env => "env",
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Owner {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|owner| owner.as_str() == name).ok_or(UnknownName)
    }
}

/// What was declared.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "spec")]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Spec {
    Provider(Provider),
    Account(Account),
    Route(Route),
    Preset(Preset),
    Variant(Variant),
    User(User),
    VirtualKey(VirtualKey),
}

/// A person or an agent that keys and spend are attributed to. Its id is chosen by the operator.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// What people call it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub display_name: Option<String>,
}

/// What a client presents. The secret itself is shown once, at minting, and kept nowhere.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct VirtualKey {
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The user that it belongs to.
    pub user: String,
    /// Which model names it may ask for. Empty: every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<Pattern>,
    /// Which providers may serve it. Empty: every one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub providers: Vec<String>,
    /// Unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at_ms: Option<u64>,
    /// How fast it may be used.
    #[serde(default)]
    pub limits: Limits,
    /// The newest first; older ones are accepted until their time is over.
    pub digests: Vec<KeyDigest>,
    /// The Ed25519 public half, base64url.
    pub public_key: String,
    /// The last four characters of the secret, to recognise it by.
    pub last4: String,
    /// Unix milliseconds. A revoked key is kept for the record and is never sent to a data plane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at_ms: Option<u64>,
}

/// A digest under which a key is accepted.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct KeyDigest {
    /// HMAC-SHA-256 of the secret under the digest key, base64url.
    pub digest: String,
    /// Unix milliseconds after which it is refused. Absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_after_ms: Option<u64>,
}

/// How fast a key may be used. Absent: no limit.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Requests per minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rpm: Option<u32>,
    /// Tokens per minute, input and output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tpm: Option<u64>,
    /// Requests in flight.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
}

/// A resource as it is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct Resource {
    /// Unique within its kind.
    pub id: String,
    /// Who may change it.
    pub owner: Owner,
    /// The revision at which it last changed; a writer names the one that it saw.
    pub resource_version: Revision,
    /// Unix milliseconds.
    pub created_at_ms: u64,
    /// Unix milliseconds.
    pub updated_at_ms: u64,
    /// What was declared.
    #[serde(flatten)]
    pub spec: Spec,
}

/// A resource that is to be, with the secret that belongs to it (accounts only).
#[derive(Clone, Debug)]
pub struct Declared {
    /// Unique within its kind.
    pub id: String,
    /// What is declared.
    pub spec: Spec,
    /// Sealed by the store; absent leaves a stored one as it is.
    pub secret: Option<Secret>,
}

impl Spec {
    /// The kind that it is of.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Provider(_) => Kind::Provider,
            Self::Account(_) => Kind::Account,
            Self::Route(_) => Kind::Route,
            Self::Preset(_) => Kind::Preset,
            Self::Variant(_) => Kind::Variant,
            Self::User(_) => Kind::User,
            Self::VirtualKey(_) => Kind::VirtualKey,
        }
    }
}
