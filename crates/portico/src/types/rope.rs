//! A body in pieces: what was written anew, and slices of the client's body that are too large to copy.

use bytes::Bytes;

/// Cheap to clone: the pieces are shared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Rope {
    /// An empty one is a hole.
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

    /// A place for what is not known yet. It has to be filled before the rope is sent.
    pub(crate) fn push_hole(&mut self) {
        self.pieces.push(Bytes::new());
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

    #[cfg(test)]
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> {
        self.pieces.iter()
    }

    /// Bytes of all pieces together.
    pub(crate) const fn len(&self) -> u64 {
        self.bytes
    }

    /// In one piece, copied: for small ones.
    pub(crate) fn to_vec(&self) -> Vec<u8> {
        self.pieces.iter().flat_map(|piece| piece.iter().copied()).collect()
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
