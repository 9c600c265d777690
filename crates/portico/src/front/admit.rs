//! May this request come in, and who is it: the rules of the mode, the host, then networks and identity.

use http::header::{FORWARDED, HOST, ORIGIN, USER_AGENT, VIA};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::Visit;
use super::normalize::Target;
use crate::access::{
    Attempt, Caller, Credential, Entrance, Identified, Judged, Place, Surface, credential,
    is_loopback_authority,
};
use crate::config::SiteName;
use crate::observe::Record;
use crate::reason::{Reason, Refusal};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether this is a host that is served here, for this connection.
pub(super) fn host(visit: &Visit<'_>, target: &Target<'_>) -> Result<(), Refusal> {
    let snapshot = visit.snapshot;
    if visit.is_local() {
        return local(&visit.parts.headers, target);
    }
    let names = &snapshot.config.site.names;
    known_host(names, target)?;
    let asked = visit.connection.tls().and_then(|tls| tls.server_name.as_deref());
    same_host(names, asked, target)
}

/// Networks first, then who it is, where that is asked. Waits where a password has to be verified.
pub(super) async fn enter(
    visit: &Visit<'_>,
    surface: Surface,
    record: &mut Record,
) -> Result<Caller, Refusal> {
    let rules = &visit.snapshot.access;
    let place = if visit.is_local() { Place::Here } else { rules.place(visit.client) };
    let asks = rules.asks_who(place, surface);
    admit(visit, place, surface, asks, record).await
}

/// Whoever has come in, for what only concerns himself: by his credential, whatever the scope, or by his address.
pub(super) async fn known(visit: &Visit<'_>, record: &mut Record) -> Result<Caller, Refusal> {
    if visit.is_local() {
        return Ok(Caller::default());
    }
    let place = visit.snapshot.access.place(visit.client);
    admit(visit, place, Surface::Api, true, record).await
}

async fn admit(
    visit: &Visit<'_>,
    place: Place,
    surface: Surface,
    asks: bool,
    record: &mut Record,
) -> Result<Caller, Refusal> {
    let Identified { shown, caller } = if asks { identify(visit).await? } else { Identified::nobody() };
    if visit.snapshot.access.decide(visit.client, place, surface, &shown)? != Entrance::Identity {
        return Ok(Caller::default());
    }
    // A browser sends the cookie along with whatever any page makes it send.
    if caller.session().is_some() && !is_safe(&visit.parts.method) {
        own_page(visit)?;
    }
    record.identity = caller.identity().cloned();
    Ok(caller)
}

async fn identify(visit: &Visit<'_>) -> Result<Identified, Refusal> {
    let credential = credential(&visit.parts.headers, visit.is_secure())?;
    Ok(match credential {
        // On the heap: few requests wait for a password, and every stream would carry the room for it.
        Credential::Basic { name, password } => {
            match Box::pin(by_password(visit, name, password, true)).await {
                Judged::Right { person, .. } => Identified::somebody(Caller::Password(person)),
                judged => Identified::wrong(judged.refusal(visit.client)),
            }
        }
        other => visit.door.accounts.authenticator().identify(&other, visit.client),
    })
}

/// `is_basic`: it came with the request; pages log in and make a record of that.
pub(super) async fn by_password(
    visit: &Visit<'_>,
    name: String,
    password: Vec<u8>,
    is_basic: bool,
) -> Judged {
    let accounts = &visit.door.accounts;
    if let Some(person) = accounts.authenticator().remembered(&name, &password) {
        return Judged::Right { person, is_first: false };
    }
    let basic = is_basic.then(|| agent(visit));
    accounts.judge(Attempt { name, password, address: visit.client, basic }).await
}

const fn is_safe(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// Refuses what another site's page made a browser send: by Fetch Metadata where there is some, by the Origin otherwise.
/// Browsers send one of them with everything that changes something; what has neither comes from a program.
pub(super) fn own_page(visit: &Visit<'_>) -> Result<(), Refusal> {
    let headers = &visit.parts.headers;
    if let Some(site) = headers.get(SEC_FETCH_SITE) {
        return match site.as_bytes() {
            b"same-origin" | b"none" => Ok(()),
            _ => Err(Refusal::new(Reason::OriginRefused).because(format!("Sec-Fetch-Site is {site:?}"))),
        };
    }
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = visit.parts.uri.authority().map(http::uri::Authority::as_str).or(host);
    own_origin(headers, host, visit.is_secure())
}

/// The page that a browser names has to be this site's own. Programs name none.
pub(super) fn own_origin(headers: &HeaderMap, host: Option<&str>, is_secure: bool) -> Result<(), Refusal> {
    let mut origins = headers.get_all(ORIGIN).into_iter();
    let Some(origin) = origins.next() else { return Ok(()) };
    let refused = || Refusal::new(Reason::OriginRefused).because(format!("the Origin is {origin:?}"));
    let host = host.ok_or_else(refused)?;
    let (scheme, authority) =
        origin.to_str().ok().and_then(|origin| origin.split_once("://")).ok_or_else(refused)?;
    let default_port = match scheme {
        "https" => ":443",
        // A page that somebody on the way could have written.
        "http" if !is_secure => ":80",
        _ => return Err(refused()),
    };
    let bare =
        |authority: &str| authority.strip_suffix(default_port).unwrap_or(authority).to_ascii_lowercase();
    match origins.next() {
        None if bare(authority) == bare(host) => Ok(()),
        _ => Err(refused()),
    }
}

/// As the client calls itself, cut.
pub(super) fn agent(visit: &Visit<'_>) -> String {
    let agent = visit.parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
    agent.unwrap_or_default().chars().take(200).collect()
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

    fn origins(list: &[&str]) -> HeaderMap {
        list.iter().map(|origin| (ORIGIN, HeaderValue::from_str(origin).unwrap())).collect()
    }

    #[test]
    fn pages_of_other_sites_stay_out() {
        for (host, origin, is_tls, wanted) in [
            ("chat.example.com", "https://chat.example.com", true, true),
            ("chat.example.com", "https://CHAT.example.com:443", true, true),
            ("chat.example.com:443", "https://chat.example.com", true, true),
            ("chat.example.com", "https://chat.example.com", false, true),
            ("localhost:8080", "http://localhost:8080", false, true),
            ("192.0.2.1", "http://192.0.2.1:80", false, true),
            ("chat.example.com", "http://chat.example.com", true, false),
            ("chat.example.com", "https://chat.example.com:8443", true, false),
            ("localhost:8080", "http://localhost:3000", false, false),
            ("chat.example.com", "https://evil.example", true, false),
            ("chat.example.com", "https://chat.example.com.evil.example", true, false),
            ("chat.example.com", "https://chat.example.com/", true, false),
            ("chat.example.com", "null", true, false),
            ("chat.example.com", "file://chat.example.com", false, false),
            ("chat.example.com", "chat.example.com", false, false),
        ] {
            let found = own_origin(&origins(&[origin]), Some(host), is_tls).is_ok();
            assert_eq!(found, wanted, "{origin} at {host}");
        }
        assert!(own_origin(&origins(&["http://a", "http://a"]), Some("a"), false).is_err());
        assert!(own_origin(&HeaderMap::new(), None, true).is_ok());
    }
}
