//! What one connection is doing, and until when it may go on doing it.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::config::Timeouts;
use crate::front::{self, Tls};
use crate::reason::Reason;
use crate::sys::clock::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// A request's head did not arrive in time.
    Headers,
    /// No request for `timeouts.keep_alive`.
    Idle,
    /// The client has taken nothing, of all or of one answer, for `timeouts.write_stall`.
    Stalled,
}

/// How long a connection that is to close and has nothing to do may take: HTTP/2 waits for its peer's word.
const CLOSING: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct State {
    peer: IpAddr,
    tls: Option<Tls>,
    /// HTTP/2 runs each answer in a task of its own, and holds back what a client does not take without the socket
    /// knowing.
    is_http2: Cell<bool>,
    in_flight: RefCell<Vec<Rc<Answering>>>,
    head_since: Cell<Option<Instant>>,
    idle_since: Cell<Option<Instant>>,
    blocked_since: Cell<Option<Instant>>,
    wrote: Cell<Instant>,
    begun: Cell<u64>,
    closing: Cell<bool>,
    stalled: Cell<bool>,
    cut: Cell<bool>,
    flushes: Cell<u64>,
    /// HTTP/2 can have several answers that wait for their last word to be written.
    flush_wakers: RefCell<Vec<Waker>>,
    request_headers: Duration,
    keep_alive: Duration,
    write_stall: Duration,
}

/// One request in flight on the connection, until its body has ended.
pub(super) struct InFlight {
    state: Rc<State>,
    answering: Rc<Answering>,
}

/// How far one answer is.
#[derive(Debug, Default)]
struct Answering {
    /// When a piece was handed over after which no other was asked for: the client takes nothing of this answer.
    /// HTTP/2 only: over HTTP/1 such a client blocks the socket.
    untaken_since: Cell<Option<Instant>>,
    /// HTTP/2 runs each answer in a task of its own.
    waker: RefCell<Option<Waker>>,
}

impl State {
    pub(super) fn new(peer: IpAddr, tls: Option<Tls>, timeouts: &Timeouts) -> Rc<Self> {
        let Timeouts { request_headers, keep_alive, write_stall, .. } = timeouts;
        Rc::new(Self {
            peer,
            tls,
            is_http2: Cell::new(false),
            in_flight: RefCell::default(),
            head_since: Cell::new(Some(Instant::now())),
            idle_since: Cell::new(None),
            blocked_since: Cell::new(None),
            wrote: Cell::new(Instant::now()),
            begun: Cell::new(0),
            closing: Cell::new(false),
            stalled: Cell::new(false),
            cut: Cell::new(false),
            flushes: Cell::new(0),
            flush_wakers: RefCell::default(),
            request_headers: *request_headers,
            keep_alive: *keep_alive,
            write_stall: *write_stall,
        })
    }

    pub(super) fn becomes_http2(&self) {
        self.is_http2.set(true);
        self.head_since.set(None);
        self.idle_since.set(Some(Instant::now()));
    }

    pub(super) fn begin(self: &Rc<Self>) -> InFlight {
        let answering = Rc::new(Answering::default());
        self.in_flight.borrow_mut().push(answering.clone());
        self.head_since.set(None);
        self.idle_since.set(None);
        self.begun.set(self.begun.get() + 1);
        InFlight { state: self.clone(), answering }
    }

    /// Requests that were handed to the request path so far.
    pub(super) fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Some of a request's head is there, but not all of it.
    pub(super) fn head_began(&self) {
        if self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
            self.idle_since.set(None);
        }
    }

    pub(super) fn on_write(&self, blocked: bool) {
        if !blocked {
            // Over HTTP/2 much is written that is no answer.
            if !self.is_http2.get() {
                self.on_answer_written();
            }
            self.blocked_since.set(None);
        } else if self.blocked_since.get().is_none() {
            self.blocked_since.set(Some(Instant::now()));
        }
    }

    /// Some of an answer has reached the socket.
    pub(super) fn on_answer_written(&self) {
        self.wrote.set(Instant::now());
    }

    pub(super) fn on_flush(&self) {
        self.flushes.set(self.flushes.get() + 1);
        for waker in self.flush_wakers.borrow_mut().drain(..) {
            waker.wake();
        }
    }

    pub(super) fn cut(&self) {
        self.cut.set(true);
        for answering in self.in_flight.borrow().iter() {
            if let Some(waker) = answering.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// Nothing new is wanted of the client: what is idle from now on is not so for long.
    pub(super) fn close(&self) {
        self.closing.set(true);
        if self.idle_since.get().is_some() {
            self.idle_since.set(Some(Instant::now()));
        }
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.get()
    }

    pub(super) fn stalled(&self) {
        self.stalled.set(true);
    }

    /// When something will have taken too long, as things stand.
    pub(super) fn deadline(&self) -> Instant {
        let far = Duration::from_secs(24 * 3600);
        self.limits().map(|(_, since, limit)| since + limit).min().unwrap_or_else(|| Instant::now() + far)
    }

    /// No deadline that begins later can end sooner than this from now.
    pub(super) fn shortest_limit(&self) -> Duration {
        self.request_headers.min(self.keep_alive()).min(self.write_stall)
    }

    pub(super) fn expired(&self, now: Instant) -> Option<Expired> {
        self.limits().find(|(_, since, limit)| now >= *since + *limit).map(|(what, _, _)| what)
    }

    fn keep_alive(&self) -> Duration {
        if self.closing.get() { self.keep_alive.min(CLOSING) } else { self.keep_alive }
    }

    fn limits(&self) -> impl Iterator<Item = (Expired, Instant, Duration)> {
        // Answers that were handed over whole may still be on their way: a connection that writes, or waits for its
        // client to read, is not idle.
        let idle_since = match self.blocked_since.get() {
            None => self.idle_since.get().map(|since| since.max(self.wrote.get())),
            Some(_) => None,
        };
        let untaken = self.in_flight.borrow().iter().filter_map(|a| a.untaken_since.get()).min();
        [
            (Expired::Headers, self.head_since.get(), self.request_headers),
            (Expired::Idle, idle_since, self.keep_alive()),
            (Expired::Stalled, self.blocked_since.get(), self.write_stall),
            (Expired::Stalled, untaken, self.write_stall),
        ]
        .into_iter()
        .filter_map(|(what, since, limit)| since.map(|since| (what, since, limit)))
    }
}

impl InFlight {
    /// Remembers whom to wake when live answers are cut. Over HTTP/1 that is the connection itself.
    pub(super) fn waits(&self, waker: &Waker) {
        if !self.state.is_http2.get() {
            return;
        }
        let mut slot = self.answering.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// The next piece is asked for: what was handed over before is on its way.
    pub(super) fn asked(&self) {
        self.answering.untaken_since.set(None);
    }

    /// A piece, or the head, was handed over.
    pub(super) fn handed_over(&self) {
        if self.state.is_http2.get() {
            self.answering.untaken_since.set(Some(Instant::now()));
        }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let mut in_flight = self.state.in_flight.borrow_mut();
        in_flight.retain(|answering| !Rc::ptr_eq(answering, &self.answering));
        if in_flight.is_empty() {
            self.state.idle_since.set(Some(Instant::now()));
        }
    }
}

impl front::Connection for State {
    fn peer(&self) -> IpAddr {
        self.peer
    }

    fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    fn is_cut(&self) -> bool {
        self.cut.get()
    }

    fn why_gone(&self) -> Reason {
        match (self.stalled.get(), self.cut.get()) {
            (true, _) => Reason::ClientStalled,
            (false, true) => Reason::ShuttingDown,
            (false, false) => Reason::ClientLeft,
        }
    }

    fn flushes(&self, waker: &Waker) -> u64 {
        let mut wakers = self.flush_wakers.borrow_mut();
        if !wakers.iter().any(|known| known.will_wake(waker)) {
            wakers.push(waker.clone());
        }
        self.flushes.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeouts() -> Timeouts {
        let secs = Duration::from_secs;
        Timeouts {
            handshake: secs(1),
            request_headers: secs(30),
            keep_alive: secs(75),
            request_body_idle: secs(1),
            write_stall: secs(10),
            upstream_connect: secs(1),
            upstream_send: secs(1),
            upstream_first_byte: secs(1),
            stream_idle: secs(1),
            drain: secs(1),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_an_idle_time_and_a_stall_have_their_own_deadlines() {
        let state = State::new("192.0.2.1".parse().unwrap(), None, &timeouts());
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(state.expired(after(29)), None);
        assert_eq!(state.expired(after(30)), Some(Expired::Headers));
        let request = state.begin();
        assert_eq!(state.expired(after(1000)), None, "a running request has its own deadlines");
        state.on_write(true);
        assert_eq!(state.expired(after(10)), Some(Expired::Stalled));
        state.on_write(false);
        request.handed_over();
        assert_eq!(state.expired(after(1000)), None, "a socket that takes bytes is no stall");
        drop(request);
        assert_eq!(state.expired(after(74)), None);
        assert_eq!(state.expired(after(75)), Some(Expired::Idle));
        state.head_began();
        assert_eq!(state.expired(after(30)), Some(Expired::Headers), "the next head has begun");
    }

    #[tokio::test(start_paused = true)]
    async fn over_http_2_each_answer_has_to_be_taken() {
        let state = State::new("192.0.2.1".parse().unwrap(), None, &timeouts());
        state.becomes_http2();
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        let (first, second) = (state.begin(), state.begin());
        first.handed_over();
        second.handed_over();
        assert_eq!(state.expired(after(9)), None);
        first.asked();
        assert_eq!(
            state.expired(after(10)),
            Some(Expired::Stalled),
            "nobody asks for the second's next piece"
        );
        second.asked();
        assert_eq!(state.expired(after(1000)), None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_to_close_is_not_idle_for_long() {
        let state = State::new("192.0.2.1".parse().unwrap(), None, &timeouts());
        drop(state.begin());
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(state.expired(after(2)), None);
        state.close();
        assert_eq!(state.expired(after(2)), Some(Expired::Idle));
        tokio::time::advance(Duration::from_secs(1)).await;
        state.on_write(false);
        assert_eq!(state.expired(after(1)), None, "something is still being written");
        assert_eq!(state.expired(after(2)), Some(Expired::Idle));
        state.on_write(true);
        assert_eq!(state.expired(after(9)), None, "a slow reader has its own deadline");
        assert_eq!(state.expired(after(10)), Some(Expired::Stalled));
    }
}
