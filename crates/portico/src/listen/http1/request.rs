//! A judged head as a request: slices of the bytes it came in. Pure.

use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderName, HeaderValue};
use http::{Method, Request, Uri, Version};
use memchr::memchr;

use super::fault::Fault;
use crate::types::has_option;

/// How the client wants to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Manners {
    pub(super) is_head: bool,
    pub(super) is_http_1_0: bool,
    /// The connection may carry another request.
    pub(super) keeps: bool,
    /// It holds its body back until it is asked for.
    pub(super) expects_continue: bool,
}

/// Fails only where the judge and `http` disagree about what a name, a value or a target is; what they do not both
/// take is nothing.
pub(super) fn read(head: &Bytes) -> Result<(Request<()>, Manners), Fault> {
    let mut lines = Lines { head, at: 0 };
    let mut line = lines.next().unwrap_or_default();
    if line.is_empty() {
        line = lines.next().unwrap_or_default();
    }
    let mut request = Request::new(());
    request_line(head, line, &mut request).ok_or(Fault::malformed(UNREADABLE))?;
    let headers = request.headers_mut();
    headers.reserve(lines.count_left());
    for line in lines {
        if line.is_empty() {
            break;
        }
        let (name, value) = field(head, line).ok_or(Fault::malformed(UNREADABLE))?;
        headers.try_append(name, value).map_err(|_| Fault::malformed(UNREADABLE))?;
    }
    let manners = manners(&request);
    Ok((request, manners))
}

const UNREADABLE: &str = "a name, a value or the target is none that can be held";

/// The lines of a head, as ranges of it.
struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

type Line = std::ops::Range<usize>;

impl Lines<'_> {
    /// More than there are, rather than less.
    fn count_left(&self) -> usize {
        memchr::memchr_iter(b'\n', &self.head[self.at..]).count()
    }
}

impl Iterator for Lines<'_> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        let start = self.at;
        let feed = start + memchr(b'\n', self.head.get(start..)?)?;
        self.at = feed + 1;
        // The judge has seen to the CR.
        Some(start..feed.saturating_sub(1).max(start))
    }
}

fn request_line(head: &Bytes, line: Line, request: &mut Request<()>) -> Option<()> {
    let bytes = &head[line.clone()];
    let method_end = memchr(b' ', bytes)?;
    let target_end = method_end + 1 + memchr(b' ', &bytes[method_end + 1..])?;
    *request.method_mut() = Method::from_bytes(&bytes[..method_end]).ok()?;
    let target = head.slice(line.start + method_end + 1..line.start + target_end);
    *request.uri_mut() = Uri::from_maybe_shared(target).ok()?;
    *request.version_mut() = match &bytes[target_end + 1..] {
        b"HTTP/1.0" => Version::HTTP_10,
        b"HTTP/1.1" => Version::HTTP_11,
        _ => return None,
    };
    Some(())
}

fn field(head: &Bytes, line: Line) -> Option<(HeaderName, HeaderValue)> {
    let bytes = &head[line.clone()];
    let colon = memchr(b':', bytes)?;
    let name = HeaderName::from_bytes(&bytes[..colon]).ok()?;
    let value = super::head::trimmed(&bytes[colon + 1..]);
    let start = value.as_ptr().addr() - head.as_ptr().addr();
    let value = HeaderValue::from_maybe_shared(head.slice(start..start + value.len())).ok()?;
    Some((name, value))
}

fn manners(request: &Request<()>) -> Manners {
    let is_http_1_0 = request.version() == Version::HTTP_10;
    let (mut closes, mut keeps_alive) = (false, false);
    for value in request.headers().get_all(CONNECTION) {
        closes |= has_option(value.as_bytes(), "close");
        keeps_alive |= has_option(value.as_bytes(), "keep-alive");
    }
    Manners {
        is_head: request.method() == Method::HEAD,
        is_http_1_0,
        keeps: !closes && (!is_http_1_0 || keeps_alive),
        expects_continue: !is_http_1_0 && request.headers().contains_key(EXPECT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str) -> (Request<()>, Manners) {
        read(&Bytes::copy_from_slice(head.as_bytes())).unwrap()
    }

    #[test]
    fn a_head_becomes_the_request_it_says() {
        let (request, manners) = of(
            "\r\nPOST /v1/x?y=%2f HTTP/1.1\r\nHost:  a:80 \r\nX-Empty:\r\nX-Tab:\ta\tb\t\r\nX-High: \u{e9}\r\nX-Empty: 2\r\n\r\n",
        );
        assert_eq!((request.method(), request.uri().path()), (&Method::POST, "/v1/x"));
        assert_eq!((request.uri().query(), request.version()), (Some("y=%2f"), Version::HTTP_11));
        let values: Vec<_> =
            request.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(
            values,
            [
                ("host", &b"a:80"[..]),
                ("x-empty", b""),
                ("x-empty", b"2"),
                ("x-tab", b"a\tb"),
                ("x-high", "\u{e9}".as_bytes()),
            ]
        );
        assert!(manners.keeps && !manners.is_http_1_0 && !manners.is_head && !manners.expects_continue);
    }

    #[test]
    fn what_the_client_wants_is_heard() {
        for (line, fields, keeps) in [
            ("GET / HTTP/1.1", "", true),
            ("GET / HTTP/1.1", "Connection: close\r\n", false),
            ("GET / HTTP/1.1", "Connection: x, CLOSE\r\n", false),
            ("GET / HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
            ("GET / HTTP/1.0", "", false),
            ("GET / HTTP/1.0", "Connection: Keep-Alive\r\n", true),
            ("GET / HTTP/1.0", "Connection: keep-alive, close\r\n", false),
        ] {
            assert_eq!(of(&format!("{line}\r\n{fields}\r\n")).1.keeps, keeps, "{line} {fields}");
        }
        assert!(of("HEAD / HTTP/1.1\r\n\r\n").1.is_head);
        assert!(of("POST / HTTP/1.1\r\nExpect: 100-continue\r\n\r\n").1.expects_continue);
        assert!(!of("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n").1.expects_continue);
    }
}
