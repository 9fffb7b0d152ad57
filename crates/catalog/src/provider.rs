//! Built-in providers: where they are, what they speak, how they want to be paid.

use bitrouter_translate::Dialect;
use serde::Deserialize;

/// A provider that is known by name. It serves nothing until a credential (or, for an open server,
/// its presence) makes it active.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CatalogProvider {
    /// Its name in configuration and in model names (`<id>:<model>`).
    pub id: String,
    /// What people call it.
    pub display_name: String,
    /// Other ids by which it is found.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Environment variables that hold a credential, in the order in which they are tried, after the
    /// names that the provider's id gives.
    #[serde(default)]
    pub api_key_env: Vec<String>,
    /// At most one per dialect, and one without a dialect that serves the rest. May hold `${NAME}` and
    /// `${NAME:-default}`, to be filled from the environment.
    pub base_urls: Vec<BaseUrl>,
    /// First match on the upstream's model id wins; the last rule matches everything. Empty for what
    /// is not a model provider.
    #[serde(default)]
    pub dialects: Vec<DialectRule>,
    /// What it offers.
    #[serde(default)]
    pub service: Service,
    /// How one comes in.
    #[serde(default)]
    pub access: Access,
    /// How a credential travels.
    #[serde(default)]
    pub auth: Auth,
    /// How its tokens are paid for.
    #[serde(default)]
    pub billing: Billing,
    /// True if its Chat Completions streams report usage without being asked, or if it refuses the
    /// `stream_options` that ask for it.
    #[serde(default)]
    pub stream_usage_unasked: bool,
    /// Where an entry is not a plain published fact: what it rests on.
    #[serde(default)]
    pub note: Option<String>,
}

/// Where a dialect is served.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BaseUrl {
    /// Absent: every dialect that has no base URL of its own.
    #[serde(default)]
    pub dialect: Option<Dialect>,
    /// Version path included, no trailing slash. May hold `${NAME}` and `${NAME:-default}`.
    pub url: String,
}

/// Which dialects serve the models that a pattern matches.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DialectRule {
    /// Over the upstream's model id; `*` stands for any run of characters.
    pub glob: String,
    /// In order of preference.
    pub dialects: Vec<Dialect>,
}

/// What a provider offers.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Models, in one or more dialects.
    #[default]
    Models,
    /// A REST API whose operations can be offered as tools.
    Rest,
}

/// How one comes in.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Access {
    /// With an API key.
    #[default]
    Key,
    /// Freely: a server on one's own machines. A key is sent if one is configured.
    Open,
    /// With a subscription that one logs in to. Inactive until the program can do that; the text
    /// names the login.
    Login(String),
}

/// How a credential travels.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// As the dialect has it: `authorization: Bearer`, `x-api-key` or `x-goog-api-key`.
    #[default]
    Bearer,
    /// In the header of this name, in lower case.
    Header(String),
}

/// How a provider's tokens are paid for.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Billing {
    /// Each token has a price.
    #[default]
    Token,
    /// Tokens are counted; the price is zero by declaration.
    Subscription,
    /// Runs on one's own hardware; the price is zero by declaration.
    Local,
}
