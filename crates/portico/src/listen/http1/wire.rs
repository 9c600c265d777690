//! The bytes of one connection: heads and bodies that come in, answers that go out.
//!
//! A request's head is given out when all of it was judged, its body as far as its framing is right, and the next head
//! not before the answer has ended. Nothing that could be read in two ways becomes a request, and there are never two
//! requests at once.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::Request;
use tokio::io::{AsyncRead, AsyncWrite};

use super::course::Course;
use super::fault::Fault;
use super::head::Bounds;
use super::request::{self, Manners};
use crate::listen::state::State;
use crate::reason::Reason;
use crate::sys::read_buffer;
use crate::types::{MOST_SLICES, Pieces};

/// What is read while an answer is under way, only to notice that the client has gone, waits for its turn. A client
/// that sends more ahead has to wait with it.
const AHEAD_BYTES: usize = 16 * 1024;
/// A body's place grows by at least so much, and one read brings at most so much.
const LEAST_ROOM_BYTES: usize = 16 * 1024;
const MOST_READ_BYTES: usize = 256 * 1024;
/// Smaller pieces of an answer are copied together: that is cheaper than a slice of their own for the kernel.
const COPIED_BYTES: usize = 8 * 1024;
/// Of an empty buffer, so much is kept for the next piece of a stream.
const KEPT_BYTES: usize = 1024;
/// Of the request line, what the record of a refusal is made from.
const LINE_BYTES: usize = 1024;

pub(super) struct Wire<S> {
    stream: S,
    state: Rc<State>,
    course: Course,
    /// Read, and not used.
    held: BytesMut,
    /// The client waits to be told that its body is wanted.
    owes_continue: bool,
    /// A body was not what its head said; nothing more is read.
    is_broken: bool,
    outgoing: Outgoing,
    /// The stream may hold back some of what was written: TLS encrypts more than the socket takes.
    is_unflushed: bool,
}

/// What is to be written: whole pieces first, then what was copied together.
#[derive(Default)]
struct Outgoing {
    pieces: Pieces,
    tail: Vec<u8>,
    bytes: usize,
}

/// A request that never became one.
#[derive(Debug)]
pub(super) struct Refused {
    /// As much of its first line as was there.
    pub(super) line: Vec<u8>,
    pub(super) fault: Fault,
}

/// What came where a head was expected.
pub(super) enum Incoming {
    Request(Request<()>, Manners),
    Refused(Refused),
    /// The client has ended, between two requests.
    End,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Wire<S> {
    /// `prefix`: what was read before the protocol was known.
    pub(super) fn new(stream: S, prefix: BytesMut, state: Rc<State>, bounds: Bounds) -> Self {
        Self {
            stream,
            state,
            course: Course::new(bounds),
            held: prefix,
            owes_continue: false,
            is_broken: false,
            outgoing: Outgoing::default(),
            is_unflushed: false,
        }
    }

    pub(super) fn into_stream(self) -> S {
        self.stream
    }

    /// The next request's head.
    pub(super) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if !self.held.is_empty() {
            match self.judge_held() {
                Some(incoming) => return Poll::Ready(incoming),
                None => self.state.head_began(),
            }
        }
        loop {
            let Self { stream, course, held, .. } = self;
            let read = ready!(read_buffer::poll_read(stream, cx, |bytes| {
                // Nearly always a whole head, in one piece and alone.
                if held.is_empty() {
                    *held = BytesMut::from(&*bytes);
                } else {
                    held.extend_from_slice(bytes);
                }
                course.judge(held)
            }));
            match read {
                Ok(Some(judged)) => match self.judged(judged) {
                    Some(incoming) => return Poll::Ready(incoming),
                    None => self.state.head_began(),
                },
                Ok(None) => return Poll::Ready(self.broke_off()),
                Err(_) => return Poll::Ready(Incoming::End),
            }
        }
    }

    /// The time for a head is over. Only where some of it is there is there somebody to tell.
    pub(super) fn late(&mut self) -> Option<Refused> {
        let fault = Fault::of(Reason::HeadersTimeout, "the head was not whole at timeouts.request_headers");
        (!self.held.is_empty()).then(|| Refused { line: first_line(&self.held), fault })
    }

    /// The body of the request is all there; only behind it can the client's end be told from its data.
    pub(super) fn is_behind(&self) -> bool {
        self.course.is_behind()
    }

    /// The answer has ended: what is read now is a head.
    pub(super) fn next(&mut self) {
        self.course.next();
    }

    /// Nothing of a next request is there.
    pub(super) fn is_between(&self) -> bool {
        self.held.is_empty()
    }

    /// While an answer is under way, only the client's end is of interest.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_behind() {
            return Poll::Pending;
        }
        while self.held.len() < AHEAD_BYTES {
            let Self { stream, held, .. } = self;
            match ready!(read_buffer::poll_read(stream, cx, |bytes| held.extend_from_slice(bytes))) {
                Ok(Some(())) => {}
                Ok(None) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }

    /// Hands the connection to the request that is under way: what comes from now on is its body.
    pub(super) fn open(&mut self) -> Result<(), &'static str> {
        if !self.is_behind() {
            return Err("the request has a body");
        }
        // Sent before it could know that anybody speaks its protocol (CVE-2026-2833).
        if !self.held.is_empty() {
            return Err("something was sent behind the request before it was answered");
        }
        self.course.open();
        Ok(())
    }

    pub(super) fn announced_bytes(&self) -> u64 {
        self.course.left_bytes().unwrap_or(0)
    }

    /// Appends what has come of the body; false at its end.
    pub(super) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        into: &mut BytesMut,
    ) -> Poll<Result<bool, String>> {
        loop {
            if self.is_broken {
                return Poll::Ready(Err("it broke off before".to_owned()));
            }
            if self.is_behind() {
                return Poll::Ready(Ok(false));
            }
            let before = into.len();
            let filled = ready!(self.poll_fill_once(cx, into));
            if let Err(why) = filled {
                self.is_broken = true;
                self.held = BytesMut::new();
                return Poll::Ready(Err(why));
            }
            if into.len() > before {
                return Poll::Ready(Ok(true));
            }
        }
    }

    fn poll_fill_once(&mut self, cx: &mut Context<'_>, into: &mut BytesMut) -> Poll<Result<(), String>> {
        let Self { course, held, .. } = self;
        if !held.is_empty() {
            let passed = match course.decode(held) {
                Ok(passed) => passed,
                Err(fault) => return Poll::Ready(Err(fault.rule.to_owned())),
            };
            let mut used = held.split_to(passed.used);
            let _ = used.split_off(passed.data.end);
            used.advance(passed.data.start);
            // A small body lies behind its head and stays there.
            if into.is_empty() {
                *into = used;
            } else {
                into.extend_from_slice(&used);
            }
            return Poll::Ready(Ok(()));
        }
        if std::mem::take(&mut self.owes_continue) {
            self.outgoing.tail.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
            self.outgoing.bytes = self.outgoing.tail.len();
        }
        if let Poll::Ready(Err(error)) = self.poll_flush(cx) {
            return Poll::Ready(Err(error.to_string()));
        }
        let Self { stream, course, held, .. } = self;
        let read = match course.left_bytes() {
            // Read to where it belongs, and no further.
            Some(left) => {
                let left = usize::try_from(left).unwrap_or(usize::MAX).min(MOST_READ_BYTES);
                if into.capacity() - into.len() < left.min(LEAST_ROOM_BYTES) {
                    into.reserve(left.min(LEAST_ROOM_BYTES.max(into.len())));
                }
                let mut place = (&mut *into).limit(left);
                ready!(tokio_util::io::poll_read_buf(Pin::new(stream), cx, &mut place)).map(|bytes| {
                    course.advance(bytes as u64);
                    (bytes > 0).then_some(Ok::<(), Fault>(()))
                })
            }
            None => ready!(read_buffer::poll_read(stream, cx, |bytes| {
                let passed = course.decode(bytes)?;
                into.extend_from_slice(&bytes[passed.data]);
                held.extend_from_slice(&bytes[passed.used..]);
                Ok(())
            })),
        };
        Poll::Ready(match read {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(fault))) => Err(fault.rule.to_owned()),
            Ok(None) if course.is_open() => {
                course.end();
                Ok(())
            }
            Ok(None) => Err("the client ended it before its end".to_owned()),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Where the head of an answer, and small pieces, are written to.
    pub(super) fn tail(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let tail = &mut self.outgoing.tail;
        let before = tail.len();
        write(tail);
        self.outgoing.bytes += tail.len() - before;
    }

    pub(super) fn push(&mut self, data: Bytes) {
        self.outgoing.push(data);
    }

    /// Bytes that are to be written.
    pub(super) fn outgoing_bytes(&self) -> usize {
        self.outgoing.bytes
    }

    /// Writes what the socket takes; ready when all has been written.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.outgoing.bytes > 0 {
            let written = self.outgoing.poll_write(&mut self.stream, cx);
            self.state.on_write(written.is_pending());
            self.outgoing.advance(ready!(written)?);
            self.is_unflushed = true;
        }
        if self.is_unflushed {
            let flushed = Pin::new(&mut self.stream).poll_flush(cx);
            self.state.on_write(flushed.is_pending());
            ready!(flushed)?;
            self.is_unflushed = false;
            self.state.on_flush();
        }
        Poll::Ready(Ok(()))
    }

    fn judge_held(&mut self) -> Option<Incoming> {
        let judged = self.course.judge(&self.held);
        self.judged(judged)
    }

    /// What follows from the judgement; nothing, where the head is not whole.
    fn judged(&mut self, judged: Result<Option<usize>, Fault>) -> Option<Incoming> {
        let read = match judged {
            Ok(None) => return None,
            Ok(Some(head_bytes)) => {
                let head = self.held.split_to(head_bytes).freeze();
                if self.held.is_empty() {
                    self.held = BytesMut::new();
                }
                request::read(&head).map_err(|fault| (fault, first_line(&head)))
            }
            Err(fault) => Err((fault, first_line(&self.held))),
        };
        Some(match read {
            Ok((request, manners)) => {
                self.owes_continue = manners.expects_continue && !self.is_behind();
                Incoming::Request(request, manners)
            }
            Err((fault, line)) => Incoming::Refused(Refused { line, fault }),
        })
    }

    /// The client ended where a head was expected. Line ends between requests are no head.
    fn broke_off(&mut self) -> Incoming {
        if self.held.iter().all(|byte| matches!(byte, b'\r' | b'\n')) {
            return Incoming::End;
        }
        let fault = Fault::malformed("the head breaks off");
        Incoming::Refused(Refused { line: first_line(&self.held), fault })
    }
}

impl Outgoing {
    fn push(&mut self, data: Bytes) {
        self.bytes += data.len();
        if data.len() <= COPIED_BYTES {
            self.tail.extend_from_slice(&data);
            return;
        }
        if !self.tail.is_empty() {
            self.pieces.push(std::mem::take(&mut self.tail).into());
        }
        self.pieces.push(data);
    }

    fn poll_write<S: AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let stream = Pin::new(stream);
        let written = if self.pieces.is_empty() {
            ready!(stream.poll_write(cx, &self.tail))?
        } else {
            let mut slices = [IoSlice::new(&[]); MOST_SLICES];
            let count = self.pieces.gather(&self.tail, &mut slices);
            ready!(stream.poll_write_vectored(cx, &slices[..count]))?
        };
        match written {
            0 => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(Ok(written)),
        }
    }

    fn advance(&mut self, written: usize) {
        self.bytes -= written;
        let of_tail = self.pieces.advance(written);
        if of_tail < self.tail.len() {
            self.tail.drain(..of_tail);
        } else if self.tail.capacity() > KEPT_BYTES {
            self.tail = Vec::new();
        } else {
            self.tail.clear();
        }
    }
}

/// The request line, as far as it is there.
fn first_line(head: &[u8]) -> Vec<u8> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let head = &head[..head.len().min(LINE_BYTES)];
    head.split(|byte| matches!(byte, b'\r' | b'\n' | 0)).next().unwrap_or_default().to_vec()
}
