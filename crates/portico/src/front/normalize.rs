//! The first look at a request: is its target one that is served at all, is its head within the limits, and whom
//! does it say it is for. Pure.

use http::header::{CONTENT_LENGTH, EXPECT, HOST};
use http::request::Parts;
use http::{HeaderMap, Version};

use crate::config::Limits;
use crate::reason::{Reason, Refusal};

/// A request's target in origin form, and the host it names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(crate) path: &'a str,
    /// Without the port; brackets of an IPv6 literal kept. `None` only for HTTP/1.0 without `Host`.
    pub(crate) host: Option<&'a str>,
}

pub(crate) fn check<'a>(parts: &'a Parts, limits: &Limits) -> Result<Target<'a>, Refusal> {
    let target_bytes = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > limits.target_bytes as usize {
        return Err(Reason::TargetTooLong.into());
    }
    check_size(&parts.headers, limits)?;
    if parts.version < Version::HTTP_2 && (parts.uri.scheme().is_some() || parts.uri.authority().is_some()) {
        return Err(malformed("the target is not in origin form"));
    }
    if parts.version >= Version::HTTP_2 {
        check_http2(parts)?;
    }
    if matches!(parts.method.as_str(), "CONNECT" | "TRACE") {
        return Err(Reason::MethodNotAllowed.into());
    }
    let path = parts.uri.path();
    if !path.starts_with('/') {
        return Err(malformed("the target is not a path"));
    }
    Ok(Target { path, host: host(parts)? })
}

fn check_size(headers: &HeaderMap, limits: &Limits) -> Result<(), Refusal> {
    // A name, a colon, a space, a value, a line end: as the field stood on the wire.
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if headers.len() > limits.header_count as usize || bytes > limits.header_bytes as usize {
        return Err(
            Refusal::new(Reason::HeadersTooLarge).because(format!("{} fields, {bytes} bytes", headers.len()))
        );
    }
    Ok(())
}

/// What the gate in front of HTTP/1 refuses and h2 lets pass (RFC 9113 sections 8.2 and 8.3). A request with such a
/// field would be two different ones in HTTP/1.
fn check_http2(parts: &Parts) -> Result<(), Refusal> {
    if parts.uri.scheme().is_some_and(|scheme| !matches!(scheme.as_str(), "http" | "https")) {
        return Err(malformed("the scheme is neither http nor https"));
    }
    let is_blank = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    for (name, value) in &parts.headers {
        let bytes = value.as_bytes();
        if is_blank(bytes.first()) || is_blank(bytes.last()) {
            return Err(malformed("a field's value begins or ends with white space"));
        }
        if bytes.iter().any(|byte| *byte < b' ' && *byte != b'\t') {
            return Err(malformed("a control character in a field"));
        }
        if matches!(name.as_str(), "content_length" | "transfer_encoding") {
            return Err(malformed("a field of the framing spelt with an underscore"));
        }
    }
    if parts.headers.get_all(CONTENT_LENGTH).iter().count() > 1 {
        return Err(malformed("several Content-Length fields"));
    }
    match parts.headers.get(EXPECT) {
        Some(value) if !value.as_bytes().eq_ignore_ascii_case(b"100-continue") => {
            Err(Reason::ExpectationFailed.into())
        }
        _ => Ok(()),
    }
}

/// Exactly one host, and one that two readers would read alike: `uri-host [":" port]`.
fn host(parts: &Parts) -> Result<Option<&str>, Refusal> {
    let mut fields = parts.headers.get_all(HOST).iter();
    let field = fields.next();
    if fields.next().is_some() {
        return Err(malformed("several Host fields"));
    }
    let field = match field {
        Some(value) => Some(value.to_str().map_err(|_| malformed("Host is not text"))?),
        None => None,
    };
    let authority = parts.uri.authority().map(http::uri::Authority::as_str);
    let host = match (authority, field) {
        (Some(authority), Some(field)) if !authority.eq_ignore_ascii_case(field) => {
            return Err(malformed("Host and :authority differ"));
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) if parts.version == Version::HTTP_10 => return Ok(None),
        (None, None) => return Err(malformed("no Host")),
    };
    name_of(host).map(Some).ok_or_else(|| malformed("Host is not a host and port"))
}

fn name_of(host: &str) -> Option<&str> {
    let name_end = match host.strip_prefix('[') {
        Some(rest) => {
            let literal = &rest[..rest.find(']')?];
            literal.parse::<std::net::Ipv6Addr>().ok()?;
            literal.len() + 2
        }
        None => host.find(':').unwrap_or(host.len()),
    };
    let (name, port) = host.split_at(name_end);
    let good_port = match port.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|b| b.is_ascii_digit()) && digits.parse::<u16>().is_ok(),
        None => port.is_empty(),
    };
    let good_name = name.starts_with('[')
        || (!name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_')));
    (good_port && good_name).then_some(name)
}

fn malformed(private: &'static str) -> Refusal {
    Refusal::new(Reason::MalformedRequest).because(private)
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const LIMITS: Limits = Limits {
        body_bytes: 0,
        body_total_bytes: 0,
        header_bytes: 200,
        header_count: 4,
        target_bytes: 40,
        json_depth: 64,
    };

    fn status(request: http::request::Builder) -> Result<Option<String>, u16> {
        let (parts, ()) = request.body(()).unwrap().into_parts();
        match check(&parts, &LIMITS) {
            Ok(target) => Ok(target.host.map(str::to_owned)),
            Err(refusal) => Err(refusal.reason.status().as_u16()),
        }
    }

    fn with_host(host: &str) -> http::request::Builder {
        Request::get("/").header("host", host)
    }

    #[test]
    fn hosts_that_two_readers_could_read_differently_are_refused() {
        for (host, wanted) in [
            ("localhost", Ok("localhost")),
            ("localhost:8080", Ok("localhost")),
            ("[::1]:8080", Ok("[::1]")),
            ("chat.example.com", Ok("chat.example.com")),
            ("localhost?x=", Err(400)),
            ("localhost#", Err(400)),
            ("localhost/v1/models?", Err(400)),
            ("user@localhost", Err(400)),
            ("localhost:", Err(400)),
            ("localhost:99999", Err(400)),
            ("localhost:80:80", Err(400)),
            ("", Err(400)),
            (":80", Err(400)),
            ("[::1", Err(400)),
            ("[localhost]", Err(400)),
            ("a b", Err(400)),
        ] {
            assert_eq!(status(with_host(host)), wanted.map(|h| Some(h.to_owned())), "{host:?}");
        }
        assert_eq!(status(Request::get("/")), Err(400), "none in HTTP/1.1");
        assert_eq!(status(Request::get("/").version(Version::HTTP_10)), Ok(None));
        assert_eq!(status(with_host("a").header("host", "a")), Err(400), "two");
    }

    #[test]
    fn only_origin_form_targets_exist() {
        let on =
            |method: &str, uri: &str| status(Request::builder().method(method).uri(uri).header("host", "a"));
        assert_eq!(on("GET", "http://a/"), Err(400));
        assert_eq!(on("OPTIONS", "*"), Err(400));
        assert_eq!(on("TRACE", "/"), Err(405));
        assert_eq!(on("CONNECT", "a:443"), Err(400));
        assert_eq!(on("GET", "/x?y=z"), Ok(Some("a".to_owned())));
    }

    #[test]
    fn heads_are_bounded() {
        assert_eq!(status(Request::get(format!("/{}", "x".repeat(40))).header("host", "a")), Err(414));
        assert_eq!(status(with_host("a").header("x", "y".repeat(200))), Err(431));
        let many = (0..4).fold(with_host("a"), |request, i| request.header(format!("x{i}"), "y"));
        assert_eq!(status(many), Err(431));
    }

    #[test]
    fn http_2_names_its_host_once() {
        let h2 = |uri: &str| Request::get(uri).version(Version::HTTP_2);
        assert_eq!(status(h2("http://a:80/x")), Ok(Some("a".to_owned())));
        assert_eq!(status(h2("http://a/x").header("host", "A")), Ok(Some("a".to_owned())));
        assert_eq!(status(h2("http://a/x").header("host", "b")), Err(400));
        assert_eq!(status(h2("http://u@a/x")), Err(400));
    }

    #[test]
    fn http_2_has_no_fields_that_http_1_would_not_have() {
        let with = |name: &str, value: &str| {
            status(Request::get("http://a/x").version(Version::HTTP_2).header(name, value))
        };
        for (name, value, wanted) in [
            ("x", "a b", Ok(Some("a".to_owned()))),
            ("x_forwarded_for", "1.2.3.4", Ok(Some("a".to_owned()))),
            ("expect", "100-continue", Ok(Some("a".to_owned()))),
            ("x", " a", Err(400)),
            ("x", "a\t", Err(400)),
            ("content_length", "5", Err(400)),
            ("expect", "200-ok", Err(417)),
        ] {
            assert_eq!(with(name, value), wanted, "{name}: {value:?}");
        }
        let scheme = Request::get("ftp://a/x").version(Version::HTTP_2);
        assert_eq!(status(scheme), Err(400));
    }
}
