//! An agent for the demo: sends Chat Completions requests with a virtual key and reads the answers.

use std::net::SocketAddr;
use std::time::Duration;

use bitrouter_runtime::Clock;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::failure::{Doing as _, Failure};

const PATIENCE: Duration = Duration::from_secs(10);

/// Something that talks to the router.
#[derive(Debug)]
pub(crate) struct Agent {
    pub(crate) router: SocketAddr,
    pub(crate) key: String,
    pub(crate) clock: Clock,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    /// The answer's text, or the error's.
    pub(crate) text: String,
    /// How many pieces it came in.
    pub(crate) pieces: usize,
    /// Until the first piece.
    pub(crate) first: Duration,
    /// Until the last.
    pub(crate) whole: Duration,
}

impl Reply {
    /// A header's text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

impl Agent {
    /// Asks, and waits for the whole answer.
    pub(crate) async fn ask(&self, model: &str, is_streamed: bool) -> Result<Reply, Failure> {
        match tokio::time::timeout(PATIENCE, self.exchange(model, is_streamed)).await {
            Ok(reply) => reply,
            Err(_) => Err(Failure::failed(format!(
                "the router did not answer within {} s",
                PATIENCE.as_secs()
            ))),
        }
    }

    async fn exchange(&self, model: &str, is_streamed: bool) -> Result<Reply, Failure> {
        let start = self.clock.instant();
        let io = TcpStream::connect(self.router).await.doing("reach the router")?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(io)).await.doing("reach the router")?;
        let document = json!({"model": model, "stream": is_streamed,
                              "messages": [{"role": "user", "content": "What are you for?"}]});
        let request = Request::post("/v1/chat/completions")
            .header(header::HOST, self.router.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(document.to_string())))
            .doing("write a request")?;
        let reply = async {
            let response = sender.send_request(request).await.doing("ask the router")?;
            let (head, mut body) = response.into_parts();
            let (mut bytes, mut pieces, mut first) = (Vec::new(), 0, Duration::ZERO);
            while let Some(frame) = body.frame().await {
                let Ok(data) = frame.doing("read the answer")?.into_data() else { continue };
                if pieces == 0 {
                    first = self.clock.instant() - start;
                }
                pieces += 1;
                bytes.extend_from_slice(&data);
            }
            let whole = self.clock.instant() - start;
            let text = text_of(&bytes, is_streamed && head.status.is_success());
            Ok(Reply { status: head.status, headers: head.headers, text, pieces, first, whole })
        };
        let mut reply = std::pin::pin!(reply);
        tokio::select! {
            biased;
            reply = &mut reply => reply,
            _ = connection => reply.await,
        }
    }
}

/// What a person would read of an answer or an error.
fn text_of(body: &[u8], is_stream: bool) -> String {
    if !is_stream {
        let document: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = document
            .pointer("/choices/0/message/content")
            .or_else(|| document.pointer("/error/message"))
            .and_then(Value::as_str);
        return text.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    }
    String::from_utf8_lossy(body)
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line.strip_prefix("data: ")?).ok())
        .filter_map(|chunk| {
            chunk.pointer("/choices/0/delta/content").and_then(Value::as_str).map(str::to_owned)
        })
        .collect()
}
