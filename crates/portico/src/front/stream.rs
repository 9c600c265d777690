//! A stream of events to the client: first perhaps waiting in the line, then running, then its end.
//!
//! Holds the permit, the share of the body budget and the connection to the model server; all go with it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Sleep;

use super::Connection;
use super::generate::{Running, broken_off, note_usage};
use super::turn::Progress;
use crate::api::body::BudgetGuard;
use crate::api::{EventFilter, answer};
use crate::observe::Record;
use crate::queue::Permit;
use crate::reason::{Reason, Refusal};
use crate::sys::clock::Instant;
use crate::types::Tongue;
use crate::upstream::Exchange;

/// After the last event the model server has so long to close its answer properly, for its connection to be kept.
const AFTER_DONE: Duration = Duration::from_secs(1);

type Start = Pin<Box<dyn Future<Output = Result<Running, Refusal>>>>;

pub(super) struct StreamBody {
    phase: Phase,
    filter: EventFilter,
    /// Whole events that may leave.
    ready: VecDeque<Bytes>,
    tongue: Tongue,
    connection: Rc<dyn Connection>,
}

enum Phase {
    /// In the line; a comment now and then keeps the connection in use.
    Waiting {
        start: Start,
        progress: Rc<Progress>,
        comment: Pin<Box<Sleep>>,
        every: Duration,
    },
    Running(Flow),
    /// The last event has left; the model server's own end is awaited a little.
    Done {
        flow: Flow,
        until: Pin<Box<Sleep>>,
    },
    /// The last event says what went wrong. It has to be on the wire before the connection is torn down.
    Failed {
        reason: Reason,
        flushes: u64,
    },
    Ended(Reason),
}

struct Flow {
    exchange: Exchange,
    _permit: Permit,
    _budget: BudgetGuard,
    began: Instant,
    header: Duration,
}

/// What the body does next.
pub(super) enum Event {
    Data(Bytes),
    End(Reason),
    /// The end that a client must notice: no final chunk, a reset stream.
    Abort(Reason),
}

impl StreamBody {
    pub(super) fn waiting(
        start: Start,
        filter: EventFilter,
        progress: Rc<Progress>,
        every: Duration,
        tongue: Tongue,
        connection: &Rc<dyn Connection>,
    ) -> Self {
        let phase = Phase::Waiting {
            start,
            progress: progress.clone(),
            comment: Box::pin(tokio::time::sleep(every)),
            every,
        };
        let ready = VecDeque::from([comment(&progress)]);
        Self { phase, filter, ready, tongue, connection: connection.clone() }
    }

    pub(super) fn running(
        running: Running,
        filter: EventFilter,
        tongue: Tongue,
        connection: &Rc<dyn Connection>,
    ) -> Self {
        let phase = Phase::Running(Flow::new(running));
        Self { phase, filter, ready: VecDeque::new(), tongue, connection: connection.clone() }
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>, record: &mut Record) -> Poll<Event> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                // Counted before the last word is handed over: any flush from now on carries it.
                if let Phase::Failed { flushes, .. } = &mut self.phase {
                    *flushes = self.connection.flushes(cx.waker());
                }
                return Poll::Ready(Event::Data(event));
            }
            if self.connection.is_cut() && matches!(self.phase, Phase::Waiting { .. } | Phase::Running(_)) {
                self.fail(&Reason::ShuttingDown.into(), record);
                continue;
            }
            match &mut self.phase {
                Phase::Waiting { .. } => ready!(self.poll_waiting(cx, record)),
                Phase::Running(_) => ready!(self.poll_running(cx, record)),
                Phase::Done { flow, until } => {
                    let chunk = flow.exchange.poll_chunk(cx);
                    // The client has all of its answer, so there is nothing to cut either.
                    let over = self.connection.is_cut() || until.as_mut().poll(cx).is_ready();
                    match chunk {
                        Poll::Ready(Some(Ok(_))) => {}
                        Poll::Pending if !over => return Poll::Pending,
                        Poll::Ready(_) | Poll::Pending => {
                            flow.note(record);
                            self.phase = Phase::Ended(Reason::Completed);
                        }
                    }
                }
                Phase::Failed { reason, flushes } => {
                    if self.connection.flushes(cx.waker()) == *flushes {
                        return Poll::Pending;
                    }
                    return Poll::Ready(Event::Abort(*reason));
                }
                Phase::Ended(reason) => return Poll::Ready(Event::End(*reason)),
            }
        }
    }

    /// Writes down what is known of the tokens, however far the stream came.
    pub(super) fn settle(&self, record: &mut Record) {
        note_usage(record, self.filter.usage());
        if record.tokens_out.is_none() && self.filter.data_events() > 0 {
            record.tokens_out = Some(self.filter.data_events());
        }
        match &self.phase {
            Phase::Running(flow) | Phase::Done { flow, .. } => flow.note(record),
            Phase::Waiting { progress, .. } => progress.note(record),
            Phase::Failed { .. } | Phase::Ended(_) => {}
        }
    }

    fn poll_waiting(&mut self, cx: &mut Context<'_>, record: &mut Record) -> Poll<()> {
        let Phase::Waiting { start, progress, comment: timer, every } = &mut self.phase else {
            return Poll::Ready(());
        };
        if let Poll::Ready(started) = start.as_mut().poll(cx) {
            progress.note(record);
            match started {
                Ok(running) => self.phase = Phase::Running(Flow::new(running)),
                Err(refusal) => self.fail(&refusal, record),
            }
            return Poll::Ready(());
        }
        ready!(timer.as_mut().poll(cx));
        let next = Instant::now() + *every;
        timer.as_mut().reset(next);
        let comment = comment(progress);
        self.ready.push_back(comment);
        Poll::Ready(())
    }

    fn poll_running(&mut self, cx: &mut Context<'_>, record: &mut Record) -> Poll<()> {
        let Phase::Running(flow) = &mut self.phase else { return Poll::Ready(()) };
        match ready!(flow.exchange.poll_chunk(cx)) {
            Some(Ok(chunk)) => {
                record.first_byte_out();
                self.filter.push(chunk, &mut self.ready);
                if let Some(said) = self.filter.failed() {
                    self.fail(&answer::within_stream(said), record);
                } else if self.filter.done() {
                    self.finish_after_done();
                }
            }
            Some(Err(error)) => self.fail(&broken_off(&error), record),
            None => {
                let refusal =
                    Refusal::new(Reason::UpstreamDied).because("the stream ended without its last event");
                self.fail(&refusal, record);
            }
        }
        Poll::Ready(())
    }

    fn finish_after_done(&mut self) {
        let phase = std::mem::replace(&mut self.phase, Phase::Ended(Reason::Completed));
        if let Phase::Running(flow) = phase {
            self.phase = Phase::Done { flow, until: Box::pin(tokio::time::sleep(AFTER_DONE)) };
        }
    }

    /// Queues the final error event and gives back everything that is held.
    fn fail(&mut self, refusal: &Refusal, record: &mut Record) {
        self.settle(record);
        record.private = Some(refusal.private.as_ref().into());
        let (dialect, number) = (self.filter.dialect(), self.filter.events());
        self.ready.push_back(refusal.event(dialect, number, self.tongue));
        self.phase = Phase::Failed { reason: refusal.reason, flushes: 0 };
    }
}

impl Flow {
    fn new(running: Running) -> Self {
        let Running { sent, permit, budget } = running;
        Self {
            exchange: sent.exchange,
            _permit: permit,
            _budget: budget,
            began: Instant::now(),
            header: sent.header,
        }
    }

    fn note(&self, record: &mut Record) {
        record.upstream.response = Some(self.header + self.began.elapsed());
    }
}

/// `: queued position=3`, an SSE comment that every client passes over and Portico's page shows.
fn comment(progress: &Progress) -> Bytes {
    Bytes::from(format!(": queued position={}\n\n", progress.position_now()))
}
