//! Answers `POST /v1/resolve`: where a request would go, without sending anything.

use bitrouter_translate::Dialect;
use bytes::Bytes;
use http::request::Parts;
use hyper::body::Incoming;
use serde::Deserialize;

use super::{error::RequestError, hints, read::read};
use crate::{
    admit::{Anonymous, admit},
    exchange::Exchange,
    resolve::{Ask, Explained, Operation, resolve},
};

/// More than any question needs.
const MAX_QUESTION: usize = 64 << 10;

/// What is asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    /// As a request would name it.
    model: String,
    /// What the client would speak.
    #[serde(default = "chat_completions")]
    dialect: Dialect,
    /// An estimate of the input, in tokens.
    #[serde(default)]
    input_tokens: u64,
    /// The longest answer that the request would ask for, in tokens.
    #[serde(default)]
    max_output_tokens: Option<u64>,
}

const fn chat_completions() -> Dialect {
    Dialect::ChatCompletions
}

/// The plan as the caller's credential would get it, in JSON.
pub(crate) async fn explain(
    exchange: &Exchange,
    head: &Parts,
    body: Incoming,
    anonymous: Anonymous,
) -> Result<Bytes, RequestError> {
    let table = exchange.tables.load();
    let clock = &exchange.books.clock;
    let principal = admit(&head.headers, head.uri.query(), &table, anonymous, clock.now())?;
    let grace = exchange.rules.limits.body_grace;
    let body = read(&head.headers, body, MAX_QUESTION, grace).await.map_err(|(error, _)| error)?;
    let bad = |error: serde_json::Error| RequestError::BadQuestion { problem: error.to_string() };
    let question: Question = serde_json::from_slice(&body).map_err(bad)?;
    hints::check_model(&question.model)?;
    let ask = Ask {
        model: &question.model,
        dialect: question.dialect,
        operation: Operation::Generate,
        principal: &principal,
        input_tokens: question.input_tokens,
        max_output_tokens: question.max_output_tokens,
    };
    let (now, seed) = (clock.instant(), exchange.turns.peek(&question.model));
    let planned = resolve(&ask, &table, &exchange.health, now, seed);
    let explained = Explained::new(&ask, table.revision(), &planned, now);
    serde_json::to_vec(&explained).map(Bytes::from).map_err(|_| RequestError::Defect)
}
