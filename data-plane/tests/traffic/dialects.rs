//! Each dialect passes through, byte for byte but for what routing must change.

use bitrouter_proto::v1;
use bitrouter_testkit::{Answer, FakeProvider, Usage};
use http::Method;

use crate::harness::{CHAT, GEMINI, MESSAGES, RESPONSES, Router, provider, resource};

#[tokio::test]
async fn every_dialect_is_served_with_and_without_its_version() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let cases = [
        (CHAT, r#"{"model":"m","messages":[]}"#, "chat.completion"),
        ("/chat/completions", r#"{"model":"m","messages":[]}"#, "chat.completion"),
        (RESPONSES, r#"{"model":"m","input":"x"}"#, "response"),
        ("/responses", r#"{"model":"m","input":"x"}"#, "response"),
        (MESSAGES, r#"{"model":"m","max_tokens":9,"messages":[]}"#, "end_turn"),
        ("/messages?beta=true", r#"{"model":"m","max_tokens":9,"messages":[]}"#, "end_turn"),
        (GEMINI, r#"{"contents":[]}"#, "candidates"),
        ("/models/m:generateContent", r#"{"contents":[]}"#, "candidates"),
        ("/v1/embeddings", r#"{"model":"m","input":"x"}"#, "embedding"),
        ("/v1/completions", r#"{"model":"m","prompt":"x"}"#, "text_completion"),
    ];
    for (path, body, expected) in cases {
        let got = router.post(path, body).await;
        assert_eq!(got.status, 200, "{path}: {}", got.text());
        assert!(got.text().contains(expected), "{path}: {}", got.text());
        assert_eq!(got.header("x-bitrouter-provider"), "p0", "{path}");
        assert_eq!(got.header("x-bitrouter-model"), "m", "{path}");
        assert_eq!(got.header("x-bitrouter-attempts"), "1", "{path}");
        assert_eq!(got.header("x-bitrouter-request-id").len(), 36, "{path}");
    }
    let seen = fake.requests();
    let bodies: Vec<_> = cases.iter().map(|(_, body, _)| body.as_bytes()).collect();
    assert_eq!(seen.iter().map(|it| &it.body[..]).collect::<Vec<_>>(), bodies);
    assert_eq!(seen[5].uri, "/v1/messages?beta=true");
}

#[tokio::test]
async fn only_the_models_name_changes_and_unknown_fields_survive() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let body = "{ \"x_new\" : [1, 2.50,\t\"é\\u00e9\"],\n  \"model\":\"p0:m\", \"messages\" : [] }";
    let got = router.post(CHAT, body).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let sent = fake.requests().pop().unwrap().body;
    assert_eq!(String::from_utf8_lossy(&sent), body.replace("p0:m", "m"));
}

#[tokio::test]
async fn credentials_are_ours_and_betas_are_the_clients() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let headers = [
        ("authorization", "Bearer dummy"),
        ("x-api-key", "dummy"),
        ("anthropic-beta", "one-2025,two-2026"),
        ("anthropic-version", "2023-01-01"),
        ("cookie", "a=b"),
        ("x-forwarded-for", "1.2.3.4"),
        ("x-bitrouter-tags", "t"),
        ("accept-encoding", "gzip"),
        ("user-agent", "agent/1"),
    ];
    router.call(Method::POST, MESSAGES, &headers, r#"{"model":"m","messages":[]}"#).await;
    let seen = fake.requests().pop().unwrap();
    let expected = [
        ("x-api-key", "secret-of-p0"),
        ("authorization", ""),
        ("anthropic-beta", "one-2025,two-2026"),
        ("anthropic-version", "2023-01-01"),
        ("cookie", ""),
        ("x-forwarded-for", ""),
        ("x-bitrouter-tags", ""),
        ("accept-encoding", "identity"),
        ("user-agent", "agent/1"),
    ];
    for (name, value) in expected {
        assert_eq!(seen.header(name), value, "{name}");
    }
    assert_eq!(seen.header("host"), fake.addr().to_string());

    let gemini = format!("{GEMINI}?key=dummy&alt=sse");
    router.post(&gemini, r#"{"contents":[]}"#).await;
    let seen = fake.requests().pop().unwrap();
    assert_eq!(seen.header("x-goog-api-key"), "secret-of-p0");
    assert_eq!(seen.uri.query(), Some("alt=sse"));
}

#[tokio::test]
async fn the_providers_headers_arrive_and_the_cost_is_told() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let usage = Usage { input: 1_000, output: 100, ..Usage::default() };
    fake.script([Answer::text("hi")
        .usage(usage)
        .header("x-ratelimit-remaining-requests", "9")
        .header("set-cookie", "a=b")
        .header("request-id", "req_1")]);
    let got = router.post(CHAT, r#"{"model":"m","messages":[]}"#).await;
    assert_eq!(got.header("x-ratelimit-remaining-requests"), "9");
    assert_eq!(got.header("request-id"), "req_1");
    assert_eq!(got.header("set-cookie"), "");
    assert_eq!(got.header("x-bitrouter-cost-usd"), "0.002");
}

#[tokio::test]
async fn a_request_cannot_choose_where_it_goes() {
    let (fake, other) = (FakeProvider::start().await, FakeProvider::start().await);
    let router = Router::of(&[&fake]).await;
    let host = other.addr().to_string();
    let url = format!("http://{host}/v1");
    let headers =
        [("host", host.as_str()), ("x-bitrouter-base-url", url.as_str()), ("forwarded", "host=x")];
    let body = format!(r#"{{"model":"m","messages":[],"api_base":"{url}","base_url":"{url}"}}"#);
    let got = router.call(Method::POST, CHAT, &headers, body).await;
    assert_eq!(got.status, 200);
    assert_eq!((fake.requests().len(), other.requests().len()), (1, 0));
}

#[tokio::test]
async fn a_preset_adds_what_the_request_does_not_say() {
    let fake = FakeProvider::start().await;
    let mut resources = provider("p0", 0, &fake, &["m"]);
    let preset = v1::Preset {
        model: "m".to_owned(),
        system_prompt: "be kind".to_owned(),
        parameters_json: r#"{"temperature":0.5,"top_p":0.9}"#.to_owned(),
        ..v1::Preset::default()
    };
    resources.push(resource(v1::Kind::Preset, "kind", v1::resource::Spec::Preset(preset)));
    let router = Router::start(resources, |_| {}).await;
    let body = r#"{"model":"@kind","messages":[{"role":"user","content":"x"}],"temperature":1}"#;
    let got = router.post(CHAT, body).await;
    assert_eq!(got.status, 200, "{}", got.text());
    let sent = fake.requests().pop().unwrap().json();
    assert_eq!((&sent["model"], &sent["top_p"]), (&"m".into(), &0.9.into()), "{sent}");
    assert_eq!(sent["temperature"], 1);
    assert_eq!(sent["messages"][0]["content"], "be kind", "{sent}");
}
