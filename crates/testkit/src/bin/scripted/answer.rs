//! Normal answers in the shapes of OpenAI's first APIs; those of the others stand in `dialect.rs`.

use serde_json::{Value, json};
use testkit::image::base64;

use crate::dialect::{self, Event};

/// Time stamp of every answer: the same call gives the same bytes.
const CREATED: u64 = 1_700_000_000;
const EMBEDDING_DIMENSIONS: usize = 8;

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Kind {
    Chat,
    Completion,
    Embeddings,
    Responses,
    Messages,
    CountTokens,
    Rerank,
    Score,
    Transcription,
}

impl Kind {
    pub(crate) fn of(path: &str) -> Option<Self> {
        Some(match path {
            "/v1/chat/completions" => Self::Chat,
            "/v1/completions" => Self::Completion,
            "/v1/embeddings" => Self::Embeddings,
            "/v1/responses" => Self::Responses,
            "/v1/messages" => Self::Messages,
            "/v1/messages/count_tokens" => Self::CountTokens,
            "/v1/rerank" => Self::Rerank,
            "/v1/score" => Self::Score,
            "/v1/audio/transcriptions" => Self::Transcription,
            _ => return None,
        })
    }

    pub(crate) fn can_stream(self) -> bool {
        matches!(self, Self::Chat | Self::Completion | Self::Responses | Self::Messages)
    }

    /// How many events of a stream come before the first with text.
    pub(crate) fn events_before_text(self) -> usize {
        match self {
            Self::Chat => 1,
            Self::Messages => 2,
            Self::Responses => 4,
            _ => 0,
        }
    }

    /// Behind the last event of a stream.
    pub(crate) fn done(self) -> &'static str {
        if matches!(self, Self::Chat | Self::Completion) { "data: [DONE]\n\n" } else { "" }
    }
}

/// What a request asks for.
pub(crate) struct Call {
    pub(crate) kind: Kind,
    pub(crate) stream: bool,
    include_usage: bool,
    max_tokens: usize,
    model: String,
    /// Text of the last user message, the prompt, or the first input.
    text: String,
    pub(crate) inputs: Vec<String>,
    base64: bool,
    images: usize,
    pub(crate) prompt_tokens: usize,
    /// `response_format` of a transcription.
    format: String,
}

impl Call {
    /// `None`: not one of the calls, or no JSON object (no form, for a transcription).
    pub(crate) fn read(path: &str, body: &[u8]) -> Option<Self> {
        let kind = Kind::of(path)?;
        if kind == Kind::Transcription {
            return Self::transcription(body);
        }
        let body: Value = serde_json::from_slice(body).ok()?;
        body.as_object()?;
        let first = |key: &str| (strings(&body[key]).into_iter().next().unwrap_or_default(), 0);
        let (text, images) = match kind {
            Kind::Chat | Kind::Messages | Kind::CountTokens => last_user_message(&body["messages"]),
            Kind::Responses => dialect::last_user_item(&body["input"]),
            Kind::Completion => first("prompt"),
            Kind::Embeddings | Kind::Transcription => first("input"),
            Kind::Rerank => first("query"),
            Kind::Score => first("text_1"),
        };
        let inputs = match kind {
            Kind::Rerank => strings(&body["documents"]),
            Kind::Score => strings(&body["text_2"]),
            _ => strings(&body["input"]),
        };
        let limit = [&body["max_completion_tokens"], &body["max_tokens"], &body["max_output_tokens"]]
            .into_iter()
            .find_map(Value::as_u64);
        Some(Self {
            kind,
            stream: body["stream"] == true,
            include_usage: body["stream_options"]["include_usage"] == true,
            max_tokens: limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX),
            model: body["model"].as_str().unwrap_or_default().to_owned(),
            inputs,
            base64: body["encoding_format"] == "base64",
            prompt_tokens: text.split_whitespace().count() + images,
            text,
            images,
            format: String::new(),
        })
    }

    /// A form, read as simply as can be: its first line is the boundary, and what is not text is the file.
    fn transcription(body: &[u8]) -> Option<Self> {
        let boundary = &body[..memchr::memmem::find(body, b"\r\n")?];
        let delimiter = [b"\r\n", boundary].concat();
        let field = |name: &str| {
            let head = format!("Content-Disposition: form-data; name=\"{name}\"");
            let start = memchr::memmem::find(body, head.as_bytes())?;
            let start = start + memchr::memmem::find(&body[start..], b"\r\n\r\n")? + 4;
            let length = memchr::memmem::find(&body[start..], &delimiter)?;
            Some(&body[start..start + length])
        };
        let text = |name: &str| field(name).map(|value| String::from_utf8_lossy(value).into_owned());
        let file = field("file")?;
        Some(Self {
            kind: Kind::Transcription,
            stream: false,
            include_usage: false,
            max_tokens: usize::MAX,
            model: text("model")?,
            text: text("prompt").unwrap_or_else(|| format!("{} bytes", file.len())),
            inputs: Vec::new(),
            base64: false,
            images: 0,
            prompt_tokens: 0,
            format: text("response_format").unwrap_or_default(),
        })
    }

    /// What kind of text the answer is.
    pub(crate) fn content_type(&self) -> &'static str {
        if matches!(self.format.as_str(), "text" | "srt" | "vtt") { "text/plain" } else { "application/json" }
    }

    /// The fault this call asks for, without `fault:`.
    pub(crate) fn fault(&self) -> Option<&str> {
        [&self.model, &self.text].into_iter().find_map(|text| text.trim().strip_prefix("fault:"))
    }

    /// The normal answer, in the pieces in which it is streamed.
    pub(crate) fn pieces(&self) -> Vec<String> {
        let images = match self.images {
            0 => String::new(),
            1 => " (1 image)".into(),
            many => format!(" ({many} images)"),
        };
        words(&format!("You said: {}{images}", self.text))
    }

    fn finish_reason(&self, pieces: &[String]) -> &'static str {
        if pieces.len() > self.max_tokens { "length" } else { "stop" }
    }

    fn usage(&self, completion_tokens: usize) -> Value {
        json!({
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
        })
    }

    /// Whether the limit has cut the answer.
    pub(crate) fn is_cut(&self, kept: &[String]) -> bool {
        kept.len() >= self.max_tokens
    }

    /// Every event of a stream but `[DONE]`. Of a chat: the role, the pieces, the reason of the end, and the usage
    /// where it was asked for.
    pub(crate) fn events(&self, model: &str, pieces: &[String]) -> Vec<Event> {
        let kept = &pieces[..pieces.len().min(self.max_tokens)];
        match self.kind {
            Kind::Responses => return self.response_events(model, kept),
            Kind::Messages => return self.message_events(model, kept),
            _ => {}
        }
        let object = if self.kind == Kind::Chat { "chat.completion.chunk" } else { "text_completion" };
        let event = |choices: Value| json!({ "id": "scripted-1", "object": object, "created": CREATED, "model": model, "choices": choices });
        let choice = |delta: Value, text: &str, reason: Value| match self.kind {
            Kind::Chat => event(json!([{ "index": 0, "delta": delta, "finish_reason": reason }])),
            _ => event(json!([{ "index": 0, "text": text, "finish_reason": reason }])),
        };
        let mut events = Vec::new();
        if self.kind == Kind::Chat {
            events.push(choice(json!({ "role": "assistant", "content": "" }), "", Value::Null));
        }
        events.extend(kept.iter().map(|piece| choice(json!({ "content": piece }), piece, Value::Null)));
        events.push(choice(json!({}), "", json!(self.finish_reason(pieces))));
        if self.include_usage {
            let mut last = event(json!([]));
            last["usage"] = self.usage(kept.len());
            events.push(last);
        }
        events.into_iter().map(|json| Event { name: None, json }).collect()
    }

    /// The answer of a call that does not stream.
    pub(crate) fn json(&self, model: &str, pieces: &[String]) -> String {
        if self.kind == Kind::Transcription {
            let text = pieces.concat();
            return match self.format.as_str() {
                "text" => text,
                "srt" => format!("1\n00:00:00,000 --> 00:00:01,000\n{text}\n"),
                "vtt" => format!("WEBVTT\n\n00:00.000 --> 00:01.000\n{text}\n"),
                _ => json!({ "text": text, "usage": { "type": "duration", "seconds": 1 } }).to_string(),
            };
        }
        let kept = &pieces[..pieces.len().min(self.max_tokens)];
        match self.kind {
            Kind::Embeddings => return self.embeddings(model),
            Kind::Responses => return self.response(model, kept).to_string(),
            Kind::Messages => return self.message(model, kept).to_string(),
            Kind::CountTokens => return json!({ "input_tokens": self.prompt_tokens }).to_string(),
            Kind::Rerank | Kind::Score => return self.ranked(model).to_string(),
            Kind::Chat | Kind::Completion | Kind::Transcription => {}
        }
        let text = kept.concat();
        let reason = self.finish_reason(pieces);
        let (object, choice) = if self.kind == Kind::Chat {
            let message = json!({ "role": "assistant", "content": text });
            ("chat.completion", json!({ "index": 0, "message": message, "finish_reason": reason }))
        } else {
            ("text_completion", json!({ "index": 0, "text": text, "finish_reason": reason }))
        };
        json!({
            "id": "scripted-1", "object": object, "created": CREATED, "model": model,
            "choices": [choice], "usage": self.usage(kept.len()),
        })
        .to_string()
    }

    fn embeddings(&self, model: &str) -> String {
        let data: Vec<_> = self
            .inputs
            .iter()
            .enumerate()
            .map(|(index, input)| {
                let vector = embedding(input);
                // OpenAI's Python client asks for base64 unless told otherwise.
                let value = if self.base64 {
                    json!(base64(&vector.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>()))
                } else {
                    json!(vector)
                };
                json!({ "object": "embedding", "index": index, "embedding": value })
            })
            .collect();
        let tokens: usize = self.inputs.iter().map(|input| input.split_whitespace().count()).sum();
        let usage = json!({ "prompt_tokens": tokens, "total_tokens": tokens });
        json!({ "object": "list", "model": model, "data": data, "usage": usage }).to_string()
    }
}

/// `GET /v1/models`, as vLLM answers it.
pub(crate) fn models(model: &str, owner: &str) -> String {
    let entry = json!({
        "id": model, "object": "model", "created": CREATED, "owned_by": owner, "max_model_len": 4096,
    });
    json!({ "object": "list", "data": [entry] }).to_string()
}

/// An error in OpenAI's shape.
pub(crate) fn error(status: u16, message: &str) -> String {
    let kind = if status < 500 { "invalid_request_error" } else { "server_error" };
    json!({ "error": { "message": message, "type": kind, "param": null, "code": status } }).to_string()
}

/// `count` short words, one event each.
pub(crate) fn numbered(count: usize) -> Vec<String> {
    (1..=count).map(|number| format!("word{number} ")).collect()
}

/// Words with the blank that follows them: joined, they are the text.
pub(crate) fn words(text: &str) -> Vec<String> {
    text.split_inclusive(' ').map(str::to_owned).collect()
}

fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => Vec::new(),
    }
}

fn last_user_message(messages: &Value) -> (String, usize) {
    let user = messages.as_array().and_then(|list| list.iter().rfind(|message| message["role"] == "user"));
    match user.map(|message| &message["content"]) {
        Some(Value::String(text)) => (text.clone(), 0),
        Some(Value::Array(parts)) => {
            let texts: Vec<_> = parts.iter().filter_map(|part| part["text"].as_str()).collect();
            (
                texts.join(" "),
                parts.iter().filter(|part| part["type"] == "image_url" || part["type"] == "image").count(),
            )
        }
        _ => (String::new(), 0),
    }
}

/// A vector that depends on the text and on nothing else.
fn embedding(text: &str) -> [f32; EMBEDDING_DIMENSIONS] {
    let mut vector = [0.125; EMBEDDING_DIMENSIONS];
    for (index, byte) in text.bytes().enumerate() {
        vector[index % EMBEDDING_DIMENSIONS] += f32::from(byte) / 256.0;
    }
    vector
}
