//! What tests need and no library offers: a provider that can be told how to answer, and both planes
//! in one process over a link that can be broken.
//!
//! The provider is written from the dialects' public references and shares no code with the crates
//! that are tested with it.

#[cfg(feature = "planes")]
pub mod planes;
pub mod postgres;
pub mod provider;

#[cfg(feature = "planes")]
pub use planes::Planes;
pub use postgres::Postgres;
pub use provider::{Answer, Bill, FakeProvider, Gate, Received, Usage};
