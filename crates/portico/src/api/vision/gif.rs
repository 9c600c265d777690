//! GIF: blocks up to the trailer (GIF89a).

use super::edit::{Edit, filler_bytes};
use super::encoded::{Encoded, Window};
use super::fault::Fault;
use super::kind::Kind;
use super::{Found, Metadata};
use crate::types::Text;

/// Frames and extensions: each that is taken out costs memory while the request lasts.
const MOST_BLOCKS: u32 = 32_768;
const EXTENSION: u8 = 0x21;
const IMAGE: u8 = 0x2c;
const TRAILER: u8 = 0x3b;
const GRAPHIC_CONTROL: u8 = 0xf9;
const APPLICATION: u8 = 0xff;
const COMMENT: u8 = 0xfe;

pub(super) fn inspect(data: &Encoded<'_>, metadata: Metadata) -> Result<Found, Fault> {
    let [wide, wider, high, higher, flags] = data.read(6).ok_or_else(truncated)?;
    let width = u32::from(u16::from_le_bytes([wide, wider]));
    let height = u32::from(u16::from_le_bytes([high, higher]));
    if width == 0 || height == 0 {
        return Err(damaged("no_size", Text::fixed("a side has no length", "边长为零")));
    }
    let mut window = Window::new(*data);
    let mut edits = Vec::new();
    let mut frames = 0_u32;
    let mut at = 13 + table_bytes(flags);
    for _ in 0..MOST_BLOCKS {
        match window.byte(at).ok_or_else(truncated)? {
            IMAGE => {
                at = frame(data, at, width, height).and_then(|blocks| end_of_blocks(&mut window, blocks))?;
                frames = frames.saturating_add(1);
            }
            EXTENSION => {
                let label = window.byte(at + 1).ok_or_else(truncated)?;
                let end = end_of_blocks(&mut window, at + 2)?;
                if metadata == Metadata::Strip && !is_shown(data, label, at) {
                    edits.push(without(at, end));
                }
                at = end;
            }
            TRAILER if frames == 0 => {
                return Err(damaged("gif_no_pixels", Text::fixed("it has no pixels", "没有像素数据")));
            }
            TRAILER => {
                if metadata == Metadata::Strip && at + 1 < data.bytes() {
                    edits.push(Edit { start: at + 1, end: data.bytes(), with: Vec::new() });
                }
                return Ok(Found { width, height, frames, edits });
            }
            _ => return Err(damaged("gif_block", Text::fixed("an unknown block", "未知的数据块"))),
        }
    }
    Err(damaged("gif_blocks", Text::fixed("it has too many blocks", "数据块过多")))
}

/// A frame lies within the screen: some readers would enlarge the picture for it. Gives the start of its pixels.
fn frame(data: &Encoded<'_>, at: usize, width: u32, height: u32) -> Result<usize, Fault> {
    let head: [u8; 9] = data.read(at + 1).ok_or_else(truncated)?;
    let field = |at: usize| u32::from(u16::from_le_bytes([head[at], head[at + 1]]));
    let (x, y, wide, high) = (field(0), field(2), field(4), field(6));
    if wide == 0 || high == 0 || x + wide > width || y + high > height {
        return Err(damaged(
            "frame_outside",
            Text::fixed("a frame lies outside of the picture", "某一帧超出画面"),
        ));
    }
    let codes = at + 10 + table_bytes(head[8]);
    match data.read(codes).ok_or_else(truncated)? {
        [1..=11] => Ok(codes + 1),
        _ => Err(damaged("gif_codes", Text::fixed("impossible codes", "编码参数不合法"))),
    }
}

/// Blocks of up to 255 bytes, each behind its length; a length of 0 ends them.
fn end_of_blocks(window: &mut Window<'_>, mut at: usize) -> Result<usize, Fault> {
    loop {
        match window.byte(at).ok_or_else(truncated)? {
            0 => return Ok(at + 1),
            length => at += 1 + usize::from(length),
        }
    }
}

const fn table_bytes(flags: u8) -> usize {
    if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) }
}

/// Timing, repetition and colour; not comments, text and what programs leave behind (XMP is among it).
fn is_shown(data: &Encoded<'_>, label: u8, at: usize) -> bool {
    let Some([length, name @ ..]): Option<[u8; 12]> = data.read(at + 2) else {
        return label == GRAPHIC_CONTROL;
    };
    match label {
        GRAPHIC_CONTROL => length == 4,
        APPLICATION => length == 11 && matches!(&name, b"NETSCAPE2.0" | b"ANIMEXTS1.0" | b"ICCRGBG1012"),
        _ => false,
    }
}

/// An empty comment has four bytes and can't fill: one of one or three zeros does.
fn without(start: usize, end: usize) -> Edit {
    let with: &[u8] = match filler_bytes(end - start, 0) {
        0 => &[],
        1 => &[EXTENSION, COMMENT, 3, 0, 0, 0, 0],
        _ => &[EXTENSION, COMMENT, 1, 0, 0],
    };
    Edit { start, end, with: with.to_vec() }
}

fn damaged(rule: &'static str, what: Text) -> Fault {
    Fault::damaged(Kind::Gif, rule, what)
}

fn truncated() -> Fault {
    Fault::truncated(Kind::Gif)
}
