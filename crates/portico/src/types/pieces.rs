//! Bytes that are to be written, in the pieces that they came in.

use std::collections::VecDeque;
use std::io::IoSlice;

use bytes::{Buf as _, Bytes};

/// Pieces given to the kernel in one call.
pub(crate) const MOST_SLICES: usize = 16;

/// None of them is empty.
#[derive(Debug, Default)]
pub(crate) struct Pieces(VecDeque<Bytes>);

impl Pieces {
    pub(crate) fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.0.push_back(piece);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// The first ones, then `behind` where it has its turn, for one call of the kernel. How many slices they make.
    pub(crate) fn gather<'a>(&'a self, behind: &'a [u8], slices: &mut [IoSlice<'a>; MOST_SLICES]) -> usize {
        let behind = (!behind.is_empty()).then_some(behind);
        let pieces = self.0.iter().map(|piece| &piece[..]).chain(behind);
        pieces.zip(slices).map(|(piece, slice)| *slice = IoSlice::new(piece)).count()
    }

    /// So many bytes have been written. How many of them lay behind the last piece.
    pub(crate) fn advance(&mut self, mut written: usize) -> usize {
        while let Some(piece) = self.0.front_mut() {
            if written < piece.len() {
                piece.advance(written);
                return 0;
            }
            written -= piece.len();
            self.0.pop_front();
        }
        written
    }
}

impl Extend<Bytes> for Pieces {
    fn extend<T: IntoIterator<Item = Bytes>>(&mut self, pieces: T) {
        self.0.extend(pieces.into_iter().filter(|piece| !piece.is_empty()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gathered(pieces: &Pieces, behind: &[u8]) -> Vec<String> {
        let mut slices = [IoSlice::new(&[]); MOST_SLICES];
        let count = pieces.gather(behind, &mut slices);
        slices[..count].iter().map(|slice| String::from_utf8_lossy(slice).into_owned()).collect()
    }

    /// Whatever the kernel takes at once, every byte is given to it once and in its place.
    #[test]
    fn all_is_written_in_its_order_however_much_is_taken_at_once() {
        let words = ["POST ", "", "/ ", "a longer piece", "x"];
        let whole = format!("{}{}", words.concat(), "behind");
        for most in 1..=whole.len() {
            let mut pieces = Pieces::default();
            pieces.push(Bytes::new());
            pieces.extend(words.map(Bytes::from));
            let (mut behind, mut written) = (&b"behind"[..], String::new());
            while !pieces.is_empty() || !behind.is_empty() {
                let slices = gathered(&pieces, behind);
                assert!(slices.iter().all(|slice| !slice.is_empty()), "{slices:?}");
                let offered = slices.concat();
                let taken = most.min(offered.len());
                written += &offered[..taken];
                behind = &behind[pieces.advance(taken)..];
            }
            assert_eq!(written, whole, "{most} at once");
        }
    }

    #[test]
    fn one_call_has_a_limit() {
        let mut pieces = Pieces::default();
        pieces.extend((0..MOST_SLICES).map(|number| Bytes::from(format!("{number} "))));
        let whole = gathered(&pieces, b"behind").concat();
        assert!(whole.starts_with("0 1 2 ") && whole.ends_with(" 15 "), "{whole}");
        assert_eq!(pieces.advance(3), 0);
        assert_eq!(gathered(&pieces, b"behind").len(), MOST_SLICES);
        assert_eq!(gathered(&pieces, b"behind")[0], " ");
        assert_eq!(pieces.advance(whole.len() - 3 + 4), 4);
        assert_eq!(gathered(&pieces, b"nd"), ["nd"]);
    }
}
