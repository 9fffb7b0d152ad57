//! Providers and their accounts.

use bitrouter_config::resource::Provider;
use bitrouter_keys::Secret;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use url::Url;

use super::Meta;
use crate::resource::Owner;

/// A provider as it is kept.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct ProviderView {
    /// Its name.
    pub id: String,
    /// Owner, version and times.
    #[serde(flatten)]
    pub meta: Meta,
    /// True if it takes traffic.
    pub is_active: bool,
    /// What was declared.
    pub spec: Provider,
    /// Its credentials, without their secrets.
    pub accounts: Vec<AccountView>,
}

/// An account as it is kept. Its secret is never shown.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AccountView {
    /// `<provider>/<label>`.
    pub id: String,
    /// Its name among the provider's accounts.
    pub label: String,
    /// Who may change it. The accounts of a provider can have several owners.
    pub owner: Owner,
    /// Overrides the provider's base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Url>,
    /// For weighted round robin.
    pub weight: u32,
    /// Declaration order.
    pub position: u32,
    /// Set if it belongs to one endpoint of this route and serves nothing else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
}

/// Declares a provider: `PUT /v1/providers/{id}`.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderPut {
    /// What is declared.
    pub spec: Provider,
    /// All its accounts, in order; those that are not listed are deleted. Absent: they stay as they
    /// are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accounts: Option<Vec<AccountPut>>,
}

/// Declares an account.
#[derive(Clone, Debug, Deserialize, JsonSchema, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AccountPut {
    /// Its name among the provider's accounts.
    pub label: String,
    /// The provider's API key. Absent: the stored one stays.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "secret_text")]
    #[schemars(with = "Option<String>")]
    pub secret: Option<Secret>,
    /// Overrides the provider's base URL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<Url>,
    /// For weighted round robin. Absent: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

/// Secrets in requests, the only place where they are text.
mod secret_text {
    use bitrouter_keys::Secret;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::ref_option, reason = "serde gives the field's own type")]
    pub(super) fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match secret {
            Some(secret) => serializer.serialize_some(secret.expose()),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        Ok(Option::<String>::deserialize(deserializer)?.map(Secret::new))
    }
}
