//! The header of a request to the model server, built from parts: an allowlist, and what Portico itself knows.

use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::Visit;
use super::models::Served;
use crate::access::{forwarded_chain, is_trusted};

const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");
const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a client may say to the model server, with its longest value. Never a credential, never `Host`.
const ALLOWED: [(&str, usize); 3] = [("user-agent", 256), ("traceparent", 128), ("tracestate", 512)];

/// What is passed on of one request, kept so that the header can be built as often as it is sent.
pub(super) struct Origin {
    allowed: [Option<HeaderValue>; ALLOWED.len()],
    request_id: HeaderValue,
    client: HeaderValue,
    chain: HeaderValue,
    is_tls: bool,
}

impl Origin {
    pub(super) fn of(visit: &Visit<'_>) -> Self {
        let headers = &visit.parts.headers;
        let trusted = &visit.snapshot.config.listen.trusted_proxies;
        let peer = visit.connection.peer();
        let client = text(&visit.client.to_string());
        // Without proxies, which is the rule, the chain is the client.
        let chain =
            if trusted.is_empty() { client.clone() } else { text(&forwarded_chain(peer, headers, trusted)) };
        Self {
            allowed: ALLOWED.map(|(name, longest_bytes)| {
                headers.get(name).filter(|value| value.len() <= longest_bytes).cloned()
            }),
            request_id: visit.context.id.clone(),
            client,
            chain,
            // A trusted proxy in front may be where TLS ended.
            is_tls: visit.connection.is_tls()
                || (is_trusted(peer, trusted)
                    && headers.get(&X_FORWARDED_PROTO).is_some_and(|proto| proto == "https")),
        }
    }

    pub(super) fn headers(&self, served: &Served) -> HeaderMap {
        let Self { allowed, request_id, client, chain, is_tls } = self;
        let mut headers = HeaderMap::with_capacity(12);
        for ((name, _), value) in ALLOWED.iter().zip(allowed) {
            if let Some(value) = value {
                headers.insert(HeaderName::from_static(name), value.clone());
            }
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json, text/event-stream"));
        if let Some(key) = served.api_key() {
            headers.insert(AUTHORIZATION, key);
        }
        headers.insert(X_REQUEST_ID, request_id.clone());
        headers.insert(X_REAL_IP, client.clone());
        headers.insert(X_FORWARDED_FOR, chain.clone());
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(if *is_tls { "https" } else { "http" }));
        headers
    }
}

fn text(value: &str) -> HeaderValue {
    HeaderValue::from_str(value).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}
