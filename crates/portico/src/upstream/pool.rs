//! Idle connections, per thread: no lock, no other thread's wake-up.

use std::cell::RefCell;
use std::collections::HashMap;
use std::task::Context;
use std::time::Duration;

use super::connection::Connection;
use crate::sys::clock::Instant;

/// Model servers close idle connections (uvicorn and llama.cpp after 5 s); ours are closed well before, so that a
/// request never meets a server that is just about to.
const IDLE: Duration = Duration::from_secs(3);
/// Idle connections kept per endpoint and thread.
const MOST_IDLE: usize = 128;

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

thread_local! {
    static POOL: RefCell<HashMap<u64, Vec<Idle>>> = RefCell::new(HashMap::new());
}

/// The most recently used connection that is still open and clean.
pub(super) fn take(endpoint: u64, cx: &mut Context<'_>) -> Option<Box<Connection>> {
    loop {
        let mut idle = POOL.with_borrow_mut(|pool| pool.get_mut(&endpoint)?.pop())?;
        if idle.since.elapsed() < IDLE && idle.connection.is_clean(cx) {
            return Some(idle.connection);
        }
    }
}

/// Keeps a connection after a complete exchange.
pub(super) fn give_back(endpoint: u64, connection: Box<Connection>) {
    POOL.with_borrow_mut(|pool| {
        let idle = pool.entry(endpoint).or_default();
        if idle.len() < MOST_IDLE {
            idle.push(Idle { connection, since: Instant::now() });
        }
    });
}

/// Closes what has been idle too long. The thread's runtime calls this several times a second.
pub(crate) fn sweep_thread() {
    POOL.with_borrow_mut(|pool| {
        for idle in pool.values_mut() {
            // The oldest are at the front.
            let old = idle.iter().take_while(|idle| idle.since.elapsed() >= IDLE).count();
            idle.drain(..old);
        }
        pool.retain(|_, idle| !idle.is_empty());
    });
}
