//! What Chat Completions answers say: bodies, chunks, and the older completions and embeddings.

use std::sync::LazyLock;

use memchr::memmem::Finder;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Map, Value};

use super::usage::Usage;
use crate::{
    Dialect,
    count::Text,
    error::UpstreamFault,
    observe::{Observed, Progress, Verdict, Watch, read_json},
    sse::Event,
};

/// A body or a chunk, as far as it matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    id: Text,
    model: Text,
    choices: Option<Vec<Choice>>,
    data: Option<IgnoredAny>,
    usage: Option<Usage>,
    error: Option<Value>,
    x_groq: Option<Groq>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Choice {
    finish_reason: Text,
    delta: Option<Map<String, Value>>,
    text: Text,
    error: Option<Value>,
}

/// Where Groq puts the usage of a stream that did not ask for it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Groq {
    usage: Option<Usage>,
}

impl Answer {
    /// Notes everything but the progress.
    fn note(&mut self, observed: &mut Observed) {
        let fill = |place: &mut Option<String>, text: &mut Text| {
            if place.is_none() {
                *place = std::mem::take(text).into_inner();
            }
        };
        fill(&mut observed.response_id, &mut self.id);
        fill(&mut observed.model, &mut self.model);
        for choice in self.choices.iter_mut().flatten() {
            if let Some(reason) = std::mem::take(&mut choice.finish_reason).into_inner() {
                observed.finish = Some(reason);
            }
        }
        let of_groq = || self.x_groq.as_ref().and_then(|groq| groq.usage);
        if let Some(usage) = self.usage.or_else(of_groq) {
            observed.count(usage.counted());
        }
    }

    /// The error of the answer, or of one of its choices.
    fn error(&self) -> Option<&Value> {
        let in_choice = || self.choices.iter().flatten().find_map(|choice| choice.error.as_ref());
        self.error.as_ref().or_else(in_choice)
    }

    /// True if the chunk brings more than the announcement of a role.
    fn is_meaningful(&self) -> bool {
        let brings = |(name, value): (&String, &Value)| {
            let is_empty = match value {
                Value::Null => true,
                Value::String(text) => text.is_empty(),
                Value::Array(parts) => parts.is_empty(),
                Value::Object(fields) => fields.is_empty(),
                Value::Bool(_) | Value::Number(_) => false,
            };
            name != "role" && !is_empty
        };
        self.usage.is_some()
            || self.choices.iter().flatten().any(|choice| {
                choice.finish_reason.as_str().is_some()
                    || choice.text.as_str().is_some_and(|text| !text.is_empty())
                    || choice.delta.as_ref().is_some_and(|delta| delta.iter().any(brings))
            })
    }

    /// True for the event that carries usage and nothing else.
    fn is_usage_only(&self) -> bool {
        self.usage.is_some()
            && self.error.is_none()
            && self.choices.as_ref().is_some_and(Vec::is_empty)
    }
}

/// Reads a whole body that was sent with a successful status.
pub(crate) fn body(status: u16, body: &[u8]) -> Observed {
    let mut observed = Observed::default();
    let Some(mut answer) = read_json::<Answer>(body) else {
        return Observed::malformed(status, "the answer is not JSON of the dialect");
    };
    answer.note(&mut observed);
    if let Some(error) = answer.error() {
        observed.fault = Some(UpstreamFault::reported(Dialect::ChatCompletions, status, error));
    } else if answer.choices.is_none() && answer.data.is_none() {
        return Observed::unrecognised(Dialect::ChatCompletions, status, body, "choices");
    }
    observed
}

/// Reads one event of a stream.
pub(crate) fn event(watch: &mut Watch, block: &[u8]) -> Verdict {
    if watch.progress != Progress::Waiting && is_plain_delta(block) {
        return Verdict::Pass;
    }
    let Some(event) = Event::parse(block) else { return Verdict::Pass };
    if event.data.trim_ascii() == b"[DONE]" {
        watch.ended();
        return Verdict::Pass;
    }
    let Some(mut answer) = read_json::<Answer>(&event.data) else {
        watch.observed.anomaly = true;
        return Verdict::Pass;
    };
    answer.note(&mut watch.observed);
    let flat_error = (event.name == b"error").then(|| read_json::<Value>(&event.data)).flatten();
    if let Some(error) = answer.error().or(flat_error.as_ref()) {
        watch.failed(UpstreamFault::reported(Dialect::ChatCompletions, 200, error));
        return Verdict::Pass;
    }
    if answer.is_meaningful() {
        watch.flowing();
    }
    if watch.strips_usage && answer.is_usage_only() { Verdict::Drop } else { Verdict::Pass }
}

/// The keys whose values matter in the middle of a stream.
static KEYS: LazyLock<[Finder<'static>; 3]> = LazyLock::new(|| {
    [Finder::new("\"finish_reason\""), Finder::new("\"usage\""), Finder::new("\"error\"")]
});

/// True if a chunk of the common form has none of the keys that matter, or only with `null`.
///
/// Inside JSON texts quotes are escaped, so a quoted key cannot be part of what the model wrote.
fn is_plain_delta(block: &[u8]) -> bool {
    block.starts_with(b"data: {") && !KEYS.iter().any(|key| has_value(block, key))
}

fn has_value(block: &[u8], key: &Finder<'_>) -> bool {
    let length = key.needle().len();
    key.find_iter(block).any(|at| {
        let rest = block.get(at + length..).unwrap_or(b"").trim_ascii_start();
        let value = rest.strip_prefix(b":").map(<[u8]>::trim_ascii_start);
        value.is_some_and(|value| !value.starts_with(b"null"))
    })
}
