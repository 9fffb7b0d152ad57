//! What a client called, and where the same call goes upstream.
//!
//! Every dialect's knowledge of paths is here and nowhere else. Paths are compared in their raw
//! form; only the model id of a path is percent-decoded, once.

use std::fmt::Write as _;

use crate::{
    Dialect,
    error::{ApiError, ErrorKind},
};

/// An operation that clients call, whichever path spelling they used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Surface {
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/completions`, the older text completions.
    Completions,
    /// `POST /v1/embeddings`.
    Embeddings,
    /// `POST /v1/responses`.
    Responses,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1beta/models/{model}:generateContent`, or `:streamGenerateContent` when `stream`.
    GenerateContent {
        /// Whether the method of the path streams; the body does not say.
        stream: bool,
    },
    /// `POST /v1beta/models/{model}:embedContent`, or `:batchEmbedContents` when `batch`.
    EmbedContent {
        /// Whether the body holds several requests.
        batch: bool,
    },
    /// `GET /v1/models`: every model that the caller may use.
    ListModels,
    /// `GET /v1/models/{model}`: one of them.
    Model,
    /// Something real that this version does not serve; the text names it.
    NotYet(&'static str),
}

impl Surface {
    /// The dialect that an endpoint must speak to serve this call, if it is sent upstream.
    pub const fn dialect(self) -> Option<Dialect> {
        match self {
            Self::ChatCompletions | Self::Completions | Self::Embeddings => {
                Some(Dialect::ChatCompletions)
            }
            Self::Responses => Some(Dialect::Responses),
            Self::Messages => Some(Dialect::Messages),
            Self::GenerateContent { .. } | Self::EmbedContent { .. } => {
                Some(Dialect::GenerateContent)
            }
            Self::ListModels | Self::Model | Self::NotYet(_) => None,
        }
    }

    /// The surface's name in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ChatCompletions => "chat_completions",
            Self::Completions => "completions",
            Self::Embeddings => "embeddings",
            Self::Responses => "responses",
            Self::Messages => "messages",
            Self::GenerateContent { .. } => "generate_content",
            Self::EmbedContent { .. } => "embed_content",
            Self::ListModels => "list_models",
            Self::Model => "model",
            Self::NotYet(_) => "not_yet",
        }
    }
}

/// A call as its method and path describe it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Call {
    /// What was called.
    pub surface: Surface,
    /// The dialect in which the caller expects answers and errors.
    pub dialect: Dialect,
    /// The model that the path names, percent-decoded.
    pub model: Option<String>,
}

/// What the headers tell about the caller, for the paths that dialects share (`/v1/models`).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Accent {
    /// The request has an `anthropic-version` header.
    pub anthropic: bool,
    /// The request has an `x-goog-api-key` header (or a `key` in its query).
    pub google: bool,
}

impl Accent {
    const fn dialect(self) -> Dialect {
        if self.anthropic {
            Dialect::Messages
        } else if self.google {
            Dialect::GenerateContent
        } else {
            Dialect::ChatCompletions
        }
    }
}

/// Why a path is not a call.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum NoSurface {
    /// Nothing is served at this path.
    #[error("nothing is served at {path}; see the documentation for the paths of each dialect")]
    UnknownPath {
        /// The path, as received and shortened.
        path: String,
        /// The dialect to answer in.
        dialect: Dialect,
    },
    /// The path exists with another method.
    #[error("this path wants {allow}")]
    WrongMethod {
        /// What the `Allow` header must say.
        allow: &'static str,
        /// The dialect to answer in.
        dialect: Dialect,
    },
}

impl NoSurface {
    /// The dialect to answer in.
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::UnknownPath { dialect, .. } | Self::WrongMethod { dialect, .. } => *dialect,
        }
    }

    /// The error to send to the client.
    pub fn to_api_error(&self) -> ApiError {
        let (status, kind, code) = match self {
            Self::UnknownPath { .. } => (404, ErrorKind::NotFound, "unknown_path"),
            Self::WrongMethod { .. } => (405, ErrorKind::InvalidRequest, "method_not_allowed"),
        };
        ApiError::new(kind, code, self.to_string()).with_status(status)
    }
}

/// Paths without a model, below the version segment: what they are, and their method and dialect.
const FIXED: [(&str, &str, Surface, Dialect); 19] = [
    ("chat/completions", "POST", Surface::ChatCompletions, Dialect::ChatCompletions),
    ("completions", "POST", Surface::Completions, Dialect::ChatCompletions),
    ("embeddings", "POST", Surface::Embeddings, Dialect::ChatCompletions),
    ("responses", "POST", Surface::Responses, Dialect::Responses),
    ("messages", "POST", Surface::Messages, Dialect::Messages),
    ("messages/count_tokens", "POST", Surface::NotYet("token counting"), Dialect::Messages),
    ("messages/batches", "POST", Surface::NotYet("message batches"), Dialect::Messages),
    ("responses/compact", "POST", Surface::NotYet("compacting responses"), Dialect::Responses),
    ("responses/input_tokens", "POST", Surface::NotYet("token counting"), Dialect::Responses),
    ("rerank", "POST", Surface::NotYet("reranking"), Dialect::ChatCompletions),
    ("audio/speech", "POST", Surface::NotYet("audio"), Dialect::ChatCompletions),
    ("audio/transcriptions", "POST", Surface::NotYet("audio"), Dialect::ChatCompletions),
    ("audio/translations", "POST", Surface::NotYet("audio"), Dialect::ChatCompletions),
    ("images/generations", "POST", Surface::NotYet("images"), Dialect::ChatCompletions),
    ("images/edits", "POST", Surface::NotYet("images"), Dialect::ChatCompletions),
    ("images/variations", "POST", Surface::NotYet("images"), Dialect::ChatCompletions),
    ("moderations", "POST", Surface::NotYet("moderations"), Dialect::ChatCompletions),
    ("batches", "POST", Surface::NotYet("batches"), Dialect::ChatCompletions),
    ("files", "POST", Surface::NotYet("files"), Dialect::ChatCompletions),
];

/// Recognises what was called. `path` is the raw path, without the query.
pub fn recognise(method: &str, path: &str, accent: Accent) -> Result<Call, NoSurface> {
    let trimmed = path.strip_prefix('/').unwrap_or(path);
    let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
    let (version, rest) = split_version(trimmed);
    let call = |surface, dialect| Call { surface, dialect, model: None };

    if rest == "responses" && method == "GET" {
        return Ok(call(Surface::NotYet("responses over a WebSocket"), Dialect::Responses));
    }
    if let Some((_, allow, surface, dialect)) = FIXED.iter().find(|(fixed, ..)| *fixed == rest) {
        if method != *allow {
            return Err(NoSurface::WrongMethod { allow, dialect: *dialect });
        }
        return Ok(call(*surface, *dialect));
    }
    let gemini = version == Some("v1beta") || version == Some("v1alpha");
    let listing = if gemini { Dialect::GenerateContent } else { accent.dialect() };
    if rest == "models" {
        return expect_get(method, listing).map(|()| call(Surface::ListModels, listing));
    }
    if let Some(id) = rest.strip_prefix("models/") {
        return model_call(method, path, id, listing);
    }
    if rest.starts_with("responses/") {
        return Ok(call(Surface::NotYet("stored responses"), Dialect::Responses));
    }
    Err(unknown(path, listing))
}

/// Recognises what follows `models/`: a model id, or an id and a method after its last colon.
fn model_call(method: &str, path: &str, rest: &str, listing: Dialect) -> Result<Call, NoSurface> {
    let dialect = Dialect::GenerateContent;
    let surface_of = |name| {
        Some(match name {
            "generateContent" => Surface::GenerateContent { stream: false },
            "streamGenerateContent" => Surface::GenerateContent { stream: true },
            "embedContent" => Surface::EmbedContent { batch: false },
            "batchEmbedContents" => Surface::EmbedContent { batch: true },
            "countTokens" => Surface::NotYet("token counting"),
            "predict" | "predictLongRunning" => Surface::NotYet("images"),
            _ => return None,
        })
    };
    let split = rest.rsplit_once(':').and_then(|(id, name)| Some((id, surface_of(name)?)));
    let (id, surface, dialect) = match split {
        Some((id, surface)) => (id, surface, dialect),
        None => (rest, Surface::Model, listing),
    };
    let model = percent_decode(id).filter(|model| !model.is_empty());
    let Some(model) = model else { return Err(unknown(path, dialect)) };
    if surface == Surface::Model {
        expect_get(method, dialect)?;
    } else if method != "POST" {
        return Err(NoSurface::WrongMethod { allow: "POST", dialect });
    }
    Ok(Call { surface, dialect, model: Some(model) })
}

fn expect_get(method: &str, dialect: Dialect) -> Result<(), NoSurface> {
    if matches!(method, "GET" | "HEAD") {
        Ok(())
    } else {
        Err(NoSurface::WrongMethod { allow: "GET, HEAD", dialect })
    }
}

fn unknown(path: &str, dialect: Dialect) -> NoSurface {
    let path = path.chars().take(100).filter(|c| !c.is_control()).collect();
    NoSurface::UnknownPath { path, dialect }
}

/// Splits a leading version segment off. Only the versions that dialects use count as one.
fn split_version(path: &str) -> (Option<&str>, &str) {
    match path.split_once('/') {
        Some((version @ ("v1" | "v1beta" | "v1alpha"), rest)) => (Some(version), rest),
        _ => (None, path),
    }
}

/// Decodes `%41` to `A`; `None` if an escape is broken or the text is not UTF-8 or has controls.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        rest = after;
        if first != b'%' {
            bytes.push(first);
            continue;
        }
        let (digits, after) = rest.split_at_checked(2)?;
        let digits = std::str::from_utf8(digits).ok().filter(|d| !d.starts_with('+'))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        rest = after;
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains(char::is_control))
}

/// The path and query of the upstream call, below a base whose path is `base_path`.
///
/// `query` is the client's; a `key` in it is the client's credential and is left out. `None` for
/// surfaces that never go upstream.
pub fn upstream_target(
    base_path: &str,
    surface: Surface,
    model: &str,
    query: Option<&str>,
) -> Option<String> {
    let base = base_path.trim_end_matches('/');
    let mut target = String::with_capacity(base.len() + model.len() + 64);
    target.push_str(base);
    match surface {
        Surface::ChatCompletions => target.push_str("/chat/completions"),
        Surface::Completions => target.push_str("/completions"),
        Surface::Embeddings => target.push_str("/embeddings"),
        Surface::Responses => target.push_str("/responses"),
        Surface::Messages => target.push_str("/messages"),
        Surface::GenerateContent { stream: false } => {
            push_model(&mut target, model, "generateContent");
        }
        Surface::GenerateContent { stream: true } => {
            push_model(&mut target, model, "streamGenerateContent");
        }
        Surface::EmbedContent { batch: false } => push_model(&mut target, model, "embedContent"),
        Surface::EmbedContent { batch: true } => {
            push_model(&mut target, model, "batchEmbedContents");
        }
        Surface::ListModels | Surface::Model | Surface::NotYet(_) => return None,
    }
    let kept = query.unwrap_or("").split('&').filter(|pair| !pair.is_empty() && !is_key(pair));
    for (at, pair) in kept.enumerate() {
        target.push(if at == 0 { '?' } else { '&' });
        target.push_str(pair);
    }
    Some(target)
}

/// True for the query pair that carries a Gemini credential, however it is escaped.
fn is_key(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or(pair);
    percent_decode(name).is_some_and(|name| matches!(name.as_str(), "key" | "access_token"))
}

/// Appends `/models/{model}:{method}`, or `/{model}:{method}` if the id names its own collection.
fn push_model(target: &mut String, model: &str, method: &str) {
    if !model.starts_with("models/") && !model.starts_with("tunedModels/") {
        target.push_str("/models");
    }
    target.push('/');
    // A name may hold slashes, but it must not climb out of the collection.
    let climbs = model.split('/').any(|segment| matches!(segment, "" | "." | ".."));
    for byte in model.bytes() {
        let is_plain = byte.is_ascii_alphanumeric() || b"-._~:@".contains(&byte);
        if is_plain || (byte == b'/' && !climbs) {
            target.push(char::from(byte));
        } else {
            let _ = write!(target, "%{byte:02X}");
        }
    }
    target.push(':');
    target.push_str(method);
}

#[cfg(test)]
mod tests;
