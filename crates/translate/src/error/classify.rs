//! What an upstream's failure means, and whether to go on to the next endpoint.

use std::time::Duration;

use serde_json::Value;

use crate::Dialect;

/// What may be tried after a fault.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Retry {
    /// The answer is the client's to see.
    Never,
    /// Another endpoint may do better.
    NextEndpoint,
    /// Only an endpoint with a larger context window may do better.
    LargerContext,
}

/// What kind of fault an upstream reported.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum FaultKind {
    /// Too many requests or tokens per time.
    RateLimited,
    /// The account's credit or quota is used up.
    Credit,
    /// The prompt does not fit into the model's context window.
    ContextWindow,
    /// The upstream is busy.
    Overloaded,
    /// The upstream itself gave up waiting.
    Timeout,
    /// The account's credential was refused.
    Auth,
    /// The model does not exist there.
    NotFound,
    /// The upstream refuses the request as such.
    Invalid,
    /// The upstream broke.
    Server,
    /// The answer is not what the dialect allows.
    Malformed,
}

impl FaultKind {
    /// What may be tried after such a fault.
    pub const fn retry(self) -> Retry {
        match self {
            Self::RateLimited
            | Self::Credit
            | Self::Overloaded
            | Self::Timeout
            | Self::Server
            | Self::Malformed => Retry::NextEndpoint,
            Self::ContextWindow => Retry::LargerContext,
            Self::Auth | Self::NotFound | Self::Invalid => Retry::Never,
        }
    }

    /// The kind's name in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::Credit => "credit",
            Self::ContextWindow => "context_window",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
            Self::Auth => "auth",
            Self::NotFound => "not_found",
            Self::Invalid => "invalid",
            Self::Server => "server",
            Self::Malformed => "malformed",
        }
    }
}

/// A failure that an upstream reported, by status, in a body or in a stream.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct UpstreamFault {
    /// What kind of fault it is.
    pub kind: FaultKind,
    /// The status of the answer (200 for errors inside a stream or a successful body).
    pub status: u16,
    /// The upstream's own word for it, if it has one.
    pub code: Option<String>,
    /// The upstream's own message, shortened.
    pub message: String,
    /// How long the upstream asks to wait.
    pub retry_after: Option<Duration>,
}

impl UpstreamFault {
    /// What may be tried next.
    pub const fn retry(&self) -> Retry {
        self.kind.retry()
    }
}

/// An error as an upstream's JSON has it, whichever of the usual forms it takes.
#[derive(Debug, Default)]
struct Report {
    codes: Vec<String>,
    message: String,
    status: Option<u16>,
    retry_after: Option<Duration>,
}

impl Report {
    /// Reads `{"error": …}`, `[{"error": …}]`, the inner object alone, or a bare text.
    fn read(value: &Value) -> Self {
        let value = value.as_array().and_then(|list| list.first()).unwrap_or(value);
        let inner = value.get("error").filter(|error| !error.is_null()).unwrap_or(value);
        if let Some(text) = inner.as_str() {
            let outer = value.get("code").and_then(Value::as_str).map(str::to_owned);
            let codes = outer.into_iter().collect();
            return Self { codes, message: text.to_owned(), ..Self::default() };
        }
        let mut report = Self::default();
        for name in ["code", "type", "status"] {
            match inner.get(name) {
                Some(Value::String(text)) if text != "error" => report.codes.push(text.clone()),
                Some(Value::Number(number)) => {
                    let status = number.as_u64().and_then(|number| u16::try_from(number).ok());
                    let status = status.filter(|status| (400..600).contains(status));
                    report.status = report.status.or(status);
                }
                _ => {}
            }
        }
        let texts = ["message", "detail", "msg"].into_iter().filter_map(|name| inner.get(name));
        report.message = texts.map(text_of).find(|text| !text.is_empty()).unwrap_or_default();
        for detail in inner.get("details").and_then(Value::as_array).into_iter().flatten() {
            if let Some(reason) = detail.get("reason").and_then(Value::as_str) {
                report.codes.push(reason.to_owned());
            }
            let delay = detail.get("retryDelay").and_then(Value::as_str);
            report.retry_after = report.retry_after.or_else(|| delay.and_then(parse_delay));
        }
        if let Some(raw) = inner.pointer("/metadata/raw").and_then(Value::as_str) {
            report.message = format!("{}: {raw}", report.message);
        }
        report
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

impl UpstreamFault {
    /// An error that was found inside an answer with a successful status.
    pub(crate) fn reported(dialect: Dialect, status: u16, error: &Value) -> Self {
        Self::from_report(dialect, status, None, &Report::read(error))
    }

    fn from_report(
        dialect: Dialect,
        status: u16,
        retry_after: Option<Duration>,
        report: &Report,
    ) -> Self {
        let effective = report.status.filter(|_| status < 400).unwrap_or(status);
        let kind = kind_of(dialect, effective, report);
        Self {
            kind,
            status,
            code: report.codes.first().map(|code| presentable(code, MAX_CODE)),
            message: presentable(&report.message, MAX_MESSAGE),
            retry_after: retry_after.or(report.retry_after),
        }
    }
}

/// Classifies an answer whose status is not a success.
///
/// `retry_after` is the header's value, already read by [`parse_retry_after`]; where it is absent,
/// Gemini's `RetryInfo` in the body counts.
pub fn classify(
    dialect: Dialect,
    status: u16,
    retry_after: Option<Duration>,
    body: &[u8],
) -> UpstreamFault {
    let report = if let Ok(value) = serde_json::from_slice::<Value>(body) {
        Report::read(&value)
    } else {
        let head = body.get(..MAX_MESSAGE).unwrap_or(body);
        Report { message: String::from_utf8_lossy(head).into_owned(), ..Report::default() }
    };
    UpstreamFault::from_report(dialect, status, retry_after, &report)
}

/// What the status, the code and the words together mean. Words are only asked where statuses are
/// known to be used for several things.
fn kind_of(dialect: Dialect, status: u16, report: &Report) -> FaultKind {
    let has_code = |names: &[&str]| {
        report.codes.iter().any(|code| names.iter().any(|name| code.eq_ignore_ascii_case(name)))
    };
    let message = report.message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| message.contains(phrase));
    let may_be_either = matches!(status, 200..=299 | 400..=403 | 413 | 422 | 429 | 500);

    if status == 402 || has_code(CREDIT_CODES) || (may_be_either && says(CREDIT_PHRASES)) {
        return FaultKind::Credit;
    }
    // Gemini uses these words for plain rate limits too.
    if dialect != Dialect::GenerateContent && status == 429 && says(QUOTA_PHRASES) {
        return FaultKind::Credit;
    }
    if has_code(CONTEXT_CODES) || (may_be_either && status != 429 && says(CONTEXT_PHRASES)) {
        return FaultKind::ContextWindow;
    }
    if has_code(KEY_CODES) {
        return FaultKind::Auth;
    }
    match status {
        200..=299 => kind_of_code(&has_code),
        401 | 403 => FaultKind::Auth,
        404 => FaultKind::NotFound,
        408 | 504 | 524 => FaultKind::Timeout,
        429 => FaultKind::RateLimited,
        503 | 529 => FaultKind::Overloaded,
        400..=499 => FaultKind::Invalid,
        500..=599 if has_code(OVERLOAD_CODES) => FaultKind::Overloaded,
        500..=599 => FaultKind::Server,
        _ => FaultKind::Malformed,
    }
}

/// What an error without a status of its own means.
fn kind_of_code(has_code: &impl Fn(&[&str]) -> bool) -> FaultKind {
    if has_code(&["rate_limit_error", "rate_limit_exceeded", "RESOURCE_EXHAUSTED"]) {
        FaultKind::RateLimited
    } else if has_code(OVERLOAD_CODES) {
        FaultKind::Overloaded
    } else if has_code(&["timeout_error", "DEADLINE_EXCEEDED"]) {
        FaultKind::Timeout
    } else if has_code(&["authentication_error", "permission_error", "UNAUTHENTICATED"]) {
        FaultKind::Auth
    } else if has_code(&["not_found_error", "model_not_found", "NOT_FOUND"]) {
        FaultKind::NotFound
    } else if has_code(&["invalid_request_error", "INVALID_ARGUMENT", "invalid_prompt"]) {
        FaultKind::Invalid
    } else {
        FaultKind::Server
    }
}

const CREDIT_CODES: &[&str] = &[
    "insufficient_quota",
    "insufficient_balance",
    "insufficient_credits",
    "billing_error",
    "billing_not_active",
    "billing_hard_limit_reached",
    "payment_required",
    "credits_exhausted",
];
const CREDIT_PHRASES: &[&str] = &[
    "credit balance",
    "insufficient balance",
    "insufficient credit",
    "insufficient funds",
    "out of credit",
    "no credits",
    "more credits",
    "used all available credits",
    "spending limit",
    "payment required",
];
const QUOTA_PHRASES: &[&str] = &["exceeded your current quota", "check your plan and billing"];
const CONTEXT_CODES: &[&str] =
    &["context_length_exceeded", "exceed_context_size_error", "model_context_window_exceeded"];
const CONTEXT_PHRASES: &[&str] = &[
    "prompt is too long",
    "input is too long",
    "maximum context length",
    "context window",
    "context length",
    "context size",
    "exceeds the maximum number of tokens",
    "exceed context limit",
];
const KEY_CODES: &[&str] = &["invalid_api_key", "API_KEY_INVALID", "API_KEY_EXPIRED"];
const OVERLOAD_CODES: &[&str] =
    &["overloaded_error", "overloaded", "UNAVAILABLE", "engine_overloaded", "server_overloaded"];

/// What is kept of an upstream's message.
const MAX_MESSAGE: usize = 600;
/// What is kept of its code.
const MAX_CODE: usize = 100;

/// Shortens a text and blots out what looks like a credential in it.
fn presentable(message: &str, limit: usize) -> String {
    let mut shown = String::with_capacity(message.len().min(limit));
    for word in message.split_inclusive(|c: char| c.is_whitespace() || "\"'`,;()".contains(c)) {
        if shown.len() + word.len() > limit {
            shown.push('…');
            break;
        }
        let is_secret = word.len() >= 16 && SECRET_PREFIXES.iter().any(|p| word.contains(p));
        shown.push_str(if is_secret { "[redacted] " } else { word });
    }
    shown.trim_end().to_owned()
}

const SECRET_PREFIXES: &[&str] =
    &["sk-", "sk_", "AIza", "gsk_", "xai-", "brvk_", "bradm_", "hf_", "csk-", "AQ."];

/// Reads a `Retry-After` header: seconds (whole or not), or a date counted from `now_s` (Unix
/// seconds). Waits beyond a day are cut to one.
pub fn parse_retry_after(value: &str, now_s: u64) -> Option<Duration> {
    let value = value.trim();
    if let Some(wait) = parse_seconds(value) {
        return Some(wait);
    }
    let at_s = parse_http_date(value)?;
    Some(Duration::from_secs(at_s.saturating_sub(now_s)).min(LONGEST_WAIT))
}

const LONGEST_WAIT: Duration = Duration::from_hours(24);

/// Reads a protobuf duration, as `RetryInfo` has it: `34.07s`.
fn parse_delay(text: &str) -> Option<Duration> {
    parse_seconds(text.strip_suffix('s')?)
}

fn parse_seconds(text: &str) -> Option<Duration> {
    if !text.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let seconds: f64 = text.parse().ok()?;
    Some(Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT))
}

/// Reads `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that HTTP still allows to send.
fn parse_http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.split(' ');
    let day: u64 = parts.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = parts.next()?;
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let year: u64 = parts.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hours, minutes, seconds) = (clock.next()??, clock.next()??, clock.next()??);
    // Days since 1970, counting years from March so that leap days come last.
    let (shifted_year, shifted_month) =
        if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = shifted_year / 4 - shifted_year / 100 + shifted_year / 400;
    let days = shifted_year * 365 + leap_days + (shifted_month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(days * 86_400 + hours.min(23) * 3_600 + minutes.min(59) * 60 + seconds.min(60))
}

#[cfg(test)]
mod tests;
