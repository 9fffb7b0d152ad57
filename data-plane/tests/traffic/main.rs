//! Requests through a whole data plane to a scriptable provider, over loopback.

#![expect(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod dialects;
mod failover;
mod harness;
mod limits;
mod pages;
mod streams;
