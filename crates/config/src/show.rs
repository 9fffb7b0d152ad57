//! The effective configuration for people, with every secret left out.

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    document::{Document, Entry, NotActive, Origin},
    redact,
    resource::{Account, Preset, Provider, Route, Variant},
    server::Server,
};

/// The effective configuration without secrets.
#[derive(Debug, Serialize)]
pub struct Shown {
    /// The process's own settings.
    pub server: Server,
    /// Without its password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// The declared providers and the active ones, with their accounts. Header values that look like
    /// secrets are left out.
    pub providers: Vec<ShownProvider>,
    /// Public model names.
    pub routes: Vec<Entry<Route>>,
    /// Used as `@name`.
    pub presets: Vec<Entry<Preset>>,
    /// Used as `:name`.
    pub variants: Vec<Entry<Variant>>,
    /// What is declared and does nothing yet.
    pub not_active: Vec<NotActive>,
}

/// A provider and its accounts.
#[derive(Debug, Serialize)]
pub struct ShownProvider {
    /// The provider.
    #[serde(flatten)]
    pub provider: Entry<Provider>,
    /// Its accounts; `secret` says only that there is one.
    pub accounts: Vec<ShownAccount>,
}

/// An account without its secret.
#[derive(Debug, Serialize)]
pub struct ShownAccount {
    /// Who declared it.
    pub origin: Origin,
    /// The account.
    #[serde(flatten)]
    pub account: Account,
    /// Always the same text.
    pub secret: &'static str,
}

impl Document {
    /// The effective configuration without secrets. Inactive built-ins are not shown.
    pub fn redacted(&self) -> Shown {
        let is_shown =
            |it: &&Entry<Provider>| it.origin == Origin::File || it.spec.inactive_reason.is_none();
        Shown {
            server: self.server.clone(),
            database_url: self.database_url.as_ref().map(|url| redact::database_url(url.expose())),
            providers: self.providers.iter().filter(is_shown).map(|it| self.shown(it)).collect(),
            routes: self.routes.clone(),
            presets: self.presets.clone(),
            variants: self.variants.clone(),
            not_active: self.not_active.clone(),
        }
    }

    /// [`Self::redacted`] as JSON.
    pub fn to_redacted_json(&self) -> Value {
        serde_json::to_value(self.redacted())
            .unwrap_or_else(|error| json!({ "error": error.to_string() }))
    }

    fn shown(&self, provider: &Entry<Provider>) -> ShownProvider {
        let mut shown = provider.clone();
        shown.spec.redact();
        let accounts = self.accounts.iter().filter(|it| it.spec.account.provider == provider.id);
        let accounts = accounts.map(|it| ShownAccount {
            origin: it.origin,
            account: it.spec.account.clone(),
            secret: redact::REDACTED,
        });
        ShownProvider { provider: shown, accounts: accounts.collect() }
    }
}
