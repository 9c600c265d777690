//! Whole answers of the model server: the good ones with the name put back, the bad ones in Portico's own words.

use bytes::Bytes;
use http::StatusCode;
use serde_json::value::RawValue;

use super::base64_map::Base64Map;
use super::{Usage, json};
use crate::reason::{Reason, Refusal};
use crate::types::{Dialect, Text};

/// A JSON answer as the client gets it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) body: Bytes,
    pub(crate) usage: Option<Usage>,
}

#[derive(serde::Deserialize)]
struct Head<'a> {
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    usage: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

/// Reads a complete JSON answer. It is `None` when it is not a JSON object: half an answer is no answer. So is one of
/// the Responses API that tells of a failure under status 200: what it says may name addresses and paths.
pub(crate) fn read(body: Bytes, dialect: Dialect, asked: &str) -> Option<Answer> {
    // One pass: the whole is checked, and the two values are found on the way.
    let head: Head<'_> =
        serde_json::from_slice(&body).ok().filter(|_| body.trim_ascii_start().starts_with(b"{"))?;
    if dialect == Dialect::Responses && head.error.is_some() {
        return None;
    }
    let usage = head.usage.and_then(|usage| serde_json::from_str(usage.get()).ok());
    let asked_json = serde_json::to_vec(asked).ok()?;
    let renamed = match head.model.map(RawValue::get) {
        Some(model) if model.as_bytes() != asked_json => {
            let start = model.as_ptr().addr() - body.as_ptr().addr();
            Some(Bytes::from([&body[..start], &asked_json, &body[start + model.len()..]].concat()))
        }
        _ => None,
    };
    Some(Answer { body: renamed.unwrap_or(body), usage })
}

/// What the client is told when the model server refuses or fails. Its own sentence is passed on only for a request
/// that it did not accept, and only if nothing in it looks like an address, a path or a piece of a program.
pub(crate) fn refusal(status: StatusCode, body: &[u8]) -> Refusal {
    let said = message(body);
    let private =
        format!("the model server answered {status}: {}", said.as_deref().unwrap_or("(no message)"));
    let lower = said.as_deref().unwrap_or_default().to_ascii_lowercase();
    let reason = match status.as_u16() {
        _ if lower.contains("image input is not supported") || lower.contains("not a multimodal model") => {
            Reason::ImagesNotSupported
        }
        400 | 413 | 422
            if lower.contains("context") && (lower.contains("exceed") || lower.contains("maximum")) =>
        {
            Reason::ContextExceeded
        }
        413 => Reason::BodyTooLarge,
        400 | 415 | 422 => Reason::UpstreamRejected,
        429 | 503 => Reason::UpstreamBusy,
        504 => Reason::UpstreamTimeout,
        _ => Reason::UpstreamFailed,
    };
    let refusal = Refusal::new(reason).because(private);
    match said {
        Some(said) if reason.status().is_client_error() && is_harmless(&said) => {
            let general = reason.text();
            let (en, zh) = (general.en.trim_end_matches('.'), general.zh.trim_end_matches('。'));
            refusal.saying(Text { en: format!("{en}: {said}").into(), zh: format!("{zh}:{said}").into() })
        }
        _ => refusal,
    }
}

/// The same where an answer has begun: vLLM looks at some of a call when its stream is open, and says then that it was
/// the client's doing. Anything else is its own end.
pub(crate) fn within_stream(said: &[u8]) -> Refusal {
    let code =
        serde_json::from_slice(said).ok().and_then(|said: serde_json::Value| said["error"]["code"].as_u64());
    let status = code.and_then(|code| StatusCode::from_u16(u16::try_from(code).ok()?).ok());
    match status.filter(StatusCode::is_client_error) {
        Some(status) => refusal(status, said),
        None => Refusal::new(Reason::UpstreamDied).because(String::from_utf8_lossy(said).into_owned()),
    }
}

/// The sentence in an error of OpenAI's shape, or in FastAPI's.
fn message(body: &[u8]) -> Option<String> {
    let document = json::parse(body, Base64Map::none(), 16).ok()?;
    let json::Json::Object(object) = document else { return None };
    let text = |value: &json::Json<'_>| match value {
        json::Json::String(text) => {
            Some(text.chars().filter(|c| !c.is_control()).take(500).collect::<String>())
        }
        _ => None,
    };
    match object.find("error") {
        Some(json::Json::Object(error)) => error.find("message").and_then(text),
        Some(value) => text(value),
        None => object.find("message").or_else(|| object.find("detail")).and_then(text),
    }
}

/// No slash or backslash (paths, URLs), no `0x` (addresses in memory), no numbers with two dots or with a colon (network
/// addresses and ports), no names of exceptions.
fn is_harmless(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut numbers = bytes.split(|byte| !byte.is_ascii_digit() && *byte != b'.');
    // One dot is a fraction's; one more at the end is the sentence's.
    let has_dotted =
        numbers.any(|number| number.windows(2).filter(|w| w[0] == b'.' && w[1].is_ascii_digit()).count() > 1);
    let colon_before_digit = bytes.windows(2).any(|w| w[0] == b':' && w[1].is_ascii_digit());
    let lower = text.to_ascii_lowercase();
    !text.contains(['/', '\\', '@'])
        && !lower.contains("0x")
        && !has_dotted
        && !colon_before_digit
        && !["traceback", "localhost", "errno", "exception", ".py", "file \""]
            .iter()
            .any(|word| lower.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Tongue;

    #[test]
    fn a_whole_answer_gets_its_name_back_and_its_usage_read() {
        let body = r#"{"id":"x","model":"up","choices":[{"message":{"content":"model"}}],"usage":{"prompt_tokens":4,"completion_tokens":2}}"#;
        let answer = read(Bytes::from(body), Dialect::Chat, "gpt-4o").unwrap();
        assert_eq!(answer.body, body.replace("\"up\"", "\"gpt-4o\""));
        assert_eq!(answer.usage, Some(Usage { prompt_tokens: 4, completion_tokens: 2 }));
        assert_eq!(read(Bytes::from(body), Dialect::Chat, "up").unwrap().body, body);
        let padded = format!("\n {body}\n");
        assert_eq!(read(Bytes::from(padded.clone()), Dialect::Chat, "up").unwrap().body, padded);
        for broken in ["", "nope", "[1]", &body[..body.len() - 1], "{\"a\":1}x"] {
            assert!(
                read(Bytes::copy_from_slice(broken.as_bytes()), Dialect::Chat, "up").is_none(),
                "{broken}"
            );
        }
    }

    #[test]
    fn a_response_that_failed_is_no_answer() {
        let body = |error: &str| Bytes::from(format!(r#"{{"model":"up","status":"x","error":{error}}}"#));
        let read = |body, dialect| read(body, dialect, "up").is_some();
        assert!(read(body("null"), Dialect::Responses));
        assert!(!read(body(r#"{"message":"/srv/x"}"#), Dialect::Responses));
        assert!(read(body(r#"{"message":"/srv/x"}"#), Dialect::Chat));
    }

    #[test]
    fn errors_are_told_in_our_words_and_never_leak() {
        for (status, body, reason, shown) in [
            (
                400,
                r#"{"error":{"message":"temperature must be positive"}}"#,
                Reason::UpstreamRejected,
                "positive",
            ),
            (422, r#"{"detail":"bad role"}"#, Reason::UpstreamRejected, "bad role"),
            (
                400,
                r#"{"error":{"message":"request (2000 tokens) exceeds the available context size (1024 tokens)"}}"#,
                Reason::ContextExceeded,
                "1024",
            ),
            (
                500,
                r#"{"error":{"message":"image input is not supported - hint: mmproj"}}"#,
                Reason::ImagesNotSupported,
                "take images",
            ),
            (503, r#"{"error":{"message":"engine is currently busy"}}"#, Reason::UpstreamBusy, "busy"),
            (
                400,
                r#"{"error":{"message":"top_p must be in (0, 1], got 0.0. Try 0.1."}}"#,
                Reason::UpstreamRejected,
                "got 0.0. Try 0.1.",
            ),
            (
                500,
                r#"{"error":{"message":"Connect call failed ('127.0.0.1', 9)"}}"#,
                Reason::UpstreamFailed,
                "usable",
            ),
            (404, "<html>", Reason::UpstreamFailed, "usable"),
            (302, "", Reason::UpstreamFailed, "usable"),
        ] {
            let refusal = refusal(StatusCode::from_u16(status).unwrap(), body.as_bytes());
            assert_eq!(refusal.reason, reason, "{status} {body}");
            assert!(refusal.message(Tongue::English).contains(shown), "{}", refusal.message(Tongue::English));
        }
        for leak in [
            "Connect call failed 127.0.0.1",
            "bound to 10.0.0.5, port 3",
            "cuda 12.4.1 is old",
            "cannot open /models/secret.gguf",
            "C:\\models",
            "object at 0x7f3a",
            "host:8080 refused",
            "FileNotFoundError: [Errno 2]",
        ] {
            let body = serde_json::json!({"error": {"message": leak}}).to_string();
            let refusal = refusal(StatusCode::BAD_REQUEST, body.as_bytes());
            assert_eq!(
                refusal.message(Tongue::English),
                "The model server did not accept the request.",
                "{leak}"
            );
            assert!(refusal.private.contains(leak));
        }
    }
}
