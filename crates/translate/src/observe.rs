//! What an answer that passes through says about itself: usage, errors, and whether it ended.
//!
//! Only events that can matter are parsed; memory is bounded by the largest event allowed. Nothing
//! that is observed changes what passes, but for the usage event that we ourselves asked for.

use bitrouter_metering::Tokens;
use serde::de::DeserializeOwned;

use crate::{
    Dialect, Surface, chat_completions,
    count::Counted,
    error::{FaultKind, UpstreamFault, classify},
    generate_content, messages, responses,
    sse::Event,
};

mod stream;

pub use stream::{StreamEnd, StreamObserver, StreamOutcome};

/// What is known of an answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// The usage, if the answer gave any.
    pub tokens: Option<Tokens>,
    /// True if the numbers contradict each other, or an event could not be read.
    pub anomaly: bool,
    /// The model that the answer names.
    pub model: Option<String>,
    /// The finish or stop reason, in the dialect's own word; the last one of several.
    pub finish: Option<String>,
    /// The answer's own id.
    pub response_id: Option<String>,
    /// The error that the answer carries, whatever its status.
    pub fault: Option<UpstreamFault>,
}

impl Observed {
    /// Takes over a usage report, which replaces the one before.
    pub(crate) fn count(&mut self, counted: Counted) {
        self.tokens = Some(counted.tokens);
        self.anomaly |= counted.anomaly;
    }

    /// An answer that is not what the dialect allows.
    pub(crate) fn malformed(status: u16, message: &str) -> Self {
        let fault = UpstreamFault {
            kind: FaultKind::Malformed,
            status,
            code: None,
            message: message.to_owned(),
            retry_after: None,
        };
        Self { anomaly: true, fault: Some(fault), ..Self::default() }
    }

    /// A JSON object that is not an answer: an error in some other dress, or nonsense.
    pub(crate) fn unrecognised(dialect: Dialect, status: u16, body: &[u8], expected: &str) -> Self {
        let fault = classify(dialect, status, None, body);
        if fault.message.is_empty() {
            return Self::malformed(status, &format!("the answer has no `{expected}`"));
        }
        Self { fault: Some(fault), ..Self::default() }
    }
}

/// Reads a whole body.
pub fn observe_body(surface: Surface, status: u16, body: &[u8]) -> Observed {
    let dialect = surface.dialect().unwrap_or(Dialect::ChatCompletions);
    if !(200..300).contains(&status) {
        let fault = classify(dialect, status, None, body);
        return Observed { fault: Some(fault), ..Observed::default() };
    }
    match dialect {
        Dialect::ChatCompletions => chat_completions::observe::body(status, body),
        Dialect::Responses => responses::observe::body(status, body),
        Dialect::Messages => messages::observe::body(status, body),
        Dialect::GenerateContent => generate_content::observe::body(status, body),
    }
}

/// How far a stream has come.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Progress {
    /// Nothing meaningful yet: comments, pings, announcements. Another endpoint may still be asked.
    #[default]
    Waiting,
    /// Content is flowing.
    Flowing,
    /// The dialect's own end was seen.
    Ended,
    /// An error was seen; see [`Observed::fault`].
    Failed,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Verdict {
    Pass,
    Drop,
}

/// What is remembered of a stream, whatever its framing.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) surface: Surface,
    pub(crate) dialect: Dialect,
    pub(crate) strips_usage: bool,
    pub(crate) observed: Observed,
    pub(crate) progress: Progress,
    /// For Responses: the number after the largest seen.
    pub(crate) next_sequence: u64,
    /// For Messages: usage comes in two parts.
    pub(crate) message_usage: messages::usage::Usage,
}

impl Watch {
    fn new(surface: Surface) -> Self {
        Self {
            surface,
            dialect: surface.dialect().unwrap_or(Dialect::ChatCompletions),
            strips_usage: false,
            observed: Observed::default(),
            progress: Progress::Waiting,
            next_sequence: 0,
            message_usage: messages::usage::Usage::default(),
        }
    }

    /// Reads one server-sent event.
    fn event(&mut self, block: &[u8]) -> Verdict {
        match self.dialect {
            Dialect::ChatCompletions => return chat_completions::observe::event(self, block),
            Dialect::Responses => responses::observe::event(self, block),
            Dialect::Messages => messages::observe::event(self, block),
            Dialect::GenerateContent => {
                if let Some(event) = Event::parse(block) {
                    generate_content::observe::piece(self, &event.data);
                }
            }
        }
        Verdict::Pass
    }

    /// Reads one element of a JSON array, or the one object that came instead of a stream.
    fn element(&mut self, block: &[u8]) {
        let element = generate_content::json_array::trim_element(block);
        if self.dialect == Dialect::GenerateContent {
            return generate_content::observe::piece(self, element);
        }
        self.observed = observe_body(self.surface, 200, element);
        self.progress =
            if self.observed.fault.is_some() { Progress::Failed } else { Progress::Ended };
    }

    pub(crate) fn flowing(&mut self) {
        if self.progress == Progress::Waiting {
            self.progress = Progress::Flowing;
        }
    }

    pub(crate) fn ended(&mut self) {
        if self.progress != Progress::Failed {
            self.progress = Progress::Ended;
        }
    }

    pub(crate) fn failed(&mut self, fault: UpstreamFault) {
        self.progress = Progress::Failed;
        if self.observed.fault.is_none() {
            self.observed.fault = Some(fault);
        }
    }
}

/// Reads JSON into the fields that matter. Keys given twice are tolerated: the last one counts.
pub(crate) fn read_json<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    serde_json::from_slice(bytes).ok().or_else(|| {
        let tree: serde_json::Value = serde_json::from_slice(bytes).ok()?;
        serde_json::from_value(tree).ok()
    })
}

#[cfg(test)]
mod tests;
