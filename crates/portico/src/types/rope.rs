//! A body in pieces: what was written anew, and slices of the client's body that are too large to copy.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// Cheap to clone: the pieces are shared. As a request body it has an exact length.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rope {
    /// An empty one is a hole.
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

    /// A place for what is not known yet. It has to be filled before the rope is sent.
    pub(crate) fn push_hole(&mut self) {
        self.pieces.push_back(Bytes::new());
    }

    /// Puts these into the holes, in their order.
    pub(crate) fn fill(&mut self, fillings: impl IntoIterator<Item = Rope>) {
        let mut fillings = fillings.into_iter();
        let pieces = std::mem::take(self).pieces;
        for piece in pieces {
            match piece.is_empty() {
                true => self.append(fillings.next().unwrap_or_default()),
                false => self.push(piece),
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    #[cfg(test)]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.pieces.iter().flatten().copied().collect()
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
