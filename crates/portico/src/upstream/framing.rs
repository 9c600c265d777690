//! Where the body of an answer ends, and which of the bytes on the wire are the body. Pure.

use std::ops::Range;

use crate::types::{Chunked, Extras};

/// How the rest of a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come; never 0.
    Length(u64),
    Chunked(Chunked),
    /// Everything until the server closes.
    UntilClose,
    /// The body has come to its end.
    Done,
}

/// What was made of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Where in the input the body's bytes lie now.
    pub(super) data: Range<usize>,
    /// Bytes behind the end of the body: nobody asked for them.
    pub(super) has_surplus: bool,
    /// Why nothing behind the data can be read.
    pub(super) broken: Option<&'static str>,
}

impl Framing {
    pub(super) const fn chunked() -> Self {
        Framing::Chunked(Chunked::new(Extras::Skipped))
    }

    /// Takes what came next on the wire. The body's bytes are moved together, so that they are one piece whatever
    /// the chunks were.
    pub(super) fn decode(&mut self, input: &mut [u8]) -> Decoded {
        let mut broken = None;
        let (data, used) = match self {
            Framing::Done => (0..0, 0),
            Framing::UntilClose => (0..input.len(), input.len()),
            Framing::Length(left) => {
                let here = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
                *left -= here as u64;
                if *left == 0 {
                    *self = Framing::Done;
                }
                (0..here, here)
            }
            Framing::Chunked(chunked) => {
                let decoded = chunked.decode(input);
                broken = decoded.broken;
                if chunked.is_done() {
                    *self = Framing::Done;
                }
                (decoded.data, decoded.used)
            }
        };
        Decoded { data, has_surplus: used < input.len(), broken }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `wire`, given in pieces of `size`; the body, whether it ended, and whether there was more.
    fn decoded(mut framing: Framing, wire: &[u8], size: usize) -> (Vec<u8>, bool, bool) {
        let mut body = Vec::new();
        let mut surplus = false;
        for piece in wire.chunks(size) {
            let mut piece = piece.to_vec();
            let decoded = framing.decode(&mut piece);
            assert_eq!(decoded.broken, None);
            body.extend_from_slice(&piece[decoded.data]);
            surplus |= decoded.has_surplus;
        }
        (body, framing == Framing::Done, surplus)
    }

    #[test]
    fn chunks_become_one_body_however_they_are_cut() {
        let wire = b"5\r\nhello\r\n1;name=\"x\"\r\n \r\n00006 \r\nworld!\r\n0\r\nTrailer: x\r\n\r\n";
        for size in 1..=wire.len() {
            let (body, ended, surplus) = decoded(Framing::chunked(), wire, size);
            assert_eq!((body.as_slice(), ended, surplus), (&b"hello world!"[..], true, false), "{size}");
            let (body, ended, _) = decoded(Framing::chunked(), &wire[..wire.len() - 1], size);
            assert_eq!((body.as_slice(), ended), (&b"hello world!"[..], false), "{size}");
        }
    }

    #[test]
    fn bytes_behind_the_end_are_noticed_and_dropped() {
        for size in 1..=20 {
            let chunked = decoded(Framing::chunked(), b"2\r\nab\r\n0\r\n\r\nHTTP", size);
            assert_eq!(chunked, (b"ab".to_vec(), true, true));
            assert_eq!(decoded(Framing::Length(2), b"abHTTP", size), (b"ab".to_vec(), true, true));
        }
        assert_eq!(decoded(Framing::Length(9), b"abc", 9), (b"abc".to_vec(), false, false));
        assert_eq!(decoded(Framing::UntilClose, b"abc", 9), (b"abc".to_vec(), false, false));
        assert_eq!(decoded(Framing::Done, b"abc", 9), (Vec::new(), true, true));
    }
}
