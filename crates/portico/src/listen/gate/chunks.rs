//! A chunked body, followed byte by byte: always known is whether it is still going on. Pure.
//!
//! `SIZE CRLF data CRLF … 0 CRLF CRLF`. Extensions are refused: nobody sends them but those who hope that two readers
//! find the end of such a line in two places (TERM.EXT, EXT.TERM, SPILL; CVE-2025-55315). Trailers are refused too:
//! there is no field that means anything behind a body here.

use super::fault::Fault;

/// So many hexadecimal digits always fit an `u64`.
const LONGEST_SIZE_DIGITS: u8 = 16;

#[derive(Debug, Default)]
pub(crate) struct Chunks {
    at: At,
    /// Of the size being read, then what is left of the data.
    size_bytes: u64,
    digits: u8,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Size,
    SizeLineFeed,
    Data,
    DataReturn,
    DataLineFeed,
    LastReturn,
    LastLineFeed,
    Done,
}

impl Chunks {
    /// How many of these bytes belong to the body. Less than all: the body has ended.
    pub(crate) fn follow(&mut self, bytes: &[u8]) -> Result<usize, Fault> {
        let mut at = 0;
        while at < bytes.len() && self.at != At::Done {
            if self.at == At::Data {
                let here = usize::try_from(self.size_bytes).unwrap_or(usize::MAX).min(bytes.len() - at);
                self.size_bytes -= here as u64;
                at += here;
                if self.size_bytes == 0 {
                    self.at = At::DataReturn;
                }
            } else {
                self.step(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        self.at = match (self.at, byte) {
            (At::Size, b'\r') if self.digits > 0 => At::SizeLineFeed,
            (At::Size, digit) => return self.digit(digit),
            (At::SizeLineFeed, b'\n') => {
                self.digits = 0;
                if self.size_bytes == 0 { At::LastReturn } else { At::Data }
            }
            (At::DataReturn, b'\r') => At::DataLineFeed,
            (At::DataLineFeed, b'\n') => At::Size,
            (At::LastReturn, b'\r') => At::LastLineFeed,
            (At::LastLineFeed, b'\n') => At::Done,
            (At::SizeLineFeed, _) => return Err(Fault::malformed("a chunk's size does not end with CR LF")),
            (At::DataReturn | At::DataLineFeed, _) => {
                return Err(Fault::malformed("a chunk's data does not end with CR LF"));
            }
            _ => return Err(Fault::malformed("the last chunk is not followed by CR LF alone")),
        };
        Ok(())
    }

    fn digit(&mut self, byte: u8) -> Result<(), Fault> {
        let Some(value) = char::from(byte).to_digit(16) else {
            return Err(Fault::malformed("a chunk's size is not a hexadecimal number and CR LF"));
        };
        if self.digits == LONGEST_SIZE_DIGITS {
            return Err(Fault::malformed("a chunk's size has too many digits"));
        }
        if self.digits == 0 {
            self.size_bytes = 0;
        }
        self.digits += 1;
        self.size_bytes = self.size_bytes << 4 | u64::from(value);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What belongs to the body, or nothing where it is refused; `Some(all)` also where it has not ended.
    fn followed(body: &[u8]) -> Option<(usize, bool)> {
        let mut chunks = Chunks::default();
        chunks.follow(body).ok().map(|used| (used, chunks.is_done()))
    }

    #[test]
    fn only_sizes_data_and_line_ends_are_chunks() {
        for (body, wanted) in [
            ("0\r\n\r\n", Some((5, true))),
            ("5\r\nhello\r\n0\r\n\r\nGET", Some((15, true))),
            ("A\r\n0123456789\r\n00\r\n\r\n", Some((21, true))),
            ("0000000000000001\r\nx\r\n0\r\n\r\n", Some((26, true))),
            ("ffffffffffffffff\r\nx", Some((19, false))),
            ("5\r\nhel", Some((6, false))),
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
            ("0\n\r\n", None),
            ("0;a=b\r\n\r\n", None),
        ] {
            assert_eq!(followed(body.as_bytes()), wanted, "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn where_the_pieces_are_cut_makes_no_difference(
            body in "([0-9a-fA-F]{0,3}(\r|\n|\r\n|;)?[ -~]{0,12}(\r\n)?){0,6}", cuts in prop::collection::vec(0_usize..60, 0..5),
        ) {
            let bytes = body.as_bytes();
            let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut chunks = Chunks::default();
            let mut used = 0;
            let mut fault = None;
            for piece in cuts.windows(2) {
                match chunks.follow(&bytes[piece[0]..piece[1]]) {
                    Ok(taken) => used += taken,
                    Err(found) => { fault = Some(found); break; }
                }
            }
            let wanted = if fault.is_none() { Some((used, chunks.is_done())) } else { None };
            prop_assert_eq!(followed(bytes), wanted);
        }
    }
}
