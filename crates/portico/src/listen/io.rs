//! A client's socket, watched: what was read before the protocol was known is given first, progress is noted, and
//! the bare answers that hyper makes by itself are held back.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use http::StatusCode;
use memchr::memmem;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use super::state::State;

/// Enough of a request line to know the path by.
const BEGAN_BYTES: usize = 48;

pub(super) struct Watched {
    stream: TcpStream,
    prefix: Bytes,
    /// How the head began that was read last. hyper throws a head away that it can't accept, and the answer to it is
    /// in the words of the API that it was for.
    began: [u8; BEGAN_BYTES],
    /// The status that hyper would have answered to bytes that it could not read.
    unparsed: Option<StatusCode>,
    state: Rc<State>,
}

impl Watched {
    pub(super) fn new(stream: TcpStream, prefix: Bytes, state: Rc<State>) -> Self {
        let began = beginning(&prefix);
        Self { stream, prefix, began, unparsed: None, state }
    }

    /// The socket, and where hyper could not read a request, how it began and what hyper made of it.
    pub(super) fn into_parts(self) -> (TcpStream, Option<([u8; BEGAN_BYTES], StatusCode)>) {
        let Self { stream, began, unparsed, .. } = self;
        (stream, unparsed.map(|status| (began, status)))
    }

    /// Splits what hyper writes into what is ours and what it answers by itself to bytes that it could not read: a
    /// head and nothing else. The contract wants an error in the API's shape, which is written when hyper has given
    /// up on the connection; until then nothing comes behind it.
    fn split(&self, bytes: &[u8]) -> (usize, Option<StatusCode>) {
        const LONGEST_BYTES: usize = 160;
        let all_ours = (bytes.len(), None);
        if !self.state.is_idle() || !bytes.ends_with(b"\r\n\r\n") {
            return all_ours;
        }
        let tail_start = bytes.len().saturating_sub(LONGEST_BYTES);
        let Some(start) = memmem::rfind(&bytes[tail_start..], b"HTTP/1.1 4") else { return all_ours };
        let last = &bytes[tail_start + start..];
        // The only statuses that hyper answers with by itself; no answer of Portico's with one of them is without a
        // body, while a 412 of the pages is.
        let status = match last.get(9..12) {
            Some(b"400") => StatusCode::BAD_REQUEST,
            Some(b"414") => StatusCode::URI_TOO_LONG,
            Some(b"431") => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            _ => return all_ours,
        };
        if memmem::find(last, b"\r\ncontent-length: 0\r\n").is_some() {
            (tail_start + start, Some(status))
        } else {
            all_ours
        }
    }

    fn note_write(&self, result: &Poll<io::Result<usize>>) {
        self.state.on_write(result.is_pending());
    }
}

fn beginning(bytes: &[u8]) -> [u8; BEGAN_BYTES] {
    let mut began = [0; BEGAN_BYTES];
    let length = bytes.len().min(BEGAN_BYTES);
    began[..length].copy_from_slice(&bytes[..length]);
    began
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.prefix.has_remaining() {
            let length = self.prefix.len().min(buf.remaining());
            buf.put_slice(&self.prefix.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before && self.state.on_read() {
            self.began = beginning(&buf.filled()[before..]);
        }
        result
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let (ours, unparsed) = self.split(bytes);
        if ours == 0 && unparsed.is_some() {
            self.unparsed = unparsed;
            return Poll::Ready(Ok(bytes.len()));
        }
        let result = Pin::new(&mut self.stream).poll_write(cx, &bytes[..ours]);
        self.note_write(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Heads are in the first slice.
        if let Some(first) = slices.iter().find(|slice| !slice.is_empty())
            && self.split(first).1.is_some()
        {
            return self.poll_write(cx, first);
        }
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// HTTP libraries flush when they have written all they had.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(cx);
        if result.is_ready() {
            self.state.on_flush();
        }
        result
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
