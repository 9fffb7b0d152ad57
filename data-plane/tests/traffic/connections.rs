//! Connections on both sides: TLS, HTTP/2, kept ones that have died, proxies.

use std::{sync::Arc, time::Duration};

use bitrouter_data_plane::settings::TlsFiles;
use bitrouter_keys::Secret;
use bitrouter_testkit::{Answer, FakeProvider};
use bytes::Bytes;
use http::{Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsConnector;
use tokio_util::task::TaskTracker;

use crate::harness::{CHAT, Router, adjust, provider};

const BODY: &str = r#"{"model":"m","messages":[]}"#;

#[tokio::test]
async fn tls_clients_may_speak_http2() {
    let fake = FakeProvider::start().await;
    let home = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let files = TlsFiles { cert: home.path().join("cert.pem"), key: home.path().join("key.pem") };
    std::fs::write(&files.cert, issued.cert.pem()).unwrap();
    std::fs::write(&files.key, issued.signing_key.serialize_pem()).unwrap();
    let router =
        Router::start(provider("p0", 0, &fake, &["m"]), |it| it.listen.tls = Some(files)).await;

    for (alpn, version) in [(&b"h2"[..], Version::HTTP_2), (b"http/1.1", Version::HTTP_11)] {
        let stream = TcpStream::connect(router.handle.address()).await.unwrap();
        let connector = tls_client(issued.cert.der().clone(), alpn);
        let name = ServerName::try_from("localhost").unwrap();
        let stream = TokioIo::new(connector.connect(name, stream).await.unwrap());
        let tasks = TaskTracker::new();
        let request = Request::post(if version == Version::HTTP_2 {
            format!("https://localhost{CHAT}")
        } else {
            CHAT.to_owned()
        });
        let request =
            request.header("host", "localhost").body(Full::new(Bytes::from(BODY))).unwrap();
        let response = if version == Version::HTTP_2 {
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), stream).await.unwrap();
            tasks.spawn(connection);
            sender.send_request(request).await.unwrap()
        } else {
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(stream).await.unwrap();
            tasks.spawn(connection);
            sender.send_request(request).await.unwrap()
        };
        assert_eq!((response.status().as_u16(), response.version()), (200, version));
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&body).contains("Hello"));
    }
}

fn tls_client(certificate: CertificateDer<'static>, alpn: &[u8]) -> TlsConnector {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn a_kept_connection_that_died_costs_nobody_a_request() {
    let fake = FakeProvider::start().await;
    let router = Router::of(&[&fake]).await;
    assert_eq!(router.post(CHAT, BODY).await.status, 200);
    // The connection is kept; the provider gives it up while the next request is under way.
    fake.script([Answer::close()]);
    let got = router.post(CHAT, BODY).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!(got.header("x-bitrouter-attempts"), "1");
    assert_eq!(fake.requests().len(), 3);
    // A fresh one that is closed is a failure like any other.
    fake.script([Answer::close(), Answer::close()]);
    assert_eq!(router.post(CHAT, BODY).await.status, 502);
}

#[tokio::test]
async fn a_kept_connection_that_dies_late_may_have_been_billed() {
    let (first, second) = (FakeProvider::start().await, FakeProvider::start().await);
    let router = Router::of(&[&first, &second]).await;
    assert_eq!(router.post(CHAT, BODY).await.status, 200);
    first.script([Answer::close().delay_head(Duration::from_millis(1_050))]);
    let got = router.post(CHAT, BODY).await;
    assert_eq!(got.status, 200, "{}", got.text());
    assert_eq!((first.requests().len(), second.requests().len()), (2, 1));
    let record = router.records().await.remove(1);
    assert!(record.attempts[0].may_have_been_billed && record.usage_unknown, "{record:#?}");
}

/// When a provider gives a connection up, without ever saying so.
#[derive(Clone, Copy, Debug)]
enum GivesUp {
    /// As soon as it has answered one request.
    AtOnce,
    /// Only when the next request comes.
    WhenAsked,
}

/// A router before a provider whose connections are good for one request.
async fn before_a_fickle_provider(gives_up: GivesUp, tasks: &TaskTracker) -> Router {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tasks.clone();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            serving.spawn(async move {
                let mut seen = [0; 4_096];
                assert!(stream.read(&mut seen).await.unwrap() > 0);
                let answer = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"content":"x"},"finish_reason":"stop"}]}"#;
                let length = answer.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
                stream.write_all(format!("{head}{answer}").as_bytes()).await.unwrap();
                if matches!(gives_up, GivesUp::WhenAsked) {
                    assert!(stream.read(&mut seen).await.is_ok());
                }
            });
        }
    });
    let fake = FakeProvider::start().await;
    let resources = adjust(provider("p0", 0, &fake, &["m"]), |provider| {
        for base in &mut provider.base_urls {
            base.url = format!("http://{address}/v1");
        }
    });
    Router::start(resources, |_| {}).await
}

#[tokio::test]
async fn a_provider_that_gives_up_connections_costs_nobody_a_request() {
    for gives_up in [GivesUp::WhenAsked, GivesUp::AtOnce] {
        let tasks = TaskTracker::new();
        let router = before_a_fickle_provider(gives_up, &tasks).await;
        // Many are kept at once, so that where one has died, the next one has too.
        for at_once in [8, 1, 1, 1, 16, 1, 8] {
            let asked = std::iter::repeat_with(|| router.post(CHAT, BODY)).take(at_once);
            for got in futures::future::join_all(asked).await {
                assert_eq!(got.status, 200, "{gives_up:?}: {}", got.text());
            }
        }
    }
}

#[tokio::test]
async fn plain_requests_go_through_the_proxy_by_their_whole_url() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let fake = FakeProvider::start().await;
    let resources = adjust(provider("p0", 0, &fake, &["m"]), |provider| {
        for base in &mut provider.base_urls {
            "http://provider.invalid/v1".clone_into(&mut base.url);
        }
    });
    let router = Router::start(resources, |settings| {
        settings.outbound.http_proxy = Secret::new(format!("http://user:pass@{address}"));
    })
    .await;
    let (got, seen) = tokio::join!(router.post(CHAT, BODY), async {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut seen = vec![0; 4_096];
        let length = stream.read(&mut seen).await.unwrap();
        let answer = r#"{"object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"x"},"finish_reason":"stop"}]}"#;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            answer.len()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8_lossy(&seen[..length]).into_owned()
    });
    assert_eq!(got.status, 200, "{}", got.text());
    assert!(
        seen.starts_with("POST http://provider.invalid/v1/chat/completions HTTP/1.1"),
        "{seen}"
    );
    assert!(seen.contains("proxy-authorization: Basic dXNlcjpwYXNz"), "{seen}");
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel_to_tls_providers() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = proxy.local_addr().unwrap();
    let fake = FakeProvider::start().await;
    let resources = adjust(provider("p0", 0, &fake, &["m"]), |provider| {
        for base in &mut provider.base_urls {
            "https://provider.invalid/v1".clone_into(&mut base.url);
        }
    });
    let router = Router::start(resources, |settings| {
        settings.outbound.https_proxy = Secret::new(format!("http://{address}"));
    })
    .await;
    let (got, seen) = tokio::join!(router.post(CHAT, BODY), async {
        let (mut stream, _) = proxy.accept().await.unwrap();
        let mut seen = vec![0; 4_096];
        let length = stream.read(&mut seen).await.unwrap();
        stream.write_all(b"HTTP/1.1 403 Forbidden\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&seen[..length]).into_owned()
    });
    assert!(seen.starts_with("CONNECT provider.invalid:443 HTTP/1.1"), "{seen}");
    assert!(!seen.contains("secret-of"), "{seen}");
    assert_eq!(got.status, 502);
}

#[tokio::test]
async fn connections_beyond_the_cap_wait_for_their_turn() {
    let fake = FakeProvider::start().await;
    let resources = provider("p0", 0, &fake, &["m"]);
    let router = Router::start(resources, |settings| settings.limits.max_connections = 1).await;
    let ask = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";
    let mut first = TcpStream::connect(router.handle.address()).await.unwrap();
    first.write_all(ask).await.unwrap();
    let mut answer = [0; 15];
    first.read_exact(&mut answer).await.unwrap();
    let mut second = TcpStream::connect(router.handle.address()).await.unwrap();
    second.write_all(ask).await.unwrap();
    let early = second.try_read(&mut answer);
    assert!(early.is_err(), "it is not served beside the first");
    drop(first);
    second.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200 OK");
}
