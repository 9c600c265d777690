//! Where a body is base64 throughout. Pure.
//!
//! A picture is megabytes that each reader of a body would go through from end to end: for UTF-8, for the end of its
//! string, for its alphabet. Memory is slower than any of them. So a body is looked at once, block by block as it
//! arrives and is still in the cache; what was found to be base64 is ASCII, holds no quote and no escape, and is passed
//! over from then on.

use std::ops::Range;

use base64_simd::STANDARD_NO_PAD;

const BLOCK_BYTES: usize = 8 * 1024;

/// Runs of whole blocks that hold nothing but A-Z a-z 0-9 + and /, in their order and apart.
#[derive(Debug, Clone, Default)]
pub(crate) struct Base64Map {
    runs: Vec<Range<usize>>,
    seen_bytes: usize,
}

impl Base64Map {
    /// Looks at what has come. `body` is all of it so far; the last block, if it is not whole, waits for more.
    pub(crate) fn extend(&mut self, body: &[u8]) {
        let (blocks, _) = body.get(self.seen_bytes..).unwrap_or_default().as_chunks::<BLOCK_BYTES>();
        for block in blocks {
            let start = self.seen_bytes;
            self.seen_bytes += BLOCK_BYTES;
            if STANDARD_NO_PAD.check(block).is_err() {
                continue;
            }
            match self.runs.last_mut() {
                Some(last) if last.end == start => last.end = self.seen_bytes,
                _ => self.runs.push(start..self.seen_bytes),
            }
        }
    }

    /// Of a body that nobody has looked at.
    pub(super) fn none() -> &'static Self {
        static NONE: Base64Map = Base64Map { runs: Vec::new(), seen_bytes: 0 };
        &NONE
    }

    /// The first run that ends behind `at`.
    pub(super) fn next(&self, at: usize) -> Option<Range<usize>> {
        let index = self.runs.partition_point(|run| run.end <= at);
        self.runs.get(index).cloned()
    }

    /// What is in no run, of a body of so many bytes.
    pub(super) fn others(&self, body_bytes: usize) -> impl Iterator<Item = Range<usize>> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.end));
        let ends = self.runs.iter().map(|run| run.start).chain([body_bytes]);
        starts.zip(ends).map(|(start, end)| start..end)
    }

    /// What of `text`, which is a slice of `body`, is known to be base64: one run of it, in positions of `text`.
    pub(super) fn within(&self, text: &[u8], body: &[u8]) -> Range<usize> {
        let Some(start) = text.as_ptr().addr().checked_sub(body.as_ptr().addr()) else { return 0..0 };
        if start + text.len() > body.len() {
            return 0..0;
        }
        match self.next(start) {
            Some(run) if run.start < start + text.len() => {
                run.start.saturating_sub(start)..(run.end - start).min(text.len())
            }
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(body: &[u8], piece_bytes: usize) -> Base64Map {
        let mut map = Base64Map::default();
        for end in (0..=body.len()).step_by(piece_bytes).chain([body.len()]) {
            map.extend(&body[..end]);
        }
        map
    }

    #[test]
    fn only_whole_blocks_of_the_alphabet_are_runs() {
        let block = BLOCK_BYTES;
        let mut body = vec![b'A'; 10 * block];
        body[0] = b'"';
        body[5 * block + 7] = b'=';
        body[8 * block] = 0xc3;
        for piece in [1000, block, 3 * block + 1, body.len()] {
            let map = map(&body, piece);
            assert_eq!(map.runs, [block..5 * block, 6 * block..8 * block, 9 * block..10 * block], "{piece}");
            let others: Vec<_> = map.others(body.len()).collect();
            assert_eq!(
                others,
                [0..block, 5 * block..6 * block, 8 * block..9 * block, 10 * block..10 * block]
            );
            assert_eq!(map.next(0), Some(block..5 * block));
            assert_eq!(map.next(5 * block - 1), Some(block..5 * block));
            assert_eq!(map.next(5 * block), Some(6 * block..8 * block));
            assert_eq!(map.next(10 * block), None);
            assert_eq!(map.within(&body[1..6 * block], &body), block - 1..5 * block - 1);
            assert_eq!(map.within(&body[2 * block..3 * block], &body), 0..block);
            assert_eq!(map.within(&body[5 * block..6 * block], &body), 0..0);
            assert_eq!(map.within(b"elsewhere", &body), 0..0);
        }
        for foreign in (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphanumeric() && !b"+/".contains(byte)) {
            let mut body = vec![b'A'; block];
            body[block - 1] = foreign;
            assert!(map(&body, block).runs.is_empty(), "{foreign:#x}");
        }
        let short = map(&vec![b'A'; block - 1], block);
        assert_eq!((short.next(0), short.others(block - 1).next()), (None, Some(0..block - 1)));
    }
}
