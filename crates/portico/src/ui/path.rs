//! From the path as it stands in the request to a name below the root: decided once, before anything is opened.
//!
//! What could be read in two ways is not read at all: the answer is 404, never a repaired path. The kernel holds the
//! same border a second time (`folder`), so that neither of the two has to be perfect.

/// Longest path and longest segment that Linux itself would open, in bytes.
const MAX_PATH_BYTES: usize = 4095;
const MAX_SEGMENT_BYTES: usize = 255;

/// A checked path below a root. No segment of it is empty, begins with a dot, or holds a slash, a backslash or a
/// control character; the one exception is the folder `.well-known` at the top (RFC 8615).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PagePath {
    /// Decoded, without leading or trailing slash; empty for `/`.
    relative: String,
    /// The path ended in a slash: it names a folder.
    folder: bool,
}

/// Why a path is no path. For the log only; the client sees 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PathFault {
    #[error("the path does not begin with a slash")]
    NotRooted,
    #[error("the path or one of its segments is too long")]
    TooLong,
    #[error("a percent sign without two hexadecimal digits")]
    Percent,
    #[error("the decoded path is not UTF-8")]
    NotUtf8,
    #[error("a control character in the path")]
    Control,
    #[error("a backslash, an encoded slash, or a character that cannot stand in a path")]
    Separator,
    #[error("an empty segment")]
    Empty,
    #[error("a segment that begins with a dot")]
    Dot,
}

impl PagePath {
    /// Reads the path of a request target (no query). Percent signs are decoded exactly once.
    pub(super) fn parse(raw: &str) -> Result<Self, PathFault> {
        let rest = raw.strip_prefix('/').ok_or(PathFault::NotRooted)?;
        let decoded = String::from_utf8(decode(rest)?).map_err(|_| PathFault::NotUtf8)?;
        if decoded.len() > MAX_PATH_BYTES {
            return Err(PathFault::TooLong);
        }
        if decoded.chars().any(char::is_control) {
            return Err(PathFault::Control);
        }
        let (relative, folder) = match decoded.strip_suffix('/') {
            Some(shorter) => (shorter, true),
            None => (decoded.as_str(), decoded.is_empty()),
        };
        if relative.is_empty() {
            // `/` is the root; `//` would be an empty segment.
            return if decoded.is_empty() { Ok(Self::root()) } else { Err(PathFault::Empty) };
        }
        for (at, segment) in relative.split('/').enumerate() {
            check_segment(at, segment)?;
        }
        Ok(Self { relative: relative.to_owned(), folder })
    }

    fn root() -> Self {
        Self { relative: String::new(), folder: true }
    }

    pub(super) fn is_folder(&self) -> bool {
        self.folder
    }

    pub(super) fn is_root(&self) -> bool {
        self.relative.is_empty()
    }

    /// The name below the root of the file that this path asks for, `index` standing for a folder.
    pub(super) fn file(&self, index: &str) -> String {
        match (self.relative.as_str(), self.folder) {
            ("", _) => index.to_owned(),
            (folder, true) => format!("{folder}/{index}"),
            (file, false) => file.to_owned(),
        }
    }

    /// Whether this can be the path of a page of an application, which the index answers when no file does: nothing
    /// in `.well-known`, where programs ask, and no file extension.
    pub(super) fn may_be_page(&self) -> bool {
        let last = self.relative.rsplit('/').next().unwrap_or_default();
        !last.contains('.') && !self.relative.starts_with('.')
    }
}

fn check_segment(at: usize, segment: &str) -> Result<(), PathFault> {
    match segment {
        "" => Err(PathFault::Empty),
        ".well-known" if at == 0 => Ok(()),
        _ if segment.starts_with('.') => Err(PathFault::Dot),
        _ if segment.len() > MAX_SEGMENT_BYTES => Err(PathFault::TooLong),
        _ => Ok(()),
    }
}

/// Percent-decodes once. A separator that was encoded is a fault: `a%2fb` is one segment here and two elsewhere.
fn decode(raw: &str) -> Result<Vec<u8>, PathFault> {
    let mut bytes = raw.bytes();
    let mut decoded = Vec::with_capacity(raw.len());
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let (high, low) = (hex(bytes.next())?, hex(bytes.next())?);
                match high << 4 | low {
                    b'/' => return Err(PathFault::Separator),
                    other => other,
                }
            }
            // Not allowed in a path; whoever sends them hopes that somebody splits there.
            b'?' | b'#' => return Err(PathFault::Separator),
            plain => plain,
        };
        if byte == b'\\' {
            return Err(PathFault::Separator);
        }
        decoded.push(byte);
    }
    Ok(decoded)
}

fn hex(digit: Option<u8>) -> Result<u8, PathFault> {
    let value = digit.and_then(|byte| char::from(byte).to_digit(16)).ok_or(PathFault::Percent)?;
    Ok(value as u8)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn f50_paths_are_read_one_way_or_not_at_all() {
        use PathFault::*;
        for (raw, wanted) in [
            ("/", Ok("INDEX")),
            ("/chat.html", Ok("chat.html")),
            ("/assets/a-1.js", Ok("assets/a-1.js")),
            ("/docs/", Ok("docs/INDEX")),
            ("/docs", Ok("docs")),
            ("/a%20b", Ok("a b")),
            ("/%E4%BD%A0", Ok("你")),
            ("/你", Ok("你")),
            ("/a%3fb", Ok("a?b")),
            ("/a..b", Ok("a..b")),
            ("/a.", Ok("a.")),
            // Decoded once: this is a file whose name has a percent sign.
            ("/%252e%252e/x", Ok("%2e%2e/x")),
            ("/%252fetc", Ok("%2fetc")),
            ("/.well-known/security.txt", Ok(".well-known/security.txt")),
            ("/.well-known/acme/x", Ok(".well-known/acme/x")),
            ("", Err(NotRooted)),
            ("*", Err(NotRooted)),
            ("chat.html", Err(NotRooted)),
            ("@evil", Err(NotRooted)),
            ("http://evil/", Err(NotRooted)),
            ("/..", Err(Dot)),
            ("/../etc/passwd", Err(Dot)),
            ("/a/../b", Err(Dot)),
            ("/a/./b", Err(Dot)),
            ("/a/..", Err(Dot)),
            ("/a/.", Err(Dot)),
            ("/.", Err(Dot)),
            ("/./", Err(Dot)),
            ("/%2e%2e/etc/passwd", Err(Dot)),
            ("/.%2e/etc/passwd", Err(Dot)),
            ("/%2E%2E/%2E%2E/etc/passwd", Err(Dot)),
            ("/.env", Err(Dot)),
            ("/.git/config", Err(Dot)),
            ("/a/.htpasswd", Err(Dot)),
            ("/%2egit/config", Err(Dot)),
            ("/.../x", Err(Dot)),
            ("/a/.well-known/x", Err(Dot)),
            ("/.well-known/.env", Err(Dot)),
            ("/.well-known/../x", Err(Dot)),
            ("/.well-knownx", Err(Dot)),
            ("//", Err(Empty)),
            ("//etc/passwd", Err(Empty)),
            ("/a//b", Err(Empty)),
            ("/a//", Err(Empty)),
            ("/..%2f..%2fetc/passwd", Err(Separator)),
            ("/a%2fb", Err(Separator)),
            ("/a%2Fb", Err(Separator)),
            ("/%2f", Err(Separator)),
            ("/a%5cb", Err(Separator)),
            ("/..\\..\\x", Err(Separator)),
            ("/a?b", Err(Separator)),
            ("/a#b", Err(Separator)),
            ("/a%00", Err(Control)),
            ("/a%00.html", Err(Control)),
            ("/a%0d%0aSet-Cookie:x", Err(Control)),
            ("/a%7f", Err(Control)),
            ("/a\tb", Err(Control)),
            ("/a%c2%85b", Err(Control)),
            ("/%", Err(Percent)),
            ("/%2", Err(Percent)),
            ("/%zz", Err(Percent)),
            ("/%u002e", Err(Percent)),
            ("/%+1", Err(Percent)),
            ("/%2\u{ff11}", Err(Percent)),
            // Overlong forms of `/` and `.`, and other things that are not UTF-8.
            ("/%c0%af", Err(NotUtf8)),
            ("/%c0%ae%c0%ae/x", Err(NotUtf8)),
            ("/%e0%80%af", Err(NotUtf8)),
            ("/%ff", Err(NotUtf8)),
            ("/%ed%a0%80", Err(NotUtf8)),
        ] {
            let got = PagePath::parse(raw).map(|path| path.file("INDEX"));
            assert_eq!(got.as_deref().map_err(|fault| *fault), wanted, "{raw:?}");
        }
    }

    #[test]
    fn long_paths_are_refused_before_they_are_opened() {
        let segment = "a".repeat(255);
        assert!(PagePath::parse(&format!("/{segment}")).is_ok());
        assert_eq!(PagePath::parse(&format!("/{segment}a")), Err(PathFault::TooLong));
        assert_eq!(PagePath::parse(&"/a".repeat(2049)), Err(PathFault::TooLong));
    }

    #[test]
    fn pages_have_no_extension() {
        for (raw, wanted) in [
            ("/", true),
            ("/c/42", true),
            ("/c/42/", true),
            ("/v1.2/x", true),
            ("/c/42.png", false),
            ("/c/42.png/", false),
            ("/.well-known/change-password", false),
        ] {
            assert_eq!(PagePath::parse(raw).expect("a path").may_be_page(), wanted, "{raw}");
        }
    }

    proptest! {
        #[test]
        fn what_passes_is_plain(raw in "/([a-c./%\\\\0-9A-Ff\u{0}\u{e9}]|%2e|%2f|%5c|\\.\\.|well-known){0,12}") {
            if let Ok(path) = PagePath::parse(&raw) {
                let file = path.file("INDEX");
                prop_assert!(!file.starts_with('/') && !file.contains('\\') && !file.contains('\0'));
                for (at, segment) in file.split('/').enumerate() {
                    prop_assert!(!segment.is_empty());
                    prop_assert!(!segment.starts_with('.') || (at == 0 && segment == ".well-known"));
                }
            }
        }

        #[test]
        fn nothing_makes_it_panic(raw in any::<String>()) {
            let _ = PagePath::parse(&raw);
        }
    }
}
