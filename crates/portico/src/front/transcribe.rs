//! A transcription: a form with a file of any size, sent on while it comes.
//!
//! A small upload is read whole before anything is asked of the model. A larger one takes its permit as soon as the
//! model is known and a good part is there, and is never held whole: what the model server does not take is not read.
//! A form that names its model behind the file (curl and OpenAI's client for JavaScript let their callers choose) has to
//! be held until it does, within the same limits as any other call.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::generate::{LARGEST_ANSWER_BYTES, Whole, exchange_refusal};
use super::headers::Origin;
use super::models::may_use;
use super::turn::Turn;
use super::{Answer, Visit};
use crate::access::Caller;
use crate::api::body::{Bounds, BudgetGuard, Incoming, Patience, check_length, is_plain, too_large};
use crate::api::transcription::{Format, Upload};
use crate::api::{Operation, answer, multipart};
use crate::observe::Record;
use crate::queue::Permit;
use crate::reason::{Reason, Refusal};
use crate::sys::clock::Instant;
use crate::sys::random;
use crate::types::{Dialect, Text, text};
use crate::upstream::{Outbound, Payload, Sent, Source};

/// Uploads up to this size are whole before they take a permit: who sends little and slowly keeps nobody waiting.
const READ_FIRST_BYTES: u64 = 1 << 20;

pub(super) async fn run(
    visit: &Visit<'_>,
    caller: &Caller,
    incoming: &mut dyn Incoming,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let bounds = visit.bounds();
    let headers = &visit.parts.headers;
    let not_a_form = |why: Text| {
        let Text { en, zh } = why;
        Refusal::new(Reason::UnsupportedMediaType).saying(text!("{en}.", "{zh}。"))
    };
    let theirs = multipart::boundary(headers).map_err(not_a_form)?;
    if !is_plain(headers) {
        return Err(not_a_form(multipart::NO_FORM));
    }
    check_length(headers, bounds)?;
    // Not from the generator of request ids: those are told to clients, who could reckon the next one.
    let ours = random::hex(16)
        .map_err(|error| Refusal::new(Reason::Internal).because(format!("no randomness: {error}")))?;
    let form = RefCell::new(Form {
        upload: Upload::new(&theirs, &ours, &visit.snapshot.config.policy),
        incoming,
        budget: BudgetGuard::new(visit.door.budget.clone()),
        bounds,
        patience: Patience::default(),
        received_bytes: 0,
        is_ended: false,
        opening: None,
    });
    let answered = answered(visit, caller, &form, record).await;
    record.bytes_in = form.borrow().received_bytes;
    answered.map(Answer::Whole)
}

async fn answered(
    visit: &Visit<'_>,
    caller: &Caller,
    form: &RefCell<Form<'_>>,
    record: &mut Record,
) -> Result<Whole, Refusal> {
    let asked = std::future::poll_fn(|cx| form.borrow_mut().poll_begun(cx)).await?;
    record.model = Some(asked.clone());
    let served = visit.snapshot.models.find(&asked)?;
    may_use(visit.snapshot, caller, served)?;
    let opening = form.borrow().upload.opening(&served.upstream_name(&asked));
    form.borrow_mut().opening = Some(opening);
    let turn = Turn::new(visit.snapshot, served);
    let origin = Origin::of(visit);
    let begun = turn.run(None, async |permit| attempt(visit, &turn, &origin, form, permit).await).await;
    turn.progress.note(record);
    let (sent, _permit) = begun?;
    let format = form.borrow().upload.format();
    let (header, began) = (sent.header, Instant::now());
    let body = sent.exchange.collect(LARGEST_ANSWER_BYTES).await;
    record.upstream.response = Some(header + began.elapsed());
    let body = body.map_err(|error| exchange_refusal(&error))?;
    let (body, content_type) = match format {
        Format::Json => match answer::read(body, Dialect::Chat, &asked) {
            Some(answer) => (answer.body, "application/json"),
            None => return Err(unusable("the answer is not a JSON object")),
        },
        // Whatever it is: for a browser it is text and nothing else.
        Format::Text if std::str::from_utf8(&body).is_ok() => (body, "text/plain; charset=utf-8"),
        Format::Text => return Err(unusable("the answer is not text")),
    };
    Ok(Whole { body, content_type, position: turn.progress.position.get() })
}

fn unusable(why: &'static str) -> Refusal {
    Refusal::new(Reason::UpstreamFailed).because(why)
}

async fn attempt(
    visit: &Visit<'_>,
    turn: &Turn,
    origin: &Origin,
    form: &RefCell<Form<'_>>,
    permit: Permit,
) -> Result<Option<(Sent, Permit)>, Refusal> {
    let content_type = form.borrow().upload.content_type();
    let outbound = Outbound {
        path: Operation::Transcriptions.path(),
        fields: &|head| origin.write(&turn.served, Some(&content_type), head),
        body: Payload::Stream(form),
        timeouts: &visit.snapshot.config.timeouts,
        connected: &Cell::new(None),
    };
    turn.attempt(permit, outbound).await
}

/// The client's form on its way through.
struct Form<'a> {
    upload: Upload<'a>,
    incoming: &'a mut dyn Incoming,
    budget: BudgetGuard,
    bounds: Bounds,
    patience: Patience,
    received_bytes: u64,
    is_ended: bool,
    opening: Option<Bytes>,
}

impl Form<'_> {
    /// The model, once it is known and enough is there to begin with.
    fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<Arc<str>, Refusal>> {
        loop {
            if let Some(model) = self.upload.model()
                && (self.is_ended || self.received_bytes >= READ_FIRST_BYTES)
            {
                return Poll::Ready(Ok(model.clone()));
            }
            std::task::ready!(self.poll_more(cx))?;
        }
    }

    /// Reads and judges a little more.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Refusal>> {
        let before = self.upload.input().len();
        let filled = match self.incoming.poll_fill(cx, self.upload.input()) {
            Poll::Ready(filled) => filled,
            Poll::Pending => {
                return match self.patience.is_over(self.received_bytes, self.bounds.idle, cx) {
                    true => Poll::Ready(Err(Reason::BodyTimeout.into())),
                    false => Poll::Pending,
                };
            }
        };
        self.patience.moved();
        let has_more = filled.map_err(|why| {
            Refusal::new(Reason::MalformedRequest).because(format!("reading the body: {why}"))
        })?;
        self.received_bytes += (self.upload.input().len() - before) as u64;
        if self.received_bytes > self.bounds.body_bytes {
            return Poll::Ready(Err(too_large(self.bounds.body_bytes)));
        }
        self.upload.judge()?;
        if !has_more {
            self.upload.end()?;
            self.is_ended = true;
        }
        self.hold()?;
        Poll::Ready(Ok(()))
    }

    fn hold(&mut self) -> Result<(), Refusal> {
        let held_bytes = self.upload.ready_bytes() + self.upload.input().len() as u64;
        self.budget.hold(held_bytes, self.bounds.total_bytes)
    }
}

impl Source for Form<'_> {
    fn length_bytes(&self) -> Option<u64> {
        let opening = self.opening.as_ref().map_or(0, Bytes::len) as u64;
        self.is_ended.then(|| self.upload.ready_bytes() + opening)
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, Refusal>> {
        loop {
            if let Some(piece) = self.opening.take().or_else(|| self.upload.take()) {
                self.hold()?;
                return Poll::Ready(Ok(Some(piece)));
            }
            if self.is_ended {
                return Poll::Ready(Ok(None));
            }
            std::task::ready!(self.poll_more(cx))?;
        }
    }
}
