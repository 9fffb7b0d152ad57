//! What clients cannot do: send too much, too slowly, too often, or nonsense.

use std::time::Duration;

use bitrouter_testkit::{Answer, FakeProvider, Gate};
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::harness::{CHAT, GEMINI, MESSAGES, RESPONSES, Router, provider};

const BODY: &str = r#"{"model":"m","messages":[]}"#;

#[tokio::test]
async fn bad_bodies_are_refused_in_every_dialect() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    for path in [CHAT, RESPONSES, MESSAGES, GEMINI] {
        for body in ["", "{", "[]", "\"x\"", "{\"model\":\"m\",}", "\u{0}"] {
            let got = router.post(path, body).await;
            assert_eq!(got.status, 400, "{path} {body:?}: {}", got.text());
            assert!(got.json()["error"]["message"].is_string(), "{path} {body:?}");
        }
    }
    let got = router.post(CHAT, r#"{"messages":[]}"#).await;
    assert_eq!(got.status, 400);
    assert!(got.text().contains("model"), "{}", got.text());
    assert!(fake.requests().is_empty());
}

#[tokio::test]
async fn a_name_that_no_model_has_is_refused_without_comparing() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let name = "m".repeat(1 << 20);
    for path in [CHAT, "/v1/resolve"] {
        let got = router.post(path, format!(r#"{{"model":"{name}"}}"#)).await;
        assert!(matches!(got.status.as_u16(), 400 | 413), "{path}: {}", got.status);
        assert!(got.body.len() < 1_000, "{path}");
    }
    let records = router.records().await;
    assert_eq!((records.len(), records[0].requested_model.len()), (1, 0));
}

#[tokio::test]
async fn an_unknown_model_is_404_with_the_nearest_names() {
    let fake = FakeProvider::start().await;
    let router = Router::start(provider("p0", 0, &fake, &["gpt-4o", "gpt-4o-mini"]), |_| {}).await;
    for path in [CHAT, RESPONSES, MESSAGES] {
        let got = router.post(path, r#"{"model":"gpt-4p","messages":[],"input":"x"}"#).await;
        assert_eq!(got.status, 404, "{path}: {}", got.text());
        assert!(got.text().contains("gpt-4o"), "{path}: {}", got.text());
    }
}

#[tokio::test]
async fn too_large_a_body_is_413_before_it_is_read() {
    let fake = FakeProvider::start().await;
    let resources = provider("p0", 0, &fake, &["m"]);
    let router = Router::start(resources, |settings| settings.limits.max_body = 1_000).await;
    for path in [CHAT, RESPONSES, MESSAGES, GEMINI] {
        let got = router.post(path, vec![b' '; 1_001]).await;
        assert_eq!(got.status, 413, "{path}: {}", got.text());
        assert!(got.json()["error"]["message"].is_string(), "{path}: {}", got.text());
    }
    let got = router.post(CHAT, vec![b' '; 4 << 20]).await;
    assert_eq!(got.status, 413, "the client reads the answer even while it sends");
    assert!(fake.requests().is_empty());

    // Asked first, and told at once.
    let mut stream = TcpStream::connect(router.handle.address()).await.unwrap();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\ncontent-length: 9999\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status_of(&mut stream).await, "413");

    // Declared, but never sent.
    let mut stream = TcpStream::connect(router.handle.address()).await.unwrap();
    let head =
        format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 999999999\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status_of(&mut stream).await, "413");
}

#[tokio::test]
async fn a_compressed_body_is_refused_with_a_reason() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let got = router.call(Method::POST, CHAT, &[("content-encoding", "gzip")], BODY).await;
    assert_eq!(got.status, 415);
    assert!(got.text().contains("content-encoding"), "{}", got.text());
}

#[tokio::test]
async fn header_floods_and_slow_clients_are_cut_off() {
    let fake = FakeProvider::start().await;
    let router = Router::start(provider("p0", 0, &fake, &["m"]), |settings| {
        settings.limits.head_timeout = Duration::from_millis(100);
        settings.limits.body_grace = Duration::from_millis(100);
    })
    .await;
    let many = (0..200).fold(String::new(), |all, n| all + &format!("x-{n}: 1\r\n"));
    let large = format!("x-large: {}\r\n", "a".repeat(200 << 10));
    for headers in [many, large] {
        let mut stream = TcpStream::connect(router.handle.address()).await.unwrap();
        let head = format!("GET / HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n");
        // The router may close before it has read everything.
        stream.write_all(head.as_bytes()).await.ok();
        assert_eq!(status_of(&mut stream).await, "431");
    }
    for start in ["", "POST ", "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"] {
        let mut stream = TcpStream::connect(router.handle.address()).await.unwrap();
        stream.write_all(start.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
        assert!(closed.await.is_ok(), "{start:?} keeps its connection");
    }
    let mut stream = TcpStream::connect(router.handle.address()).await.unwrap();
    let head = format!("POST {CHAT} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{{");
    stream.write_all(head.as_bytes()).await.unwrap();
    assert_eq!(status_of(&mut stream).await, "408");
}

async fn status_of(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 64];
    let read = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut answer));
    let length = read.await.expect("an answer in time").unwrap_or(0);
    let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
    answer.split(' ').nth(1).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn too_many_requests_at_once_are_refused_at_once() {
    let fake = FakeProvider::start().await;
    let resources = provider("p0", 0, &fake, &["m"]);
    let router = Router::start(resources, |settings| settings.limits.max_in_flight = 1).await;
    let gate = Gate::closed();
    fake.script([Answer::text("one two three").gate(2, &gate)]);
    let stream = r#"{"model":"m","messages":[],"stream":true}"#;
    let request = Request::post(router.url(CHAT)).body(Full::new(stream.into())).unwrap();
    let held = router.client.request(request).await.unwrap();
    let got = router.post(CHAT, BODY).await;
    assert_eq!((got.status.as_u16(), got.header("retry-after")), (503, "1"), "{}", got.text());
    gate.open();
    held.into_body().collect().await.unwrap();
    assert_eq!(router.post(CHAT, BODY).await.status, 200);
}

#[tokio::test]
async fn a_key_is_asked_for_unless_the_settings_say_otherwise() {
    let fake = FakeProvider::start().await;
    let resources = provider("p0", 0, &fake, &["m"]);
    let router = Router::start(resources, |settings| settings.skip_auth = false).await;
    for headers in [&[][..], &[("authorization", "Bearer sk-x")], &[("x-api-key", "brvk_bad")]] {
        let got = router.call(Method::POST, CHAT, headers, BODY).await;
        assert_eq!(got.status, 401, "{headers:?}: {}", got.text());
    }
    assert_eq!(router.get("/v1/models").await.status, 401);
}

#[tokio::test]
async fn a_drain_lets_streams_end_and_takes_nothing_new() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    let gate = Gate::closed();
    fake.script([Answer::text("one two three").gate(2, &gate)]);
    let stream = r#"{"model":"m","messages":[],"stream":true}"#;
    let request = Request::post(router.url(CHAT)).body(Full::new(stream.into())).unwrap();
    let held = router.client.request(request).await.unwrap();
    let address = router.handle.address();
    let drained = router.handle.drain(Duration::from_secs(10));
    let (finished, body) = tokio::join!(drained, async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        gate.open();
        held.into_body().collect().await.unwrap().to_bytes()
    });
    assert!(finished);
    assert!(String::from_utf8_lossy(&body).contains("[DONE]"));
}

#[tokio::test]
async fn a_drains_deadline_ends_streams_with_an_error() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    fake.script([Answer::text("one two three").gate(2, &Gate::closed())]);
    let stream = r#"{"model":"m","messages":[],"stream":true}"#;
    let request = Request::post(router.url(CHAT)).body(Full::new(stream.into())).unwrap();
    let held = router.client.request(request).await.unwrap();
    let (finished, body) =
        tokio::join!(router.handle.drain(Duration::from_millis(50)), held.into_body().collect(),);
    let body = body.unwrap().to_bytes();
    let text = String::from_utf8_lossy(&body);
    assert!(
        !finished && text.contains("upstream_interrupted") && !text.contains("[DONE]"),
        "{text}"
    );
}
