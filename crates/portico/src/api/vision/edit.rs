//! Changes to a picture, carried out on its base64.
//!
//! Three bytes are four characters. A change that takes away or adds a multiple of three bytes leaves every group behind
//! it as it was, so that only the groups it touches are written anew and the rest are slices.

use bytes::{Bytes, BytesMut};

use super::encoded::Encoded;
use crate::types::Rope;

/// Decoded bytes `start..end` become `with`. Unless `end` is the end of the file, the lengths differ by a multiple of
/// three: see [`filler_bytes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) with: Vec<u8>,
}

/// So many bytes have to be added to `kept` where `removed` bytes are taken away.
pub(super) const fn filler_bytes(removed: usize, kept: usize) -> usize {
    (removed % 3 + 3 - kept % 3) % 3
}

/// The base64 that begins at `payload_at` of `text`, with the edits carried out. They are in order and apart.
pub(super) fn apply(edits: &[Edit], text: &Bytes, payload_at: usize) -> Rope {
    let payload = text.slice(payload_at..);
    let mut rope = Rope::default();
    let mut written = 0;
    let mut rest = edits;
    while !rest.is_empty() {
        let run = run(rest);
        let (edits, others) = rest.split_at(run);
        rest = others;
        let first = edits.first().map_or(0, |edit| edit.start / 3);
        let last = edits.last().map_or(0, |edit| edit.end.div_ceil(3));
        rope.push(payload.slice(written..first * 4));
        rope.push(rewritten(edits, &payload, first * 3));
        written = (last * 4).min(payload.len());
    }
    rope.push(payload.slice(written..));
    rope
}

/// How many edits share a group with the one before.
fn run(edits: &[Edit]) -> usize {
    1 + edits.windows(2).take_while(|pair| pair[1].start / 3 < pair[0].end.div_ceil(3)).count()
}

/// The groups of a run of edits, encoded anew; `from`: where its first group begins.
fn rewritten(edits: &[Edit], payload: &Bytes, from: usize) -> Bytes {
    let data = Encoded::judged(payload);
    let mut bytes = Vec::new();
    let mut at = from;
    for edit in edits {
        bytes.extend(data.slice(at, edit.start - at).unwrap_or_default());
        bytes.extend_from_slice(&edit.with);
        at = edit.end;
    }
    let end = (at.div_ceil(3) * 3).min(data.bytes());
    bytes.extend(data.slice(at, end - at).unwrap_or_default());
    let mut encoded = BytesMut::zeroed(base64_simd::STANDARD.encoded_length(bytes.len()));
    let _ = base64_simd::STANDARD.encode(&bytes, base64_simd::Out::from_slice(&mut encoded));
    encoded.freeze()
}
