//! The chunked coding (RFC 9112, section 7.1): `SIZE CRLF data CRLF … 0 CRLF CRLF`. Pure; decodes where the bytes lie.

use std::ops::Range;

/// Sixteen hexadecimal digits always fit an `u64`.
const LONGEST_SIZE_DIGITS: u8 = 16;
/// Extensions and trailers mean nothing here; a little is passed over where they are.
const LONGEST_EXTENSION_BYTES: u16 = 256;
const LONGEST_TRAILERS_BYTES: u16 = 8 * 1024;

/// What may stand beside sizes and data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extras {
    /// No extension and no trailer. Nobody sends them but those who hope that two readers find the end of such a line
    /// in two places (TERM.EXT, EXT.TERM, SPILL; CVE-2025-55315).
    Refused,
    /// White space and extensions behind a size, and trailers, are read and mean nothing.
    Skipped,
}

/// How far a chunked body has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunked {
    extras: Extras,
    place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Size { size_bytes: u64, digits: u8 },
    Extension { size_bytes: u64, length: u16 },
    SizeFeed { size_bytes: u64 },
    Data { left_bytes: u64 },
    DataReturn,
    DataFeed,
    Trailers { length: u16, in_line: bool },
    TrailersFeed { length: u16, in_line: bool },
    Done,
}

/// What was made of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// Where the body's bytes lie now: moved together, so that they are one piece whatever the chunks were.
    pub(crate) data: Range<usize>,
    /// So many bytes were of the coding. Less than all: it has ended, or broken.
    pub(crate) used: usize,
    /// The rule that was broken behind them, for a log. Nothing that comes then is of any use.
    pub(crate) broken: Option<&'static str>,
}

impl Chunked {
    pub(crate) const fn new(extras: Extras) -> Self {
        Self { extras, place: Place::Size { size_bytes: 0, digits: 0 } }
    }

    pub(crate) fn is_done(self) -> bool {
        self.place == Place::Done
    }

    /// Takes what came next on the wire.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Decoded {
        let mut data = 0..0;
        let mut used = 0;
        while used < input.len() && !self.is_done() {
            if let Place::Data { left_bytes } = self.place {
                let here = usize::try_from(left_bytes).unwrap_or(usize::MAX).min(input.len() - used);
                if data.is_empty() {
                    data = used..used + here;
                } else {
                    input.copy_within(used..used + here, data.end);
                    data.end += here;
                }
                used += here;
                let left_bytes = left_bytes - here as u64;
                self.place = if left_bytes == 0 { Place::DataReturn } else { Place::Data { left_bytes } };
            } else if let Err(rule) = self.step(input[used]) {
                return Decoded { data, used, broken: Some(rule) };
            } else {
                used += 1;
            }
        }
        Decoded { data, used, broken: None }
    }

    /// One byte that is not data.
    fn step(&mut self, byte: u8) -> Result<(), &'static str> {
        let skips = self.extras == Extras::Skipped;
        self.place = match (self.place, byte) {
            (Place::Size { size_bytes, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                if digits == LONGEST_SIZE_DIGITS {
                    return Err("a chunk's size has too many digits");
                }
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Place::Size { size_bytes: size_bytes << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Place::Size { size_bytes, digits: 1.. }, b'\r') => Place::SizeFeed { size_bytes },
            (Place::Size { size_bytes, digits: 1.. }, b';' | b' ' | b'\t') if skips => {
                Place::Extension { size_bytes, length: 0 }
            }
            (Place::Size { .. }, _) => return Err("a chunk's size is not a hexadecimal number and CR LF"),
            (Place::Extension { size_bytes, .. }, b'\r') => Place::SizeFeed { size_bytes },
            (Place::Extension { size_bytes, length }, b'\t' | b' '..=b'~' | 0x80..)
                if length < LONGEST_EXTENSION_BYTES =>
            {
                Place::Extension { size_bytes, length: length + 1 }
            }
            (Place::Extension { .. }, _) => return Err("a chunk's extension does not end"),
            (Place::SizeFeed { size_bytes: 0 }, b'\n') => Place::Trailers { length: 0, in_line: false },
            (Place::SizeFeed { size_bytes }, b'\n') => Place::Data { left_bytes: size_bytes },
            (Place::DataReturn, b'\r') => Place::DataFeed,
            (Place::DataFeed, b'\n') => Place::Size { size_bytes: 0, digits: 0 },
            (Place::DataReturn | Place::DataFeed, _) => {
                return Err("a chunk's data does not end with CR LF");
            }
            (Place::Trailers { length, in_line }, b'\r') => Place::TrailersFeed { length, in_line },
            (Place::Trailers { length, .. }, b'\t' | b' '..=b'~' | 0x80..)
                if skips && length < LONGEST_TRAILERS_BYTES =>
            {
                Place::Trailers { length: length + 1, in_line: true }
            }
            (Place::TrailersFeed { in_line: false, .. }, b'\n') => Place::Done,
            (Place::TrailersFeed { length, .. }, b'\n') => {
                Place::Trailers { length: length + 2, in_line: false }
            }
            (Place::SizeFeed { .. }, _) => return Err("a chunk's size does not end with CR LF"),
            _ => return Err("the last chunk is not followed by CR LF alone"),
        };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Decodes `wire`, cut at these places: the body, how many bytes were of it, and whether it ended.
    fn decoded(
        extras: Extras,
        wire: &[u8],
        cuts: impl IntoIterator<Item = usize>,
    ) -> Option<(Vec<u8>, usize, bool)> {
        let mut ends: Vec<_> = cuts.into_iter().map(|cut| cut.min(wire.len())).chain([wire.len()]).collect();
        ends.sort_unstable();
        let mut chunked = Chunked::new(extras);
        let (mut body, mut used, mut start) = (Vec::new(), 0, 0);
        for end in ends {
            let mut piece = wire[start..end].to_vec();
            let decoded = chunked.decode(&mut piece);
            if decoded.broken.is_some() {
                return None;
            }
            body.extend_from_slice(&piece[decoded.data]);
            used += decoded.used;
            start = end;
        }
        Some((body, used, chunked.is_done()))
    }

    #[test]
    fn only_sizes_data_and_line_ends_are_chunks() {
        for (wire, wanted) in [
            ("0\r\n\r\n", Some(("", 5, true))),
            ("5\r\nhello\r\n0\r\n\r\nGET", Some(("hello", 15, true))),
            ("A\r\n0123456789\r\n00\r\n\r\n", Some(("0123456789", 21, true))),
            ("0000000000000001\r\nx\r\n0\r\n\r\n", Some(("x", 26, true))),
            ("ffffffffffffffff\r\nx", Some(("x", 19, false))),
            ("5\r\nhel", Some(("hel", 6, false))),
            ("00000000000000001\r\nx\r\n0\r\n\r\n", None),
            ("fffffffffffffffff\r\nx", None),
            ("\r\n", None),
            ("5;ext\r\nhello\r\n0\r\n\r\n", None),
            ("5 \r\nhello\r\n0\r\n\r\n", None),
            (" 5\r\nhello\r\n0\r\n\r\n", None),
            ("0x5\r\nhello\r\n0\r\n\r\n", None),
            ("+5\r\nhello\r\n0\r\n\r\n", None),
            ("-5\r\nhello\r\n0\r\n\r\n", None),
            ("5\nhello\r\n0\r\n\r\n", None),
            ("5\rhello\r\n0\r\n\r\n", None),
            ("5\r\r\nhello\r\n0\r\n\r\n", None),
            ("5\r\nhelloX0\r\n\r\n", None),
            ("5\r\nhello\n0\r\n\r\n", None),
            ("5\r\nhello\rX", None),
            ("0\r\nTrailer: x\r\n\r\n", None),
            ("0\r\n\n", None),
            ("0\r\n\rX", None),
            ("0\n\r\n", None),
            ("0;a=b\r\n\r\n", None),
        ] {
            let found = decoded(Extras::Refused, wire.as_bytes(), []);
            let wanted = wanted.map(|(body, used, ended)| (body.as_bytes().to_vec(), used, ended));
            assert_eq!(found, wanted, "{wire:?}");
        }
    }

    #[test]
    fn extensions_and_trailers_can_be_skipped_within_bounds() {
        let wire =
            "5\r\nhello\r\n1;name=\"x\"\r\n \r\n00006 \r\nworld!\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n";
        let wanted = Some((b"hello world!".to_vec(), wire.len(), true));
        assert_eq!(decoded(Extras::Skipped, wire.as_bytes(), []), wanted);
        for wire in [
            "5;a\nb\r\nhello\r\n".to_owned(),
            "0\r\nX: y\n\r\n".to_owned(),
            "0\r\n\0\r\n\r\n".to_owned(),
            format!("5;{}", "x".repeat(300)),
            format!("0\r\n{}", "X: y\r\n".repeat(2000)),
        ] {
            assert_eq!(decoded(Extras::Skipped, wire.as_bytes(), []), None, "{wire:?}");
        }
    }

    #[test]
    fn what_came_before_a_broken_rule_is_there() {
        let mut wire = *b"2\r\nab\r\n1\r\nc\r\nx\r\n";
        let decoded = Chunked::new(Extras::Skipped).decode(&mut wire);
        assert_eq!((&wire[decoded.data], decoded.used), (&b"abc"[..], 13));
        assert_eq!(decoded.broken, Some("a chunk's size is not a hexadecimal number and CR LF"));
    }

    proptest! {
        #[test]
        fn where_the_pieces_are_cut_makes_no_difference(
            wire in "([0-9a-fA-F]{0,3}(\r|\n|\r\n|;)?[ -~]{0,12}(\r\n)?){0,6}",
            cuts in prop::collection::vec(0_usize..60, 0..5),
            extras in prop_oneof![Just(Extras::Refused), Just(Extras::Skipped)],
        ) {
            prop_assert_eq!(decoded(extras, wire.as_bytes(), cuts), decoded(extras, wire.as_bytes(), []));
        }
    }
}
