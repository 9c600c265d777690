//! One judged call: what the request path needs to know of a body, and the body to send.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;

use super::Operation;
use super::anthropic::LEAST_BUDGET_TOKENS;
use super::body::Body;
use super::images;
use super::json::{self, Json, Object};
use super::judge::{At, Found, Judge, Thinking, missing, odd_character, too_long, wrong_type};
use super::limit::{self, AtTheEnd, OutputLimit};
use super::vision::{self, Pictures, Wanted};
use crate::config::{Limits, Policy};
use crate::reason::{Reason, Refusal};
use crate::types::{Rope, ServerKind, Text, text};

/// Longer than any name that a configuration or a model server gives.
const LONGEST_NAME_BYTES: usize = 512;

/// What the judge must know, as borrowed views of the configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules<'a> {
    pub(crate) limits: &'a Limits,
    pub(crate) policy: &'a Policy,
    /// `max_output_tokens` of the caller's plan.
    pub(crate) max_output_tokens: Option<u32>,
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
    /// The prompt is given as token ids, in which nobody has looked for control tokens.
    pub(crate) token_ids: bool,
}

/// Ready to be sent, as often as it takes to reach a model server.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) operation: Operation,
    pub(crate) facts: CallFacts,
    head: Head,
    rest: Rope,
    pictures: Pictures,
}

/// Whom a body is written for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Recipient<'a> {
    /// What the model server calls the model.
    pub(crate) name: &'a str,
    pub(crate) context_tokens: Option<u32>,
    /// `None`: not known.
    pub(crate) server: Option<ServerKind>,
    pub(crate) stops_at_context: bool,
    pub(crate) cache_salt: &'a str,
}

/// The keys that Portico writes itself.
#[derive(Debug, Clone, Copy)]
struct Head {
    /// With the key that it is written under; `None`: the operation gives no tokens.
    limit: Option<(&'static str, OutputLimit)>,
    /// The client has named its limit this way, too.
    names_completion_tokens: bool,
    min_tokens: Option<u32>,
    asks_for_usage: bool,
    /// Written where the operation has it.
    thinking: Option<Thinking>,
    /// Nothing is to be kept for later.
    forbids_storing: bool,
    may_be_salted: bool,
}

impl Call {
    /// Parses, judges and writes anew. What the model server will read is only what was judged here.
    pub(crate) fn judge(operation: Operation, body: &Body, rules: Rules<'_>) -> Result<Self, Refusal> {
        let document = json::parse(body, body.base64(), rules.limits.json_depth).map_err(|error| {
            let Text { en, zh } = error.text();
            Refusal::new(Reason::InvalidJson)
                .saying(text!("The request body is not valid JSON: {en}.", "请求体不是合法的 JSON:{zh}。"))
        })?;
        let Json::Object(mut object) = document else {
            return Err(wrong_type("body", &document, Text::fixed("an object", "对象")));
        };
        let model = model(&object)?.into();
        let mut judge = Judge { operation, policy: rules.policy, body, found: Found::default() };
        judge.object(&mut object)?;
        let mut found = judge.found;
        if !rules.policy.enabled {
            found.images = images::count(operation, &object);
        }
        let facts = CallFacts {
            model,
            stream: found.stream,
            wants_usage: found.wants_usage,
            images: found.images,
            image_tokens: found.pictures.tokens,
            token_ids: found.token_ids,
        };
        let head = Head::new(operation, &found, &object, body.len(), rules.max_output_tokens);
        Ok(Self { operation, facts, head, rest: json::write_rest(object, body), pictures: found.pictures })
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

    /// The body for one model server.
    pub(crate) fn body(&self, recipient: Recipient<'_>) -> Rope {
        let mut rope = Rope::default();
        rope.push(Bytes::from(self.head.written(recipient)));
        rope.append(self.rest.clone());
        rope
    }
}

impl Head {
    fn new(
        operation: Operation,
        found: &Found,
        object: &Object<'_>,
        body_bytes: usize,
        plan: Option<u32>,
    ) -> Self {
        let limit_key = operation.limit_key();
        let named = match operation {
            Operation::Completions => limit::completion_default(found.max_tokens),
            // As vLLM has it.
            _ => found.max_completion_tokens.or(found.max_tokens),
        };
        let text_bytes = body_bytes.saturating_sub(found.image_url_bytes) as u64;
        let prompt_tokens = limit::prompt_tokens(text_bytes, found.images);
        Self {
            limit: limit_key.map(|key| (key, OutputLimit { named, plan, prompt_tokens })),
            names_completion_tokens: found.max_completion_tokens.is_some(),
            min_tokens: found.min_tokens,
            // The other APIs tell it unasked.
            asks_for_usage: found.stream && matches!(operation, Operation::Chat | Operation::Completions),
            thinking: found.thinking.filter(|_| operation == Operation::Messages),
            forbids_storing: operation == Operation::Responses,
            // A configuration that lets the client choose it has let it pass.
            may_be_salted: limit_key.is_some() && object.find("cache_salt").is_none(),
        }
    }

    /// From the opening brace to before the first comma of the rest.
    fn written(self, recipient: Recipient<'_>) -> Vec<u8> {
        let Recipient { name, context_tokens, server, stops_at_context, cache_salt } = recipient;
        let mut head = Vec::with_capacity(name.len() + 160);
        head.extend_from_slice(b"{\"model\":");
        serde_json::to_writer(&mut head, name).expect("a string always serialises");
        let at_the_end = if stops_at_context { AtTheEnd::Stops } else { AtTheEnd::MayRefuse };
        let (limit_key, limit) = self.limit.unzip();
        let tokens = limit.and_then(|limit| limit.tokens(context_tokens, at_the_end));
        let mut count = |key: &str, tokens: u32| {
            write!(head, ",\"{key}\":{tokens}").expect("a vector takes all that is written to it");
        };
        if let (Some(key), Some(tokens)) = (limit_key, tokens) {
            count(key, tokens);
            if self.names_completion_tokens {
                count("max_completion_tokens", tokens);
            }
        }
        if let Some(least) = self.min_tokens {
            count("min_tokens", tokens.map_or(least, |most| most.min(least)));
        }
        if self.asks_for_usage {
            head.extend_from_slice(b",\"stream_options\":{\"include_usage\":true}");
        }
        if self.forbids_storing {
            head.extend_from_slice(b",\"store\":false");
        }
        match self.thinking {
            None => {}
            Some(Thinking::Adaptive) => head.extend_from_slice(b",\"thinking\":{\"type\":\"adaptive\"}"),
            Some(Thinking::Disabled) => head.extend_from_slice(b",\"thinking\":{\"type\":\"disabled\"}"),
            Some(Thinking::Enabled { budget_tokens }) => {
                // It has to be below the limit, which may be less than the client has asked for.
                let budget_tokens = tokens.map_or(budget_tokens, |most| budget_tokens.min(most - 1));
                if budget_tokens >= LEAST_BUDGET_TOKENS {
                    let thinking =
                        format!(",\"thinking\":{{\"type\":\"enabled\",\"budget_tokens\":{budget_tokens}}}");
                    head.extend_from_slice(thinking.as_bytes());
                }
            }
        }
        // Only vLLM is known to know it; a strict server would refuse the whole call.
        if self.may_be_salted && server == Some(ServerKind::Vllm) {
            head.extend_from_slice(b",\"cache_salt\":");
            serde_json::to_writer(&mut head, cache_salt).expect("a string always serialises");
        }
        head
    }
}

fn model<'o>(object: &'o Object<'_>) -> Result<&'o str, Refusal> {
    let at = At::Key("model");
    match object.find("model") {
        // It stands in the access record, and a record must not be as large as a body.
        Some(Json::String(name)) if name.len() > LONGEST_NAME_BYTES => Err(too_long(at, LONGEST_NAME_BYTES)),
        Some(Json::Source(_)) => Err(too_long(at, LONGEST_NAME_BYTES)),
        Some(Json::String(name)) if name.chars().any(char::is_control) => Err(odd_character(at)),
        Some(Json::String(name)) if !name.is_empty() => Ok(name),
        Some(Json::String(_) | Json::Null) | None => Err(missing(at).saying(text!(
            "The field model is missing: say which model should answer.",
            "缺少字段 model:请指明由哪个模型回答。"
        ))),
        Some(other) => Err(wrong_type(at, other, Text::fixed("a string", "字符串"))),
    }
}

#[cfg(test)]
pub(super) mod tests;
