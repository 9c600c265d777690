//! Realtime sessions: what a client may say over its WebSocket, and what it gets to hear of the model server. Pure.
//!
//! vLLM's protocol: sound goes in as events that hold base64, text comes out. Each event is parsed as strictly as any
//! body and written anew. `docs/realtime.md` has the table.

use base64_simd::STANDARD;
use bytes::Bytes;
use http::StatusCode;
use serde_json::value::RawValue;

use super::body::Body;
use super::json::{self, Json, Object};
use super::judge::{At, flag, invalid, missing, no_such_field, short_text, word, wrong_type};
use super::{Usage, answer};
use crate::config::Policy;
use crate::reason::{Reason, Refusal};
use crate::types::{Text, text};

/// One message of a client. A minute of sound is 2.5 MiB.
pub(crate) const LONGEST_EVENT_BYTES: usize = 4 << 20;
/// One message of the model server: the text of an utterance.
pub(crate) const LONGEST_ANSWER_BYTES: usize = 1 << 20;

/// However little sound an event brings, keeping it costs a model server at least so much. Ten milliseconds are more.
const LEAST_EVENT_BYTES: usize = 256;
const LONGEST_NAME_BYTES: usize = 512;
const UPDATE: &str = "session.update";
const APPEND: &str = "input_audio_buffer.append";
const COMMIT: &str = "input_audio_buffer.commit";

/// What a session's events are held against.
pub(crate) struct Rules<'r> {
    pub(crate) policy: &'r Policy,
    pub(crate) json_depth: u32,
    /// Whether a name is the session's model.
    pub(crate) is_model: &'r dyn Fn(&str) -> bool,
    /// What the model server calls it.
    pub(crate) upstream_name: &'r str,
}

/// A client's event, judged.
#[derive(Debug)]
pub(crate) struct Event {
    /// As the model server gets it.
    pub(crate) written: Vec<u8>,
    /// So much it counts for in the measure of a session's sound.
    pub(crate) sound_bytes: usize,
}

pub(crate) fn event(message: &Bytes, rules: &Rules<'_>) -> Result<Event, Refusal> {
    let body = Body::from(message.clone());
    let document = json::parse(&body, body.base64(), rules.json_depth).map_err(|error| {
        let Text { en, zh } = error.text();
        Refusal::new(Reason::InvalidJson)
            .saying(text!("The event is not valid JSON: {en}.", "事件不是合法的 JSON:{zh}。"))
    })?;
    let mut event = match document {
        Json::Object(event) => event,
        other => return Err(wrong_type("event", &other, Text::fixed("an object", "对象"))),
    };
    let Some(kind) = event.find("type") else { return Err(missing(At::Key("type"))) };
    if let Some(id) = event.find("event_id") {
        short_text(id, At::Key("event_id"), LONGEST_NAME_BYTES)?;
    }
    if !rules.policy.enabled {
        return Ok(unjudged(event, rules));
    }
    let kind = word(kind, At::Key("type"), &[UPDATE, APPEND, COMMIT])?;
    let judged = match kind {
        UPDATE => update(&event, rules)?,
        APPEND => append(&event)?,
        _ => commit(&event)?,
    };
    let known = match kind {
        UPDATE => "model",
        APPEND => "audio",
        _ => "final",
    };
    event.0.retain(|(key, _)| !matches!(&**key, "type" | "event_id") && **key != *known);
    match event.0.first() {
        None => Ok(Event { sound_bytes: judged.sound_bytes.max(LEAST_EVENT_BYTES), ..judged }),
        Some((key, _)) => Err(no_such_event_field(kind, key)),
    }
}

/// Model servers of vLLM's line need the name in an event, and take no sound before it.
fn update(event: &Object<'_>, rules: &Rules<'_>) -> Result<Event, Refusal> {
    let at = At::Key("model");
    match event.find("model") {
        None | Some(Json::Null) => {}
        Some(name) => {
            short_text(name, at, LONGEST_NAME_BYTES)?;
            if !name.text().is_some_and(|name| (rules.is_model)(&name)) {
                return Err(invalid(
                    at,
                    text!(
                        "This session is with another model. Open one with ?model=NAME.",
                        "此会话使用的是另一个模型。请用 ?model=名称 另开会话。"
                    ),
                ));
            }
        }
    }
    Ok(written(UPDATE, Some(("model", Json::String(rules.upstream_name.into())))))
}

/// PCM of 16 bits: whole samples, at least one.
fn append(event: &Object<'_>) -> Result<Event, Refusal> {
    let at = At::Key("audio");
    let audio = event.find("audio").filter(|audio| **audio != Json::Null).ok_or_else(|| missing(at))?;
    let Some(sound) = audio.text() else {
        return Err(wrong_type(at, audio, Text::fixed("a string", "字符串")));
    };
    let bytes = STANDARD.check(sound.as_bytes()).and_then(|()| STANDARD.decoded_length(sound.as_bytes()));
    let Some(sound_bytes) = bytes.ok().filter(|bytes| *bytes > 0 && bytes % 2 == 0) else {
        return Err(invalid(
            at,
            text!(
                "audio must be base64 of 16-bit samples, at least one.",
                "audio 必须是 16 位采样的 base64,至少一个采样。"
            ),
        ));
    };
    let mut event = Vec::with_capacity(64 + sound.len());
    for piece in [r#"{"type":""#, APPEND, r#"","audio":""#, &sound, r#""}"#] {
        event.extend_from_slice(piece.as_bytes());
    }
    Ok(Event { written: event, sound_bytes })
}

fn commit(event: &Object<'_>) -> Result<Event, Refusal> {
    let is_final = match event.find("final") {
        None | Some(Json::Null) => None,
        Some(value) => Some(("final", Json::Bool(flag(value, At::Key("final"))?))),
    };
    Ok(written(COMMIT, is_final))
}

fn written(kind: &'static str, entry: Option<(&'static str, Json<'_>)>) -> Event {
    let mut object = Object(vec![("type".into(), Json::String(kind.into()))]);
    object.0.extend(entry.map(|(key, value)| (key.into(), value)));
    Event { written: json::to_text(Json::Object(object)).into_bytes(), sound_bytes: 0 }
}

/// Without a policy an event is what it is; only which model it is for stays ours to say.
fn unjudged(mut event: Object<'_>, rules: &Rules<'_>) -> Event {
    if let Some(name) = event.find_mut("model") {
        *name = Json::String(rules.upstream_name.to_owned().into());
    }
    let sound_bytes = event
        .find("audio")
        .and_then(Json::text)
        .map_or(0, |audio| audio.len() / 4 * 3)
        .max(LEAST_EVENT_BYTES);
    Event { written: json::to_text(Json::Object(event)).into_bytes(), sound_bytes }
}

fn no_such_event_field(kind: &str, key: &str) -> Refusal {
    match key {
        "session" => invalid(
            At::Key(key),
            text!(
                "The settings of a session are not accepted here: the model server has none. {kind} takes model.",
                "此处不接受会话设置:模型服务没有这些设置。{kind} 只接受 model。"
            ),
        ),
        key => no_such_field(At::Key(kind), key),
    }
}

/// What the model server has said.
#[derive(Debug)]
pub(crate) enum Said {
    /// To be passed on as it is.
    Event(Option<Usage>),
    /// It does not do what was asked. Its words may hold addresses and paths, so they are Portico's now.
    Error(Refusal),
}

#[derive(serde::Deserialize)]
struct Head<'a> {
    r#type: Option<std::borrow::Cow<'a, str>>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Reads an event of the model server; `None` where it is none.
pub(crate) fn said(message: &[u8]) -> Option<Said> {
    if !message.trim_ascii_start().starts_with(b"{") {
        return None;
    }
    let head: Head<'_> = serde_json::from_slice(message).ok()?;
    if head.r#type.as_deref() == Some("error") || head.error.is_some_and(|error| error.get() != "null") {
        return Some(Said::Error(answer::refusal(StatusCode::BAD_REQUEST, message)));
    }
    Some(Said::Event(head.usage.and_then(|usage| serde_json::from_str(usage.get()).ok())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::call::tests::policy;
    use crate::types::Tongue;

    fn judged(message: &str) -> Result<String, Refusal> {
        let rules = Rules {
            policy: &policy(),
            json_depth: 8,
            is_model: &|name| name == "voxtral" || name == "alias",
            upstream_name: "mistral/\"voxtral\"",
        };
        event(&Bytes::copy_from_slice(message.as_bytes()), &rules).map(|event| {
            assert!(event.sound_bytes >= LEAST_EVENT_BYTES);
            String::from_utf8(event.written).unwrap()
        })
    }

    #[test]
    fn events_are_written_anew() {
        for (sent, written) in [
            (
                r#"{"model":"alias", "type":"session.update","event_id":"e1"}"#,
                r#"{"type":"session.update","model":"mistral/\"voxtral\""}"#,
            ),
            (r#"{"type":"session.update"}"#, r#"{"type":"session.update","model":"mistral/\"voxtral\""}"#),
            (
                r#"{"type":"input_audio_buffer.append","audio":"AAA\/A\u0041=="}"#,
                r#"{"type":"input_audio_buffer.append","audio":"AAA/AA=="}"#,
            ),
            (r#"{"type":"input_audio_buffer.commit"}"#, r#"{"type":"input_audio_buffer.commit"}"#),
            (
                r#"{"type":"input_audio_buffer.commit", "final": true}"#,
                r#"{"type":"input_audio_buffer.commit","final":true}"#,
            ),
        ] {
            assert_eq!(judged(sent).as_deref().ok(), Some(written), "{sent}");
        }
    }

    #[test]
    fn what_is_not_on_the_list_does_not_reach_the_model() {
        for (sent, param) in [
            ("", None),
            ("[]", Some("event")),
            ("{}", Some("type")),
            (r#"{"type":"a","type":"b"}"#, None),
            (r#"{"type":"session.update"} x"#, None),
            (r#"{"type":"session.update","model":NaN}"#, None),
            (r#"{"type":"response.create"}"#, Some("type")),
            (r#"{"type":7}"#, Some("type")),
            (r#"{"type":"session.update","model":"other"}"#, Some("model")),
            (r#"{"type":"session.update","model":["voxtral"]}"#, Some("model")),
            (r#"{"type":"session.update","session":{}}"#, Some("session")),
            (r#"{"type":"session.update","event_id":1}"#, Some("event_id")),
            (r#"{"type":"input_audio_buffer.append"}"#, Some("audio")),
            (r#"{"type":"input_audio_buffer.append","audio":""}"#, Some("audio")),
            (r#"{"type":"input_audio_buffer.append","audio":"AAA="}x"#, None),
            (r#"{"type":"input_audio_buffer.append","audio":"AA=="}"#, Some("audio")),
            (r#"{"type":"input_audio_buffer.append","audio":"AAAA"}"#, Some("audio")),
            (r#"{"type":"input_audio_buffer.append","audio":"AAB="}"#, Some("audio")),
            (r#"{"type":"input_audio_buffer.append","audio":"A A="}"#, Some("audio")),
            (r#"{"type":"input_audio_buffer.append","audio":[0,1]}"#, Some("audio")),
            (
                r#"{"type":"input_audio_buffer.append","audio":"AAA=","final":true}"#,
                Some("input_audio_buffer.append.final"),
            ),
            (r#"{"type":"input_audio_buffer.commit","final":1}"#, Some("final")),
        ] {
            let refusal = judged(sent).expect_err(sent);
            assert_eq!(refusal.param.as_deref(), param, "{sent}");
        }
    }

    #[test]
    fn the_model_server_s_words_are_read() {
        let usage = |message: &str| match said(message.as_bytes()) {
            Some(Said::Event(usage)) => usage,
            other => panic!("{message}: {other:?}"),
        };
        assert_eq!(usage(r#"{"type":"transcription.delta","delta":"x"}"#), None);
        assert_eq!(
            usage(r#"{"type":"transcription.done","usage":{"prompt_tokens":5,"completion_tokens":7}}"#),
            Some(Usage { prompt_tokens: 5, completion_tokens: 7 })
        );
        for broken in ["", "[]", "{", "7", "{} {}", "\"x\""] {
            assert!(said(broken.as_bytes()).is_none(), "{broken}");
        }
        for (message, shown) in [
            (r#"{"type":"error","error":"Unknown event type","code":"x"}"#, "Unknown event type"),
            (r#"{"type":"error","error":{"message":"Too loud"}}"#, "Too loud"),
            (r#"{"type":"error","error":"[Errno 111] 127.0.0.1:3"}"#, "did not accept the request."),
            (r#"{"type":"x","error":"open /etc/passwd"}"#, "did not accept the request."),
        ] {
            let Some(Said::Error(refusal)) = said(message.as_bytes()) else { panic!("{message}") };
            assert!(refusal.message(Tongue::English).contains(shown), "{message}");
        }
    }
}
