//! One answer on its way in, with the connection that carries it.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use super::choose::Chosen;
use super::connection::Connection;
use super::pool;
use crate::sys::clock::Instant;
use crate::sys::deadline::Deadline;
use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;

/// The body of an answer. Read to its end, its connection goes back to the pool; dropped before, the connection is
/// closed, and with it the generation ends.
pub(crate) struct Exchange {
    incoming: Incoming,
    connection: Option<Box<Connection>>,
    endpoint: Chosen,
    /// Until the first piece, then between two pieces.
    deadline: Deadline,
    deadline_at: Instant,
    /// A piece has come since the deadline was set.
    moved: bool,
    stream_idle: Duration,
}

#[derive(Debug)]
pub(crate) enum ExchangeError {
    /// No piece within the deadline.
    TimedOut,
    /// The connection broke before the end that was announced, or what came was not HTTP.
    Broken(hyper::Error),
    /// More than the caller takes.
    TooLarge,
}

impl Exchange {
    pub(super) fn new(
        incoming: Incoming,
        connection: Box<Connection>,
        endpoint: Chosen,
        first: Instant,
        stream_idle: Duration,
    ) -> Self {
        Self {
            incoming,
            connection: Some(connection),
            endpoint,
            deadline: Deadline::default(),
            deadline_at: first,
            moved: false,
            stream_idle,
        }
    }

    /// The next piece; `None` at the announced end.
    pub(crate) fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        loop {
            // First what is already here, then the socket, then what the socket brought.
            if let Poll::Ready(piece) = self.poll_incoming(cx) {
                return Poll::Ready(piece);
            }
            match self.connection.as_mut().map(|connection| connection.poll_driver(cx)) {
                // Its end is in the body's channel by now.
                Some(Poll::Ready(_)) => self.connection = None,
                Some(Poll::Pending) => {
                    if let Poll::Ready(piece) = self.poll_incoming(cx) {
                        return Poll::Ready(piece);
                    }
                    return self.poll_deadline(cx);
                }
                None => return self.poll_deadline(cx),
            }
        }
    }

    /// The whole body, up to a limit.
    pub(crate) async fn collect(mut self, limit_bytes: usize) -> Result<Bytes, ExchangeError> {
        let mut only = Bytes::new();
        let mut whole = BytesMut::new();
        while let Some(chunk) = std::future::poll_fn(|cx| self.poll_chunk(cx)).await {
            let chunk = chunk?;
            if only.len() + whole.len() + chunk.len() > limit_bytes {
                return Err(ExchangeError::TooLarge);
            }
            if only.is_empty() && whole.is_empty() {
                only = chunk;
            } else {
                whole.extend_from_slice(&std::mem::take(&mut only));
                whole.extend_from_slice(&chunk);
            }
        }
        Ok(if whole.is_empty() { only } else { whole.freeze() })
    }

    fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        loop {
            return match std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) if !data.is_empty() => {
                        self.moved = true;
                        Poll::Ready(Some(Ok(data)))
                    }
                    // Trailers and empty pieces say nothing.
                    _ => continue,
                },
                Some(Err(error)) => Poll::Ready(Some(Err(ExchangeError::Broken(error)))),
                None => {
                    self.finish();
                    Poll::Ready(None)
                }
            };
        }
    }

    /// The answer is complete. Whether its connection is clean enough for another request is asked when one wants it:
    /// by then also bytes that nobody asked for may have come.
    fn finish(&mut self) {
        if let Some(connection) = self.connection.take() {
            pool::give_back(self.endpoint.id, connection);
        }
    }

    fn poll_deadline(&mut self, cx: &Context<'_>) -> Poll<Option<Result<Bytes, ExchangeError>>> {
        // The clock is read once for all pieces that came without a wait.
        if std::mem::take(&mut self.moved) {
            self.deadline_at = Instant::now() + self.stream_idle;
        }
        if self.deadline.is_past(self.deadline_at, cx) {
            Poll::Ready(Some(Err(ExchangeError::TimedOut)))
        } else {
            Poll::Pending
        }
    }
}

impl std::fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ExchangeError::TimedOut => f.write_str("the model server sent nothing for too long"),
            ExchangeError::Broken(error) => write!(f, "the model server's answer broke off: {error}"),
            ExchangeError::TooLarge => f.write_str("the model server's answer is too large"),
        }
    }
}
