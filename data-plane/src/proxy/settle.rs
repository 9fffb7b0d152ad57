//! Concludes a request: usage becomes tokens, tokens become cost, and one record is written.
//!
//! A [`Settlement`] accompanies the request from its arrival. However it ends (an answer, a refusal, a
//! client that left, a panic), it is settled exactly once: at the latest when it is dropped. Limits,
//! health and metrics hear of it at the same moment.

use std::{borrow::Cow, fmt, sync::Arc, time::Instant};

use bitrouter_metering::{Cost, Micros, Price, Tokens};
use bitrouter_runtime::{Clock, Entropy};
use bitrouter_translate::{
    Surface,
    error::{FaultKind, UpstreamFault},
    observe::{Observed, StreamEnd, StreamOutcome},
};
use http::StatusCode;

use super::{error::AttemptError, redact::Redactor};
use crate::{
    admit::Principal,
    health::{Failure, InFlight},
    limits::{Permit, Used},
    metrics::{InFlightGauge, Metrics},
    record::{self, Attempt, Outcome, Record, Recording},
    resolve::{Candidate, Endpoint},
    spool::{Spool, SpoolError},
    table::Billing,
};

/// How an answer ended, and what it said about itself.
#[derive(Debug)]
pub(crate) struct Ending {
    outcome: Outcome,
    observed: Observed,
    /// True if it was not seen to its end, so that more may have been used than it said.
    is_partial: bool,
}

impl Ending {
    /// Of an answer in one piece.
    pub(crate) const fn whole(outcome: Outcome, observed: Observed) -> Self {
        Self { outcome, observed, is_partial: false }
    }

    /// Of a stream, however far it was read.
    pub(crate) fn of_stream(outcome: Outcome, end: StreamEnd) -> Self {
        let is_partial = end.outcome != StreamOutcome::Complete;
        Self { outcome, observed: end.observed, is_partial }
    }
}

/// What every settlement needs, shared by all.
#[derive(Clone)]
pub(crate) struct Books {
    pub(crate) clock: Clock,
    pub(crate) entropy: Entropy,
    pub(crate) spool: Spool,
    pub(crate) metrics: Arc<Metrics>,
}

/// One request's way to its record.
pub(crate) struct Settlement {
    books: Books,
    surface: Surface,
    request_id: String,
    started: Instant,
    /// `None` once it is written.
    recording: Option<Recording>,
    current: Option<Current>,
    /// Whose answer is passed on, where another endpoint was tried after it.
    earlier: Option<Candidate>,
    permit: Option<Permit>,
    error_code: Cow<'static, str>,
    _in_flight: InFlightGauge,
}

/// The attempt under way.
struct Current {
    candidate: Candidate,
    busy: InFlight,
    began: Instant,
    first_byte: Option<Instant>,
    /// True if its pace is the model's: a whole answer comes when it is finished.
    is_stream: bool,
}

impl Settlement {
    /// Begins with a request's arrival.
    pub(crate) fn open(
        books: Books,
        record: Record,
        surface: Surface,
        started: Instant,
        in_flight: InFlightGauge,
    ) -> Self {
        let request_id = record.event_id.to_string();
        let recording = Some(Recording::new(record, books.spool.clone(), started));
        Self {
            books,
            surface,
            request_id,
            started,
            recording,
            current: None,
            earlier: None,
            permit: None,
            error_code: Cow::Borrowed(""),
            _in_flight: in_flight,
        }
    }

    /// The request's id, as text.
    pub(crate) fn request_id(&self) -> &str {
        &self.request_id
    }

    /// Blots the secret of whoever answers out of what its provider says.
    pub(crate) fn redactor(&self) -> Redactor<'_> {
        let current = self.current.as_ref().map(|current| &current.candidate);
        Redactor::new(current.or(self.earlier.as_ref()).and_then(Candidate::secret))
    }

    /// Changes what is known of the request.
    pub(crate) fn note(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(recording) = &mut self.recording {
            change(recording.record());
        }
    }

    /// Notes who asks.
    pub(crate) fn admitted(&mut self, principal: &Principal) {
        let Some(key) = principal.key() else { return };
        self.note(|record| {
            record.key_id = Arc::clone(&key.id);
            record.user_id = Arc::clone(&key.user_id);
        });
    }

    /// Keeps the key's limits informed to the end.
    pub(crate) fn hold(&mut self, permit: Permit) {
        self.permit = Some(permit);
    }

    /// Writes down that an attempt is about to be made; only then it may be.
    pub(crate) async fn begin_attempt(
        &mut self,
        candidate: &Candidate,
        reason: String,
        busy: InFlight,
    ) -> Result<(), SpoolError> {
        let now = self.books.clock.instant();
        if let Some(recording) = &mut self.recording {
            recording.begin_attempt(candidate, reason, now).await?;
        }
        let candidate = candidate.clone();
        self.current =
            Some(Current { candidate, busy, began: now, first_byte: None, is_stream: false });
        Ok(())
    }

    /// The attempt gave nothing to pass on; another one may follow.
    pub(crate) fn attempt_failed(&mut self, error: &AttemptError) {
        let now = self.books.clock.instant();
        let mut provider = None;
        if let Some(mut current) = self.current.take() {
            match (failure_of(error), error) {
                (Some(failure), _) => {
                    current.busy.failed(failure, now, self.books.entropy.number());
                }
                (None, AttemptError::Fault(_)) => current.busy.answered(None, now),
                // Nothing was sent: nothing is known.
                (None, _) => {}
            }
            provider = Some(current.candidate.provider);
        }
        if let Some(provider) = provider {
            self.books.metrics.attempt(&provider.id, error.outcome());
        }
        self.note(|record| {
            if let Some(attempt) = record.last_attempt() {
                attempt.end(error.outcome(), now);
                attempt.status = Some(error.status()).filter(|status| *status > 0);
                error.code().clone_into(&mut attempt.error_code);
                attempt.may_have_been_billed = error.may_have_been_billed();
            }
        });
    }

    /// The head of a good answer has come; whether it can be passed on is not known yet.
    pub(crate) fn began_well(&mut self) {
        if let Some(current) = &mut self.current {
            current.busy.began_well();
        }
    }

    /// The first piece of the answer's body has come.
    pub(crate) fn first_piece(&mut self) {
        let now = self.books.clock.instant();
        if let Some(current) = &mut self.current {
            current.first_byte.get_or_insert(now);
        }
    }

    /// The answer is a stream that says something.
    pub(crate) const fn streams(&mut self) {
        if let Some(current) = &mut self.current {
            current.is_stream = true;
        }
    }

    /// The provider's answer has begun: this is the attempt that the client gets to see.
    pub(crate) fn answered(&mut self, status: StatusCode) {
        let now = self.books.clock.instant();
        let mut first_byte = now;
        if let Some(current) = &mut self.current {
            first_byte = *current.first_byte.get_or_insert(now);
            let wait = first_byte.saturating_duration_since(current.began);
            let is_measure = current.is_stream && status.is_success();
            current.busy.answered(is_measure.then_some(wait), now);
        }
        let since_arrival = first_byte.saturating_duration_since(self.started);
        if let Some(recording) = &mut self.recording {
            let told = recording.unless_told();
            told.status = Some(status.as_u16());
            told.first_byte = Some(since_arrival);
            if let Some(attempt) = recording.record().last_attempt() {
                attempt.status = Some(status.as_u16());
                attempt.first_byte = Some(first_byte.saturating_duration_since(attempt.started));
            }
        }
    }

    /// A candidate that is not tried after all.
    pub(crate) fn left_out(&mut self, candidate: &Candidate, reason: &str) {
        let left_out = (candidate.endpoint(), reason.to_owned());
        self.note(|record| record.resolved.left_out.push(left_out));
    }

    /// The client gets to see the error of an attempt that had ended already.
    pub(crate) fn passes_earlier(&mut self, candidate: &Candidate, fault: &UpstreamFault) {
        self.earlier = Some(candidate.clone());
        self.passed_fault(fault);
    }

    /// The provider answered with an error that the client gets to see.
    pub(crate) fn passed_fault(&mut self, fault: &UpstreamFault) {
        let code = fault.code.clone().unwrap_or_else(|| fault.kind.as_str().to_owned());
        if let (true, Some(recording)) = (self.current.is_some(), &mut self.recording)
            && let Some(attempt) = recording.record().last_attempt()
        {
            attempt.error_code.clone_from(&code);
        }
        self.error_code = Cow::Owned(code);
    }

    /// The answer ends early, with an error of ours.
    pub(crate) fn broke_off(&mut self, code: &'static str) {
        self.error_code = Cow::Borrowed(code);
    }

    /// Notes which status the client gets.
    pub(crate) fn tell(&mut self, status: StatusCode) {
        if let Some(recording) = &mut self.recording {
            recording.unless_told().status = Some(status.as_u16());
        }
    }

    /// Counts what goes to the client.
    pub(crate) fn sent(&mut self, bytes: usize) {
        if let Some(recording) = &mut self.recording {
            recording.unless_told().response_bytes += u64::try_from(bytes).unwrap_or(u64::MAX);
        }
    }

    /// True if what the provider bills for the rest is worth knowing.
    pub(crate) fn is_worth_draining(&self) -> bool {
        let billing = self.current.as_ref().map(|current| current.candidate.provider.billing);
        billing == Some(Billing::Token)
    }

    /// The endpoint whose answer it is, and the number of attempts.
    pub(crate) fn served_by(&mut self) -> Option<(Endpoint, usize)> {
        let attempts = &self.recording.as_mut()?.record().attempts;
        let last = || attempts.last().map(|attempt| attempt.endpoint.clone());
        let served = self.earlier.as_ref().map(Candidate::endpoint).or_else(last);
        Some((served?, attempts.len()))
    }

    /// What the answer costs, as far as it is known.
    pub(crate) fn cost_of(&self, observed: &Observed) -> Option<Cost> {
        let price = self.current.as_ref()?.candidate.price();
        observed.tokens.map(|tokens| cost(price, &tokens))
    }

    /// The usage log takes no record: none is kept in memory for a request that was never begun, or
    /// whoever asks could fill it. It is counted instead.
    pub(crate) fn forgo_record(&mut self) {
        if self.recording.as_mut().is_some_and(Recording::forgo) {
            self.books.metrics.unrecorded();
        }
    }

    /// Concludes with an answer.
    pub(crate) fn conclude(mut self, ending: Ending) {
        self.finish(ending);
    }

    /// Concludes with an error of ours.
    pub(crate) fn refuse(
        mut self,
        outcome: Outcome,
        status: StatusCode,
        code: &'static str,
        bytes: usize,
    ) {
        self.error_code = Cow::Borrowed(code);
        self.tell(status);
        self.sent(bytes);
        self.finish(Ending::whole(outcome, Observed::default()));
    }

    fn finish(&mut self, ending: Ending) {
        let outcome = ending.outcome;
        let Some(mut recording) = self.recording.take() else { return };
        let now = self.books.clock.instant();
        if let Some(current) = self.current.take() {
            self.finish_attempt(recording.record(), current, ending, now);
        }
        let record = recording.record();
        if let Some(mut permit) = self.permit.take() {
            let known = record.tokens().total();
            let is_unknown = record.attempts.iter().any(Attempt::is_usage_unknown);
            let used = if is_unknown { Used::AtLeast(known) } else { Used::Exactly(known) };
            permit.settle(used, now);
        }
        let mut ending: record::Ending = recording.unless_told().clone();
        ending.outcome = outcome;
        ending.error_code = std::mem::take(&mut self.error_code);
        let duration = now.saturating_duration_since(self.started);
        self.books.metrics.settled(self.surface, recording.record(), &ending, duration);
        tracing::debug!(
            request.id = self.request_id,
            key.id = &*recording.record().key_id,
            status = ending.status,
            outcome = ?ending.outcome,
            duration_ms = duration.as_millis(),
            "a request ended"
        );
        recording.finish(ending);
    }

    fn finish_attempt(&self, record: &mut Record, current: Current, ending: Ending, now: Instant) {
        let Ending { outcome, observed, is_partial } = ending;
        self.books.metrics.attempt(&current.candidate.provider.id, outcome);
        if let Some(attempt) = record.last_attempt() {
            attempt.usage = observed.tokens;
            attempt.cost = observed.tokens.map(|it| cost(current.candidate.price(), &it));
            attempt.is_anomalous = observed.anomaly;
            let is_clear = matches!(outcome, Outcome::Completed | Outcome::UpstreamError);
            attempt.is_partial = is_partial;
            attempt.may_have_been_billed = !is_clear && (is_partial || observed.tokens.is_none());
            if let Some(mut code) = observed.fault.as_ref().and_then(|fault| fault.code.clone()) {
                Redactor::new(current.candidate.secret()).text(&mut code);
                attempt.error_code = code;
            }
            attempt.end(outcome, now);
        }
        if let (true, Some(tokens), Some(first)) =
            (current.is_stream, observed.tokens, current.first_byte)
        {
            let span = now.saturating_duration_since(first);
            current.busy.streamed(tokens.output_total(), span, now);
        }
        if matches!(outcome, Outcome::Interrupted | Outcome::Timeout) {
            current.busy.failed(Failure::Broken, now, self.books.entropy.number());
        }
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let outcome =
            if std::thread::panicking() { Outcome::Interrupted } else { Outcome::ClientGone };
        self.finish(Ending::whole(outcome, Observed::default()));
    }
}

impl fmt::Debug for Settlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settlement").field("request_id", &self.request_id).finish_non_exhaustive()
    }
}

/// What the tokens cost. Without any price everything that was used is unpriced, never free.
fn cost(price: Option<&Price>, tokens: &Tokens) -> Cost {
    match price {
        Some(price) => price.cost(tokens),
        None => match tokens.by_class().into_iter().find(|(_, count)| *count > 0) {
            None => Cost::Priced(Micros::ZERO),
            Some((missing, _)) => Cost::Unpriced { known: Micros::ZERO, missing },
        },
    }
}

/// What a failed attempt says about the endpoint's health. `None`: it works, and refused this request.
fn failure_of(error: &AttemptError) -> Option<Failure> {
    let AttemptError::Fault(fault) = error else {
        return (!matches!(error, AttemptError::Skipped(_) | AttemptError::Unsendable(_)))
            .then_some(Failure::Broken);
    };
    match fault.kind {
        FaultKind::RateLimited => Some(Failure::RateLimited { retry_after: fault.retry_after }),
        FaultKind::Overloaded if fault.retry_after.is_some() => {
            Some(Failure::RateLimited { retry_after: fault.retry_after })
        }
        FaultKind::Auth => Some(Failure::Credential),
        FaultKind::Credit => Some(Failure::Credit),
        FaultKind::Overloaded | FaultKind::Server | FaultKind::Timeout | FaultKind::Malformed => {
            Some(Failure::Broken)
        }
        FaultKind::ContextWindow | FaultKind::NotFound | FaultKind::Invalid => None,
    }
}

#[cfg(test)]
mod tests {
    use bitrouter_metering::TokenClass;

    use super::*;

    #[test]
    fn usage_without_a_price_is_unpriced_and_no_usage_costs_nothing() {
        let used = Tokens { output: 3, ..Tokens::default() };
        let unpriced = Cost::Unpriced { known: Micros::ZERO, missing: TokenClass::Output };
        assert_eq!(cost(None, &used), unpriced);
        assert_eq!(cost(None, &Tokens::default()), Cost::Priced(Micros::ZERO));
        assert_eq!(cost(Some(&Price::free()), &used), Cost::Priced(Micros::ZERO));
    }
}
