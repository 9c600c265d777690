//! One call from admission to the first byte of its answer.
//!
//! A stream that still waits for its turn after `queue.keepalive` is begun towards the client, so that nothing in
//! between gives up; until then a refusal is still a status.

use std::cell::Cell;
use std::rc::Rc;

use bytes::Bytes;

use super::headers::Origin;
use super::respond::Context;
use super::stream::StreamBody;
use super::turn::{Position, Progress, Turn};
use super::{Answer, Connection};
use crate::api::body::BudgetGuard;
use crate::api::{Call, EventFilter, Recipient, Usage, answer};
use crate::observe::Record;
use crate::queue::{Admission, Permit, Ticket};
use crate::reason::{Reason, Refusal};
use crate::sys::clock::Instant;
use crate::types::{CacheSalt, Dialect, Rope};
use crate::upstream::{ExchangeError, Outbound, Payload, Sent};

/// A whole answer may be so large: embeddings of many inputs are megabytes.
pub(super) const LARGEST_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A whole answer, ready to be written.
pub(super) struct Whole {
    pub(super) body: Bytes,
    pub(super) content_type: &'static str,
    pub(super) position: Position,
}

/// A call on its way. Everything it needs is its own, so that it can go on inside a response body.
pub(super) struct Job {
    turn: Turn,
    call: Call,
    origin: Origin,
    /// Whose prompts it may share a cache with.
    cache_salt: CacheSalt,
    budget: BudgetGuard,
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
    pub(super) const fn new(
        turn: Turn,
        call: Call,
        origin: Origin,
        cache_salt: CacheSalt,
        budget: BudgetGuard,
    ) -> Self {
        Self { turn, call, origin, cache_salt, budget }
    }

    pub(super) async fn run(
        self,
        record: &mut Record,
        context: &Context,
        connection: &Rc<dyn Connection>,
    ) -> Result<Answer, Refusal> {
        let progress = self.turn.progress.clone();
        let (facts, dialect) = (self.call.facts.clone(), self.call.operation.dialect());
        let (begun, ticket) = match self.turn.served.line.enter()? {
            // The usual case: there is room, and the model server is there.
            Admission::Now(permit) => {
                (self.attempt(permit).await.inspect_err(|_| progress.note(record))?, None)
            }
            Admission::Wait(ticket) => (None, Some(ticket)),
        };
        let running = match begun {
            Some((sent, permit)) => Running { sent, permit, budget: self.budget },
            None => match Box::pin(self.wait(ticket, record, context, connection)).await? {
                Waited::Running(running) => running,
                Waited::Answer(answer) => return Ok(answer),
            },
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
        record: &mut Record,
        context: &Context,
        connection: &Rc<dyn Connection>,
    ) -> Result<Waited, Refusal> {
        let (facts, dialect) = (self.call.facts.clone(), self.call.operation.dialect());
        let keepalive = self.turn.snapshot.config.queue.keepalive;
        let progress = self.turn.progress.clone();
        let begun = Instant::now();
        let mut start = Box::pin(self.start(ticket));
        let started = if facts.stream {
            match tokio::time::timeout(keepalive, &mut start).await {
                Ok(started) => started,
                Err(_) if progress.waiting.get() => {
                    let filter = EventFilter::new(dialect, facts.model, facts.wants_usage);
                    let (tongue, position) = (context.tongue, progress.position.get());
                    let stream = StreamBody::waiting(start, filter, progress, keepalive, tongue, connection);
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

    async fn start(self, ticket: Option<Ticket>) -> Result<Running, Refusal> {
        let (sent, permit) = self.turn.run(ticket, async |permit| self.attempt(permit).await).await?;
        Ok(Running { sent, permit, budget: self.budget })
    }

    async fn attempt(&self, permit: Permit) -> Result<Option<(Sent, Permit)>, Refusal> {
        let Turn { snapshot, served, .. } = &self.turn;
        let outbound = Outbound {
            path: self.call.operation.path(),
            fields: &|head| self.origin.write(served, Some("application/json"), head),
            body: Payload::Whole(&|| self.body()),
            timeouts: &snapshot.config.timeouts,
            connected: &Cell::new(None),
        };
        self.turn.attempt(permit, outbound).await
    }

    /// Made at the last moment: what is known of the model server may have changed while the call waited.
    fn body(&self) -> Rope {
        let served = &self.turn.served;
        self.call.body(Recipient {
            name: &served.upstream_name(&self.call.facts.model),
            context_tokens: served.context_tokens(),
            server: served.server(),
            stops_at_context: served.stops_at_context(),
            cache_salt: self.cache_salt.as_str(),
        })
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

/// The same where some of the answer has left: it is not only bad, it has ended.
pub(super) fn broken_off(error: &ExchangeError) -> Refusal {
    let mut refusal = exchange_refusal(error);
    if refusal.reason == Reason::UpstreamFailed {
        refusal.reason = Reason::UpstreamDied;
    }
    refusal
}

pub(super) fn exchange_refusal(error: &ExchangeError) -> Refusal {
    let reason = match error {
        ExchangeError::TimedOut => Reason::UpstreamTimeout,
        ExchangeError::Broken(_) | ExchangeError::TooLarge => Reason::UpstreamFailed,
    };
    Refusal::new(reason).because(error.to_string())
}
