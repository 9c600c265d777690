//! The waiting line of one model.
//!
//! The fast path is two atomic operations. The slow path takes a short lock that is never held across a wait.
//! All orderings are sequentially consistent on purpose: a permit is given back by "running down, then look for
//! waiters", and a waiter enters by "waiting up, then look for room", so one of the two always sees the other.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::sync::oneshot;

use crate::reason::Reason;
use crate::types::ModelState;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) max_running: u32,
    pub(crate) max_waiting: u32,
}

#[derive(Debug)]
pub(crate) struct Line {
    state: AtomicU8,
    running: AtomicU32,
    max_running: AtomicU32,
    max_waiting: AtomicU32,
    waiting: AtomicU32,
    waiters: Mutex<Waiters>,
}

#[derive(Debug, Default)]
struct Waiters {
    next_number: u64,
    queue: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    number: u64,
    answer: oneshot::Sender<Result<Permit, Reason>>,
}

/// What a request gets when it asks to run.
#[derive(Debug)]
pub(crate) enum Admission {
    Now(Permit),
    Wait(Ticket),
}

/// The right to run one request on the model. Returned by `Drop`.
#[derive(Debug)]
pub(crate) struct Permit {
    line: Arc<Line>,
}

/// A place in the line. A future that resolves to a permit or to why there will be none; dropping it gives the
/// place (or a permit that was just granted) back.
#[derive(Debug)]
pub(crate) struct Ticket {
    line: Arc<Line>,
    number: u64,
    answer: oneshot::Receiver<Result<Permit, Reason>>,
}

/// Where a ticket stands, for whoever does not hold the ticket.
#[derive(Debug)]
pub(crate) struct Place {
    line: Arc<Line>,
    number: u64,
}

impl Line {
    pub(crate) fn new(state: ModelState, limits: Limits) -> Arc<Self> {
        Arc::new(Self {
            state: AtomicU8::new(encode(state)),
            running: AtomicU32::new(0),
            max_running: AtomicU32::new(limits.max_running),
            max_waiting: AtomicU32::new(limits.max_waiting),
            waiting: AtomicU32::new(0),
            waiters: Mutex::default(),
        })
    }

    /// Asks to run. Refused at once where waiting is pointless (stopped, down) or the line is full.
    pub(crate) fn enter(self: &Arc<Self>) -> Result<Admission, Reason> {
        if self.waiting.load(SeqCst) == 0
            && let Some(permit) = self.try_take()
        {
            return Ok(Admission::Now(permit));
        }
        match self.state() {
            ModelState::Stopped => return Err(Reason::ModelStopped),
            ModelState::Down => return Err(Reason::ModelUnavailable),
            ModelState::Loading | ModelState::Ready => {}
        }
        let (sender, answer) = oneshot::channel();
        let number = {
            let mut waiters = self.lock();
            if waiters.queue.len() >= self.max_waiting.load(SeqCst) as usize {
                return Err(Reason::QueueFull);
            }
            waiters.next_number += 1;
            let number = waiters.next_number;
            waiters.queue.push_back(Waiter { number, answer: sender });
            self.waiting.store(count(&waiters), SeqCst);
            number
        };
        self.advance();
        Ok(Admission::Wait(Ticket { line: self.clone(), number, answer }))
    }

    /// Whoever watches the model says how it is. Waiters go on, or are told that waiting is pointless.
    pub(crate) fn set_state(self: &Arc<Self>, state: ModelState) {
        self.state.store(encode(state), SeqCst);
        self.advance();
    }

    /// A request could not reach what counted as ready: the next ones wait until somebody has looked. True for the
    /// first who says so. What was stopped or is down meanwhile stays so.
    pub(crate) fn suspect(&self) -> bool {
        let (ready, loading) = (encode(ModelState::Ready), encode(ModelState::Loading));
        self.state.compare_exchange(ready, loading, SeqCst, SeqCst).is_ok()
    }

    pub(crate) fn state(&self) -> ModelState {
        decode(self.state.load(SeqCst))
    }

    pub(crate) fn set_limits(self: &Arc<Self>, limits: Limits) {
        self.max_running.store(limits.max_running, SeqCst);
        self.max_waiting.store(limits.max_waiting, SeqCst);
        self.advance();
    }

    pub(crate) fn running(&self) -> u32 {
        self.running.load(SeqCst)
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(SeqCst)
    }

    fn try_take(self: &Arc<Self>) -> Option<Permit> {
        if self.state() != ModelState::Ready {
            return None;
        }
        let limit = self.max_running.load(SeqCst);
        self.running
            .fetch_update(SeqCst, SeqCst, |running| (running < limit).then_some(running + 1))
            .ok()
            .map(|_| Permit { line: self.clone() })
    }

    /// Gives out what can be given out now.
    fn advance(self: &Arc<Self>) {
        // Answers are sent outside the lock: a receiver that is gone drops its permit, which comes back here.
        loop {
            let (waiter, answer) = {
                let mut waiters = self.lock();
                if waiters.queue.is_empty() {
                    return;
                }
                let answer = match self.state() {
                    ModelState::Stopped => Err(Reason::ModelStopped),
                    ModelState::Down => Err(Reason::ModelUnavailable),
                    ModelState::Loading | ModelState::Ready => match self.try_take() {
                        Some(permit) => Ok(permit),
                        None => return,
                    },
                };
                let Some(waiter) = waiters.queue.pop_front() else { return };
                self.waiting.store(count(&waiters), SeqCst);
                (waiter, answer)
            };
            // The error hands the permit back to be dropped, and the loop goes on with the next waiter.
            let _ = waiter.answer.send(answer);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        // Nothing under this lock can panic half-way; a poisoned line would stop a model for ever.
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.line.running.fetch_sub(1, SeqCst);
        if self.line.waiting.load(SeqCst) > 0 {
            self.line.advance();
        }
    }
}

impl Ticket {
    pub(crate) fn place(&self) -> Place {
        Place { line: self.line.clone(), number: self.number }
    }
}

impl Place {
    /// 1 is next. 0 when the answer is already on its way.
    pub(crate) fn position(&self) -> usize {
        let waiters = self.line.lock();
        waiters.queue.iter().position(|w| w.number == self.number).map_or(0, |index| index + 1)
    }
}

impl Future for Ticket {
    type Output = Result<Permit, Reason>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // The sender is dropped unanswered only with the line itself, which this ticket keeps alive.
        Pin::new(&mut self.answer).poll(cx).map(|answer| answer.unwrap_or(Err(Reason::Internal)))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut waiters = self.line.lock();
        waiters.queue.retain(|waiter| waiter.number != self.number);
        self.line.waiting.store(count(&waiters), SeqCst);
    }
}

fn count(waiters: &Waiters) -> u32 {
    u32::try_from(waiters.queue.len()).unwrap_or(u32::MAX)
}

const fn encode(state: ModelState) -> u8 {
    match state {
        ModelState::Loading => 0,
        ModelState::Ready => 1,
        ModelState::Down => 2,
        ModelState::Stopped => 3,
    }
}

const fn decode(state: u8) -> ModelState {
    match state {
        1 => ModelState::Ready,
        2 => ModelState::Down,
        3 => ModelState::Stopped,
        _ => ModelState::Loading,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(state: ModelState, max_running: u32, max_waiting: u32) -> Arc<Line> {
        Line::new(state, Limits { max_running, max_waiting })
    }

    fn now(line: &Arc<Line>) -> Permit {
        match line.enter() {
            Ok(Admission::Now(permit)) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn wait(line: &Arc<Line>) -> Ticket {
        match line.enter() {
            Ok(Admission::Wait(ticket)) => ticket,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn first_come_first_served_up_to_the_limit() {
        let line = line(ModelState::Ready, 2, 2);
        let (first, second) = (now(&line), now(&line));
        let (third, fourth) = (wait(&line), wait(&line));
        assert_eq!((third.place().position(), fourth.place().position()), (1, 2));
        assert_eq!(line.enter().unwrap_err(), Reason::QueueFull);
        drop(first);
        let third = third.await.unwrap();
        assert_eq!(fourth.place().position(), 1);
        drop(second);
        let fourth = fourth.await.unwrap();
        assert_eq!((line.running(), line.waiting()), (2, 0));
        drop((third, fourth));
        assert_eq!(line.running(), 0);
    }

    #[tokio::test]
    async fn a_loading_model_holds_and_then_serves() {
        let line = line(ModelState::Loading, 1, 8);
        let first = wait(&line);
        let second = wait(&line);
        line.set_state(ModelState::Ready);
        let permit = first.await.unwrap();
        assert_eq!(second.place().position(), 1);
        drop(permit);
        assert!(second.await.is_ok());
    }

    #[tokio::test]
    async fn a_stopped_model_refuses_those_who_wait_and_those_who_come() {
        let line = line(ModelState::Loading, 1, 8);
        let ticket = wait(&line);
        line.set_state(ModelState::Stopped);
        assert_eq!(ticket.await.unwrap_err(), Reason::ModelStopped);
        assert_eq!(line.enter().unwrap_err(), Reason::ModelStopped);
        line.set_state(ModelState::Down);
        assert_eq!(line.enter().unwrap_err(), Reason::ModelUnavailable);
    }

    #[test]
    fn suspicion_never_wakes_a_model_that_was_stopped() {
        let line = line(ModelState::Ready, 1, 8);
        assert!(line.suspect());
        assert_eq!(line.state(), ModelState::Loading);
        assert!(!line.suspect(), "said once");
        for state in [ModelState::Stopped, ModelState::Down] {
            line.set_state(state);
            assert!(!line.suspect());
            assert_eq!(line.state(), state);
        }
    }

    #[tokio::test]
    async fn who_leaves_the_line_frees_the_place_and_a_granted_permit() {
        let line = line(ModelState::Ready, 1, 1);
        let running = now(&line);
        let leaver = wait(&line);
        drop(leaver);
        assert_eq!(line.waiting(), 0);
        let granted_but_never_polled = wait(&line);
        drop(running);
        assert_eq!(line.running(), 1, "the permit is on its way");
        drop(granted_but_never_polled);
        assert_eq!(line.running(), 0, "and came back");
    }

    #[test]
    fn many_threads_never_exceed_the_limit_nor_lose_a_permit() {
        let line = line(ModelState::Ready, 3, 1_000);
        let peak = Arc::new(AtomicU32::new(0));
        let inside = Arc::new(AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
                    for _ in 0..2_000 {
                        let permit = match line.enter().unwrap() {
                            Admission::Now(permit) => permit,
                            Admission::Wait(ticket) => runtime.block_on(ticket).unwrap(),
                        };
                        peak.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                        inside.fetch_sub(1, SeqCst);
                        drop(permit);
                    }
                });
            }
        });
        assert!(peak.load(SeqCst) <= 3);
        assert_eq!((line.running(), line.waiting()), (0, 0));
    }
}
