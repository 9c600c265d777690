//! A call's turn at its model: the line, then the sending.
//!
//! A permit is taken, the call is sent. Where a supervised model turns out to be gone although it counted as ready,
//! nothing was sent, so the call waits in the line again. `queue.max_wait` bounds all waiting together.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use super::models::Served;
use super::snapshot::Snapshot;
use crate::api::answer;
use crate::observe::{Record, UpstreamTimes};
use crate::queue::{Admission, Permit, Place, Ticket};
use crate::reason::{Reason, Refusal};
use crate::sys::clock::Instant;
use crate::upstream::{self, Outbound, SendFailure, Sent};

/// An error of the model server is read so far.
const LARGEST_ERROR_BYTES: usize = 64 * 1024;

/// The place in the line that a call had when it began to wait; 0 when it did not.
pub(super) type Position = usize;

/// Everything in it is its own, so that it can go on inside a response body.
pub(super) struct Turn {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) served: Arc<Served>,
    pub(super) progress: Rc<Progress>,
}

/// What is told about a call while it has its turn.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// In the line, not yet with the model server.
    pub(super) waiting: Cell<bool>,
    /// When it began to wait.
    pub(super) position: Cell<Position>,
    place: RefCell<Option<Place>>,
    queued: Cell<Duration>,
    times: Cell<UpstreamTimes>,
}

impl Turn {
    pub(super) fn new(snapshot: &Arc<Snapshot>, served: &Arc<Served>) -> Self {
        Self { snapshot: snapshot.clone(), served: served.clone(), progress: Rc::default() }
    }

    /// Waits for a permit and tries, until an answer begins. `ticket`: its place, where it is in the line already.
    pub(super) async fn run(
        &self,
        mut ticket: Option<Ticket>,
        attempt: impl AsyncFn(Permit) -> Result<Option<(Sent, Permit)>, Refusal>,
    ) -> Result<(Sent, Permit), Refusal> {
        let deadline = Instant::now() + self.snapshot.config.queue.max_wait;
        loop {
            let permit = match ticket.take() {
                Some(ticket) => self.hold(ticket, deadline).await?,
                None => match self.served.line.enter()? {
                    Admission::Now(permit) => permit,
                    Admission::Wait(ticket) => self.hold(ticket, deadline).await?,
                },
            };
            if let Some(begun) = attempt(permit).await? {
                return Ok(begun);
            }
            if Instant::now() >= deadline {
                return Err(Refusal::new(Reason::QueueTimeout).because(self.why_not_ready()));
            }
        }
    }

    /// Sends once. `None`: nothing was sent, and somebody is bringing the model back, so waiting makes sense.
    pub(super) async fn attempt(
        &self,
        permit: Permit,
        outbound: Outbound<'_>,
    ) -> Result<Option<(Sent, Permit)>, Refusal> {
        let (began, connected) = (Instant::now(), outbound.connected);
        let times = |connect, header, response| {
            self.progress.times.set(UpstreamTimes { connect, header, response });
        };
        match upstream::send(&self.served.endpoints, outbound).await {
            Ok(sent) => {
                let (connect, header) = (Some(sent.connect), Some(sent.header));
                times(connect, header, None);
                let accepted = accept(sent).await.map(|sent| Some((sent, permit)));
                if accepted.is_err() {
                    times(connect, header, Some(began.elapsed()));
                }
                accepted
            }
            Err(SendFailure::Unreachable(_)) if self.served.is_supervised() => {
                drop(permit);
                self.served.suspect();
                Ok(None)
            }
            Err(failure) => {
                times(connected.get(), None, Some(began.elapsed()));
                Err(refusal(&failure))
            }
        }
    }

    async fn hold(&self, ticket: Ticket, deadline: Instant) -> Result<Permit, Refusal> {
        let progress = &self.progress;
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
async fn accept(sent: Sent) -> Result<Sent, Refusal> {
    let status = sent.head.status;
    // A 101 comes only to who asked for it.
    if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
        return Ok(sent);
    }
    match sent.exchange.collect(LARGEST_ERROR_BYTES).await {
        Ok(body) => Err(answer::refusal(status, &body)),
        Err(error) => Err(Refusal::new(Reason::UpstreamFailed).because(format!("{status}, then: {error}"))),
    }
}

fn refusal(failure: &SendFailure) -> Refusal {
    let reason = match failure {
        SendFailure::Unreachable(_) => Reason::ModelUnavailable,
        SendFailure::Broken(_) => Reason::UpstreamFailed,
        SendFailure::TimedOut(_) => Reason::UpstreamTimeout,
        SendFailure::Refused(refusal) => return refusal.clone(),
    };
    Refusal::new(reason).because(failure.to_string())
}
