//! The address of a picture, read in one way only.
//!
//! Two readers of one URL that disagree about its host are how filters are passed by (CVE-2026-24779). Here one reader
//! judges and connects, and what any other could read differently is refused: backslashes, control characters, user
//! names, fragments, escapes and capital letters' foreign cousins in the host, numbers that stand for addresses.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Fault;
use crate::types::Text;

const LONGEST_BYTES: usize = 4096;
/// Names of the inside, which no public resolver should be asked about.
const INSIDE: [&str; 8] =
    ["localhost", "local", "localdomain", "internal", "intranet", "lan", "onion", "arpa"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Http,
    Https,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Host {
    /// Lower case, without a dot at its end.
    Name(String),
    Ip(IpAddr),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) scheme: Scheme,
    pub(super) host: Host,
    pub(super) port: u16,
    /// Path and query, as they are asked for.
    pub(super) target: String,
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Host::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl Scheme {
    const fn port(self) -> u16 {
        match self {
            Scheme::Http => 80,
            Scheme::Https => 443,
        }
    }
}

impl Address {
    pub(super) fn parse(url: &str) -> Result<Self, Fault> {
        if url.len() > LONGEST_BYTES {
            return Err(malformed("longer than 4 KiB"));
        }
        // A blank at the end is cut off by some readers and not by others, so blanks are refused wherever they are.
        if url.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
            return Err(malformed("a blank, a control character or a backslash"));
        }
        if url.contains('#') {
            return Err(malformed("a fragment"));
        }
        let (scheme, rest) = url.split_once("://").ok_or_else(|| malformed("no scheme"))?;
        let scheme = if scheme.eq_ignore_ascii_case("https") {
            Scheme::Https
        } else if scheme.eq_ignore_ascii_case("http") {
            Scheme::Http
        } else {
            return Err(malformed("another scheme"));
        };
        let (authority, target) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(Fault::said(
                "a user name in the address",
                Text::fixed(
                    "The image's address must not hold a user name or password.",
                    "图片地址中不能包含用户名或密码。",
                ),
            ));
        }
        let (host, port) = split_port(authority)?;
        let port = match port {
            None => scheme.port(),
            Some("80") => 80,
            Some("443") => 443,
            Some(_) => {
                return Err(Fault::said(
                    "another port",
                    Text::fixed(
                        "Images are fetched from ports 80 and 443 only.",
                        "只从 80 和 443 端口抓取图片。",
                    ),
                ));
            }
        };
        Ok(Self { scheme, host: parse_host(host)?, port, target: encoded(target) })
    }

    /// Where a `Location` leads from here.
    pub(super) fn redirected(&self, location: &str) -> Result<Self, Fault> {
        // A fragment is for browsers, and servers send it.
        let location = location.split('#').next().unwrap_or_default();
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let authority = format!("{scheme}://{}:{}", self.host, self.port);
        let path = self.target.split('?').next().unwrap_or_default();
        let next = if location.contains("://") && !location.starts_with('/') {
            Self::parse(location)?
        } else if location.starts_with("//") {
            Self::parse(&format!("{scheme}:{location}"))?
        } else if location.starts_with('/') {
            Self::parse(&format!("{authority}{location}"))?
        } else {
            let folder = path.rfind('/').map_or("/", |end| &path[..=end]);
            Self::parse(&format!("{authority}{folder}{location}"))?
        };
        if self.scheme == Scheme::Https && next.scheme == Scheme::Http {
            return Err(Fault::unreachable("a redirect from https to http"));
        }
        Ok(next)
    }

    /// As `Host` says it.
    pub(super) fn authority(&self) -> String {
        if self.port == self.scheme.port() {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

fn split_port(authority: &str) -> Result<(&str, Option<&str>), Fault> {
    let end = match authority.strip_prefix('[') {
        Some(_) => authority.find(']').map(|end| end + 1).ok_or_else(|| malformed("an open bracket"))?,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(end);
    match rest.strip_prefix(':') {
        Some(port) => Ok((host, Some(port))),
        None if rest.is_empty() => Ok((host, None)),
        None => Err(malformed("something behind the host")),
    }
}

fn parse_host(host: &str) -> Result<Host, Fault> {
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // No zone: `%` is refused by the parser.
        let ip: Ipv6Addr = inner.parse().map_err(|_| malformed("brackets around what is no address"))?;
        return Ok(Host::Ip(IpAddr::V6(ip)));
    }
    if !host.is_ascii() {
        return Err(Fault::said(
            "a host beyond ASCII",
            Text::fixed(
                "Write the host of the image's address in its ASCII form (xn--…).",
                "请把图片地址中的主机名写成 ASCII 形式(xn--…)。",
            ),
        ));
    }
    let host = host.to_ascii_lowercase();
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if host.len() > 253 || !host.split('.').all(is_label) {
        return Err(malformed("a host that is no name"));
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    // The system's own reader takes 0177.1, 0x7f000001 and 2130706433 for addresses; here only four plain numbers are.
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        let ip: Ipv4Addr = host.parse().map_err(|_| malformed("another spelling of an address"))?;
        return Ok(Host::Ip(IpAddr::V4(ip)));
    }
    if !host.contains('.') || INSIDE.contains(&last) {
        return Err(Fault::unreachable("a name of the inside"));
    }
    Ok(Host::Name(host))
}

/// Path and query in ASCII, as browsers send them.
fn encoded(target: &str) -> String {
    let mut encoded = String::with_capacity(target.len() + 1);
    if !target.starts_with('/') {
        encoded.push('/');
    }
    for byte in target.bytes() {
        match byte {
            b'"' | b'<' | b'>' | b'`' | b'{' | b'}' | b'|' | b'^' | 0x80.. => {
                encoded.push_str(&format!("%{byte:02X}"))
            }
            _ => encoded.push(char::from(byte)),
        }
    }
    encoded
}

fn malformed(private: &str) -> Fault {
    Fault::said(
        private,
        Text::fixed(
            "The image's address must be a plain http:// or https:// URL: a public host, and no blanks, backslashes, user names or fragments.",
            "图片地址必须是普通的 http:// 或 https:// URL:公开的主机,不含空格、反斜杠、用户名或片段。",
        ),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(url: &str) -> Option<(String, u16, String)> {
        Address::parse(url).ok().map(|address| (address.host.to_string(), address.port, address.target))
    }

    #[test]
    fn plain_addresses_are_read() {
        for (url, host, port, target) in [
            ("http://example.com", "example.com", 80, "/"),
            ("https://Example.COM/A.png?x=1&y=%20", "example.com", 443, "/A.png?x=1&y=%20"),
            ("HTTPS://example.com:443/", "example.com", 443, "/"),
            ("http://example.com:443/x", "example.com", 443, "/x"),
            ("https://example.com:80?q", "example.com", 80, "/?q"),
            ("http://8.8.8.8/x.png", "8.8.8.8", 80, "/x.png"),
            ("http://[2A00:1450::1]/x.png", "[2a00:1450::1]", 80, "/x.png"),
            ("http://xn--fiq228c.example/\u{56fe}.png", "xn--fiq228c.example", 80, "/%E5%9B%BE.png"),
            ("http://a_b.example.com/", "a_b.example.com", 80, "/"),
        ] {
            assert_eq!(parsed(url), Some((host.to_owned(), port, target.to_owned())), "{url}");
        }
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        for url in [
            "",
            "http://",
            "http:///x",
            "http:/example.com",
            "//example.com/x",
            "example.com/x",
            "ftp://example.com/x",
            "file:///etc/passwd",
            "gopher://example.com/",
            "http://user@example.com/",
            "http://user:pw@example.com/",
            "http://example.com@127.0.0.1/",
            "http://127.0.0.1@example.com/",
            "http://example.com#@127.0.0.1/",
            "http://127.0.0.1#@example.com/",
            "http://example.com\\@127.0.0.1/",
            "http://127.0.0.1\\.example.com/",
            "http://example.com/\\..",
            "http://exam\tple.com/",
            "http://example.com/a b",
            "http://example.com/\n",
            " http://example.com/",
            "http://example.com/ ",
            "http://example.com\r\nX: y/",
            "http://example.com:22/",
            "http://example.com:8080/",
            "http://example.com:0/",
            "http://example.com:/",
            "http://example.com:080/",
            "http://example.com:+80/",
            "http://example.com:80:80/",
            "http://example.com:443@x/",
            "http://example.com:65616/",
            "http://ex%61mple.com/",
            "http://example.com%00.evil.example/",
            "http://example..com/",
            "http://.example.com/",
            "http://example.com./",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://box/",
            "http://printer.local/",
            "http://metadata.google.internal/",
            "http://1.0.0.127.in-addr.arpa/",
            "http://2130706433/",
            "http://017700000001/",
            "http://0x7f000001/",
            "http://0x7f.0.0.1/",
            "http://127.1/",
            "http://127.0.1/",
            "http://0177.0.0.1/",
            "http://127.0.0.01/",
            "http://127.0.0.1./",
            "http://00000.0.0.0/",
            "http://256.0.0.1/",
            "http://1.2.3.4.5/",
            "http://0/",
            "http://127.0.0.0x1/",
            "http://\u{ff11}27.0.0.1/",
            "http://\u{2460}27.0.0.1/",
            "http://ex\u{e4}mple.com/",
            "http://example\u{3002}com/",
            "http://[::1/",
            "http://[::1]x/",
            "http://[::1]:22/",
            "http://[fe80::1%25eth0]/",
            "http://[127.0.0.1]/",
            "http://[example.com]/",
            "http://[]/",
            "http://::1/",
            "http://[::ffff:0x7f.1]/",
            "http://-a.example/",
            "http://a*.example/",
            "http://a,b.example/",
            "http://example.com\u{0}/",
        ] {
            assert_eq!(parsed(url), None, "{url:?}");
        }
        assert!(Address::parse(&format!("http://example.com/{}", "x".repeat(LONGEST_BYTES))).is_err());
    }

    #[test]
    fn redirects_are_read_as_new_addresses() {
        let from = |url: &str, location: &str| {
            let next = Address::parse(url).unwrap().redirected(location).ok()?;
            Some(format!("{:?} {}{}", next.scheme, next.authority(), next.target))
        };
        let base = "http://example.com/a/b.png?q=1";
        assert_eq!(from(base, "/c").as_deref(), Some("Http example.com/c"));
        assert_eq!(from(base, "c.png#top").as_deref(), Some("Http example.com/a/c.png"));
        assert_eq!(from(base, "//other.example/c").as_deref(), Some("Http other.example/c"));
        assert_eq!(from(base, "https://other.example/c").as_deref(), Some("Https other.example/c"));
        assert_eq!(from("https://example.com:80/", "/c").as_deref(), Some("Https example.com:80/c"));
        for refused in [
            "http://127.1/",
            "//localhost/",
            "http://other.example:22/",
            "file:///etc/passwd",
            "http://u@x.example/",
        ] {
            assert_eq!(from(base, refused), None, "{refused}");
        }
        assert_eq!(from("https://example.com/", "http://example.com/"), None, "not back to plain text");
    }

    proptest! {
        /// Nothing passes whose host another strict reader would see differently.
        #[test]
        fn hosts_are_what_the_reader_of_the_http_crate_sees(url in "https?://[a-z0-9.:@\\[\\]%/?#\\\\-]{1,30}") {
            if let Ok(address) = Address::parse(&url) {
                let other: http::Uri = url.parse().unwrap();
                let host = other.host().unwrap_or_default().to_ascii_lowercase();
                let same = match address.host {
                    Host::Ip(IpAddr::V6(ip)) => host.trim_matches(['[', ']']).parse() == Ok(ip),
                    ref host_here => host == host_here.to_string(),
                };
                prop_assert!(same, "{} {:?}", url, other.host());
                prop_assert_eq!(other.port_u16().unwrap_or(address.scheme.port()), address.port);
            }
        }
    }
}
