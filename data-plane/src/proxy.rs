//! The steps of a request's life, one file each; `exchange` calls them in order.

pub(crate) mod answer;
pub(crate) mod attempt;
pub(crate) mod detach;
pub(crate) mod error;
pub(crate) mod explain;
pub(crate) mod headers;
pub(crate) mod hints;
pub(crate) mod models;
pub(crate) mod read;
pub(crate) mod redact;
pub(crate) mod relay;
pub(crate) mod settle;
