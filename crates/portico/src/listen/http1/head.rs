//! The head of a request, judged line by line as it arrives, more strictly than HTTP asks for: where two readers could
//! come to two readings, there is none. Pure.
//!
//! Nothing of a head is handed on before all of it was judged. What is refused here and why stands in
//! `docs/protocol.md`.

use memchr::memchr;

use super::fault::Fault;
use crate::config::Limits;
use crate::reason::Reason;

/// No method of HTTP or of WebDAV is longer than 17.
const LONGEST_METHOD_BYTES: usize = 24;
/// `http::Uri` can't hold longer targets, whatever the configuration says.
const LONGEST_TARGET_BYTES: usize = u16::MAX as usize - 1;
const VERSION_BYTES: usize = 8;
/// Nineteen digits always fit an `u64`.
const LONGEST_LENGTH_DIGITS: usize = 19;

/// What one head may hold. Of the configuration that was in force when the connection began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    header_bytes: usize,
    header_count: u32,
    target_bytes: usize,
}

/// How long the body behind a head is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    None,
    Length(u64),
    Chunked,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Its end has not arrived; nothing so far is wrong.
    Unfinished,
    Whole {
        head_bytes: usize,
        framing: Framing,
    },
}

/// One head, as far as it has been judged.
#[derive(Debug, Default)]
pub(crate) struct Head {
    /// Where the first line begins that is not yet whole.
    line_start: usize,
    seen_request_line: bool,
    skipped_empty_line: bool,
    version: Version,
    method: Method,
    field_bytes: usize,
    field_count: u32,
    has_host: bool,
    length: Option<u64>,
    is_chunked: bool,
    has_expect: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    #[default]
    Http11,
}

/// All that the framing needs to know of a method.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Method {
    /// Defines no meaning for content: `GET`, `HEAD`, `DELETE`, `OPTIONS`, `TRACE`, `CONNECT`.
    WithoutContent,
    #[default]
    Other,
}

impl Bounds {
    pub(crate) fn new(limits: &Limits) -> Self {
        let Limits { header_bytes, header_count, target_bytes, .. } = *limits;
        Self {
            header_bytes: header_bytes as usize,
            header_count,
            target_bytes: (target_bytes as usize).min(LONGEST_TARGET_BYTES),
        }
    }
}

impl Head {
    /// Judges what has arrived since the last time. `bytes` is all of the head so far, and perhaps what is behind it.
    pub(crate) fn judge(&mut self, bytes: &[u8], bounds: Bounds) -> Result<Verdict, Fault> {
        loop {
            let rest = &bytes[self.line_start..];
            let Some(line_feed) = memchr(b'\n', rest) else {
                self.judge_unfinished(rest, bounds)?;
                return Ok(Verdict::Unfinished);
            };
            let Some(line) = rest[..line_feed].strip_suffix(b"\r") else {
                return Err(Fault::malformed("a line of the head ends with a bare line feed"));
            };
            self.line_start += line_feed + 1;
            // One pass over all bytes first: it is vectorised, and every rule below may rely on it.
            no_controls(line)?;
            if !self.seen_request_line {
                self.begin(line, bounds)?;
            } else if line.is_empty() {
                let framing = self.finish()?;
                return Ok(Verdict::Whole { head_bytes: self.line_start, framing });
            } else {
                self.field(line, bounds)?;
            }
        }
    }

    /// A line that has not ended: what is wrong already, or too long already, need not be waited for.
    fn judge_unfinished(&self, line: &[u8], bounds: Bounds) -> Result<(), Fault> {
        no_controls(line.strip_suffix(b"\r").unwrap_or(line))?;
        if self.seen_request_line {
            return self.within(self.field_bytes + line.len(), bounds);
        }
        match memchr(b' ', &line[..line.len().min(LONGEST_METHOD_BYTES + 1)]) {
            Some(method_end) => {
                let target = &line[method_end + 1..];
                let target_bytes = memchr(b' ', target).unwrap_or(target.len());
                if target_bytes > bounds.target_bytes {
                    return Err(Fault::of(
                        Reason::TargetTooLong,
                        "the target is longer than limits.target_bytes",
                    ));
                }
                if target.len() > target_bytes + 1 + VERSION_BYTES + 1 {
                    return Err(Fault::malformed(REQUEST_LINE));
                }
                Ok(())
            }
            None if line.len() > LONGEST_METHOD_BYTES => Err(Fault::malformed(METHOD)),
            None => Ok(()),
        }
    }

    fn begin(&mut self, line: &[u8], bounds: Bounds) -> Result<(), Fault> {
        // RFC 9112 section 2.2 asks for one: some clients send one behind a body.
        if line.is_empty() && !self.skipped_empty_line {
            self.skipped_empty_line = true;
            return Ok(());
        }
        self.seen_request_line = true;
        self.request_line(line, bounds)
    }

    /// `METHOD SP /target SP HTTP/1.x` and nothing else (RFC 9112 section 3).
    fn request_line(&mut self, line: &[u8], bounds: Bounds) -> Result<(), Fault> {
        let method_end = memchr(b' ', &line[..line.len().min(LONGEST_METHOD_BYTES + 1)]);
        let Some((method, rest)) = method_end.map(|end| (&line[..end], &line[end + 1..])) else {
            return Err(Fault::malformed(METHOD));
        };
        if method.is_empty() || classes(method) & NO_TOKEN != 0 {
            return Err(Fault::malformed(METHOD));
        }
        let Some((target, version)) = rest.split_last_chunk::<VERSION_BYTES>() else {
            return Err(Fault::malformed(REQUEST_LINE));
        };
        self.version = match version {
            b"HTTP/1.1" => Version::Http11,
            b"HTTP/1.0" => Version::Http10,
            _ => return Err(Fault::malformed("the version is neither HTTP/1.1 nor HTTP/1.0")),
        };
        let Some(target) = target.strip_suffix(b" ") else {
            return Err(Fault::malformed(REQUEST_LINE));
        };
        if target.len() > bounds.target_bytes {
            return Err(Fault::of(Reason::TargetTooLong, "the target is longer than limits.target_bytes"));
        }
        // Absolute form names a second host beside Host, authority form asks for a tunnel, and what begins with
        // anything else is read as part of the host by whoever joins the two (CVE-2026-54282).
        if target.first() != Some(&b'/') {
            return Err(Fault::malformed("the target is not in origin form"));
        }
        let query_start = memchr(b'?', target).unwrap_or(target.len());
        if classes(&target[..query_start]) & NO_PATH != 0 || classes(&target[query_start..]) & NO_QUERY != 0 {
            return Err(Fault::malformed("the target holds a byte that no target may hold"));
        }
        self.method = match method {
            b"GET" | b"HEAD" | b"DELETE" | b"OPTIONS" | b"TRACE" | b"CONNECT" => Method::WithoutContent,
            _ => Method::Other,
        };
        Ok(())
    }

    /// `name: value` (RFC 9112 section 5), and the rules of the few fields that say how a request is to be read.
    fn field(&mut self, line: &[u8], bounds: Bounds) -> Result<(), Fault> {
        self.field_bytes += line.len() + 2;
        self.field_count += 1;
        self.within(self.field_bytes, bounds)?;
        if self.field_count > bounds.header_count {
            return Err(Fault::of(Reason::HeadersTooLarge, "more fields than limits.header_count"));
        }
        if matches!(line.first(), Some(b' ' | b'\t')) {
            return Err(Fault::malformed("a field is folded over two lines"));
        }
        let Some(colon) = memchr(b':', line) else {
            return Err(Fault::malformed("a field has no colon"));
        };
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        let class = classes(name);
        if name.is_empty() || class & NO_TOKEN != 0 {
            return Err(Fault::malformed("a field's name is not a token"));
        }
        if class & UNDERSCORE != 0 {
            return no_twin(name);
        }
        match name.len() {
            4 if name.eq_ignore_ascii_case(b"host") => self.host(trimmed(value)),
            6 if name.eq_ignore_ascii_case(b"expect") => self.expect(trimmed(value)),
            14 if name.eq_ignore_ascii_case(b"content-length") => self.content_length(trimmed(value)),
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => self.transfer_encoding(trimmed(value)),
            _ => Ok(()),
        }
    }

    /// What it may hold is judged where its value is used; here, that there is one to judge.
    fn host(&mut self, value: &[u8]) -> Result<(), Fault> {
        if std::mem::replace(&mut self.has_host, true) {
            return Err(Fault::malformed("several Host fields"));
        }
        if value.is_empty() {
            return Err(Fault::malformed("Host is empty"));
        }
        Ok(())
    }

    fn expect(&mut self, value: &[u8]) -> Result<(), Fault> {
        if std::mem::replace(&mut self.has_expect, true) || !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Fault::of(Reason::ExpectationFailed, "Expect is not 100-continue"));
        }
        Ok(())
    }

    /// Digits, once. A list of equal values is allowed by RFC 9110 to be read as one; nobody honest sends it.
    fn content_length(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.length.is_some() {
            return Err(Fault::malformed("several Content-Length fields"));
        }
        let is_number = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
        if !is_number || value.len() > LONGEST_LENGTH_DIGITS {
            return Err(Fault::malformed("Content-Length is not a number"));
        }
        self.length = Some(value.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')));
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Fault> {
        if std::mem::replace(&mut self.is_chunked, true) {
            return Err(Fault::malformed("several Transfer-Encoding fields"));
        }
        if !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Fault::malformed("Transfer-Encoding is not chunked"));
        }
        Ok(())
    }

    fn within(&self, field_bytes: usize, bounds: Bounds) -> Result<(), Fault> {
        if field_bytes > bounds.header_bytes {
            return Err(Fault::of(Reason::HeadersTooLarge, "more bytes of fields than limits.header_bytes"));
        }
        Ok(())
    }

    fn finish(&self) -> Result<Framing, Fault> {
        if !self.has_host && self.version == Version::Http11 {
            return Err(Fault::malformed("no Host"));
        }
        match (self.is_chunked, self.length) {
            (true, Some(_)) => Err(Fault::malformed("Transfer-Encoding beside Content-Length")),
            (true, None) if self.version == Version::Http10 => {
                Err(Fault::malformed("Transfer-Encoding in HTTP/1.0"))
            }
            // A length is read and thrown away; chunks behind such a method are only ever seen in attacks, and some
            // readers take them for the next request.
            (true, None) if self.method == Method::WithoutContent => {
                Err(Fault::malformed("Transfer-Encoding with a method that has no content"))
            }
            (true, None) => Ok(Framing::Chunked),
            (false, None | Some(0)) => Ok(Framing::None),
            (false, Some(length)) => Ok(Framing::Length(length)),
        }
    }
}

const METHOD: &str = "the request line does not begin with a method and a space";
const REQUEST_LINE: &str = "the request line is not METHOD TARGET HTTP/1.x with one space between each";

const NO_TOKEN: u8 = 1;
const NO_PATH: u8 = 2;
const NO_QUERY: u8 = 4;
const UNDERSCORE: u8 = 8;

/// What each byte can't be part of. Of targets, RFC 3986 allows less, but browsers send `[]{}|\^` as they are; what
/// is left out is what `http::Uri` reads differently (`#`) or not at all.
const CLASSES: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        let is_token = value.is_ascii_alphanumeric()
            || matches!(
                value,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        let is_path = value.is_ascii_graphic() && !matches!(value, b'#' | b'<' | b'>' | b'`' | b'"');
        let is_query = value.is_ascii_graphic() && !matches!(value, b'#' | b'<' | b'>' | b'"');
        if !is_token {
            table[byte] |= NO_TOKEN;
        }
        if !is_path {
            table[byte] |= NO_PATH;
        }
        if !is_query {
            table[byte] |= NO_QUERY;
        }
        if value == b'_' {
            table[byte] |= UNDERSCORE;
        }
        byte += 1;
    }
    table
};

fn classes(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |all, byte| all | CLASSES[*byte as usize])
}

/// No NUL, no bare CR, nothing but HTAB of what is below a space. What is above ASCII is left alone (RFC 9110 section
/// 5.5: opaque): no field that Portico reads may hold it, and browsers send names of files so.
fn no_controls(line: &[u8]) -> Result<(), Fault> {
    let found =
        line.iter().fold(false, |found, byte| found | ((*byte < 0x20 && *byte != b'\t') | (*byte == 0x7f)));
    if found { Err(Fault::malformed("a control character in the head")) } else { Ok(()) }
}

/// `Content_Length` is `Content-Length` to readers that turn names into variables (CGI, WSGI). Those that only say
/// who somebody is are not looked at by anybody behind Portico: names that are passed on are an allowlist.
fn no_twin(name: &[u8]) -> Result<(), Fault> {
    const FRAMING: [&[u8]; 2] = [b"content-length", b"transfer-encoding"];
    let same = |one: &u8, other: &u8| one.eq_ignore_ascii_case(other) || (*one == b'_' && *other == b'-');
    let is_twin = |twin: &[u8]| name.len() == twin.len() && name.iter().zip(twin).all(|(a, b)| same(a, b));
    if FRAMING.iter().any(|twin| is_twin(twin)) {
        return Err(Fault::malformed(
            "a field that is Content-Length or Transfer-Encoding spelt with an underscore",
        ));
    }
    Ok(())
}

/// Without the white space around it (RFC 9110 section 5.6.3): spaces and tabs only.
pub(super) fn trimmed(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

#[cfg(test)]
#[path = "head_tests.rs"]
mod tests;
