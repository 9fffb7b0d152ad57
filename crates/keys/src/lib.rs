//! Virtual keys: their format, digests and patterns.

mod pattern;
mod secret;

pub use pattern::Pattern;
pub use secret::Secret;
