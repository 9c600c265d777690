//! A refusal: the reason, what the client is told, and what only the operator's log is told.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;

use super::{ErrorKind, Reason};
use crate::types::{Dialect, Text, Tongue};

/// A request that was not answered as asked. Only `public` leaves the box; `private` may name addresses and rules.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) reason: Reason,
    pub(crate) retry_after: Option<Duration>,
    /// Boxed: a refusal is rare, and the results that may hold one are everywhere.
    detail: Box<Detail>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Detail {
    public: Option<Text>,
    pub(crate) private: Cow<'static, str>,
    /// The request field at fault, in the API's notation (`messages[0].content`).
    pub(crate) param: Option<String>,
}

/// Whose error shape an answer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// `{"error":{"message","type","code","param"}}`
    OpenAi,
    /// `{"type":"error","error":{"type","message"}}`
    Anthropic,
    /// A few words for a person, as plain text.
    Plain,
}

impl Refusal {
    pub(crate) fn new(reason: Reason) -> Self {
        let retry_after = match reason.kind() {
            ErrorKind::Overloaded | ErrorKind::RateLimit => Some(Duration::from_secs(1)),
            _ => None,
        };
        Self { reason, retry_after, detail: Box::default() }
    }

    /// Replaces the reason's general text by one that says what is wrong with this request.
    pub(crate) fn saying(mut self, text: Text) -> Self {
        self.detail.public = Some(text);
        self
    }

    /// Adds what only the log may know.
    pub(crate) fn because(mut self, private: impl Into<Cow<'static, str>>) -> Self {
        self.detail.private = private.into();
        self
    }

    pub(crate) fn param(mut self, param: impl Into<String>) -> Self {
        self.detail.param = Some(param.into());
        self
    }

    pub(crate) fn message(&self, tongue: Tongue) -> Cow<'static, str> {
        let text = self.public.clone().unwrap_or_else(|| self.reason.text());
        match tongue {
            Tongue::English => text.en,
            Tongue::Chinese => text.zh,
        }
    }

    /// The body in the wanted shape, and its content type.
    pub(crate) fn body(&self, shape: Shape, tongue: Tongue) -> (Bytes, &'static str) {
        let message = self.message(tongue);
        let json = match shape {
            Shape::Plain => return (Bytes::from(format!("{message}\n")), "text/plain; charset=utf-8"),
            Shape::OpenAi => serde_json::to_vec(&OpenAiError {
                error: OpenAiDetail {
                    message: &message,
                    r#type: self.reason.kind().word(),
                    param: self.param.as_deref(),
                    code: self.reason.code(),
                },
            }),
            Shape::Anthropic => serde_json::to_vec(&AnthropicError {
                r#type: "error",
                error: AnthropicDetail { r#type: self.anthropic_type(), message: &self.with_param(&message) },
            }),
        };
        (Bytes::from(json.expect("strings always serialise")), "application/json")
    }

    /// The last event of a stream that can't be completed, and nothing that ends a good one follows it. `number`: how
    /// many events were before it.
    pub(crate) fn event(&self, dialect: Dialect, number: u64, tongue: Tongue) -> Bytes {
        let (head, json): (&[u8], _) = match dialect {
            Dialect::Chat => (b"data: ", self.body(Shape::OpenAi, tongue).0),
            Dialect::Messages => (b"event: error\ndata: ", self.body(Shape::Anthropic, tongue).0),
            Dialect::Responses => (b"event: error\ndata: ", self.responses_event(number, tongue)),
        };
        let mut event = Vec::with_capacity(head.len() + json.len() + 2);
        event.extend_from_slice(head);
        event.extend_from_slice(&json);
        event.extend_from_slice(b"\n\n");
        Bytes::from(event)
    }

    /// An event over a realtime session.
    pub(crate) fn realtime_event(&self, tongue: Tongue) -> Bytes {
        let json = serde_json::to_vec(&RealtimeError {
            r#type: "error",
            error: OpenAiDetail {
                message: &self.message(tongue),
                r#type: self.reason.kind().word(),
                param: self.param.as_deref(),
                code: self.reason.code(),
            },
        });
        Bytes::from(json.expect("strings always serialise"))
    }

    /// The API has the fields beside `type`; OpenAI's clients raise what stands in `error`.
    fn responses_event(&self, number: u64, tongue: Tongue) -> Bytes {
        let message = self.message(tongue);
        let (code, param) = (self.reason.code(), self.param.as_deref());
        let json = serde_json::to_vec(&ResponsesError {
            r#type: "error",
            sequence_number: number,
            code,
            message: &message,
            param,
            error: OpenAiDetail { message: &message, r#type: self.reason.kind().word(), param, code },
        });
        Bytes::from(json.expect("strings always serialise"))
    }

    /// Anthropic has fewer words for what is not the client's doing, and one more for what is too large.
    fn anthropic_type(&self) -> &'static str {
        match self.reason.kind() {
            _ if self.reason.status() == http::StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
            ErrorKind::Upstream | ErrorKind::Internal => "api_error",
            kind => kind.word(),
        }
    }

    /// Anthropic's shape has no place for the field at fault, so the message names it.
    fn with_param<'m>(&self, message: &'m str) -> Cow<'m, str> {
        match self.param.as_deref() {
            Some(param) if !message.contains(param) => Cow::Owned(format!("{param}: {message}")),
            _ => Cow::Borrowed(message),
        }
    }
}

impl std::ops::Deref for Refusal {
    type Target = Detail;

    fn deref(&self) -> &Detail {
        &self.detail
    }
}

impl From<Reason> for Refusal {
    fn from(reason: Reason) -> Self {
        Self::new(reason)
    }
}

#[derive(Serialize)]
struct OpenAiError<'a> {
    error: OpenAiDetail<'a>,
}

#[derive(Serialize)]
struct OpenAiDetail<'a> {
    message: &'a str,
    r#type: &'static str,
    param: Option<&'a str>,
    code: &'static str,
}

#[derive(Serialize)]
struct ResponsesError<'a> {
    r#type: &'static str,
    sequence_number: u64,
    code: &'static str,
    message: &'a str,
    param: Option<&'a str>,
    error: OpenAiDetail<'a>,
}

#[derive(Serialize)]
struct RealtimeError<'a> {
    r#type: &'static str,
    error: OpenAiDetail<'a>,
}

#[derive(Serialize)]
struct AnthropicError<'a> {
    r#type: &'static str,
    error: AnthropicDetail<'a>,
}

#[derive(Serialize)]
struct AnthropicDetail<'a> {
    r#type: &'static str,
    message: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shapes_are_those_of_the_two_apis() {
        let refusal = Refusal::new(Reason::ModelNotFound).param("model").because("asked for x");
        let (body, kind) = refusal.body(Shape::OpenAi, Tongue::English);
        assert_eq!(kind, "application/json");
        assert_eq!(
            body,
            r#"{"error":{"message":"There is no such model.","type":"not_found_error","param":"model","code":"model_not_found"}}"#
        );
        let (body, _) = refusal.body(Shape::Anthropic, Tongue::Chinese);
        assert_eq!(
            body,
            r#"{"type":"error","error":{"type":"not_found_error","message":"model: 没有这个模型。"}}"#
        );
    }

    #[test]
    fn anthropic_s_own_words_are_used_where_they_differ() {
        for (reason, word) in [
            (Reason::InvalidValue, "invalid_request_error"),
            (Reason::BodyTooLarge, "request_too_large"),
            (Reason::IdentityRequired, "authentication_error"),
            (Reason::QueueFull, "overloaded_error"),
            (Reason::UpstreamDied, "api_error"),
            (Reason::UpstreamTimeout, "timeout_error"),
            (Reason::Internal, "api_error"),
        ] {
            let (body, _) = Refusal::new(reason).body(Shape::Anthropic, Tongue::English);
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["error"]["type"], word, "{reason:?}");
        }
    }

    #[test]
    fn the_last_event_of_a_stream_is_in_its_own_dialect() {
        let refusal = Refusal::new(Reason::UpstreamDied);
        let event = |dialect| String::from_utf8(refusal.event(dialect, 7, Tongue::English).to_vec()).unwrap();
        assert!(event(Dialect::Chat).starts_with("data: {\"error\":{\"message\":"));
        assert!(
            event(Dialect::Messages)
                .starts_with("event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",")
        );
        assert!(event(Dialect::Responses).starts_with(
            "event: error\ndata: {\"type\":\"error\",\"sequence_number\":7,\"code\":\"upstream_died\","
        ));
        for dialect in [Dialect::Chat, Dialect::Messages, Dialect::Responses] {
            assert!(event(dialect).ends_with("}\n\n"));
        }
    }

    #[test]
    fn what_is_private_stays_private() {
        let refusal = Refusal::new(Reason::UpstreamFailed).because("127.0.0.1:3001 refused");
        for shape in [Shape::OpenAi, Shape::Anthropic, Shape::Plain] {
            let (body, _) = refusal.body(shape, Tongue::English);
            assert!(!String::from_utf8_lossy(&body).contains("3001"));
        }
    }
}
