//! Which failures lead to the next endpoint, and what the client sees when none is left.

use std::time::Duration;

use bitrouter_proto::v1;
use bitrouter_testkit::{Answer, FakeProvider, Gate};
use bytes::Bytes;
use http::Method;

use crate::harness::{CHAT, GEMINI, MESSAGES, RESPONSES, Router, adjust, provider, resource};

const BODY: &str = r#"{"model":"m","messages":[]}"#;
const STREAM: &str = r#"{"model":"m","messages":[],"stream":true}"#;

fn raw(content_type: &'static str, text: &'static str) -> Answer {
    Answer::raw(content_type, vec![Bytes::from_static(text.as_bytes())])
}

#[tokio::test]
async fn a_failing_provider_is_somebody_elses_problem() {
    let json = "application/json";
    let cases: [(&str, &str, Answer); 16] = [
        ("dies before the head", BODY, Answer::close()),
        ("dies before the head of a stream", STREAM, Answer::close()),
        ("rate limited", BODY, Answer::error(429, "rate_limit_exceeded", "slow down")),
        ("server error", BODY, Answer::error(500, "server_error", "oops")),
        ("overloaded", STREAM, Answer::error(529, "overloaded_error", "busy")),
        ("request timeout", BODY, Answer::error(408, "timeout", "late")),
        ("no credit", BODY, Answer::error(402, "payment_required", "no credit")),
        (
            "credit in a 403",
            BODY,
            Answer::error(403, "insufficient_quota", "credit balance too low"),
        ),
        ("200 with an error", BODY, raw(json, r#"{"error":{"message":"x","code":500}}"#)),
        ("200 that is no JSON", BODY, raw(json, "<html>oops</html>")),
        ("200 that is empty", BODY, raw(json, "")),
        ("200 stream with an error first", STREAM, Answer::error_in_stream(0, "server_error", "x")),
        ("stream that ends at once", STREAM, raw("text/event-stream", "")),
        ("stream of comments", STREAM, raw("text/event-stream", ": ping\n\n: ping\n\n")),
        ("stream cut before content", STREAM, Answer::text("a b c").cut_after(0)),
        ("whole answer cut", BODY, Answer::text("a b c").cut_after(0)),
    ];
    for (case, body, answer) in cases {
        let (bad, good) = (FakeProvider::start().await, FakeProvider::start().await);
        let router = Router::of(&[&bad, &good]).await;
        bad.script([answer]);
        let got = router.post(CHAT, body).await;
        assert_eq!(got.status, 200, "{case}: {}", got.text());
        assert!(!got.is_cut && got.text().contains("Hello"), "{case}: {}", got.text());
        assert_eq!(got.header("x-bitrouter-provider"), "p1", "{case}");
        assert_eq!(got.header("x-bitrouter-attempts"), "2", "{case}");
    }
}

#[tokio::test]
async fn other_refusals_are_the_clients_to_see() {
    for status in [400, 404, 409, 413, 422] {
        let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
        let router = Router::of(&[&first, &second]).await;
        first.script([Answer::error(status, "bad_thing", "the provider's own words")]);
        let got = router.post(CHAT, BODY).await;
        assert_eq!(got.status, status);
        assert!(got.text().contains("the provider's own words"), "{}", got.text());
        assert!(second.requests().is_empty(), "{status}");
    }
}

#[tokio::test]
async fn a_refused_credential_is_not_blamed_on_the_client() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    fake.script([Answer::error(401, "invalid_api_key", "bad key: secret-of-p0")]);
    let got = router.post(CHAT, BODY).await;
    assert_eq!(got.status, 502);
    assert!(!got.text().contains("secret-of"), "{}", got.text());
}

#[tokio::test]
async fn when_all_fail_the_status_says_how() {
    let limited =
        |wait| Answer::error(429, "rate_limit_exceeded", "slow").header("retry-after", wait);
    let cases = [
        ("all 429", [limited("30"), limited("7")], 429, "7"),
        ("all credit", [Answer::error(402, "a", "b"), Answer::error(402, "a", "b")], 402, ""),
        ("mixed", [limited("30"), Answer::error(500, "a", "b")], 502, ""),
        ("transport", [Answer::close(), Answer::close()], 502, ""),
    ];
    for (case, [one, two], status, wait) in cases {
        let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
        let router = Router::of(&[&first, &second]).await;
        first.script([one]);
        second.script([two]);
        let got = router.post(CHAT, BODY).await;
        assert_eq!(got.status, status, "{case}: {}", got.text());
        assert_eq!(got.header("retry-after"), wait, "{case}");
        let message = got.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.contains("p0:m") && message.contains("p1:m"), "{case}: {message}");
    }
}

#[tokio::test]
async fn errors_come_in_the_clients_dialect() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let cases = [
        (CHAT, "/error/message"),
        (RESPONSES, "/error/message"),
        (MESSAGES, "/error/message"),
        (GEMINI, "/error/message"),
    ];
    for (path, pointer) in cases {
        fake.script([Answer::error(500, "server_error", "oops")]);
        let got = router.post(path, r#"{"model":"m","input":"","messages":[]}"#).await;
        assert_eq!(got.status, 502, "{path}");
        let json = got.json();
        assert!(json.pointer(pointer).is_some_and(serde_json::Value::is_string), "{path}: {json}");
        assert_eq!(json["type"] == "error", path == MESSAGES, "{path}: {json}");
        assert_eq!(json["error"]["status"].is_string(), path == GEMINI, "{path}: {json}");
    }
}

#[tokio::test]
async fn each_phase_has_its_own_limit() {
    let hang = || Answer::hang();
    let slow = || Answer::text("a b").delay_first(Duration::from_mins(1));
    for (case, body, answer) in [
        ("head", BODY, hang()),
        ("head of a stream", STREAM, hang()),
        ("first token", STREAM, slow()),
    ] {
        let (bad, good) = (FakeProvider::start().await, FakeProvider::start().await);
        let mut resources = adjust(provider("p0", 0, &bad, &["m"]), |provider| {
            provider.timeouts = Some(bitrouter_proto::v1::Timeouts {
                first_token_ms: 50,
                total_ms: 50,
                ..Default::default()
            });
        });
        resources.extend(provider("p1", 1, &good, &["m"]));
        let router = Router::start(resources, |_| {}).await;
        bad.script([answer]);
        let got = router.post(CHAT, body).await;
        assert_eq!(
            (got.status.as_u16(), got.header("x-bitrouter-provider")),
            (200, "p1"),
            "{case}"
        );
    }
}

#[tokio::test]
async fn a_client_can_shorten_the_wait() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    fake.script([Answer::hang()]);
    let wait = [("x-bitrouter-timeout-ms", "60")];
    let got = router.call(Method::POST, CHAT, &wait, BODY).await;
    assert_eq!(got.status, 504, "{}", got.text());
    let got = router.call(Method::POST, CHAT, &[("x-bitrouter-timeout-ms", "soon")], BODY).await;
    assert_eq!(got.status, 400, "{}", got.text());
}

#[tokio::test]
async fn an_unreachable_provider_is_skipped() {
    let good = FakeProvider::start().await;
    let gone = FakeProvider::start().await;
    let mut resources = provider("p0", 0, &gone, &["m"]);
    drop(gone);
    resources.extend(provider("p1", 1, &good, &["m"]));
    let router = Router::start(resources, |_| {}).await;
    let got = router.post(CHAT, BODY).await;
    assert_eq!((got.status.as_u16(), got.header("x-bitrouter-provider")), (200, "p1"));
}

#[tokio::test]
async fn the_only_endpoint_is_asked_also_while_it_is_being_probed() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let busy = || Answer::error(429, "rate_limit_exceeded", "slow down");
    fake.script([busy(), busy(), busy()]);
    for _ in 0..3 {
        assert_eq!(router.post(CHAT, BODY).await.status, 429);
    }
    let gate = Gate::closed();
    fake.script([Answer::text("a b").gate(0, &gate)]);
    let others = async {
        fake.received(4).await;
        let asked = std::iter::repeat_with(|| router.post(CHAT, BODY)).take(8);
        let got = futures::future::join_all(asked).await;
        gate.open();
        got
    };
    let (probe, others) = tokio::join!(router.post(CHAT, BODY), others);
    assert_eq!(probe.status, 200);
    for got in others {
        assert_eq!(got.status, 200, "{}", got.text());
    }
}

#[tokio::test]
async fn an_overloaded_provider_is_asked_again_after_a_pause() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    fake.script([Answer::error(529, "overloaded_error", "busy")]);
    let got = router.post(CHAT, BODY).await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn equals_take_turns_by_their_weights() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    let mut resources = provider("p0", 0, &first, &["m"]);
    resources.extend(provider("p1", 1, &second, &["m"]));
    let endpoint = |id: &str, weight| v1::RouteEndpoint {
        provider_id: id.to_owned(),
        model: "m".to_owned(),
        weight,
        ..v1::RouteEndpoint::default()
    };
    let route = v1::Route {
        strategy: v1::Strategy::LoadBalance.into(),
        endpoints: vec![endpoint("p0", 2), endpoint("p1", 1)],
        ..v1::Route::default()
    };
    resources.push(resource(v1::Kind::Route, "r", v1::resource::Spec::Route(route)));
    let router = Router::start(resources, |_| {}).await;
    for _ in 0..12 {
        let plan = router.post("/v1/resolve", r#"{"model":"r"}"#).await.json();
        let got = router.post(CHAT, r#"{"model":"r","messages":[]}"#).await;
        assert_eq!(plan["candidates"][0]["provider"], got.header("x-bitrouter-provider"));
    }
    assert_eq!((first.requests().len(), second.requests().len()), (8, 4));
    let seeds: Vec<_> = router.records().await.iter().map(|it| it.seed).collect();
    assert!(seeds.windows(2).all(|two| two[1] == two[0] + 1), "{seeds:?}");
}

#[tokio::test]
async fn balanced_accounts_take_turns() {
    let fake = FakeProvider::start().await;
    let mut resources = adjust(provider("p0", 0, &fake, &["m"]), |provider| {
        provider.account_strategy = v1::AccountStrategy::Balance.into();
    });
    let other = v1::Account {
        provider_id: "p0".to_owned(),
        label: "other".to_owned(),
        secret: "another".into(),
        weight: 1,
        ..v1::Account::default()
    };
    resources.push(resource(v1::Kind::Account, "p0/other", v1::resource::Spec::Account(other)));
    let router = Router::start(resources, |_| {}).await;
    for _ in 0..8 {
        assert_eq!(router.post(CHAT, r#"{"model":"m","messages":[]}"#).await.status, 200);
    }
    let seen = fake.requests();
    let credentials: Vec<_> = seen.iter().map(|it| it.header("authorization").to_owned()).collect();
    assert!(credentials.windows(2).all(|two| two[0] != two[1]), "{credentials:?}");
}

/// Says within a 200 that the request is too long, at once and as a stream.
fn too_long_within_200() -> [(&'static str, Answer); 3] {
    let json = r#"{"error":{"message":"too long: p0's words","code":"context_length_exceeded"}}"#;
    let event = "data: {\"error\":{\"message\":\"too long: p0's words\",\
                 \"code\":\"context_length_exceeded\"}}\n\n";
    let open = vec![Bytes::from_static(event.as_bytes()), Bytes::from_static(b": more\n\n")];
    [
        (BODY, raw("application/json", json)),
        (STREAM, raw("text/event-stream", event)),
        (STREAM, Answer::raw("text/event-stream", open)),
    ]
}

#[tokio::test]
async fn too_long_a_request_within_200_is_the_clients_to_see() {
    for (body, answer) in too_long_within_200() {
        let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
        let router = Router::of(&[&first, &second]).await;
        first.script([answer]);
        let got = router.post(CHAT, body).await;
        assert_eq!(got.status, 200, "{}", got.text());
        assert_eq!(got.text().matches("p0's words").count(), 1, "{}", got.text());
        assert!(second.requests().is_empty(), "its window is no larger");
        let record = router.records().await.remove(0);
        assert_eq!(record.error_code, "context_length_exceeded");
    }
}

#[tokio::test]
async fn a_larger_context_is_tried_and_the_headers_name_who_answered() {
    let windows = |at: usize, fake: &FakeProvider, tokens: u64| {
        adjust(provider(&format!("p{at}"), at, fake, &["m"]), move |provider| {
            provider.models[0].max_input_tokens = tokens;
        })
    };
    let failed = || Answer::error(500, "server_error", "x");
    for (larger, served_by) in [(Answer::default(), "p1"), (failed(), "p0")] {
        for (body, answer) in too_long_within_200() {
            let (small, large) = (FakeProvider::start().await, FakeProvider::start().await);
            let mut resources = windows(0, &small, 8_000);
            resources.extend(windows(1, &large, 100_000));
            let router = Router::start(resources, |_| {}).await;
            small.script([answer]);
            large.script([larger.clone()]);
            let got = router.post(CHAT, body).await;
            assert_eq!(got.status, 200, "{}", got.text());
            assert_eq!(got.header("x-bitrouter-provider"), served_by, "{}", got.text());
            assert_eq!(got.header("x-bitrouter-attempts"), "2");
            assert_eq!(got.text().contains("p0's words"), served_by == "p0", "{}", got.text());
        }
    }
}
