//! A shallow look at a request's body: what routing needs, and where it stands.
//!
//! The whole body is checked to be JSON, but no tree is built; the only allocations are the few
//! texts that the head carries. Whatever is changed later is changed by splicing: every byte that
//! is not part of the change stays as the client sent it.

use std::ops::Range;

use bytes::Bytes;

use crate::{
    Surface,
    error::{ApiError, ErrorKind},
};

/// What routing needs to know of a request.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct RequestHead {
    /// The model that was asked for.
    pub model: String,
    /// Whether the answer shall stream.
    pub stream: bool,
    /// The ceiling of the output, in whichever spelling; the largest where several are given.
    pub max_output_tokens: Option<u64>,
    /// How many answers are asked for.
    pub choices: u64,
    /// Whether the client asked for usage in its Chat stream.
    pub wants_stream_usage: bool,
    /// Whether tools are offered to the model.
    pub has_tools: bool,
    /// What may tell which session the request belongs to.
    pub session: SessionHints,
    /// The body's length in bytes.
    pub body_len: usize,
    places: Places,
}

/// What a request says about the session or person behind it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct SessionHints {
    /// `user` (`OpenAI`), also `safety_identifier`.
    pub user: Option<String>,
    /// `metadata.user_id` (Anthropic).
    pub metadata_user_id: Option<String>,
    /// `prompt_cache_key` (`OpenAI`).
    pub prompt_cache_key: Option<String>,
    /// The other texts in `metadata`, in order (`OpenAI`): tags to group usage by.
    pub metadata: Vec<(String, String)>,
}

/// Where in the body stands what may be replaced.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Places {
    model: Vec<Range<usize>>,
    end: usize,
}

/// Why a body cannot be routed. Each message says what to do.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ScanError {
    /// The body is empty.
    #[error("the body is empty: send a JSON object")]
    Empty,
    /// The body is not UTF-8.
    #[error("the body is not valid UTF-8 at byte {at}: send JSON in UTF-8")]
    NotUtf8 {
        /// The first bad byte.
        at: usize,
    },
    /// The body is not JSON.
    #[error("the body is not valid JSON: {problem} at line {line}, column {column}")]
    NotJson {
        /// What the parser stumbled over.
        problem: String,
        /// The line, from one.
        line: usize,
        /// The column, from one.
        column: usize,
    },
    /// The body is JSON, but not an object.
    #[error("the body is {found}: send a JSON object")]
    NotAnObject {
        /// What it is.
        found: &'static str,
    },
    /// No model is named.
    #[error("the request names no model: set `{field}`")]
    MissingModel {
        /// Where to name it.
        field: &'static str,
    },
    /// A field has the wrong type.
    #[error("`{field}` must be {expected}")]
    WrongType {
        /// The field.
        field: String,
        /// What it must be.
        expected: &'static str,
    },
    /// A field that decides about routing or cost appears twice, or in two spellings.
    #[error("`{field}` is given more than once: remove all but one")]
    Duplicate {
        /// The field.
        field: String,
    },
}

impl ScanError {
    /// The error to send to the client.
    pub fn to_api_error(&self) -> ApiError {
        let (code, param) = match self {
            Self::Empty | Self::NotUtf8 { .. } | Self::NotJson { .. } => ("invalid_json", None),
            Self::NotAnObject { .. } => ("invalid_json", None),
            Self::MissingModel { .. } => ("model_required", Some("model".to_owned())),
            Self::WrongType { field, .. } => ("invalid_type", Some(field.clone())),
            Self::Duplicate { field } => ("duplicate_field", Some(field.clone())),
        };
        let error = ApiError::new(ErrorKind::InvalidRequest, code, self.to_string());
        match param {
            Some(param) => error.with_param(param),
            None => error,
        }
    }
}

/// Reads the head of a request. `path_model` is the model that the path names (Gemini).
pub fn scan(
    surface: Surface,
    path_model: Option<&str>,
    body: &[u8],
) -> Result<RequestHead, ScanError> {
    let _ = (surface, path_model, body);
    Err(ScanError::Empty)
}

/// What to change in a body.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rewrite<'a> {
    /// The model's name upstream.
    pub model: Option<&'a str>,
    /// Ask for usage in a Chat stream where the client did not.
    pub stream_usage: bool,
}

/// Applies a rewrite: every byte outside the change stays. Nothing is copied if nothing changes.
pub fn rewrite(body: &Bytes, head: &RequestHead, rewrite: Rewrite<'_>) -> Bytes {
    let _ = (head, rewrite);
    body.clone()
}

/// Replaces the model's name.
pub fn with_model(body: &Bytes, head: &RequestHead, model: &str) -> Bytes {
    rewrite(body, head, Rewrite { model: Some(model), stream_usage: false })
}

/// Asks for usage in a Chat stream.
pub fn with_stream_usage(body: &Bytes, head: &RequestHead) -> Bytes {
    rewrite(body, head, Rewrite { model: None, stream_usage: true })
}

/// What a preset adds to a request that does not say otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Preset<'a> {
    /// Parameters by name; those that the request sets itself are left alone.
    pub parameters: &'a serde_json::Map<String, serde_json::Value>,
    /// A system prompt to put before the request's own.
    pub system_prompt: Option<&'a str>,
}

/// Applies a preset. The result must be scanned again before it is rewritten.
pub fn apply_preset(
    surface: Surface,
    body: &Bytes,
    preset: Preset<'_>,
) -> Result<Bytes, ScanError> {
    let _ = (surface, preset);
    Ok(body.clone())
}

/// A rough guess of how many input tokens a body of this length holds, for context limits.
pub const fn estimate_input_tokens(body_len: usize) -> u64 {
    body_len as u64 / 4
}
