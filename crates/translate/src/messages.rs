//! Anthropic Messages.

pub(crate) mod observe;
pub(crate) mod usage;
