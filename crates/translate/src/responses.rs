//! `OpenAI` Responses.

pub(crate) mod observe;
pub(crate) mod usage;
