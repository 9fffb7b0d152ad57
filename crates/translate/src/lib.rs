//! The wire dialects of model APIs.
//!
//! Everything here is pure: no async, no I/O, no clock. Bytes that pass from one side to the other
//! in the same dialect are only looked at: [`scan`] reads the head of a request, [`observe`] reads
//! what an answer says about itself, and neither builds a tree of what it does not need.

mod chat_completions;
mod count;
mod dialect;
mod generate_content;
mod messages;
mod responses;

pub mod error;
pub mod models;
pub mod observe;
pub mod scan;
pub mod sse;
pub mod surface;

pub use dialect::{Dialect, UnknownDialect};
pub use surface::Surface;
