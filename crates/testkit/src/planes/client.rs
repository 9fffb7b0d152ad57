//! A client of the router.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client as Pool, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde_json::{Value, json};

const PATIENCE: Duration = Duration::from_secs(20);

/// A client of the router, with connections of its own.
#[derive(Debug)]
pub struct Client {
    pool: Pool<HttpConnector, Full<Bytes>>,
    base: String,
    key: String,
}

/// What a client got.
#[derive(Debug)]
pub struct Got {
    /// The status.
    pub status: StatusCode,
    /// Every header.
    pub headers: HeaderMap,
    /// The body, as far as it came.
    pub body: Bytes,
    /// True if the body broke off.
    pub is_cut: bool,
}

impl Client {
    pub(super) fn new(base: String, key: &str) -> Self {
        let pool = Pool::builder(TokioExecutor::new()).build_http();
        Self { pool, base, key: key.to_owned() }
    }

    /// Asks in Chat Completions for the model `m`.
    pub async fn chat(&self) -> Got {
        self.post("/v1/chat/completions", &chat(false)).await
    }

    /// Asks in Chat Completions for the model `m`, for a stream.
    pub async fn chat_stream(&self) -> Got {
        self.post("/v1/chat/completions", &chat(true)).await
    }

    /// Begins a streamed answer in Chat Completions, which the test reads itself.
    ///
    /// # Panics
    /// If the router does not answer.
    pub async fn open_stream(&self) -> Response<Incoming> {
        self.send("/v1/chat/completions", &chat(true)).await
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Panics
    /// If the router does not answer.
    pub async fn post(&self, path: &str, body: &Value) -> Got {
        Got::read(self.send(path, body).await).await
    }

    async fn send(&self, path: &str, body: &Value) -> Response<Incoming> {
        let request = Request::post(format!("{}{path}", self.base))
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.key))
            .body(Full::new(Bytes::from(body.to_string())))
            .expect("a request");
        let answer = tokio::time::timeout(PATIENCE, self.pool.request(request)).await;
        answer.expect("the router answers in time").expect("the router answers")
    }
}

impl Got {
    /// Reads an answer to its end.
    ///
    /// # Panics
    /// If it does not end.
    pub async fn read(response: Response<Incoming>) -> Self {
        let (head, mut rest) = response.into_parts();
        let (mut body, mut is_cut) = (Vec::new(), false);
        let reading = async {
            while let Some(frame) = rest.frame().await {
                let Ok(frame) = frame else {
                    is_cut = true;
                    break;
                };
                body.extend_from_slice(&frame.into_data().unwrap_or_default());
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("the answer ends");
        Self { status: head.status, headers: head.headers, body: body.into(), is_cut }
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The request's id, by which its record is found.
    pub fn request_id(&self) -> String {
        let id = self.headers.get("x-bitrouter-request-id");
        id.and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned()
    }
}

fn chat(stream: bool) -> Value {
    json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": "hello" }] })
}
