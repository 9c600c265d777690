//! The body of a page answer: nothing, bytes that are there, or pieces of a file read as the client takes them.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::JoinHandle;

/// What is read at once, and so the memory that a slow client can hold: one chunk.
const CHUNK_BYTES: usize = 64 * 1024;

/// Knows its exact length. Files are read on the runtime's blocking threads, one chunk at a time and only when
/// polled. A file that shrinks meanwhile ends the body with an error, so that the client does not take the half for
/// the whole; one that grows is cut at the announced length.
///
/// Dropped half-way, a read that runs ends by itself and its chunk is thrown away.
pub(crate) struct Body(Kind);

enum Kind {
    Empty,
    Bytes(Bytes),
    Pieces(Box<Pieces>),
}

struct Pieces {
    queue: VecDeque<Piece>,
    left_bytes: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

/// A part of a longer body, in order.
pub(super) enum Piece {
    Bytes(Bytes),
    File { file: Arc<File>, offset: u64, length: u64 },
}

impl Piece {
    fn length(&self) -> u64 {
        match self {
            Piece::Bytes(bytes) => bytes.len() as u64,
            Piece::File { length, .. } => *length,
        }
    }
}

impl Body {
    pub(super) const EMPTY: Body = Body(Kind::Empty);

    pub(super) fn bytes(bytes: Bytes) -> Self {
        if bytes.is_empty() { Self::EMPTY } else { Self(Kind::Bytes(bytes)) }
    }

    pub(super) fn pieces(pieces: impl IntoIterator<Item = Piece>) -> Self {
        let queue: VecDeque<Piece> = pieces.into_iter().filter(|piece| piece.length() > 0).collect();
        let left_bytes = queue.iter().map(Piece::length).sum();
        match left_bytes {
            0 => Self::EMPTY,
            _ => Self(Kind::Pieces(Box::new(Pieces { queue, left_bytes, reading: None }))),
        }
    }

    pub(super) fn length(&self) -> u64 {
        match &self.0 {
            Kind::Empty => 0,
            Kind::Bytes(bytes) => bytes.len() as u64,
            Kind::Pieces(pieces) => pieces.left_bytes,
        }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let kind = &mut self.0;
        let frame = match kind {
            Kind::Empty => return Poll::Ready(None),
            Kind::Bytes(bytes) => Ok(std::mem::take(bytes)),
            Kind::Pieces(pieces) => ready!(pieces.poll_chunk(context)),
        };
        let over = match kind {
            Kind::Pieces(pieces) => frame.is_err() || pieces.left_bytes == 0,
            Kind::Empty | Kind::Bytes(_) => true,
        };
        if over {
            *kind = Kind::Empty;
        }
        Poll::Ready(Some(frame.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Kind::Empty)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length())
    }
}

impl Pieces {
    /// The next chunk, never empty. Only called while bytes are left.
    fn poll_chunk(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        let chunk = match self.queue.pop_front() {
            Some(Piece::Bytes(bytes)) => bytes,
            Some(Piece::File { file, offset, length }) => {
                let reading = self.reading.get_or_insert_with(|| {
                    let (file, wanted) = (Arc::clone(&file), length.min(CHUNK_BYTES as u64));
                    tokio::task::spawn_blocking(move || read_chunk(&file, offset, wanted))
                });
                let Poll::Ready(done) = Pin::new(reading).poll(context) else {
                    self.queue.push_front(Piece::File { file, offset, length });
                    return Poll::Pending;
                };
                self.reading = None;
                let chunk = done.map_err(io::Error::other)??;
                let (offset, length) = (offset + chunk.len() as u64, length - chunk.len() as u64);
                if length > 0 {
                    self.queue.push_front(Piece::File { file, offset, length });
                }
                chunk
            }
            None => return Poll::Ready(Err(io::Error::other("the pieces of a body do not add up"))),
        };
        self.left_bytes -= chunk.len() as u64;
        Poll::Ready(Ok(chunk))
    }
}

/// Exactly `wanted` bytes from `offset`, or an error.
fn read_chunk(file: &File, offset: u64, wanted: u64) -> io::Result<Bytes> {
    read_exactly(file, offset, wanted as usize).map(Bytes::from)
}

/// Reads without moving the file's own position, which other answers share.
pub(super) fn read_exactly(file: &File, offset: u64, wanted: usize) -> io::Result<Vec<u8>> {
    let mut chunk = Vec::with_capacity(wanted);
    while chunk.len() < wanted {
        let at = offset + chunk.len() as u64;
        match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut chunk), at) {
            Ok(0) => return Err(shrunk()),
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    // The allocator may have given more room than was asked for, and a file that grew fills it.
    chunk.truncate(wanted);
    Ok(chunk)
}

fn shrunk() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the file became shorter while it was sent")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use http_body::Body as _;
    use http_body_util::BodyExt;

    use super::*;

    fn file(content: &[u8]) -> Arc<File> {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(content).expect("written");
        Arc::new(file)
    }

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[tokio::test]
    async fn a_file_arrives_whole_in_bounded_chunks() {
        let content = pattern(3 * CHUNK_BYTES + 17);
        let length = content.len() as u64;
        let mut body = Body::pieces([Piece::File { file: file(&content), offset: 0, length }]);
        let mut got = Vec::new();
        while let Some(frame) = body.frame().await {
            let data = frame.expect("a frame").into_data().expect("data");
            assert!(!data.is_empty() && data.len() <= CHUNK_BYTES);
            got.extend_from_slice(&data);
            assert_eq!(body.size_hint().exact(), Some(length - got.len() as u64));
        }
        assert!(body.is_end_stream());
        assert_eq!(got, content);
    }

    #[tokio::test]
    async fn pieces_arrive_in_order() {
        let file = file(b"0123456789");
        let piece = |offset, length| Piece::File { file: Arc::clone(&file), offset, length };
        let text = |text: &'static str| Piece::Bytes(Bytes::from_static(text.as_bytes()));
        let body = Body::pieces([text("<"), piece(7, 3), text("|"), piece(0, 2), piece(5, 0), text(">")]);
        assert_eq!(body.size_hint().exact(), Some(8));
        assert_eq!(body.collect().await.expect("a body").to_bytes(), "<789|01>");
    }

    #[tokio::test]
    async fn a_file_that_shrinks_ends_in_an_error_and_one_that_grows_is_cut() {
        let length = 2 * CHUNK_BYTES as u64;
        let file = file(&pattern(2 * CHUNK_BYTES));
        let mut body = Body::pieces([Piece::File { file: Arc::clone(&file), offset: 0, length }]);
        assert!(body.frame().await.expect("a frame").is_ok());
        file.set_len(length - 1).expect("cut");
        let error = body.frame().await.expect("a frame").expect_err("too short");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.frame().await.is_none());

        file.set_len(length + 100).expect("grown");
        let body = Body::pieces([Piece::File { file, offset: 0, length }]);
        assert_eq!(body.collect().await.expect("a body").to_bytes().len() as u64, length);
    }

    #[tokio::test]
    async fn what_is_empty_is_over() {
        for body in [Body::EMPTY, Body::bytes(Bytes::new()), Body::pieces([])] {
            assert!(body.is_end_stream());
            assert_eq!(body.size_hint().exact(), Some(0));
        }
    }
}
