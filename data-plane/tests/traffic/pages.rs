//! The pages that are no model traffic, paths that are none, CORS and TLS.

use bitrouter_data_plane::settings::{MetricsExposure, TlsFiles};
use bitrouter_testkit::FakeProvider;
use http::Method;

use crate::harness::{CHAT, MESSAGES, RESPONSES, Router, provider};

#[tokio::test]
async fn the_front_page_and_health_answer() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for method in [Method::GET, Method::HEAD] {
        assert_eq!(router.call(method, "/", &[], "").await.status, 200);
    }
    let health = router.get("/health").await;
    assert_eq!((health.status.as_u16(), health.json()["revision"].as_u64()), (200, Some(7)));
}

#[tokio::test]
async fn metrics_are_shown_to_whom_the_settings_say() {
    let fake = FakeProvider::start().await;
    let trusted = ["127.0.0.1".parse().unwrap()];
    for (exposure, local, remote) in [
        (MetricsExposure::Loopback, 200, 404),
        (MetricsExposure::Public, 200, 200),
        (MetricsExposure::Off, 404, 404),
    ] {
        let router = Router::start(provider("p0", 0, &fake, &["m"]), |settings| {
            settings.listen.metrics = exposure;
            settings.listen.trusted_proxies = trusted.to_vec();
        })
        .await;
        assert_eq!(router.get("/metrics").await.status, local, "{exposure:?}");
        let forwarded = [("x-forwarded-for", "9.9.9.9")];
        let got = router.call(Method::GET, "/metrics", &forwarded, "").await;
        assert_eq!(got.status, remote, "{exposure:?}");
    }
}

#[tokio::test]
async fn a_proxy_on_this_machine_does_not_open_the_numbers_to_all() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for header in ["x-forwarded-for", "forwarded"] {
        let forwarded = [(header, "9.9.9.9")];
        let got = router.call(Method::GET, "/metrics", &forwarded, "").await;
        assert_eq!(got.status, 404, "{header}");
    }
}

#[tokio::test]
async fn the_numbers_count_what_happened() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    router.post(CHAT, r#"{"model":"m","messages":[]}"#).await;
    router.post(CHAT, r#"{"model":"none","messages":[]}"#).await;
    let text = router.get("/metrics").await.text();
    for line in [
        r#"bitrouter_requests_total{surface="chat_completions",status="2xx",provider="p0"} 1"#,
        r#"bitrouter_requests_total{surface="chat_completions",status="404",provider=""} 1"#,
        r#"bitrouter_attempts_total{provider="p0",outcome="completed"} 1"#,
        r#"bitrouter_tokens_total{provider="p0",class="output"} 5"#,
        r#"bitrouter_cost_micro_usd_total{provider="p0"} 62"#,
        "bitrouter_requests_in_flight 0",
        "bitrouter_spool_unacknowledged_entries 2",
        "bitrouter_config_revision 7",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
    assert!(!text.contains("none\""), "what clients send is no label");
}

#[tokio::test]
async fn unknown_paths_and_methods_are_refused_in_the_nearest_dialect() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let cases = [
        (Method::POST, "/v1/nothing", &[][..], 404),
        (Method::POST, "/v1/nothing", &[("anthropic-version", "2023-06-01")], 404),
        (Method::GET, CHAT, &[], 405),
        (Method::DELETE, MESSAGES, &[], 405),
        (Method::GET, RESPONSES, &[("upgrade", "websocket")], 426),
        (Method::POST, "/v1/audio/speech", &[], 501),
    ];
    for (method, path, headers, status) in cases {
        let got = router.call(method.clone(), path, headers, "").await;
        assert_eq!(got.status, status, "{method} {path}: {}", got.text());
        assert!(got.json()["error"]["message"].is_string(), "{method} {path}: {}", got.text());
        assert_eq!(
            got.json()["type"] == "error",
            path == MESSAGES || !headers.is_empty() && status == 404
        );
        assert_eq!(got.headers.contains_key("allow"), status == 405, "{path}");
    }
}

#[tokio::test]
async fn models_are_listed_in_each_dialects_shape() {
    let fake = FakeProvider::start().await;
    let router = Router::start(provider("p0", 0, &fake, &["m", "org/n"]), |_| {}).await;
    let openai = router.get("/v1/models").await.json();
    assert_eq!(openai["data"][1]["id"], "org/n", "{openai}");
    let anthropic = [("anthropic-version", "2023-06-01")];
    let anthropic = router.call(Method::GET, "/models", &anthropic, "").await.json();
    assert_eq!(anthropic["data"][0]["type"], "model", "{anthropic}");
    let gemini = router.get("/v1beta/models").await.json();
    assert_eq!(gemini["models"][0]["name"], "models/m", "{gemini}");
    assert_eq!(router.get("/v1/models/org/n").await.json()["id"], "org/n");
    assert_eq!(router.get("/v1/models/none").await.status, 404);
}

#[tokio::test]
async fn a_plan_can_be_looked_at_without_sending_anything() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let got = router.post("/v1/resolve", r#"{"model":"m","dialect":"messages"}"#).await;
    let plan = got.json();
    assert_eq!((got.status.as_u16(), &plan["candidates"][0]["provider"]), (200, &"p0".into()));
    assert!(!got.text().contains("secret-of"));
    let got = router.post("/v1/resolve", r#"{"model":"none"}"#).await;
    assert_eq!(got.json()["error"]["code"], "model_not_found", "{}", got.text());
    assert_eq!(router.post("/v1/resolve", r#"{"modle":"m"}"#).await.status, 400);
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn configured_origins_may_call_from_a_browser() {
    let fake = FakeProvider::start().await;
    let router = Router::start(provider("p0", 0, &fake, &["m"]), |settings| {
        settings.listen.cors_origins = vec!["https://app.example".to_owned()];
    })
    .await;
    let ask = [
        ("origin", "https://app.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization, x-new"),
    ];
    let got = router.call(Method::OPTIONS, CHAT, &ask, "").await;
    assert_eq!(got.status, 204);
    assert_eq!(got.header("access-control-allow-origin"), "https://app.example");
    assert_eq!(got.header("access-control-allow-headers"), "authorization, x-new");
    let got = router.call(Method::GET, "/v1/models", &ask[..1], "").await;
    assert_eq!(got.header("access-control-allow-origin"), "https://app.example");
    let foreign = [("origin", "https://evil.example"), ask[1]];
    let got = router.call(Method::OPTIONS, CHAT, &foreign, "").await;
    assert_eq!((got.status.as_u16(), got.header("access-control-allow-origin")), (405, ""));
}

#[tokio::test]
async fn no_web_page_spends_the_operators_credit() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let body = r#"{"model":"m","messages":[]}"#;
    let plain = ("content-type", "text/plain");
    let cases = [
        ([plain, ("origin", "https://evil.example")], "origin_not_allowed"),
        ([plain, ("sec-fetch-site", "cross-site")], "origin_not_allowed"),
        ([plain, ("host", "evil.example")], "host_not_allowed"),
    ];
    for (headers, code) in cases {
        for path in [CHAT, "/v1/chat/completions?key=any", "/v1/resolve"] {
            let got = router.call(Method::POST, path, &headers, body).await;
            assert_eq!((got.status.as_u16(), &got.json()["error"]["code"]), (403, &code.into()));
            assert!(got.text().contains("server.cors.origins"), "{}", got.text());
        }
        assert_eq!(router.call(Method::GET, "/v1/models", &headers, "").await.status, 403);
        let got = router.call(Method::POST, MESSAGES, &headers, body).await;
        assert_eq!((got.status.as_u16(), &got.json()["type"]), (403, &"error".into()));
    }
    assert!(fake.requests().is_empty());
    let own = [("origin", router.url("")), ("sec-fetch-site", "same-origin".to_owned())];
    let own = own.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(router.call(Method::POST, CHAT, &own, body).await.status, 200);
}

#[tokio::test]
async fn a_missing_certificate_stops_the_start() {
    let home = tempfile::tempdir().unwrap();
    let mut settings = bitrouter_data_plane::Settings::new(home.path());
    settings.listen.address.set_port(0);
    settings.listen.tls =
        Some(TlsFiles { cert: home.path().join("none.pem"), key: home.path().join("none.key") });
    let started = bitrouter_data_plane::DataPlane::serve(
        settings,
        bitrouter_data_plane::sync::Tables::default(),
        bitrouter_runtime::readiness::Readiness::default(),
        bitrouter_runtime::Clock::system(),
        bitrouter_runtime::Entropy::system(),
    );
    let error = started.await.unwrap_err().to_string();
    assert!(error.contains("none.pem"), "{error}");
}
