//! A body in pieces: what was written anew, and slices of the client's body that are too large to copy.

use bytes::Bytes;

/// Cheap to clone: the pieces are shared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rope {
    pieces: Vec<Bytes>,
    bytes: u64,
}

impl Rope {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.bytes += piece.len() as u64;
            self.pieces.push(piece);
        }
    }

    pub(crate) fn append(&mut self, other: Rope) {
        self.bytes += other.bytes;
        self.pieces.extend(other.pieces);
    }

    /// Bytes of all pieces together.
    pub(crate) const fn len(&self) -> u64 {
        self.bytes
    }

    #[cfg(test)]
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.pieces.iter().flatten().copied().collect()
    }
}

impl IntoIterator for Rope {
    type Item = Bytes;
    type IntoIter = std::vec::IntoIter<Bytes>;

    fn into_iter(self) -> Self::IntoIter {
        self.pieces.into_iter()
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
