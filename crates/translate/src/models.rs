//! The shapes in which each dialect lists models.

use bytes::Bytes;

use crate::Dialect;

/// A model as a caller may use it, before a dialect draws it.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ListedModel {
    /// The name to call it by.
    pub id: String,
    /// The name to show.
    pub display_name: Option<String>,
    /// What it is, in a sentence.
    pub description: Option<String>,
    /// Who serves it.
    pub owned_by: String,
    /// When it came to be, in Unix seconds; zero if unknown.
    pub created_s: u64,
    /// The largest input.
    pub max_input_tokens: Option<u64>,
    /// The largest output.
    pub max_output_tokens: Option<u64>,
    /// Whether it makes embeddings rather than text.
    pub is_embedding: bool,
}

/// Which part of a list a caller asked for.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Page {
    /// `limit` or `pageSize`.
    pub limit: Option<usize>,
    /// `after_id` (Anthropic).
    pub after_id: Option<String>,
    /// `before_id` (Anthropic).
    pub before_id: Option<String>,
    /// `pageToken` (Gemini).
    pub token: Option<String>,
}

impl Page {
    /// Reads the parameters of the query; those that are not numbers are ignored.
    pub fn parse(query: Option<&str>) -> Self {
        let _ = query;
        Self::default()
    }
}

/// Draws a list of models.
pub fn list(dialect: Dialect, models: &[ListedModel], page: &Page) -> Bytes {
    let _ = (dialect, models, page);
    Bytes::new()
}

/// Draws one model.
pub fn single(dialect: Dialect, model: &ListedModel) -> Bytes {
    let _ = (dialect, model);
    Bytes::new()
}
