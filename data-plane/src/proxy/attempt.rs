//! Asks one endpoint after the other until one gives an answer to pass on.
//!
//! Nothing of an answer reaches the client before it is known to be good: a stream is held until its
//! first meaningful event, a whole answer until it is whole. Up to there another endpoint may take
//! over; after it, never. Each attempt is in the usage log before it is made.

mod answer;

use std::{collections::VecDeque, time::Duration};

use bitrouter_translate::{
    Surface,
    error::UpstreamFault,
    scan::{RequestHead, Rewrite, rewrite},
};
use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use self::answer::{Answer, Limit};
pub(crate) use self::answer::{Content, Reply};
use super::{
    detach::Company,
    error::{AttemptError, Exhausted, RequestError},
    settle::{Books, Settlement},
};
use crate::{
    health::{Refusal, Resort},
    resolve::{Candidate, Plan},
    settings::PhaseTimeouts,
    table::Billing,
    upstream::{
        client::{DialError, Patience, Upstream, Via},
        request::{Addressee, Question, build},
    },
};

/// One request, understood.
pub(crate) struct Job {
    pub(crate) surface: Surface,
    /// The client's, raw.
    pub(crate) query: Option<String>,
    /// Those of the client that providers may see.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) head: RequestHead,
    /// True if the answer is to come as a stream.
    pub(crate) streams: bool,
    /// When the client wants the answer to have begun, or a whole one to be there.
    pub(crate) deadline: Option<Instant>,
}

/// Why an attempt ended without an answer to pass on.
enum Trouble {
    /// Another endpoint may do better.
    Next(AttemptError),
    /// Only a larger context window may do better; until then, this is the answer.
    Larger(UpstreamFault, Box<Reply>),
    /// No other endpoint would do better, and the provider's words are not for the client.
    Stop(AttemptError),
}

/// An answer that says that the request is too long for the model.
struct TooLong<'a> {
    candidate: &'a Candidate,
    reply: Box<Reply>,
    fault: UpstreamFault,
    /// The model's context window, where it is known.
    window: Option<u64>,
}

/// Tries a plan's candidates in order.
pub(crate) struct Attempts<'a> {
    pub(crate) upstream: &'a Upstream,
    pub(crate) books: &'a Books,
    pub(crate) defaults: PhaseTimeouts,
    pub(crate) job: &'a Job,
    pub(crate) company: &'a Company,
}

impl Attempts<'_> {
    /// Gives the first answer that can be passed on.
    pub(crate) async fn run(
        &self,
        plan: &Plan,
        settlement: &mut Settlement,
    ) -> Result<Reply, RequestError> {
        let mut failures = Vec::new();
        // The answer that stands while a larger context window is looked for.
        let mut too_long: Option<TooLong<'_>> = None;
        // What is being probed goes last, and is then asked all the same.
        let mut queue: VecDeque<_> = plan.candidates.iter().map(|it| (it, Resort::Usual)).collect();
        while let Some((candidate, resort)) = queue.pop_front() {
            let window = candidate.listed().and_then(|model| model.max_input_tokens);
            if too_long.as_ref().is_some_and(|it| window <= it.window) {
                settlement.left_out(candidate, "its context window is no larger");
                continue;
            }
            let busy = match candidate.health.begin(self.books.clock.instant(), resort) {
                Ok(busy) => busy,
                Err(Refusal::Probing) => {
                    queue.push_back((candidate, Resort::Last));
                    continue;
                }
                Err(refusal) => {
                    settlement.left_out(candidate, &refusal.to_string());
                    failures.push((candidate.endpoint(), AttemptError::Skipped(refusal)));
                    continue;
                }
            };
            let reason = match failures.last() {
                None => candidate.placed.to_string(),
                Some((endpoint, error)) => format!("after {endpoint}: {}", error.code()),
            };
            settlement.begin_attempt(candidate, reason, busy).await?;
            let (error, is_last) = match self.twice(candidate, settlement).await {
                Ok(reply) => return Ok(reply),
                Err(Trouble::Next(error)) => (error, false),
                Err(Trouble::Stop(error)) => (error, true),
                Err(Trouble::Larger(fault, reply)) => {
                    too_long = Some(TooLong { candidate, reply, fault: fault.clone(), window });
                    (AttemptError::Fault(fault), false)
                }
            };
            self.company.set_billed(false);
            settlement.attempt_failed(&error);
            failures.push((candidate.endpoint(), error));
            if is_last || self.company.has_left() || self.is_over() {
                break;
            }
        }
        match too_long {
            Some(TooLong { candidate, reply, fault, .. }) => {
                settlement.passes_earlier(candidate, &fault);
                Ok(*reply)
            }
            None => Err(Exhausted { failures }.into()),
        }
    }

    /// Once, and once more on a new connection if a kept one turned out to be dead.
    async fn twice(
        &self,
        candidate: &Candidate,
        settlement: &mut Settlement,
    ) -> Result<Reply, Trouble> {
        match self.once(candidate, Via::Any, settlement).await {
            Err(Trouble::Next(AttemptError::Dial(DialError::Stale))) => {
                self.once(candidate, Via::New, settlement).await
            }
            ended => ended,
        }
    }

    async fn once(
        &self,
        candidate: &Candidate,
        via: Via,
        settlement: &mut Settlement,
    ) -> Result<Reply, Trouble> {
        let limits = self.limits_of(candidate);
        let asks_for_usage = self.asks_for_usage(candidate);
        let addressee = Addressee {
            base_url: &candidate.base_url,
            model: &candidate.model,
            wire: &candidate.provider.wire,
            secret: candidate.secret(),
        };
        let question = Question {
            surface: self.job.surface,
            query: self.job.query.as_deref(),
            headers: &self.job.headers,
        };
        let is_renamed = self.job.head.model != *candidate.model;
        let change =
            Rewrite { model: is_renamed.then_some(&candidate.model), stream_usage: asks_for_usage };
        let body = rewrite(&self.job.body, &self.job.head, change);
        let request = build(addressee, question, body).map_err(|it| Trouble::Next(it.into()))?;

        let wait = if self.job.streams { limits.first_token } else { limits.total };
        let patience = Patience { connect: limits.connect, answer: wait };
        // From here on the provider may bill, whether or not the client stays.
        let dialled = || self.company.set_billed(candidate.provider.billing == Billing::Token);
        let sent = self.upstream.send(request, via, patience, dialled).await;
        let (answer, deadline) = sent.map_err(|error| Trouble::Next(error.into()))?;
        let (head, body) = answer.into_parts();
        let incoming = Answer {
            surface: self.job.surface,
            status: head.status,
            headers: head.headers,
            body,
            idle: limits.idle,
            limit: Limit { deadline, wait },
        };
        if incoming.status.is_success() {
            settlement.began_well();
        }
        if !incoming.status.is_success() {
            incoming.refusal(self.books.clock.now(), settlement).await
        } else if self.job.streams && incoming.is_stream() {
            incoming.open_stream(asks_for_usage, settlement).await
        } else {
            incoming.read_whole(settlement).await
        }
    }

    /// The limits of the model, else of the provider, else the defaults; none ends after the client's
    /// deadline.
    fn limits_of(&self, candidate: &Candidate) -> PhaseTimeouts {
        let own = candidate.timeouts();
        let left = self.job.deadline.map(|end| end.saturating_duration_since(Instant::now()));
        let limit = |own: Option<u32>, default: Duration| {
            let limit = own.map_or(default, |ms| Duration::from_millis(ms.into()));
            left.map_or(limit, |left| limit.min(left))
        };
        PhaseTimeouts {
            connect: limit(own.connect_ms, self.defaults.connect),
            first_token: limit(own.first_token_ms, self.defaults.first_token),
            idle: own.idle_ms.map_or(self.defaults.idle, |ms| Duration::from_millis(ms.into())),
            total: limit(own.total_ms, self.defaults.total),
        }
    }

    /// True if a stream's usage has to be asked for, and is to be hidden from the client again.
    fn asks_for_usage(&self, candidate: &Candidate) -> bool {
        matches!(self.job.surface, Surface::ChatCompletions | Surface::Completions)
            && self.job.streams
            && !self.job.head.wants_stream_usage
            && !candidate.provider.wire.stream_usage_unasked
    }

    fn is_over(&self) -> bool {
        self.job.deadline.is_some_and(|end| end <= Instant::now())
    }
}
