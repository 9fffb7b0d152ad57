//! Clients and providers that do what nobody should: what they can reach with it.

use bitrouter_testkit::{Answer, FakeProvider};
use bytes::Bytes;
use serde_json::json;

use crate::harness::{CHAT, GEMINI, MESSAGES, RESPONSES, Router};

const BODY: &str = r#"{"model":"m","messages":[],"input":"x"}"#;
const STREAM: &str = r#"{"model":"m","messages":[],"input":"x","stream":true}"#;
const GEMINI_STREAM: &str = "/v1beta/models/m:streamGenerateContent?alt=sse";

#[tokio::test]
async fn a_model_that_is_a_novel_is_refused_and_not_recorded() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let novel = "x".repeat(3 << 20);
    for model in [novel.clone(), format!("p0:{novel}")] {
        for path in [CHAT, RESPONSES, MESSAGES] {
            let got = router.post(path, json!({"model": model}).to_string()).await;
            assert_eq!(got.status, 400, "{path}");
            assert!(got.body.len() < 1_000, "{path}: {} bytes", got.body.len());
        }
    }
    let path = format!("/v1beta/models/p0:{}:generateContent", &novel[..4_000]);
    assert_eq!(router.post(&path, "{}").await.status, 400);
    assert!(fake.requests().is_empty());
    let records = router.records().await;
    assert_eq!(records.len(), 7);
    assert!(records.iter().all(|it| it.requested_model.len() <= 512), "names are cut short");
}

#[tokio::test]
async fn a_provider_that_quotes_its_key_quotes_it_to_nobody() {
    let quote = |code: &str| json!({"error": {"message": "not with secret-of-p0!", "code": code, "debug": "Bearer secret-of-p0"}});
    let json = "application/json";
    let whole = |status: u16, code: &str| {
        let pieces = vec![Bytes::from(quote(code).to_string())];
        Answer::raw(json, pieces).status(status).header("x-debug", "secret-of-p0")
    };
    let event = |code: &str| {
        let data = json!({"type": "error", "error": quote(code)["error"]});
        format!("event: error\ndata: {data}\n\n")
    };
    let cut = |text: String| {
        let middle = text.find("secret-of").unwrap() + 5;
        let (first, last) = text.split_at(middle);
        Answer::raw("text/event-stream", vec![first.to_owned().into(), last.to_owned().into()])
    };
    let hello = r#"data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hi"}}]}"#;
    let cases = [
        ("400", BODY, whole(400, "invalid_value")),
        ("404", BODY, whole(404, "secret-of-p0")),
        ("401", BODY, whole(401, "invalid_api_key")),
        ("500", BODY, whole(500, "secret-of-p0")),
        ("429", STREAM, whole(429, "rate_limit_exceeded")),
        ("200, for the client", BODY, whole(200, "invalid_request_error")),
        ("200, for the next", BODY, whole(200, "server_error")),
        ("a stream's first event", STREAM, cut(event("server_error"))),
        ("a stream's first event, for the client", STREAM, cut(event("invalid_request_error"))),
        ("a stream's last event", STREAM, cut(format!("{hello}\n\n{}", event("server_error")))),
    ];
    for (case, body, answer) in cases {
        let fake = FakeProvider::start().await;
        let router = Router::of(&[&fake]).await;
        fake.script([answer]);
        let got = router.post(CHAT, body).await;
        assert!(!got.text().contains("secret-of-p0"), "{case}: {}", got.text());
        assert!(got.text().contains("error"), "{case}: {}", got.text());
        assert!(!format!("{:?}", got.headers).contains("secret-of-p0"), "{case}");
        let records = router.records().await;
        assert!(!format!("{records:?}").contains("secret-of-p0"), "{case}: {records:?}");
    }
}

#[tokio::test]
async fn a_providers_words_do_not_swell_the_record() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let long = "c".repeat(200 << 10);
    let error = json!({"error": {"message": long, "code": long, "type": long}}).to_string();
    let odd = json!({"object": "chat.completion", "id": long, "model": long, "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": long}]});
    let whole = |text: String| Answer::raw("application/json", vec![text.into()]);
    fake.script([whole(error).status(422), whole(odd.to_string())]);
    router.post(CHAT, BODY).await;
    router.post(CHAT, BODY).await;
    for record in router.records().await {
        assert!(format!("{record:?}").len() < 10_000);
    }
}

#[tokio::test]
async fn a_stream_by_another_name_is_a_stream() {
    let stream = r#"data: {"object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"stop"}]}

data: [DONE]

"#;
    for content_type in ["text/plain; charset=utf-8", "text/event-stream;charset=UTF-8"] {
        let fake = FakeProvider::start().await;
        let router = Router::of(&[&fake]).await;
        fake.script([Answer::raw(content_type, vec![stream.into()])]);
        let got = router.post(CHAT, STREAM).await;
        assert_eq!((got.status.as_u16(), got.text()), (200, stream.to_owned()), "{content_type}");
    }
}

#[tokio::test]
async fn what_is_encoded_unasked_passes_unread() {
    // Not gzip, but nobody is to look.
    let bytes = Bytes::from_static(b"\x1f\x8b\x08\x00\xff\xfe");
    for (body, content_type) in [(STREAM, "text/event-stream"), (BODY, "application/json")] {
        let fake = FakeProvider::start().await;
        let router = Router::of(&[&fake]).await;
        let answer = Answer::raw(content_type, vec![bytes.clone()]);
        fake.script([answer.header("content-encoding", "gzip")]);
        let got = router.post(CHAT, body).await;
        assert_eq!((got.status.as_u16(), &got.body), (200, &bytes), "{content_type}");
        assert_eq!(got.header("content-encoding"), "gzip", "{content_type}");
    }
}

#[tokio::test]
async fn nothing_but_pings_is_no_answer_in_any_dialect() {
    let pings = ": ping\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n";
    for path in [CHAT, RESPONSES, MESSAGES, GEMINI_STREAM] {
        let (mute, good) = (FakeProvider::start().await, FakeProvider::start().await);
        let router = Router::of(&[&mute, &good]).await;
        mute.script([Answer::raw("text/event-stream", vec![pings.into()])]);
        let got = router.post(path, STREAM).await;
        assert_eq!(got.header("x-bitrouter-provider"), "p1", "{path}: {}", got.text());
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (sly, other) = (FakeProvider::start().await, FakeProvider::start().await);
    let router = Router::of(&[&sly]).await;
    for status in [301, 302, 303, 307, 308] {
        let answer = Answer::raw("text/plain", Vec::new()).status(status);
        sly.script([answer.header("location", &format!("{}/chat/completions", other.url()))]);
        let got = router.post(CHAT, BODY).await;
        assert!(matches!(got.status.as_u16(), 502 | 503), "{status}: {}", got.text());
        assert!(got.header("location").is_empty(), "{status}");
    }
    assert!(other.requests().is_empty());
}

#[tokio::test]
async fn no_path_climbs_out_of_the_models() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for model in [
        "p0:../../x",
        "p0:..%2f..%2fx",
        "p0:%2e%2e%2f%2e%2e%2fx",
        "p0:..",
        "p0:models/..%2f..%2fadmin",
        "p0:tunedModels/../../../x",
        "p0:x%3fkey=1%23",
        "p0:m%0d%0ax-evil:%201",
        "p0:m%00",
        "p0:a%5c..%5cb",
    ] {
        router.post(&format!("/v1beta/models/{model}:generateContent"), "{}").await;
    }
    assert!(!fake.requests().is_empty());
    for request in fake.requests() {
        let path = request.uri.path();
        let segments = path.strip_prefix("/v1beta/").expect("below the base").split('/');
        assert!(segments.clone().all(|it| !matches!(it, "." | ".." | "")), "{path}");
        assert!(segments.count() <= 2 && request.uri.query().is_none(), "{path}");
        assert!(request.headers.get("x-evil").is_none(), "{path}");
    }
    let got = router.post(CHAT, r#"{"model":"p0:m\r\nx-evil: 1","messages":[]}"#).await;
    assert!(got.headers.get("x-evil").is_none());
    assert_eq!(router.post(GEMINI, "{}").await.status, 200);
}
