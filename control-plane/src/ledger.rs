//! The usage stream: takes in what data planes logged, and gives it back to people.

pub(crate) mod convert;
pub(crate) mod ingest;
pub(crate) mod service;
