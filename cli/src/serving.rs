//! Pure: how this process serves, decided from the flags, the config and the environment; and what
//! must not be served.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use bitrouter_config::{Document, Environment as Variables, MetricsAccess, Server};
use bitrouter_data_plane::settings::{
    Limits, Listen, MetricsExposure, Network, Outbound, PhaseTimeouts, Settings, TlsFiles,
};
use bitrouter_keys::Secret;

use crate::commands::serve::ServeOptions;
use crate::discovery::Scan;
use crate::failure::{Doing as _, Failure};
use crate::home::Places;

const DEFAULT_PORT: u16 = 4356;
const DEFAULT_ADMIN_PORT: u16 = 4357;
const DEFAULT_DRAIN: Duration = Duration::from_secs(30);

/// What was decided.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// The data plane's.
    pub(crate) settings: Settings,
    /// Where the admin API is served.
    pub(crate) admin_listen: SocketAddr,
    /// The control socket.
    pub(crate) socket: PathBuf,
    /// Protection that is asked for and not active is no obstacle.
    pub(crate) accepts_inactive: bool,
    /// Which model servers are looked for.
    pub(crate) scan: Scan,
    /// How long requests that are under way may take at the end.
    pub(crate) drain: Duration,
    /// How long single requests are kept in the database.
    pub(crate) retention: Duration,
}

/// Decides.
pub(crate) fn decide(
    options: &ServeOptions,
    document: &Document,
    places: &Places,
    env: &Variables,
    has_config: bool,
) -> Result<Serving, Failure> {
    let server = &document.server;
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen =
        options.listen.or(server.listener.listen).unwrap_or_else(|| loopback(DEFAULT_PORT));
    let is_loopback = listen.ip().to_canonical().is_loopback();
    let skip_auth = server.auth.skip_auth.unwrap_or(!has_config && is_loopback);
    check_protection(options.accept_inactive, document)?;
    if skip_auth && !is_loopback && !(options.allow_open || server.auth.allow_open) {
        return Err(open_to_all(listen));
    }
    let admin_listen = options
        .admin_listen
        .or(server.control.admin_listen)
        .unwrap_or_else(|| loopback(DEFAULT_ADMIN_PORT));
    let looks = server.discovery.unwrap_or(true) && !options.no_discovery;
    Ok(Serving {
        settings: settings(server, listen, skip_auth, places, env)?,
        admin_listen,
        socket: places.socket(server.control.socket.as_deref()),
        accepts_inactive: options.accept_inactive,
        scan: Scan::new(!looks, &options.discover),
        drain: server.lifecycle.drain_timeout.unwrap_or(DEFAULT_DRAIN),
        retention: server.lifecycle.usage_retention.unwrap_or(Duration::MAX),
    })
}

/// Protection never fails open in silence.
pub(crate) fn check_protection(accepts_inactive: bool, document: &Document) -> Result<(), Failure> {
    let missing: Vec<_> = document
        .not_active
        .iter()
        .filter(|section| section.protects)
        .map(ToString::to_string)
        .collect();
    if missing.is_empty() || accepts_inactive {
        return Ok(());
    }
    Err(Failure::refused(format!(
        "the config asks for protection that this version does not give:\n  {}",
        missing.join("\n  ")
    ))
    .kind("protection_inactive")
    .hint("remove it from the config, or serve without it: --accept-inactive"))
}

fn open_to_all(listen: SocketAddr) -> Failure {
    Failure::refused(format!(
        "{listen} can be reached from other machines, and `skip_auth: true` lets everybody use your \
         provider keys"
    ))
    .kind("open_to_all")
    .hint(
        "set `server.skip_auth: false` and make keys with `bitrouter key sign`; behind a proxy that \
         authenticates, say so with `server.allow_open: true` or --allow-open",
    )
}

fn settings(
    server: &Server,
    listen: SocketAddr,
    skip_auth: bool,
    places: &Places,
    env: &Variables,
) -> Result<Settings, Failure> {
    let mut settings = Settings::new(&places.home);
    settings.skip_auth = skip_auth;
    settings.listen = listener(server, listen, places)?;
    settings.limits = Limits {
        max_body: usize::try_from(server.listener.max_body_bytes).unwrap_or(usize::MAX),
        ..settings.limits
    };
    settings.timeouts = timeouts(server, settings.timeouts);
    settings.outbound = outbound(server, places, env, settings.outbound);
    Ok(settings)
}

fn listener(server: &Server, address: SocketAddr, places: &Places) -> Result<Listen, Failure> {
    let trusted_proxies = server
        .listener
        .trusted_proxies
        .iter()
        .map(|network| network.to_string().parse::<Network>())
        .collect::<Result<_, _>>()
        .doing("read server.trusted_proxies")?;
    let tls = server
        .listener
        .tls
        .as_ref()
        .map(|tls| TlsFiles { cert: places.home.join(&tls.cert), key: places.home.join(&tls.key) });
    Ok(Listen {
        address,
        tls,
        trusted_proxies,
        cors_origins: server.listener.cors.origins.clone(),
        metrics: match server.listener.metrics {
            MetricsAccess::Public => MetricsExposure::Public,
            MetricsAccess::Loopback => MetricsExposure::Loopback,
            MetricsAccess::Off => MetricsExposure::Off,
        },
    })
}

fn timeouts(server: &Server, default: PhaseTimeouts) -> PhaseTimeouts {
    let declared = &server.upstream.timeouts;
    let millis = |ms: Option<u32>, default: Duration| {
        ms.map_or(default, |ms| Duration::from_millis(u64::from(ms)))
    };
    PhaseTimeouts {
        connect: millis(declared.connect_ms, default.connect),
        first_token: millis(declared.first_token_ms, default.first_token),
        idle: millis(declared.idle_ms, default.idle),
        total: millis(declared.total_ms, default.total),
    }
}

/// The config's proxy, or else those of the environment, in the usual spellings.
fn outbound(server: &Server, places: &Places, env: &Variables, default: Outbound) -> Outbound {
    let upstream = &server.upstream;
    let of_env =
        |upper: &str, lower: &str| env.get(upper).or_else(|| env.get(lower)).map(str::to_owned);
    let declared = upstream.proxy.as_ref().map(|url| url.expose().to_string());
    let proxy = |upper, lower| declared.clone().or_else(|| of_env(upper, lower)).map(Secret::new);
    let no_proxy = if upstream.no_proxy.is_empty() {
        of_env("NO_PROXY", "no_proxy").unwrap_or_default()
    } else {
        upstream.no_proxy.join(",")
    };
    Outbound {
        // A CGI server takes HTTP_PROXY from its client, hence only the lower case.
        http_proxy: proxy("http_proxy", "http_proxy").unwrap_or(default.http_proxy),
        https_proxy: proxy("HTTPS_PROXY", "https_proxy").unwrap_or(default.https_proxy),
        no_proxy,
        extra_ca: upstream.ca_certificates.iter().map(|path| places.home.join(path)).collect(),
        ..default
    }
}
