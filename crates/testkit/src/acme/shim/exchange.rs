//! One request and its answer: a fault, the shim's own word, or Pebble's with a little added.

use std::{io, net::SocketAddr};

use serde_json::{Value, json};

use super::{
    Fault, Resource, RetryAfter, Shared,
    fault::{page, problem},
    resource::RENEWAL_INFO,
    server::{Answer, Incoming},
    state,
};
use crate::tls;

/// What becomes of a request.
pub(super) enum Outcome {
    Answer {
        answer: Answer,
        padding_bytes: Option<u64>,
    },
    /// Of the body.
    Half(Answer),
    Close,
    Hang,
}

/// Headers that are about one connection, or about a length that changes here.
const OWN_HEADERS: &[&str] =
    &["connection", "content-length", "transfer-encoding", "accept-encoding", "keep-alive", "host"];

pub(super) async fn handle(shared: &Shared, incoming: Incoming) -> Outcome {
    let (number, fault) = shared.state().note(&incoming);
    let mut padding_bytes = None;
    let mut cut = false;
    let answer = match fault {
        None => answer(shared, &incoming).await,
        Some(Fault::Problem { status, kind, detail, retry_after }) => {
            with_nonce(shared, problem(status, kind, detail, retry_after.as_ref())).await
        }
        Some(Fault::Page { status, retry_after }) => page(status, retry_after.as_ref()),
        Some(Fault::Hang) => return Outcome::Hang,
        Some(Fault::Close) => return Outcome::Close,
        Some(Fault::Slow(time)) => {
            tokio::time::sleep(time).await;
            answer(shared, &incoming).await
        }
        Some(Fault::Padded { bytes }) => {
            padding_bytes = Some(bytes);
            answer(shared, &incoming).await
        }
        Some(Fault::Cut) => {
            cut = true;
            answer(shared, &incoming).await
        }
    };
    shared.state().note_status(number, answer.status);
    if cut { Outcome::Half(answer) } else { Outcome::Answer { answer, padding_bytes } }
}

async fn answer(shared: &Shared, incoming: &Incoming) -> Answer {
    match Resource::of(&incoming.target) {
        Resource::RenewalInfo => renewal_info(shared, &incoming.target),
        Resource::Directory => directory(shared, forwarded(shared, incoming).await),
        Resource::NewOrder => new_order(shared, incoming).await,
        Resource::Order | Resource::Finalize => {
            let mut answer = forwarded(shared, incoming).await;
            if let Some(kept) = shared.state().kept_order(&incoming.target) {
                answer.add(kept);
            }
            answer
        }
        _ => forwarded(shared, incoming).await,
    }
}

fn renewal_info(shared: &Shared, target: &str) -> Answer {
    let state = shared.state();
    let certificate = target.trim_start_matches(RENEWAL_INFO).trim_start_matches('/');
    let Some(renewal) = state.renewals.get(certificate).or(state.renewal.as_ref()) else {
        return problem(404, "malformed", "this authority has no renewal information", None);
    };
    let mut headers = vec![("Content-Type".to_owned(), "application/json".to_owned())];
    headers.extend(renewal.retry_after.as_ref().map(RetryAfter::header));
    Answer { status: 200, headers, body: renewal.body().to_string().into_bytes() }
}

fn directory(shared: &Shared, mut answer: Answer) -> Answer {
    let state = shared.state();
    let mut more = json!({});
    if state.renewal.is_some() || !state.renewals.is_empty() {
        more["renewalInfo"] = format!("{}{RENEWAL_INFO}", shared.origin()).into();
    }
    if !state.profiles.is_empty() {
        more["meta"] = json!({ "profiles": state.profiles });
    }
    answer.add(&more);
    answer
}

async fn new_order(shared: &Shared, incoming: &Incoming) -> Answer {
    let (_, payload) = state::signed(&incoming.body);
    if let Some(profile) = payload["profile"].as_str() {
        let known = {
            let state = shared.state();
            state.profiles.is_empty() || state.profiles.contains_key(profile)
        };
        if !known {
            return with_nonce(shared, problem(400, "invalidProfile", "no such profile", None)).await;
        }
    }
    let mut answer = forwarded(shared, incoming).await;
    if answer.status == 201
        && let Some(location) = answer.header("location")
    {
        let mut state = shared.state();
        state.keep_order(&location, &payload);
        if let Some(kept) = state.kept_order(&location) {
            answer.add(kept);
        }
    }
    answer
}

/// Pebble's answer.
async fn forwarded(shared: &Shared, incoming: &Incoming) -> Answer {
    match forward(shared, &incoming.method, &incoming.target, &incoming.headers, &incoming.body).await {
        Ok(answer) => answer,
        Err(_) => page(502, None),
    }
}

async fn forward(
    shared: &Shared,
    method: &str,
    target: &str,
    headers: &[(String, String)],
    body: &[u8],
) -> io::Result<Answer> {
    let address = SocketAddr::from(([127, 0, 0, 1], shared.pebble_port));
    let mut pebble = tls::connect(address, "localhost", &shared.ca_pem).await?;
    let host = format!("localhost:{}", shared.port);
    let mut sent = vec![("Host", host.as_str())];
    sent.extend(passed_on(headers));
    pebble.request(method, target, &sent, body).await?;
    let answer = pebble.answer().await?;
    let lines = answer.head.lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let headers: Vec<_> = lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    let headers = passed_on(&headers).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    Ok(Answer { status: answer.head.status, headers, body: answer.body })
}

fn passed_on(headers: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    let own = |key: &str| OWN_HEADERS.iter().any(|own| key.eq_ignore_ascii_case(own));
    headers.iter().filter(move |(key, _)| !own(key)).map(|(key, value)| (key.as_str(), value.as_str()))
}

/// Authorities give one with each answer to a signed request, errors too.
async fn with_nonce(shared: &Shared, mut answer: Answer) -> Answer {
    if let Ok(source) = forward(shared, "HEAD", "/nonce-plz", &[], &[]).await
        && let Some(nonce) = source.header("replay-nonce")
    {
        answer.headers.push(("Replay-Nonce".to_owned(), nonce));
    }
    answer
}

impl Answer {
    fn header(&self, name: &str) -> Option<String> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    /// Adds members to a body of JSON that says success; objects are added to objects.
    fn add(&mut self, more: &Value) {
        if !(200..300).contains(&self.status) {
            return;
        }
        if let Ok(mut body) = serde_json::from_slice::<Value>(&self.body) {
            merge(&mut body, more);
            self.body = body.to_string().into_bytes();
        }
    }
}

fn merge(into: &mut Value, more: &Value) {
    match (into, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}
