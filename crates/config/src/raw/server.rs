//! `server` and `database`.

use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    provider::Timeouts,
    scalar::{Size, Span},
};

/// The process's own settings.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Server {
    /// Address and port of model traffic. Default: 127.0.0.1:4356.
    #[schemars(extend("examples" = ["127.0.0.1:4356"]))]
    pub(crate) listen: Option<String>,
    /// Address and port of the admin API. Default: 127.0.0.1:4357.
    #[schemars(extend("examples" = ["127.0.0.1:4357"]))]
    pub(crate) admin_listen: Option<String>,
    /// How much is logged. Default: info.
    pub(crate) log_level: Option<LogLevel>,
    /// Serve requests without a credential. Default: false, but true without any file on loopback.
    pub(crate) skip_auth: Option<bool>,
    /// Tolerate `skip_auth` beyond loopback, behind a proxy that authenticates. Default: false.
    pub(crate) allow_open: Option<bool>,
    /// Who may read `/metrics` on the listener of model traffic. Default: loopback.
    pub(crate) metrics: Option<Metrics>,
    /// Serve TLS.
    pub(crate) tls: Option<Tls>,
    /// The largest request body: bytes, or a text such as `50MB`. Default: 50MiB.
    pub(crate) max_body: Option<Size>,
    /// The Unix socket for administration. Default: in the run directory.
    pub(crate) control_socket: Option<String>,
    /// Older spelling of `control_socket`.
    pub(crate) control: Option<Control>,
    /// Addresses and networks of proxies whose forwarding headers are believed.
    pub(crate) trusted_proxies: Option<Vec<String>>,
    /// Web pages that may call.
    pub(crate) cors: Option<Cors>,
    /// How providers are dialled.
    pub(crate) upstream: Option<Upstream>,
    /// How long open requests may run on at shutdown. Default: 30s.
    pub(crate) drain_timeout: Option<Span>,
    /// How long usage records are kept. Default: for ever.
    pub(crate) usage_retention: Option<Span>,
    /// Look for model servers on loopback. Default: true.
    pub(crate) discovery: Option<bool>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

/// Who may read `/metrics`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Metrics {
    Public,
    Loopback,
    Off,
}

/// PEM files.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tls {
    /// The certificate chain.
    #[schemars(required)]
    pub(crate) cert: Option<String>,
    /// The private key.
    #[schemars(required)]
    pub(crate) key: Option<String>,
}

/// Older spelling of `control_socket`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Control {
    /// The Unix socket for administration.
    pub(crate) socket: Option<String>,
}

/// Web pages that may call.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cors {
    /// Such as `https://app.example.com`; `*` stands for every origin.
    #[schemars(required)]
    pub(crate) origins: Option<Vec<String>>,
}

/// How providers are dialled.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Upstream {
    /// URL of an HTTP proxy. Default: the variables `HTTPS_PROXY` and `NO_PROXY`.
    pub(crate) proxy: Option<String>,
    /// Hosts, domains and networks that are reached directly.
    pub(crate) no_proxy: Option<Vec<String>>,
    /// PEM files with certificates to trust besides the well-known ones.
    pub(crate) ca_certificates: Option<Vec<String>>,
    /// Limits of one attempt, where provider and model set none.
    pub(crate) timeouts: Option<Timeouts>,
}

/// Where the control plane keeps its state.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Database {
    /// `sqlite://…` or `postgres://…`. Default: a SQLite file in the home directory.
    pub(crate) url: Option<String>,
}
