//! The resources of a routing table, ready for use: what may be relied on is checked when one is
//! made from the wire, so that nothing here can be half valid.

use std::{fmt, sync::Arc};

use bitrouter_keys::{Digest, DigestKey as KeyBytes, Pattern, Secret};
use bitrouter_metering::Price;
use bitrouter_runtime::Timestamp;
use bitrouter_translate::Dialect;
use indexmap::IndexMap;
use serde::Serialize;
use url::Url;

/// A JSON object of request parameters.
pub type Parameters = serde_json::Map<String, serde_json::Value>;

/// Counts the committed changes of the configuration. Zero: none has arrived.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Revision(pub u64);

/// The kinds of resource.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Kind {
    Provider,
    Account,
    Route,
    Preset,
    Variant,
    VirtualKey,
    DigestKey,
    /// Of a newer control plane: its number on the wire. Always rejected.
    Unknown(i32),
}

/// Names one resource.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ResourceRef {
    /// What it is.
    pub kind: Kind,
    /// Unique within its kind.
    pub id: Arc<str>,
}

/// One resource of any kind.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each is documented at its type")]
pub enum Resource {
    Provider(Arc<Provider>),
    Account(Arc<Account>),
    Route(Arc<Route>),
    Preset(Arc<Preset>),
    Variant(Arc<Variant>),
    VirtualKey(Arc<VirtualKey>),
    DigestKey(Arc<DigestKey>),
}

/// A configured model source.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Unique among providers.
    pub id: Arc<str>,
    /// When it last changed: also the revision of its prices.
    pub version: Revision,
    /// Where and how it is spoken to.
    pub wire: Wire,
    /// Its catalogue, by its own model ids, in declaration order.
    pub models: IndexMap<Arc<str>, Model>,
    /// Lower goes first for bare names; declaration order breaks ties.
    pub order: (i32, u32),
    /// How its tokens are paid for.
    pub billing: Billing,
    /// How one of several accounts is chosen.
    pub account_strategy: AccountStrategy,
    /// Set if it takes no traffic: what is missing, for people.
    pub inactive_reason: Option<Box<str>>,
    /// True if requests need one of its accounts.
    pub needs_account: bool,
    /// Labels that presets can require.
    pub tags: Box<[Box<str>]>,
    /// Other names before `:` and `/` in what is asked for.
    pub aliases: Box<[Box<str>]>,
    /// What people call it. Empty: its id.
    pub display_name: Box<str>,
}

/// Where and how a provider is spoken to.
#[derive(Clone, Debug)]
pub struct Wire {
    /// First match on the upstream's model id wins.
    pub dialects: Box<[DialectRule]>,
    /// By dialect; `None` serves the rest.
    pub base_urls: Box<[(Option<Dialect>, Arc<Url>)]>,
    /// How an account's secret travels.
    pub auth: Auth,
    /// Sent with every request.
    pub default_headers: Box<[(http::HeaderName, http::HeaderValue)]>,
    /// Limits of one attempt.
    pub timeouts: Timeouts,
    /// True if a stream must not be asked for its usage.
    pub stream_usage_unasked: bool,
}

/// Which dialects serve the models that a pattern matches.
#[derive(Clone, Debug)]
pub struct DialectRule {
    /// Over the upstream's model id.
    pub glob: Pattern,
    /// In order of preference.
    pub dialects: Box<[Dialect]>,
}

/// How an account's secret travels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Auth {
    /// As the dialect has it.
    Bearer,
    /// In a header of the provider's own.
    Header(http::HeaderName),
}

/// How a provider's tokens are paid for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Billing {
    /// Each token has a price.
    Token,
    /// The price is zero by declaration.
    Subscription,
    /// Runs on one's own hardware; the price is zero by declaration.
    Local,
}

/// How one of several accounts is chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum AccountStrategy {
    /// In declaration order.
    Failover,
    /// Weighted round robin.
    Balance,
}

/// Limits of one upstream attempt, in milliseconds. `None`: the data plane's default.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Timeouts {
    /// Until the connection stands.
    pub connect_ms: Option<u32>,
    /// From sending the request to the first meaningful byte of the answer.
    pub first_token_ms: Option<u32>,
    /// Between two pieces of a streamed answer.
    pub idle_ms: Option<u32>,
    /// For a whole answer that is not streamed.
    pub total_ms: Option<u32>,
}

/// One model of a provider's catalogue.
#[derive(Clone, Debug)]
pub struct Model {
    /// What people call it. Empty: its id.
    pub display_name: Box<str>,
    /// A sentence about it. May be empty.
    pub description: Box<str>,
    /// The context window, in tokens.
    pub max_input_tokens: Option<u64>,
    /// The longest answer, in tokens.
    pub max_output_tokens: Option<u64>,
    /// What it takes.
    pub input_modalities: Box<[Box<str>]>,
    /// What it gives.
    pub output_modalities: Box<[Box<str>]>,
    /// `None`: unknown, which is not free.
    pub price: Option<Price>,
    /// Where set, overrides the provider's.
    pub timeouts: Timeouts,
}

/// One credential of a provider.
#[derive(Clone, Debug)]
pub struct Account {
    /// Unique among accounts.
    pub id: Arc<str>,
    /// When it last changed.
    pub version: Revision,
    /// The provider that it belongs to.
    pub provider_id: Arc<str>,
    /// Its name among that provider's accounts.
    pub label: Arc<str>,
    /// Empty: none is sent.
    pub secret: Secret,
    /// Overrides the provider's.
    pub base_url: Option<Arc<Url>>,
    /// For weighted round robin. At least 1.
    pub weight: u32,
    /// Declaration order.
    pub position: u32,
    /// Set if it belongs to one endpoint of this route and serves nothing else.
    pub route_name: Option<Box<str>>,
}

/// A public model name.
#[derive(Clone, Debug)]
pub struct Route {
    /// Unique among routes.
    pub name: Arc<str>,
    /// When it last changed.
    pub version: Revision,
    /// How its endpoints are ordered.
    pub strategy: Strategy,
    /// In declaration order.
    pub endpoints: Box<[RouteEndpoint]>,
    /// What people call it. Empty: its name.
    pub display_name: Box<str>,
    /// A sentence about it. May be empty.
    pub description: Box<str>,
    /// Requests with more input are refused.
    pub max_input_tokens: Option<u64>,
    /// Requests that ask for more output are refused.
    pub max_output_tokens: Option<u64>,
    /// True if a translation that loses something is refused.
    pub is_strict: bool,
    /// True if only providers with local billing may serve it.
    pub is_local_only: bool,
}

/// One endpoint of a route, before its accounts are known.
#[derive(Clone, Debug)]
pub struct RouteEndpoint {
    /// The provider's id.
    pub provider_id: Arc<str>,
    /// The provider's own model id.
    pub model: Arc<str>,
    /// The only account to use.
    pub account_id: Option<Box<str>>,
    /// Overrides the account's and the provider's.
    pub base_url: Option<Arc<Url>>,
    /// For weighted round robin. At least 1.
    pub weight: u32,
}

/// How candidates are ordered. Each fails over to the rest.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// In declaration order.
    Priority,
    /// Weighted round robin.
    LoadBalance,
    /// Fewest requests in flight first.
    LeastBusy,
    /// Shortest observed time to the first token first.
    LowestLatency,
    /// Cheapest list price first.
    LowestCost,
    /// Local providers first.
    LocalFirst,
}

/// A named bundle, used as `@name`.
#[derive(Clone, Debug)]
pub struct Preset {
    /// Unique among presets.
    pub name: Arc<str>,
    /// When it last changed.
    pub version: Revision,
    /// The model that it stands for.
    pub model: Option<Box<str>>,
    /// Put before the request's own instructions.
    pub system_prompt: Option<Box<str>>,
    /// They apply where the request does not set them.
    pub parameters: Parameters,
    /// Which candidates, in which order.
    pub routing: Routing,
}

/// A named way of choosing among candidates, used as the suffix `:name`.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Unique among variants.
    pub name: Arc<str>,
    /// When it last changed.
    pub version: Revision,
    /// They apply where the request does not set them.
    pub parameters: Parameters,
    /// Which candidates, in which order.
    pub routing: Routing,
}

/// Filters and order of candidates.
#[derive(Clone, Debug, Default)]
pub struct Routing {
    /// Replaces the strategy's order.
    pub sort: Option<Sort>,
    /// Provider ids. Empty: all.
    pub only: Box<[Box<str>]>,
    /// Provider ids.
    pub ignore: Box<[Box<str>]>,
    /// A candidate's provider must carry all of them.
    pub require_tags: Box<[Box<str>]>,
}

/// What candidates are sorted by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sort {
    /// Cheapest list price first.
    Price,
    /// Shortest observed time to the first token first.
    Latency,
    /// Most observed output tokens per second first.
    Throughput,
}

/// What a client presents. Its secret is nowhere, its name stays on the control plane.
#[derive(Clone, Debug)]
pub struct VirtualKey {
    /// Public.
    pub id: Arc<str>,
    /// When it last changed.
    pub version: Revision,
    /// Who it belongs to. May be empty.
    pub user_id: Arc<str>,
    /// Over model names. Empty: every model.
    pub models: Box<[Pattern]>,
    /// Provider ids. Empty: every provider.
    pub providers: Box<[Box<str>]>,
    /// After this it is refused. The end of time: never.
    pub expires_at: Timestamp,
    /// How fast it may be used.
    pub limits: Limits,
    /// More than one while a rotated key's predecessor is still accepted.
    pub digests: Box<[KeyDigest]>,
}

/// A digest under which a key is accepted.
#[derive(Clone, Copy, Debug)]
pub struct KeyDigest {
    /// Of the secret, under one of the table's digest keys.
    pub digest: Digest,
    /// After this it is refused. The end of time: never.
    pub not_after: Timestamp,
}

/// How fast a key may be used. Zero: no limit.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    /// Requests per minute.
    pub rpm: u32,
    /// Requests in flight.
    pub concurrency: u32,
    /// Tokens per minute, input and output.
    pub tpm: u64,
}

/// The key of the virtual keys' digests.
#[derive(Clone, Debug)]
pub struct DigestKey {
    /// Its version number, as text.
    pub id: Arc<str>,
    /// When it last changed.
    pub version: Revision,
    /// The key itself.
    pub key: KeyBytes,
}

impl Provider {
    /// True if it takes traffic.
    pub const fn is_active(&self) -> bool {
        self.inactive_reason.is_none()
    }

    /// The dialects that serve one of its models, in order of preference. Empty: none does.
    pub fn dialects_of(&self, model: &str) -> &[Dialect] {
        let rule = self.wire.dialects.iter().find(|rule| rule.glob.matches(model));
        rule.map_or(&[], |rule| &rule.dialects)
    }

    /// Where a dialect is served.
    pub fn base_url(&self, dialect: Dialect) -> Option<&Arc<Url>> {
        let of = |wanted| self.wire.base_urls.iter().find(|(dialect, _)| *dialect == wanted);
        of(Some(dialect)).or_else(|| of(None)).map(|(_, url)| url)
    }

    /// The limits of an attempt at one of its models.
    pub fn timeouts_of(&self, model: &str) -> Timeouts {
        let own = self.models.get(model).map_or_else(Timeouts::default, |model| model.timeouts);
        own.or(self.wire.timeouts)
    }
}

impl Timeouts {
    /// These, with the gaps filled from `base`.
    #[must_use]
    pub fn or(self, base: Self) -> Self {
        Self {
            connect_ms: self.connect_ms.or(base.connect_ms),
            first_token_ms: self.first_token_ms.or(base.first_token_ms),
            idle_ms: self.idle_ms.or(base.idle_ms),
            total_ms: self.total_ms.or(base.total_ms),
        }
    }
}

impl Strategy {
    /// Its name in configuration and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::LoadBalance => "load_balance",
            Self::LeastBusy => "least_busy",
            Self::LowestLatency => "lowest_latency",
            Self::LowestCost => "lowest_cost",
            Self::LocalFirst => "local_first",
        }
    }
}

impl Kind {
    /// Its name in messages.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Account => "account",
            Self::Route => "route",
            Self::Preset => "preset",
            Self::Variant => "variant",
            Self::VirtualKey => "virtual key",
            Self::DigestKey => "digest key",
            Self::Unknown(_) => "resource",
        }
    }
}

impl fmt::Display for ResourceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`", self.kind.as_str(), self.id)
    }
}

impl Resource {
    /// Its kind and id.
    pub fn reference(&self) -> ResourceRef {
        let (kind, id) = match self {
            Self::Provider(it) => (Kind::Provider, &it.id),
            Self::Account(it) => (Kind::Account, &it.id),
            Self::Route(it) => (Kind::Route, &it.name),
            Self::Preset(it) => (Kind::Preset, &it.name),
            Self::Variant(it) => (Kind::Variant, &it.name),
            Self::VirtualKey(it) => (Kind::VirtualKey, &it.id),
            Self::DigestKey(it) => (Kind::DigestKey, &it.id),
        };
        ResourceRef { kind, id: Arc::clone(id) }
    }

    /// When it last changed.
    pub fn version(&self) -> Revision {
        match self {
            Self::Provider(it) => it.version,
            Self::Account(it) => it.version,
            Self::Route(it) => it.version,
            Self::Preset(it) => it.version,
            Self::Variant(it) => it.version,
            Self::VirtualKey(it) => it.version,
            Self::DigestKey(it) => it.version,
        }
    }
}
