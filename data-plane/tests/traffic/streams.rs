//! Streams: in order, at once, and never ended as if they were complete when they are not.

use std::time::Duration;

use bitrouter_runtime::Clock;
use bitrouter_testkit::{Answer, FakeProvider, Gate};
use http::Request;
use http_body_util::{BodyExt, Full};

use crate::harness::{CHAT, MESSAGES, RESPONSES, Router, adjust, provider};

const GEMINI: &str = "/v1beta/models/m:streamGenerateContent";
const BODY: &str = r#"{"model":"m","stream":true,"messages":[],"input":"x"}"#;

/// Path, the dialect's own end, and the mark of its own error.
const STREAMS: [(&str, &str, &str); 5] = [
    (CHAT, "data: [DONE]", "\"error\""),
    (RESPONSES, "event: response.completed", "response.failed"),
    (MESSAGES, "event: message_stop", "event: error"),
    ("/v1beta/models/m:streamGenerateContent?alt=sse", "\"finishReason\"", "\"error\""),
    (GEMINI, "\"finishReason\"", "\"error\""),
];

#[tokio::test]
async fn every_dialects_stream_passes_to_its_end() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for (path, end, error) in STREAMS {
        let got = router.post(path, BODY).await;
        assert_eq!(got.status, 200, "{path}");
        assert!(got.text().contains(end), "{path}: {}", got.text());
        assert!(!got.text().contains(error), "{path}: {}", got.text());
        assert!(!got.is_cut);
    }
}

#[tokio::test]
async fn a_stream_that_dies_ends_with_the_dialects_error() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for (path, end, error) in STREAMS {
        // Responses announces in four events what it will say.
        let pieces = if path == RESPONSES { 6 } else { 3 };
        fake.script([Answer::text("one two three four five").cut_after(pieces)]);
        let got = router.post(path, BODY).await;
        assert_eq!(got.status, 200, "{path}");
        assert!(!got.text().contains(end), "{path}: {}", got.text());
        assert!(got.text().contains(error), "{path}: {}", got.text());
    }
}

#[tokio::test]
async fn a_stream_that_ends_without_its_end_is_not_complete() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for (path, end, error) in [STREAMS[1], STREAMS[2]] {
        fake.script([Answer::text("one two three").unterminated()]);
        let got = router.post(path, BODY).await;
        assert!(!got.text().contains(end), "{path}: {}", got.text());
        assert!(got.text().contains(error), "{path}: {}", got.text());
    }
}

#[tokio::test]
async fn an_error_inside_a_stream_passes_and_is_not_doubled() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for (path, _, _) in STREAMS {
        fake.script([Answer::error_in_stream(2, "server_error", "the provider's own words")]);
        let text = router.post(path, BODY).await.text();
        assert_eq!(text.matches("the provider's own words").count(), 1, "{path}: {text}");
        assert!(!text.contains("upstream_interrupted"), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_silent_provider_is_given_up() {
    let fake = FakeProvider::start().await;
    let resources = adjust(provider("p0", 0, &fake, &["m"]), |provider| {
        provider.timeouts =
            Some(bitrouter_proto::v1::Timeouts { idle_ms: 50, ..Default::default() });
    });
    let router = Router::start(resources, |_| {}).await;
    let gate = Gate::closed();
    fake.script([Answer::text("one two three four").gate(3, &gate)]);
    let got = router.post(CHAT, BODY).await;
    assert_eq!(got.status, 200);
    assert!(got.text().contains("upstream_timeout"), "{}", got.text());
    assert!(!got.text().contains("[DONE]"));
}

#[tokio::test]
async fn events_arrive_when_they_are_sent_not_when_more_have_come() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let gate = Gate::closed();
    fake.script([Answer::text("one two three four").gate(3, &gate)]);
    let request = Request::post(router.url(CHAT)).body(Full::new(BODY.into())).unwrap();
    let response = router.client.request(request).await.unwrap();
    assert_eq!(response.headers()["x-bitrouter-provider"], "p0");
    let mut body = response.into_body();
    let mut seen = String::new();
    while !seen.contains("one") {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        seen.push_str(&String::from_utf8_lossy(&frame));
    }
    gate.open();
    while let Some(frame) = body.frame().await {
        seen.push_str(&String::from_utf8_lossy(&frame.unwrap().into_data().unwrap()));
    }
    assert!(seen.ends_with("data: [DONE]\n\n"), "{seen}");
}

#[tokio::test]
async fn no_step_of_forty_milliseconds() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    router.post(CHAT, BODY).await;
    let clock = Clock::system();
    let mut fastest = Duration::MAX;
    for _ in 0..5 {
        let start = clock.instant();
        router.post(CHAT, BODY).await;
        fastest = fastest.min(clock.instant() - start);
    }
    // Delayed acknowledgements and Nagle's algorithm would cost forty in every single one.
    assert!(fastest < Duration::from_millis(30), "{fastest:?}");
}

#[tokio::test]
async fn usage_is_asked_for_and_hidden_from_clients_that_did_not_ask() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let got = router.post(CHAT, BODY).await;
    assert!(!got.text().contains("prompt_tokens"), "{}", got.text());
    assert!(got.text().ends_with("data: [DONE]\n\n"));
    let sent = fake.requests().pop().unwrap().json();
    assert_eq!(sent["stream_options"]["include_usage"], true);

    let asked =
        r#"{"model":"m","stream":true,"messages":[],"stream_options":{"include_usage":true}}"#;
    let got = router.post(CHAT, asked).await;
    assert!(got.text().contains("prompt_tokens"), "{}", got.text());
    assert_eq!(fake.requests().pop().unwrap().body, asked);
}

#[tokio::test]
async fn a_provider_that_reports_usage_unasked_is_not_asked() {
    let fake = FakeProvider::start().await;
    let resources = adjust(provider("p0", 0, &fake, &["m"]), |p| p.stream_usage_unasked = true);
    let router = Router::start(resources, |_| {}).await;
    router.post(CHAT, BODY).await;
    assert_eq!(fake.requests().pop().unwrap().body, BODY);
}

#[tokio::test]
async fn a_client_that_leaves_does_not_stop_the_count() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let gate = Gate::closed();
    fake.script([Answer::text("one two three four").gate(3, &gate)]);
    let request = Request::post(router.url(CHAT)).body(Full::new(BODY.into())).unwrap();
    let mut body = router.client.request(request).await.unwrap().into_body();
    body.frame().await.unwrap().unwrap();
    drop(body);
    router.until(|text| text.contains("bitrouter_requests_in_flight 1\n")).await;
    gate.open();
    let text = router.until(|text| text.contains("outcome=\"client_gone\"")).await;
    assert!(text.contains(r#"bitrouter_tokens_total{provider="p0",class="output"} 5"#), "{text}");
}

#[tokio::test]
async fn a_huge_whole_answer_passes_through() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    fake.script([Answer::huge(20 << 20)]);
    let got = router.post(CHAT, r#"{"model":"m","messages":[]}"#).await;
    assert_eq!(got.status, 200);
    assert!(got.body.len() > 20 << 20 && !got.is_cut);
}

#[tokio::test]
async fn a_provider_that_does_not_close_keeps_nobody_waiting() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let pieces = [
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}\n\n",
        "data: [DONE]\n\n",
        ": never sent\n\n",
    ];
    let pieces = pieces.map(|piece| bytes::Bytes::from_static(piece.as_bytes())).to_vec();
    let gate = Gate::closed();
    fake.script([Answer::raw("text/event-stream", pieces).gate(2, &gate)]);
    let got = router.post(CHAT, BODY).await;
    assert!(got.text().ends_with("data: [DONE]\n\n") && !got.is_cut, "{}", got.text());
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_given_up() {
    let fake = FakeProvider::start().await;
    let router = Router::start(provider("p0", 0, &fake, &["m"]), |settings| {
        settings.limits.write_timeout = Duration::from_millis(100);
    })
    .await;
    let event = format!(
        "data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n",
        "a".repeat(1 << 20)
    );
    let pieces = vec![bytes::Bytes::from(event); 64];
    fake.script([Answer::raw("text/event-stream", pieces)]);
    let request = Request::post(router.url(CHAT)).body(Full::new(BODY.into())).unwrap();
    let held = router.client.request(request).await.unwrap();
    router.until(|text| text.contains("outcome=\"client_gone\"")).await;
    drop(held);
}
