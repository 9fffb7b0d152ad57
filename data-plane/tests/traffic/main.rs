//! Requests through a whole data plane to a scriptable provider, over loopback.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "these are tests"
)]

mod captures;
mod connections;
mod dialects;
mod failover;
mod harness;
mod hostile;
mod keys;
mod lifecycle;
mod limits;
mod pages;
#[path = "../../src/fixtures/planes.rs"]
mod planes;
mod records;
mod streams;
