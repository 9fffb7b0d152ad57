//! Why a request may go nowhere.

use std::{sync::Arc, time::Duration};

use bitrouter_translate::Dialect;

use super::LeftOut;

/// A request that may go nowhere.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub struct Unresolved {
    /// Why.
    pub error: ResolveError,
    /// What was considered.
    pub left_out: Vec<LeftOut>,
    /// The route that the name stands for.
    pub route_name: Option<Arc<str>>,
}

/// Why a request may go nowhere. Nothing in it names what the key may not know.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ResolveError {
    /// Nothing has that name, or the key may not know it: 404.
    #[error("no model is called `{model}`{}", did_you_mean(nearest))]
    NotFound {
        /// As the client wrote it.
        model: String,
        /// The nearest names that the key may know; at most three.
        nearest: Vec<String>,
    },
    /// Its provider is known, but something is missing: 404.
    #[error("`{model}` belongs to the provider `{provider}`, which is inactive: {reason}")]
    Inactive {
        /// As the client wrote it.
        model: String,
        /// The provider.
        provider: Arc<str>,
        /// What to do.
        reason: Box<str>,
    },
    /// No preset has that name: 404.
    #[error("no preset is called `@{name}`{}", did_you_mean(nearest))]
    NoPreset {
        /// Without the `@`.
        name: String,
        /// The nearest names; at most three.
        nearest: Vec<String>,
    },
    /// The preset stands for no model: 400.
    #[error("the preset `@{name}` names no model; write it as `@{name}/MODEL`")]
    PresetWithoutModel {
        /// Without the `@`.
        name: String,
    },
    /// The key may not use any endpoint of it: 403.
    #[error("the key may not use `{model}`")]
    Forbidden {
        /// As the client wrote it.
        model: String,
    },
    /// No endpoint speaks the client's dialect: 400.
    #[error(
        "`{model}` is served in {speaks} only; requests in {asked} cannot be translated yet, \
         use the path of {speaks}"
    )]
    NeedsTranslation {
        /// As the client wrote it.
        model: String,
        /// The client's.
        asked: Dialect,
        /// What the first endpoint speaks.
        speaks: Dialect,
    },
    /// More input than the route or any endpoint takes: 400.
    #[error("about {tokens} tokens of input are more than the {limit} that `{model}` takes")]
    InputTooLong {
        /// As the client wrote it.
        model: String,
        /// Of the request.
        tokens: u64,
        /// Of the route.
        limit: u64,
    },
    /// A longer answer than the route gives: 400.
    #[error("an answer of {tokens} tokens is more than the {limit} that `{model}` gives")]
    OutputTooLong {
        /// As the client wrote it.
        model: String,
        /// That the request asks for.
        tokens: u64,
        /// Of the route.
        limit: u64,
    },
    /// Every endpoint is paused at its provider's wish: 429.
    #[error("every endpoint of `{model}` is rate limited by its provider")]
    Paused {
        /// As the client wrote it.
        model: String,
        /// Until the first of them may be tried again.
        retry_after: Duration,
    },
    /// Endpoints exist, none can be used: 503.
    #[error("no endpoint of `{model}` can be used: {reason}")]
    NothingLeft {
        /// As the client wrote it.
        model: String,
        /// Why the first one cannot.
        reason: String,
    },
}

fn did_you_mean(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    let names: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
    format!("; the nearest names are {}", names.join(", "))
}
