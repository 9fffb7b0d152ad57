//! The machine that watches a stream, and passes it on in whole events.

use bytes::Bytes;

use super::{Observed, Progress, Verdict, Watch};
use crate::{
    Dialect, Surface,
    error::{StreamPosition, UpstreamFault},
    generate_content::json_array::JsonScanner,
    sse::{Carry, DEFAULT_MAX_EVENT, SseScanner},
};

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
    /// Bytes that [`StreamObserver::relay`] still held and that belong to the client: the tail of a
    /// stream that ended well. Empty for a stream that was cut.
    pub rest: Vec<Bytes>,
}

/// Watches a stream as it passes.
///
/// Use either [`Self::push`], which only looks, or [`Self::relay`], which also says what may go to
/// the client now: whole events only, so that a cut upstream never leaves half an event there.
#[derive(Debug)]
pub struct StreamObserver {
    framing: Framing,
    carry: Carry,
    watch: Watch,
    held: Held,
    /// The last event was dropped, and nothing came after it yet.
    has_dropped: bool,
}

/// What has come of an event that has not ended. Large pieces are shared, small ones are joined, so
/// that an event that comes byte by byte does not cost many times its size.
#[derive(Debug, Default)]
struct Held {
    pieces: Vec<Bytes>,
    small: Vec<u8>,
}

impl Held {
    const SMALL: usize = 512;

    fn push(&mut self, piece: Bytes) {
        if piece.len() < Self::SMALL {
            self.small.extend_from_slice(&piece);
        } else {
            self.join();
            self.pieces.push(piece);
        }
    }

    fn release(&mut self, out: &mut Vec<Bytes>) {
        self.join();
        out.append(&mut self.pieces);
    }

    fn clear(&mut self) {
        self.pieces.clear();
        self.small.clear();
    }

    const fn is_empty(&self) -> bool {
        self.pieces.is_empty() && self.small.is_empty()
    }

    fn into_pieces(mut self) -> Vec<Bytes> {
        self.join();
        self.pieces
    }

    fn join(&mut self) {
        if !self.small.is_empty() {
            self.pieces.push(Bytes::from(std::mem::take(&mut self.small)));
        }
    }
}

/// How the stream is divided, decided by its first byte.
#[derive(Clone, Copy, Debug)]
enum Framing {
    Undecided,
    Events(SseScanner),
    Json(JsonScanner),
}

impl Framing {
    fn decide(&mut self, chunk: &[u8]) {
        if !matches!(self, Self::Undecided) {
            return;
        }
        let is_blank = |byte: &u8| b" \r\n\t\xef\xbb\xbf".contains(byte);
        match chunk.iter().find(|byte| !is_blank(byte)) {
            None => {}
            Some(b'{' | b'[') => *self = Self::Json(JsonScanner::default()),
            Some(_) => *self = Self::Events(SseScanner::new()),
        }
    }

    fn next_end(&mut self, chunk: &[u8], from: usize) -> Option<usize> {
        match self {
            Self::Undecided => None,
            Self::Events(scanner) => scanner.next_end(chunk, from),
            Self::Json(scanner) => scanner.next_end(chunk, from),
        }
    }

    const fn is_json(self) -> bool {
        matches!(self, Self::Json(_))
    }
}

impl StreamObserver {
    /// Makes an observer for an answer to `surface`.
    pub fn new(surface: Surface) -> Self {
        Self {
            framing: Framing::Undecided,
            carry: Carry::new(DEFAULT_MAX_EVENT),
            watch: Watch::new(surface),
            held: Held::default(),
            has_dropped: false,
        }
    }

    /// Reads no event larger than `bytes`; larger ones pass unread and are flagged as an anomaly.
    #[must_use]
    pub fn with_max_event(mut self, bytes: usize) -> Self {
        self.carry = Carry::new(bytes);
        self
    }

    /// Makes [`Self::relay`] remove the usage-only event of a Chat stream: for requests where we
    /// asked for usage and the client did not.
    #[must_use]
    pub const fn stripping_usage(mut self) -> Self {
        self.watch.strips_usage = true;
        self
    }

    /// Looks at the next bytes and says how far the stream has come.
    pub fn push(&mut self, chunk: &[u8]) -> Progress {
        let whole = self.read(chunk, |_, _| {});
        self.keep(&chunk[whole..]);
        self.watch.progress
    }

    /// Looks at the next bytes and appends to `out` what may go to the client now. Bytes are shared,
    /// not copied; a chunk of whole events passes as it is.
    pub fn relay(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) -> Progress {
        let lead = self.leading_line_feed(&chunk);
        let mut sent = if std::mem::take(&mut self.has_dropped) { lead } else { 0 };
        let mut held = std::mem::take(&mut self.held);
        let mut ends_dropped = false;
        let end_of_last = self.read(&chunk, |from, (end, verdict)| {
            let from = from.max(lead);
            ends_dropped = verdict == Verdict::Drop;
            if ends_dropped {
                held.clear();
                if from > sent {
                    out.push(chunk.slice(sent..from));
                }
                sent = end;
            } else {
                held.release(out);
            }
        });
        let whole = end_of_last.max(lead);
        self.has_dropped = ends_dropped && whole == chunk.len();
        self.held = held;
        self.keep(&chunk[whole..]);
        if self.carry.is_skipping() {
            self.held.release(out);
            out.push(chunk.slice(sent..));
        } else if sent == 0 && whole == chunk.len() {
            out.push(chunk);
        } else {
            if whole > sent {
                out.push(chunk.slice(sent..whole));
            }
            if whole < chunk.len() {
                self.held.push(chunk.slice(whole..));
            }
        }
        self.watch.progress
    }

    /// How far the stream has come.
    pub const fn progress(&self) -> Progress {
        self.watch.progress
    }

    /// What is known so far.
    pub const fn observed(&self) -> &Observed {
        &self.watch.observed
    }

    /// What an error frame has to continue, if the stream must end with one of ours.
    ///
    /// With [`Self::relay`] nothing of an unfinished event has reached the client, and `mid_event`
    /// is false unless that event was too large to hold.
    pub fn position(&self) -> StreamPosition {
        let array = match self.framing {
            Framing::Json(scanner) if self.watch.dialect == Dialect::GenerateContent => {
                scanner.array()
            }
            _ => None,
        };
        StreamPosition {
            next_sequence: self.watch.next_sequence,
            response_id: self.watch.observed.response_id.clone(),
            model: self.watch.observed.model.clone(),
            mid_event: self.held.is_empty() && self.carry.is_open(),
            array,
        }
    }

    /// Concludes, after the upstream's last byte.
    pub fn finish(mut self) -> StreamEnd {
        let anomaly = self.watch.observed.anomaly;
        if self.carry.is_open() {
            let verdict = match self.carry.complete(b"") {
                Some(block) if !self.framing.is_json() => self.watch.event(block),
                _ => Verdict::Pass,
            };
            // An event that was cut off cannot be read, and that alone is no contradiction.
            self.watch.observed.anomaly = anomaly;
            if verdict == Verdict::Drop {
                self.held.clear();
            }
        }
        let has_finish = self.watch.observed.finish.is_some();
        let outcome = match (self.watch.observed.fault.clone(), self.watch.progress) {
            (Some(fault), _) => StreamOutcome::Failed(fault),
            (None, Progress::Ended) => StreamOutcome::Complete,
            (None, _) if has_finish && self.watch.dialect == Dialect::ChatCompletions => {
                StreamOutcome::Complete
            }
            (None, _) => StreamOutcome::Truncated,
        };
        let rest = match outcome {
            StreamOutcome::Truncated => Vec::new(),
            StreamOutcome::Complete | StreamOutcome::Failed(_) => self.held.into_pieces(),
        };
        StreamEnd { outcome, observed: self.watch.observed, rest }
    }

    /// Reads every event that ends in the chunk; says where each begins and ends and what becomes
    /// of it. Returns where the last one ended.
    fn read(&mut self, chunk: &[u8], mut on_event: impl FnMut(usize, (usize, Verdict))) -> usize {
        self.framing.decide(chunk);
        let is_json = self.framing.is_json();
        let mut from = 0;
        while let Some(end) = self.framing.next_end(chunk, from) {
            let verdict = match self.carry.complete(&chunk[from..end]) {
                Some(block) if is_json => {
                    self.watch.element(block);
                    Verdict::Pass
                }
                Some(block) => self.watch.event(block),
                None => {
                    self.watch.observed.anomaly = true;
                    Verdict::Pass
                }
            };
            on_event(from, (end, verdict));
            from = end;
        }
        from
    }

    fn keep(&mut self, part: &[u8]) {
        if !self.carry.hold(part) {
            self.watch.observed.anomaly = true;
        }
    }

    /// One if the chunk begins with the line feed of a carriage return that ended the last event:
    /// it shares that event's fate.
    fn leading_line_feed(&self, chunk: &[u8]) -> usize {
        let Framing::Events(scanner) = self.framing else { return 0 };
        let is_between_events = self.held.is_empty() && !self.carry.is_open();
        let follows = scanner.awaits_line_feed() && is_between_events;
        usize::from(follows && chunk.first() == Some(&b'\n'))
    }
}
