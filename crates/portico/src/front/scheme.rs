//! https or not: what is sent on to https, what is refused over plain http, and what browsers are told to remember.

use http::header::{CACHE_CONTROL, HOST, LOCATION};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::Visit;
use super::normalize::Target;
use crate::access::is_trusted;
use crate::config::{Config, SiteName};
use crate::reason::{Reason, Refusal};

impl Visit<'_> {
    /// Over TLS, or over a trusted proxy in front that says TLS ended there.
    pub(super) fn is_secure(&self) -> bool {
        let says_https = || self.parts.headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
        self.connection.tls().is_some()
            || (is_trusted(self.connection.peer(), &self.snapshot.config.listen.trusted_proxies)
                && says_https())
    }

    /// Plain http on a site that has https, where that is not wanted.
    fn is_to_be_secure(&self) -> bool {
        let config = &self.snapshot.config;
        config.tls.redirect && config.has_https() && !self.is_secure()
    }

    /// Programs are not sent on: they would repeat the call, with its key, in the clear every time.
    pub(super) fn needs_https(&self) -> Result<(), Refusal> {
        if self.is_to_be_secure() { Err(Reason::HttpsRequired.into()) } else { Ok(()) }
    }

    /// Where a page that was asked for in the clear is.
    pub(super) fn https_elsewhere(&self, target: &Target<'_>) -> Option<Response<bytes::Bytes>> {
        if !self.is_to_be_secure() {
            return None;
        }
        let host = target.host?;
        let query = self.parts.uri.query();
        let location = location(&self.snapshot.config.site.names, host, self.parts.uri.path(), query);
        let mut response = Response::new(bytes::Bytes::new());
        *response.status_mut() = match self.parts.method {
            Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
            // Clients may make a GET of anything else behind a 301 (RFC 9110, 15.4.2).
            _ => StatusCode::PERMANENT_REDIRECT,
        };
        // A path that was parsed and a host that is known are always a header's value.
        let location = HeaderValue::try_from(location).ok()?;
        response.headers_mut().insert(LOCATION, location);
        // A browser that keeps it for ever could not come back when https is given up.
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=3600"));
        Some(response)
    }
}

/// The port is the one that people use, which need not be the one that is bound: only `site.names` knows it.
fn location(names: &[SiteName], host: &str, path: &str, query: Option<&str>) -> String {
    let name = SiteName::find(names, host);
    let mut location = format!("https://{}", name.map_or(host, |name| &name.host));
    if let Some(port) = name.and_then(|name| name.port).filter(|port| *port != 443) {
        location.push_str(&format!(":{port}"));
    }
    location.push_str(path);
    if let Some(query) = query {
        location.push('?');
        location.push_str(query);
    }
    location
}

/// `Strict-Transport-Security` (RFC 6797), made once for a configuration.
pub(crate) fn strict_transport_security(config: &Config) -> Option<HeaderValue> {
    let seconds = config.tls.hsts.as_secs();
    let from_public_authority =
        config.tls.issuer.is_acme() || config.tls.issuer == crate::config::Issuer::Files;
    if seconds == 0 || !config.has_https() || !from_public_authority {
        return None;
    }
    HeaderValue::try_from(format!("max-age={seconds}")).ok()
}

/// It is for names only (RFC 6797, 8.1.1), and only where it came over https: anybody could have written it otherwise.
pub(super) fn is_for_a_name(names: &[SiteName], headers: &HeaderMap, uri: &http::Uri) -> bool {
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).or_else(|| uri.host());
    let host = host.and_then(|host| host.split(':').next());
    host.is_some_and(|host| SiteName::find(names, host).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_that_of_the_name_and_never_the_bound_one() {
        let name = |host: &str, port| SiteName { host: host.to_owned(), port };
        let names = [
            name("chat.example.com", None),
            name("lab.example.com", Some(8443)),
            name("x.example", Some(443)),
        ];
        for (host, path, query, wanted) in [
            ("chat.example.com", "/", None, "https://chat.example.com/"),
            ("CHAT.example.com.", "/a%20b", Some("q=%0d%0a"), "https://chat.example.com/a%20b?q=%0d%0a"),
            ("lab.example.com", "/x", Some(""), "https://lab.example.com:8443/x?"),
            ("x.example", "/", None, "https://x.example/"),
            ("192.0.2.7", "/", None, "https://192.0.2.7/"),
            ("[2001:db8::1]", "//evil.example/", None, "https://[2001:db8::1]//evil.example/"),
        ] {
            assert_eq!(location(&names, host, path, query), wanted);
        }
    }
}
