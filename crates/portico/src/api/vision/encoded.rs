//! Base64 as random-access bytes.

use std::ops::Range;

use base64_simd::{Out, STANDARD, STANDARD_NO_PAD};

use super::fault::Fault;
use crate::types::Text;

/// Decoded at a time where a file is read from end to end: it stays in the first cache.
pub(super) const BLOCK_BYTES: usize = 12 * 1024;

/// Text that is base64 throughout. Positions count decoded bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Encoded<'t> {
    text: &'t [u8],
    bytes: usize,
}

/// What `text` decodes to, if it is base64.
pub(super) fn decoded_bytes(text: &[u8]) -> usize {
    let padding = text.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    (text.len() / 4 * 3).saturating_sub(padding)
}

impl<'t> Encoded<'t> {
    /// The standard alphabet, in groups of four, padded, with no bits to spare in the last group (RFC 4648, 3.5): there is
    /// one text for the bytes, and one reading of the text.
    /// `known`: where the alphabet has been checked before.
    pub(super) fn check(text: &'t [u8], known: Range<usize>) -> Result<Self, Fault> {
        // In whole groups; only the last one may be padded.
        let (head, tail) = (known.start.next_multiple_of(4), known.end / 4 * 4);
        let is_base64 = match head < tail {
            true => STANDARD_NO_PAD.check(&text[..head]).is_ok() && STANDARD.check(&text[tail..]).is_ok(),
            false => STANDARD.check(text).is_ok(),
        };
        if text.is_empty() || !text.len().is_multiple_of(4) || !is_base64 {
            return Err(Fault::new(
                "base64",
                Text::fixed(
                    "The image is not valid base64: only A-Z a-z 0-9 + / and the padding =, without blanks or line breaks.",
                    "图片不是合法的 base64:只能包含 A-Z a-z 0-9 + / 和结尾的 =,不能有空格或换行。",
                ),
            ));
        }
        Ok(Self { text, bytes: decoded_bytes(text) })
    }

    /// Text that has passed [`Encoded::check`] before.
    pub(super) fn judged(text: &'t [u8]) -> Self {
        Self { text, bytes: decoded_bytes(text) }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// `None`: it would reach beyond the end.
    pub(super) fn read<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut found = [0; N];
        self.read_into(at, &mut found)?;
        Some(found)
    }

    pub(super) fn read_into(&self, at: usize, into: &mut [u8]) -> Option<()> {
        if at.checked_add(into.len())? > self.bytes {
            return None;
        }
        let mut skip = at % 3;
        let mut filled = 0;
        for group in self.text[at / 3 * 4..].as_chunks::<4>().0 {
            let three = decode_group(*group);
            let from = &three[skip..];
            let count = from.len().min(into.len() - filled);
            into[filled..filled + count].copy_from_slice(&from[..count]);
            (filled, skip) = (filled + count, 0);
            if filled == into.len() {
                break;
            }
        }
        Some(())
    }

    /// A piece that may be long.
    pub(super) fn slice(&self, at: usize, bytes: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(bytes)?;
        if end > self.bytes {
            return None;
        }
        let groups = &self.text[at / 3 * 4..end.div_ceil(3) * 4];
        let mut decoded = STANDARD.decode_to_vec(groups).ok()?;
        decoded.drain(..at % 3);
        decoded.truncate(bytes);
        Some(decoded)
    }

    pub(super) fn u16_be(&self, at: usize) -> Option<u16> {
        self.read(at).map(u16::from_be_bytes)
    }

    pub(super) fn u32_be(&self, at: usize) -> Option<u32> {
        self.read(at).map(u32::from_be_bytes)
    }

    pub(super) fn u32_le(&self, at: usize) -> Option<u32> {
        self.read(at).map(u32::from_le_bytes)
    }
}

/// Reads forward; what lies near is decoded already.
#[derive(Debug)]
pub(super) struct Window<'t> {
    data: Encoded<'t>,
    start: usize,
    filled: usize,
    block: [u8; BLOCK_BYTES],
}

impl<'t> Window<'t> {
    pub(super) const fn new(data: Encoded<'t>) -> Self {
        Self { data, start: 0, filled: 0, block: [0; BLOCK_BYTES] }
    }

    pub(super) fn byte(&mut self, at: usize) -> Option<u8> {
        self.from(at).first().copied()
    }

    /// The decoded bytes from `at` on, as many as are at hand; none behind the end.
    pub(super) fn from(&mut self, at: usize) -> &[u8] {
        // Two at least where there are two: markers are read in pairs.
        if at < self.start || at + 1 >= self.start + self.filled {
            self.fill(at);
        }
        self.block[..self.filled].get(at - self.start..).unwrap_or_default()
    }

    fn fill(&mut self, at: usize) {
        (self.start, self.filled) = (at / 3 * 3, 0);
        let Some(rest) = self.data.text.get(at / 3 * 4..).filter(|_| at < self.data.bytes) else {
            self.start = at;
            return;
        };
        let groups = &rest[..rest.len().min(BLOCK_BYTES / 3 * 4)];
        // The text has been checked, so this cannot fail; were it to, there would be nothing to read.
        if let Ok(decoded) = STANDARD.decode(groups, Out::from_slice(&mut self.block)) {
            self.filled = decoded.len();
        }
    }
}

fn decode_group(group: [u8; 4]) -> [u8; 3] {
    let joined =
        group.into_iter().fold(0, |joined, byte| joined << 6 | u32::from(SIX_BITS[usize::from(byte)]));
    let [_, a, b, c] = joined.to_be_bytes();
    [a, b, c]
}

/// Padding counts as zero: the length says where the bytes end.
static SIX_BITS: [u8; 256] = {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut table = [0; 256];
    let mut value = 0;
    while value < 64 {
        table[alphabet[value as usize] as usize] = value;
        value += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_piece_is_what_decoding_all_would_give(bytes in proptest::collection::vec(any::<u8>(), 1..300), at in 0_usize..320, length in 0_usize..90) {
            let text = STANDARD.encode_to_string(&bytes);
            let data = Encoded::check(text.as_bytes(), 0..0).unwrap();
            prop_assert_eq!(data.bytes(), bytes.len());
            let wanted = bytes.get(at..at + length);
            let mut small = vec![0; length];
            prop_assert_eq!(data.read_into(at, &mut small).map(|()| &small[..]), wanted);
            let long = data.slice(at, length);
            prop_assert_eq!(long.as_deref(), wanted);
            prop_assert_eq!(Window::new(data).byte(at), bytes.get(at).copied());
        }

        #[test]
        fn one_foreign_character_anywhere_is_seen(length in 1_usize..200, at in 0_usize..800, foreign in any::<char>()) {
            let mut text: Vec<char> = STANDARD.encode_to_string(vec![7; length]).chars().collect();
            let at = at % text.len();
            if foreign.is_ascii_alphanumeric() || matches!(foreign, '+' | '/' | '=') {
                return Ok(());
            }
            text[at] = foreign;
            prop_assert!(Encoded::check(text.into_iter().collect::<String>().as_bytes(), 0..0).is_err());
        }
    }

    #[test]
    fn there_is_one_text_for_the_bytes() {
        for fine in ["AAAA", "AA==", "AAA=", "AAAAAA=="] {
            assert!(Encoded::check(fine.as_bytes(), 0..0).is_ok(), "{fine}");
        }
        for wrong in [
            "",
            "A",
            "AA",
            "AAA",
            "AAAAA",
            "AA=",
            "A===",
            "====",
            "AAA==",
            "AAAA=",
            "AAAA====",
            "AA==AAAA",
            "AAA=AAAA",
            "AB==",
            "AAB=",
            "AA-_",
            "AA A",
            " AAAA",
            "AAAA ",
            "AAAA\n",
            "AA\nAA",
            "AA%2B",
            "AAAA,AAAA",
            "AAA\u{e9}",
        ] {
            assert!(Encoded::check(wrong.as_bytes(), 0..0).is_err(), "{wrong:?}");
        }
    }
}
