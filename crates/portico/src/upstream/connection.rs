//! One HTTP/1.1 connection to a model server: what is to be written, what was read, and how far either has come.
//!
//! Polled inside the request that uses it. Bytes are read into a buffer that all connections of a thread share, so
//! a stream that waits for its next event holds no buffer of its own.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::AsyncWrite;
use tokio::net::{TcpStream, UnixStream};

use super::head::{self, Head, Parsed};
use crate::config::EndpointAddress;
use crate::sys::read_buffer;
use crate::types::{MOST_SLICES, Pieces};

/// Informational answers before the one that was asked for.
const MOST_INFORMATIONAL: u8 = 10;

pub(super) struct Connection {
    socket: Socket,
    /// Of the request, what is not yet written.
    unwritten: Pieces,
    /// Bytes written to the socket since it was opened.
    written: u64,
    /// Why nothing more can be written.
    write_error: Option<io::Error>,
    informational: u8,
    /// What a server says that agrees to change to WebSocket; `None`: nobody asked.
    accept: Option<String>,
    /// The beginning of an answer's head, or of its body, that came in an earlier read.
    begun: Vec<u8>,
    /// The server closes the connection after this answer, or something on it was not as it should be.
    is_spoiled: bool,
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Connects. Dropping the future closes the socket.
pub(super) async fn open(address: &EndpointAddress, deadline: Duration) -> io::Result<Box<Connection>> {
    let connect = async {
        match address {
            EndpointAddress::Tcp { host, port } => {
                let stream = TcpStream::connect((host.as_str(), *port)).await?;
                stream.set_nodelay(true)?;
                Ok(Socket::Tcp(stream))
            }
            EndpointAddress::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
        }
    };
    let socket = tokio::time::timeout(deadline, connect)
        .await
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, "connecting took too long")))?;
    // Boxed once, because it is handed from request to request.
    Ok(Box::new(Connection {
        socket,
        unwritten: Pieces::default(),
        written: 0,
        write_error: None,
        informational: 0,
        accept: None,
        begun: Vec::new(),
        is_spoiled: false,
    }))
}

impl Connection {
    /// Takes a request to be written as the connection is polled.
    pub(super) fn begin(&mut self, request: impl IntoIterator<Item = Bytes>) {
        self.informational = 0;
        self.unwritten.extend(request);
    }

    /// The request that was begun asks for a change to WebSocket. The connection carries no other behind it.
    pub(super) fn asks_to_switch(&mut self, accept: String) {
        self.accept = Some(accept);
        self.is_spoiled = true;
    }

    /// Takes more of the body of the request that was begun.
    pub(super) fn append(&mut self, pieces: impl IntoIterator<Item = Bytes>) {
        self.unwritten.extend(pieces);
    }

    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn is_all_written(&self) -> bool {
        self.unwritten.is_empty()
    }

    pub(super) fn unwritten_bytes(&self) -> usize {
        self.unwritten.bytes()
    }

    /// Whether it is idle, open and without a byte that nobody asked for.
    pub(super) fn is_clean(&mut self, cx: &mut Context<'_>) -> bool {
        !self.is_spoiled && self.socket.poll_read(cx, |_| ()).is_pending()
    }

    pub(super) fn is_spoiled(&self) -> bool {
        self.is_spoiled || !self.is_all_written()
    }

    pub(super) fn spoil(&mut self) {
        self.is_spoiled = true;
    }

    /// Writes on, and reads until the head of the answer is whole. An answer may come before all is written.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, String>> {
        loop {
            self.poll_write(cx);
            let Self { socket, begun, accept, .. } = self;
            let found = match ready!(socket.poll_read(cx, |bytes| head_in(begun, bytes, accept.as_deref()))) {
                Ok(Some(Ok(found))) => found,
                Ok(Some(Err(why))) => return Poll::Ready(Err(format!("the answer can't be used: {why}"))),
                Ok(None) => return Poll::Ready(Err(self.why_no_answer("it closed the connection"))),
                Err(error) => return Poll::Ready(Err(self.why_no_answer(&error.to_string()))),
            };
            self.informational = self.informational.saturating_add(found.informational);
            if self.informational > MOST_INFORMATIONAL {
                return Poll::Ready(Err("the answer can't be used: it never begins".to_owned()));
            }
            if let Some(head) = found.head {
                self.is_spoiled |= !head.is_kept;
                return Poll::Ready(Ok(head));
            }
        }
    }

    /// The next bytes of the answer, given to `take` in a buffer that it may change. `None`: the server has closed.
    /// What is left of the request is written on.
    pub(super) fn poll_bytes<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut [u8]) -> T,
    ) -> Poll<io::Result<Option<T>>> {
        self.poll_write(cx);
        if !self.begun.is_empty() {
            let mut begun = std::mem::take(&mut self.begun);
            return Poll::Ready(Ok(Some(take(&mut begun))));
        }
        self.socket.poll_read(cx, take)
    }

    fn why_no_answer(&mut self, why: &str) -> String {
        match self.write_error.take() {
            Some(error) => format!("the request could not be written: {error}"),
            None => format!("the model server gave no answer: {why}"),
        }
    }

    /// Writes what the socket takes. A failure is kept: the server may have answered before it closed.
    fn poll_write(&mut self, cx: &mut Context<'_>) {
        while !self.unwritten.is_empty() && self.write_error.is_none() {
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let count = self.unwritten.gather(&[], &mut slices);
            match self.socket.poll_write(cx, &slices[..count]) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => self.write_error = Some(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(bytes)) => {
                    self.written += bytes as u64;
                    self.unwritten.advance(bytes);
                }
                Poll::Ready(Err(error)) => self.write_error = Some(error),
            }
        }
    }
}

/// What a read has brought of the answer's head.
struct Found {
    informational: u8,
    head: Option<Head>,
}

/// Looks for the head in what had begun and what has come. What is behind it, or is not whole, stays in `begun`.
fn head_in(begun: &mut Vec<u8>, bytes: &[u8], accept: Option<&str>) -> Result<Found, &'static str> {
    let mut earlier = std::mem::take(begun);
    let all = if earlier.is_empty() {
        bytes
    } else {
        earlier.extend_from_slice(bytes);
        &earlier
    };
    let mut rest = all;
    let mut informational = 0;
    let head = loop {
        match head::parse(rest, accept)? {
            Parsed::Informational(length) => {
                rest = &rest[length..];
                informational += 1;
                if informational > MOST_INFORMATIONAL {
                    break None;
                }
            }
            Parsed::Head(head, length) => {
                rest = &rest[length..];
                break Some(head);
            }
            Parsed::Partial => break None,
        }
    };
    begun.extend_from_slice(rest);
    Ok(Found { informational, head })
}

impl Socket {
    /// What has come, given to `take`; `None` at the end.
    fn poll_read<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut [u8]) -> T,
    ) -> Poll<io::Result<Option<T>>> {
        match self {
            Socket::Tcp(stream) => read_buffer::poll_read(stream, cx, take),
            Socket::Unix(stream) => read_buffer::poll_read(stream, cx, take),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self {
            Socket::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Socket::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
        }
    }
}
