//! What passes between a client and h2, watched frame by frame: how much is asked that asks for nothing, and whether
//! what is written is an answer or only keeps in touch.
//!
//! h2 judges what frames say; nothing here does.

mod allowance;
mod scan;

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use self::allowance::{Allowance, Flood};
use self::scan::Scan;
use super::io::Watched;
use super::state::State;
use crate::sys::clock::Instant;

pub(super) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) struct Frames<S> {
    io: Watched<S>,
    /// What was read before the protocol was known.
    prefix: BytesMut,
    /// Of the preface, what has not yet passed.
    preface_left_bytes: usize,
    received: Scan,
    written: Scan,
    tally: Rc<Tally>,
    state: Rc<State>,
}

/// What is known of a connection's frames, also when h2 has let go of the stream.
pub(super) struct Tally {
    allowance: std::cell::RefCell<Allowance>,
    flood: std::cell::Cell<Option<Flood>>,
}

impl Tally {
    pub(super) fn new(longest_head_bytes: usize) -> Rc<Self> {
        let allowance = Allowance::new(longest_head_bytes, Instant::now()).into();
        Rc::new(Self { allowance, flood: std::cell::Cell::default() })
    }

    /// What the connection was ended for.
    pub(super) fn flood(&self) -> Option<&'static str> {
        self.flood.get().map(|Flood(what)| what)
    }

    /// Streams that the client opened.
    pub(super) fn opened(&self) -> u64 {
        self.allowance.borrow().opened()
    }
}

impl<S> Frames<S> {
    pub(super) fn new(stream: S, prefix: BytesMut, state: Rc<State>, tally: Rc<Tally>) -> Self {
        Self {
            io: Watched::new(stream, state.clone()),
            prefix,
            preface_left_bytes: PREFACE.len(),
            received: Scan::default(),
            written: Scan::default(),
            tally,
            state,
        }
    }

    fn look_at(&mut self, read: &[u8]) -> io::Result<()> {
        let preface_bytes = self.preface_left_bytes.min(read.len());
        self.preface_left_bytes -= preface_bytes;
        let (now, mut allowance) = (Instant::now(), self.tally.allowance.borrow_mut());
        let result = self.received.follow(&read[preface_bytes..], |frame| allowance.take(frame, now));
        match result {
            Ok(_) => Ok(()),
            Err(flood) => {
                self.tally.flood.set(Some(flood));
                Err(io::Error::new(io::ErrorKind::InvalidData, flood.0))
            }
        }
    }

    /// A `PING` that is answered is no reason to keep a connection that asks for nothing.
    fn look_at_written(&mut self, slices: &[io::IoSlice<'_>], mut written_bytes: usize) {
        let mut carries = false;
        for slice in slices {
            let here = &slice[..slice.len().min(written_bytes)];
            written_bytes -= here.len();
            carries |= self.written.follow(here, |_| Ok::<_, Infallible>(())).unwrap_or(false);
        }
        if carries {
            self.state.on_answer_written();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        if this.prefix.has_remaining() {
            let length = this.prefix.len().min(buf.remaining());
            buf.put_slice(&this.prefix.split_to(length));
        } else {
            ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        }
        Poll::Ready(this.look_at(&buf.filled()[before..]))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written_bytes = ready!(Pin::new(&mut this.io).poll_write(cx, bytes))?;
        this.look_at_written(&[io::IoSlice::new(bytes)], written_bytes);
        Poll::Ready(Ok(written_bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written_bytes = ready!(Pin::new(&mut this.io).poll_write_vectored(cx, slices))?;
        this.look_at_written(slices, written_bytes);
        Poll::Ready(Ok(written_bytes))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
