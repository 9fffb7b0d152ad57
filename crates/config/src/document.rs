//! A configuration that may be relied on.

use std::{collections::BTreeSet, fmt};

use bitrouter_keys::Secret;
use serde::Serialize;

use crate::{
    resource::{DeclaredAccount, Preset, Provider, Route, Variant},
    server::Server,
};

/// What start-up, reload, validation and `apply` work with.
#[derive(Clone, Debug)]
pub struct Document {
    /// The process's own settings.
    pub server: Server,
    /// `database.url`; may hold a password.
    pub database_url: Option<Secret>,
    /// Active and inactive ones; the latter say what is missing. Declared ones first, in their order.
    pub providers: Vec<Entry<Provider>>,
    /// With their secrets. Accounts whose variables are not set are not among them.
    pub accounts: Vec<Entry<DeclaredAccount>>,
    /// Public model names.
    pub routes: Vec<Entry<Route>>,
    /// Used as `@name`.
    pub presets: Vec<Entry<Preset>>,
    /// Used as `:name`.
    pub variants: Vec<Entry<Variant>>,
    /// What is declared and does nothing yet.
    pub not_active: Vec<NotActive>,
    /// Every variable that the configuration asks the environment for, whether it is set or not: those
    /// that `reload` hands over from its caller.
    pub variables: BTreeSet<String>,
}

/// A resource, its id and who declared it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry<T> {
    /// Unique within its kind.
    pub id: String,
    /// Who declared it.
    pub origin: Origin,
    /// What is declared.
    pub spec: T,
}

/// Who declared a resource.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// The configuration file or a provider manifest.
    File,
    /// The environment, a built-in default or a model server found on loopback: never stored.
    Env,
}

/// A part of the configuration that is read but does nothing in this version.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct NotActive {
    /// Such as `guardrails` or `providers.github-mcp`.
    pub section: String,
    /// What would happen if it were active.
    pub what: String,
    /// True if somebody relies on it for protection, so that serving without it needs consent.
    pub protects: bool,
}

impl fmt::Display for NotActive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not active in this version: {}", self.section, self.what)
    }
}
