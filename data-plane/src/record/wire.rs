//! The record as it travels: the one place that turns it into the schema's message.

use std::time::Duration;

use bitrouter_metering::{Micros, Tokens};
use bitrouter_proto::v1;
use bitrouter_translate::Dialect;

use super::{Attempt, Outcome, Record};
use crate::resolve::{Endpoint, Operation};

/// The record as far as it is known: of a request under way, without an outcome.
pub(super) fn usage(record: &Record) -> v1::Usage {
    let ending = record.ending.as_ref();
    let attempts = &record.attempts;
    v1::Usage {
        event_id: record.event_id.to_string(),
        key_id: record.key_id.to_string(),
        user_id: record.user_id.to_string(),
        session_id: record.asked.session_id.clone(),
        tags: record.asked.tags.clone(),
        requested_model: record.asked.model.clone(),
        route_name: record.resolved.route_name.as_deref().unwrap_or_default().to_owned(),
        client_dialect: dialect(record.asked.dialect).into(),
        operation: operation(record.asked.operation).into(),
        streamed: record.asked.is_streamed,
        config_revision: record.resolved.revision.0,
        price_revision: attempts.last().map_or(0, |attempt| attempt.price_revision.0),
        tokens: Some(tokens(&record.tokens())),
        cost_micros: attempts.iter().map(cost).sum::<Micros>().get(),
        unpriced: attempts.iter().any(is_unpriced),
        anomaly: attempts.iter().any(|attempt| attempt.is_anomalous),
        usage_unknown: attempts.iter().any(Attempt::is_usage_unknown),
        attempts: attempts.iter().map(attempt).collect(),
        left_out: record.resolved.left_out.iter().map(left_out).collect(),
        outcome: ending.map_or(v1::Outcome::Unspecified, |it| outcome(it.outcome)).into(),
        status: ending.and_then(|it| it.status).map_or(0, u32::from),
        error_code: ending.map(|it| it.error_code.to_string()).unwrap_or_default(),
        start_us: record.start.as_micros(),
        duration_ms: ending.map_or(0, |it| millis(it.duration)),
        ttft_ms: ending.and_then(|it| it.first_byte).map(millis),
        request_bytes: record.asked.request_bytes,
        response_bytes: ending.map_or(0, |it| it.response_bytes),
        strategy: record.resolved.strategy.to_owned(),
        seed: record.resolved.seed,
    }
}

fn attempt(it: &Attempt) -> v1::Attempt {
    v1::Attempt {
        provider_id: it.endpoint.provider.to_string(),
        account_label: it.endpoint.account.to_string(),
        model: it.endpoint.model.to_string(),
        dialect: dialect(it.dialect).into(),
        reason: it.reason.clone(),
        outcome: it.outcome.map_or(v1::Outcome::Unspecified, outcome).into(),
        status: it.status.map_or(0, u32::from),
        error_code: it.error_code.clone(),
        tokens: it.usage.as_ref().map(tokens),
        cost_micros: cost(it).get(),
        usage_unknown: it.is_usage_unknown(),
        may_have_been_billed: it.may_have_been_billed,
        ttft_ms: it.first_byte.map(millis),
        duration_ms: millis(it.duration),
    }
}

fn left_out((endpoint, reason): &(Endpoint, String)) -> v1::LeftOut {
    v1::LeftOut {
        provider_id: endpoint.provider.to_string(),
        account_label: endpoint.account.to_string(),
        model: endpoint.model.to_string(),
        reason: reason.clone(),
    }
}

fn cost(it: &Attempt) -> Micros {
    it.cost.map_or(Micros::ZERO, bitrouter_metering::Cost::known)
}

/// Tokens without a price: their cost is not zero, it is not known.
fn is_unpriced(it: &Attempt) -> bool {
    it.cost.is_some_and(bitrouter_metering::Cost::is_unpriced)
        || (it.cost.is_none() && it.usage.is_some_and(|usage| !usage.is_empty()))
}

const fn tokens(it: &Tokens) -> v1::TokenCounts {
    v1::TokenCounts {
        input_uncached: it.input_uncached,
        cache_read: it.cache_read,
        cache_write_5m: it.cache_write_5m,
        cache_write_1h: it.cache_write_1h,
        output: it.output,
        reasoning: it.reasoning,
        audio_in: it.audio_in,
        audio_out: it.audio_out,
        image: it.image,
    }
}

const fn dialect(it: Dialect) -> v1::Dialect {
    match it {
        Dialect::ChatCompletions => v1::Dialect::ChatCompletions,
        Dialect::Responses => v1::Dialect::Responses,
        Dialect::Messages => v1::Dialect::Messages,
        Dialect::GenerateContent => v1::Dialect::GenerateContent,
    }
}

const fn operation(it: Operation) -> v1::Operation {
    match it {
        Operation::Generate => v1::Operation::Generate,
        Operation::Embed => v1::Operation::Embed,
        Operation::Complete => v1::Operation::Complete,
    }
}

const fn outcome(it: Outcome) -> v1::Outcome {
    match it {
        Outcome::Completed => v1::Outcome::Completed,
        Outcome::Refused => v1::Outcome::Refused,
        Outcome::UpstreamError => v1::Outcome::UpstreamError,
        Outcome::TransportError => v1::Outcome::TransportError,
        Outcome::Timeout => v1::Outcome::Timeout,
        Outcome::Interrupted => v1::Outcome::Interrupted,
        Outcome::ClientGone => v1::Outcome::ClientGone,
        Outcome::NodeCrashed => v1::Outcome::NodeCrashed,
    }
}

fn millis(duration: Duration) -> u32 {
    u32::try_from(duration.as_millis()).unwrap_or(u32::MAX)
}
