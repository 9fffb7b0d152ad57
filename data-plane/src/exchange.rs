//! The life of a request, top to bottom: admit, read, resolve, attempt, relay, settle.
//!
//! Nothing here awaits the control plane, a database, or a lock. However a request ends, its
//! [`Settlement`] leaves exactly one record; none if the usage log takes no more and nothing was sent.

use std::{net::IpAddr, panic::AssertUnwindSafe, pin::Pin, sync::Arc};

use bitrouter_runtime::drain;
use bitrouter_translate::{
    Surface,
    scan::{self, RequestHead, estimate_input_tokens, scan},
    surface::Call,
};
use bytes::Bytes;
use futures::FutureExt;
use http::{Response, Version, header, request::Parts};
use http_body::Body as _;
use hyper::body::Incoming;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::{
    admit::{Anonymous, Principal, admit},
    health::Health,
    limits::Limiter,
    metrics::Levels,
    proxy::{
        answer::{fail, respond},
        attempt::{Attempts, Job, Reply},
        detach::{Accompanied, Company, Detached},
        error::RequestError,
        headers::toward_provider,
        hints,
        read::{discard, read},
        relay::{self, AnswerBody},
        settle::{Books, Settlement},
    },
    record::{Asked, Record},
    resolve::{Ask, Effects, Operation, Plan, ResolveError, Turns, Unresolved, resolve},
    settings::{Limits, PhaseTimeouts},
    sync::Tables,
    table::RoutingTable,
    upstream::client::Upstream,
};

/// Everything that requests share.
pub(crate) struct Exchange {
    pub(crate) tables: Tables,
    pub(crate) health: Health,
    pub(crate) limiter: Limiter,
    /// Whose turn it is among equals.
    pub(crate) turns: Turns,
    pub(crate) upstream: Upstream,
    pub(crate) books: Books,
    pub(crate) rules: Rules,
    pub(crate) detached: Detached,
    pub(crate) tasks: TaskTracker,
    pub(crate) drain: drain::Watcher,
}

/// What the settings say about requests.
pub(crate) struct Rules {
    pub(crate) anonymous: Anonymous,
    pub(crate) limits: Limits,
    pub(crate) timeouts: PhaseTimeouts,
}

/// A request as it arrives.
pub(crate) struct Arrival {
    pub(crate) call: Call,
    pub(crate) head: Parts,
    pub(crate) body: Incoming,
    /// What it is if it presents no key.
    pub(crate) anonymous: Anonymous,
    pub(crate) client: IpAddr,
}

/// What the work of a request gives: an answer to pass on, or why there is none.
type Ended = (Result<Reply, RequestError>, Settlement);

impl Exchange {
    /// Serves one call that goes to a provider.
    pub(crate) async fn serve(self: &Arc<Self>, arrival: Arrival) -> Response<AnswerBody> {
        let dialect = arrival.call.dialect;
        let settlement = self.open(&arrival);
        let id = settlement.request_id().to_owned();
        let life = AssertUnwindSafe(self.live(arrival, settlement)).catch_unwind();
        life.await.unwrap_or_else(|_| {
            // The settlement was written as it was dropped.
            tracing::error!(request.id = id, "a request's handling panicked");
            fail(&RequestError::Defect, dialect, None, Some(&id))
        })
    }

    /// The numbers, as text.
    pub(crate) fn draw_metrics(&self) -> String {
        self.books.metrics.draw(&Levels {
            detached: self.detached.running(),
            spool: self.books.spool.status(),
            revision: self.tables.load().revision().0,
        })
    }

    async fn live(
        self: &Arc<Self>,
        arrival: Arrival,
        mut settlement: Settlement,
    ) -> Response<AnswerBody> {
        let dialect = arrival.call.dialect;
        let (job, plan) = match self.understand(arrival, &mut settlement).await {
            Ok(understood) => understood,
            Err(error) => return fail(&error, dialect, Some(settlement), None),
        };
        let company = Company::default();
        let work = Box::pin(Arc::clone(self).attempt(job, plan, settlement, company.clone()));
        let (ended, settlement) =
            Accompanied::new(work, company, conclude_alone, self.detached.clone()).await;
        match ended {
            Ok(reply) => respond(reply, settlement, &self.detached),
            Err(error) => fail(&error, dialect, Some(settlement), None),
        }
    }

    /// Everything up to the plan: nothing has been sent yet.
    async fn understand(
        &self,
        arrival: Arrival,
        settlement: &mut Settlement,
    ) -> Result<(Job, Plan), RequestError> {
        let Arrival { call, head, body, anonymous, client } = arrival;
        let table = self.tables.load();
        let admitted = self.admit(&head, anonymous, &table, settlement);
        let principal = match admitted {
            Ok(principal) => principal,
            Err(error) => {
                tracing::debug!(client.address = %client, %error, "refused at the door");
                self.let_go(&head, body);
                return Err(error);
            }
        };
        let deadline = hints::deadline(&head.headers)?.map(|wait| Instant::now() + wait);
        let mut body = self.read(&head, body).await?;
        settlement.note(|record| record.asked.request_bytes = len(&body));
        let mut asked = scan(call.surface, call.model.as_deref(), &body)?;
        hints::check_model(&asked.model)?;
        let streams = streams(call.surface, &asked);
        settlement.note(|record| {
            record.asked.model.clone_from(&asked.model);
            record.asked.is_streamed = streams;
            record.asked.session_id = hints::session(&head.headers, &asked.session);
            record.asked.tags = hints::tags(&head.headers, &asked.session);
        });
        let plan = self.plan(&call, &asked, &body, &principal, &table, settlement)?;
        self.limit(&principal, &asked, settlement)?;
        if !plan.effects.is_empty() {
            body = apply(call.surface, &body, &plan.effects)?;
            asked = scan(call.surface, call.model.as_deref(), &body)?;
        }
        let job = Job {
            surface: call.surface,
            query: head.uri.query().map(str::to_owned),
            headers: toward_provider(&head.headers),
            body,
            streams,
            head: asked,
            deadline,
        };
        Ok((job, plan))
    }

    fn open(&self, arrival: &Arrival) -> Settlement {
        let (now, started) = (self.books.clock.now(), self.books.clock.instant());
        let asked = Asked {
            model: arrival.call.model.clone().map(hints::shortened).unwrap_or_default(),
            dialect: arrival.call.dialect,
            operation: operation(arrival.call.surface),
            is_streamed: false,
            session_id: String::new(),
            tags: Vec::new(),
            request_bytes: 0,
        };
        // Who it is will be found out.
        let record = Record::new(self.books.entropy.uuid(now), now, asked, &Principal::Local);
        let gauge = self.books.metrics.enter();
        Settlement::open(self.books.clone(), record, arrival.call.surface, started, gauge)
    }

    /// Whether the router takes the request at all, and whose it is.
    fn admit(
        &self,
        head: &Parts,
        anonymous: Anonymous,
        table: &RoutingTable,
        settlement: &mut Settlement,
    ) -> Result<Principal, RequestError> {
        // First: a refusal for another reason leaves a record.
        self.books.spool.check()?;
        let limit = self.rules.limits.max_in_flight;
        if self.drain.is_draining() {
            return Err(RequestError::Draining);
        }
        if self.books.metrics.in_flight() > limit {
            return Err(RequestError::Overloaded { limit });
        }
        if table.revision().0 == 0 {
            return Err(RequestError::NotReady);
        }
        let now = self.books.clock.now();
        let principal = admit(&head.headers, head.uri.query(), table, anonymous, now)?;
        settlement.admitted(&principal);
        Ok(principal)
    }

    /// Lets a client that is sending already finish, within bounds; one that asked first is told.
    fn let_go(&self, head: &Parts, rest: Incoming) {
        let is_sending = !rest.is_end_stream() && !head.headers.contains_key(header::EXPECT);
        if is_sending && head.version < Version::HTTP_2 {
            self.tasks.spawn(discard(rest));
        }
    }

    async fn read(&self, head: &Parts, body: Incoming) -> Result<Bytes, RequestError> {
        let limits = &self.rules.limits;
        match read(&head.headers, body, limits.max_body, limits.body_grace).await {
            Ok(body) => Ok(body),
            Err((error, rest)) => {
                if let Some(rest) = rest {
                    self.let_go(head, rest);
                }
                Err(error.into())
            }
        }
    }

    fn plan(
        &self,
        call: &Call,
        asked: &RequestHead,
        body: &[u8],
        principal: &Principal,
        table: &RoutingTable,
        settlement: &mut Settlement,
    ) -> Result<Plan, RequestError> {
        let mut ask = Ask {
            model: &asked.model,
            dialect: call.surface.dialect().unwrap_or(call.dialect),
            operation: operation(call.surface),
            principal,
            input_tokens: estimate_input_tokens(asked.body_len),
            max_output_tokens: asked.max_output_tokens,
        };
        let (now, seed) = (self.books.clock.instant(), self.turns.next(&asked.model));
        let mut planned = resolve(&ask, table, &self.health, now, seed);
        // Images and files are long and are few tokens: a length says nothing about them.
        if planned.as_ref().err().is_some_and(|it| is_too_long(it)) && hints::holds_files(body) {
            ask.input_tokens = 0;
            planned = resolve(&ask, table, &self.health, now, seed);
        }
        match &planned {
            Ok(plan) => settlement.note(|record| record.resolve(plan)),
            Err(none) => settlement.note(|record| record.unresolved(none, table.revision())),
        }
        Ok(planned?)
    }

    /// The key's own limits; the answer's tokens are booked when it is settled.
    fn limit(
        &self,
        principal: &Principal,
        asked: &RequestHead,
        settlement: &mut Settlement,
    ) -> Result<(), RequestError> {
        let Some(key) = principal.key() else { return Ok(()) };
        let estimate = estimate_input_tokens(asked.body_len)
            .saturating_add(asked.max_output_tokens.unwrap_or(0));
        settlement.hold(self.limiter.admit(key, estimate, self.books.clock.instant())?);
        Ok(())
    }

    /// Asks the providers. Owns all that it needs, since it may outlive its client.
    async fn attempt(
        self: Arc<Self>,
        job: Job,
        plan: Plan,
        mut settlement: Settlement,
        company: Company,
    ) -> Ended {
        let attempts = Attempts {
            upstream: &self.upstream,
            books: &self.books,
            defaults: self.rules.timeouts,
            job: &job,
            company: &company,
        };
        let ended = attempts.run(&plan, &mut settlement).await;
        (ended, settlement)
    }
}

/// What becomes of an answer whose client has left.
fn conclude_alone((ended, settlement): Ended) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        match ended {
            Ok(reply) => relay::conclude_alone(reply, settlement).await,
            Err(error) => tracing::debug!(%error, "an attempt failed after its client left"),
        }
    })
}

/// Adds what a preset and a variant say to the request.
fn apply(surface: Surface, body: &Bytes, effects: &Effects) -> Result<Bytes, RequestError> {
    let nothing = serde_json::Map::new();
    let mut body = body.clone();
    for parameters in effects.parameters() {
        let preset = scan::Preset { parameters, system_prompt: None };
        body = scan::apply_preset(surface, &body, preset)?;
    }
    let preset = scan::Preset { parameters: &nothing, system_prompt: effects.system_prompt() };
    if preset.system_prompt.is_some() {
        body = scan::apply_preset(surface, &body, preset)?;
    }
    Ok(body)
}

fn is_too_long(unresolved: &Unresolved) -> bool {
    matches!(unresolved.error, ResolveError::InputTooLong { .. })
}

const fn operation(surface: Surface) -> Operation {
    match surface {
        Surface::Embeddings | Surface::EmbedContent { .. } => Operation::Embed,
        Surface::Completions => Operation::Complete,
        Surface::ChatCompletions
        | Surface::Responses
        | Surface::Messages
        | Surface::GenerateContent { .. }
        | Surface::ListModels
        | Surface::Model
        | Surface::NotYet(_) => Operation::Generate,
    }
}

const fn streams(surface: Surface, asked: &RequestHead) -> bool {
    match surface {
        Surface::GenerateContent { stream } => stream,
        Surface::ChatCompletions
        | Surface::Completions
        | Surface::Responses
        | Surface::Messages => asked.stream,
        Surface::Embeddings
        | Surface::EmbedContent { .. }
        | Surface::ListModels
        | Surface::Model
        | Surface::NotYet(_) => false,
    }
}

fn len(body: &Bytes) -> u64 {
    u64::try_from(body.len()).unwrap_or(u64::MAX)
}
