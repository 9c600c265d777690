//! Normal answers of the other APIs: OpenAI's Responses, Anthropic's Messages, and the rankers.

use std::fmt;

use serde_json::{Value, json};

use crate::answer::{Call, Kind};

/// One server-sent event.
pub(crate) struct Event {
    pub(crate) name: Option<&'static str>,
    pub(crate) json: Value,
}

impl fmt::Display for Event {
    /// Without the blank line behind it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.name {
            writeln!(f, "event: {name}")?;
        }
        write!(f, "data: {}", self.json)
    }
}

impl Event {
    fn named(name: &'static str, mut fields: Value) -> Self {
        fields["type"] = json!(name);
        Self { name: Some(name), json: fields }
    }
}

impl Call {
    /// As vLLM does it: the whole answer stands in the first events and in the last.
    pub(crate) fn response_events(&self, model: &str, kept: &[String]) -> Vec<Event> {
        let text = kept.concat();
        let response = |status: &str| json!({ "id": "resp_scripted", "object": "response", "model": model, "status": status, "error": null, "output": [] });
        let item = "msg_scripted";
        let mut events = vec![
            Event::named("response.created", json!({ "response": response("in_progress") })),
            Event::named("response.in_progress", json!({ "response": response("in_progress") })),
            Event::named(
                "response.output_item.added",
                json!({ "output_index": 0, "item": { "type": "message", "id": item, "role": "assistant", "content": [], "status": "in_progress" } }),
            ),
            Event::named(
                "response.content_part.added",
                json!({ "item_id": item, "output_index": 0, "content_index": 0, "part": { "type": "output_text", "text": "", "annotations": [] } }),
            ),
        ];
        events.extend(kept.iter().map(|piece| {
            let fields = json!({ "item_id": item, "output_index": 0, "content_index": 0, "delta": piece, "logprobs": [] });
            Event::named("response.output_text.delta", fields)
        }));
        events.push(Event::named(
            "response.output_text.done",
            json!({ "item_id": item, "output_index": 0, "content_index": 0, "text": text, "logprobs": [] }),
        ));
        let is_cut = self.is_cut(kept);
        let last = if is_cut { "response.incomplete" } else { "response.completed" };
        events.push(Event::named(last, json!({ "response": self.response(model, kept) })));
        for (number, event) in events.iter_mut().enumerate() {
            event.json["sequence_number"] = json!(number);
        }
        events
    }

    pub(crate) fn response(&self, model: &str, kept: &[String]) -> Value {
        let status = if self.is_cut(kept) { "incomplete" } else { "completed" };
        let content = json!([{ "type": "output_text", "text": kept.concat(), "annotations": [] }]);
        json!({
            "id": "resp_scripted", "object": "response", "created_at": 1_700_000_000, "model": model, "status": status, "error": null,
            "output": [{ "type": "message", "id": "msg_scripted", "role": "assistant", "status": status, "content": content }],
            "parallel_tool_calls": true, "tool_choice": "auto", "tools": [],
            "usage": {
                "input_tokens": self.prompt_tokens, "input_tokens_details": { "cached_tokens": 0 },
                "output_tokens": kept.len(), "output_tokens_details": { "reasoning_tokens": 0 },
                "total_tokens": self.prompt_tokens + kept.len(),
            },
        })
    }

    pub(crate) fn message_events(&self, model: &str, kept: &[String]) -> Vec<Event> {
        let mut begun = self.message(model, kept);
        begun["content"] = json!([]);
        begun["stop_reason"] = Value::Null;
        begun["usage"]["output_tokens"] = json!(0);
        let block = json!({ "index": 0, "content_block": { "type": "text", "text": "" } });
        let mut events = vec![
            Event::named("message_start", json!({ "message": begun })),
            Event::named("content_block_start", block),
        ];
        events.extend(kept.iter().map(|piece| {
            let delta = json!({ "type": "text_delta", "text": piece });
            Event::named("content_block_delta", json!({ "index": 0, "delta": delta }))
        }));
        events.push(Event::named("content_block_stop", json!({ "index": 0 })));
        let delta = json!({ "stop_reason": self.stop_reason(kept), "stop_sequence": null });
        let usage = json!({ "output_tokens": kept.len() });
        events.push(Event::named("message_delta", json!({ "delta": delta, "usage": usage })));
        events.push(Event::named("message_stop", json!({})));
        events
    }

    pub(crate) fn message(&self, model: &str, kept: &[String]) -> Value {
        json!({
            "id": "msg_scripted", "type": "message", "role": "assistant", "model": model,
            "content": [{ "type": "text", "text": kept.concat() }],
            "stop_reason": self.stop_reason(kept), "stop_sequence": null,
            "usage": { "input_tokens": self.prompt_tokens, "output_tokens": kept.len() },
        })
    }

    fn stop_reason(&self, kept: &[String]) -> &'static str {
        if self.is_cut(kept) { "max_tokens" } else { "end_turn" }
    }

    pub(crate) fn ranked(&self, model: &str) -> Value {
        let usage = json!({ "prompt_tokens": self.prompt_tokens, "total_tokens": self.prompt_tokens });
        let scores = || (0..self.inputs.len().max(1)).map(|index| (index, 1.0 / (index + 1) as f64));
        if self.kind == Kind::Rerank {
            let results: Vec<_> = scores()
                .map(|(index, score)| json!({ "index": index, "relevance_score": score, "document": { "text": self.inputs.get(index) } }))
                .collect();
            return json!({ "id": "rerank-scripted", "model": model, "results": results, "usage": usage });
        }
        let data: Vec<_> = scores()
            .map(|(index, score)| json!({ "index": index, "object": "score", "score": score }))
            .collect();
        json!({ "id": "score-scripted", "object": "list", "model": model, "data": data, "usage": usage })
    }
}

/// A server's last words in the middle of a stream: text that must not leave.
pub(crate) fn failure(kind: Kind, text: &str, code: usize) -> Event {
    match kind {
        Kind::Messages => {
            Event::named("error", json!({ "error": { "type": "internal_error", "message": text } }))
        }
        Kind::Responses => {
            let error = json!({ "code": "server_error", "message": text });
            let response = json!({ "id": "resp_scripted", "status": "failed", "error": error });
            Event::named("response.failed", json!({ "response": response }))
        }
        _ => {
            let error = json!({ "message": text, "type": "server_error", "param": null, "code": code });
            Event { name: None, json: json!({ "error": error }) }
        }
    }
}

/// The last message of the user among a response's items: its text and its pictures.
pub(crate) fn last_user_item(input: &Value) -> (String, usize) {
    if let Value::String(text) = input {
        return (text.clone(), 0);
    }
    let items = input.as_array().map(Vec::as_slice).unwrap_or_default();
    match items.iter().rfind(|item| item["role"] == "user").map(|item| &item["content"]) {
        Some(Value::String(text)) => (text.clone(), 0),
        Some(Value::Array(parts)) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            (texts.join(" "), parts.iter().filter(|part| part["type"] == "input_image").count())
        }
        _ => (String::new(), 0),
    }
}
