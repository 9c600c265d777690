//! `data:image/png;base64,…`: one spelling, nothing beside it.
//!
//! RFC 2397 allows parameters, other encodings and a missing type, and every reader has its own idea of them. None of
//! it is needed for a picture, so none of it is taken.

use super::fault::Fault;
use super::kind::{self, Kind};
use crate::types::Text;

const LONGEST_HEAD_BYTES: usize = 64;

/// The declared kind, and where the base64 begins.
pub(super) fn split(url: &[u8]) -> Result<(Kind, usize), Fault> {
    let head = &url[..url.len().min(LONGEST_HEAD_BYTES)];
    // What comes after the comma is judged as base64, whose alphabet has no comma: there is exactly one.
    let comma = head.iter().position(|byte| *byte == b',').ok_or_else(grammar)?;
    let head = std::str::from_utf8(&head[..comma]).map_err(|_| grammar())?;
    let (scheme, rest) = head.split_once(':').ok_or_else(grammar)?;
    let (media_type, encoding) = rest.split_once(';').ok_or_else(grammar)?;
    if !scheme.eq_ignore_ascii_case("data") {
        return Err(grammar());
    }
    let kind = kind(media_type)?;
    if !encoding.eq_ignore_ascii_case("base64") {
        return Err(grammar());
    }
    Ok((kind, comma + 1))
}

pub(super) fn kind(media_type: &str) -> Result<Kind, Fault> {
    if let Some(kind) = Kind::of_media_type(media_type) {
        return Ok(kind);
    }
    let lower = media_type.to_ascii_lowercase();
    Err(match lower.as_str() {
        "image/heic" | "image/heif" => kind::heic(),
        "image/svg+xml" => kind::unsupported("SVG"),
        "image/avif" => kind::unsupported("AVIF"),
        "image/tiff" => kind::unsupported("TIFF"),
        "image/bmp" | "image/x-ms-bmp" => kind::unsupported("BMP"),
        "image/jp2" => kind::unsupported("JPEG 2000"),
        "application/pdf" => kind::unsupported("PDF"),
        lower if lower.starts_with("video/") => Fault::new(
            "media_type",
            Text::fixed(
                "Videos are not accepted. Send single pictures as PNG, JPEG, WebP or GIF.",
                "不接受视频。请以 PNG、JPEG、WebP 或 GIF 发送单张图片。",
            ),
        ),
        _ => Fault::new(
            "media_type",
            Text::fixed(
                "The type of the image must be image/png, image/jpeg, image/webp or image/gif.",
                "图片类型必须是 image/png、image/jpeg、image/webp 或 image/gif。",
            ),
        ),
    })
}

fn grammar() -> Fault {
    const SAYS: Text = Text::fixed(
        "An image must be written as data:image/png;base64,… (or jpeg, webp, gif), with no other parameters.",
        "图片必须写成 data:image/png;base64,…(或 jpeg、webp、gif),不能带其他参数。",
    );
    Fault::new("data_url", SAYS)
}
