//! Where the body of an answer ends, and which of the bytes on the wire are the body. Pure.

use std::ops::Range;

/// How the rest of a body is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// So many bytes are still to come; never 0.
    Length(u64),
    Chunked(Chunk),
    /// Everything until the server closes.
    UntilClose,
    /// The body has come to its end.
    Done,
}

/// Where in the chunked coding (RFC 9112, section 7.1) the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Chunk {
    Size { size: u64, digits: u8 },
    Extension { size: u64, bytes: u8 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataEnd,
    DataEndFeed,
    Trailer { bytes: u16, in_line: bool },
    TrailerFeed { bytes: u16, in_line: bool },
}

/// What was made of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    /// Where in the input the body's bytes lie now.
    pub(super) data: Range<usize>,
    /// Bytes behind the end of the body: nobody asked for them.
    pub(super) has_surplus: bool,
}

/// No number of 64 bits has more.
const MOST_DIGITS: u8 = 16;
/// Extensions and trailers mean nothing here; a little is passed over.
const MOST_EXTENSION_BYTES: u8 = 200;
const MOST_TRAILER_BYTES: u16 = 8 * 1024;

impl Framing {
    pub(super) const fn chunked() -> Self {
        Framing::Chunked(Chunk::START)
    }

    /// Takes what came next on the wire. The body's bytes are moved together, so that they are one piece whatever
    /// the chunks were.
    pub(super) fn decode(&mut self, input: &mut [u8]) -> Result<Decoded, &'static str> {
        match *self {
            Framing::Done => Ok(Decoded { data: 0..0, has_surplus: !input.is_empty() }),
            Framing::UntilClose => Ok(Decoded { data: 0..input.len(), has_surplus: false }),
            Framing::Length(left) => {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
                let rest = left - taken as u64;
                *self = if rest == 0 { Framing::Done } else { Framing::Length(rest) };
                Ok(Decoded { data: 0..taken, has_surplus: taken < input.len() })
            }
            Framing::Chunked(mut chunk) => {
                let decoded = chunk.decode(input)?;
                *self = match decoded {
                    (_, Some(_)) => Framing::Done,
                    (_, None) => Framing::Chunked(chunk),
                };
                let (data, end) = decoded;
                Ok(Decoded { data, has_surplus: end.is_some_and(|end| end < input.len()) })
            }
        }
    }
}

impl Chunk {
    const START: Chunk = Chunk::Size { size: 0, digits: 0 };

    /// The body's bytes in `input`, and where the coding ended, if it did.
    fn decode(&mut self, input: &mut [u8]) -> Result<(Range<usize>, Option<usize>), &'static str> {
        let mut data = 0..0;
        let mut at = 0;
        while at < input.len() {
            if let Chunk::Data { left } = *self {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(input.len() - at);
                if data.is_empty() {
                    data = at..at + taken;
                } else {
                    input.copy_within(at..at + taken, data.end);
                    data.end += taken;
                }
                at += taken;
                let left = left - taken as u64;
                *self = if left == 0 { Chunk::DataEnd } else { Chunk::Data { left } };
                continue;
            }
            let ended = self.step(input[at])?;
            at += 1;
            if ended {
                return Ok((data, Some(at)));
            }
        }
        Ok((data, None))
    }

    /// One byte that is not data; true at the end of the coding.
    fn step(&mut self, byte: u8) -> Result<bool, &'static str> {
        *self = match (*self, byte) {
            (Chunk::Size { size, digits }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F')
                if digits < MOST_DIGITS =>
            {
                let digit = char::from(byte).to_digit(16).unwrap_or_default();
                Chunk::Size { size: size << 4 | u64::from(digit), digits: digits + 1 }
            }
            (Chunk::Size { size, digits: 1.. }, b'\r') => Chunk::SizeEnd { size },
            (Chunk::Size { size, digits: 1.. }, b';' | b' ' | b'\t') => Chunk::Extension { size, bytes: 0 },
            (Chunk::Extension { size, .. }, b'\r') => Chunk::SizeEnd { size },
            (Chunk::Extension { size, bytes }, byte)
                if bytes < MOST_EXTENSION_BYTES && (byte == b'\t' || byte >= b' ' && byte != 0x7f) =>
            {
                Chunk::Extension { size, bytes: bytes + 1 }
            }
            (Chunk::SizeEnd { size: 0 }, b'\n') => Chunk::Trailer { bytes: 0, in_line: false },
            (Chunk::SizeEnd { size }, b'\n') => Chunk::Data { left: size },
            (Chunk::DataEnd, b'\r') => Chunk::DataEndFeed,
            (Chunk::DataEndFeed, b'\n') => Chunk::START,
            (Chunk::Trailer { bytes, in_line }, b'\r') if bytes < MOST_TRAILER_BYTES => {
                Chunk::TrailerFeed { bytes: bytes + 1, in_line }
            }
            (Chunk::Trailer { bytes, .. }, byte)
                if bytes < MOST_TRAILER_BYTES && byte != b'\n' && byte != 0 =>
            {
                Chunk::Trailer { bytes: bytes + 1, in_line: true }
            }
            (Chunk::TrailerFeed { in_line: false, .. }, b'\n') => return Ok(true),
            (Chunk::TrailerFeed { bytes, .. }, b'\n') => Chunk::Trailer { bytes, in_line: false },
            _ => return Err("its chunks are not well formed"),
        };
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Decodes `wire`, given in pieces of `size`; the body, whether it ended, and whether there was more.
    fn decoded(
        mut framing: Framing,
        wire: &[u8],
        size: usize,
    ) -> Result<(Vec<u8>, bool, bool), &'static str> {
        let mut body = Vec::new();
        let mut surplus = false;
        for piece in wire.chunks(size) {
            let mut piece = piece.to_vec();
            let decoded = framing.decode(&mut piece)?;
            body.extend_from_slice(&piece[decoded.data]);
            surplus |= decoded.has_surplus;
        }
        Ok((body, framing == Framing::Done, surplus))
    }

    #[test]
    fn chunks_become_one_body_however_they_are_cut() {
        let wire = b"5\r\nhello\r\n1;name=\"x\"\r\n \r\n00006 \r\nworld!\r\n0\r\nTrailer: x\r\n\r\n";
        for size in 1..=wire.len() {
            let (body, ended, surplus) = decoded(Framing::chunked(), wire, size).unwrap();
            assert_eq!((body.as_slice(), ended, surplus), (&b"hello world!"[..], true, false), "{size}");
            let (body, ended, _) = decoded(Framing::chunked(), &wire[..wire.len() - 1], size).unwrap();
            assert_eq!((body.as_slice(), ended), (&b"hello world!"[..], false), "{size}");
        }
    }

    #[test]
    fn bytes_behind_the_end_are_noticed_and_dropped() {
        for size in 1..=20 {
            let chunked = decoded(Framing::chunked(), b"2\r\nab\r\n0\r\n\r\nHTTP", size).unwrap();
            assert_eq!(chunked, (b"ab".to_vec(), true, true));
            assert_eq!(decoded(Framing::Length(2), b"abHTTP", size).unwrap(), (b"ab".to_vec(), true, true));
        }
        assert_eq!(decoded(Framing::Length(9), b"abc", 9).unwrap(), (b"abc".to_vec(), false, false));
        assert_eq!(decoded(Framing::UntilClose, b"abc", 9).unwrap(), (b"abc".to_vec(), false, false));
        assert_eq!(decoded(Framing::Done, b"abc", 9).unwrap(), (Vec::new(), true, true));
    }

    #[test]
    fn chunks_that_two_readers_could_read_differently_are_refused() {
        for wire in [
            &b"\r\n"[..],
            b"x\r\n",
            b"-1\r\n",
            b"0x5\r\nhello\r\n",
            b"5\nhello\r\n",
            b"5\r\rhello",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"5;a\nb\r\nhello\r\n",
            b"10000000000000000\r\n",
            b" 5\r\nhello\r\n",
            b"0\r\nX: y\n\r\n",
            b"0\r\n\0",
            b"0\r\n\rX",
        ] {
            assert!(decoded(Framing::chunked(), wire, 100).is_err(), "{}", wire.escape_ascii());
        }
        let endless = format!("5;{}", "x".repeat(300));
        assert!(decoded(Framing::chunked(), endless.as_bytes(), 1000).is_err());
        let endless = format!("0\r\n{}", "X: y\r\n".repeat(2000));
        assert!(decoded(Framing::chunked(), endless.as_bytes(), 1000).is_err());
    }
}
