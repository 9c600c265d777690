//! JPEG: segments and scans from `SOI` to the first `EOI` (ITU T.81).
//!
//! Scans are read to their end, because only there the file says that it is whole, because a second header may stand
//! behind the first scan, and because phones put further pictures behind the end, each with a place and a time of its own.

use memchr::memchr_iter;

use super::edit::{Edit, filler_bytes};
use super::encoded::{Encoded, Window};
use super::exif;
use super::fault::Fault;
use super::kind::Kind;
use super::{Found, Metadata};
use crate::types::Text;

/// Each scan of a progressive picture is one pass over all of it. Usual are 10.
const MOST_SCANS: u32 = 100;
const MOST_SEGMENTS: u32 = 4096;
const EXIF: &[u8] = b"Exif\0\0";

const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const SOS: u8 = 0xda;

pub(super) fn inspect(data: &Encoded<'_>, metadata: Metadata) -> Result<Found, Fault> {
    let mut walk = Walk { window: Window::new(*data), size: None, scans: 0, oriented: false };
    let mut edits = Vec::new();
    let mut at = 2;
    for _ in 0..MOST_SEGMENTS {
        let segment = walk.segment(data, at)?;
        match segment.marker {
            EOI => {
                if metadata == Metadata::Strip && segment.end < data.bytes() {
                    edits.push(Edit { start: segment.end, end: data.bytes(), with: Vec::new() });
                }
                let Some((width, height)) = walk.size.filter(|_| walk.scans > 0) else {
                    return Err(damaged("jpeg_no_scan", Text::fixed("it has no pixels", "没有像素数据")));
                };
                return Ok(Found { width, height, frames: 1, edits });
            }
            SOS => at = walk.scan(&segment)?,
            0xe0..=0xef | 0xfe => {
                if metadata == Metadata::Strip {
                    edits.extend(walk.without(data, &segment));
                }
                at = segment.end;
            }
            marker => {
                walk.judge(data, marker, &segment)?;
                at = segment.end;
            }
        }
    }
    Err(damaged("jpeg_segments", Text::fixed("it has too many segments", "数据段过多")))
}

struct Walk<'t> {
    window: Window<'t>,
    size: Option<(u32, u32)>,
    scans: u32,
    /// The orientation was kept; once is enough.
    oriented: bool,
}

/// `start` is its 0xFF, `content` what follows the length.
struct Segment {
    marker: u8,
    start: usize,
    content: usize,
    end: usize,
}

impl Walk<'_> {
    fn segment(&mut self, data: &Encoded<'_>, at: usize) -> Result<Segment, Fault> {
        let mut start = at;
        if self.window.byte(start).ok_or_else(truncated)? != 0xff {
            return Err(damaged(
                "jpeg_junk",
                Text::fixed("there is something between its segments", "数据段之间有多余内容"),
            ));
        }
        // Any number of 0xFF may stand before a marker.
        let marker = loop {
            match self.window.byte(start + 1).ok_or_else(truncated)? {
                0xff => start += 1,
                marker => break marker,
            }
        };
        match marker {
            EOI => return Ok(Segment { marker, start, content: start + 2, end: start + 2 }),
            SOI => {
                return Err(damaged(
                    "jpeg_twice",
                    Text::fixed("a second picture begins in the middle of it", "中间又开始了另一张图片"),
                ));
            }
            0x00..=0xbf | 0xd0..=0xd7 => {
                return Err(damaged("jpeg_marker", Text::fixed("an unknown segment", "未知的数据段")));
            }
            _ => {}
        }
        let length = usize::from(data.u16_be(start + 2).ok_or_else(truncated)?);
        let end = start + 2 + length;
        if length < 2 {
            return Err(damaged(
                "jpeg_length",
                Text::fixed("a segment is shorter than its head", "数据段长度不合法"),
            ));
        }
        if end > data.bytes() {
            return Err(truncated());
        }
        Ok(Segment { marker, start, content: start + 4, end })
    }

    fn judge(&mut self, data: &Encoded<'_>, marker: u8, segment: &Segment) -> Result<(), Fault> {
        match marker {
            // Baseline, extended and progressive, by Huffman's code.
            0xc0..=0xc2 => self.frame(data, segment),
            0xc4 | 0xdb | 0xdd => Ok(()),
            0xc3 | 0xc5..=0xc7 | 0xcb | 0xcd..=0xcf | 0xde | 0xdf | 0xf7 | 0xf8 => {
                Err(unusual("jpeg_lossless", Text::fixed("lossless or hierarchical", "无损或分层编码")))
            }
            0xc9 | 0xca | 0xcc => {
                Err(unusual("jpeg_arithmetic", Text::fixed("arithmetic coding", "算术编码")))
            }
            // Its height would be told after its pixels.
            0xdc => Err(unusual("jpeg_height", Text::fixed("a height that is told late", "高度后置"))),
            _ => Err(damaged("jpeg_marker", Text::fixed("an unknown segment", "未知的数据段"))),
        }
    }

    fn frame(&mut self, data: &Encoded<'_>, segment: &Segment) -> Result<(), Fault> {
        if self.size.is_some() || self.scans > 0 {
            return Err(damaged("jpeg_frames", Text::fixed("it says its size twice", "两次声明尺寸")));
        }
        let [precision, high, low, wide, narrow, components] =
            data.read(segment.content).ok_or_else(truncated)?;
        let height = u32::from(u16::from_be_bytes([high, low]));
        let width = u32::from(u16::from_be_bytes([wide, narrow]));
        if precision != 8 {
            return Err(unusual(
                "jpeg_precision",
                Text::fixed("more than 8 bits a channel", "每通道超过 8 位"),
            ));
        }
        if width == 0 || height == 0 {
            return Err(damaged("no_size", Text::fixed("a side has no length", "边长为零")));
        }
        if !matches!(components, 1 | 3 | 4)
            || segment.end - segment.content != 6 + 3 * usize::from(components)
        {
            return Err(damaged(
                "jpeg_components",
                Text::fixed("an impossible number of channels", "通道数不合法"),
            ));
        }
        for component in 0..usize::from(components) {
            let [sampling] = data.read(segment.content + 7 + 3 * component).ok_or_else(truncated)?;
            if !matches!((sampling >> 4, sampling & 15), (1..=4, 1..=4)) {
                return Err(damaged("jpeg_sampling", Text::fixed("impossible sampling", "采样参数不合法")));
            }
        }
        self.size = Some((width, height));
        Ok(())
    }

    /// To the marker that ends the scan: its place.
    fn scan(&mut self, segment: &Segment) -> Result<usize, Fault> {
        if self.size.is_none() {
            return Err(damaged(
                "jpeg_order",
                Text::fixed("its pixels come before its size", "像素先于尺寸"),
            ));
        }
        self.scans += 1;
        if self.scans > MOST_SCANS {
            return Err(unusual("jpeg_scans", Text::fixed("more than 100 passes", "扫描超过 100 遍")));
        }
        let mut at = segment.end;
        loop {
            let block = self.window.from(at);
            // The byte behind an 0xFF says what it is, so the last of a block is looked at with the next block.
            let Some(searched) = block.len().checked_sub(1).filter(|bytes| *bytes > 0) else {
                return Err(truncated());
            };
            let found = has_marker(block).then(|| {
                memchr_iter(0xff, &block[..searched]).find(|found| is_marker(0xff, block[found + 1]))
            });
            match found.flatten() {
                Some(found) => return Ok(at + found),
                None => at += searched,
            }
        }
    }

    /// What a segment becomes. Colour stays: JFIF without its thumbnail, profiles, Adobe's note on the channels.
    fn without(&mut self, data: &Encoded<'_>, segment: &Segment) -> Option<Edit> {
        let length = segment.end - segment.content;
        let begins = |mark: &[u8]| {
            let mut head = [0; 16];
            let head = &mut head[..mark.len()];
            mark.len() <= length && data.read_into(segment.content, head).is_some() && head == mark
        };
        let kept = match segment.marker {
            0xe0 if begins(b"JFIF\0") && length >= 14 => {
                let mut fields: [u8; 14] = data.read(segment.content)?;
                if length == 14 && fields[12..] == [0, 0] {
                    return None;
                }
                fields[12..].fill(0);
                segment_of(0xe0, &fields)
            }
            0xe2 if begins(b"ICC_PROFILE\0") => return None,
            0xee if begins(b"Adobe") && length == 12 => return None,
            0xe1 if !self.oriented && begins(EXIF) => {
                let tiff = data.slice(segment.content + EXIF.len(), length - EXIF.len())?;
                match exif::orientation(&tiff) {
                    Some(orientation) => {
                        self.oriented = true;
                        segment_of(0xe1, &[EXIF, &exif::minimal(orientation)].concat())
                    }
                    None => Vec::new(),
                }
            }
            _ => Vec::new(),
        };
        let removed = segment.end - segment.start;
        // Fill bytes before the next marker are part of the format, so no empty segment has to be left behind.
        let mut with = kept;
        with.resize(with.len() + filler_bytes(removed, with.len()), 0xff);
        Some(Edit { start: segment.start, end: segment.end, with })
    }
}

/// Within a scan 0xFF is followed by 0 where it is a pixel's, by the number of a restart, or by another that fills.
const fn is_marker(first: u8, second: u8) -> bool {
    // Without branches, so that the compiler looks at many at once.
    (first == 0xff) & (second != 0) & (second != 0xff) & (second & 0xf8 != 0xd0)
}

/// Nearly every block of a scan is without one, and in every one there are dozens of 0xFF.
fn has_marker(block: &[u8]) -> bool {
    let next = block.get(1..).unwrap_or_default();
    block.iter().zip(next).fold(0, |found, (first, second)| found | u8::from(is_marker(*first, *second))) != 0
}

fn segment_of(marker: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len() + 2).unwrap_or(u16::MAX);
    [&[0xff, marker][..], &length.to_be_bytes(), content].concat()
}

fn damaged(rule: &'static str, what: Text) -> Fault {
    Fault::damaged(Kind::Jpeg, rule, what)
}

fn unusual(rule: &'static str, what: Text) -> Fault {
    Fault::unusual(Kind::Jpeg, rule, what)
}

fn truncated() -> Fault {
    Fault::truncated(Kind::Jpeg)
}
