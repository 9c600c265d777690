//! Pictures, judged before a model server decodes them: kind, size, wholeness, and what they tell about their maker.
//!
//! A picture comes as base64 and stays base64. Its whole text is checked against the alphabet, because lenient
//! decoders skip foreign characters and would read other bytes than were judged here; then only headers and the
//! frame of the file are decoded, by random access. Nothing is unpacked into pixels: a bomb is refused by what its
//! header says. Metadata is taken out by replacing the few groups of four characters around it, so that the rest
//! stays slices of the client's body.
//!
//! Everything here is pure.

mod data_url;
mod edit;
mod encoded;
mod exif;
mod fault;
mod gif;
mod jpeg;
mod kind;
mod pictures;
mod png;
#[cfg(test)]
mod tests;
mod tokens;
mod webp;

pub(crate) use fault::Fault;
pub(crate) use pictures::{Pictures, Wanted, inspect_fetched};

use std::ops::Range;

use bytes::Bytes;

use self::edit::Edit;
use self::encoded::Encoded;
use self::kind::Kind;
use crate::types::{Rope, text};

/// Smaller pictures crash some engines (CVE-2026-22773) and show nothing to any: a patch of a vision model is as large.
const LEAST_SIDE_PIXELS: u32 = 28;
/// The processors of Qwen's models give up on longer strips.
const GREATEST_RATIO: u64 = 200;

/// What a picture is judged by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) max_bytes: u64,
    /// Of all frames together: a decoder may be made to paint every one.
    pub(crate) max_pixels: u64,
    pub(crate) metadata: Metadata,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Metadata {
    Keep,
    Strip,
}

/// A picture that may pass, and how it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) kind: Kind,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) frames: u32,
    /// Where the base64 begins in the text that was judged.
    payload_at: usize,
    /// Changes to the decoded bytes, in their order.
    edits: Vec<Edit>,
}

/// What a format's own reader found.
struct Found {
    width: u32,
    height: u32,
    frames: u32,
    edits: Vec<Edit>,
}

/// Judges a picture in a `data:` URL. `known`: where its base64 has been checked before.
fn inspect_url(url: &[u8], known: Range<usize>, bounds: Bounds) -> Result<Picture, Fault> {
    let (declared, payload_at) = data_url::split(url)?;
    inspect(declared, url, payload_at, known, bounds)
}

/// Judges a picture whose type and base64 come apart, as in Anthropic's `source`.
fn inspect_base64(
    media_type: &str,
    data: &[u8],
    known: Range<usize>,
    bounds: Bounds,
) -> Result<Picture, Fault> {
    inspect(data_url::kind(media_type)?, data, 0, known, bounds)
}

fn inspect(
    declared: Kind,
    text: &[u8],
    payload_at: usize,
    known: Range<usize>,
    bounds: Bounds,
) -> Result<Picture, Fault> {
    let payload = &text[payload_at..];
    let bytes = encoded::decoded_bytes(payload);
    let most = bounds.max_bytes;
    if bytes as u64 > most {
        return Err(Fault::new(
            "bytes",
            text!(
                "The image has {bytes} bytes; at most {most} are accepted. Send it smaller.",
                "图片有 {bytes} 字节,最多接受 {most} 字节。请缩小后再发送。"
            ),
        ));
    }
    let known = known.start.saturating_sub(payload_at)..known.end.saturating_sub(payload_at);
    let data = Encoded::check(payload, known)?;
    let kind = kind::sniff(&data)?;
    if kind != declared {
        let (says, is, media) = (declared.media_type(), kind.name(), kind.media_type());
        return Err(Fault::new(
            "mismatch",
            text!(
                "The image says that it is {says} and is a {is}: write {media}.",
                "图片声明为 {says},实际是 {is}:请写 {media}。"
            ),
        ));
    }
    let found = match kind {
        Kind::Png => png::inspect(&data, bounds.metadata),
        Kind::Jpeg => jpeg::inspect(&data, bounds.metadata),
        Kind::Webp => webp::inspect(&data, bounds.metadata),
        Kind::Gif => gif::inspect(&data, bounds.metadata),
    }?;
    let Found { width, height, frames, edits } = found;
    let picture = Picture { kind, width, height, frames, payload_at, edits };
    picture.judge_size(bounds.max_pixels)?;
    Ok(picture)
}

impl Picture {
    /// Of all frames.
    pub(crate) fn pixels(&self) -> u64 {
        let frame = u64::from(self.width) * u64::from(self.height);
        frame.saturating_mul(u64::from(self.frames))
    }

    /// What the model will count for it, as far as can be told from outside.
    pub(crate) fn tokens(&self) -> u64 {
        tokens::estimate(self.width, self.height)
    }

    fn judge_size(&self, max_pixels: u64) -> Result<(), Fault> {
        let Self { width, height, frames, .. } = *self;
        if width.min(height) < LEAST_SIDE_PIXELS {
            return Err(Fault::new(
                "too_small",
                text!(
                    "The image is {width} x {height} pixels; each side needs at least {LEAST_SIDE_PIXELS}. Enlarge it.",
                    "图片为 {width} x {height} 像素,每边至少需要 {LEAST_SIDE_PIXELS}。请放大后再发送。"
                ),
            ));
        }
        if self.pixels() > max_pixels {
            let what = if frames > 1 { format!(", {frames} frames") } else { String::new() };
            let zh = if frames > 1 { format!(",{frames} 帧") } else { String::new() };
            return Err(Fault::new(
                "pixels",
                text!(
                    "The image is {width} x {height} pixels{what}; at most {max_pixels} pixels are accepted. Scale it down.",
                    "图片为 {width} x {height} 像素{zh},最多接受 {max_pixels} 像素。请缩小后再发送。"
                ),
            ));
        }
        let (long, short) = (u64::from(width.max(height)), u64::from(width.min(height)));
        if long > short * GREATEST_RATIO {
            return Err(Fault::new(
                "ratio",
                text!(
                    "The image is {width} x {height} pixels: one side is more than {GREATEST_RATIO} times the other, and no model reads that. Cut it into pieces.",
                    "图片为 {width} x {height} 像素:一边超过另一边的 {GREATEST_RATIO} 倍,模型无法识别。请裁剪成几张。"
                ),
            ));
        }
        Ok(())
    }

    /// The base64 as it is sent. `text` is what was judged.
    pub(crate) fn data(&self, text: &Bytes) -> Rope {
        edit::apply(&self.edits, text, self.payload_at)
    }

    /// The `data:` URL as it is sent. Its head is written anew, in the one spelling that every reader knows.
    pub(crate) fn url(&self, text: &Bytes) -> Rope {
        let mut rope = Rope::default();
        rope.push(Bytes::from_static(self.kind.url_head().as_bytes()));
        rope.append(self.data(text));
        rope
    }

    /// Nothing was taken out, and the head stands there as it is sent.
    fn is_as_sent(&self, text: &[u8]) -> bool {
        self.edits.is_empty() && text.get(..self.payload_at) == Some(self.kind.url_head().as_bytes())
    }
}
