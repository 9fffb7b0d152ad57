//! The `server` and `database` sections.

use std::time::Duration;

use crate::{document, problems};

#[test]
fn every_setting_is_typed() {
    let text = "server:\n  listen: '[::1]:4356'\n  admin_listen: localhost:5000\n  skip_auth: false\n  allow_open: true\n  \
                tls: {cert: c.pem, key: k.pem}\n  trusted_proxies: [10.0.0.0/8, '::1']\n  \
                cors: {origins: ['https://app.example.com', '*']}\n  \
                upstream: {proxy: 'http://proxy:3128', no_proxy: [localhost], ca_certificates: [ca.pem], timeouts: {connect: 3s, total: 10m}}\n  \
                drain_timeout: 45s\n  usage_retention: 90d\n  discovery: false\n\
                database: {url: 'postgres://u@h/db'}\n";
    let document = document(text, &[]);
    let server = &document.server;
    assert_eq!(server.listener.listen.unwrap().to_string(), "[::1]:4356");
    assert_eq!(server.control.admin_listen.unwrap().to_string(), "127.0.0.1:5000");
    assert_eq!((server.auth.skip_auth, server.auth.allow_open), (Some(false), true));
    assert_eq!(server.listener.tls.as_ref().unwrap().cert.to_str(), Some("c.pem"));
    assert_eq!(server.listener.trusted_proxies[0].to_string(), "10.0.0.0/8");
    assert_eq!(server.listener.trusted_proxies[1].to_string(), "::1/128");
    assert_eq!(server.listener.cors.origins.len(), 2);
    assert_eq!(server.upstream.proxy.as_ref().unwrap().expose().as_str(), "http://proxy:3128/");
    assert_eq!(server.upstream.timeouts.total_ms, Some(600_000));
    assert_eq!(server.lifecycle.drain_timeout, Some(Duration::from_secs(45)));
    assert_eq!(server.lifecycle.usage_retention, Some(Duration::from_hours(90 * 24)));
    assert_eq!(server.discovery, Some(false));
    assert_eq!(document.database_url.unwrap().expose(), "postgres://u@h/db");
}

#[test]
fn what_is_not_said_is_left_to_the_caller() {
    let document = document("", &[]);
    assert_eq!(document.server, bitrouter_config::Server::default());
    assert_eq!(document.server.auth.skip_auth, None);
    assert_eq!(document.server.listener.listen, None);
    assert_eq!(document.server.listener.max_body_bytes, 50 * 1024 * 1024);
}

#[test]
fn bad_settings_are_all_named() {
    let text = "server:\n  listen: 4356\n  admin_listen: nowhere\n  max_body: much\n  tls: {cert: c.pem}\n  \
                trusted_proxies: [here]\n  cors: {origins: ['app.example.com/x']}\n  drain_timeout: 30\n  \
                usage_retention: soon\n  control_socket: a\n  control: {socket: b}\n  upstream: {proxy: 'socks5://x'}\n\
                database: {url: 'mysql://h/db'}\n";
    assert_eq!(
        problems(text),
        [
            "bitrouter.yaml:2:11: server.listen: expected text, found a number; such as `127.0.0.1:4356`",
            "bitrouter.yaml:3:17: server.admin_listen: not an address to listen at; an IP address and a port, such as `127.0.0.1:4356` or `[::]:4356`",
            "bitrouter.yaml:4:13: server.max_body: not a size; a number of bytes, or such as `50MB` or `50MiB`",
            "bitrouter.yaml:5:3: server.tls: `key` is missing",
            "bitrouter.yaml:6:21: server.trusted_proxies[0]: not an address and not a network; such as `10.0.0.7` or `10.0.0.0/8`",
            "bitrouter.yaml:7:20: server.cors.origins[0]: not an origin; such as `https://app.example.com`, without a path",
            "bitrouter.yaml:8:18: server.drain_timeout: expected text, found a number; such as `30s`",
            "bitrouter.yaml:9:20: server.usage_retention: not a length of time; a whole number and a unit, such as `500ms`, `30s`, `5m`, `1h` or `90d`",
            "bitrouter.yaml:11:21: server.control.socket: differs from `control_socket`, which is the same",
            "bitrouter.yaml:12:21: server.upstream.proxy: not the URL of an HTTP proxy; such as `http://proxy.example.com:3128`",
            "bitrouter.yaml:13:17: database.url: MySQL is not supported in this version; use `sqlite://` or `postgres://`",
        ]
    );
}

#[test]
fn each_changed_key_is_named() {
    let texts = [
        ("listen", "listen: 127.0.0.1:1"),
        ("admin_listen", "admin_listen: 127.0.0.1:1"),
        ("log_level", "log_level: debug"),
        ("skip_auth", "skip_auth: true"),
        ("allow_open", "allow_open: true"),
        ("metrics", "metrics: public"),
        ("tls", "tls: {cert: c.pem, key: k.pem}"),
        ("max_body", "max_body: 1MB"),
        ("control_socket", "control_socket: other.sock"),
        ("trusted_proxies", "trusted_proxies: [10.0.0.0/8]"),
        ("cors", "cors: {origins: ['https://app.example.com']}"),
        ("upstream.proxy", "upstream: {proxy: 'http://proxy:3128'}"),
        ("upstream.no_proxy", "upstream: {no_proxy: [localhost]}"),
        ("upstream.ca_certificates", "upstream: {ca_certificates: [ca.pem]}"),
        ("upstream.timeouts", "upstream: {timeouts: {connect: 3s}}"),
        ("drain_timeout", "drain_timeout: 45s"),
        ("usage_retention", "usage_retention: 90d"),
        ("discovery", "discovery: false"),
    ];
    let before = bitrouter_config::Server::default();
    assert!(before.differences(&before).is_empty());
    for (key, text) in texts {
        let after = document(&format!("server: {{{text}}}"), &[]).server;
        assert_eq!(before.differences(&after), [key], "{text}");
    }
}
