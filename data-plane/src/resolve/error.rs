//! Why a request may go nowhere.

use std::{sync::Arc, time::Duration};

use bitrouter_translate::Dialect;

use super::{LeftOut, Reason};

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

impl Unresolved {
    /// Before anything was considered.
    pub(super) const fn because(error: ResolveError) -> Self {
        Self { error, left_out: Vec::new(), route_name: None }
    }
}

impl ResolveError {
    /// What to say when everything was left out: that of the reasons which helps most.
    pub(super) fn nothing_left(model: String, left_out: &[LeftOut]) -> Self {
        let reasons = || left_out.iter().map(|it| &it.reason);
        let pauses = reasons().filter_map(|reason| match reason {
            Reason::Paused(remaining) => Some(*remaining),
            _ => None,
        });
        if let Some(retry_after) = pauses.min() {
            return Self::Paused { model, retry_after };
        }
        for left_out in left_out {
            if let Reason::NeedsTranslation { from, to } = left_out.reason {
                return Self::NeedsTranslation { model, asked: from, speaks: to };
            }
        }
        if reasons().any(|reason| *reason == Reason::NotAllowed) {
            return Self::Forbidden { model };
        }
        for left_out in left_out {
            if let Reason::Inactive(reason) = &left_out.reason {
                let (provider, reason) = (Arc::clone(&left_out.endpoint.provider), reason.clone());
                return Self::Inactive { model, provider, reason };
            }
        }
        let first = left_out.first();
        let reason = first.map(|it| format!("{}: {}", it.endpoint, it.reason)).unwrap_or_default();
        Self::NothingLeft { model, reason }
    }

    /// The stable code that clients see.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } | Self::Inactive { .. } | Self::NoPreset { .. } => {
                "model_not_found"
            }
            Self::PresetWithoutModel { .. } => "preset_without_model",
            Self::Forbidden { .. } => "model_not_allowed",
            Self::NeedsTranslation { .. } => "translation_needed",
            Self::InputTooLong { .. } => "context_length_exceeded",
            Self::OutputTooLong { .. } => "max_tokens_exceeded",
            Self::Paused { .. } => "rate_limited_upstream",
            Self::NothingLeft { .. } => "no_endpoint_left",
        }
    }
}

fn did_you_mean(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return String::new();
    }
    let names: Vec<_> = nearest.iter().map(|name| format!("`{name}`")).collect();
    format!("; the nearest names are {}", names.join(", "))
}
