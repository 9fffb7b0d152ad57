//! A request as the provider saw it.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use http_body_util::BodyExt;
use serde_json::Value;

/// A request as the provider saw it.
#[derive(Clone, Debug)]
pub struct Received {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub uri: Uri,
    /// Every header.
    pub headers: HeaderMap,
    /// The body, to the byte.
    pub body: Bytes,
}

/// What a path asks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Asked {
    ChatCompletions,
    Responses,
    Messages,
    GenerateContent { stream: bool, sse: bool },
    Embeddings,
    Completions,
    Models,
    Other,
}

impl Received {
    pub(crate) async fn read(
        request: http::Request<hyper::body::Incoming>,
    ) -> Result<Self, hyper::Error> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Self { method: head.method, uri: head.uri, headers: head.headers, body })
    }

    /// The body as JSON; `Null` if it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// A header as text; empty if it is absent.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The model that was asked for, from the body or from Gemini's path.
    pub fn model(&self) -> Option<String> {
        if let Some((_, rest)) = self.uri.path().split_once("/models/") {
            let model = rest.rsplit_once(':').map_or(rest, |(model, _)| model);
            return Some(model.to_owned());
        }
        self.json().get("model")?.as_str().map(str::to_owned)
    }

    /// True if the body asks for a stream.
    pub fn wants_stream(&self) -> bool {
        self.json().get("stream").and_then(Value::as_bool).unwrap_or(false)
    }

    pub(crate) fn asked(&self) -> Asked {
        let path = self.uri.path();
        let sse =
            self.uri.query().is_some_and(|query| query.split('&').any(|part| part == "alt=sse"));
        match path {
            _ if path.ends_with("/chat/completions") => Asked::ChatCompletions,
            _ if path.ends_with("/completions") => Asked::Completions,
            _ if path.ends_with("/responses") => Asked::Responses,
            _ if path.ends_with("/messages") => Asked::Messages,
            _ if path.ends_with("/embeddings") => Asked::Embeddings,
            _ if path.ends_with("/models") => Asked::Models,
            _ if path.ends_with(":streamGenerateContent") => {
                Asked::GenerateContent { stream: true, sse }
            }
            _ if path.ends_with(":generateContent") => {
                Asked::GenerateContent { stream: false, sse }
            }
            _ => Asked::Other,
        }
    }
}
