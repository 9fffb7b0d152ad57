//! `server` and `database`: from raw to typed.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use bitrouter_keys::Secret;
use ipnet::IpNet;
use url::Url;

use crate::{
    context::Context,
    raw::server as raw,
    report::Place,
    server::{
        Auth, Control, Cors, DEFAULT_MAX_BODY_BYTES, Lifecycle, Listener, LogLevel, MetricsAccess,
        ProxyUrl, Server, Tls, Upstream,
    },
};

/// Reads the address that model traffic is served at; `localhost` stands for 127.0.0.1.
pub(crate) fn listen(text: &str) -> Option<SocketAddr> {
    let text = text.trim();
    let numeric = text.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
    numeric.as_deref().unwrap_or(text).parse().ok()
}

/// Types the `server` section.
pub(crate) fn server(cx: &mut Context<'_>, raw: &raw::Server, place: &Place) -> Server {
    Server {
        listener: listener(cx, raw, place),
        auth: Auth { skip_auth: raw.skip_auth, allow_open: raw.allow_open.unwrap_or(false) },
        control: control(cx, raw, place),
        upstream: upstream(cx, raw.upstream.as_ref(), &place.key("upstream")),
        lifecycle: Lifecycle {
            drain_timeout: cx
                .milliseconds(raw.drain_timeout.as_ref(), &place.key("drain_timeout"))
                .map(Duration::from_millis),
            usage_retention: cx
                .milliseconds(raw.usage_retention.as_ref(), &place.key("usage_retention"))
                .map(Duration::from_millis),
        },
        log_level: raw.log_level.map(|level| match level {
            raw::LogLevel::Trace => LogLevel::Trace,
            raw::LogLevel::Debug => LogLevel::Debug,
            raw::LogLevel::Info => LogLevel::Info,
            raw::LogLevel::Warn => LogLevel::Warn,
            raw::LogLevel::Error => LogLevel::Error,
        }),
        discovery: raw.discovery,
    }
}

/// The database's URL. `mysql:` is refused, since the program cannot use it.
pub(crate) fn database(cx: &mut Context<'_>, raw: &raw::Database, place: &Place) -> Option<Secret> {
    let text = raw.url.as_deref().map(str::trim).filter(|text| !text.is_empty())?;
    let place = place.key("url");
    let scheme = text.split_once(':').map_or("", |(scheme, _)| scheme);
    match scheme {
        "sqlite" | "postgres" | "postgresql" => return Some(Secret::new(text.to_owned())),
        "mysql" | "mariadb" => {
            let hint = "use `sqlite://` or `postgres://`".to_owned();
            cx.report.problem(&place, "MySQL is not supported in this version", Some(hint));
        }
        _ => {
            let hint = "such as `sqlite://bitrouter.db` or `postgres://user@host/name`".to_owned();
            cx.report.problem(&place, "not a database URL", Some(hint));
        }
    }
    None
}

fn listener(cx: &mut Context<'_>, raw: &raw::Server, place: &Place) -> Listener {
    let max_body = raw.max_body.as_ref().map(|size| {
        size.bytes().unwrap_or_else(|| {
            let hint = "a number of bytes, or such as `50MB` or `50MiB`".to_owned();
            cx.report.problem(&place.key("max_body"), "not a size", Some(hint));
            DEFAULT_MAX_BODY_BYTES
        })
    });
    let origins = raw.cors.as_ref().and_then(|cors| cors.origins.clone()).unwrap_or_default();
    for (index, origin) in origins.iter().enumerate() {
        if !is_origin(origin) {
            let place = place.key("cors").key("origins").index(index);
            let hint = "such as `https://app.example.com`, without a path".to_owned();
            cx.report.problem(&place, "not an origin", Some(hint));
        }
    }
    let tls = raw.tls.as_ref().and_then(|tls| {
        let path = |path: &Option<String>| path.as_ref().map(PathBuf::from);
        Some(Tls { cert: path(&tls.cert)?, key: path(&tls.key)? })
    });
    Listener {
        listen: address(cx, raw.listen.as_ref(), &place.key("listen")),
        tls,
        max_body_bytes: max_body.unwrap_or(DEFAULT_MAX_BODY_BYTES),
        trusted_proxies: networks(cx, raw.trusted_proxies.as_ref(), &place.key("trusted_proxies")),
        cors: Cors { origins },
        metrics: raw.metrics.map_or_else(MetricsAccess::default, |metrics| match metrics {
            raw::Metrics::Public => MetricsAccess::Public,
            raw::Metrics::Loopback => MetricsAccess::Loopback,
            raw::Metrics::Off => MetricsAccess::Off,
        }),
    }
}

fn control(cx: &mut Context<'_>, raw: &raw::Server, place: &Place) -> Control {
    let older = raw.control.as_ref().and_then(|control| control.socket.as_ref());
    if let (Some(one), Some(other)) = (&raw.control_socket, older)
        && one != other
    {
        let message = "differs from `control_socket`, which is the same";
        cx.report.problem(&place.key("control").key("socket"), message, None);
    }
    Control {
        socket: raw.control_socket.as_ref().or(older).map(PathBuf::from),
        admin_listen: address(cx, raw.admin_listen.as_ref(), &place.key("admin_listen")),
    }
}

fn upstream(cx: &mut Context<'_>, raw: Option<&raw::Upstream>, place: &Place) -> Upstream {
    let Some(raw) = raw else { return Upstream::default() };
    let proxy = raw.proxy.as_ref().and_then(|text| {
        let url = Url::parse(text).ok();
        let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
        if url.is_none() {
            let hint = "such as `http://proxy.example.com:3128`".to_owned();
            cx.report.problem(&place.key("proxy"), "not the URL of an HTTP proxy", Some(hint));
        }
        url
    });
    let paths = raw.ca_certificates.iter().flatten();
    Upstream {
        proxy: proxy.map(ProxyUrl::new),
        no_proxy: raw.no_proxy.clone().unwrap_or_default(),
        ca_certificates: paths.map(PathBuf::from).collect(),
        timeouts: cx.timeouts(raw.timeouts.as_ref(), &place.key("timeouts")),
    }
}

fn address(cx: &mut Context<'_>, text: Option<&String>, place: &Place) -> Option<SocketAddr> {
    let address = listen(text?);
    if address.is_none() {
        let hint = "an IP address and a port, such as `127.0.0.1:4356` or `[::]:4356`".to_owned();
        cx.report.problem(place, "not an address to listen at", Some(hint));
    }
    address
}

fn networks(cx: &mut Context<'_>, raw: Option<&Vec<String>>, place: &Place) -> Vec<IpNet> {
    let mut networks = Vec::new();
    for (index, text) in raw.into_iter().flatten().enumerate() {
        let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
        if let Some(network) = text.parse::<IpNet>().ok().or_else(address) {
            networks.push(network);
        } else {
            let hint = "such as `10.0.0.7` or `10.0.0.0/8`".to_owned();
            let place = place.index(index);
            cx.report.problem(&place, "not an address and not a network", Some(hint));
        }
    }
    networks
}

fn is_origin(text: &str) -> bool {
    if matches!(text, "*" | "null") {
        return true;
    }
    Url::parse(text).is_ok_and(|url| url.has_host() && url.origin().ascii_serialization() == text)
}
