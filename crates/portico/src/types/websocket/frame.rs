//! Frames, written.

use bytes::{BufMut as _, Bytes, BytesMut};

use super::{CLOSE, FIN, MASKED, PING, PONG, TEXT};

/// What a client hides its bytes behind (section 5.3); a server sends them as they are.
pub(crate) type Mask = Option<[u8; 4]>;

/// A whole message.
pub(crate) fn text(message: &[u8], mask: Mask) -> Bytes {
    frame(TEXT, message, mask)
}

/// `payload`: at most 125 bytes, as it came or of our own.
pub(crate) fn pong(payload: &[u8], mask: Mask) -> Bytes {
    frame(PONG, payload, mask)
}

pub(crate) fn ping(mask: Mask) -> Bytes {
    frame(PING, &[], mask)
}

/// `reason`: for people who look; short.
pub(crate) fn close(code: u16, reason: &str, mask: Mask) -> Bytes {
    let mut payload = Vec::with_capacity(2 + reason.len());
    payload.extend_from_slice(&code.to_be_bytes());
    payload.extend_from_slice(reason.as_bytes());
    frame(CLOSE, &payload, mask)
}

fn frame(opcode: u8, payload: &[u8], mask: Mask) -> Bytes {
    let mut out = BytesMut::with_capacity(14 + payload.len());
    out.put_u8(FIN | opcode);
    let masked = if mask.is_some() { MASKED } else { 0 };
    match (u8::try_from(payload.len()), u16::try_from(payload.len())) {
        (Ok(length @ ..=125), _) => out.put_u8(masked | length),
        (_, Ok(length)) => {
            out.put_u8(masked | 126);
            out.put_u16(length);
        }
        _ => {
            out.put_u8(masked | 127);
            out.put_u64(payload.len() as u64);
        }
    }
    if let Some(mask) = mask {
        out.put_slice(&mask);
    }
    let head_bytes = out.len();
    out.put_slice(payload);
    if let Some(mask) = mask {
        apply(mask, &mut out[head_bytes..]);
    }
    out.freeze()
}

/// Puts the mask on, or takes it off.
pub(super) fn apply(mask: [u8; 4], payload: &mut [u8]) {
    for (byte, mask) in payload.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        // Section 5.7.
        assert_eq!(&text(b"Hello", None)[..], b"\x81\x05Hello");
        assert_eq!(
            &text(b"Hello", Some([0x37, 0xfa, 0x21, 0x3d]))[..],
            b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"
        );
        assert_eq!(&pong(b"Hello", Some([0x37, 0xfa, 0x21, 0x3d]))[..2], b"\x8a\x85");
        assert_eq!(&close(1000, "", None)[..], b"\x88\x02\x03\xe8");
    }

    #[test]
    fn lengths_take_as_few_bytes_as_they_need() {
        for (bytes, head) in [
            (125_usize, &[0x81, 125][..]),
            (126, &[0x81, 126, 0, 126]),
            (65_535, &[0x81, 126, 0xff, 0xff]),
            (65_536, &[0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = text(&vec![b'x'; bytes], None);
            assert_eq!(&frame[..head.len()], head);
            assert_eq!(frame.len(), head.len() + bytes);
        }
    }
}
