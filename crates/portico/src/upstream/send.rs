//! Sending one request, to as many endpoints as it takes to reach one, but never twice.

use std::cell::{Cell, RefCell};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;

use super::choose::{Chosen, Endpoints};
use super::connection::{self, Connection};
use super::exchange::Exchange;
use super::feed::{Feed, Source};
use super::head::Head;
use super::pool;
use crate::config::Timeouts;
use crate::reason::Refusal;
use crate::sys::clock::Instant;
use crate::sys::deadline::Deadline;
use crate::sys::random;
use crate::types::{Rope, websocket};

/// A request built from parts, to be sent as often as it takes: nothing of the client's is copied but what the caller
/// puts into the header.
#[derive(Clone, Copy)]
pub(crate) struct Outbound<'a> {
    pub(crate) path: &'static str,
    /// Appends header lines (`name: value`, CRLF) beyond those that belong to the connection: `host`,
    /// `content-length` or `transfer-encoding`, `accept-encoding`.
    pub(crate) fields: &'a dyn Fn(&mut Vec<u8>),
    pub(crate) body: Payload<'a>,
    pub(crate) timeouts: &'a Timeouts,
    /// Told how long it took to get a connection, also when no answer comes over it.
    pub(crate) connected: &'a Cell<Option<Duration>>,
}

/// The body of a request.
#[derive(Clone, Copy)]
pub(crate) enum Payload<'a> {
    /// Made anew for each try, and there is nearly always one.
    Whole(&'a dyn Fn() -> Rope),
    /// Asked for piece by piece once the head has been written, so that nothing is lost by a try that wrote nothing.
    Stream(&'a RefCell<dyn Source + 'a>),
    /// None: a `GET` that asks for a change to WebSocket. Where the server agrees, the answer is a 101 and its body what
    /// the server sends from then on.
    Switch,
}

/// An answer's head, and the exchange that carries its body.
pub(crate) struct Sent {
    pub(crate) head: Head,
    pub(crate) exchange: Exchange,
    pub(crate) connect: Duration,
    pub(crate) header: Duration,
}

#[derive(Debug)]
pub(crate) enum SendFailure {
    /// Nobody could be reached, and nothing was sent.
    Unreachable(String),
    /// It was sent, at least in part, and the connection ended or brought garbage before an answer.
    Broken(String),
    TimedOut(&'static str),
    /// The request's own body can't be sent: it broke off, or what came of it was refused.
    Refused(Refusal),
}

/// Dropping the future closes the connection it was using.
pub(crate) async fn send(endpoints: &Endpoints, outbound: Outbound<'_>) -> Result<Sent, SendFailure> {
    let began = Instant::now();
    let mut tried = Vec::new();
    let mut last_error = String::from("every endpoint is marked down");
    while let Some(endpoint) = endpoints.choose(&tried) {
        // A pooled connection may turn out to be closed before a byte is written; then the next one is taken,
        // and at last a new one is opened.
        loop {
            let pooled = std::future::poll_fn(|cx| Poll::Ready(pool::take(endpoint.id, cx))).await;
            let (fresh, was_up) = (pooled.is_none(), endpoint.is_up());
            let connection = match pooled {
                Some(connection) => connection,
                None => {
                    match Box::pin(connection::open(&endpoint.address, outbound.timeouts.upstream_connect))
                        .await
                    {
                        Ok(connection) => {
                            endpoint.mark_up();
                            connection
                        }
                        Err(error) => {
                            endpoint.mark_down(&error);
                            last_error = format!("{}: {error}", endpoint.address);
                            tried.push(endpoint.id);
                            break;
                        }
                    }
                }
            };
            // As in Nginx: a connection that was kept costs no time.
            let connect = if fresh { began.elapsed() } else { Duration::ZERO };
            outbound.connected.set(Some(connect));
            match exchange(connection, &endpoint, &outbound).await {
                Ok((head, connection)) => {
                    endpoint.answered();
                    return Ok(sent(head, connection, endpoint, &outbound, began, connect));
                }
                Err(Attempt { wrote_nothing, failure: SendFailure::Broken(why) }) => {
                    if fresh {
                        endpoint.gave_no_answer(was_up, &why);
                    }
                    if !wrote_nothing {
                        return Err(SendFailure::Broken(why));
                    }
                    last_error = format!("{}: {why}", endpoint.address);
                    if fresh {
                        tried.push(endpoint.id);
                        break;
                    }
                }
                Err(Attempt { failure, .. }) => return Err(failure),
            }
        }
    }
    Err(SendFailure::Unreachable(last_error))
}

fn sent(
    head: Head,
    connection: Box<Connection>,
    endpoint: Chosen,
    outbound: &Outbound<'_>,
    began: Instant,
    connect: Duration,
) -> Sent {
    let Timeouts { upstream_first_byte, stream_idle, .. } = outbound.timeouts;
    let now = Instant::now();
    // In a session it may be the client that speaks first.
    let is_switched = head.status == StatusCode::SWITCHING_PROTOCOLS;
    let first = now + if is_switched { *stream_idle } else { *upstream_first_byte };
    let exchange = Exchange::new(head.framing, connection, endpoint, first, *stream_idle);
    Sent { head, exchange, connect, header: now - began }
}

struct Attempt {
    wrote_nothing: bool,
    failure: SendFailure,
}

/// One request over one connection, up to the head of its answer.
async fn exchange(
    mut connection: Box<Connection>,
    endpoint: &Chosen,
    outbound: &Outbound<'_>,
) -> Result<(Head, Box<Connection>), Attempt> {
    let before = connection.written();
    let mut feed = begin(&mut connection, endpoint, outbound);
    let mut wait = WriteThenWait::new(outbound.timeouts);
    let answer = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(head) = connection.poll_head(cx) {
                return Poll::Ready(head.map_err(SendFailure::Broken));
            }
            let course = match &mut feed {
                Some(feed) if !feed.is_ended() && connection.is_all_written() => match feed.poll(cx) {
                    Poll::Ready(Ok(pieces)) => {
                        connection.append(pieces);
                        continue;
                    }
                    Poll::Ready(Err(refusal)) => return Poll::Ready(Err(SendFailure::Refused(refusal))),
                    Poll::Pending => Course::Body,
                },
                _ if connection.is_all_written() => Course::Answer,
                _ => Course::Write,
            };
            return wait.poll(course, connection.written(), cx).map(Err);
        }
    })
    .await;
    let is_torn = feed.is_some_and(|feed| !feed.is_ended());
    match answer {
        // Nobody can transcribe what it has not heard.
        Ok(head) if is_torn && head.status.is_success() => Err(Attempt {
            wrote_nothing: false,
            failure: SendFailure::Broken("it answered before it had the whole request".to_owned()),
        }),
        Ok(head) => {
            if is_torn {
                connection.spoil();
            }
            Ok((head, connection))
        }
        Err(failure) => Err(Attempt { wrote_nothing: connection.written() == before, failure }),
    }
}

/// Hands the connection what is there of the request. What comes later is the feed's.
fn begin<'a>(connection: &mut Connection, endpoint: &Chosen, outbound: &Outbound<'a>) -> Option<Feed<'a>> {
    match outbound.body {
        Payload::Whole(body) => {
            let body = body();
            let mut head = start("POST", endpoint, outbound);
            length(body.len(), &mut head);
            connection.begin(std::iter::once(finish(head, outbound)).chain(body));
            None
        }
        Payload::Stream(source) => {
            let mut head = start("POST", endpoint, outbound);
            match source.borrow().length_bytes() {
                Some(bytes) => length(bytes, &mut head),
                None => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            }
            connection.begin([finish(head, outbound)]);
            Some(Feed::new(source))
        }
        Payload::Switch => {
            // Not the client's: who knows it could make another client's answer fit (RFC 6455 section 10.3).
            let key = base64_simd::STANDARD.encode_to_string(random::nonce());
            let mut head = start("GET", endpoint, outbound);
            head.extend_from_slice(
                b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: ",
            );
            head.extend_from_slice(key.as_bytes());
            head.extend_from_slice(b"\r\n");
            connection.begin([finish(head, outbound)]);
            connection.asks_to_switch(websocket::accept(&key));
            None
        }
    }
}

fn start(method: &str, endpoint: &Chosen, outbound: &Outbound<'_>) -> Vec<u8> {
    let mut head = Vec::with_capacity(512);
    let pieces = [
        method.as_bytes(),
        b" ",
        outbound.path.as_bytes(),
        b" HTTP/1.1\r\nhost: ",
        endpoint.host.as_bytes(),
        b"\r\n",
    ];
    pieces.into_iter().for_each(|piece| head.extend_from_slice(piece));
    head
}

fn length(bytes: u64, head: &mut Vec<u8>) {
    head.extend_from_slice(b"content-length: ");
    head.extend_from_slice(itoa::Buffer::new().format(bytes).as_bytes());
    head.extend_from_slice(b"\r\n");
}

fn finish(mut head: Vec<u8>, outbound: &Outbound<'_>) -> Bytes {
    head.extend_from_slice(b"accept-encoding: identity\r\n");
    (outbound.fields)(&mut head);
    head.extend_from_slice(b"\r\n");
    head.into()
}

/// What a request that has no answer yet is waiting for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    /// The model server has to take what there is.
    Write,
    /// More of the body has to come; its source has a deadline of its own.
    Body,
    Answer,
}

/// While the request is being written, `upstream_send` runs between two writes; from then on `upstream_first_byte`
/// runs until the answer begins.
struct WriteThenWait {
    send: Duration,
    first_byte: Duration,
    course: Course,
    written: u64,
    deadline_at: Instant,
    deadline: Deadline,
}

impl WriteThenWait {
    fn new(timeouts: &Timeouts) -> Self {
        let Timeouts { upstream_send, upstream_first_byte, .. } = timeouts;
        Self {
            send: *upstream_send,
            first_byte: *upstream_first_byte,
            course: Course::Write,
            written: 0,
            deadline_at: Instant::now() + *upstream_send,
            deadline: Deadline::default(),
        }
    }

    fn poll(&mut self, course: Course, written: u64, cx: &std::task::Context<'_>) -> Poll<SendFailure> {
        let (wait, why) = match course {
            Course::Write => (self.send, "the model server did not take the request in time"),
            Course::Answer => (self.first_byte, "the model server did not begin its answer in time"),
            Course::Body => {
                self.course = course;
                return Poll::Pending;
            }
        };
        if written != self.written || course != self.course {
            (self.written, self.course) = (written, course);
            self.deadline_at = Instant::now() + wait;
        }
        match self.deadline.is_past(self.deadline_at, cx) {
            true => Poll::Ready(SendFailure::TimedOut(why)),
            false => Poll::Pending,
        }
    }
}

impl std::fmt::Display for SendFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendFailure::Unreachable(why) | SendFailure::Broken(why) => f.write_str(why),
            SendFailure::TimedOut(what) => f.write_str(what),
            SendFailure::Refused(refusal) => f.write_str(refusal.reason.code()),
        }
    }
}
