//! `providers`, and the manifests in `providers.d`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    price::Pricing,
    scalar::{OneOrMany, Span},
};

/// A model source.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Provider {
    /// What people call it.
    pub(crate) name: Option<String>,
    /// Take protocols, base URL, catalogue and headers from another provider; never its keys.
    pub(crate) derives: Option<String>,
    /// What the provider speaks. Default: told from the host.
    pub(crate) api_protocol: Option<Protocols>,
    /// Base URL, with or without the version path; or one for each protocol.
    pub(crate) api_base: Option<Bases>,
    /// The key. Better as `${VAR}` than in the file.
    pub(crate) api_key: Option<String>,
    /// Read `<PREFIX>_API_KEY` and `<PREFIX>_BASE_URL`. Default: the id in upper case.
    pub(crate) env_prefix: Option<String>,
    /// Sent with every request to the provider. No place for keys.
    pub(crate) default_headers: Option<IndexMap<String, String>>,
    /// How the key travels. Default: bearer.
    pub(crate) auth: Option<Auth>,
    /// Several keys.
    pub(crate) accounts: Option<Vec<Account>>,
    /// How one of several accounts is chosen. Default: failover.
    pub(crate) account_strategy: Option<AccountStrategy>,
    /// Lower goes first for bare model names. Default: 0.
    pub(crate) priority: Option<i32>,
    /// How tokens are paid for. Default: token.
    pub(crate) billing: Option<Billing>,
    /// The catalogue, by the provider's own model ids. Adds to a built-in's.
    pub(crate) models: Option<Models>,
    /// Labels that presets can require.
    pub(crate) tags: Option<Vec<String>>,
    /// Limits of one attempt.
    pub(crate) timeouts: Option<Timeouts>,
    /// Expose an MCP server as `POST /mcp/<id>`. Not active in this version.
    pub(crate) bridge: Option<bool>,
}

/// A protocol, several, or several by pattern over the model id; the first match wins.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Protocols {
    One(Protocol),
    Many(Vec<ProtocolItem>),
}

/// A protocol, or `{pattern: protocol}`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ProtocolItem {
    Name(Protocol),
    Rules(IndexMap<String, OneOrMany<Protocol>>),
}

/// A protocol. `openai`, `anthropic` and `google` are older names; `mcp` and `rest` serve tools.
#[derive(Clone, Copy, Debug, Deserialize, Eq, JsonSchema, PartialEq)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum Protocol {
    ChatCompletions,
    Responses,
    Messages,
    GenerateContent,
    Openai,
    Anthropic,
    Google,
    Mcp,
    Rest,
}

/// One base URL, or one for each protocol.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Bases {
    One(String),
    PerProtocol(PerProtocol),
}

/// A base URL for each protocol.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PerProtocol {
    pub(crate) chat_completions: Option<String>,
    pub(crate) responses: Option<String>,
    pub(crate) messages: Option<String>,
    pub(crate) generate_content: Option<String>,
}

/// How the key travels.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "type")]
pub(crate) enum Auth {
    /// As the protocol has it.
    Bearer {
        /// The key, if not beside `auth`.
        api_key: Option<String>,
    },
    /// In a header of the provider's own.
    Header {
        /// The header.
        #[schemars(required)]
        header_name: Option<String>,
        /// The key, if not beside `auth`.
        api_key: Option<String>,
    },
    /// A scheme of its own. Not active in this version.
    Custom {
        /// The scheme.
        #[schemars(required)]
        method: Option<String>,
        /// Its parameters.
        #[expect(dead_code, reason = "decoding checks the form; nothing uses them yet")]
        params: Option<serde_json::Map<String, serde_json::Value>>,
    },
    /// Pays for each request. Not active in this version.
    Mpp {},
}

/// One of several keys.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Account {
    /// Its name. Default: `account-1`, `account-2`, …
    pub(crate) label: Option<String>,
    /// The key.
    pub(crate) api_key: Option<String>,
    /// Overrides the provider's base URL.
    pub(crate) api_base: Option<String>,
    /// For `balance`. Default: 1.
    #[schemars(range(min = 1))]
    pub(crate) weight: Option<u32>,
}

/// How one of several accounts is chosen.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AccountStrategy {
    Failover,
    Balance,
}

/// How tokens are paid for.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Billing {
    Token,
    Subscription,
    Local,
}

/// A catalogue: by id, or a list of ids or of entries with an `id`.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum Models {
    Map(IndexMap<String, Model>),
    List(Vec<ModelItem>),
}

/// An id, or an entry with one.
#[derive(Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum ModelItem {
    Id(String),
    Entry(Box<Model>),
}

/// One model of a catalogue.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Model {
    /// The provider's own id of it. Required in a list.
    pub(crate) id: Option<String>,
    /// What people call it.
    pub(crate) name: Option<String>,
    /// A sentence about it.
    pub(crate) description: Option<String>,
    /// What the provider speaks for this model.
    pub(crate) api_protocol: Option<OneOrMany<Protocol>>,
    /// The context window, in tokens.
    #[schemars(range(min = 1))]
    pub(crate) max_input_tokens: Option<u64>,
    /// The longest answer, in tokens.
    #[schemars(range(min = 1))]
    pub(crate) max_output_tokens: Option<u64>,
    /// What it takes: text, image, audio, video, file.
    pub(crate) input_modalities: Option<Vec<String>>,
    /// What it gives.
    pub(crate) output_modalities: Option<Vec<String>>,
    /// What it costs. Replaces a built-in price as a whole.
    pub(crate) pricing: Option<Pricing>,
    /// Limits of one attempt; override the provider's.
    pub(crate) timeouts: Option<Timeouts>,
}

/// Limits of one attempt.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Timeouts {
    /// Until the connection stands.
    pub(crate) connect: Option<Span>,
    /// From sending the request to the first meaningful byte of the answer.
    pub(crate) first_token: Option<Span>,
    /// Between two pieces of a streamed answer.
    pub(crate) idle: Option<Span>,
    /// For a whole answer that is not streamed.
    pub(crate) total: Option<Span>,
}
