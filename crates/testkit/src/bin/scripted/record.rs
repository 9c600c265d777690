//! What was received, for tests to look at.
//!
//! `GET /_scripted/requests` gives an array, oldest first; times are milliseconds since the server started:
//!
//! | key | |
//! | --- | --- |
//! | `connection`, `number` | which connection, and which request on it, both from 1 |
//! | `head` | request line and header lines, exactly as received |
//! | `body` | text of the body, or null where it is 64 KiB or more, or not UTF-8 |
//! | `body_length`, `body_sha256` | of what arrived of it |
//! | `body_complete` | false while it arrives, and for ever when the client left before its end |
//! | `fault` | what was chosen, `""` for a normal answer |
//! | `received_ms` | when the head was complete |
//! | `events_sent`, `bytes_sent` | of the answer, so far |
//! | `ended` | null while it runs; `complete`, `client-closed`, or `server-closed` where the fault closed |
//! | `ended_ms` | when that was |
//! | `frames` | of a realtime session, see `websocket/record.rs` |
//! | `peer_closed_ms` | when the client closed the connection, whatever was going on then |

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const KEPT_BODY_BYTES: usize = 64 * 1024;

#[derive(Clone, Copy)]
pub(crate) enum Ended {
    Complete,
    ClientClosed,
    ServerClosed,
}

pub(crate) struct State {
    pub(crate) model: String,
    /// The version of the vLLM that it claims to be.
    pub(crate) vllm: Option<String>,
    started: Instant,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    connections: Vec<Connection>,
    requests: Vec<Request>,
    /// Raised when the list is emptied, so that a request from before cannot write into it.
    generation: u64,
    fault: String,
    fault_for_all: bool,
}

#[derive(Default)]
struct Connection {
    opened_ms: u64,
    closed_ms: Option<u64>,
    peer_closed_ms: Option<u64>,
    requests: usize,
    control: bool,
}

#[derive(Default)]
struct Request {
    connection: usize,
    number: usize,
    head: Vec<String>,
    body: Option<String>,
    body_length: usize,
    body_sha256: String,
    body_complete: bool,
    fault: String,
    received_ms: u64,
    events_sent: u64,
    bytes_sent: u64,
    frames: Vec<Value>,
    ended: Option<(Ended, u64)>,
}

/// Names one request in the list, for as long as the list was not emptied.
#[derive(Clone, Copy)]
pub(crate) struct Ticket {
    generation: u64,
    index: usize,
}

impl State {
    pub(crate) fn new(model: String, vllm: Option<String>) -> Self {
        Self { model, vllm, started: Instant::now(), inner: Mutex::default() }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of the new connection, from 1.
    pub(crate) fn opened(&self) -> usize {
        let opened_ms = self.now_ms();
        let mut inner = self.lock();
        inner.connections.push(Connection { opened_ms, ..Connection::default() });
        inner.connections.len()
    }

    pub(crate) fn closed(&self, connection: usize) {
        let now = self.now_ms();
        self.lock().connections[connection - 1].closed_ms = Some(now);
    }

    pub(crate) fn peer_closed(&self, connection: usize) {
        let now = self.now_ms();
        self.lock().connections[connection - 1].peer_closed_ms.get_or_insert(now);
    }

    /// A connection that asks for this log is the test's own and does not count.
    pub(crate) fn is_control(&self, connection: usize) {
        self.lock().connections[connection - 1].control = true;
    }

    pub(crate) fn received(&self, connection: usize, head: Vec<String>) -> Ticket {
        let received_ms = self.now_ms();
        let mut inner = self.lock();
        inner.connections[connection - 1].requests += 1;
        let number = inner.connections[connection - 1].requests;
        inner.requests.push(Request { connection, number, head, received_ms, ..Request::default() });
        Ticket { generation: inner.generation, index: inner.requests.len() - 1 }
    }

    fn update(&self, ticket: Ticket, change: impl FnOnce(&mut Request)) {
        let mut inner = self.lock();
        if inner.generation == ticket.generation {
            change(&mut inner.requests[ticket.index]);
        }
    }

    pub(crate) fn body(&self, ticket: Ticket, body: &[u8], complete: bool) {
        let text = if body.len() < KEPT_BODY_BYTES { String::from_utf8(body.to_vec()).ok() } else { None };
        let digest = Sha256::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
        self.update(ticket, |request| {
            request.body = text;
            request.body_length = body.len();
            request.body_sha256 = digest;
            request.body_complete = complete;
        });
    }

    pub(crate) fn chose(&self, ticket: Ticket, fault: &str) {
        self.update(ticket, |request| fault.clone_into(&mut request.fault));
    }

    pub(crate) fn sent(&self, ticket: Ticket, bytes: u64, events: u64) {
        self.update(ticket, |request| {
            request.bytes_sent += bytes;
            request.events_sent += events;
        });
    }

    pub(crate) fn frame(&self, ticket: Ticket, frame: Value) {
        self.update(ticket, |request| request.frames.push(frame));
    }

    pub(crate) fn ended(&self, ticket: Ticket, ended: Ended) {
        let now = self.now_ms();
        self.update(ticket, |request| request.ended = Some((ended, now)));
    }

    /// The fault that was set from outside, for this kind of request.
    pub(crate) fn preset(&self, has_body: bool) -> Option<String> {
        let inner = self.lock();
        (!inner.fault.is_empty() && (has_body || inner.fault_for_all)).then(|| inner.fault.clone())
    }

    pub(crate) fn set_preset(&self, fault: &str, for_all: bool) {
        let mut inner = self.lock();
        fault.clone_into(&mut inner.fault);
        inner.fault_for_all = for_all;
    }

    pub(crate) fn clear(&self) {
        let mut inner = self.lock();
        inner.generation += 1;
        inner.requests.clear();
    }

    pub(crate) fn requests_json(&self) -> Value {
        let inner = self.lock();
        inner
            .requests
            .iter()
            .map(|request| {
                json!({
                    "connection": request.connection,
                    "number": request.number,
                    "head": request.head,
                    "body": request.body,
                    "body_length": request.body_length,
                    "body_sha256": request.body_sha256,
                    "body_complete": request.body_complete,
                    "fault": request.fault,
                    "received_ms": request.received_ms,
                    "events_sent": request.events_sent,
                    "bytes_sent": request.bytes_sent,
                    "frames": request.frames,
                    "ended": request.ended.map(|(ended, _)| ended.as_str()),
                    "ended_ms": request.ended.map(|(_, at)| at),
                    "peer_closed_ms": inner.connections[request.connection - 1].peer_closed_ms,
                })
            })
            .collect()
    }

    pub(crate) fn connections_json(&self) -> Value {
        let inner = self.lock();
        let counted: Vec<_> =
            inner.connections.iter().enumerate().filter(|(_, connection)| !connection.control).collect();
        let list: Vec<_> = counted
            .iter()
            .map(|(index, connection)| {
                json!({
                    "connection": index + 1,
                    "requests": connection.requests,
                    "opened_ms": connection.opened_ms,
                    "closed_ms": connection.closed_ms,
                    "peer_closed_ms": connection.peer_closed_ms,
                })
            })
            .collect();
        let open = counted.iter().filter(|(_, connection)| connection.closed_ms.is_none()).count();
        json!({ "open": open, "total": counted.len(), "list": list })
    }
}

impl Ended {
    fn as_str(self) -> &'static str {
        match self {
            Self::Complete => "complete",
            Self::ClientClosed => "client-closed",
            Self::ServerClosed => "server-closed",
        }
    }
}
