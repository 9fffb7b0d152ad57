//! What Messages answers say.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;

use super::usage::Usage;
use crate::{
    Dialect,
    count::Text,
    error::UpstreamFault,
    observe::{Observed, Progress, Watch, read_json},
    sse::Event,
};

/// A message, or the `message` of `message_start`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Message {
    #[serde(rename = "type")]
    kind: Text,
    id: Text,
    model: Text,
    stop_reason: Text,
    content: Option<IgnoredAny>,
    usage: Option<Usage>,
    error: Option<Value>,
}

/// An event, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct StreamEvent {
    #[serde(rename = "type")]
    kind: Text,
    message: Option<Message>,
    delta: Option<Delta>,
    usage: Option<Usage>,
    error: Option<Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Delta {
    stop_reason: Text,
}

/// Reads a whole body that was sent with a successful status.
pub(crate) fn body(status: u16, body: &[u8]) -> Observed {
    let mut observed = Observed::default();
    let Some(message) = read_json::<Message>(body) else {
        return Observed::malformed(status, "the answer is not JSON of the dialect");
    };
    if let Some(error) = &message.error {
        observed.fault = Some(UpstreamFault::reported(Dialect::Messages, status, error));
        return observed;
    }
    if message.content.is_none() {
        return Observed::unrecognised(Dialect::Messages, status, body, "content");
    }
    if let Some(usage) = &message.usage {
        observed.count(usage.counted());
    }
    observed.response_id = message.id.into_inner();
    observed.model = message.model.into_inner();
    observed.finish = message.stop_reason.into_inner();
    observed
}

/// Reads one event of a stream.
pub(crate) fn event(watch: &mut Watch, block: &[u8]) {
    if block.starts_with(b"event: content_block_") {
        watch.flowing();
        return;
    }
    let Some(event) = Event::parse(block) else { return };
    if matches!(event.name, b"ping" | b"content_block_delta") {
        if event.name != b"ping" {
            watch.flowing();
        }
        return;
    }
    let Some(event) = read_json::<StreamEvent>(&event.data) else {
        watch.observed.anomaly = true;
        return;
    };
    match event.kind.as_str() {
        Some("message_start") => {
            if let Some(message) = event.message {
                start(watch, message);
            }
        }
        Some("message_delta") => {
            watch.flowing();
            if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason.into_inner()) {
                watch.observed.finish = Some(reason);
            }
            if let Some(usage) = event.usage {
                count(watch, usage);
            }
        }
        Some("message_stop") => watch.ended(),
        Some("ping") => {}
        Some("error") => {
            let error = event.error.unwrap_or(Value::Null);
            watch.failed(UpstreamFault::reported(Dialect::Messages, 200, &error));
        }
        // An error that is not dressed as an event of the dialect is an error all the same.
        None if event.error.is_some() => {
            let error = event.error.unwrap_or(Value::Null);
            watch.failed(UpstreamFault::reported(Dialect::Messages, 200, &error));
        }
        _ => watch.flowing(),
    }
}

fn start(watch: &mut Watch, message: Message) {
    if watch.progress == Progress::Waiting || watch.observed.response_id.is_none() {
        watch.observed.response_id = message.id.into_inner();
        watch.observed.model = message.model.into_inner();
    }
    if let Some(usage) = message.usage {
        count(watch, usage);
    }
}

fn count(watch: &mut Watch, usage: Usage) {
    watch.message_usage.update(usage);
    watch.observed.count(watch.message_usage.counted());
}
