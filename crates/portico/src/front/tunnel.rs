//! A realtime session under way: messages of the client on one side, of the model server on the other.
//!
//! Polled as the body of the 101, in the task of its connection. Each side's frames are read strictly, each message is
//! judged and written anew in one frame of Portico's own; control frames are answered here and never passed on. What
//! one side does not take is not read from the other. It holds the permit and the connection to the model server, and
//! gives both back when the session ends.

mod side;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use self::side::Side;
use super::Connection;
use super::generate::broken_off;
use super::models::Served;
use super::pulse::{Beat, Pulse};
use super::snapshot::Snapshot;
use super::stream::Event;
use crate::api::body::{BudgetGuard, Incoming};
use crate::api::realtime::{self, LONGEST_ANSWER_BYTES, LONGEST_EVENT_BYTES, Rules, Said};
use crate::observe::Record;
use crate::queue::Permit;
use crate::reason::{Reason, Refusal};
use crate::sys::bucket::{Bucket, Rate};
use crate::sys::clock::Instant;
use crate::sys::random;
use crate::types::Tongue;
use crate::types::websocket::{self, Mask, Message, Sender, Violation, code};
use crate::upstream::{Exchange, Sent};

/// Sound that a model server has not heard yet is held there, without a limit: so much at once is what any other call may
/// bring, then it is ten times as fast as it was spoken (16,000 samples a second of two bytes).
fn sound(body_bytes: u64) -> Rate {
    Rate { at_once: kib(usize::try_from(body_bytes).unwrap_or(usize::MAX)), per_second: 312.5 }
}

#[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
fn kib(bytes: usize) -> f32 {
    bytes as f32 / 1024.0
}

/// What a session is about, and what it holds.
pub(super) struct Session {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) served: Arc<Served>,
    pub(super) upstream_name: Arc<str>,
    pub(super) _permit: Permit,
    pub(super) budget: BudgetGuard,
}

pub(super) struct Tunnel {
    client: Side,
    /// Where the client is read from.
    incoming: Option<Box<dyn Incoming>>,
    /// Gone when the session has ended.
    live: Option<Live>,
    /// Frames that are to leave for the client.
    ready: VecDeque<Bytes>,
    ended: Option<Reason>,
    /// In KiB.
    sound: Bucket,
    pulse: Pulse,
    tongue: Tongue,
    connection: Rc<dyn Connection>,
}

struct Live {
    session: Session,
    exchange: Exchange,
    model: Side,
    began: Instant,
    header: std::time::Duration,
}

impl Tunnel {
    pub(super) fn new(session: Session, sent: Sent, tongue: Tongue, connection: &Rc<dyn Connection>) -> Self {
        let config = &session.snapshot.config;
        let largest = usize::try_from(config.limits.body_bytes).unwrap_or(usize::MAX);
        Self {
            client: Side::new(Sender::Client, LONGEST_EVENT_BYTES.min(largest)),
            incoming: None,
            ready: VecDeque::new(),
            ended: None,
            sound: Bucket::new(sound(config.limits.body_bytes), Instant::now()),
            pulse: Pulse::new(&config.timeouts),
            tongue,
            connection: connection.clone(),
            live: Some(Live {
                session,
                exchange: sent.exchange,
                model: Side::new(Sender::Server, LONGEST_ANSWER_BYTES),
                began: Instant::now(),
                header: sent.header,
            }),
        }
    }

    /// The client's side of the connection is this session's now.
    pub(super) fn reads(&mut self, incoming: Box<dyn Incoming>) {
        self.incoming = Some(incoming);
    }

    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>, record: &mut Record) -> Poll<Event> {
        loop {
            if let Some(frame) = self.ready.pop_front() {
                return Poll::Ready(Event::Data(frame));
            }
            if let Some(reason) = self.ended {
                return Poll::Ready(Event::End(reason));
            }
            if self.connection.is_cut() {
                self.close(code::GOING_AWAY, "the server is stopping", Reason::ShuttingDown, cx, record);
                continue;
            }
            let waited = self.waits_for_model();
            let moved = self.poll_client(cx, record) | self.poll_model(cx, record);
            if let Err(refusal) = self.weigh() {
                self.fail(&refusal, cx, record);
                continue;
            }
            // What had held the client up has been written while the model server was polled.
            let moved = moved || (waited && !self.waits_for_model());
            if !moved && self.poll_pulse(cx, record).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Writes down what is known when the session ends.
    pub(super) fn settle(&mut self, record: &mut Record) {
        if let Some(live) = self.live.take() {
            record.upstream.response = Some(live.header + live.began.elapsed());
        }
        self.incoming = None;
    }

    fn waits_for_model(&self) -> bool {
        self.live.as_ref().is_some_and(|live| !live.exchange.is_all_written())
    }

    /// What is held of messages counts with the bodies of all calls, until it has left.
    fn weigh(&mut self) -> Result<(), Refusal> {
        let Some(live) = &mut self.live else { return Ok(()) };
        let unwritten_bytes = live.exchange.unwritten_bytes() as u64;
        let held_bytes = self.client.held_bytes() + live.model.held_bytes() + unwritten_bytes;
        let total_bytes = live.session.snapshot.config.limits.body_total_bytes;
        live.session.budget.hold(held_bytes, total_bytes)
    }

    /// Reads the client on. Whether anything has come of it.
    fn poll_client(&mut self, cx: &mut Context<'_>, record: &mut Record) -> bool {
        let (Some(live), Some(incoming)) = (&mut self.live, &mut self.incoming) else { return false };
        // What the model server does not take is not read.
        if !live.exchange.is_all_written() {
            self.pulse.client_heard();
            return false;
        }
        match self.client.next() {
            Ok(Some(message)) => {
                self.client_said(message, cx, record);
                return true;
            }
            Ok(None) => {}
            Err(violation) => {
                self.refuse(violation, cx, record);
                return true;
            }
        }
        let before = self.client.input.len();
        let Poll::Ready(filled) = incoming.poll_fill(cx, &mut self.client.input) else { return false };
        let bytes = self.client.input.len() - before;
        record.bytes_in += bytes as u64;
        self.pulse.client_heard();
        if !filled.unwrap_or(false) {
            // Without a word: the model server is told by the end of its own connection.
            self.end(Reason::ClientLeft, record);
        }
        true
    }

    fn client_said(&mut self, message: Message, cx: &mut Context<'_>, record: &mut Record) {
        let Some(live) = &mut self.live else { return };
        match message {
            Message::Text(text) => {
                self.pulse.spoken();
                match live.judged(&text) {
                    Ok(event) if !self.sound.take_some(kib(event.sound_bytes), Instant::now()) => {
                        let rule = "more sound than can be heard in the time";
                        self.refuse(Violation { code: code::POLICY_VIOLATION, rule }, cx, record);
                    }
                    Ok(event) => live.exchange.write(websocket::text(&event.written, mask())),
                    Err(refusal) => {
                        self.ready.push_back(websocket::text(&refusal.realtime_event(self.tongue), None));
                        if let Err(violation) = self.client.one_more("too many events that were refused") {
                            self.refuse(violation, cx, record);
                        }
                    }
                }
            }
            Message::Ping(payload) => self.ready.push_back(websocket::pong(&payload, None)),
            Message::Pong => {}
            // The same code back is the RFC's farewell; the model server hears of it, too.
            Message::Close(with) => {
                self.close(with.unwrap_or(code::NORMAL), "", Reason::Completed, cx, record);
            }
        }
    }

    /// Reads the model server on. Whether anything has come of it.
    fn poll_model(&mut self, cx: &mut Context<'_>, record: &mut Record) -> bool {
        let Some(live) = &mut self.live else { return false };
        match live.model.next() {
            Ok(Some(message)) => {
                self.model_said(message, cx, record);
                return true;
            }
            Ok(None) => {}
            Err(Violation { rule, .. }) => {
                self.fail(&Refusal::new(Reason::UpstreamFailed).because(rule), cx, record);
                return true;
            }
        }
        match live.exchange.poll_chunk(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(chunk))) => {
                live.model.input.extend_from_slice(&chunk);
                self.pulse.model_heard();
            }
            Poll::Ready(Some(Err(error))) => self.fail(&broken_off(&error), cx, record),
            Poll::Ready(None) => {
                let refusal = Refusal::new(Reason::UpstreamDied).because("it left without a farewell");
                self.fail(&refusal, cx, record);
            }
        }
        true
    }

    fn model_said(&mut self, message: Message, cx: &mut Context<'_>, record: &mut Record) {
        let Some(live) = &mut self.live else { return };
        match message {
            Message::Text(text) => match realtime::said(&text) {
                Some(Said::Event(usage)) => {
                    self.pulse.spoken();
                    record.first_byte_out();
                    if let Some(usage) = usage {
                        let add =
                            |sum: &mut Option<u64>, more| *sum = Some(sum.unwrap_or(0).saturating_add(more));
                        add(&mut record.tokens_in, usage.prompt_tokens);
                        add(&mut record.tokens_out, usage.completion_tokens);
                    }
                    self.ready.push_back(websocket::text(&text, None));
                }
                Some(Said::Error(refusal)) => {
                    record.private = Some(refusal.private.as_ref().into());
                    self.ready.push_back(websocket::text(&refusal.realtime_event(self.tongue), None));
                }
                None => self.fail(
                    &Refusal::new(Reason::UpstreamFailed).because("a message is not a JSON object"),
                    cx,
                    record,
                ),
            },
            Message::Ping(payload) => live.exchange.write(websocket::pong(&payload, mask())),
            Message::Pong => {}
            Message::Close(None | Some(code::NORMAL | code::GOING_AWAY)) => {
                self.close(code::NORMAL, "", Reason::Completed, cx, record);
            }
            Message::Close(Some(code)) => {
                let refusal =
                    Refusal::new(Reason::UpstreamDied).because(format!("it closed the session with {code}"));
                self.fail(&refusal, cx, record);
            }
        }
    }

    /// What time brings. Ready: something was done.
    fn poll_pulse(&mut self, cx: &mut Context<'_>, record: &mut Record) -> Poll<()> {
        let beat = std::task::ready!(self.pulse.poll(cx));
        match (beat, &mut self.live) {
            (Beat::AskClient, _) => self.ready.push_back(websocket::ping(None)),
            (Beat::AskModel, Some(live)) => live.exchange.write(websocket::ping(mask())),
            (Beat::ClientGone, _) => {
                record.private = Some("it did not answer a ping within timeouts.keep_alive".into());
                self.end(Reason::ClientLeft, record);
            }
            (Beat::Idle, _) => {
                let why = "nothing was said for timeouts.stream_idle";
                self.close(code::GOING_AWAY, why, Reason::Completed, cx, record);
            }
            (Beat::AskModel, None) => {}
        }
        Poll::Ready(())
    }

    /// The client has broken a rule.
    fn refuse(&mut self, Violation { code, rule }: Violation, cx: &mut Context<'_>, record: &mut Record) {
        record.private = Some(rule.into());
        let reason = match code {
            code::TOO_LARGE => Reason::BodyTooLarge,
            _ => Reason::MalformedRequest,
        };
        self.close(code, rule, reason, cx, record);
    }

    /// It can't go on, and the client is told why in an event, as libraries do not show the words of a close frame.
    fn fail(&mut self, refusal: &Refusal, cx: &mut Context<'_>, record: &mut Record) {
        record.private = Some(refusal.private.as_ref().into());
        self.ready.push_back(websocket::text(&refusal.realtime_event(self.tongue), None));
        self.close(code::INTERNAL_ERROR, refusal.reason.code(), refusal.reason, cx, record);
    }

    /// Says farewell to both sides.
    fn close(
        &mut self,
        with: u16,
        why: &'static str,
        reason: Reason,
        cx: &mut Context<'_>,
        record: &mut Record,
    ) {
        self.ready.push_back(websocket::close(with, why, None));
        if let Some(live) = &mut self.live {
            live.exchange.write(websocket::close(code::GOING_AWAY, "", mask()));
            // As much as its socket takes now: its connection ends in any case.
            let _ = live.exchange.poll_chunk(cx);
        }
        self.end(reason, record);
    }

    fn end(&mut self, reason: Reason, record: &mut Record) {
        self.settle(record);
        self.ended = Some(reason);
    }
}

impl Live {
    fn judged(&self, message: &Bytes) -> Result<realtime::Event, Refusal> {
        let Session { snapshot, served, upstream_name, .. } = &self.session;
        let rules = Rules {
            policy: &snapshot.config.policy,
            json_depth: snapshot.config.limits.json_depth,
            is_model: &|name| snapshot.models.find(name).is_ok_and(|found| Arc::ptr_eq(found, served)),
            upstream_name,
        };
        realtime::event(message, &rules)
    }
}

/// Every frame to the model server is masked anew (RFC 6455 section 5.3).
fn mask() -> Mask {
    random::nonce().first_chunk().copied()
}
