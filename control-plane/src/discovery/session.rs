//! One data plane's configuration stream, as a pure machine: what came in, what is to be done.
//!
//! At most one update is under way: the next is made when the last one was acknowledged, so that a
//! slow data plane gets fewer and larger ones and nothing piles up.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{Duration, Instant},
};

use bitrouter_proto::v1 as wire;

use crate::snapshot::state::StateHash;

/// The schema of the contract that this version speaks.
pub(crate) const SCHEMA: u32 = 1;
/// How often both sides send a heartbeat.
pub(crate) const HEARTBEAT: Duration = Duration::from_millis(500);
/// How long an update may stay without an acknowledgement, and a data plane without a word.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The state of a session.
#[derive(Debug)]
pub(crate) struct Session {
    state: State,
    heard: Instant,
}

#[derive(Debug)]
enum State {
    AwaitingHello,
    Opening { applied: u64, hash: Option<StateHash> },
    Streaming(Progress),
    Ended,
}

#[derive(Debug)]
struct Progress {
    /// What the data plane has confirmed.
    confirmed: u64,
    /// The newest revision that is published.
    head: u64,
    /// What was sent and is not acknowledged yet, in order.
    under_way: VecDeque<Sent>,
    sent_at: Instant,
}

/// An update that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) revision: u64,
    pub(crate) touched: Touched,
}

/// Which resources an update was about.
#[derive(Clone, Debug)]
pub(crate) enum Touched {
    Everything,
    These(Arc<wire::Delta>),
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// The data plane said something.
    Message(wire::SyncRequest),
    /// What [`Output::Open`] asked for is done.
    Opened { session_epoch: u64, head: u64 },
    /// There is a newer revision.
    Published(u64),
    /// What [`Output::CatchUp`] asked for was sent.
    Updated(Vec<Sent>),
    /// It is time for a heartbeat.
    Tick,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Output {
    /// Make the data plane known.
    Open(wire::Hello),
    /// Send a welcome.
    Welcome { session_epoch: u64, head: u64 },
    /// Send the way from a revision to the newest one.
    CatchUp { from: u64, hash: Option<StateHash> },
    /// Keep what the data plane acknowledged.
    Acked { ack: wire::Ack, touched: Touched },
    /// Keep what the data plane said about itself.
    Heard(wire::NodeHeartbeat),
    /// Send a heartbeat.
    Heartbeat { head: u64 },
    /// Close the stream.
    Close(Closing),
}

/// Why a stream is closed by the control plane.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum Closing {
    #[error("the first message of a session is a hello, and the only one")]
    OutOfOrder,
    #[error("the hello names no node or no usage log")]
    Nameless,
    #[error("the message is empty, or newer than this control plane")]
    UnknownMessage,
    #[error("the data plane is too old for this control plane; upgrade the data plane")]
    TooOld,
    #[error("the data plane is too new for this control plane; upgrade the control plane")]
    TooNew,
    #[error("the acknowledged revision was not sent")]
    UnknownRevision,
    #[error("the data plane did not acknowledge an update in time")]
    Unacknowledged,
    #[error("the data plane was silent for too long")]
    Silent,
}

impl Session {
    pub(crate) const fn new(now: Instant) -> Self {
        Self { state: State::AwaitingHello, heard: now }
    }

    /// Takes in what happened and says what is to be done, in order.
    pub(crate) fn step(&mut self, input: Input, now: Instant) -> Vec<Output> {
        let outputs = match input {
            Input::Message(message) => self.message(message, now),
            Input::Opened { session_epoch, head } => self.opened(session_epoch, head, now),
            Input::Published(head) => Ok(self.published(head)),
            Input::Updated(sent) => Ok(self.updated(sent, now)),
            Input::Tick => self.tick(now),
        };
        outputs.unwrap_or_else(|closing| {
            self.state = State::Ended;
            vec![Output::Close(closing)]
        })
    }

    fn message(
        &mut self,
        message: wire::SyncRequest,
        now: Instant,
    ) -> Result<Vec<Output>, Closing> {
        use wire::sync_request::Message;
        self.heard = now;
        match (message.message.ok_or(Closing::UnknownMessage)?, &mut self.state) {
            (_, State::Ended) => Ok(Vec::new()),
            (Message::Hello(hello), State::AwaitingHello) => {
                check(&hello)?;
                let hash = StateHash::from_bytes(&hello.state_hash);
                self.state = State::Opening { applied: hello.applied_revision, hash };
                Ok(vec![Output::Open(hello)])
            }
            (Message::Ack(ack), State::Streaming(progress)) => {
                let (outputs, goes_on) = progress.acked(ack)?;
                if !goes_on {
                    self.state = State::Ended;
                }
                Ok(outputs)
            }
            (Message::Heartbeat(heartbeat), State::Streaming(_)) => {
                Ok(vec![Output::Heard(heartbeat)])
            }
            (Message::Hello(_) | Message::Ack(_) | Message::Heartbeat(_), _) => {
                Err(Closing::OutOfOrder)
            }
        }
    }

    fn opened(
        &mut self,
        session_epoch: u64,
        head: u64,
        now: Instant,
    ) -> Result<Vec<Output>, Closing> {
        let State::Opening { applied, hash } = self.state else {
            return Err(Closing::OutOfOrder);
        };
        let under_way = VecDeque::new();
        let progress = Progress { confirmed: applied, head, under_way, sent_at: now };
        self.state = State::Streaming(progress);
        let welcome = Output::Welcome { session_epoch, head };
        Ok(vec![welcome, Output::CatchUp { from: applied, hash }])
    }

    fn published(&mut self, head: u64) -> Vec<Output> {
        let State::Streaming(progress) = &mut self.state else { return Vec::new() };
        progress.head = head;
        progress.catch_up().into_iter().collect()
    }

    fn updated(&mut self, sent: Vec<Sent>, now: Instant) -> Vec<Output> {
        if let State::Streaming(progress) = &mut self.state {
            progress.head = sent.last().map_or(progress.head, |last| last.revision);
            progress.under_way.extend(sent);
            progress.sent_at = now;
        }
        Vec::new()
    }

    fn tick(&self, now: Instant) -> Result<Vec<Output>, Closing> {
        if now.saturating_duration_since(self.heard) > PATIENCE {
            return Err(Closing::Silent);
        }
        let State::Streaming(progress) = &self.state else { return Ok(Vec::new()) };
        let waited = now.saturating_duration_since(progress.sent_at);
        if !progress.under_way.is_empty() && waited > PATIENCE {
            return Err(Closing::Unacknowledged);
        }
        Ok(vec![Output::Heartbeat { head: progress.head }])
    }
}

impl Progress {
    /// Also says whether the session goes on: after a whole refusal the data plane opens another.
    fn acked(&mut self, ack: wire::Ack) -> Result<(Vec<Output>, bool), Closing> {
        let at = self.under_way.iter().position(|sent| sent.revision == ack.revision);
        let until = at.ok_or(Closing::UnknownRevision)?;
        let acked = self.under_way.drain(..=until).next_back();
        let touched = acked.map_or(Touched::Everything, |sent| sent.touched);
        let goes_on = ack.status() != wire::ack::Status::Rejected;
        if goes_on {
            self.confirmed = ack.revision;
        }
        let mut outputs = vec![Output::Acked { ack, touched }];
        if goes_on {
            outputs.extend(self.catch_up());
        }
        Ok((outputs, goes_on))
    }

    fn catch_up(&self) -> Option<Output> {
        let is_due = self.under_way.is_empty() && self.head != self.confirmed;
        is_due.then_some(Output::CatchUp { from: self.confirmed, hash: None })
    }
}

fn check(hello: &wire::Hello) -> Result<(), Closing> {
    if hello.node_id.is_empty() || hello.log_id.is_empty() {
        return Err(Closing::Nameless);
    }
    match (hello.schema_min..=hello.schema_max).contains(&SCHEMA) {
        true => Ok(()),
        false if hello.schema_max < SCHEMA => Err(Closing::TooOld),
        false => Err(Closing::TooNew),
    }
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
