//! The header of a request to the model server, built from parts: an allowlist, and what Portico itself knows.

use std::net::IpAddr;

use http::{HeaderName, HeaderValue};

use super::Visit;
use super::models::Served;
use crate::access::forwarded_chain;

pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What a client may say to the model server, with its longest value. Never a credential, never `Host`.
const ALLOWED: [(&str, usize); 3] = [("user-agent", 256), ("traceparent", 128), ("tracestate", 512)];

/// What is passed on of one request, kept so that the header can be built as often as it is sent.
pub(super) struct Origin {
    allowed: [Option<HeaderValue>; ALLOWED.len()],
    request_id: HeaderValue,
    client: IpAddr,
    /// Where trusted proxies are; without them, which is the rule, the chain is the client.
    chain: Option<String>,
    is_tls: bool,
}

impl Origin {
    pub(super) fn of(visit: &Visit<'_>) -> Self {
        let headers = &visit.parts.headers;
        let trusted = &visit.snapshot.config.listen.trusted_proxies;
        let peer = visit.connection.peer();
        Self {
            allowed: ALLOWED.map(|(name, longest_bytes)| {
                headers.get(name).filter(|value| value.len() <= longest_bytes).cloned()
            }),
            request_id: visit.context.id.clone(),
            client: visit.client,
            chain: (!trusted.is_empty()).then(|| forwarded_chain(peer, headers, trusted)),
            is_tls: visit.is_secure(),
        }
    }

    pub(super) const fn is_tls(&self) -> bool {
        self.is_tls
    }

    /// Appends the lines; `content_type` where there is a body, and an answer with one is expected. No value can hold a line end: those of the client's come from a parsed header, which
    /// has none, and the others are addresses and words of ours.
    pub(super) fn write(&self, served: &Served, content_type: Option<&str>, out: &mut Vec<u8>) {
        let Self { allowed, request_id, client, chain, is_tls } = self;
        let mut line = |name: &str, value: &[u8]| {
            for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(piece);
            }
        };
        if let Some(content_type) = content_type {
            line("content-type", content_type.as_bytes());
            line("accept", b"application/json, text/event-stream");
        }
        for ((name, _), value) in ALLOWED.iter().zip(allowed) {
            if let Some(value) = value {
                line(name, value.as_bytes());
            }
        }
        if let Some(key) = served.api_key() {
            line("authorization", key.as_bytes());
        }
        line("x-request-id", request_id.as_bytes());
        let client = client.to_string();
        line("x-real-ip", client.as_bytes());
        line("x-forwarded-for", chain.as_ref().unwrap_or(&client).as_bytes());
        line("x-forwarded-proto", if *is_tls { b"https" } else { b"http" });
    }
}
