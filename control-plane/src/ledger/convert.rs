//! Converts what data planes log to what is stored and shown; the contract's types for usage stop
//! here.

use bitrouter_metering::{Micros, Tokens};
use bitrouter_proto::v1 as wire;
use bitrouter_translate::Dialect;
use prost::Message as _;
use uuid::Uuid;

use crate::{
    api::types::{AttemptView, LeftOutView, Operation, Outcome, RequestDetail, RequestRow, Time},
    store::{Asked, Ended, Marks, Outcome as Ending, Served, StoredUsage, UsageRecord},
};

/// What is stored of a log's entry. `None`: this version does not understand it.
pub(crate) fn record(entry: &wire::Entry) -> Option<UsageRecord> {
    let wire::entry::Payload::Usage(usage) = entry.payload.as_ref()?;
    let last = usage.attempts.last();
    Some(UsageRecord {
        event_id: Uuid::parse_str(&usage.event_id).ok()?,
        start_us: usage.start_us,
        asked: Asked {
            key_id: usage.key_id.clone(),
            user_id: usage.user_id.clone(),
            model: usage.requested_model.clone(),
            route: usage.route_name.clone(),
            dialect: dialect(usage.client_dialect()).map_or("", Dialect::as_str).to_owned(),
            streamed: usage.streamed,
        },
        served: Served {
            provider: last.map(|attempt| attempt.provider_id.clone()).unwrap_or_default(),
            model: last.map(|attempt| attempt.model.clone()).unwrap_or_default(),
            attempts: u32::try_from(usage.attempts.len()).unwrap_or(u32::MAX),
        },
        tokens: tokens(usage.tokens.as_ref()),
        cost: Micros::new(usage.cost_micros)?,
        marks: Marks {
            unpriced: usage.unpriced,
            usage_unknown: usage.usage_unknown,
            anomaly: usage.anomaly,
        },
        ended: Ended {
            outcome: ending(usage.outcome())?,
            status: u16::try_from(usage.status).ok()?,
            error_code: usage.error_code.clone(),
            duration_ms: usage.duration_ms,
            ttft_ms: usage.ttft_ms,
        },
    })
}

/// A stored request, in short.
pub(crate) fn row(record: &UsageRecord) -> RequestRow {
    RequestRow {
        id: record.event_id.to_string(),
        started_at: Time::from_micros(record.start_us),
        key_id: text(&record.asked.key_id),
        user_id: text(&record.asked.user_id),
        requested_model: record.asked.model.clone(),
        route: text(&record.asked.route),
        provider: text(&record.served.provider),
        model: text(&record.served.model),
        dialect: record.asked.dialect.parse().ok(),
        streamed: record.asked.streamed,
        outcome: shown(record.ended.outcome),
        status: Some(record.ended.status).filter(|status| *status != 0),
        error_code: text(&record.ended.error_code),
        tokens: record.tokens,
        cost_micros: record.cost,
        unpriced: record.marks.unpriced,
        usage_unknown: record.marks.usage_unknown,
        ttft_ms: record.ended.ttft_ms,
        duration_ms: record.ended.duration_ms,
        attempt_count: record.served.attempts,
    }
}

/// A stored request with everything that explains it.
pub(crate) fn detail(stored: &StoredUsage) -> Result<RequestDetail, prost::DecodeError> {
    let entry = wire::Entry::decode(stored.entry.as_slice())?;
    let usage = match entry.payload {
        Some(wire::entry::Payload::Usage(usage)) => usage,
        None => wire::Usage::default(),
    };
    Ok(RequestDetail {
        row: row(&stored.record),
        operation: operation(usage.operation()),
        session_id: text(&usage.session_id),
        config_revision: usage.config_revision,
        price_revision: usage.price_revision,
        seed: usage.seed.to_string(),
        anomaly: usage.anomaly,
        request_bytes: usage.request_bytes,
        response_bytes: usage.response_bytes,
        attempts: usage.attempts.iter().map(attempt).collect(),
        left_out: usage.left_out.iter().map(left_out).collect(),
        tags: usage.tags,
        strategy: usage.strategy,
    })
}

fn attempt(attempt: &wire::Attempt) -> AttemptView {
    AttemptView {
        provider: attempt.provider_id.clone(),
        account: text(&attempt.account_label),
        model: attempt.model.clone(),
        dialect: dialect(attempt.dialect()),
        reason: attempt.reason.clone(),
        outcome: ending(attempt.outcome()).map_or(Outcome::Unknown, shown),
        status: u16::try_from(attempt.status).ok().filter(|status| *status != 0),
        error_code: text(&attempt.error_code),
        tokens: tokens(attempt.tokens.as_ref()),
        cost_micros: Micros::new(attempt.cost_micros).unwrap_or(Micros::ZERO),
        usage_unknown: attempt.usage_unknown,
        may_have_been_billed: attempt.may_have_been_billed,
        ttft_ms: attempt.ttft_ms,
        duration_ms: attempt.duration_ms,
    }
}

fn left_out(left_out: &wire::LeftOut) -> LeftOutView {
    LeftOutView {
        provider: left_out.provider_id.clone(),
        account: text(&left_out.account_label),
        model: left_out.model.clone(),
        reason: left_out.reason.clone(),
    }
}

fn tokens(counts: Option<&wire::TokenCounts>) -> Tokens {
    let counts = counts.copied().unwrap_or_default();
    Tokens {
        input_uncached: counts.input_uncached,
        cache_read: counts.cache_read,
        cache_write_5m: counts.cache_write_5m,
        cache_write_1h: counts.cache_write_1h,
        output: counts.output,
        reasoning: counts.reasoning,
        audio_in: counts.audio_in,
        audio_out: counts.audio_out,
        image: counts.image,
    }
}

const fn dialect(dialect: wire::Dialect) -> Option<Dialect> {
    match dialect {
        wire::Dialect::Unspecified => None,
        wire::Dialect::ChatCompletions => Some(Dialect::ChatCompletions),
        wire::Dialect::Responses => Some(Dialect::Responses),
        wire::Dialect::Messages => Some(Dialect::Messages),
        wire::Dialect::GenerateContent => Some(Dialect::GenerateContent),
    }
}

const fn operation(operation: wire::Operation) -> Option<Operation> {
    match operation {
        wire::Operation::Unspecified => None,
        wire::Operation::Generate => Some(Operation::Generate),
        wire::Operation::Embed => Some(Operation::Embed),
        wire::Operation::Complete => Some(Operation::Complete),
    }
}

const fn ending(outcome: wire::Outcome) -> Option<Ending> {
    match outcome {
        wire::Outcome::Unspecified => None,
        wire::Outcome::Completed => Some(Ending::Completed),
        wire::Outcome::Refused => Some(Ending::Refused),
        wire::Outcome::UpstreamError => Some(Ending::UpstreamError),
        wire::Outcome::TransportError => Some(Ending::TransportError),
        wire::Outcome::Timeout => Some(Ending::Timeout),
        wire::Outcome::Interrupted => Some(Ending::Interrupted),
        wire::Outcome::ClientGone => Some(Ending::ClientGone),
        wire::Outcome::NodeCrashed => Some(Ending::NodeCrashed),
    }
}

const fn shown(ending: Ending) -> Outcome {
    match ending {
        Ending::Completed => Outcome::Completed,
        Ending::Refused => Outcome::Refused,
        Ending::UpstreamError => Outcome::UpstreamError,
        Ending::TransportError => Outcome::TransportError,
        Ending::Timeout => Outcome::Timeout,
        Ending::Interrupted => Outcome::Interrupted,
        Ending::ClientGone => Outcome::ClientGone,
        Ending::NodeCrashed => Outcome::NodeCrashed,
    }
}

/// As it is stored. `None`: nothing that is stored is so.
pub(crate) const fn stored(outcome: Outcome) -> Option<Ending> {
    match outcome {
        Outcome::Completed => Some(Ending::Completed),
        Outcome::Refused => Some(Ending::Refused),
        Outcome::UpstreamError => Some(Ending::UpstreamError),
        Outcome::TransportError => Some(Ending::TransportError),
        Outcome::Timeout => Some(Ending::Timeout),
        Outcome::Interrupted => Some(Ending::Interrupted),
        Outcome::ClientGone => Some(Ending::ClientGone),
        Outcome::NodeCrashed => Some(Ending::NodeCrashed),
        Outcome::Unknown => None,
    }
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
