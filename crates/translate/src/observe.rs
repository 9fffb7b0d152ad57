//! What an answer that passes through says about itself: usage, errors, and whether it ended.
//!
//! Only events that can matter are parsed; memory is bounded by the largest event allowed.

use bitrouter_metering::Tokens;
use bytes::Bytes;

use crate::{
    Dialect, Surface,
    error::{StreamPosition, UpstreamFault},
};

/// What is known of an answer.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Observed {
    /// The usage, if the answer gave any.
    pub tokens: Option<Tokens>,
    /// True if the numbers contradict each other, or an event was too large to be read.
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

/// Reads a whole body.
pub fn observe_body(surface: Surface, status: u16, body: &[u8]) -> Observed {
    let _ = (surface, status, body);
    Observed::default()
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
    /// An error was seen; see [`StreamObserver::observed`].
    Failed,
}

/// How a stream ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StreamOutcome {
    /// With the dialect's own end.
    Complete,
    /// Without it: the upstream was cut.
    Truncated,
    /// With an error of the upstream's.
    Failed(UpstreamFault),
}

/// What is known of a stream after its last byte.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct StreamEnd {
    /// How it ended.
    pub outcome: StreamOutcome,
    /// Everything it said.
    pub observed: Observed,
}

/// Watches a stream as it passes.
#[derive(Debug)]
pub struct StreamObserver {
    dialect: Dialect,
    observed: Observed,
    progress: Progress,
}

impl StreamObserver {
    /// Makes an observer for an answer to `surface`.
    pub fn new(surface: Surface) -> Self {
        Self::with_max_event(surface, crate::sse::DEFAULT_MAX_EVENT)
    }

    /// Makes an observer that reads no event larger than `max_event` bytes.
    pub fn with_max_event(surface: Surface, max_event: usize) -> Self {
        let _ = max_event;
        Self {
            dialect: surface.dialect().unwrap_or(Dialect::ChatCompletions),
            observed: Observed::default(),
            progress: Progress::Waiting,
        }
    }

    /// Looks at the next bytes and says how far the stream has come.
    pub fn push(&mut self, chunk: &[u8]) -> Progress {
        let _ = (chunk, self.dialect);
        self.progress
    }

    /// What is known so far.
    pub const fn observed(&self) -> &Observed {
        &self.observed
    }

    /// What an error frame has to continue, if the stream must end with one of ours.
    pub fn position(&self) -> StreamPosition {
        StreamPosition::default()
    }

    /// Concludes, after the upstream's last byte.
    pub fn finish(self) -> StreamEnd {
        StreamEnd { outcome: StreamOutcome::Truncated, observed: self.observed }
    }
}

/// Passes a stream on in whole events, so that a cut upstream never leaves half an event with the
/// client; and removes the usage event that the client did not ask for.
#[derive(Debug)]
pub struct EventRelay {
    strip_usage: bool,
}

impl EventRelay {
    /// Makes a relay; `strip_usage` removes the usage-only event of a Chat stream.
    pub const fn new(surface: Surface, strip_usage: bool) -> Self {
        let _ = surface;
        Self { strip_usage }
    }

    /// Takes the next bytes and appends those that may go to the client now to `out`. Bytes are
    /// shared, not copied.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        let _ = self.strip_usage;
        out.push(chunk);
    }

    /// Gives what is left after a stream that ended well.
    pub fn finish(self, out: &mut Vec<Bytes>) {
        let _ = out;
    }
}
