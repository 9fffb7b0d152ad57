//! `OpenAI` Chat Completions, with the older completions and embeddings that share its shapes.

pub(crate) mod observe;
pub(crate) mod usage;
