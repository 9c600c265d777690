//! WebP: a RIFF file of chunks, simple or extended (RFC 9649).

use super::edit::{Edit, filler_bytes};
use super::encoded::Encoded;
use super::exif;
use super::fault::Fault;
use super::kind::Kind;
use super::{Found, Metadata};
use crate::types::Text;

const HEAD_BYTES: usize = 8;
const MOST_CHUNKS: u32 = 32_768;
/// Of one frame: transparency, pixels, and what is unknown.
const MOST_INNER_CHUNKS: usize = 8;
const SIZE_AT: usize = 4;
const FLAGS_AT: usize = 20;
const XMP_FLAG: u8 = 0x04;
const EXIF_FLAG: u8 = 0x08;
const ANIMATION_FLAG: u8 = 0x02;

pub(super) fn inspect(data: &Encoded<'_>, metadata: Metadata) -> Result<Found, Fault> {
    if data.u32_le(SIZE_AT).map(|size| size as usize + HEAD_BYTES) != Some(data.bytes()) {
        return Err(truncated());
    }
    let mut walk = Walk::default();
    let mut edits = Vec::new();
    let mut at = 12;
    for _ in 0..MOST_CHUNKS {
        if at == data.bytes() {
            let (width, height) = walk.size()?;
            if metadata == Metadata::Strip {
                walk.announce(data, &mut edits);
            }
            return Ok(Found { width, height, frames: walk.frames.max(1), edits });
        }
        let chunk = Chunk::at(data, at, data.bytes())?;
        walk.judge(data, &chunk)?;
        if metadata == Metadata::Strip && !chunk.is_shown() {
            edits.push(walk.without(data, &chunk));
        }
        at = chunk.end;
    }
    Err(damaged("webp_chunks", Text::fixed("it has too many chunks", "数据块过多")))
}

#[derive(Debug)]
struct Chunk {
    kind: [u8; 4],
    start: usize,
    bytes: usize,
    /// With the padding to an even length.
    end: usize,
}

impl Chunk {
    fn at(data: &Encoded<'_>, start: usize, within: usize) -> Result<Self, Fault> {
        let kind = data.read(start).ok_or_else(truncated)?;
        let bytes = data.u32_le(start + 4).ok_or_else(truncated)? as usize;
        let end = start.saturating_add(HEAD_BYTES).saturating_add(bytes).saturating_add(bytes % 2);
        if end > within {
            return Err(truncated());
        }
        Ok(Self { kind, start, bytes, end })
    }

    const fn content(&self) -> usize {
        self.start + HEAD_BYTES
    }

    fn is_shown(&self) -> bool {
        matches!(&self.kind, b"VP8 " | b"VP8L" | b"VP8X" | b"ALPH" | b"ANIM" | b"ANMF" | b"ICCP")
    }
}

#[derive(Debug, Default)]
struct Walk {
    /// Of the extended format, with its flags.
    canvas: Option<(u32, u32, u8)>,
    image: Option<(u32, u32)>,
    frames: u32,
    oriented: bool,
}

impl Walk {
    fn judge(&mut self, data: &Encoded<'_>, chunk: &Chunk) -> Result<(), Fault> {
        let is_first = chunk.start == 12;
        if is_first != (self.canvas.is_none() && self.image.is_none()) {
            return Err(damaged(
                "webp_order",
                Text::fixed("it does not begin with its picture", "图片数据不在开头"),
            ));
        }
        match &chunk.kind {
            b"VP8X" if is_first && chunk.bytes == 10 => {
                let [flags, _, _, _, a, b, c, d, e, f] = data.read(chunk.content()).ok_or_else(truncated)?;
                let side = |low, middle, high| u32::from_le_bytes([low, middle, high, 0]) + 1;
                self.canvas = Some((side(a, b, c), side(d, e, f), flags));
                Ok(())
            }
            b"VP8 " | b"VP8L" if self.image.is_none() && !self.is_animated() => {
                self.image = Some(bitstream(data, chunk)?);
                Ok(())
            }
            b"ANMF" if self.is_animated() => self.frame(data, chunk),
            b"VP8X" | b"VP8 " | b"VP8L" | b"ANMF" => Err(damaged(
                "webp_twice",
                Text::fixed("it holds more pictures than it says", "包含的图片多于声明"),
            )),
            _ if is_first => Err(damaged(
                "webp_order",
                Text::fixed("it does not begin with its picture", "图片数据不在开头"),
            )),
            _ => Ok(()),
        }
    }

    fn is_animated(&self) -> bool {
        self.canvas.is_some_and(|(_, _, flags)| flags & ANIMATION_FLAG != 0)
    }

    fn frame(&mut self, data: &Encoded<'_>, chunk: &Chunk) -> Result<(), Fault> {
        const FRAME_HEAD_BYTES: usize = 16;
        let head: [u8; 12] = data.read(chunk.content()).ok_or_else(truncated)?;
        let field = |at: usize| u64::from(u32::from_le_bytes([head[at], head[at + 1], head[at + 2], 0]));
        let (x, y, width, height) = (field(0) * 2, field(3) * 2, field(6) + 1, field(9) + 1);
        let (canvas_width, canvas_height, _) = self.canvas.unwrap_or_default();
        let mut at = chunk.content() + FRAME_HEAD_BYTES;
        let mut size = None;
        for _ in 0..MOST_INNER_CHUNKS {
            if at >= chunk.end || size.is_some() {
                break;
            }
            let inner = Chunk::at(data, at, chunk.end)?;
            if matches!(&inner.kind, b"VP8 " | b"VP8L") {
                size = Some(bitstream(data, &inner)?);
            }
            at = inner.end;
        }
        let is_same = size.is_some_and(|(w, h)| (u64::from(w), u64::from(h)) == (width, height));
        let is_within = x + width <= u64::from(canvas_width) && y + height <= u64::from(canvas_height);
        if !is_same || !is_within {
            return Err(damaged(
                "frame_outside",
                Text::fixed("a frame lies outside of the picture", "某一帧超出画面"),
            ));
        }
        self.frames = self.frames.saturating_add(1);
        Ok(())
    }

    fn size(&self) -> Result<(u32, u32), Fault> {
        match (self.canvas, self.image) {
            (Some((width, height, _)), None) if self.frames > 0 => Ok((width, height)),
            (Some((width, height, _)), Some(image)) if image == (width, height) => Ok(image),
            (None, Some(image)) => Ok(image),
            (Some(_), Some(_)) => {
                Err(damaged("webp_sizes", Text::fixed("it says two different sizes", "两处声明的尺寸不一致")))
            }
            (_, None) => Err(damaged("webp_no_pixels", Text::fixed("it has no pixels", "没有像素数据"))),
        }
    }

    /// Takes a chunk out. What stays of `EXIF` is the orientation; an unknown chunk fills up to groups of three.
    fn without(&mut self, data: &Encoded<'_>, chunk: &Chunk) -> Edit {
        let removed = chunk.end - chunk.start;
        let orientation = match &chunk.kind {
            b"EXIF" if !self.oriented && self.canvas.is_some() => {
                let content = data.slice(chunk.content(), chunk.bytes.min(1 << 16)).unwrap_or_default();
                exif::orientation(content.strip_prefix(b"Exif\0\0").unwrap_or(&content))
            }
            _ => None,
        };
        // Lengths are even, so the filler is too: 4 stands for 1.
        let even = |filler: usize| if filler == 1 { 4 } else { filler };
        let with = match orientation {
            Some(orientation) => {
                self.oriented = true;
                let mut tiff = exif::minimal(orientation).to_vec();
                tiff.resize(tiff.len() + even(filler_bytes(removed, HEAD_BYTES + tiff.len())), 0);
                self::chunk(*b"EXIF", &tiff)
            }
            None if removed.is_multiple_of(3) => Vec::new(),
            None => self::chunk(*b"PADD", &[0; 4][..even(filler_bytes(removed, HEAD_BYTES))]),
        };
        Edit { start: chunk.start, end: chunk.end, with }
    }

    /// Sets size and flags to what is left.
    fn announce(&self, data: &Encoded<'_>, edits: &mut Vec<Edit>) {
        let Some(left) = edits.iter().try_fold(data.bytes(), |bytes, edit| {
            (bytes + edit.with.len()).checked_sub(edit.end - edit.start)
        }) else {
            return;
        };
        let mut first = Vec::new();
        if left != data.bytes() {
            let size = u32::try_from(left - HEAD_BYTES).unwrap_or(u32::MAX).to_le_bytes().to_vec();
            first.push(Edit { start: SIZE_AT, end: SIZE_AT + 4, with: size });
        }
        if let Some((_, _, flags)) = self.canvas {
            let exif = if self.oriented { EXIF_FLAG } else { 0 };
            let wanted = flags & !(XMP_FLAG | EXIF_FLAG) | exif;
            if wanted != flags {
                first.push(Edit { start: FLAGS_AT, end: FLAGS_AT + 1, with: vec![wanted] });
            }
        }
        edits.splice(0..0, first);
    }
}

/// Width and height as the decoder of the pixels reads them.
fn bitstream(data: &Encoded<'_>, chunk: &Chunk) -> Result<(u32, u32), Fault> {
    let wrong =
        || damaged("webp_bitstream", Text::fixed("its pixels have no valid head", "像素数据的头部不合法"));
    let size = if &chunk.kind == b"VP8 " {
        let [tag, _, _, a, b, c, wide, wider, high, higher] =
            data.read(chunk.content()).filter(|_| chunk.bytes >= 10).ok_or_else(truncated)?;
        if tag & 1 != 0 || [a, b, c] != [0x9d, 0x01, 0x2a] {
            return Err(wrong());
        }
        let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
        (side(wide, wider), side(high, higher))
    } else {
        let [mark, bits @ ..]: [u8; 5] =
            data.read(chunk.content()).filter(|_| chunk.bytes >= 5).ok_or_else(truncated)?;
        let bits = u32::from_le_bytes(bits);
        if mark != 0x2f || bits >> 29 != 0 {
            return Err(wrong());
        }
        ((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1)
    };
    if size.0 == 0 || size.1 == 0 {
        return Err(damaged("no_size", Text::fixed("a side has no length", "边长为零")));
    }
    Ok(size)
}

fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap_or(0);
    [&kind[..], &length.to_le_bytes(), content].concat()
}

fn damaged(rule: &'static str, what: Text) -> Fault {
    Fault::damaged(Kind::Webp, rule, what)
}

fn truncated() -> Fault {
    Fault::truncated(Kind::Webp)
}
