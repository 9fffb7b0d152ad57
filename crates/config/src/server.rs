//! The process's own settings: the `server` section, typed.
//!
//! Paths are kept as they were written; the caller takes them relative to the home directory.

use std::{fmt, net::SocketAddr, path::PathBuf, time::Duration};

use ipnet::IpNet;
use serde::Serialize;
use url::Url;

use crate::resource::Timeouts;

/// Where model traffic is served unless something else is said.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:4356";
/// Where the admin API is served unless something else is said.
pub const DEFAULT_ADMIN_LISTEN: &str = "127.0.0.1:4357";
/// The largest request body unless something else is said.
pub const DEFAULT_MAX_BODY_BYTES: u64 = 50 * 1024 * 1024;

/// The `server` section. Flags and defaults that depend on the command line are the caller's.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Server {
    /// The listener of model traffic.
    pub listener: Listener,
    /// Who may send requests.
    pub auth: Auth,
    /// How the process is administered.
    pub control: Control,
    /// How providers are dialled.
    pub upstream: Upstream,
    /// Ends and limits of what the process keeps.
    pub lifecycle: Lifecycle,
    /// What is logged. Absent: the caller's default.
    pub log_level: Option<LogLevel>,
    /// Whether model servers are looked for on loopback. Absent: the caller's default.
    pub discovery: Option<bool>,
}

impl Server {
    /// The keys of the section that are not the same in another, as they are written in the file.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let (listener, upstream) = (&self.listener, &self.upstream);
        [
            ("listen", listener.listen == other.listener.listen),
            ("admin_listen", self.control.admin_listen == other.control.admin_listen),
            ("log_level", self.log_level == other.log_level),
            ("skip_auth", self.auth.skip_auth == other.auth.skip_auth),
            ("allow_open", self.auth.allow_open == other.auth.allow_open),
            ("metrics", listener.metrics == other.listener.metrics),
            ("tls", listener.tls == other.listener.tls),
            ("max_body", listener.max_body_bytes == other.listener.max_body_bytes),
            ("control_socket", self.control.socket == other.control.socket),
            ("trusted_proxies", listener.trusted_proxies == other.listener.trusted_proxies),
            ("cors", listener.cors == other.listener.cors),
            ("upstream.proxy", upstream.proxy == other.upstream.proxy),
            ("upstream.no_proxy", upstream.no_proxy == other.upstream.no_proxy),
            (
                "upstream.ca_certificates",
                upstream.ca_certificates == other.upstream.ca_certificates,
            ),
            ("upstream.timeouts", upstream.timeouts == other.upstream.timeouts),
            ("drain_timeout", self.lifecycle.drain_timeout == other.lifecycle.drain_timeout),
            ("usage_retention", self.lifecycle.usage_retention == other.lifecycle.usage_retention),
            ("discovery", self.discovery == other.discovery),
        ]
        .into_iter()
        .filter_map(|(key, is_same)| (!is_same).then_some(key))
        .collect()
    }
}

/// The listener of model traffic.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Listener {
    /// Absent: [`DEFAULT_LISTEN`].
    pub listen: Option<SocketAddr>,
    /// Absent: plain HTTP.
    pub tls: Option<Tls>,
    /// The largest request body, in bytes.
    pub max_body_bytes: u64,
    /// Peers whose `forwarded` and `x-forwarded-for` headers are believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Which web pages may call.
    pub cors: Cors,
    /// Who may read `/metrics` on this listener.
    pub metrics: MetricsAccess,
}

impl Default for Listener {
    fn default() -> Self {
        Self {
            listen: None,
            tls: None,
            max_body_bytes: DEFAULT_MAX_BODY_BYTES,
            trusted_proxies: Vec::new(),
            cors: Cors::default(),
            metrics: MetricsAccess::default(),
        }
    }
}

/// A certificate chain and its key, both PEM.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Tls {
    /// The chain, the server's own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Which web pages may call. No origin: none.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Cors {
    /// Such as `https://app.example.com`; `*` stands for every origin.
    pub origins: Vec<String>,
}

/// Who may read `/metrics` on the listener of model traffic.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MetricsAccess {
    /// Everybody who reaches the listener.
    Public,
    /// Only peers on loopback, while the listener is bound to loopback.
    #[default]
    Loopback,
    /// Nobody.
    Off,
}

/// Who may send requests.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Auth {
    /// Whether requests without a credential are served. Absent: the caller decides.
    pub skip_auth: Option<bool>,
    /// Whether `skip_auth` is tolerated beyond loopback.
    pub allow_open: bool,
}

/// How the process is administered.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Control {
    /// The Unix socket. Absent: in the run directory.
    pub socket: Option<PathBuf>,
    /// The admin API. Absent: [`DEFAULT_ADMIN_LISTEN`].
    pub admin_listen: Option<SocketAddr>,
}

/// How providers are dialled.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Upstream {
    /// The HTTP proxy to go through. Absent: the caller looks at `HTTPS_PROXY`.
    pub proxy: Option<ProxyUrl>,
    /// Hosts, domains and networks that are reached directly.
    pub no_proxy: Vec<String>,
    /// PEM files whose certificates are trusted besides the well-known ones.
    pub ca_certificates: Vec<PathBuf>,
    /// Limits of one attempt where the provider and the model set none.
    pub timeouts: Timeouts,
}

/// The URL of a proxy. May hold a credential, which is never shown.
#[derive(Clone, PartialEq)]
pub struct ProxyUrl(Url);

impl ProxyUrl {
    /// Takes the URL in.
    pub const fn new(url: Url) -> Self {
        Self(url)
    }

    /// Gives the URL out, to be dialled.
    pub const fn expose(&self) -> &Url {
        &self.0
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::redact::url(&self.0).as_str())
    }
}

impl Serialize for ProxyUrl {
    fn serialize<S: serde::Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        crate::redact::url(&self.0).serialize(out)
    }
}

/// Ends and limits of what the process keeps.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, Serialize)]
pub struct Lifecycle {
    /// How long open requests may run on at shutdown. Absent: the caller's default.
    pub drain_timeout: Option<Duration>,
    /// How long usage records are kept. Absent: for ever.
    pub usage_retention: Option<Duration>,
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the usual levels")]
pub enum LogLevel {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
}

impl LogLevel {
    /// The level's name, as `tracing` has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for LogLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
