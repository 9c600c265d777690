//! What is sent of a call is JSON, and says nothing that was not asked for.

#![no_main]

use libfuzzer_sys::fuzz_target;
use portico::fuzzing::body;
use serde_json::Value;

/// Keys that Portico writes itself.
const OWN: [&str; 9] = [
    "model",
    "max_tokens",
    "max_completion_tokens",
    "max_output_tokens",
    "min_tokens",
    "stream_options",
    "store",
    "thinking",
    "cache_salt",
];

fuzz_target!(|data: &[u8]| {
    let Some((operation, data)) = data.split_first() else { return };
    let Some(sent) = body(*operation, data) else { return };
    let sent: Value = serde_json::from_slice(&sent).expect("what is sent is JSON");
    let asked: Value = serde_json::from_slice(data).expect("what was judged is JSON");
    assert_eq!(sent["model"], "upstream");
    // Control tokens are changed on the way.
    if asked.to_string().contains('<') {
        return;
    }
    for (key, value) in sent.as_object().expect("an object") {
        assert!(OWN.contains(&&**key) || is_part(value, &asked[key]), "{key}: {value} of {}", asked[key]);
    }
});

/// Whether `sent` is `asked`, or what is left of it where keys were left out.
fn is_part(sent: &Value, asked: &Value) -> bool {
    match (sent, asked) {
        // What an assistant has said is a text, also where it refused, or said nothing.
        (Value::Object(sent), Value::Object(asked)) if asked.get("type") == Some(&"refusal".into()) => {
            sent.get("text").or(sent.get("refusal")) == asked.get("refusal")
        }
        (Value::String(sent), Value::Array(asked)) => sent.is_empty() && asked.is_empty(),
        (Value::Object(sent), Value::Object(asked)) => {
            sent.iter().all(|(key, value)| {
                // Annotations are left out, and some readers want the list all the same.
                let is_left_out = key == "annotations" && *value == Value::Array(Vec::new());
                let is_told =
                    key == "type" && value == "message" && asked.get("role") == Some(&"assistant".into());
                is_left_out || is_told || asked.get(key).is_some_and(|asked| is_part(value, asked))
            })
        }
        (Value::Array(sent), Value::Array(asked)) => {
            sent.len() == asked.len() && sent.iter().zip(asked).all(|(sent, asked)| is_part(sent, asked))
        }
        // A picture is written in the one spelling of its head, and without what it tells about its maker.
        // What a tool was called with is no picture, whatever it looks like.
        (Value::String(sent), Value::String(asked)) if is_data_url(asked) => {
            sent.starts_with("data:image/") || sent == asked
        }
        // A document to be ranked is a text, however it was wrapped.
        (Value::String(_), Value::Object(asked)) => asked.get("text") == Some(sent),
        (sent, asked) => sent == asked,
    }
}

fn is_data_url(text: &str) -> bool {
    text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}
