//! May this request come in: the rules of the mode, the host, then the networks.

use http::header::{FORWARDED, ORIGIN, VIA};
use http::{HeaderMap, HeaderValue};

use super::Visit;
use super::normalize::Target;
use crate::access::is_loopback_authority;
use crate::config::{Mode, SiteName};
use crate::reason::{Reason, Refusal};

pub(super) fn check(visit: &Visit<'_>, target: &Target<'_>) -> Result<(), Refusal> {
    host(visit, target)?;
    networks(visit)
}

/// Whether this is a host that is served here, for this connection.
pub(super) fn host(visit: &Visit<'_>, target: &Target<'_>) -> Result<(), Refusal> {
    let snapshot = visit.snapshot;
    if snapshot.mode == Mode::Local {
        return local(&visit.parts.headers, target);
    }
    let names = &snapshot.config.site.names;
    known_host(names, target)?;
    let asked = visit.connection.tls().and_then(|tls| tls.server_name.as_deref());
    same_host(names, asked, target)
}

pub(super) fn networks(visit: &Visit<'_>) -> Result<(), Refusal> {
    visit.snapshot.access.decide(visit.client).into_result()
}

/// A connection that was made for a name that is not served here carries no requests for one that is: whatever is in
/// between went by the first. Between names of one certificate clients may change (RFC 9110, 7.4; RFC 9113, 9.1.1).
fn same_host(names: &[SiteName], asked: Option<&str>, target: &Target<'_>) -> Result<(), Refusal> {
    let Some(asked) = asked else { return Ok(()) };
    if names.is_empty() || SiteName::find(names, asked).is_some() {
        return Ok(());
    }
    let host = target.host.unwrap_or_default();
    let private = format!("the Host is {host}, and the connection was made for {asked}");
    Err(Refusal::new(Reason::UnknownHost).because(private))
}

/// In local mode nobody is asked who he is, so nothing may come from elsewhere: a forwarding header means that
/// somebody put a tunnel in front, a foreign `Host` or `Origin` that a web page reaches through the user's browser.
fn local(headers: &HeaderMap, target: &Target<'_>) -> Result<(), Refusal> {
    let refuse = |private: String| Err(Refusal::new(Reason::NotLocal).because(private));
    let forwarding =
        |name: &str| name == FORWARDED.as_str() || name == VIA.as_str() || name.starts_with("x-forwarded-");
    if let Some(name) = headers.keys().find(|name| forwarding(name.as_str())) {
        return refuse(format!("the request carries {name}"));
    }
    if let Some(host) = target.host.filter(|host| !is_loopback_authority(host)) {
        return refuse(format!("the Host is {host}"));
    }
    match headers.get_all(ORIGIN).iter().find(|origin| !is_loopback_origin(origin)) {
        Some(origin) => refuse(format!("the Origin is {origin:?}")),
        None => Ok(()),
    }
}

fn is_loopback_origin(origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    let Ok(uri) = origin.parse::<http::Uri>() else { return false };
    matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(is_loopback_authority)
}

/// With `site.names` only those; without, `localhost` and addresses.
fn known_host(names: &[SiteName], target: &Target<'_>) -> Result<(), Refusal> {
    let Some(host) = target.host else {
        return Err(Refusal::new(Reason::MalformedRequest).because("no Host"));
    };
    let known = if names.is_empty() {
        let bare = host.strip_suffix('.').unwrap_or(host);
        let literal = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        bare.eq_ignore_ascii_case("localhost") || literal.parse::<std::net::IpAddr>().is_ok()
    } else {
        SiteName::find(names, host).is_some()
    };
    if known { Ok(()) } else { Err(Refusal::new(Reason::UnknownHost).because(format!("the Host is {host}"))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(host: &str) -> Target<'_> {
        Target { path: "/", host: Some(host) }
    }

    #[test]
    fn local_mode_refuses_tunnels_and_rebound_names() {
        let with = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_static(value));
            local(&headers, &target("localhost")).is_ok()
        };
        for name in ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-anything"] {
            assert!(!with(name, "x"), "{name}");
        }
        assert!(with("x-real-ip", "1.2.3.4"), "not one of the forwarding headers");
        for (origin, wanted) in [
            ("http://localhost:8080", true),
            ("https://127.0.0.1", true),
            ("http://[::1]:8080", true),
            ("http://evil.example", false),
            ("http://localhost.evil.example", false),
            ("null", false),
            ("file://localhost", false),
        ] {
            assert_eq!(with("origin", origin), wanted, "{origin}");
        }
        assert!(local(&HeaderMap::new(), &target("rebound.example")).is_err());
    }

    #[test]
    fn a_connection_for_another_name_carries_nothing() {
        let names = ["a.example", "b.example"].map(|host| SiteName { host: host.to_owned(), port: None });
        for (names, asked, wanted) in [
            (&names[..], None, true),
            (&names[..], Some("a.example"), true),
            (&names[..], Some("b.example"), true),
            (&names[..], Some("evil.example"), false),
            (&[], Some("localhost"), true),
        ] {
            assert_eq!(same_host(names, asked, &target("a.example")).is_ok(), wanted, "{asked:?}");
        }
    }

    #[test]
    fn only_known_hosts_are_served() {
        let names = [SiteName { host: "chat.example.com".to_owned(), port: Some(8443) }];
        for (names, host, wanted) in [
            (&names[..], "chat.example.com", true),
            (&names[..], "CHAT.example.com", true),
            (&names[..], "chat.example.com.", true),
            (&names[..], "localhost", false),
            (&names[..], "127.0.0.1", false),
            (&names[..], "other.example.com", false),
            (&[], "localhost", true),
            (&[], "192.0.2.7", true),
            (&[], "[2001:db8::1]", true),
            (&[], "chat.example.com", false),
        ] {
            assert_eq!(known_host(names, &target(host)).is_ok(), wanted, "{host}");
        }
    }
}
