//! One judged call: what the request path needs to know of a body, and the body to send.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use super::Operation;
use super::json::{self, Json, Object};
use super::vision::{self, Pictures, Wanted};
use crate::config::{Limits, Policy};
use crate::reason::{Reason, Refusal};
use crate::types::{Rope, Text, text};

/// Longer than any name that a configuration or a model server gives.
const LONGEST_NAME_BYTES: usize = 512;

/// What the judge must know, as borrowed views of the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) policy: &'a Policy,
}

/// What a body says, once it has been judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CallFacts {
    /// The model as the client asked for it.
    pub(crate) model: Arc<str>,
    pub(crate) stream: bool,
    /// The client itself asked for the usage event of a stream.
    pub(crate) wants_usage: bool,
    pub(crate) images: u32,
    /// What the images will be to the model, as an estimate; those that are still to be fetched are not in it.
    pub(crate) image_tokens: u64,
}

/// Ready to be sent, as often as it takes to reach a model server.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) facts: CallFacts,
    rest: Rope,
    pictures: Pictures,
}

impl Call {
    /// Parses, judges and writes anew. What the model server will read is only what was judged here.
    pub(crate) fn judge(operation: Operation, body: &Bytes, rules: Rules<'_>) -> Result<Self, Refusal> {
        let document = json::parse(body, rules.limits.json_depth).map_err(|error| {
            let error = error.to_string();
            Refusal::new(Reason::InvalidJson).saying(text!(
                "The request body is not valid JSON: {error}.",
                "请求体不是合法的 JSON:{error}。"
            ))
        })?;
        let Json::Object(mut object) = document else {
            return Err(wrong_type("body", &document, Text::fixed("an object", "对象")));
        };
        let mut facts = CallFacts {
            model: model(&object)?.into(),
            stream: flag(&object, "stream")?,
            wants_usage: wants_usage(&object)?,
            images: match operation {
                Operation::Chat => messages(&object, rules.policy)?,
                _ => 0,
            },
            image_tokens: 0,
        };
        content(operation, &object)?;
        choices(&object, rules.policy)?;
        let pictures = match operation {
            Operation::Chat if facts.images > 0 => vision::judge_messages(&mut object, body, rules.policy)?,
            _ => Pictures::default(),
        };
        facts.image_tokens = pictures.tokens;
        if facts.stream {
            let options = Object(vec![(Cow::Borrowed("include_usage"), Json::Bool(true))]);
            object.set("stream_options", Json::Object(options));
        }
        Ok(Self { operation, facts, rest: json::write_rest(&object, "model", body), pictures })
    }

    /// Pictures that have to be fetched before the call can be sent, in their order.
    pub(crate) fn wanted(&self) -> &[Wanted] {
        &self.pictures.wanted
    }

    /// Puts in what was fetched for [`Call::wanted`], each with its media type, once it is judged like any other.
    pub(crate) fn take_fetched(
        &mut self,
        fetched: Vec<(String, Bytes)>,
        policy: &Policy,
    ) -> Result<(), Refusal> {
        let mut fillings = Vec::with_capacity(fetched.len());
        for (wanted, (media_type, bytes)) in std::mem::take(&mut self.pictures.wanted).iter().zip(fetched) {
            let (picture, filling) = vision::inspect_fetched(&media_type, &bytes, policy, &wanted.param)?;
            self.pictures.add(&picture, policy, &wanted.param)?;
            fillings.push(filling);
        }
        self.facts.image_tokens = self.pictures.tokens;
        self.rest.fill(fillings);
        Ok(())
    }

    /// The body for a model server that calls the model by this name.
    pub(crate) fn body(&self, upstream_name: &str) -> Rope {
        let mut head = Vec::with_capacity(upstream_name.len() + 16);
        head.extend_from_slice(b"{\"model\":");
        serde_json::to_writer(&mut head, upstream_name).expect("a string always serialises");
        let mut rope = Rope::default();
        rope.push(Bytes::from(head));
        rope.append(self.rest.clone());
        rope
    }
}

fn model<'o>(object: &'o Object<'_>) -> Result<&'o str, Refusal> {
    match object.find("model") {
        // It stands in the access record, and a record must not be as large as a body.
        Some(Json::String(name)) if name.len() > LONGEST_NAME_BYTES => Err(invalid(
            "model",
            text!(
                "The model's name is longer than {LONGEST_NAME_BYTES} bytes.",
                "模型名称超过 {LONGEST_NAME_BYTES} 字节。"
            ),
        )),
        Some(Json::String(name)) if !name.is_empty() => Ok(name),
        Some(Json::String(_)) | None => Err(invalid(
            "model",
            text!(
                "The field model is missing: say which model should answer.",
                "缺少字段 model:请指明由哪个模型回答。"
            ),
        )),
        Some(other) => Err(wrong_type("model", other, Text::fixed("a string", "字符串"))),
    }
}

fn flag(object: &Object<'_>, key: &'static str) -> Result<bool, Refusal> {
    match object.find(key) {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Bool(value)) => Ok(*value),
        Some(other) => Err(wrong_type(key, other, Text::fixed("true or false", "true 或 false"))),
    }
}

fn wants_usage(object: &Object<'_>) -> Result<bool, Refusal> {
    match object.find("stream_options") {
        None | Some(Json::Null) => Ok(false),
        Some(Json::Object(options)) => match options.find("include_usage") {
            None | Some(Json::Null) => Ok(false),
            Some(Json::Bool(value)) => Ok(*value),
            Some(other) => Err(wrong_type(
                "stream_options.include_usage",
                other,
                Text::fixed("true or false", "true 或 false"),
            )),
        },
        Some(other) => Err(wrong_type("stream_options", other, Text::fixed("an object", "对象"))),
    }
}

/// `n` multiplies the work of one request.
fn choices(object: &Object<'_>, policy: &Policy) -> Result<(), Refusal> {
    let most = u64::from(policy.max_choices);
    match object.find("n") {
        None | Some(Json::Null) => Ok(()),
        Some(Json::Number(n)) if !policy.enabled || n.as_u64().is_some_and(|n| (1..=most).contains(&n)) => {
            Ok(())
        }
        Some(Json::Number(_)) => Err(invalid(
            "n",
            text!("n must be a whole number from 1 to {most} here.", "此处 n 必须是 1 到 {most} 的整数。"),
        )),
        Some(other) => Err(wrong_type("n", other, Text::fixed("a number", "数字"))),
    }
}

fn content(operation: Operation, object: &Object<'_>) -> Result<(), Refusal> {
    let key = match operation {
        Operation::Completions => "prompt",
        Operation::Embeddings => "input",
        _ => return Ok(()),
    };
    match object.find(key) {
        Some(Json::String(_)) => Ok(()),
        Some(Json::Array(items)) if !items.is_empty() => Ok(()),
        None | Some(Json::Array(_) | Json::Null) => {
            Err(invalid(key, text!("The field {key} is missing or empty.", "字段 {key} 缺失或为空。")))
        }
        Some(other) => Err(wrong_type(key, other, Text::fixed("a string or an array", "字符串或数组"))),
    }
}

/// Looks at every part of every message; gives the number of pictures.
fn messages(object: &Object<'_>, policy: &Policy) -> Result<u32, Refusal> {
    let messages = match object.find("messages") {
        Some(Json::Array(messages)) if !messages.is_empty() => messages,
        None | Some(Json::Array(_) | Json::Null) => {
            return Err(invalid(
                "messages",
                text!("The field messages is missing or empty.", "字段 messages 缺失或为空。"),
            ));
        }
        Some(other) => return Err(wrong_type("messages", other, Text::fixed("an array", "数组"))),
    };
    let mut images = 0;
    for (index, message) in messages.iter().enumerate() {
        let Json::Object(message) = message else {
            return Err(wrong_type(format!("messages[{index}]"), message, Text::fixed("an object", "对象")));
        };
        match message.find("content") {
            Some(Json::Array(parts)) => {
                for (position, part) in parts.iter().enumerate() {
                    if policy.enabled {
                        self::part(part, &format!("messages[{index}].content[{position}]"))?;
                    }
                    images +=
                        u32::from(matches!(part, Json::Object(part) if part.find("image_url").is_some()));
                }
            }
            None | Some(Json::String(_) | Json::Null) => {}
            // A single part without its array would be a part that nobody has looked at.
            Some(other) if policy.enabled => {
                let wanted = Text::fixed("a string or an array", "字符串或数组");
                return Err(wrong_type(format!("messages[{index}].content"), other, wanted));
            }
            Some(_) => {}
        }
    }
    let most = policy.max_images;
    if policy.enabled && images > most {
        return Err(invalid(
            "messages",
            text!(
                "There are {images} images in the request; at most {most} are accepted.",
                "请求中有 {images} 张图片,最多接受 {most} 张。"
            ),
        ));
    }
    Ok(images)
}

/// A part is `{type, text}` or `{type, image_url: {url, detail}}` and nothing else: some model servers look at the
/// keys and not at `type`, so a key more is a way around a check. A picture comes inside the request, never as an
/// address: the model server would fetch it from inside the network.
fn part(part: &Json<'_>, at: &str) -> Result<(), Refusal> {
    let Json::Object(part) = part else {
        return Err(wrong_type(at, part, Text::fixed("an object", "对象")));
    };
    let kind = match part.find("type") {
        Some(Json::String(kind)) => kind.as_ref(),
        _ => {
            return Err(invalid(
                format!("{at}.type"),
                text!("A content part needs a type.", "内容片段需要 type 字段。"),
            ));
        }
    };
    let keys = |allowed: &[&str]| {
        part.0.iter().find(|(key, _)| !allowed.contains(&key.as_ref())).map(|(key, _)| key)
    };
    let (extra, value) = match kind {
        "text" => (keys(&["type", "text"]), part.find("text")),
        "image_url" => (keys(&["type", "image_url"]), part.find("image_url")),
        _ => {
            return Err(invalid(
                format!("{at}.type"),
                text!("Content parts may be text or image_url.", "内容片段只能是 text 或 image_url。"),
            ));
        }
    };
    if let Some(key) = extra {
        return Err(invalid(
            format!("{at}.{key}"),
            text!("A part of type {kind} has no field {key}.", "{kind} 类型的片段没有字段 {key}。"),
        ));
    }
    match (kind, value) {
        ("text", Some(Json::String(_))) => Ok(()),
        ("image_url", Some(Json::Object(image))) => match image.find("url") {
            // What it holds is looked at by `vision`.
            Some(Json::String(_)) => Ok(()),
            _ => {
                Err(invalid(format!("{at}.image_url.url"), text!("The image has no url.", "图片缺少 url。")))
            }
        },
        (_, Some(other)) => {
            Err(wrong_type(format!("{at}.{kind}"), other, Text::fixed("of another type", "其他类型")))
        }
        (_, None) => Err(invalid(
            format!("{at}.{kind}"),
            text!("The part has no field {kind}.", "该片段缺少字段 {kind}。"),
        )),
    }
}

fn invalid(param: impl Into<String>, says: Text) -> Refusal {
    Refusal::new(Reason::InvalidValue).param(param).saying(says)
}

fn wrong_type(param: impl Into<String>, found: &Json<'_>, wanted: Text) -> Refusal {
    let (param, kind) = (param.into(), found.kind());
    let (en, zh) = (wanted.en, wanted.zh);
    let says = text!("{param} must be {en}, not {kind}.", "{param} 必须是{zh},而不是 {kind}。");
    Refusal::new(Reason::InvalidValue).param(param).saying(says)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Endpoint, ImageUrls};
    use crate::types::Tongue;

    fn judge(operation: Operation, body: &str) -> Result<Call, Refusal> {
        let limits = Limits {
            body_bytes: 0,
            body_total_bytes: 0,
            header_bytes: 0,
            header_count: 0,
            target_bytes: 0,
            json_depth: 64,
        };
        let policy = Policy {
            enabled: true,
            endpoints: vec![Endpoint::Chat],
            max_choices: 1,
            max_images: 2,
            max_image_bytes: 20 << 20,
            max_image_pixels: 40_000_000,
            image_urls: ImageUrls::Refuse,
            image_url_hosts: Vec::new(),
            strip_metadata: true,
            allow_keys: Vec::new(),
            deny_keys: Vec::new(),
        };
        Call::judge(
            operation,
            &Bytes::copy_from_slice(body.as_bytes()),
            Rules { limits: &limits, policy: &policy },
        )
    }

    fn sent(call: &Call) -> serde_json::Value {
        serde_json::from_slice(&call.body("upstream").to_vec()).unwrap()
    }

    #[test]
    fn a_stream_asks_for_usage_and_remembers_who_wanted_it() {
        let call = judge(
            Operation::Chat,
            r#"{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}"#,
        );
        let call = call.unwrap();
        assert!(call.facts.stream && !call.facts.wants_usage);
        assert_eq!(
            sent(&call),
            serde_json::json!({
                "model": "upstream", "stream": true, "messages": [{"role": "user", "content": "hi"}],
                "stream_options": {"include_usage": true}
            })
        );
        let call = judge(
            Operation::Completions,
            r#"{"prompt":"x","stream_options":{"include_usage":true},"model":"m","stream":true}"#,
        );
        assert!(call.unwrap().facts.wants_usage);
    }

    #[test]
    fn a_plain_call_keeps_its_fields() {
        let call = judge(Operation::Embeddings, r#"{"input":["a"],"model":"m","dimensions":3.5}"#).unwrap();
        assert_eq!(sent(&call), serde_json::json!({"model": "upstream", "input": ["a"], "dimensions": 3.5}));
    }

    #[test]
    fn pictures_are_counted_and_only_taken_inside_the_request() {
        let body =
            |parts: &str| format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}}]}}"#);
        let url = testkit::image::data_url(&testkit::image::named_png("red", 64, 64));
        let picture = format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#);
        let two = judge(Operation::Chat, &body(&format!("{picture},{picture}"))).unwrap();
        assert_eq!((two.facts.images, two.facts.image_tokens), (2, 128));
        for (parts, param) in [
            (format!("{picture},{picture},{picture}"), "messages"),
            (
                r#"{"type":"image_url","image_url":{"url":"http://127.0.0.1/x.png"}}"#.to_owned(),
                "messages[0].content[0].image_url.url",
            ),
            (
                r#"{"type":"text","text":"hi","uuid":"x","image_url":"http://169.254.169.254/"}"#.to_owned(),
                "messages[0].content[0].uuid",
            ),
            (r#"{"image_url":{"url":"data:,"}}"#.to_owned(), "messages[0].content[0].type"),
            (
                r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,AA=="}}"#.to_owned(),
                "messages[0].content[0].image_url.url",
            ),
            (picture.replace("\"}}", "\",\"detail\":\"most\"}}"), "messages[0].content[0].image_url.detail"),
            (picture.replace("\"}}", "\",\"uuid\":\"1\"}}"), "messages[0].content[0].image_url.uuid"),
            (
                r#"{"type":"video_url","video_url":{"url":"data:,"}}"#.to_owned(),
                "messages[0].content[0].type",
            ),
            (
                r#"{"type":"image_url","image_url":"http://x/"}"#.to_owned(),
                "messages[0].content[0].image_url",
            ),
            (r#""loose text""#.to_owned(), "messages[0].content[0]"),
        ] {
            let refusal = judge(Operation::Chat, &body(&parts)).unwrap_err();
            assert_eq!(refusal.reason.status(), 400, "{parts}");
            assert_eq!(refusal.param.as_deref(), Some(param), "{parts}");
        }
    }

    #[test]
    fn a_name_as_long_as_a_body_is_refused() {
        let named = |length| format!(r#"{{"model":"{}","messages":[{{}}]}}"#, "m".repeat(length));
        assert!(judge(Operation::Chat, &named(LONGEST_NAME_BYTES)).is_ok());
        let refusal = judge(Operation::Chat, &named(LONGEST_NAME_BYTES + 1)).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("model"));
    }

    #[test]
    fn wrong_bodies_are_named() {
        for (operation, body, param) in [
            (Operation::Chat, "[]", Some("body")),
            (Operation::Chat, "{", None),
            (Operation::Chat, r#"{"messages":[{}]}"#, Some("model")),
            (Operation::Chat, r#"{"model":7,"messages":[{}]}"#, Some("model")),
            (Operation::Chat, r#"{"model":"m"}"#, Some("messages")),
            (Operation::Chat, r#"{"model":"m","messages":[]}"#, Some("messages")),
            (Operation::Chat, r#"{"model":"m","messages":[3]}"#, Some("messages[0]")),
            (
                Operation::Chat,
                r#"{"model":"m","messages":[{"content":{"type":"image_url","image_url":{"url":"http://x/"}}}]}"#,
                Some("messages[0].content"),
            ),
            (Operation::Chat, r#"{"model":"m","messages":[{}],"stream":"yes"}"#, Some("stream")),
            (Operation::Chat, r#"{"model":"m","messages":[{}],"n":2}"#, Some("n")),
            (Operation::Chat, r#"{"model":"m","messages":[{}],"n":1.0}"#, Some("n")),
            (Operation::Chat, r#"{"model":"m","messages":[{}],"n":"1"}"#, Some("n")),
            (Operation::Chat, r#"{"model":"m","messages":[{}],"stream_options":3}"#, Some("stream_options")),
            (Operation::Completions, r#"{"model":"m"}"#, Some("prompt")),
            (Operation::Embeddings, r#"{"model":"m","input":[]}"#, Some("input")),
        ] {
            let refusal = judge(operation, body).unwrap_err();
            assert_eq!(refusal.reason.status(), 400, "{body}");
            assert_eq!(refusal.param.as_deref(), param, "{body}");
            assert!(refusal.message(Tongue::Chinese).ends_with('。'), "{body}");
        }
    }
}
