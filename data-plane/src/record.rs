//! The usage record of one request, from its first byte to its end.
//!
//! Every request leaves exactly one, but for those that were refused because the log takes none. A [`Recording`] that is dropped before its end was told (the
//! client left, a task was cancelled) writes what it knows; one that dies with the process is found
//! by the next start, since its intent was in the spool before anything was sent to a provider.

mod wire;

use std::{
    borrow::Cow,
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use bitrouter_metering::{Cost, Tokens};
use bitrouter_runtime::Timestamp;
use bitrouter_translate::Dialect;
use uuid::Uuid;

use crate::{
    admit::Principal,
    resolve::{Candidate, Endpoint, LeftOut, Operation, Plan, Unresolved},
    spool::{Spool, SpoolError},
    table::Revision,
};

/// What one request was, did and cost.
#[derive(Clone, Debug)]
pub struct Record {
    /// The request's id (UUID version 7).
    pub event_id: Uuid,
    /// When it arrived.
    pub start: Timestamp,
    /// The key's id. Empty: none.
    pub key_id: Arc<str>,
    /// The key's user. Empty: none.
    pub user_id: Arc<str>,
    /// What was asked for.
    pub asked: Asked,
    /// Where it could go.
    pub resolved: Resolved,
    /// The upstream calls, in order.
    pub attempts: Vec<Attempt>,
    /// How it ended. `None`: it has not.
    pub ending: Option<Ending>,
}

/// What a request asked for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The model as the client wrote it.
    pub model: String,
    /// The client's dialect.
    pub dialect: Dialect,
    /// What is to be done.
    pub operation: Operation,
    /// True if the answer is to come as a stream.
    pub is_streamed: bool,
    /// What the client calls its session. Empty: nothing.
    pub session_id: String,
    /// Labels that usage can be grouped by.
    pub tags: Vec<String>,
    /// Of the body.
    pub request_bytes: u64,
}

/// Where a request could go.
#[derive(Clone, Debug, Default)]
pub struct Resolved {
    /// The route that the name stands for.
    pub route_name: Option<Arc<str>>,
    /// The configuration in force.
    pub revision: Revision,
    /// How candidates were ordered. Empty: it did not come so far.
    pub strategy: &'static str,
    /// What decided between equals.
    pub seed: u64,
    /// What was not tried, and why.
    pub left_out: Vec<(Endpoint, String)>,
}

/// One upstream call.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// What it is made against.
    pub endpoint: Endpoint,
    /// The dialect spoken to it.
    pub dialect: Dialect,
    /// Why this endpoint came at this place.
    pub reason: String,
    /// The revision of the provider's prices.
    pub price_revision: Revision,
    /// When it began.
    pub started: Instant,
    /// How it ended. `None`: it has not.
    pub outcome: Option<Outcome>,
    /// The provider's HTTP status.
    pub status: Option<u16>,
    /// The provider's own code or type. Empty: none.
    pub error_code: String,
    /// What it used. `None`: not reported.
    pub usage: Option<Tokens>,
    /// What that cost. `None`: not known.
    pub cost: Option<Cost>,
    /// True if the answer was not seen to its end, so that more may have been used.
    pub is_partial: bool,
    /// True if the provider reported numbers that contradict each other.
    pub is_anomalous: bool,
    /// True if it reached the provider and may have been billed although it failed.
    pub may_have_been_billed: bool,
    /// To the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    /// From sending to its end.
    pub duration: Duration,
}

/// How a request ended, as its client saw it.
#[derive(Clone, Debug)]
pub struct Ending {
    /// How.
    pub outcome: Outcome,
    /// The HTTP status sent. `None`: the client left before one was.
    pub status: Option<u16>,
    /// The code of the error that the client saw. Empty: none.
    pub error_code: Cow<'static, str>,
    /// To the first byte of the answer's body.
    pub first_byte: Option<Duration>,
    /// From accepting the request.
    pub duration: Duration,
    /// Of the body.
    pub response_bytes: u64,
}

/// How a request or an attempt ended.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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
    /// The process ended while it was running.
    NodeCrashed,
}

/// The record of a request that is under way.
pub struct Recording {
    record: Box<Record>,
    spool: Spool,
    started: Instant,
    /// What to write if nobody says how it ended.
    unless_told: Ending,
    is_written: bool,
}

impl Record {
    /// The record of a request that has just arrived.
    pub fn new(event_id: Uuid, start: Timestamp, asked: Asked, principal: &Principal) -> Self {
        let key = principal.key();
        Self {
            event_id,
            start,
            key_id: key.map_or_else(Arc::default, |key| Arc::clone(&key.id)),
            user_id: key.map_or_else(Arc::default, |key| Arc::clone(&key.user_id)),
            asked,
            resolved: Resolved::default(),
            attempts: Vec::new(),
            ending: None,
        }
    }

    /// Takes over what resolving found.
    pub fn resolve(&mut self, plan: &Plan) {
        self.resolved = Resolved {
            route_name: plan.route.as_ref().map(|route| Arc::clone(&route.name)),
            revision: plan.revision,
            strategy: plan.strategy,
            seed: plan.seed,
            left_out: Vec::new(),
        };
        self.leave_out(&plan.left_out);
    }

    /// Takes over why it may go nowhere.
    pub fn unresolved(&mut self, unresolved: &Unresolved, revision: Revision) {
        self.resolved.route_name.clone_from(&unresolved.route_name);
        self.resolved.revision = revision;
        self.leave_out(&unresolved.left_out);
    }

    /// Notes candidates that were not tried after all.
    pub fn leave_out(&mut self, left_out: &[LeftOut]) {
        let noted = left_out.iter().map(|it| (it.endpoint.clone(), it.reason.to_string()));
        self.resolved.left_out.extend(noted);
    }

    /// What all attempts used.
    pub fn tokens(&self) -> Tokens {
        let mut sum = Tokens::default();
        for usage in self.attempts.iter().filter_map(|attempt| attempt.usage) {
            sum += usage;
        }
        sum
    }

    /// The attempt under way, or the last one.
    pub fn last_attempt(&mut self) -> Option<&mut Attempt> {
        self.attempts.last_mut()
    }

    fn end(&mut self, ending: Ending, now: Instant) {
        if let Some(attempt) = self.attempts.last_mut().filter(|it| it.outcome.is_none()) {
            attempt.may_have_been_billed = attempt.usage.is_none();
            attempt.end(ending.outcome, now);
        }
        self.ending = Some(ending);
    }
}

impl Attempt {
    /// An attempt that begins now.
    pub fn new(candidate: &Candidate, reason: String, now: Instant) -> Self {
        Self {
            endpoint: candidate.endpoint(),
            dialect: candidate.dialect,
            reason,
            price_revision: candidate.provider.version,
            started: now,
            outcome: None,
            status: None,
            error_code: String::new(),
            usage: None,
            cost: None,
            is_partial: false,
            is_anomalous: false,
            may_have_been_billed: false,
            first_byte: None,
            duration: Duration::ZERO,
        }
    }

    /// True if it used more than is known: an answer without usage, or one that broke off, since
    /// dialects that report as they go say the rest only at its end. An attempt that was refused used
    /// nothing.
    pub fn is_usage_unknown(&self) -> bool {
        match self.outcome {
            _ if self.is_partial => true,
            Some(Outcome::Interrupted) => true,
            Some(Outcome::Timeout) if self.usage.is_some() => true,
            Some(Outcome::Completed) => self.usage.is_none(),
            _ => self.usage.is_none() && self.may_have_been_billed,
        }
    }

    /// Notes how it ended.
    pub fn end(&mut self, outcome: Outcome, now: Instant) {
        self.outcome = Some(outcome);
        self.duration = now.saturating_duration_since(self.started);
    }
}

impl Recording {
    /// Begins to record. `started` is when the request arrived.
    pub fn new(record: Record, spool: Spool, started: Instant) -> Self {
        Self {
            record: Box::new(record),
            spool,
            started,
            unless_told: Ending::of(Outcome::ClientGone),
            is_written: false,
        }
    }

    /// What is known so far.
    pub fn record(&mut self) -> &mut Record {
        &mut self.record
    }

    /// What is written if this is dropped before its end is told: kept up to date with the status
    /// and the bytes that went to the client.
    pub fn unless_told(&mut self) -> &mut Ending {
        &mut self.unless_told
    }

    /// Writes down that an attempt is about to be made; only then it may be. With the durability
    /// `power` this waits for the disk, else it never waits.
    pub async fn begin_attempt(
        &mut self,
        candidate: &Candidate,
        reason: String,
        now: Instant,
    ) -> Result<(), SpoolError> {
        self.record.attempts.push(Attempt::new(candidate, reason, now));
        let intended = self.spool.intend(self.record.event_id, &wire::usage(&self.record));
        if intended.is_err() {
            self.record.attempts.pop();
        }
        self.spool.durable(intended?).await
    }

    /// Writes the record; the duration is filled in here.
    pub fn finish(mut self, ending: Ending) {
        self.write(ending);
    }

    /// Leaves no record, where none was promised: nothing was to be sent to a provider yet. Returns
    /// whether that is so.
    pub fn forgo(&mut self) -> bool {
        let is_free = self.record.attempts.is_empty();
        self.is_written |= is_free;
        is_free
    }

    fn write(&mut self, mut ending: Ending) {
        if std::mem::replace(&mut self.is_written, true) {
            return;
        }
        let now = self.spool.clock().instant();
        ending.duration = now.saturating_duration_since(self.started);
        self.record.end(ending, now);
        self.spool.commit(self.record.event_id, &wire::usage(&self.record));
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let ending = self.unless_told.clone();
        self.write(ending);
    }
}

impl Ending {
    /// An ending without further particulars.
    pub const fn of(outcome: Outcome) -> Self {
        Self {
            outcome,
            status: None,
            error_code: Cow::Borrowed(""),
            first_byte: None,
            duration: Duration::ZERO,
            response_bytes: 0,
        }
    }
}

impl fmt::Debug for Recording {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recording").field("record", &self.record).finish_non_exhaustive()
    }
}
