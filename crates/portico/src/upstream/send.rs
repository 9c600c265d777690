//! Sending one request, to as many endpoints as it takes to reach one, but never twice.

use std::cell::Cell;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use hyper::body::Incoming;

use super::choose::{Chosen, Endpoints};
use super::connection::{self, Connection};
use super::exchange::Exchange;
use super::pool;
use crate::config::Timeouts;
use crate::sys::clock::Instant;
use crate::sys::deadline::Deadline;
use crate::types::Rope;

/// A request built from parts: nothing of the client's is copied but what the caller puts into the header.
pub(crate) struct Outbound<'a> {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// Made anew for each try, and there is nearly always one.
    pub(crate) make: &'a dyn Fn() -> (HeaderMap, Rope),
    pub(crate) timeouts: &'a Timeouts,
    /// Told how long it took to get a connection, also when no answer comes over it.
    pub(crate) connected: &'a Cell<Option<Duration>>,
}

/// An answer's head, and the exchange that carries its body.
pub(crate) struct Sent {
    pub(crate) head: http::response::Parts,
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
                Ok((response, connection)) => {
                    endpoint.answered();
                    return Ok(sent(response, connection, endpoint, &outbound, began, connect));
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
    response: Response<Incoming>,
    connection: Box<Connection>,
    endpoint: Chosen,
    outbound: &Outbound<'_>,
    began: Instant,
    connect: Duration,
) -> Sent {
    let (head, incoming) = response.into_parts();
    let Timeouts { upstream_first_byte, stream_idle, .. } = outbound.timeouts;
    let now = Instant::now();
    let first = now + *upstream_first_byte;
    let exchange = Exchange::new(incoming, connection, endpoint, first, *stream_idle);
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
) -> Result<(Response<Incoming>, Box<Connection>), Attempt> {
    let before = connection.written.get();
    let (request, body_bytes) = request(endpoint, outbound);
    let mut response = pin!(connection.sender.send_request(request));
    let mut wait = WriteThenWait::new(outbound.timeouts, body_bytes);
    let mut driver_ended = false;
    let answer = std::future::poll_fn(|cx| {
        loop {
            if let Poll::Ready(answer) = response.as_mut().poll(cx) {
                return Poll::Ready(answer.map_err(|error| SendFailure::Broken(describe(&error))));
            }
            if driver_ended {
                break;
            }
            match Pin::new(&mut connection.driver).poll(cx) {
                Poll::Ready(_) => driver_ended = true,
                Poll::Pending => {
                    if let Poll::Ready(answer) = response.as_mut().poll(cx) {
                        return Poll::Ready(answer.map_err(|error| SendFailure::Broken(describe(&error))));
                    }
                    break;
                }
            }
        }
        wait.poll(connection.written.get() - before, cx).map(Err)
    })
    .await;
    match answer {
        Ok(response) => Ok((response, connection)),
        Err(failure) => Err(Attempt { wrote_nothing: connection.written.get() == before, failure }),
    }
}

/// The request, and the length of its body.
fn request(endpoint: &Chosen, outbound: &Outbound<'_>) -> (Request<Rope>, u64) {
    let (headers, body) = (outbound.make)();
    let body_bytes = http_body::Body::size_hint(&body).lower();
    let mut request = Request::new(body);
    *request.method_mut() = outbound.method.clone();
    *request.uri_mut() = http::Uri::from_static(outbound.path);
    *request.headers_mut() = headers;
    request.headers_mut().insert(header::HOST, endpoint.host.clone());
    request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    (request, body_bytes)
}

/// While the request is being written, `upstream_send` runs between two writes; from then on `upstream_first_byte`
/// runs until the answer begins.
struct WriteThenWait {
    send: Duration,
    first_byte: Duration,
    body_bytes: u64,
    written: u64,
    deadline_at: Instant,
    deadline: Deadline,
}

impl WriteThenWait {
    fn new(timeouts: &Timeouts, body_bytes: u64) -> Self {
        let Timeouts { upstream_send, upstream_first_byte, .. } = timeouts;
        Self {
            send: *upstream_send,
            first_byte: *upstream_first_byte,
            body_bytes,
            written: 0,
            deadline_at: Instant::now() + *upstream_send,
            deadline: Deadline::default(),
        }
    }

    fn poll(&mut self, written: u64, cx: &std::task::Context<'_>) -> Poll<SendFailure> {
        // The head is on top of the body, so more than the body's length means that all but a little is out.
        let all_written = written > self.body_bytes;
        if written != self.written {
            self.written = written;
            self.deadline_at = Instant::now() + if all_written { self.first_byte } else { self.send };
        }
        if !self.deadline.is_past(self.deadline_at, cx) {
            return Poll::Pending;
        }
        Poll::Ready(SendFailure::TimedOut(if all_written {
            "the model server did not begin its answer in time"
        } else {
            "the model server did not take the request in time"
        }))
    }
}

/// hyper's own words and the cause behind them; for the log only.
fn describe(error: &hyper::Error) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

impl std::fmt::Display for SendFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            SendFailure::Unreachable(why) | SendFailure::Broken(why) => f.write_str(why),
            SendFailure::TimedOut(what) => f.write_str(what),
        }
    }
}
