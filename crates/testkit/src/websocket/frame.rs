//! Frames of RFC 6455, as bytes and back, right or wrong: shared by the client and the scripted server.

use sha1::{Digest as _, Sha1};

use crate::image::base64;

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What a close without a code means (section 7.4.1); it is never sent.
pub const NO_CODE: u16 = 1005;

/// Any key will do where nobody in between is to be protected.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// One frame, its payload without the mask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub fin: bool,
    /// The three reserved bits, the first of which is 4.
    pub rsv: u8,
    pub opcode: u8,
    pub masked: bool,
    /// The key it was masked with; zeros where it was not.
    pub mask: [u8; 4],
    pub payload: Vec<u8>,
}

impl Frame {
    /// A whole message in one frame, or a control frame; not masked.
    #[must_use]
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self { fin: true, rsv: 0, opcode, masked: false, mask: [0; 4], payload: payload.into() }
    }

    /// A close with a code, and a reason that may be empty; not masked.
    #[must_use]
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// As a client sends it.
    #[must_use]
    pub fn masked(self) -> Self {
        Self { masked: true, mask: MASK, ..self }
    }

    /// As it goes over the wire, with the shortest form of the length.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = head(self.fin, self.rsv, self.opcode, self.masked, self.payload.len() as u64);
        if self.masked {
            bytes.extend(self.mask);
        }
        let start = bytes.len();
        bytes.extend(&self.payload);
        apply(self.mask, &mut bytes[start..]);
        bytes
    }

    /// The code and the reason of a close; [`NO_CODE`] where it has none.
    #[must_use]
    pub fn close_code(&self) -> (u16, String) {
        match self.payload.split_first_chunk::<2>() {
            Some((code, reason)) => (u16::from_be_bytes(*code), String::from_utf8_lossy(reason).into_owned()),
            None => (NO_CODE, String::new()),
        }
    }
}

/// The first bytes of a frame up to its length, for frames that announce more than they bring. The mask's key would
/// follow.
#[must_use]
pub fn head(fin: bool, rsv: u8, opcode: u8, masked: bool, length: u64) -> Vec<u8> {
    let first = u8::from(fin) << 7 | (rsv & 7) << 4 | (opcode & 15);
    let mask = u8::from(masked) << 7;
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ ..126), _) => vec![first, mask | short],
        (_, Ok(middle)) => [&[first, mask | 126][..], &middle.to_be_bytes()].concat(),
        _ => [&[first, mask | 127][..], &length.to_be_bytes()].concat(),
    }
}

/// Takes the first whole frame from `buffer`; `None` while it is not complete. Takes every form of the length.
#[must_use]
pub fn take(buffer: &mut Vec<u8>) -> Option<Frame> {
    let [first, second] = *buffer.first_chunk()?;
    let masked = second & 0x80 != 0;
    let (length, mut at) = match second & 0x7f {
        126 => (u64::from(u16::from_be_bytes(*buffer.get(2..)?.first_chunk()?)), 4),
        127 => (u64::from_be_bytes(*buffer.get(2..)?.first_chunk()?), 10),
        short => (u64::from(short), 2),
    };
    let mut mask = [0; 4];
    if masked {
        mask = *buffer.get(at..)?.first_chunk()?;
        at += 4;
    }
    let end = at.checked_add(usize::try_from(length).ok()?)?;
    if buffer.len() < end {
        return None;
    }
    let mut payload = buffer[at..end].to_vec();
    buffer.drain(..end);
    apply(mask, &mut payload);
    Some(Frame { fin: first & 0x80 != 0, rsv: first >> 4 & 7, opcode: first & 15, masked, mask, payload })
}

/// `Sec-WebSocket-Accept` for a key.
#[must_use]
pub fn accept(key: &str) -> String {
    base64(&Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11")))
}

/// Sixteen bytes at a time: tests mask megabytes, and are not optimised.
fn apply(mask: [u8; 4], payload: &mut [u8]) {
    let [a, b, c, d] = mask;
    let long = u128::from_ne_bytes([a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d]);
    let (groups, rest) = payload.as_chunks_mut::<16>();
    for group in groups {
        *group = (u128::from_ne_bytes(*group) ^ long).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.into_iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 6455, sections 1.3 and 5.7.
    #[test]
    fn frames_are_those_of_the_standard() {
        assert_eq!(accept("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(Frame::new(TEXT, "Hello").bytes(), b"\x81\x05Hello");
        assert_eq!(
            Frame::new(TEXT, "Hello").masked().bytes(),
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(head(true, 0, BINARY, false, 256), [0x82, 0x7e, 1, 0]);
        assert_eq!(head(true, 0, BINARY, false, 65_536), [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn what_is_written_is_read_back() {
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            for masked in [false, true] {
                let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
                let mut frame = Frame::new(BINARY, bytes);
                frame = if masked { frame.masked() } else { frame };
                (frame.fin, frame.rsv) = (!masked, 5);
                let whole = frame.bytes();
                let mut buffer = whole[..whole.len() - 1].to_vec();
                assert_eq!(take(&mut buffer), None, "{length}");
                buffer.extend([&whole[whole.len() - 1..], b"next"].concat());
                assert_eq!(take(&mut buffer), Some(frame));
                assert_eq!(buffer, b"next");
            }
        }
    }

    #[test]
    fn a_close_has_a_code_or_none() {
        assert_eq!(Frame::close(1001, "idle").close_code(), (1001, "idle".to_owned()));
        assert_eq!(Frame::new(CLOSE, "").close_code(), (NO_CODE, String::new()));
    }
}
