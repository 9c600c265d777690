//! The messages of a chat: roles, their fields, and the parts of their content.

use std::borrow::Cow;

use super::base64_map::Base64Map;
use super::json::{self, Json};
use super::judge::{
    At, Judge, flag, invalid, list, missing, name, no_such_field, object, retain, shown, too_long, whole,
    word, wrong_type,
};
use super::tokens;
use crate::reason::Refusal;
use crate::types::{Text, text};

pub(super) const MOST_MESSAGES: usize = 4096;
pub(super) const MOST_PARTS: usize = 1024;
/// Calls that one message may hold; a model that is told to call 128 tools at once is no assistant any more.
pub(super) const MOST_TOOL_CALLS: usize = 128;
pub(super) const LONGEST_NAME_BYTES: usize = 256;
/// Deeper arguments end a reader that recurses; the model server decodes them once more.
const ARGUMENTS_DEPTH: u32 = 64;
const LONGEST_ARGUMENTS_BYTES: usize = 4 << 20;

const ROLES: &[&str] = &["system", "developer", "user", "assistant", "tool", "function"];
const PARTS: &[&str] = &["text", "refusal", "image_url"];

pub(super) fn messages(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (index, each) in list(value, at, 1, MOST_MESSAGES)?.iter_mut().enumerate() {
        message(judge, each, at.item(index))?;
    }
    judge.enough_images(at)
}

/// A message has the fields of its role and no others: what a template or a model server makes of more is its own
/// affair, and has been a way around checks.
fn message(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let message = object(value, at)?;
    let role = match message.find("role") {
        None | Some(Json::Null) => return Err(missing(at.field("role"))),
        Some(role) => word(role, at.field("role"), ROLES)?,
    };
    let is_assistant = role == "assistant";
    if !is_assistant && matches!(message.find("content"), None | Some(Json::Null)) {
        return Err(missing(at.field("content")));
    }
    retain(&mut message.0, |key, value| {
        let here = at.field(key);
        match (key, &*value) {
            // An assistant that only calls tools says nothing; some templates ask for the field.
            ("role", _) | ("content", Json::Null) => Ok(true),
            ("content", _) => content(judge, value, here).map(|()| true),
            ("name", Json::Null) => Ok(false),
            ("name", _) => name(value, here, LONGEST_NAME_BYTES).map(|()| true),
            ("tool_call_id", Json::Null) if role == "tool" => Ok(false),
            ("tool_call_id", _) if role == "tool" => name(value, here, LONGEST_NAME_BYTES).map(|()| true),
            _ if is_assistant => assistant_field(judge, key, value, here, at),
            _ => Err(no_such_field(at, key)),
        }
    })
}

/// What a model's own message has beside its content. The clients of OpenAI send back whatever they got.
fn assistant_field(
    judge: &mut Judge<'_>,
    key: &str,
    value: &mut Json<'_>,
    at: At<'_>,
    of: At<'_>,
) -> Result<bool, Refusal> {
    match (key, &*value) {
        (
            "tool_calls" | "refusal" | "reasoning" | "reasoning_content" | "function_call" | "audio"
            | "annotations" | "parsed",
            Json::Null,
        ) => Ok(false),
        // Marks of an answer that mean nothing in a question.
        ("annotations" | "parsed", _) => Ok(false),
        ("refusal" | "reasoning" | "reasoning_content", _) => judge.text(value, at).map(|()| true),
        ("function_call", _) => function_call(judge, value, at).map(|()| true),
        ("tool_calls", _) => tool_calls(judge, value, at),
        _ => Err(no_such_field(of, key)),
    }
}

fn tool_calls(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<bool, Refusal> {
    let calls = list(value, at, 0, MOST_TOOL_CALLS)?;
    for (index, call) in calls.iter_mut().enumerate() {
        let at = at.item(index);
        let call = object(call, at)?;
        for required in ["id", "type", "function"] {
            if call.find(required).is_none() {
                return Err(missing(at.field(required)));
            }
        }
        retain(&mut call.0, |key, value| {
            let here = at.field(key);
            match key {
                "id" => name(value, here, LONGEST_NAME_BYTES).map(|()| true),
                "type" => word(value, here, &["function"]).map(|_| true),
                "function" => function_call(judge, value, here).map(|()| true),
                // The place in a stream that it came in.
                "index" if *value == Json::Null => Ok(false),
                "index" => whole(value, here, 0, 4096).map(|_| false),
                _ => Err(no_such_field(at, key)),
            }
        })?;
    }
    // Some model servers take an empty list for a call.
    Ok(!calls.is_empty())
}

fn function_call(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let call = object(value, at)?;
    for required in ["name", "arguments"] {
        if call.find(required).is_none() {
            return Err(missing(at.field(required)));
        }
    }
    for (key, value) in &mut call.0 {
        match &**key {
            "name" => super::tools::function_name(value, at.field("name"))?,
            "arguments" => arguments(judge, value, at.field("arguments"))?,
            other => return Err(no_such_field(at, other)),
        }
    }
    Ok(())
}

/// JSON in a string. vLLM decodes it and gives the template what is inside, so that an escape in it (`\u003c|`) is
/// another way to write a control token: it is judged decoded, and what no strict reader can decode may have no escape
/// of that kind.
pub(super) fn arguments(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let Some(source) = value.text() else {
        return Err(wrong_type(at, value, Text::fixed("a string", "字符串")));
    };
    if source.len() > LONGEST_ARGUMENTS_BYTES {
        return Err(too_long(at, LONGEST_ARGUMENTS_BYTES));
    }
    let has_escapes = source.contains("\\u");
    match json::parse(source.as_bytes(), Base64Map::none(), ARGUMENTS_DEPTH) {
        Ok(mut document) => {
            if has_escapes && judge.data(&mut document, at)? {
                let written = json::to_text(document);
                *value = Json::String(Cow::Owned(written));
                return Ok(());
            }
        }
        // What a model began to write and did not finish is text. It may be no bomb, though.
        Err(error) if has_escapes || error.is_too_deep() => {
            let Text { en, zh } = error.text();
            return Err(invalid(at, text!("{at} is not valid JSON: {en}.", "{at} 不是合法的 JSON:{zh}。")));
        }
        Err(_) => {}
    }
    drop(source);
    judge.text(value, at)
}

fn content(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    match value {
        Json::String(_) | Json::Source(_) => judge.text(value, at),
        Json::Array(_) => {
            let parts = list(value, at, 0, MOST_PARTS)?;
            for (index, each) in parts.iter_mut().enumerate() {
                part(judge, each, at.item(index))?;
            }
            Ok(())
        }
        // A single part without its array would be a part that nobody has looked at.
        other => Err(wrong_type(at, other, Text::fixed("a string or an array", "字符串或数组"))),
    }
}

/// A part is `{type, text}`, `{type, refusal}` or `{type, image_url: {url, detail}}` and nothing else: some model servers
/// look at the keys and not at `type`, so a key more is a way around a check.
fn part(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let part = object(value, at)?;
    let kind = match part.find("type") {
        Some(Json::String(kind)) => PARTS.iter().find(|known| **known == *kind).copied(),
        _ => {
            return Err(invalid(
                at.field("type"),
                text!("A content part needs a type.", "内容片段需要 type 字段。"),
            ));
        }
    };
    let Some(kind) = kind else {
        return Err(invalid(
            at.field("type"),
            text!("Content parts may be text or image_url.", "内容片段只能是 text 或 image_url。"),
        ));
    };
    if let Some((key, _)) = part.0.iter().find(|(key, _)| key != "type" && key != kind) {
        let shown = shown(key);
        return Err(invalid(
            at.field(key),
            text!("A part of type {kind} has no field {shown}.", "{kind} 类型的片段没有字段 {shown}。"),
        ));
    }
    let here = at.field(kind);
    match part.0.iter_mut().find(|(key, _)| key == kind) {
        Some((_, value)) if kind == "image_url" => image_part(judge, value, here),
        Some((_, value)) => judge.piece(value, here),
        None => Err(invalid(here, text!("The part has no field {kind}.", "该片段缺少字段 {kind}。"))),
    }
}

/// `{url, detail}`.
fn image_part(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let image = object(value, at)?;
    retain(&mut image.0, |key, value| {
        let here = at.field(key);
        match key {
            "url" => Ok(true),
            "detail" => super::judge::detail(value, here),
            _ => Err(no_such_field(at, key)),
        }
    })?;
    let at = at.field("url");
    match image.find_mut("url") {
        Some(url) => judge.picture_url(url, at),
        None => judge.picture_url(&mut Json::Null, at),
    }
}

/// `chat_template_kwargs`: whatever a template does with the rest (CVE-2025-62426, CVE-2025-61620), these are switches.
pub(super) fn template_switches(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (key, value) in &object(value, at)?.0 {
        match &**key {
            "enable_thinking" | "thinking" | "preserve_thinking" | "clear_thinking" => {
                _ = flag(value, at.field(key))?;
            }
            other => return Err(no_such_field(at, other)),
        }
    }
    Ok(())
}

impl Judge<'_> {
    /// Values that a template may print: every string in them, and every key. Says whether something was defused.
    pub(super) fn data(&mut self, value: &mut Json<'_>, at: At<'_>) -> Result<bool, Refusal> {
        match value {
            Json::String(_) | Json::Source(_) => {
                let before = value.text().map_or(0, |text| text.len());
                self.text(value, at)?;
                Ok(value.text().map_or(0, |text| text.len()) != before)
            }
            Json::Array(items) => {
                let mut changed = false;
                for item in items {
                    changed |= self.data(item, at)?;
                }
                Ok(changed)
            }
            Json::Object(object) => {
                let mut changed = false;
                for (key, value) in &mut object.0 {
                    // To change a key is to change what the value is.
                    if tokens::holds_any(key, self.scope()) {
                        return Err(super::judge::control_token(at));
                    }
                    changed |= self.data(value, at)?;
                }
                Ok(changed)
            }
            // Only pictures are written ones.
            Json::Null | Json::Bool(_) | Json::Number(_) | Json::Written(_) | Json::Hole => Ok(false),
        }
    }
}
