//! The only part that moves an answer's bytes: from the provider to the client, at the client's pace.
//!
//! One piece is asked for when the client takes one; nothing piles up. What passes is only looked at.
//! A stream that breaks off ends with the dialect's own error, never as if it were complete. When the
//! client leaves, the rest is read without it, for the usage that the provider will bill.

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bitrouter_translate::{
    Dialect,
    error::{ApiError, ErrorKind},
    observe::{Observed, Progress, StreamObserver, StreamOutcome},
};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use super::{
    attempt::{Content, Reply},
    detach::Detached,
    settle::{Ending, Settlement},
};
use crate::record::Outcome;

/// How long a provider may take to close a stream whose end it has announced: a connection that is
/// closed properly can be used again, one that is not must not keep the client waiting.
const LINGER: Duration = Duration::from_secs(1);

/// The body of an answer.
#[derive(Debug)]
pub(crate) enum AnswerBody {
    /// In one piece, whose length is known.
    Whole(Bytes),
    /// A stream of events.
    Events(Box<Relay>),
    /// A whole answer that is too large to be held: it is passed on unread.
    Large(Box<Passing>),
}

/// Why an answer broke off where no event could say so. Hyper closes the connection on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the provider broke the answer off")]
pub(crate) struct BrokenOff;

impl AnswerBody {
    pub(crate) const fn empty() -> Self {
        Self::Whole(Bytes::new())
    }
}

impl From<Bytes> for AnswerBody {
    fn from(whole: Bytes) -> Self {
        Self::Whole(whole)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenOff;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BrokenOff>>> {
        match self.get_mut() {
            Self::Whole(bytes) => {
                Poll::Ready((!bytes.is_empty()).then(|| Ok(Frame::data(mem::take(bytes)))))
            }
            Self::Events(relay) => relay.poll(context).map(|next| next.map(|b| Ok(Frame::data(b)))),
            Self::Large(passing) => {
                passing.poll(context).map(|next| next.map(|piece| piece.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(u64::try_from(bytes.len()).unwrap_or(u64::MAX))
            }
            Self::Events(_) | Self::Large(_) => SizeHint::default(),
        }
    }
}

/// A stream whose first meaningful bytes have been seen.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) upstream: Incoming,
    pub(crate) observer: StreamObserver,
    /// How long the provider may be silent.
    pub(crate) idle: Duration,
    /// The client's, for the error at the end.
    pub(crate) dialect: Dialect,
}

/// How a stream stopped, apart from what it said itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stop {
    End,
    Broken,
    Silent,
}

/// Passes a stream of events on.
#[derive(Debug)]
pub(crate) struct Relay {
    /// `None` once the stream is over and settled.
    flow: Option<(Stream, Settlement)>,
    /// What may go to the client, from `next` on.
    out: Vec<Bytes>,
    next: usize,
    silence: Silence,
    detached: Detached,
}

impl Relay {
    /// Takes over a stream; `out` holds what was already let through.
    pub(crate) fn new(
        stream: Stream,
        settlement: Settlement,
        out: Vec<Bytes>,
        detached: Detached,
    ) -> Self {
        let silence = Silence::new(stream.idle);
        Self { flow: Some((stream, settlement)), out, next: 0, silence, detached }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            if let Some(piece) = self.out.get_mut(self.next) {
                self.next += 1;
                let piece = mem::take(piece);
                if piece.is_empty() {
                    continue;
                }
                if let Some((_, settlement)) = &mut self.flow {
                    settlement.sent(piece.len());
                }
                return Poll::Ready(Some(piece));
            }
            self.out.clear();
            self.next = 0;
            let Some((stream, settlement)) = &mut self.flow else { return Poll::Ready(None) };
            let stop = match Pin::new(&mut stream.upstream).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.silence.broken();
                    // Trailers are the connection's, not the dialect's.
                    let Ok(piece) = frame.into_data() else { continue };
                    match stream.observer.relay(piece, &mut self.out) {
                        Progress::Ended => self.silence.shorten(LINGER),
                        Progress::Failed => settlement.redactor().pieces(&mut self.out),
                        Progress::Waiting | Progress::Flowing => {}
                    }
                    continue;
                }
                Poll::Ready(Some(Err(_))) => Stop::Broken,
                Poll::Ready(None) => Stop::End,
                Poll::Pending => {
                    ready!(self.silence.poll(context));
                    Stop::Silent
                }
            };
            self.end(stop);
        }
    }

    /// Concludes: the rest of a good stream, or the dialect's error, goes out last.
    fn end(&mut self, stop: Stop) {
        let Some((stream, mut settlement)) = self.flow.take() else { return };
        let position = stream.observer.position();
        let mut end = stream.observer.finish();
        let (outcome, error) = conclude(stop, &end.outcome);
        if let StreamOutcome::Failed(fault) = &end.outcome {
            let fault = settlement.redactor().fault(fault.clone());
            settlement.passed_fault(&fault);
        }
        match error {
            None => self.out.extend(mem::take(&mut end.rest)),
            Some(error) => {
                settlement.broke_off(error.code);
                let error = error.with_request_id(settlement.request_id());
                self.out.push(error.frames(stream.dialect, &position));
            }
        }
        for piece in &self.out {
            settlement.sent(piece.len());
        }
        settlement.conclude(Ending::of_stream(outcome, end));
    }
}

/// What the end of a stream means, and what the client must be told.
fn conclude(stop: Stop, said: &StreamOutcome) -> (Outcome, Option<ApiError>) {
    let broke = |code, message| ApiError::new(ErrorKind::Upstream, code, message);
    match (stop, said) {
        // The dialect's own end counts, however the connection was closed after it.
        (_, StreamOutcome::Complete) => (Outcome::Completed, None),
        // The provider's own error has passed already.
        (_, StreamOutcome::Failed(_)) => (Outcome::Interrupted, None),
        (Stop::Silent, StreamOutcome::Truncated) => {
            let message = "the provider fell silent in the middle of the answer";
            let error = ApiError::new(ErrorKind::Timeout, "upstream_timeout", message);
            (Outcome::Timeout, Some(error))
        }
        (Stop::End | Stop::Broken, StreamOutcome::Truncated) => {
            let message = "the provider broke off in the middle of the answer";
            (Outcome::Interrupted, Some(broke("upstream_interrupted", message)))
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let Some((stream, settlement)) = self.flow.take() else { return };
        // Many clients close as soon as they see the dialect's own end: they have missed nothing.
        let is_complete =
            stream.observer.progress() == Progress::Ended && self.next >= self.out.len();
        if !is_complete && settlement.is_worth_draining() {
            return self.detached.run(drain(stream, settlement));
        }
        let outcome = if is_complete { Outcome::Completed } else { Outcome::ClientGone };
        settlement.conclude(Ending::of_stream(outcome, stream.observer.finish()));
    }
}

/// A stream without a client. Whenever it is dropped, what was seen by then is settled: also where
/// it is never read at all.
struct Unattended(Option<(Stream, Settlement)>);

impl Unattended {
    async fn read(&mut self) {
        let Some((stream, _)) = &mut self.0 else { return };
        let idle = stream.idle;
        while let Ok(Some(Ok(frame))) = tokio::time::timeout(idle, stream.upstream.frame()).await {
            let Ok(piece) = frame.into_data() else { continue };
            if stream.observer.push(&piece) == Progress::Ended {
                break;
            }
        }
    }
}

impl Drop for Unattended {
    fn drop(&mut self) {
        if let Some((stream, settlement)) = self.0.take() {
            let end = stream.observer.finish();
            settlement.conclude(Ending::of_stream(Outcome::ClientGone, end));
        }
    }
}

/// Reads a stream to its end without a client. Stopped early, or never begun, it settles with what
/// is known by then.
pub(crate) fn drain(stream: Stream, settlement: Settlement) -> impl Future<Output = ()> + Send {
    let mut rest = Unattended(Some((stream, settlement)));
    async move { rest.read().await }
}

/// Concludes an answer whose client left before it began.
pub(crate) async fn conclude_alone(reply: Reply, settlement: Settlement) {
    let observed = match reply.content {
        Content::Whole { observed, .. } => *observed,
        Content::Events { stream, .. } => return drain(*stream, settlement).await,
        // Nobody reads it, and it is not read for its usage either.
        Content::Large { .. } => Observed::default(),
    };
    settlement.conclude(Ending::whole(Outcome::ClientGone, observed));
}

/// Passes on a whole answer that is too large to be held.
#[derive(Debug)]
pub(crate) struct Passing {
    held: std::vec::IntoIter<Bytes>,
    upstream: Incoming,
    silence: Silence,
    /// `None` once settled; dropped before, it settles as a client's leaving.
    settlement: Option<Settlement>,
}

impl Passing {
    pub(crate) fn new(
        held: Vec<Bytes>,
        upstream: Incoming,
        idle: Duration,
        settlement: Settlement,
    ) -> Self {
        let silence = Silence::new(idle);
        Self { held: held.into_iter(), upstream, silence, settlement: Some(settlement) }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, BrokenOff>>> {
        loop {
            let Some(settlement) = &mut self.settlement else { return Poll::Ready(None) };
            if let Some(piece) = self.held.next() {
                settlement.sent(piece.len());
                return Poll::Ready(Some(Ok(piece)));
            }
            let outcome = match Pin::new(&mut self.upstream).poll_frame(context) {
                Poll::Ready(Some(Ok(frame))) => {
                    self.silence.broken();
                    let Ok(piece) = frame.into_data() else { continue };
                    settlement.sent(piece.len());
                    return Poll::Ready(Some(Ok(piece)));
                }
                Poll::Ready(None) => Outcome::Completed,
                Poll::Ready(Some(Err(_))) => Outcome::Interrupted,
                Poll::Pending => {
                    ready!(self.silence.poll(context));
                    Outcome::Timeout
                }
            };
            if let Some(settlement) = self.settlement.take() {
                settlement.conclude(Ending::whole(outcome, Observed::default()));
            }
            return Poll::Ready((outcome != Outcome::Completed).then_some(Err(BrokenOff)));
        }
    }
}

/// Measures how long a provider has let us wait. Time in which nobody asked it does not count; the
/// timer is only set anew when it rings, not with every piece.
#[derive(Debug)]
struct Silence {
    limit: Duration,
    /// Since when the provider has been waited for.
    since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Silence {
    fn new(limit: Duration) -> Self {
        Self { limit, since: None, timer: Box::pin(tokio::time::sleep(limit)) }
    }

    const fn broken(&mut self) {
        self.since = None;
    }

    /// Has less patience from now on.
    fn shorten(&mut self, limit: Duration) {
        if limit < self.limit {
            self.limit = limit;
            self.timer.as_mut().reset(Instant::now() + limit);
        }
    }

    /// Ready when it has lasted too long.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let end = *self.since.get_or_insert_with(Instant::now) + self.limit;
        loop {
            ready!(self.timer.as_mut().poll(context));
            if end <= Instant::now() {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(end);
        }
    }
}
