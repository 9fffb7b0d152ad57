//! The wire dialects of model APIs.
//!
//! Everything here is pure: no async, no I/O, no clock.

mod dialect;

pub use dialect::{Dialect, UnknownDialect};
