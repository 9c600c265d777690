//! What the shim was told, and what it has seen.

use std::{
    collections::BTreeMap,
    time::{Instant, SystemTime},
};

use serde_json::{Value, json};

use super::{Fault, Resource, RetryAfter, server::Incoming};

/// One request, as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub resource: Resource,
    pub method: String,
    pub target: String,
    pub at: Instant,
    pub user_agent: Option<String>,
    /// What was signed. Null for a request without a body, and for `POST-as-GET`.
    pub payload: Value,
    /// The signature's head: `kid` or `jwk`, `nonce`, `url`.
    pub protected: Value,
    pub fault: Option<Fault>,
    /// `None`: it has none, or not yet.
    pub status: Option<u16>,
}

/// RFC 9773's answer.
#[derive(Clone, Debug)]
pub struct Renewal {
    pub start: SystemTime,
    pub end: SystemTime,
    pub explanation_url: Option<&'static str>,
    /// The RFC demands one; clients have to live without.
    pub retry_after: Option<RetryAfter>,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) faults: BTreeMap<Resource, Active>,
    pub(super) renewal: Option<Renewal>,
    pub(super) renewals: BTreeMap<String, Renewal>,
    pub(super) profiles: BTreeMap<String, String>,
    pub(super) requests: Vec<Request>,
    /// How many requests there were before the first of `requests`.
    pub(super) forgotten: usize,
    /// By the order's own part of its URL: what its answers say beside Pebble's own.
    orders: BTreeMap<String, Value>,
}

pub(super) struct Active {
    fault: Fault,
    /// `None`: for ever.
    left: Option<u32>,
}

impl Renewal {
    /// With the usual six hours up to the next question.
    #[must_use]
    pub fn between(start: SystemTime, end: SystemTime) -> Self {
        Self { start, end, explanation_url: None, retry_after: Some(RetryAfter::Seconds(6 * 60 * 60)) }
    }

    pub(super) fn body(&self) -> Value {
        let mut body =
            json!({ "suggestedWindow": { "start": rfc3339(self.start), "end": rfc3339(self.end) } });
        if let Some(url) = self.explanation_url {
            body["explanationURL"] = url.into();
        }
        body
    }
}

impl State {
    pub(super) fn set_fault(&mut self, resources: &[Resource], fault: &Fault, left: Option<u32>) {
        for resource in resources {
            self.faults.insert(*resource, Active { fault: fault.clone(), left });
        }
    }

    /// Notes a request; its number, and the fault that it is to meet.
    pub(super) fn note(&mut self, incoming: &Incoming) -> (usize, Option<Fault>) {
        let resource = Resource::of(&incoming.target);
        let fault = self.take_fault(resource);
        let (protected, payload) = signed(&incoming.body);
        self.requests.push(Request {
            resource,
            method: incoming.method.clone(),
            target: incoming.target.clone(),
            at: Instant::now(),
            user_agent: incoming.header("user-agent").map(str::to_owned),
            payload,
            protected,
            fault: fault.clone(),
            status: None,
        });
        (self.forgotten + self.requests.len() - 1, fault)
    }

    pub(super) fn note_status(&mut self, number: usize, status: u16) {
        let index = number.checked_sub(self.forgotten);
        if let Some(request) = index.and_then(|index| self.requests.get_mut(index)) {
            request.status = Some(status);
        }
    }

    fn take_fault(&mut self, resource: Resource) -> Option<Fault> {
        let active = self.faults.get_mut(&resource)?;
        if let Some(left) = &mut active.left {
            *left = left.checked_sub(1)?;
        }
        Some(active.fault.clone())
    }

    /// Keeps what an order was asked with and Pebble does not say again.
    pub(super) fn keep_order(&mut self, location: &str, payload: &Value) {
        let mut kept = json!({});
        for member in ["replaces", "profile"] {
            if let Some(value) = payload.get(member) {
                kept[member] = value.clone();
            }
        }
        self.orders.insert(last_part(location).to_owned(), kept);
    }

    /// What was kept, by any URL of the order's.
    pub(super) fn kept_order(&self, target: &str) -> Option<&Value> {
        self.orders.get(last_part(target))
    }
}

fn last_part(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or_default()
}

/// The protected head and the payload of a JWS in its flattened form (RFC 7515); nulls for what is none.
pub(super) fn signed(body: &[u8]) -> (Value, Value) {
    let jws: Value = serde_json::from_slice(body).unwrap_or_default();
    let part = |name: &str| {
        let bytes = base64_simd::URL_SAFE_NO_PAD.decode_to_vec(jws[name].as_str()?).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    (part("protected").unwrap_or_default(), part("payload").unwrap_or_default())
}

fn rfc3339(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time);
    time.unwrap_or_else(|error| panic!("no date for a window: {error}")).to_string()
}
