//! What Responses answers say.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::usage::Usage;
use crate::{
    Dialect,
    count::{Count, Text},
    error::UpstreamFault,
    observe::{Observed, Watch, read_json},
    sse::Event,
};

/// A response, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Response {
    id: Text,
    model: Text,
    status: Text,
    output: Option<IgnoredAny>,
    usage: Option<Usage>,
    error: Option<Value>,
    incomplete_details: Option<Incomplete>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Incomplete {
    reason: Text,
}

/// An event, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamEvent {
    #[serde(rename = "type")]
    kind: Text,
    sequence_number: Count,
    response: Option<Response>,
    error: Option<Value>,
}

impl Response {
    fn note(self, observed: &mut Observed) {
        if let Some(usage) = self.usage {
            observed.count(usage.counted());
        }
        observed.response_id = self.id.into_inner().or_else(|| observed.response_id.take());
        observed.model = self.model.into_inner().or_else(|| observed.model.take());
        let reason = self.incomplete_details.and_then(|details| details.reason.into_inner());
        let finish = reason.or_else(|| self.status.into_inner());
        if finish.as_deref().is_some_and(|finish| finish != "in_progress" && finish != "queued") {
            observed.finish = finish;
        }
    }
}

/// Reads a whole body that was sent with a successful status.
pub(crate) fn body(status: u16, body: &[u8]) -> Observed {
    let mut observed = Observed::default();
    let Some(mut response) = read_json::<Response>(body) else {
        return Observed::malformed(status, "the answer is not JSON of the dialect");
    };
    let error = response.error.take();
    let is_failed = response.status.as_str() == Some("failed");
    if error.is_none() && !is_failed && response.output.is_none() {
        return Observed::unrecognised(Dialect::Responses, status, body, "output");
    }
    response.note(&mut observed);
    if error.is_some() || is_failed {
        let error = error.unwrap_or(Value::Null);
        observed.fault = Some(UpstreamFault::reported(Dialect::Responses, status, &error));
    }
    observed
}

/// Reads one event of a stream.
pub(crate) fn event(watch: &mut Watch, block: &[u8]) {
    let name = block.strip_prefix(b"event: response.").unwrap_or(b"");
    let is_delta = [&b"output_"[..], b"content_part", b"reasoning_", b"function_call_", b"refusal"]
        .into_iter()
        .any(|prefix| name.starts_with(prefix));
    if is_delta {
        watch.flowing();
        let number = sequence_number(block).unwrap_or(watch.next_sequence);
        watch.next_sequence = number.max(watch.next_sequence).saturating_add(1);
        return;
    }
    let Some(event) = Event::parse(block) else { return };
    if event.data.trim_ascii() == b"[DONE]" {
        return;
    }
    let flat = event.data.clone();
    let Some(event) = read_json::<StreamEvent>(&event.data) else {
        watch.observed.anomaly = true;
        return;
    };
    let number = event.sequence_number.get().unwrap_or(watch.next_sequence);
    watch.next_sequence = number.max(watch.next_sequence).saturating_add(1);
    match event.kind.as_str() {
        Some("response.completed" | "response.incomplete") => {
            note(watch, event.response);
            watch.ended();
        }
        Some("response.failed") => {
            let error = event.response.as_ref().and_then(|response| response.error.clone());
            note(watch, event.response);
            let error = error.unwrap_or(Value::Null);
            watch.failed(UpstreamFault::reported(Dialect::Responses, 200, &error));
        }
        Some("error") => {
            let error = event.error.or_else(|| read_json::<Value>(&flat)).unwrap_or(Value::Null);
            watch.failed(UpstreamFault::reported(Dialect::Responses, 200, &error));
        }
        Some("response.created" | "response.in_progress" | "response.queued") => {
            note(watch, event.response);
        }
        Some("keepalive" | "ping") => {}
        None if event.error.is_some() => {
            let error = event.error.unwrap_or(Value::Null);
            watch.failed(UpstreamFault::reported(Dialect::Responses, 200, &error));
        }
        _ => watch.flowing(),
    }
}

fn note(watch: &mut Watch, response: Option<Response>) {
    if let Some(response) = response {
        response.note(&mut watch.observed);
    }
}

static SEQUENCE_NUMBER: LazyLock<Finder<'static>> =
    LazyLock::new(|| Finder::new("\"sequence_number\":"));

/// The event's number, read without parsing the event.
fn sequence_number(block: &[u8]) -> Option<u64> {
    let at = SEQUENCE_NUMBER.find(block)? + SEQUENCE_NUMBER.needle().len();
    let rest = block.get(at..)?.trim_ascii_start();
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    std::str::from_utf8(rest.get(..length)?).ok()?.parse().ok()
}
