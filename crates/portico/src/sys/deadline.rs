//! Deadlines that are nearly never reached: a place in a thread's list instead of a timer.
//!
//! A timer of the runtime costs an allocation, a lock and two moves in its wheel, for every request, and is nearly
//! always thrown away. Here a waiting task leaves its waker and a time; the data thread looks through its list a few
//! times a second and wakes who is late. A deadline is therefore noticed up to one such look late, never early.

use std::cell::RefCell;
use std::task::{Context, Waker};

use slab::Slab;

use super::clock::Instant;

thread_local! {
    static WAITING: RefCell<Slab<Entry>> = const { RefCell::new(Slab::new()) };
}

struct Entry {
    at: Instant,
    waker: Waker,
}

/// A deadline of the task that polls it. Stays on the thread it was first polled on.
#[derive(Debug, Default)]
pub(crate) struct Deadline {
    place: Option<usize>,
}

impl Deadline {
    /// Whether `at` has passed. If not, the task is woken when it has.
    pub(crate) fn is_past(&mut self, at: Instant, cx: &Context<'_>) -> bool {
        WAITING.with_borrow_mut(|waiting| match self.place.and_then(|place| waiting.get_mut(place)) {
            Some(entry) => {
                entry.at = at;
                entry.waker.clone_from(cx.waker());
            }
            None => self.place = Some(waiting.insert(Entry { at, waker: cx.waker().clone() })),
        });
        LOOKED.get().is_some_and(|looked| looked >= at)
    }
}

thread_local! {
    /// When the list was last looked through: the clock by which deadlines pass.
    static LOOKED: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

impl Drop for Deadline {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            // At the end of a thread the list may be gone first.
            let _ = WAITING.try_with(|waiting| waiting.borrow_mut().try_remove(place));
        }
    }
}

/// Wakes every task whose deadline has passed. The thread's housekeeping calls this several times a second.
pub(crate) fn wake_late() {
    let now = Instant::now();
    LOOKED.set(Some(now));
    // Woken outside the borrow: a waker may run code of its own.
    let late: Vec<Waker> = WAITING.with_borrow(|waiting| {
        waiting.iter().filter(|(_, entry)| entry.at <= now).map(|(_, entry)| entry.waker.clone()).collect()
    });
    late.into_iter().for_each(Waker::wake);
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_late_task_is_woken_and_a_dropped_deadline_is_forgotten() {
        let at = Instant::now() + Duration::from_secs(5);
        let waiting = tokio::task::LocalSet::new();
        let task = waiting.spawn_local(async move {
            let mut deadline = Deadline::default();
            std::future::poll_fn(|cx| {
                if deadline.is_past(at, cx) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
            })
            .await;
            Instant::now()
        });
        let ended = waiting
            .run_until(async move {
                let housekeeping = tokio::task::spawn_local(async {
                    loop {
                        wake_late();
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                });
                let ended = task.await.unwrap();
                housekeeping.abort();
                ended
            })
            .await;
        assert!(ended >= at && ended <= at + Duration::from_millis(201), "{:?}", ended - at);
        assert!(WAITING.with_borrow(Slab::is_empty));
    }
}
