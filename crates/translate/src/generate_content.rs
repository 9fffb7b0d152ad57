//! Gemini `generateContent`, and the embeddings that share its shapes.

pub(crate) mod json_array;
pub(crate) mod observe;
pub(crate) mod usage;
