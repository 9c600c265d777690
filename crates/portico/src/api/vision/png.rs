//! PNG and APNG: chunks from the signature to `IEND` (PNG specification, third edition).

use flate2::{Crc, Decompress, FlushDecompress, Status};

use super::edit::{Edit, filler_bytes};
use super::encoded::Encoded;
use super::exif;
use super::fault::Fault;
use super::kind::Kind;
use super::{Found, Metadata};
use crate::types::Text;

/// Length, type and sum of a chunk.
const FRAME_BYTES: usize = 12;
/// A file of 20 MB in pieces of 8 KB has 2,500.
const MOST_CHUNKS: u32 = 32_768;
/// What Pillow unpacks of a profile or a text, here for all of them together; a few bytes can claim to hold gigabytes.
const LARGEST_UNPACKED_BYTES: u64 = 1 << 20;
const MOST_PACKED: u32 = 64;
/// A profile that is packed into more than this does not unpack into less than the above.
const LARGEST_PACKED_BYTES: usize = 1 << 20;
/// Chunks that say how the pixels are to be seen, and nothing of where they come from.
const SHOWN: [&[u8; 4]; 14] = [
    b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"pHYs", b"hIST", b"cICP", b"mDCV",
    b"cLLI", b"acTL", b"fcTL",
];

pub(super) fn inspect(data: &Encoded<'_>, metadata: Metadata) -> Result<Found, Fault> {
    let (width, height) = header(data)?;
    let mut walk = Walk { width, height, ..Walk::default() };
    let mut edits = Vec::new();
    let mut at = 8 + FRAME_BYTES + 13;
    for _ in 0..MOST_CHUNKS {
        let chunk = Chunk::at(data, at)?;
        walk.judge(data, &chunk)?;
        if metadata == Metadata::Strip && !chunk.is_shown() {
            edits.push(walk.without(data, &chunk));
        }
        at = chunk.end;
        if &chunk.kind == b"IEND" {
            if metadata == Metadata::Strip && at < data.bytes() {
                edits.push(Edit { start: at, end: data.bytes(), with: Vec::new() });
            }
            let frames = walk.frames()?;
            return Ok(Found { width, height, frames, edits });
        }
    }
    Err(damaged("png_chunks", Text::fixed("it has too many chunks", "数据块过多")))
}

/// `IHDR` comes first and its sum is right: size and kind of pixels are what every reader reads.
fn header(data: &Encoded<'_>) -> Result<(u32, u32), Fault> {
    let head: [u8; 25] = data.read(8).ok_or_else(truncated)?;
    let [length @ .., _, _, _, _] = *head.first_chunk::<8>().unwrap_or(&[0; 8]);
    let fields = &head[4..21];
    if length != [0, 0, 0, 13] || !fields.starts_with(b"IHDR") {
        return Err(damaged("png_header", Text::fixed("it does not begin with its header", "文件头缺失")));
    }
    let sum = u32::from_be_bytes([head[21], head[22], head[23], head[24]]);
    if sum != crc(fields) {
        return Err(damaged("png_header", Text::fixed("the sum of its header is wrong", "文件头校验和错误")));
    }
    let side = |at: usize| u32::from_be_bytes([fields[at], fields[at + 1], fields[at + 2], fields[at + 3]]);
    let (width, height) = (side(4), side(8));
    let is_pixel_kind = matches!(
        (fields[13], fields[12]),
        (0, 1 | 2 | 4 | 8 | 16) | (3, 1 | 2 | 4 | 8) | (2 | 4 | 6, 8 | 16)
    );
    if !is_pixel_kind || fields[14] != 0 || fields[15] != 0 || fields[16] > 1 {
        return Err(damaged(
            "png_header",
            Text::fixed("its header has impossible values", "文件头的值不合法"),
        ));
    }
    if width == 0 || height == 0 || width.max(height) > i32::MAX as u32 {
        return Err(damaged("no_size", Text::fixed("a side has no length", "边长为零")));
    }
    Ok((width, height))
}

#[derive(Debug)]
struct Chunk {
    kind: [u8; 4],
    start: usize,
    /// Of the content.
    bytes: usize,
    end: usize,
}

impl Chunk {
    fn at(data: &Encoded<'_>, start: usize) -> Result<Self, Fault> {
        let head: [u8; 8] = data.read(start).ok_or_else(truncated)?;
        let [a, b, c, d, kind @ ..] = head;
        let bytes = u32::from_be_bytes([a, b, c, d]) as usize;
        let end = start.saturating_add(FRAME_BYTES).saturating_add(bytes);
        if !kind.iter().all(u8::is_ascii_alphabetic) {
            return Err(damaged("png_chunk", Text::fixed("a chunk has no type", "数据块缺少类型")));
        }
        if end > data.bytes() {
            return Err(truncated());
        }
        Ok(Self { kind, start, bytes, end })
    }

    /// Readers must understand it.
    const fn is_critical(&self) -> bool {
        self.kind[0].is_ascii_uppercase()
    }

    fn is_shown(&self) -> bool {
        self.is_critical() || &self.kind == b"fdAT" || SHOWN.contains(&&self.kind)
    }

    fn content(&self) -> usize {
        self.start + 8
    }
}

/// What was seen so far.
#[derive(Debug, Default)]
struct Walk {
    width: u32,
    height: u32,
    has_palette: bool,
    has_profile: bool,
    has_pixels: bool,
    pixels_ended: bool,
    announced_frames: Option<u32>,
    frames: u32,
    /// Profiles and texts so far, and what they unpack to.
    packed: u32,
    unpacked_bytes: u64,
    /// The orientation was kept; once is enough.
    oriented: bool,
}

impl Walk {
    fn judge(&mut self, data: &Encoded<'_>, chunk: &Chunk) -> Result<(), Fault> {
        self.pixels_ended |= self.has_pixels && &chunk.kind != b"IDAT";
        let twice = |seen: bool| {
            if seen {
                return Err(damaged(
                    "png_twice",
                    Text::fixed(
                        "a part that may be there once is there twice",
                        "只能出现一次的部分出现了两次",
                    ),
                ));
            }
            Ok(())
        };
        match &chunk.kind {
            b"IDAT" if self.pixels_ended => {
                Err(damaged("png_order", Text::fixed("its pixels are not in one piece", "像素数据不连续")))
            }
            b"IDAT" => {
                self.has_pixels = true;
                Ok(())
            }
            b"PLTE" => {
                twice(self.has_palette || self.has_pixels)?;
                self.has_palette = true;
                Ok(())
            }
            b"IHDR" => twice(true),
            b"IEND" if !self.has_pixels => {
                Err(damaged("png_no_pixels", Text::fixed("it has no pixels", "没有像素数据")))
            }
            b"iCCP" => {
                twice(self.has_profile)?;
                self.has_profile = true;
                self.packed(data, chunk)
            }
            b"zTXt" => self.packed(data, chunk),
            b"iTXt" => self.international(data, chunk),
            b"acTL" => {
                twice(self.announced_frames.is_some() || self.has_pixels)?;
                self.announced_frames = Some(data.u32_be(chunk.content()).ok_or_else(truncated)?);
                Ok(())
            }
            b"fcTL" => self.frame(data, chunk),
            b"IEND" => Ok(()),
            _ if chunk.is_critical() => {
                Err(damaged("png_critical", Text::fixed("it needs an unknown extension", "需要未知的扩展")))
            }
            _ => Ok(()),
        }
    }

    /// A frame lies within the canvas (APNG).
    fn frame(&mut self, data: &Encoded<'_>, chunk: &Chunk) -> Result<(), Fault> {
        let field = |index: usize| data.u32_be(chunk.content() + index * 4).map(u64::from);
        let fields = (field(1), field(2), field(3), field(4));
        let (Some(width), Some(height), Some(x), Some(y)) = fields else { return Err(truncated()) };
        let is_within = x + width <= u64::from(self.width) && y + height <= u64::from(self.height);
        if chunk.bytes != 26 || width == 0 || height == 0 || !is_within {
            return Err(damaged(
                "frame_outside",
                Text::fixed("a frame lies outside of the picture", "某一帧超出画面"),
            ));
        }
        self.frames = self.frames.saturating_add(1);
        Ok(())
    }

    fn frames(&self) -> Result<u32, Fault> {
        match self.announced_frames {
            Some(announced) if announced != self.frames || announced == 0 => Err(damaged(
                "frame_count",
                Text::fixed("it has not as many frames as it says", "帧数与声明不符"),
            )),
            _ => Ok(self.frames.max(1)),
        }
    }

    /// A name and its end, the method, then zlib data.
    fn packed(&mut self, data: &Encoded<'_>, chunk: &Chunk) -> Result<(), Fault> {
        let name = data.slice(chunk.content(), chunk.bytes.min(80)).unwrap_or_default();
        match name.iter().position(|byte| *byte == 0) {
            Some(end) => self.unpacks(data, chunk, end + 2),
            None => Err(damaged(
                "png_text",
                Text::fixed("a text or profile has no name", "文本或配置文件缺少名称"),
            )),
        }
    }

    /// Keyword, two bytes that say whether and how the text is packed, language, translated keyword, text.
    fn international(&mut self, data: &Encoded<'_>, chunk: &Chunk) -> Result<(), Fault> {
        let head = data.slice(chunk.content(), chunk.bytes.min(1024)).unwrap_or_default();
        let end = |from: usize| {
            let rest = head.get(from..)?;
            rest.iter().position(|byte| *byte == 0).map(|end| from + end)
        };
        let Some(keyword) = end(0).filter(|keyword| head.get(keyword + 1) == Some(&1)) else { return Ok(()) };
        match end(keyword + 3).and_then(|language| end(language + 1)) {
            Some(translated) => self.unpacks(data, chunk, translated + 1),
            None => {
                Err(damaged("png_text", Text::fixed("a text has no end of its head", "文本块的头部不完整")))
            }
        }
    }

    /// Unpacks without keeping, to see how much it would be.
    fn unpacks(&mut self, data: &Encoded<'_>, chunk: &Chunk, skip: usize) -> Result<(), Fault> {
        self.packed += 1;
        let bytes = chunk.bytes.saturating_sub(skip);
        if bytes > LARGEST_PACKED_BYTES || self.packed > MOST_PACKED {
            return Err(bomb());
        }
        let packed = data.slice(chunk.content() + skip, bytes).ok_or_else(truncated)?;
        let mut reader = Decompress::new(true);
        let mut scratch = [0; 16 * 1024];
        loop {
            let read = usize::try_from(reader.total_in()).unwrap_or(usize::MAX);
            let rest = packed.get(read..).unwrap_or_default();
            let before = reader.total_out();
            // What is no zlib data is ignored by readers, and can't be a bomb either.
            let status = reader.decompress(rest, &mut scratch, FlushDecompress::None);
            let made = reader.total_out() - before;
            self.unpacked_bytes += made;
            if self.unpacked_bytes > LARGEST_UNPACKED_BYTES {
                return Err(bomb());
            }
            if made == 0 || !matches!(status, Ok(Status::Ok)) {
                return Ok(());
            }
        }
    }

    /// Takes a chunk out. What stays of `eXIf` is the orientation; an empty private chunk fills up to groups of three.
    fn without(&mut self, data: &Encoded<'_>, chunk: &Chunk) -> Edit {
        let removed = chunk.end - chunk.start;
        let orientation = match &chunk.kind {
            b"eXIf" if !self.oriented => {
                data.slice(chunk.content(), chunk.bytes).and_then(|tiff| exif::orientation(&tiff))
            }
            _ => None,
        };
        let with = match orientation {
            Some(orientation) => {
                self.oriented = true;
                let mut tiff = exif::minimal(orientation).to_vec();
                tiff.resize(tiff.len() + filler_bytes(removed, FRAME_BYTES + tiff.len()), 0);
                self::chunk(*b"eXIf", &tiff)
            }
            None => match filler_bytes(removed, 0) {
                0 => Vec::new(),
                filler => self::chunk(*b"paDd", &[0; 2][..filler]),
            },
        };
        Edit { start: chunk.start, end: chunk.end, with }
    }
}

fn bomb() -> Fault {
    let what = Text::fixed(
        "texts and profiles in it unpack to more than 1 MiB",
        "其中的文本或配置文件解压后超过 1 MiB",
    );
    damaged("png_bomb", what)
}

fn chunk(kind: [u8; 4], content: &[u8]) -> Vec<u8> {
    let mut chunk = u32::try_from(content.len()).unwrap_or(0).to_be_bytes().to_vec();
    chunk.extend_from_slice(&kind);
    chunk.extend_from_slice(content);
    let sum = crc(&chunk[4..]);
    chunk.extend_from_slice(&sum.to_be_bytes());
    chunk
}

fn crc(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

fn damaged(rule: &'static str, what: Text) -> Fault {
    Fault::damaged(Kind::Png, rule, what)
}

fn truncated() -> Fault {
    Fault::truncated(Kind::Png)
}
