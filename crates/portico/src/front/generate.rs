//! One call from admission to the first byte of its answer.
//!
//! A permit is taken, the call is sent; where a supervised model turns out to be gone although it counted as ready,
//! nothing was sent, so the call waits in the line again. A stream that still waits after `queue.keepalive` is
//! begun towards the client, so that nothing in between gives up; until then a refusal is still a status.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::headers::Origin;
use super::models::Served;
use super::respond::Context;
use super::snapshot::Snapshot;
use super::stream::StreamBody;
use super::{Answer, Connection};
use crate::api::body::BudgetGuard;
use crate::api::{Call, EventFilter, Recipient, Usage, answer};
use crate::observe::{Record, UpstreamTimes};
use crate::queue::{Admission, Permit, Place, Ticket};
use crate::reason::{Reason, Refusal};
use crate::sys::clock::Instant;
use crate::types::Dialect;
use crate::upstream::{self, ExchangeError, Outbound, Payload, SendFailure, Sent};

/// A whole answer may be so large: embeddings of many inputs are megabytes.
pub(super) const LARGEST_ANSWER_BYTES: usize = 64 * 1024 * 1024;
/// An error of the model server is read so far.
const LARGEST_ERROR_BYTES: usize = 64 * 1024;

/// The place in the line that a call had when it began to wait; 0 when it did not.
pub(super) type Position = usize;

/// A whole answer, ready to be written.
pub(super) struct Whole {
    pub(super) body: Bytes,
    pub(super) content_type: &'static str,
    pub(super) position: Position,
}

/// A call on its way. Everything it needs is its own, so that it can go on inside a response body.
pub(super) struct Job {
    snapshot: Arc<Snapshot>,
    served: Arc<Served>,
    call: Call,
    origin: Origin,
    budget: BudgetGuard,
}

/// What is told about a job while it runs.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// In the line, not yet with the model server.
    pub(super) waiting: Cell<bool>,
    /// When it began to wait.
    pub(super) position: Cell<Position>,
    place: RefCell<Option<Place>>,
    pub(super) queued: Cell<Duration>,
    pub(super) times: Cell<UpstreamTimes>,
}

/// What waiting has led to.
enum Waited {
    Running(Running),
    /// The client is answered while the call still waits.
    Answer(Answer),
}

/// The head of a good answer, its body still to come.
pub(super) struct Running {
    pub(super) sent: Sent,
    pub(super) permit: Permit,
    pub(super) budget: BudgetGuard,
}

impl Job {
    pub(super) fn new(
        snapshot: Arc<Snapshot>,
        served: Arc<Served>,
        call: Call,
        origin: Origin,
        budget: BudgetGuard,
    ) -> Self {
        Self { snapshot, served, call, origin, budget }
    }

    pub(super) async fn run(
        self,
        record: &mut Record,
        context: &Context,
        connection: &Rc<dyn Connection>,
    ) -> Result<Answer, Refusal> {
        let progress = Rc::new(Progress::default());
        let (facts, dialect) = (self.call.facts.clone(), self.call.operation.dialect());
        let running = match self.served.line.enter()? {
            // The usual case: there is room, and the model server is there.
            Admission::Now(permit) => {
                match self.attempt(permit, &progress).await.inspect_err(|_| progress.note(record))? {
                    Some((sent, permit)) => Running { sent, permit, budget: self.budget },
                    None => match Box::pin(self.wait(None, &progress, record, context, connection)).await? {
                        Waited::Running(running) => running,
                        Waited::Answer(answer) => return Ok(answer),
                    },
                }
            }
            Admission::Wait(ticket) => {
                match Box::pin(self.wait(Some(ticket), &progress, record, context, connection)).await? {
                    Waited::Running(running) => running,
                    Waited::Answer(answer) => return Ok(answer),
                }
            }
        };
        progress.note(record);
        if facts.stream && running.sent.head.is_event_stream {
            let filter = EventFilter::new(dialect, facts.model, facts.wants_usage);
            let stream = StreamBody::running(running, filter, context.tongue, connection);
            return Ok(Answer::Stream(Box::new(stream), progress.position.get()));
        }
        whole(running, dialect, &facts.model, &progress, record).await.map(Answer::Whole)
    }

    /// Through the line. A stream that still waits after `queue.keepalive` is begun towards the client.
    async fn wait(
        self,
        ticket: Option<Ticket>,
        progress: &Rc<Progress>,
        record: &mut Record,
        context: &Context,
        connection: &Rc<dyn Connection>,
    ) -> Result<Waited, Refusal> {
        let (facts, dialect) = (self.call.facts.clone(), self.call.operation.dialect());
        let keepalive = self.snapshot.config.queue.keepalive;
        let begun = Instant::now();
        let mut start = Box::pin(self.start(ticket, progress.clone()));
        let started = if facts.stream {
            match tokio::time::timeout(keepalive, &mut start).await {
                Ok(started) => started,
                Err(_) if progress.waiting.get() => {
                    let filter = EventFilter::new(dialect, facts.model, facts.wants_usage);
                    let (tongue, position) = (context.tongue, progress.position.get());
                    let stream =
                        StreamBody::waiting(start, filter, progress.clone(), keepalive, tongue, connection);
                    record.queue = begun.elapsed();
                    return Ok(Waited::Answer(Answer::Stream(Box::new(stream), position)));
                }
                Err(_) => start.await,
            }
        } else {
            start.await
        };
        if started.is_err() {
            progress.note(record);
        }
        started.map(Waited::Running)
    }

    /// Waits for a permit and sends, until an answer begins. `queue.max_wait` bounds all waiting together.
    async fn start(self, mut ticket: Option<Ticket>, progress: Rc<Progress>) -> Result<Running, Refusal> {
        let deadline = Instant::now() + self.snapshot.config.queue.max_wait;
        loop {
            let permit = match ticket.take() {
                Some(ticket) => self.hold(ticket, deadline, &progress).await?,
                None => match self.served.line.enter()? {
                    Admission::Now(permit) => permit,
                    Admission::Wait(ticket) => self.hold(ticket, deadline, &progress).await?,
                },
            };
            if let Some((sent, permit)) = self.attempt(permit, &progress).await? {
                return Ok(Running { sent, permit, budget: self.budget });
            }
            if Instant::now() >= deadline {
                return Err(Refusal::new(Reason::QueueTimeout).because(self.why_not_ready()));
            }
        }
    }

    /// Sends once. `None`: nothing was sent, and somebody is bringing the model back, so waiting makes sense.
    async fn attempt(&self, permit: Permit, progress: &Progress) -> Result<Option<(Sent, Permit)>, Refusal> {
        let name = self.served.upstream_name(&self.call.facts.model);
        let recipient = Recipient {
            name: &name,
            context_tokens: self.served.context_tokens(),
            server: self.served.server(),
            stops_at_context: self.served.stops_at_context(),
            cache_salt: self.snapshot.cache_salt.shared(),
        };
        let (began, connected) = (Instant::now(), Cell::new(None));
        let outbound = Outbound {
            path: self.call.operation.path(),
            fields: &|head| self.origin.write(&self.served, "application/json", head),
            body: Payload::Whole(&|| self.call.body(recipient)),
            timeouts: &self.snapshot.config.timeouts,
            connected: &connected,
        };
        match upstream::send(&self.served.endpoints, outbound).await {
            Ok(sent) => {
                let (connect, header) = (Some(sent.connect), Some(sent.header));
                progress.times.set(UpstreamTimes { connect, header, response: None });
                let accepted = accept(sent).await.map(|sent| Some((sent, permit)));
                if accepted.is_err() {
                    let response = Some(began.elapsed());
                    progress.times.set(UpstreamTimes { connect, header, response });
                }
                accepted
            }
            Err(SendFailure::Unreachable(_)) if self.served.is_supervised() => {
                drop(permit);
                self.served.suspect();
                Ok(None)
            }
            Err(failure) => {
                let response = Some(began.elapsed());
                progress.times.set(UpstreamTimes { connect: connected.get(), header: None, response });
                Err(refusal(&failure))
            }
        }
    }

    async fn hold(&self, ticket: Ticket, deadline: Instant, progress: &Progress) -> Result<Permit, Refusal> {
        let entered = Instant::now();
        let place = ticket.place();
        if progress.position.get() == 0 {
            progress.position.set(place.position());
        }
        progress.place.replace(Some(place));
        progress.waiting.set(true);
        let answer = tokio::time::timeout_at(deadline, ticket).await;
        progress.waiting.set(false);
        progress.queued.set(progress.queued.get() + entered.elapsed());
        match answer {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(Refusal::new(Reason::QueueTimeout).because(self.why_not_ready())),
        }
    }

    fn why_not_ready(&self) -> String {
        let detail = self.served.detail().map(|detail| detail.en.to_string());
        format!("the model is {}: {}", self.served.state().word(), detail.as_deref().unwrap_or("no detail"))
    }
}

impl Progress {
    /// In the line as it is now; where it was, when it has just left it.
    pub(super) fn position_now(&self) -> Position {
        let now = self.place.borrow().as_ref().map_or(0, Place::position);
        if now == 0 { self.position.get() } else { now }
    }

    pub(super) fn note(&self, record: &mut Record) {
        record.queue = self.queued.get();
        record.upstream = self.times.get();
    }
}

/// A head that is not a success becomes a refusal in Portico's words.
pub(super) async fn accept(sent: Sent) -> Result<Sent, Refusal> {
    let status = sent.head.status;
    if status.is_success() {
        return Ok(sent);
    }
    match sent.exchange.collect(LARGEST_ERROR_BYTES).await {
        Ok(body) => Err(answer::refusal(status, &body)),
        Err(error) => Err(Refusal::new(Reason::UpstreamFailed).because(format!("{status}, then: {error}"))),
    }
}

/// Reads a whole answer before a byte of it leaves: half an answer is then a status and not a torn body.
async fn whole(
    running: Running,
    dialect: Dialect,
    asked: &str,
    progress: &Progress,
    record: &mut Record,
) -> Result<Whole, Refusal> {
    let Running { sent, permit: _permit, budget: _budget } = running;
    let began = Instant::now();
    let body = sent.exchange.collect(LARGEST_ANSWER_BYTES).await;
    record.upstream.response = Some(sent.header + began.elapsed());
    let body = body.map_err(|error| exchange_refusal(&error))?;
    let Some(answer) = answer::read(body, dialect, asked) else {
        return Err(Refusal::new(Reason::UpstreamFailed)
            .because("the answer is not a JSON object, or says that it failed"));
    };
    note_usage(record, answer.usage);
    Ok(Whole { body: answer.body, content_type: "application/json", position: progress.position.get() })
}

pub(super) fn note_usage(record: &mut Record, usage: Option<Usage>) {
    if let Some(Usage { prompt_tokens, completion_tokens }) = usage {
        record.tokens_in = Some(prompt_tokens);
        record.tokens_out = Some(completion_tokens);
    }
}

pub(super) fn exchange_refusal(error: &ExchangeError) -> Refusal {
    let reason = match error {
        ExchangeError::TimedOut => Reason::UpstreamTimeout,
        ExchangeError::Broken(_) | ExchangeError::TooLarge => Reason::UpstreamFailed,
    };
    Refusal::new(reason).because(error.to_string())
}

pub(super) fn refusal(failure: &SendFailure) -> Refusal {
    let reason = match failure {
        SendFailure::Unreachable(_) => Reason::ModelUnavailable,
        SendFailure::Broken(_) => Reason::UpstreamFailed,
        SendFailure::TimedOut(_) => Reason::UpstreamTimeout,
        SendFailure::Refused(refusal) => return refusal.clone(),
    };
    Refusal::new(reason).because(failure.to_string())
}
