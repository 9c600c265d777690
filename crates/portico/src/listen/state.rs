//! What one connection is doing, and until when it may go on doing it.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Waker;
use std::time::Duration;

use crate::config::Timeouts;
use crate::front;
use crate::sys::clock::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expired {
    /// A request's head did not arrive in time.
    Headers,
    /// No request for `timeouts.keep_alive`.
    Idle,
    /// The client has taken nothing for `timeouts.write_stall`.
    Stalled,
}

#[derive(Debug)]
pub(super) struct State {
    peer: IpAddr,
    /// HTTP/2 frames arrive without a request; only HTTP/1 bytes between requests are the start of a head.
    reads_are_heads: Cell<bool>,
    in_flight: Cell<u32>,
    head_since: Cell<Option<Instant>>,
    idle_since: Cell<Option<Instant>>,
    blocked_since: Cell<Option<Instant>>,
    received_any: Cell<bool>,
    cut: Cell<bool>,
    flushes: Cell<u64>,
    flush_waker: RefCell<Option<Waker>>,
    request_headers: Duration,
    keep_alive: Duration,
    write_stall: Duration,
}

/// One request in flight on the connection.
pub(super) struct InFlight(Rc<State>);

impl State {
    pub(super) fn new(peer: IpAddr, timeouts: &Timeouts) -> Rc<Self> {
        let Timeouts { request_headers, keep_alive, write_stall, .. } = timeouts;
        Rc::new(Self {
            peer,
            reads_are_heads: Cell::new(true),
            in_flight: Cell::new(0),
            head_since: Cell::new(Some(Instant::now())),
            idle_since: Cell::new(None),
            blocked_since: Cell::new(None),
            received_any: Cell::new(false),
            cut: Cell::new(false),
            flushes: Cell::new(0),
            flush_waker: RefCell::new(None),
            request_headers: *request_headers,
            keep_alive: *keep_alive,
            write_stall: *write_stall,
        })
    }

    pub(super) fn is_http2(&self) {
        self.reads_are_heads.set(false);
        self.head_since.set(None);
        self.idle_since.set(Some(Instant::now()));
    }

    pub(super) fn begin(self: &Rc<Self>) -> InFlight {
        self.in_flight.set(self.in_flight.get() + 1);
        self.head_since.set(None);
        self.idle_since.set(None);
        InFlight(self.clone())
    }

    pub(super) fn on_read(&self) {
        self.received_any.set(true);
        if self.reads_are_heads.get() && self.in_flight.get() == 0 && self.head_since.get().is_none() {
            self.head_since.set(Some(Instant::now()));
            self.idle_since.set(None);
        }
    }

    pub(super) fn on_write(&self, blocked: bool) {
        match (blocked, self.blocked_since.get()) {
            (true, None) => self.blocked_since.set(Some(Instant::now())),
            (false, Some(_)) => self.blocked_since.set(None),
            _ => {}
        }
    }

    pub(super) fn on_flush(&self) {
        self.flushes.set(self.flushes.get() + 1);
        if let Some(waker) = self.flush_waker.borrow_mut().take() {
            waker.wake();
        }
    }

    pub(super) fn cut(&self) {
        self.cut.set(true);
    }

    /// A request had begun to arrive and never became one.
    pub(super) fn is_mid_head(&self) -> bool {
        self.received_any.get() && self.head_since.get().is_some()
    }

    /// When something will have taken too long, as things stand.
    pub(super) fn deadline(&self) -> Instant {
        let far = Duration::from_secs(24 * 3600);
        self.limits().map(|(_, since, limit)| since + limit).min().unwrap_or_else(|| Instant::now() + far)
    }

    /// No deadline that begins later can end sooner than this from now.
    pub(super) fn shortest_limit(&self) -> Duration {
        self.request_headers.min(self.keep_alive).min(self.write_stall)
    }

    pub(super) fn expired(&self, now: Instant) -> Option<Expired> {
        self.limits().find(|(_, since, limit)| now >= *since + *limit).map(|(what, _, _)| what)
    }

    fn limits(&self) -> impl Iterator<Item = (Expired, Instant, Duration)> {
        [
            (Expired::Headers, self.head_since.get(), self.request_headers),
            (Expired::Idle, self.idle_since.get(), self.keep_alive),
            (Expired::Stalled, self.blocked_since.get(), self.write_stall),
        ]
        .into_iter()
        .filter_map(|(what, since, limit)| since.map(|since| (what, since, limit)))
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let left = self.0.in_flight.get() - 1;
        self.0.in_flight.set(left);
        if left == 0 {
            self.0.idle_since.set(Some(Instant::now()));
        }
    }
}

impl front::Connection for State {
    fn peer(&self) -> IpAddr {
        self.peer
    }

    fn is_tls(&self) -> bool {
        false
    }

    fn is_cut(&self) -> bool {
        self.cut.get()
    }

    fn flushes(&self, waker: &Waker) -> u64 {
        *self.flush_waker.borrow_mut() = Some(waker.clone());
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
        let state = State::new("192.0.2.1".parse().unwrap(), &timeouts());
        let after = |seconds| Instant::now() + Duration::from_secs(seconds);
        assert_eq!(state.expired(after(29)), None);
        assert_eq!(state.expired(after(30)), Some(Expired::Headers));
        let request = state.begin();
        assert_eq!(state.expired(after(1000)), None, "a running request has its own deadlines");
        state.on_write(true);
        assert_eq!(state.expired(after(10)), Some(Expired::Stalled));
        state.on_write(false);
        drop(request);
        assert_eq!(state.expired(after(74)), None);
        assert_eq!(state.expired(after(75)), Some(Expired::Idle));
        state.on_read();
        assert_eq!(state.expired(after(30)), Some(Expired::Headers), "the next head has begun");
    }
}
