//! What a file is by its name: content type, worth compressing, named after its content.
//!
//! `build.rs` includes this file, so it stands alone: the built-in page and a folder are judged by the same table.

/// A content type, and whether files of it shrink when compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) media: &'static str,
    pub(crate) compressible: bool,
}

/// The kind of a file by its extension. A closed table: what is not in it is bytes, which no browser runs.
pub(crate) fn kind(path: &str) -> Kind {
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map_or("", |(_, end)| end);
    let (media, compressible) = match extension.to_ascii_lowercase().as_str() {
        "html" | "htm" => ("text/html; charset=utf-8", true),
        "css" => ("text/css; charset=utf-8", true),
        "js" | "mjs" => ("text/javascript; charset=utf-8", true),
        "txt" | "log" => ("text/plain; charset=utf-8", true),
        "md" => ("text/markdown; charset=utf-8", true),
        "csv" => ("text/csv; charset=utf-8", true),
        "xml" => ("text/xml; charset=utf-8", true),
        "vtt" => ("text/vtt; charset=utf-8", true),
        "ics" => ("text/calendar; charset=utf-8", true),
        "json" | "map" => ("application/json", true),
        "webmanifest" => ("application/manifest+json", true),
        "rss" => ("application/rss+xml", true),
        "atom" => ("application/atom+xml", true),
        "wasm" => ("application/wasm", true),
        "pdf" => ("application/pdf", false),
        "zip" => ("application/zip", false),
        "gz" => ("application/gzip", false),
        "svg" => ("image/svg+xml", true),
        "ico" => ("image/x-icon", true),
        "bmp" => ("image/bmp", true),
        "png" => ("image/png", false),
        "jpg" | "jpeg" => ("image/jpeg", false),
        "gif" => ("image/gif", false),
        "webp" => ("image/webp", false),
        "avif" => ("image/avif", false),
        "ttf" => ("font/ttf", true),
        "otf" => ("font/otf", true),
        "woff" => ("font/woff", false),
        "woff2" => ("font/woff2", false),
        "mp3" => ("audio/mpeg", false),
        "m4a" => ("audio/mp4", false),
        "ogg" | "opus" => ("audio/ogg", false),
        "wav" => ("audio/wav", false),
        "flac" => ("audio/flac", false),
        "mp4" => ("video/mp4", false),
        "webm" => ("video/webm", false),
        _ => ("application/octet-stream", false),
    };
    Kind { media, compressible }
}

/// Where the UI build puts what its pages are made of: those of the chat page, and those that may be read before
/// anybody has said who he is.
#[allow(dead_code, reason = "asked by build.rs, which includes this file")]
pub(crate) const ASSET_FOLDERS: [&str; 2] = ["assets/", "account/assets/"];

/// Whether a file of the UI build is named after its content: `NAME-HASH.ext` in a folder of assets, as `ui/build.mjs`
/// writes them.
#[allow(dead_code, reason = "asked by build.rs, which includes this file")]
pub(crate) fn is_hashed_by_our_build(path: &str) -> bool {
    let name = ASSET_FOLDERS.into_iter().find_map(|folder| path.strip_prefix(folder)).unwrap_or_default();
    let stem = name.split_once('.').map_or("", |(stem, _)| stem);
    stem.rsplit_once('-')
        .is_some_and(|(_, hash)| hash.len() >= 8 && hash.bytes().all(|b| b.is_ascii_alphanumeric()))
}

/// Whether a foreign file's name ends in what bundlers write for a hash: `NAME-HASH.ext` or `NAME.HASH.ext`, with
/// eight or more lower-case hexadecimal digits, or exactly eight of base32.
///
/// An old file served for a year is worse than a question too many, so words, dates and version numbers must not
/// pass (`report-20240101.pdf`, `phone-GALAXY22.jpg`): letters and digits have to alternate at least twice. Of real
/// hashes about one in ten (hexadecimal) and one in three (base32) fail that too, and are merely revalidated.
#[allow(dead_code, reason = "build.rs includes this file and does not ask")]
pub(crate) fn is_hashed_by_a_bundler(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    let Some((stem, _)) = name.rsplit_once('.') else { return false };
    ['-', '.'].into_iter().filter_map(|mark| stem.rsplit_once(mark)).any(|(_, hash)| looks_like_a_hash(hash))
}

fn looks_like_a_hash(text: &str) -> bool {
    let hexadecimal = text.len() >= 8 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let base32 = text.len() == 8 && text.bytes().all(|b| matches!(b, b'A'..=b'Z' | b'2'..=b'7'));
    let changes =
        text.as_bytes().windows(2).filter(|w| w[0].is_ascii_digit() != w[1].is_ascii_digit()).count();
    (hexadecimal || base32) && changes >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_closed_and_text_says_its_charset() {
        assert_eq!(kind("a/b.HTML").media, "text/html; charset=utf-8");
        assert_eq!(kind("a.tar.gz").media, "application/gzip");
        for unknown in ["x", "x.exe", "x.php", "x.js.", "js", "a.js/b", "x.shtml", ""] {
            assert_eq!(kind(unknown).media, "application/octet-stream", "{unknown}");
        }
    }

    #[test]
    fn immutable_needs_a_hash_in_the_name() {
        for name in [
            "assets/chat-5JHU7LGN.js",
            "assets/chat-abcdefgh.css",
            "assets/x-0123abcd.svg",
            "account/assets/shared-5JHU7LGN.js",
        ] {
            assert!(is_hashed_by_our_build(name), "{name}");
        }
        for name in [
            "chat-5JHU7LGN.js",
            "assets/chat.js",
            "assets/chat-5JHU7L.js",
            "assets/chat-5JHU_7LG.js",
            "account/chat-5JHU7LGN.js",
            "account/assets/account.js",
            "other/assets/chat-5JHU7LGN.js",
            "chat.html",
        ] {
            assert!(!is_hashed_by_our_build(name), "{name}");
        }
        for name in [
            "a/chat-5JHU7LGN.js",
            "main.3f2a9c81.js",
            "x-0a1b2c3d4e5f.css",
            "app.3f2a9c8b1d.chunk-3f2a9c81.js",
        ] {
            assert!(is_hashed_by_a_bundler(name), "{name}");
        }
        for name in [
            "chat.js",
            "chat-deadbeef.js",
            "report-20240101.pdf",
            "report-20240101a.pdf",
            "report.20240101.pdf",
            "phone-IPHONE15.jpg",
            "phone-GALAXY22.jpg",
            "chat-component.js",
            "chat-qwen25vl8b.js",
            "chat-1a2b3c.js",
            "jquery-3.7.1.min.js",
            "3f2a9c81/index.html",
            "a-3f2a9c81",
            "3f2a9c81.js",
            "",
        ] {
            assert!(!is_hashed_by_a_bundler(name), "{name}");
        }
    }
}
