//! The test kit itself: each fault really happens, seen by a client that looks at bytes; nothing stays behind.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod acme;
mod certbot;
mod dns;
mod faults;
mod models;
mod processes;
mod realtime;
mod record;
mod shim;

use serde_json::{Value, json};
use testkit::{client::Connection, scripted::Scripted};

/// A chat call whose last message is `text`.
fn chat(text: &str, stream: bool) -> Value {
    json!({ "model": "m", "stream": stream, "messages": [{ "role": "user", "content": text }] })
}

/// A connection that has just sent such a call.
async fn asked(server: &Scripted, text: &str, stream: bool) -> Connection {
    let mut connection = server.connect().await;
    connection.post_json("/v1/chat/completions", &chat(text, stream)).await.unwrap();
    connection
}

/// The JSON of an event; null for `[DONE]`.
fn event_json(event: &str) -> Value {
    let data = event.trim().strip_prefix("data:").unwrap_or_else(|| panic!("no data: {event:?}")).trim();
    if data == "[DONE]" { Value::Null } else { serde_json::from_str(data).unwrap() }
}

/// Every event up to the end of the body.
async fn events(connection: &mut Connection) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(event) = connection.event().await.unwrap() {
        events.push(event);
    }
    events
}
