//! Pages of other sites that may use the API from a browser (`[cors]`).
//!
//! What is granted stands on every answer of the API, refusals included: without it a page could not read why it was
//! refused. A preflight is answered before anybody is asked who he is, because browsers send it without credentials. Cookies
//! are never granted: another site's page uses an API key.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::config;
use crate::reason::{Reason, Refusal};

#[derive(Debug, Clone)]
pub(crate) struct Cors {
    origins: Vec<String>,
    methods: HeaderValue,
    headers: Names,
    expose: Names,
    max_age: HeaderValue,
}

/// Names of header fields: whole ones, and beginnings of some (`X-Stainless-*`).
#[derive(Debug, Clone)]
struct Names {
    whole: String,
    beginnings: Vec<String>,
}

impl Cors {
    pub(crate) fn new(config: &config::Cors) -> Self {
        let config::Cors { origins, methods, headers, expose, max_age } = config;
        Self {
            origins: origins.clone(),
            methods: value(&methods.join(", ")),
            headers: Names::new(headers),
            expose: Names::new(expose),
            max_age: HeaderValue::from(max_age.as_secs()),
        }
    }

    /// Answers of the API differ by who asks.
    pub(super) fn is_on(&self) -> bool {
        !self.origins.is_empty()
    }

    /// The origin of a request, if it is one of those that may.
    pub(super) fn granted(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut origins = headers.get_all(ORIGIN).iter();
        let origin = origins.next().filter(|_| origins.next().is_none())?;
        let text = origin.to_str().ok()?;
        self.origins.iter().any(|known| known.eq_ignore_ascii_case(text)).then(|| origin.clone())
    }

    /// The answer to a preflight; `None`: the request is none.
    pub(super) fn preflight(&self, parts: &Parts) -> Option<Result<Response<Bytes>, Refusal>> {
        let headers = &parts.headers;
        let is_preflight = self.is_on()
            && parts.method == Method::OPTIONS
            && headers.contains_key(ORIGIN)
            && headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        if self.granted(headers).is_none() {
            let private = format!("cors.origins does not name {:?}", headers.get(ORIGIN));
            return Some(Err(Refusal::new(Reason::OriginRefused).because(private)));
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let wanted = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).iter();
        let wanted = wanted.filter_map(|line| line.to_str().ok()).flat_map(|line| line.split(','));
        let granted = self.headers.with(wanted.map(str::trim));
        let answer = response.headers_mut();
        answer.insert(ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_HEADERS, granted);
        answer.insert(ACCESS_CONTROL_MAX_AGE, self.max_age.clone());
        for name in [ACCESS_CONTROL_REQUEST_METHOD, ACCESS_CONTROL_REQUEST_HEADERS] {
            answer.append(VARY, HeaderValue::from(name));
        }
        Some(Ok(response))
    }

    /// What an answer says to the browser. `granted`: the origin that may read it.
    pub(super) fn sign(&self, granted: Option<&HeaderValue>, answer: &mut HeaderMap) {
        answer.append(VARY, HeaderValue::from(ORIGIN));
        let Some(origin) = granted else { return };
        let expose = self.expose.with(answer.keys().map(http::HeaderName::as_str));
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_EXPOSE_HEADERS, expose);
    }
}

impl Names {
    fn new(names: &[String]) -> Self {
        let (beginnings, whole): (Vec<_>, Vec<_>) = names.iter().partition(|name| name.ends_with('*'));
        let beginnings = beginnings.into_iter().map(|name| name.trim_end_matches('*').to_ascii_lowercase());
        Self {
            whole: whole.into_iter().map(String::as_str).collect::<Vec<_>>().join(", "),
            beginnings: beginnings.collect(),
        }
    }

    /// The whole names, and those of `present` that begin as one of ours: browsers know no beginnings.
    fn with<'n>(&self, present: impl Iterator<Item = &'n str>) -> HeaderValue {
        let mut list = self.whole.clone();
        for name in present.filter(|name| self.beginnings.iter().any(|start| has_prefix(name, start))) {
            if !list.is_empty() {
                list.push_str(", ");
            }
            list.push_str(name);
        }
        value(&list)
    }
}

fn has_prefix(name: &str, start: &str) -> bool {
    name.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start))
}

/// Names and methods were checked to be tokens.
fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::*;

    fn cors(origins: &[&str]) -> Cors {
        let words = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect();
        Cors::new(&config::Cors {
            origins: words(origins),
            methods: words(&["GET", "POST", "OPTIONS"]),
            headers: words(&["Content-Type", "Authorization", "X-Stainless-*"]),
            expose: words(&["X-Request-Id", "X-RateLimit-*"]),
            max_age: Duration::from_secs(17_280_000),
        })
    }

    fn preflight(origin: &str, headers: &str) -> Parts {
        let request = Request::options("/v1/chat/completions")
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(ACCESS_CONTROL_REQUEST_HEADERS, headers);
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_preflight_grants_what_is_named() {
        let cors = cors(&["https://admin.example.com", "https://two.example.com:8443"]);
        let parts = preflight("https://admin.example.com", "content-type,x-stainless-os, x-evil");
        let answer = cors.preflight(&parts).unwrap().unwrap();
        assert_eq!(answer.status(), 204);
        let headers = answer.headers();
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_METHODS], "GET, POST, OPTIONS");
        assert_eq!(headers[ACCESS_CONTROL_ALLOW_HEADERS], "Content-Type, Authorization, x-stainless-os");
        assert_eq!(headers[ACCESS_CONTROL_MAX_AGE], "17280000");
        for origin in [
            "https://evil.example",
            "null",
            "https://admin.example.com.evil.example",
            "http://admin.example.com",
        ] {
            let refused = cors.preflight(&preflight(origin, "")).unwrap().unwrap_err();
            assert_eq!(refused.reason, Reason::OriginRefused, "{origin}");
        }
        assert!(self::cors(&[]).preflight(&parts).is_none(), "without [cors] it is a request like any other");
    }

    #[test]
    fn an_answer_names_one_origin_and_varies() {
        let cors = cors(&["https://admin.example.com"]);
        let mut answer = HeaderMap::new();
        answer.insert("x-ratelimit-limit-requests", HeaderValue::from_static("60"));
        answer.insert("x-other", HeaderValue::from_static("1"));
        let parts = preflight("https://admin.example.com", "");
        cors.sign(cors.granted(&parts.headers).as_ref(), &mut answer);
        assert_eq!(answer[ACCESS_CONTROL_ALLOW_ORIGIN], "https://admin.example.com");
        assert_eq!(answer[ACCESS_CONTROL_EXPOSE_HEADERS], "X-Request-Id, x-ratelimit-limit-requests");
        assert_eq!(answer[VARY], "origin");
        assert!(!answer.contains_key("access-control-allow-credentials"));
        let mut other = HeaderMap::new();
        cors.sign(None, &mut other);
        assert_eq!(other.len(), 1, "others learn only that it varies");
    }
}
