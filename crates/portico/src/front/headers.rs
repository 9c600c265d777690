//! The header of a request to the model server, built from parts: an allowlist, and what Portico itself knows.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Visit;
use super::models::Served;
use crate::access::forwarded_chain;

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a client may say to the model server, with its longest value. Never a credential, never `Host`.
const ALLOWED: &[(&str, usize)] = &[("user-agent", 256), ("traceparent", 128), ("tracestate", 512)];

pub(super) fn forwarded(visit: &Visit<'_>, served: &Served) -> HeaderMap {
    let client = &visit.parts.headers;
    let trusted = &visit.snapshot.config.listen.trusted_proxies;
    let mut headers = HeaderMap::with_capacity(12);
    for (name, longest_bytes) in ALLOWED {
        if let Some(value) = client.get(*name).filter(|value| value.len() <= *longest_bytes) {
            headers.insert(HeaderName::from_static(name), value.clone());
        }
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
    if let Some(key) = served.api_key() {
        headers.insert(AUTHORIZATION, key);
    }
    headers.insert(X_REQUEST_ID, text(visit.context.id_text()));
    headers.insert(X_REAL_IP, text(&visit.client.to_string()));
    headers.insert(X_FORWARDED_FOR, text(&forwarded_chain(visit.connection.peer(), client, trusted)));
    headers.insert(
        X_FORWARDED_PROTO,
        HeaderValue::from_static(if visit.connection.is_tls() { "https" } else { "http" }),
    );
    headers
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
