//! Single requests: what each one was, did and cost.

use bitrouter_metering::{Micros, Tokens};
use bitrouter_translate::Dialect;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// `GET /v1/requests`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct RequestQuery {
    /// How many at most. Absent: 50.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Continues a list: the `next` of the page before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// Only this key's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Only those that asked for this model, or were served by this route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Only those that this provider served.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Only those that ended so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Only those that started at this time or later.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// A request, in short.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RequestRow {
    /// `UUIDv7`.
    pub id: String,
    /// When it came.
    pub started_at: Time,
    /// The virtual key. Absent: it came without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// As the client wrote it.
    pub requested_model: String,
    /// The route that it resolved to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<String>,
    /// The provider of the last attempt. Absent: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// The provider's own model id in the last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// What the client spoke. Absent: it was refused before that was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// True if a stream was asked for.
    pub streamed: bool,
    /// How it ended.
    pub outcome: Outcome,
    /// HTTP status that the client saw. Absent: it left before one was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The code of the error that the client saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// Over all attempts.
    pub tokens: Tokens,
    /// Over all attempts.
    pub cost_micros: Micros,
    /// True if part of the usage had no price: the cost is then a lower bound.
    pub unpriced: bool,
    /// True if the provider did not report usage, or the request was cut off before it could.
    pub usage_unknown: bool,
    /// To the first byte of the answer's body. Absent: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<u32>,
    /// From accepting it to its end.
    pub duration_ms: u32,
    /// How many upstream calls it took.
    pub attempt_count: u32,
}

/// A request with everything that explains it: `GET /v1/requests/{id}`.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct RequestDetail {
    /// The request, in short.
    #[serde(flatten)]
    pub row: RequestRow,
    /// What was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The client's session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_id: Option<String>,
    /// As the client gave them.
    pub tags: Vec<String>,
    /// The configuration in force when it was resolved.
    pub config_revision: u64,
    /// The revision at which the serving provider's prices last changed.
    pub price_revision: u64,
    /// The strategy that ordered the candidates.
    pub strategy: String,
    /// The seed of the choice, as text since it has 64 bits.
    pub seed: String,
    /// True if the provider reported numbers that contradict each other.
    pub anomaly: bool,
    /// What the client sent, in bytes of body.
    pub request_bytes: u64,
    /// What the client received, in bytes of body.
    pub response_bytes: u64,
    /// In the order in which they were made.
    pub attempts: Vec<AttemptView>,
    /// Endpoints that were not tried, and why.
    pub left_out: Vec<LeftOutView>,
}

/// One upstream call.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct AttemptView {
    /// The provider's id.
    pub provider: String,
    /// The account that was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The provider's own model id.
    pub model: String,
    /// What the provider was spoken to in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Why this endpoint came at this place.
    pub reason: String,
    /// How it ended.
    pub outcome: Outcome,
    /// HTTP status of the provider. Absent: none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The provider's own code or type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<String>,
    /// What it used.
    pub tokens: Tokens,
    /// What it cost.
    pub cost_micros: Micros,
    /// True if the provider did not report usage.
    pub usage_unknown: bool,
    /// True if it reached the provider and may have been billed although it failed.
    pub may_have_been_billed: bool,
    /// To the first byte of the answer's body. Absent: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttft_ms: Option<u32>,
    /// From dialling to its end.
    pub duration_ms: u32,
}

/// An endpoint that was not tried.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
pub struct LeftOutView {
    /// The provider's id.
    pub provider: String,
    /// The account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The provider's own model id.
    pub model: String,
    /// Why not.
    pub reason: String,
}

/// What a request asked for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// An answer to a conversation.
    Generate,
    /// Embeddings.
    Embed,
    /// The legacy text completion.
    Complete,
}

/// How a request or an attempt ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// A whole answer.
    Completed,
    /// Refused by bitrouter before anything was sent.
    Refused,
    /// The provider answered with an error.
    UpstreamError,
    /// The provider could not be reached, or broke off before the answer began.
    TransportError,
    /// It took too long.
    Timeout,
    /// The answer broke off after it began.
    Interrupted,
    /// The client left.
    ClientGone,
    /// The data plane's process ended while the request was running.
    NodeCrashed,
    /// A data plane newer than this control plane said something that it does not know.
    Unknown,
}
