//! Frames of HTTP/2 in a stream of bytes, wherever it is cut (RFC 9113 section 4). Pure.

const HEADER_BYTES: usize = 9;

/// A frame's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) length_bytes: u32,
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

/// How far a stream of frames has been seen.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    payload_left_bytes: usize,
    kind: u8,
}

impl Scan {
    /// Calls `seen` for every frame whose header is complete with these bytes. True: some were of a frame that
    /// carries a request or an answer.
    pub(crate) fn follow<E>(
        &mut self,
        mut bytes: &[u8],
        mut seen: impl FnMut(Frame) -> Result<(), E>,
    ) -> Result<bool, E> {
        let mut carries = false;
        while !bytes.is_empty() {
            let payload_bytes = self.payload_left_bytes.min(bytes.len());
            if payload_bytes > 0 {
                carries |= matches!(self.kind, DATA | HEADERS | CONTINUATION);
                self.payload_left_bytes -= payload_bytes;
                bytes = &bytes[payload_bytes..];
                continue;
            }
            let missing_bytes = (HEADER_BYTES - self.header_bytes).min(bytes.len());
            let (more, rest) = bytes.split_at(missing_bytes);
            self.header[self.header_bytes..self.header_bytes + missing_bytes].copy_from_slice(more);
            self.header_bytes += missing_bytes;
            bytes = rest;
            if self.header_bytes == HEADER_BYTES {
                self.header_bytes = 0;
                let frame = Frame::of(self.header);
                self.payload_left_bytes = frame.length_bytes as usize;
                self.kind = frame.kind;
                carries |= matches!(frame.kind, DATA | HEADERS | CONTINUATION);
                seen(frame)?;
            }
        }
        Ok(carries)
    }
}

impl Frame {
    fn of(header: [u8; HEADER_BYTES]) -> Self {
        let [a, b, c, kind, flags, s0, s1, s2, s3] = header;
        Self {
            length_bytes: u32::from_be_bytes([0, a, b, c]),
            kind,
            flags,
            // The first bit is reserved.
            stream: u32::from_be_bytes([s0 & 0x7f, s1, s2, s3]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn frames_are_seen_wherever_the_reads_are_cut(
            frames in prop::collection::vec((0_usize..40, 0_u8..12, any::<u8>(), 0_u32..1 << 31), 0..8),
            piece_bytes in 1_usize..30,
        ) {
            let mut bytes = Vec::new();
            let mut wanted = Vec::new();
            for (length, kind, flags, stream) in frames {
                let length_bytes = u32::try_from(length).unwrap();
                bytes.extend(&length_bytes.to_be_bytes()[1..]);
                bytes.extend([kind, flags]);
                bytes.extend(stream.to_be_bytes());
                bytes.extend(vec![0xff; length]);
                wanted.push(Frame { length_bytes, kind, flags, stream });
            }
            let mut scan = Scan::default();
            let mut seen = Vec::new();
            for piece in bytes.chunks(piece_bytes) {
                scan.follow(piece, |frame| { seen.push(frame); Ok::<_, ()>(()) }).unwrap();
            }
            prop_assert_eq!(seen, wanted);
        }
    }

    #[test]
    fn what_carries_an_answer_is_told_from_what_only_keeps_in_touch() {
        let ping = [0, 0, 8, 6, 1, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8];
        let data = [0, 0, 2, DATA, 0, 0, 0, 0, 1, b'h', b'i'];
        let carries = |scan: &mut Scan, bytes: &[u8]| scan.follow(bytes, |_| Ok::<_, ()>(())).unwrap();
        let mut scan = Scan::default();
        assert!(!carries(&mut scan, &ping));
        assert!(carries(&mut scan, &data[..10]));
        assert!(carries(&mut scan, &data[10..]), "the rest of it, too");
        assert!(!carries(&mut scan, &ping));
    }
}
