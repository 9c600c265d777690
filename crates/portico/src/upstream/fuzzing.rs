//! An answer read from bytes alone, for `crate::fuzzing`.

use super::framing::Framing;
use super::head::{self, Parsed};

/// What was made of the bytes of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    /// Where its body begins, behind all heads.
    pub head_bytes: usize,
    pub body: Vec<u8>,
    pub is_whole: bool,
    pub has_surplus: bool,
    pub is_broken: bool,
    pub is_chunked: bool,
}

/// Reads an answer that arrives in pieces of so many bytes.
#[must_use]
pub fn answer(bytes: &[u8], piece_bytes: usize) -> Option<Answer> {
    let piece_bytes = piece_bytes.max(1);
    let (mut read_to, mut at) = (0, 0);
    let (head, body_at) = loop {
        match head::parse(&bytes[at..read_to], None).ok()? {
            Parsed::Head(head, length) => break (head, at + length),
            Parsed::Informational(length) => at += length,
            Parsed::Partial if read_to == bytes.len() => return None,
            Parsed::Partial => read_to = (read_to + piece_bytes).min(bytes.len()),
        }
    };
    let mut framing = head.framing;
    let mut answer = Answer {
        status: head.status.as_u16(),
        head_bytes: body_at,
        body: Vec::new(),
        is_whole: false,
        has_surplus: false,
        is_broken: false,
        is_chunked: matches!(framing, Framing::Chunked(_)),
    };
    // What came in one read with the head, then what comes alone.
    let (first, rest) = bytes[body_at..].split_at(read_to - body_at);
    for piece in std::iter::once(first).chain(rest.chunks(piece_bytes)).filter(|piece| !piece.is_empty()) {
        let mut piece = piece.to_vec();
        let decoded = framing.decode(&mut piece);
        answer.body.extend_from_slice(&piece[decoded.data]);
        answer.has_surplus |= decoded.has_surplus;
        answer.is_broken |= decoded.broken.is_some();
        if answer.is_broken {
            break;
        }
    }
    answer.is_whole = framing == Framing::Done;
    Some(answer)
}
