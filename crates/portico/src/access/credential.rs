//! What a request says about who it comes from. Taken here and nowhere else, so that no header is a way around another.

use std::borrow::Cow;

use base64_simd::STANDARD;
use http::header::{AUTHORIZATION, COOKIE};
use http::{HeaderMap, HeaderName};
use unicode_normalization::{UnicodeNormalization as _, is_nfc};

use crate::reason::{Reason, Refusal};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// Longer ones are nobody's.
const LONGEST_BYTES: usize = 8 * 1024;

/// Over https browsers hold the prefix to its promise: Secure, this host, every path (RFC 6265bis, 4.1.3.2).
pub(crate) const fn cookie_name(is_secure: bool) -> &'static str {
    if is_secure { "__Host-portico" } else { "portico" }
}

#[derive(PartialEq, Eq)]
pub(crate) enum Credential<'a> {
    None,
    /// `Bearer`, or `X-Api-Key`.
    Key(&'a str),
    Basic {
        name: String,
        password: Vec<u8>,
    },
    /// The token in the session's cookie.
    Session(&'a str),
    /// There is one, and it can't be anybody's; why.
    Unusable(&'static str),
}

/// Two credentials in headers are refused, because two readers could choose differently. A header wins over the cookie.
pub(crate) fn credential(headers: &HeaderMap, is_secure: bool) -> Result<Credential<'_>, Refusal> {
    let mut authorizations = headers.get_all(AUTHORIZATION).iter();
    let mut keys = headers.get_all(X_API_KEY).iter();
    let (authorization, key) = (authorizations.next(), keys.next());
    if authorizations.next().is_some() || keys.next().is_some() || (authorization.is_some() && key.is_some())
    {
        return Err(Reason::AmbiguousCredentials.into());
    }
    if let Some(value) = authorization.or(key)
        && value.len() > LONGEST_BYTES
    {
        return Ok(Credential::Unusable("it is longer than 8 KiB"));
    }
    if let Some(key) = key {
        return Ok(match key.to_str() {
            Ok(key) => Credential::Key(key.trim()),
            Err(_) => Credential::Unusable("X-Api-Key is not text"),
        });
    }
    if let Some(value) = authorization {
        return Ok(match value.to_str() {
            Ok(value) => of_authorization(value),
            Err(_) => Credential::Unusable("Authorization is not text"),
        });
    }
    Ok(session(headers, cookie_name(is_secure)))
}

fn of_authorization(value: &str) -> Credential<'_> {
    let (scheme, rest) = value.split_once(' ').unwrap_or((value, ""));
    let rest = rest.trim_matches(' ');
    if scheme.eq_ignore_ascii_case("bearer") {
        return Credential::Key(rest);
    }
    if scheme.eq_ignore_ascii_case("basic") {
        return basic(rest).unwrap_or_else(Credential::Unusable);
    }
    Credential::Unusable("its scheme is neither Basic nor Bearer")
}

/// RFC 7617: the name ends at the first colon; text is UTF-8.
fn basic(encoded: &str) -> Result<Credential<'_>, &'static str> {
    let mut decoded = STANDARD.decode_to_vec(encoded).map_err(|_| "Basic is not base64")?;
    let colon = decoded.iter().position(|byte| *byte == b':').ok_or("Basic has no colon")?;
    let name = std::str::from_utf8(&decoded[..colon]).map_err(|_| "the name is not UTF-8")?;
    if name.is_empty() {
        return Err("the name is empty");
    }
    if name.chars().any(char::is_control) || decoded.contains(&0) {
        return Err("a control character in the name or the password");
    }
    let name = composed(name).into_owned();
    decoded.drain(..=colon);
    Ok(Credential::Basic { name, password: decoded })
}

/// Some systems type `é` as one character and some as two (RFC 8265, 4.2.1).
pub(crate) fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc(text) { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) }
}

/// Two cookies of this name that differ were not both set by us.
fn session<'a>(headers: &'a HeaderMap, name: &str) -> Credential<'a> {
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    let mut found = None;
    for (_, value) in pairs.filter(|(found, _)| *found == name) {
        match found {
            Some(other) if other != value => {
                return Credential::Unusable("two session cookies that differ");
            }
            _ => found = Some(value),
        }
    }
    found.filter(|token| !token.is_empty()).map_or(Credential::None, Credential::Session)
}

/// Never what it holds.
impl std::fmt::Debug for Credential<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Credential::None => "None",
            Credential::Key(_) => "Key",
            Credential::Basic { .. } => "Basic",
            Credential::Session(_) => "Session",
            Credential::Unusable(why) => why,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn basic_of(text: &[u8]) -> String {
        format!("Basic {}", STANDARD.encode_to_string(text))
    }

    fn named(name: &str, password: &[u8]) -> Credential<'static> {
        Credential::Basic { name: name.to_owned(), password: password.to_vec() }
    }

    #[test]
    fn f56_basic_is_read_in_one_way() {
        for (text, wanted) in [
            (&b"ada:secret"[..], named("ada", b"secret")),
            (b"ada:with:colons:", named("ada", b"with:colons:")),
            (b"ada:", named("ada", b"")),
            ("josé:pässword".as_bytes(), named("josé", "pässword".as_bytes())),
            ("jose\u{301}:x".as_bytes(), named("josé", b"x")),
            ("小明:密码".as_bytes(), named("小明", "密码".as_bytes())),
            (b":secret", Credential::Unusable("the name is empty")),
            (b"ada", Credential::Unusable("Basic has no colon")),
            (b"", Credential::Unusable("Basic has no colon")),
            (b"ad\xe9:x", Credential::Unusable("the name is not UTF-8")),
            (b"ada:a\0b", Credential::Unusable("a control character in the name or the password")),
            (b"a\nb:c", Credential::Unusable("a control character in the name or the password")),
        ] {
            let value = basic_of(text);
            let headers = headers(&[("authorization", &value)]);
            let found = credential(&headers, true).unwrap();
            assert!(found == wanted, "{text:?}: {found:?}");
        }
        for value in
            ["Basic", "Basic ", "Basic %%%", "basic YWRh", "Basic YWRhOnNlY3JldA", "Negotiate abc", ""]
        {
            let headers = headers(&[("authorization", value)]);
            assert!(matches!(credential(&headers, true), Ok(Credential::Unusable(_))), "{value}");
        }
        let long = basic_of(&[b'a'; 1 << 20]);
        let headers = headers(&[("authorization", &long)]);
        assert!(matches!(credential(&headers, true), Ok(Credential::Unusable(_))), "a megabyte");
    }

    #[test]
    fn keys_come_in_two_headers() {
        for (name, value) in [
            ("authorization", "Bearer pk-x"),
            ("authorization", "bearer  pk-x "),
            ("x-api-key", "pk-x"),
            ("x-api-key", " pk-x "),
        ] {
            assert!(
                credential(&headers(&[(name, value)]), true).unwrap() == Credential::Key("pk-x"),
                "{value}"
            );
        }
    }

    #[test]
    fn two_credentials_are_refused_and_a_header_wins_over_the_cookie() {
        for lines in [
            &[("authorization", "Bearer pk-a"), ("x-api-key", "pk-a")][..],
            &[("authorization", "Bearer pk-a"), ("authorization", "Basic YTpi")],
            &[("authorization", "Bearer pk-a"), ("authorization", "Bearer pk-a")],
            &[("x-api-key", "pk-a"), ("x-api-key", "pk-a")],
        ] {
            let refused = credential(&headers(lines), true).err().map(|refusal| refusal.reason);
            assert_eq!(refused, Some(Reason::AmbiguousCredentials), "{lines:?}");
        }
        let both = headers(&[("authorization", "Bearer pk-a"), ("cookie", "__Host-portico=t")]);
        assert!(credential(&both, true).unwrap() == Credential::Key("pk-a"));
    }

    #[test]
    fn the_cookie_is_found_among_others() {
        for (is_secure, lines, wanted) in [
            (true, &["a=b; __Host-portico=token; c=d"][..], Credential::Session("token")),
            (true, &["a=b", "__Host-portico=token"], Credential::Session("token")),
            (true, &["portico=token"], Credential::None),
            (false, &["portico=token"], Credential::Session("token")),
            (false, &["__Host-portico=token"], Credential::None),
            (true, &["__Host-portico="], Credential::None),
            (true, &["x__Host-portico=token"], Credential::None),
            (true, &["__Host-portico=t; __Host-portico=t"], Credential::Session("t")),
            (false, &["portico=t; portico=u"], Credential::Unusable("two session cookies that differ")),
            (true, &["nonsense"], Credential::None),
        ] {
            let lines: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
            let headers = headers(&lines);
            let found = credential(&headers, is_secure).unwrap();
            assert!(found == wanted, "{lines:?}: {found:?}");
        }
    }
}
