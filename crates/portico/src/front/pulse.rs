//! When a session has been silent for too long. Pure, but for the deadline that wakes it.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::config::Timeouts;
use crate::sys::clock::Instant;
use crate::sys::deadline::Deadline;

/// What silence leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Half of the time has passed without a byte of the client.
    AskClient,
    /// Half of the time has passed without a byte of the model server; its own deadline is the exchange's.
    AskModel,
    ClientGone,
    /// Both are there, and neither has said anything: the place at the model is for others.
    Idle,
}

pub(super) struct Pulse {
    client: Silence,
    model: Silence,
    spoken: Instant,
    /// `timeouts.stream_idle`.
    idle: Duration,
    deadline: Deadline,
}

#[derive(Debug, Clone, Copy)]
struct Silence {
    since: Instant,
    asked: Option<Instant>,
    /// So long it may last.
    limit: Duration,
}

impl Silence {
    fn new(limit: Duration) -> Self {
        Self { since: Instant::now(), asked: None, limit }
    }

    fn broken(&mut self) {
        (self.since, self.asked) = (Instant::now(), None);
    }

    fn ask_at(&self) -> Option<Instant> {
        self.asked.is_none().then(|| self.since + self.limit / 2)
    }

    /// Whoever was asked late, because there was still much to take, has as long to answer.
    fn over_at(&self) -> Instant {
        let over = self.since + self.limit;
        self.asked.map_or(over, |asked| over.max(asked + self.limit / 2))
    }
}

impl Pulse {
    pub(super) fn new(timeouts: &Timeouts) -> Self {
        Self {
            client: Silence::new(timeouts.keep_alive),
            model: Silence::new(timeouts.stream_idle),
            spoken: Instant::now(),
            idle: timeouts.stream_idle,
            deadline: Deadline::default(),
        }
    }

    pub(super) fn client_heard(&mut self) {
        self.client.broken();
    }

    pub(super) fn model_heard(&mut self) {
        self.model.broken();
    }

    /// One of the two has said something that is no control frame.
    pub(super) fn spoken(&mut self) {
        self.spoken = Instant::now();
    }

    pub(super) fn poll(&mut self, cx: &Context<'_>) -> Poll<Beat> {
        let (at, beat) = self.next();
        if !self.deadline.is_past(at, cx) {
            return Poll::Pending;
        }
        match beat {
            Beat::AskClient => self.client.asked = Some(Instant::now()),
            Beat::AskModel => self.model.asked = Some(Instant::now()),
            Beat::ClientGone | Beat::Idle => {}
        }
        Poll::Ready(beat)
    }

    fn next(&self) -> (Instant, Beat) {
        let asks = [(self.client.ask_at(), Beat::AskClient), (self.model.ask_at(), Beat::AskModel)];
        let asks = asks.into_iter().filter_map(|(at, beat)| at.map(|at| (at, beat)));
        let ends = [(self.client.over_at(), Beat::ClientGone), (self.spoken + self.idle, Beat::Idle)];
        let all = asks.chain(ends);
        all.min_by_key(|(at, _)| *at).unwrap_or((self.client.over_at(), Beat::ClientGone))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_asked_about_first() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut pulse = Pulse {
            client: Silence::new(Duration::from_secs(20)),
            model: Silence::new(Duration::from_secs(100)),
            spoken: start,
            idle: Duration::from_secs(100),
            deadline: Deadline::default(),
        };
        assert_eq!(pulse.next(), (after(10), Beat::AskClient));
        pulse.client.asked = Some(Instant::now());
        assert_eq!(pulse.next(), (after(20), Beat::ClientGone));
        tokio::time::advance(Duration::from_secs(15)).await;
        pulse.client_heard();
        assert_eq!(pulse.next(), (after(25), Beat::AskClient));
        for _ in 0..4 {
            tokio::time::advance(Duration::from_secs(9)).await;
            pulse.client_heard();
        }
        assert_eq!(pulse.next(), (after(50), Beat::AskModel));
        pulse.model.asked = Some(Instant::now());
        for _ in 0..5 {
            tokio::time::advance(Duration::from_secs(9)).await;
            pulse.client_heard();
        }
        assert_eq!(pulse.next(), (after(100), Beat::Idle), "answers to pings are not a conversation");
        pulse.spoken();
        assert_eq!(pulse.next(), (after(106), Beat::AskClient));
        tokio::time::advance(Duration::from_secs(30)).await;
        pulse.client.asked = Some(Instant::now());
        assert_eq!(pulse.next(), (after(136), Beat::ClientGone), "asked late, and not gone at once");
    }
}
