//! A body in pieces: what was written anew, and slices of the client's body that are too large to copy.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Cheap to clone: the pieces are shared. As a request body it has an exact length.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rope {
    pieces: VecDeque<Bytes>,
    remaining_bytes: u64,
}

impl Rope {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.remaining_bytes += piece.len() as u64;
            self.pieces.push_back(piece);
        }
    }

    pub(crate) fn append(&mut self, other: Rope) {
        self.remaining_bytes += other.remaining_bytes;
        self.pieces.extend(other.pieces);
    }

    /// In one piece, copied: for small ones.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.iter().copied()).collect()
    }
}

impl Body for Rope {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let piece = self.pieces.pop_front();
        if let Some(piece) = &piece {
            self.remaining_bytes -= piece.len() as u64;
        }
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining_bytes)
    }
}

#[cfg(test)]
impl Rope {
    pub(crate) fn pieces_for_test(&self) -> usize {
        self.pieces.len()
    }

    pub(crate) fn piece_for_test(&self, index: usize) -> &Bytes {
        &self.pieces[index]
    }
}
