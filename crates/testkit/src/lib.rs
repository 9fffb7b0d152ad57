//! What tests need and no library offers: a provider that can be told how to answer.
//!
//! It is written from the dialects' public references and shares no code with the crates it tests.

pub mod postgres;
pub mod provider;

pub use postgres::Postgres;
pub use provider::{Answer, FakeProvider, Gate, Received, Usage};
