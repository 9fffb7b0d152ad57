//! Reads a provider's answer as far as is needed to know whether it can be passed on.

use std::time::Duration;

use bitrouter_runtime::Timestamp;
use bitrouter_translate::{
    Surface,
    error::{FaultKind, Retry, UpstreamFault, classify, parse_retry_after},
    observe::{Observed, Progress, StreamObserver, StreamOutcome, observe_body},
};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::{Instant, timeout_at};

use super::{AttemptError, Settlement, Trouble};
use crate::proxy::{headers::toward_client, relay::Stream};

/// A whole answer larger than this is passed on unread.
const MAX_WHOLE: usize = 16 << 20;
/// A stream that says nothing meaningful for so many bytes is passed on all the same.
const MAX_HELD: usize = 1 << 20;
/// What is read of an error's body, and for how long.
const MAX_ERROR: usize = 256 << 10;
const ERROR_PATIENCE: Duration = Duration::from_secs(10);

/// A provider's answer that goes to the client.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    /// Those that the client may see.
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
}

/// What an answer consists of.
pub(crate) enum Content {
    /// In one piece.
    Whole { body: Bytes, observed: Box<Observed> },
    /// A stream that has begun; `out` may go to the client.
    Events { stream: Box<Stream>, out: Vec<Bytes> },
    /// Too large to be held.
    Large { held: Vec<Bytes>, upstream: Incoming, idle: Duration },
}

/// Until when an answer has to be there, and how long that was meant to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limit {
    pub(super) deadline: Instant,
    pub(super) wait: Duration,
}

/// A provider's answer of which only the head has been read.
pub(super) struct Answer {
    pub(super) surface: Surface,
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Incoming,
    pub(super) idle: Duration,
    pub(super) limit: Limit,
}

impl Answer {
    /// True if the answer is a stream of events. Gemini streams a JSON array where it is not asked
    /// for server-sent events; anything else that was asked to stream and answers JSON does not. Some
    /// servers do not say what they stream, or call it text.
    pub(super) fn is_stream(&self) -> bool {
        let content_type =
            self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is = |wanted| content_type.is_some_and(|it| starts_with_ignoring_case(it, wanted));
        content_type.is_none()
            || (is("text/") && !is("text/html"))
            || (self.surface == Surface::GenerateContent { stream: true } && is("application/json"))
    }

    /// An error status: whose it is to see, or who is to be asked next.
    pub(super) async fn refusal(
        mut self,
        now: Timestamp,
        settlement: &mut Settlement,
    ) -> Result<Reply, Trouble> {
        let wait = self.headers.get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let retry_after = wait.and_then(|it| parse_retry_after(it, now.as_millis() / 1_000));
        // A body that breaks off tells as much as it tells.
        let limit = Limit { deadline: Instant::now() + ERROR_PATIENCE, wait: ERROR_PATIENCE };
        let mut body = Vec::new();
        while let Ok(Some(piece)) = next_piece(&mut self.body, limit).await {
            body.push(piece);
            if size(&body) > MAX_ERROR {
                break;
            }
        }
        let redactor = settlement.redactor();
        let body = redactor.body(join(body));
        self.headers = redactor.headers(self.headers);
        let dialect =
            self.surface.dialect().unwrap_or(bitrouter_translate::Dialect::ChatCompletions);
        let fault = classify(dialect, self.status.as_u16(), retry_after, &body);
        let reply = |answer: Self| Reply {
            status: answer.status,
            headers: toward_client(answer.headers),
            content: Content::Whole { body, observed: Box::default() },
        };
        faulty(fault, reply(self), settlement)
    }

    /// A stream: held until it says something meaningful.
    pub(super) async fn open_stream(
        self,
        strips_usage: bool,
        settlement: &mut Settlement,
    ) -> Result<Reply, Trouble> {
        let Self { surface, status, mut headers, mut body, idle, limit } = self;
        if headers.contains_key(header::CONTENT_ENCODING) {
            // As with a whole answer: it passes unread.
            settlement.answered(status);
            let content = Content::Large { held: Vec::new(), upstream: body, idle };
            return Ok(Reply { status, headers: toward_client(headers), content });
        }
        let mut observer = StreamObserver::new(surface);
        if strips_usage {
            observer = observer.stripping_usage();
        }
        let (mut out, mut seen) = (Vec::new(), 0);
        loop {
            let Some(piece) = next_piece(&mut body, limit).await? else {
                let end = observer.finish();
                return match end.outcome {
                    // An answer without content is an answer.
                    StreamOutcome::Complete => {
                        out.extend(end.rest);
                        settlement.answered(status);
                        let said = Box::new(end.observed);
                        let content = Content::Whole { body: join(out), observed: said };
                        Ok(Reply { status, headers: toward_client(headers), content })
                    }
                    StreamOutcome::Truncated => Err(Trouble::Next(AttemptError::BrokenOff)),
                    StreamOutcome::Failed(fault) => {
                        let redactor = settlement.redactor();
                        let fault = redactor.fault(fault);
                        out.extend(end.rest);
                        redactor.pieces(&mut out);
                        let headers = toward_client(redactor.headers(headers));
                        let said = Observed { fault: Some(fault.clone()), ..end.observed };
                        let content = Content::Whole { body: join(out), observed: Box::new(said) };
                        faulty(fault, Reply { status, headers, content }, settlement)
                    }
                };
            };
            seen += piece.len();
            match observer.relay(piece, &mut out) {
                Progress::Waiting if seen < MAX_HELD => {}
                Progress::Waiting | Progress::Flowing | Progress::Ended | Progress::Failed => break,
            }
        }
        let mut fault = None;
        if observer.progress() == Progress::Failed {
            let redactor = settlement.redactor();
            redactor.pieces(&mut out);
            headers = redactor.headers(headers);
            fault = observer.observed().fault.clone().map(|fault| redactor.fault(fault));
        }
        let dialect = surface.dialect().unwrap_or(bitrouter_translate::Dialect::ChatCompletions);
        let stream = Box::new(Stream { upstream: body, observer, idle, dialect });
        let content = Content::Events { stream, out };
        let reply = Reply { status, headers: toward_client(headers), content };
        match fault {
            Some(fault) => faulty(fault, reply, settlement),
            None => Ok(passed(reply, settlement)),
        }
    }

    /// A whole answer: held until it is whole, unless it is too large for that.
    pub(super) async fn read_whole(
        mut self,
        settlement: &mut Settlement,
    ) -> Result<Reply, Trouble> {
        let mut held = Vec::with_capacity(1);
        while let Some(piece) = next_piece(&mut self.body, self.limit).await? {
            settlement.first_piece();
            held.push(piece);
            if size(&held) > MAX_WHOLE {
                settlement.answered(self.status);
                let content = Content::Large { held, upstream: self.body, idle: self.idle };
                let headers = toward_client(self.headers);
                return Ok(Reply { status: self.status, headers, content });
            }
        }
        let mut body = join(held);
        // What is encoded in spite of our asking cannot be read; it passes, its usage unknown.
        let mut observed = if self.headers.contains_key(header::CONTENT_ENCODING) {
            Observed::default()
        } else {
            observe_body(self.surface, self.status.as_u16(), &body)
        };
        if let Some(fault) = observed.fault.take() {
            let redactor = settlement.redactor();
            body = redactor.body(body);
            self.headers = redactor.headers(self.headers);
            observed.fault = Some(redactor.fault(fault));
        }
        let fault = observed.fault.clone();
        let content = Content::Whole { body, observed: Box::new(observed) };
        let reply = Reply { status: self.status, headers: toward_client(self.headers), content };
        match fault {
            Some(fault) => faulty(fault, reply, settlement),
            None => Ok(passed(reply, settlement)),
        }
    }
}

fn passed(reply: Reply, settlement: &mut Settlement) -> Reply {
    if matches!(reply.content, Content::Events { .. }) {
        settlement.streams();
    }
    settlement.answered(reply.status);
    reply
}

/// What becomes of an answer that is an error, whatever its status: whose it is to see, or who is to
/// be asked next.
fn faulty(
    fault: UpstreamFault,
    reply: Reply,
    settlement: &mut Settlement,
) -> Result<Reply, Trouble> {
    match fault.retry() {
        Retry::NextEndpoint => Err(Trouble::Next(AttemptError::Fault(fault))),
        Retry::LargerContext => Err(Trouble::Larger(fault, Box::new(reply))),
        // The provider speaks of the account's credential, which is not the client's.
        Retry::Never if fault.kind == FaultKind::Auth => {
            Err(Trouble::Stop(AttemptError::Fault(fault)))
        }
        Retry::Never => {
            let reply = passed(reply, settlement);
            settlement.passed_fault(&fault);
            Ok(reply)
        }
    }
}

/// The next piece of a body; `None` at its end.
async fn next_piece(body: &mut Incoming, limit: Limit) -> Result<Option<Bytes>, Trouble> {
    loop {
        return match timeout_at(limit.deadline, body.frame()).await {
            Ok(None) => Ok(None),
            // Trailers belong to the connection.
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(piece) => Ok(Some(piece)),
                Err(_) => continue,
            },
            Ok(Some(Err(_))) => Err(Trouble::Next(AttemptError::BrokenOff)),
            Err(_) => Err(Trouble::Next(AttemptError::Late(limit.wait))),
        };
    }
}

fn size(pieces: &[Bytes]) -> usize {
    pieces.iter().map(Bytes::len).sum()
}

/// Joins pieces; a single one is not copied.
fn join(mut pieces: Vec<Bytes>) -> Bytes {
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    let mut joined = BytesMut::with_capacity(size(&pieces));
    for piece in pieces {
        joined.extend_from_slice(&piece);
    }
    joined.freeze()
}

fn starts_with_ignoring_case(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}
