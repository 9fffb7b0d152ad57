//! A shallow look at a request's body: what routing needs, and where it stands.
//!
//! The whole body is checked to be JSON, but no tree is built; the only allocations are the few
//! texts that the head carries. Whatever is changed later is changed by splicing: every byte that
//! is not part of the change stays as the client sent it.

use crate::error::{ApiError, ErrorKind};

mod fields;
mod preset;
mod read;
mod rewrite;

use read::Places;

pub use preset::{Preset, apply_preset};
pub use read::scan;
pub use rewrite::{Rewrite, rewrite, with_model, with_stream_usage};

/// What routing needs to know of a request.
///
/// A byte order mark before the body is refused, as most upstreams would. Where a decision hangs on
/// a field, the field must be there once only: an ambiguity that two parsers resolve differently is
/// how limits are evaded.
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
    /// A field differs from one that decides about routing or cost in upper and lower case only.
    /// Some servers would take it for that one, so it cannot be let through unread.
    #[error("`{field}` is not a field: write `{expected}`")]
    Misspelt {
        /// The field as it stands.
        field: String,
        /// How it is spelled.
        expected: &'static str,
    },
}

impl ScanError {
    /// The error to send to the client.
    pub fn to_api_error(&self) -> ApiError {
        let (code, param) = match self {
            Self::Empty
            | Self::NotUtf8 { .. }
            | Self::NotJson { .. }
            | Self::NotAnObject { .. } => ("invalid_json", None),
            Self::MissingModel { .. } => ("model_required", Some("model".to_owned())),
            Self::WrongType { field, .. } => ("invalid_type", Some(field.clone())),
            Self::Duplicate { field } => ("duplicate_field", Some(field.clone())),
            Self::Misspelt { field, .. } => ("misspelt_field", Some(field.clone())),
        };
        let error = ApiError::new(ErrorKind::InvalidRequest, code, self.to_string());
        match param {
            Some(param) => error.with_param(param),
            None => error,
        }
    }
}

/// A rough guess of how many input tokens a body of this length holds, for context limits: four
/// bytes to a token, JSON included.
pub const fn estimate_input_tokens(body_len: usize) -> u64 {
    body_len as u64 / 4
}

#[cfg(test)]
mod tests;
