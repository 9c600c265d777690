//! The paths under `/_scripted/`, with which a test looks in and sets faults.

use serde_json::{Value, json};

use crate::{connection::Head, fault::Fault, record::State};

/// Status and JSON of a control request.
pub(crate) fn answer(state: &State, head: &Head, body: &[u8]) -> (u16, Value) {
    match (head.method.as_str(), head.path.as_str()) {
        ("GET", "/_scripted/requests") => (200, state.requests_json()),
        ("DELETE", "/_scripted/requests") => {
            state.clear();
            (200, json!({}))
        }
        ("GET", "/_scripted/connections") => (200, state.connections_json()),
        ("PUT", "/_scripted/fault") => preset(state, body, false),
        ("PUT", "/_scripted/fault/all") => preset(state, body, true),
        _ => (404, json!({ "error": "no such control path" })),
    }
}

fn preset(state: &State, body: &[u8], for_all: bool) -> (u16, Value) {
    let text = String::from_utf8_lossy(body);
    let text = text.trim().trim_start_matches("fault:");
    match Fault::parse(text) {
        // A fault that is misspelt must not become a normal answer: the test would prove nothing.
        Err(problem) => (400, json!({ "error": problem })),
        Ok(_) => {
            state.set_preset(text, for_all);
            (200, json!({}))
        }
    }
}
