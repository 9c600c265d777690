//! The messages of Anthropic's API: content blocks, each with the keys of its type and no others.

use super::json::Json;
use super::judge::{
    At, Judge, flag, invalid, list, missing, name, no_such_field, object, retain, short_text, shown, word,
    wrong_type,
};
use super::messages::{LONGEST_NAME_BYTES, MOST_MESSAGES, MOST_PARTS};
use super::tools::function_name;
use crate::reason::Refusal;
use crate::types::{Text, text};

/// A signature, or a thought that only its maker can read.
const LONGEST_SEALED_BYTES: usize = 4 << 20;

/// Who speaks in a block, which decides what it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    System,
    User,
    Assistant,
    ToolResult,
}

pub(super) fn messages(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (index, each) in list(value, at, 1, MOST_MESSAGES)?.iter_mut().enumerate() {
        message(judge, each, at.item(index))?;
    }
    judge.enough_images(at)
}

/// `system`: a text, or blocks of text.
pub(super) fn system(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    content(judge, value, at, Place::System)
}

fn message(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let message = object(value, at)?;
    let place = match message.find("role") {
        None | Some(Json::Null) => return Err(missing(at.field("role"))),
        Some(role) => match word(role, at.field("role"), &["user", "assistant", "system"])? {
            "user" => Place::User,
            "assistant" => Place::Assistant,
            _ => Place::System,
        },
    };
    if message.find("content").is_none() {
        return Err(missing(at.field("content")));
    }
    for (key, value) in &mut message.0 {
        match &**key {
            "role" => {}
            "content" => content(judge, value, at.field("content"), place)?,
            other => return Err(no_such_field(at, other)),
        }
    }
    Ok(())
}

fn content(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>, place: Place) -> Result<(), Refusal> {
    match value {
        Json::String(_) | Json::Source(_) => judge.text(value, at),
        Json::Array(_) => {
            for (index, each) in list(value, at, 0, MOST_PARTS)?.iter_mut().enumerate() {
                block(judge, each, at.item(index), place)?;
            }
            Ok(())
        }
        other => Err(wrong_type(at, other, Text::fixed("a string or an array", "字符串或数组"))),
    }
}

/// What a block of a type must have; `None`: there is no such block in this place.
fn required(kind: &str, place: Place) -> Option<&'static [&'static str]> {
    match (kind, place) {
        ("text", _) => Some(&["text"]),
        ("image", Place::User | Place::ToolResult) => Some(&["source"]),
        ("tool_use", Place::Assistant) => Some(&["id", "name", "input"]),
        ("tool_result", Place::User) => Some(&["tool_use_id"]),
        ("thinking", Place::Assistant) => Some(&["thinking"]),
        ("redacted_thinking", Place::Assistant) => Some(&["data"]),
        _ => None,
    }
}

fn block(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>, place: Place) -> Result<(), Refusal> {
    let block = object(value, at)?;
    let kind = match block.find("type") {
        Some(Json::String(kind)) => kind.clone(),
        _ => return Err(missing(at.field("type"))),
    };
    let Some(keys) = required(&kind, place) else {
        let (here, kind) = (at.field("type"), shown(&kind));
        return Err(invalid(
            here,
            text!(
                "A block of type {kind} is not accepted here ({here}). Blocks may be text, image and tool_result from a user, text, thinking and tool_use from an assistant.",
                "此处不接受 {kind} 类型的内容块({here})。用户可发送 text、image 和 tool_result,助手可发送 text、thinking 和 tool_use。"
            ),
        ));
    };
    if let Some(key) = keys.iter().find(|key| matches!(block.find(key), None | Some(Json::Null))) {
        return Err(missing(at.field(key)));
    }
    retain(&mut block.0, |key, value| {
        let here = at.field(key);
        match (&*kind, key, &*value) {
            (_, "type", _) => Ok(true),
            (_, "cache_control", _) => cache_control(judge, value, here).map(|()| false),
            ("text", "text", _) => judge.piece(value, here).map(|()| true),
            // Clients send back what they got.
            ("image", "transformations", Json::Null) => Ok(false),
            ("tool_use" | "tool_result", "toolset_name", Json::Null) => Ok(false),
            // Where a text was quoted from: means nothing in a question.
            ("text", "citations", _) => Ok(false),
            ("image", "source", _) => source(judge, value, here).map(|()| true),
            ("tool_use", "id", _) | ("tool_result", "tool_use_id", _) => {
                name(value, here, LONGEST_NAME_BYTES).map(|()| true)
            }
            ("tool_use", "name", _) => function_name(value, here).map(|()| true),
            ("tool_use", "input", _) => {
                object(value, here)?;
                judge.data(value, here).map(|_| true)
            }
            // Who called it: there is only the model.
            ("tool_use", "caller", _) => Ok(false),
            ("tool_result", "content" | "is_error", Json::Null) => Ok(false),
            ("tool_result", "content", _) => content(judge, value, here, Place::ToolResult).map(|()| true),
            ("tool_result", "is_error", _) => flag(value, here).map(|_| true),
            ("thinking", "thinking", _) => judge.piece(value, here).map(|()| true),
            ("thinking", "signature", Json::Null) => Ok(false),
            ("thinking", "signature", _) | ("redacted_thinking", "data", _) => {
                short_text(value, here, LONGEST_SEALED_BYTES).map(|()| true)
            }
            _ => Err(no_such_field(at, key)),
        }
    })
}

/// `{type: "base64", media_type, data}` or `{type: "url", url}`.
fn source(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let source = object(value, at)?;
    let (kind, keys): (_, &[&str]) = match source.find("type") {
        None => return Err(missing(at.field("type"))),
        Some(kind) => match word(kind, at.field("type"), &["base64", "url"])? {
            "base64" => ("base64", &["media_type", "data"]),
            _ => ("url", &["url"]),
        },
    };
    if let Some((key, _)) = source.0.iter().find(|(key, _)| key != "type" && !keys.contains(&&**key)) {
        return Err(no_such_field(at, key));
    }
    if let Some(key) = keys.iter().find(|key| source.find(key).is_none()) {
        return Err(missing(at.field(key)));
    }
    if kind == "url" {
        return judge.picture_url(source.find_mut("url").unwrap_or(&mut Json::Null), at.field("url"));
    }
    let (mut media_type, mut data) = (None, None);
    for (key, value) in &mut source.0 {
        match &**key {
            "media_type" => media_type = Some(value),
            "data" => data = Some(value),
            _ => {}
        }
    }
    match (media_type, data) {
        (Some(media_type), Some(data)) => judge.picture_base64(media_type, data, at),
        _ => Err(missing(at)),
    }
}

/// What may share a cache is decided here; the wish is understood and left out.
pub(super) fn cache_control(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    if *value == Json::Null {
        return Ok(());
    }
    let wish = object(value, at)?;
    if wish.find("type").is_none() {
        return Err(missing(at.field("type")));
    }
    for (key, value) in &wish.0 {
        let here = at.field(key);
        match &**key {
            "type" => _ = word(value, here, &["ephemeral"])?,
            "ttl" | "scope" => short_text(value, here, 64)?,
            _ => return Err(no_such_field(at, key)),
        }
    }
    Ok(())
}
