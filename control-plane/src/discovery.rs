//! The configuration stream: one session for each data plane.

pub(crate) mod nodes;
pub(crate) mod service;
pub(crate) mod session;
#[cfg(test)]
mod stream_tests;
