//! The gate in front of hyper's HTTP/1: it sees every byte of a client first.
//!
//! A request's head is handed on when all of it was judged, its body as far as its framing is right, and the next head
//! not before the answer has ended. So hyper never sees a byte that could be read in two ways, never two requests at
//! once, and what is wrong with bytes is said in one place. Works over any stream; decides nothing itself: that is
//! `head`'s, `chunks`' and `course`'s.

mod chunks;
mod course;
mod fault;
mod head;

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use self::course::{Course, Step};
use self::fault::Fault;
pub(crate) use self::head::Bounds;
use super::io::Watched;
use super::state::State;
use crate::reason::Reason;

/// What is read while an answer is under way, only to notice that the client has gone, waits here for its turn. A
/// client that sends more ahead has to wait with it.
const AHEAD_BYTES: usize = 16 * 1024;
/// Of the request line, what the record of a refusal is made from.
const LINE_BYTES: usize = 1024;

pub(super) struct Gate<S> {
    io: Watched<S>,
    state: Rc<State>,
    course: Course,
    /// Read, and not handed on.
    held: BytesMut,
    /// Of what is held, so much at the front was judged and passes.
    cleared_bytes: usize,
    /// What is held has grown since it was last judged.
    is_fresh: bool,
    /// Heads that were handed on. hyper has to take each for one request.
    heads: u64,
    end: Option<End>,
    /// Everything that was written has reached the socket.
    is_flushed: bool,
    /// hyper was woken for the next request.
    has_woken: bool,
}

/// Why nothing more passes.
enum End {
    /// Nothing of this request was handed on; the refusal is written when hyper has let go of the stream.
    Refused(Refused),
    /// A body went wrong whose head hyper has; the request path answers.
    Broken(Fault),
}

/// A request that never became one.
pub(super) struct Refused {
    /// As much of its first line as was there.
    pub(super) line: Vec<u8>,
    pub(super) fault: Fault,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Gate<S> {
    /// `prefix`: what was read before the protocol was known.
    pub(super) fn new(stream: S, prefix: BytesMut, state: Rc<State>, bounds: Bounds) -> Self {
        Self {
            io: Watched::new(stream, state.clone()),
            state,
            course: Course::new(bounds),
            is_fresh: !prefix.is_empty(),
            held: prefix,
            cleared_bytes: 0,
            heads: 0,
            end: None,
            is_flushed: true,
            has_woken: false,
        }
    }

    /// The stream, and what has to be answered on it.
    pub(super) fn into_parts(self) -> (S, Option<Refused>) {
        let refused = match self.end {
            Some(End::Refused(refused)) => Some(refused),
            _ => None,
        };
        (self.io.into_inner(), refused)
    }

    /// The time for a head is over. Only where some of it is there is there somebody to tell.
    pub(super) fn is_late(&mut self) {
        if self.course.is_in_head() && !self.held.is_empty() && self.end.is_none() {
            let fault =
                Fault::of(Reason::HeadersTimeout, "the head was not whole at timeouts.request_headers");
            self.end = Some(End::Refused(Refused { line: first_line(&self.held), fault }));
        }
    }

    /// hyper has begun every request that it was given, and the last answer has left: what is read now is a head.
    fn wants_next(&self) -> bool {
        self.has_begun_all() && self.state.is_idle() && self.is_flushed
    }

    fn has_begun_all(&self) -> bool {
        self.state.begun() == self.heads
    }

    fn give(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.cleared_bytes.min(buf.remaining());
        buf.put_slice(&self.held[..length]);
        self.held.advance(length);
        self.cleared_bytes -= length;
        if self.held.is_empty() {
            // Thousands of idle connections would each keep it.
            self.held = BytesMut::new();
        }
    }

    /// Judges what is held.
    fn judge_held(&mut self) {
        self.is_fresh = false;
        let was_in_head = self.course.is_in_head();
        match self.course.follow(&self.held) {
            Ok(Step::Unfinished) => self.state.head_began(),
            Ok(Step::Passed(passed)) => {
                self.heads += u64::from(was_in_head);
                self.cleared_bytes = passed;
                self.is_fresh = passed < self.held.len();
            }
            Err(fault) => {
                let line = first_line(&self.held);
                self.fail(fault, was_in_head, line);
            }
        }
    }

    fn fail(&mut self, fault: Fault, was_in_head: bool, line: Vec<u8>) {
        self.end = Some(if was_in_head { End::Refused(Refused { line, fault }) } else { End::Broken(fault) });
        self.held = BytesMut::new();
    }

    /// Reads where nothing is held: what passes stays where it was read. True: something does.
    fn read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let read = &buf.filled()[before..];
        if read.is_empty() {
            return Poll::Ready(Ok(true));
        }
        let was_in_head = self.course.is_in_head();
        let passed = match self.course.follow(read) {
            Ok(Step::Passed(passed)) => {
                self.heads += u64::from(was_in_head);
                passed
            }
            Ok(Step::Unfinished) => {
                self.state.head_began();
                0
            }
            Err(fault) => {
                let line = first_line(read);
                self.fail(fault, was_in_head, line);
                buf.set_filled(before);
                return Poll::Ready(Ok(false));
            }
        };
        if passed < read.len() {
            self.held.extend_from_slice(&read[passed..]);
            self.is_fresh = passed > 0;
            buf.set_filled(before + passed);
        }
        Poll::Ready(Ok(passed > 0))
    }

    /// Reads more behind what is held. `buf` is only a place to read to. False: the client sends no more.
    fn read_behind(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.held.extend_from_slice(&buf.filled()[before..]);
        let has_more = buf.filled().len() > before;
        self.is_fresh |= has_more;
        buf.set_filled(before);
        Poll::Ready(Ok(has_more))
    }

    /// While an answer is under way, only the client's end is of interest.
    fn watch_for_end(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.held.len() < AHEAD_BYTES {
            if !ready!(self.read_behind(cx, buf))? {
                return Poll::Ready(Ok(()));
            }
        }
        Poll::Pending
    }

    /// The client ended in the middle of a head. Line ends between requests are no head.
    fn broke_off(&mut self) {
        if self.held.iter().any(|byte| !matches!(byte, b'\r' | b'\n')) {
            let line = first_line(&self.held);
            self.fail(Fault::malformed("the head breaks off"), true, line);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Gate<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.cleared_bytes > 0 {
                this.give(buf);
                return Poll::Ready(Ok(()));
            }
            match &this.end {
                None => {}
                Some(End::Refused(_)) => return Poll::Ready(Ok(())),
                Some(End::Broken(fault)) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, fault.rule)));
                }
            }
            if !this.course.is_in_head() && !this.has_begun_all() {
                // It takes for the rest of a head what is a body: whoever is wrong, nothing more may pass.
                tracing::error!("a request was read in two ways; its connection is closed");
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if this.course.is_behind() {
                if !this.wants_next() {
                    return this.watch_for_end(cx, buf);
                }
                this.course.next();
                this.has_woken = false;
                this.is_fresh = !this.held.is_empty();
            }
            if this.is_fresh {
                this.judge_held();
            } else if this.held.is_empty() {
                if ready!(this.read_through(cx, buf))? {
                    return Poll::Ready(Ok(()));
                }
            } else if !ready!(this.read_behind(cx, buf))? {
                this.broke_off();
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.is_flushed = false;
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.is_flushed = false;
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    /// hyper flushes when it has written all it had.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.io).poll_flush(cx))?;
        self.is_flushed = true;
        // It was told that nothing can be read, and waits for the socket; but the next request is here.
        if !self.has_woken && self.course.is_behind() && !self.held.is_empty() && self.wants_next() {
            self.has_woken = true;
            cx.waker().wake_by_ref();
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

/// The request line, as far as it is there.
fn first_line(head: &[u8]) -> Vec<u8> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let head = &head[..head.len().min(LINE_BYTES)];
    head.split(|byte| matches!(byte, b'\r' | b'\n' | 0)).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests;
