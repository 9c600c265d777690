//! What kind of file it is, by its first bytes and never by its name.

use super::encoded::Encoded;
use super::fault::Fault;
use crate::types::{Text, text};

/// The formats that are taken: every engine reads them, and none can name another file or run a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    Png,
    Jpeg,
    Webp,
    Gif,
}

impl Kind {
    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Kind::Png => "PNG",
            Kind::Jpeg => "JPEG",
            Kind::Webp => "WebP",
            Kind::Gif => "GIF",
        }
    }

    pub(crate) const fn media_type(self) -> &'static str {
        match self {
            Kind::Png => "image/png",
            Kind::Jpeg => "image/jpeg",
            Kind::Webp => "image/webp",
            Kind::Gif => "image/gif",
        }
    }

    pub(super) const fn url_head(self) -> &'static str {
        match self {
            Kind::Png => "data:image/png;base64,",
            Kind::Jpeg => "data:image/jpeg;base64,",
            Kind::Webp => "data:image/webp;base64,",
            Kind::Gif => "data:image/gif;base64,",
        }
    }

    /// By its media type in any case. `image/jpg` is what many programs write for JPEG.
    pub(crate) fn of_media_type(media_type: &str) -> Option<Self> {
        [Kind::Png, Kind::Jpeg, Kind::Webp, Kind::Gif]
            .into_iter()
            .find(|kind| media_type.eq_ignore_ascii_case(kind.media_type()))
            .or_else(|| media_type.eq_ignore_ascii_case("image/jpg").then_some(Kind::Jpeg))
    }
}

pub(super) fn sniff(data: &Encoded<'_>) -> Result<Kind, Fault> {
    // Enough for every mark below; what is shorter is no picture.
    let mut first = [0; 16];
    let known = data.bytes().min(first.len());
    data.read_into(0, &mut first[..known]);
    let is = |at: usize, mark: &[u8]| first[at..].starts_with(mark);
    if is(0, b"\x89PNG\r\n\x1a\n") {
        return Ok(Kind::Png);
    }
    if is(0, b"\xff\xd8\xff") {
        return Ok(Kind::Jpeg);
    }
    if is(0, b"RIFF") && is(8, b"WEBP") {
        return Ok(Kind::Webp);
    }
    if is(0, b"GIF87a") || is(0, b"GIF89a") {
        return Ok(Kind::Gif);
    }
    Err(foreign(first))
}

/// Says what the file seems to be, because "not accepted" alone helps nobody.
fn foreign(first: [u8; 16]) -> Fault {
    let is = |at: usize, mark: &[u8]| first[at..].starts_with(mark);
    let heif = [&b"heic"[..], b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"];
    let is_box = is(4, b"ftyp");
    if is_box && heif.iter().any(|brand| is(8, brand)) {
        return heic();
    }
    let name = if is_box && (is(8, b"avif") || is(8, b"avis")) {
        "AVIF"
    } else if is_box {
        "MP4"
    } else if is(0, b"II*\0") || is(0, b"MM\0*") || is(0, b"II+\0") || is(0, b"MM\0+") {
        "TIFF"
    } else if is(0, b"BM") {
        "BMP"
    } else if is(4, b"jP  \r\n") || is(0, b"\xff\x4f\xff\x51") {
        "JPEG 2000"
    } else if is(0, b"\xff\x0a") || is(4, b"JXL ") {
        "JPEG XL"
    } else if is(0, b"\0\0\x01\0") {
        "ICO"
    } else if is(0, b"%PDF") {
        "PDF"
    } else if is(0, b"8BPS") {
        "PSD"
    } else if is(0, b"<") || is(0, b"\xef\xbb\xbf<") {
        "SVG, HTML or XML"
    } else {
        return Fault::new(
            "no_image",
            text!(
                "This is not an image. Accepted are PNG, JPEG, WebP and GIF.",
                "这不是图片。可接受 PNG、JPEG、WebP 和 GIF。"
            ),
        );
    };
    unsupported(name)
}

pub(super) fn unsupported(name: &str) -> Fault {
    Fault::new(
        "format",
        text!(
            "Images of the kind {name} are not accepted. Save it as PNG, JPEG, WebP or GIF.",
            "不接受 {name} 格式的图片。请另存为 PNG、JPEG、WebP 或 GIF。"
        ),
    )
}

pub(super) fn heic() -> Fault {
    const SAYS: Text = Text::fixed(
        "HEIC images are not accepted. Save it as JPEG; phones can be set to take JPEG (iPhone: Settings, Camera, Formats, Most Compatible).",
        "不接受 HEIC 图片。请另存为 JPEG;手机可设置为拍摄 JPEG(iPhone:设置 → 相机 → 格式 → 兼容性最佳)。",
    );
    Fault::new("format", SAYS)
}
