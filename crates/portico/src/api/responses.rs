//! OpenAI's Responses: the items of an input, the tools, and the form of the answer.
//!
//! Items are what other calls have left behind, so there are many kinds; what is taken is what a conversation with
//! functions needs. Whatever names something that a server keeps (`previous_response_id`, `conversation`,
//! `item_reference`, files) is refused: nobody knows whose it is.

use std::borrow::Cow;

use super::json::{Json, Object};
use super::judge::{
    At, Judge, flag, invalid, list, missing, name, no_such_field, object, retain, short_text, shown, word,
    wrong_type,
};
use super::messages::{LONGEST_NAME_BYTES, MOST_MESSAGES, MOST_PARTS, arguments};
use super::tools::{MOST_TOOLS, definition, function_name};
use crate::reason::Refusal;
use crate::types::{Text, text};

/// What a model thought elsewhere, sealed: nobody here can open it.
const LONGEST_SEALED_BYTES: usize = 4 << 20;
const STATES: &[&str] = &["in_progress", "completed", "incomplete"];

/// A text, or items.
pub(super) fn input(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    match value {
        Json::String(text) if text.is_empty() => return Err(missing(at)),
        Json::String(_) | Json::Source(_) => return judge.text(value, at),
        Json::Array(_) => {}
        other => return Err(wrong_type(at, other, Text::fixed("a string or an array", "字符串或数组"))),
    }
    for (index, each) in list(value, at, 1, MOST_MESSAGES)?.iter_mut().enumerate() {
        item(judge, each, at.item(index))?;
    }
    judge.enough_images(at)
}

/// The keys of its kind and no others: a server that looks at the keys must find what one finds that looks at `type`.
fn item(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let item = object(value, at)?;
    let kind = match item.find("type") {
        // Whoever writes no type means a message.
        None => "message",
        Some(Json::String(kind)) => kind,
        Some(other) => return Err(wrong_type(at.field("type"), other, Text::fixed("a string", "字符串"))),
    };
    match kind {
        "message" => message(judge, value, at),
        "function_call" => function_call(judge, value, at),
        "function_call_output" => function_call_output(judge, value, at),
        "reasoning" => reasoning_item(judge, value, at),
        "item_reference" => Err(invalid(
            at.field("type"),
            Text::fixed(
                "Items are not kept here, so none can be referred to: send the item itself.",
                "此处不保存任何条目,无法引用:请发送条目本身。",
            ),
        )),
        other => {
            let kind = shown(other);
            Err(invalid(
                at.field("type"),
                text!(
                    "Items of type {kind} are not accepted: message, function_call, function_call_output and reasoning are.",
                    "不接受 {kind} 类型的条目,只接受 message、function_call、function_call_output 和 reasoning。"
                ),
            ))
        }
    }
}

/// What every item may have beside what it is. `None`: none of these.
fn common(key: &str, value: &Json<'_>, at: At<'_>) -> Option<Result<bool, Refusal>> {
    let kept = match (key, value) {
        ("type", _) => Ok(true),
        ("id" | "status", Json::Null) => Ok(false),
        ("id", _) => name(value, at, LONGEST_NAME_BYTES).map(|()| true),
        ("status", _) => word(value, at, STATES).map(|_| true),
        _ => return None,
    };
    Some(kept)
}

fn required(item: &Json<'_>, at: At<'_>, keys: &[&str]) -> Result<(), Refusal> {
    let Json::Object(item) = item else { return Ok(()) };
    match keys.iter().find(|key| matches!(item.find(key), None | Some(Json::Null))) {
        Some(key) => Err(missing(at.field(key))),
        None => Ok(()),
    }
}

fn message(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    required(value, at, &["role", "content"])?;
    let item = object(value, at)?;
    let role = match item.find("role") {
        Some(role) => word(role, at.field("role"), &["system", "developer", "user", "assistant"])?,
        None => return Err(missing(at.field("role"))),
    };
    // Without it, model servers take an answer's parts for a question's.
    if role == "assistant"
        && matches!(item.find("content"), Some(Json::Array(_)))
        && item.find("type").is_none()
    {
        item.0.push((Cow::Borrowed("type"), Json::String(Cow::Borrowed("message"))));
    }
    retain(&mut item.0, |key, value| {
        let here = at.field(key);
        match key {
            "role" => Ok(true),
            "content" => content(judge, value, here, role).map(|()| true),
            // Which part of an answer it was.
            "phase" if role == "assistant" && *value == Json::Null => Ok(false),
            "phase" if role == "assistant" => short_text(value, here, 64).map(|()| false),
            _ => common(key, value, here).unwrap_or_else(|| Err(no_such_field(at, key))),
        }
    })
}

fn content(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>, role: &str) -> Result<(), Refusal> {
    match value {
        Json::String(_) | Json::Source(_) => judge.text(value, at),
        Json::Array(_) => {
            let parts = list(value, at, 0, MOST_PARTS)?;
            for (index, each) in parts.iter_mut().enumerate() {
                part(judge, each, at.item(index), role)?;
            }
            if role == "assistant" && parts.is_empty() {
                *value = Json::String(Cow::Borrowed(""));
            }
            Ok(())
        }
        other => Err(wrong_type(at, other, Text::fixed("a string or an array", "字符串或数组"))),
    }
}

/// What an assistant has said, as a text. vLLM reads its first part as one without a look, and fails where that is a
/// refusal, or where there is none.
fn said(text: Json<'_>) -> Object<'_> {
    Object(vec![
        (Cow::Borrowed("type"), Json::String(Cow::Borrowed("output_text"))),
        (Cow::Borrowed("text"), text),
        (Cow::Borrowed("annotations"), Json::Array(Vec::new())),
    ])
}

/// `{type, text}`, `{type, refusal}` or `{type, image_url, detail}`.
fn part(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>, role: &str) -> Result<(), Refusal> {
    let part = object(value, at)?;
    let here = at.field("type");
    let (kind, key) = match part.find("type") {
        Some(Json::String(kind)) => match &**kind {
            "input_text" => ("input_text", "text"),
            "output_text" if role == "assistant" => ("output_text", "text"),
            "refusal" if role == "assistant" => ("refusal", "refusal"),
            "input_image" if role != "assistant" => ("input_image", "image_url"),
            _ => {
                return Err(invalid(
                    here,
                    text!(
                        "{here} may be input_text or input_image; in what an assistant said, output_text or refusal.",
                        "{here} 只能是 input_text 或 input_image;助手消息中为 output_text 或 refusal。"
                    ),
                ));
            }
        },
        _ => return Err(missing(here)),
    };
    if part.find(key).is_none() {
        return Err(missing(at.field(key)));
    }
    retain(&mut part.0, |field, value| {
        let here = at.field(field);
        match field {
            "type" => Ok(true),
            _ if field == key && kind == "input_image" => judge.picture_url(value, here).map(|()| true),
            _ if field == key => judge.piece(value, here).map(|()| true),
            "detail" if kind == "input_image" => super::judge::detail(value, here),
            // A file of nobody knows whom; clients write null where there is none.
            "file_id" if kind == "input_image" && *value == Json::Null => Ok(false),
            // Marks of an answer that mean nothing in a question, but for strict readers.
            "annotations" if kind == "output_text" => {
                *value = Json::Array(Vec::new());
                Ok(true)
            }
            "logprobs" if kind == "output_text" => Ok(false),
            _ => Err(no_such_field(at, field)),
        }
    })?;
    if kind == "refusal"
        && let Some(text) = part.find_mut(key)
    {
        *part = said(std::mem::replace(text, Json::Null));
    }
    Ok(())
}

fn function_call(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    required(value, at, &["call_id", "name", "arguments"])?;
    retain(&mut object(value, at)?.0, |key, value| {
        let here = at.field(key);
        match key {
            "call_id" => name(value, here, LONGEST_NAME_BYTES).map(|()| true),
            "name" => function_name(value, here).map(|()| true),
            "arguments" => arguments(judge, value, here).map(|()| true),
            _ => common(key, value, here).unwrap_or_else(|| Err(no_such_field(at, key))),
        }
    })
}

fn function_call_output(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    required(value, at, &["call_id", "output"])?;
    retain(&mut object(value, at)?.0, |key, value| {
        let here = at.field(key);
        match key {
            "call_id" => name(value, here, LONGEST_NAME_BYTES).map(|()| true),
            "output" => content(judge, value, here, "tool").map(|()| true),
            _ => common(key, value, here).unwrap_or_else(|| Err(no_such_field(at, key))),
        }
    })
}

fn reasoning_item(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    retain(&mut object(value, at)?.0, |key, value| {
        let here = at.field(key);
        match (key, &*value) {
            ("summary", _) => thoughts(judge, value, here, "summary_text").map(|()| true),
            ("content" | "encrypted_content", Json::Null) => Ok(false),
            ("content", _) => thoughts(judge, value, here, "reasoning_text").map(|()| true),
            ("encrypted_content", _) => short_text(value, here, LONGEST_SEALED_BYTES).map(|()| false),
            _ => common(key, value, here).unwrap_or_else(|| Err(no_such_field(at, key))),
        }
    })
}

/// `{type, text}` each.
fn thoughts(
    judge: &mut Judge<'_>,
    value: &mut Json<'_>,
    at: At<'_>,
    kind: &'static str,
) -> Result<(), Refusal> {
    for (index, each) in list(value, at, 0, MOST_PARTS)?.iter_mut().enumerate() {
        let at = at.item(index);
        required(each, at, &["type", "text"])?;
        for (key, value) in &mut object(each, at)?.0 {
            let here = at.field(key);
            match &**key {
                "type" => _ = word(value, here, &[kind])?,
                "text" => judge.piece(value, here)?,
                _ => return Err(no_such_field(at, key)),
            }
        }
    }
    Ok(())
}

/// `{type: "function", name, description, parameters, strict}` each. All other kinds run somewhere: on the web, in a
/// sandbox, on servers that the client names.
pub(super) fn functions(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (index, tool) in list(value, at, 0, MOST_TOOLS)?.iter_mut().enumerate() {
        let at = at.item(index);
        required(tool, at, &["type"])?;
        is_function(object(tool, at)?.find("type"), at.field("type"))?;
        definition(judge, tool, at, "parameters", &["type"])?;
    }
    Ok(())
}

fn is_function(kind: Option<&Json<'_>>, at: At<'_>) -> Result<(), Refusal> {
    match kind {
        Some(Json::String(kind)) if kind == "function" => Ok(()),
        Some(Json::String(kind)) => {
            let kind = shown(kind);
            Err(invalid(
                at,
                text!(
                    "Tools of type {kind} are not accepted: only functions, which the client runs itself. Nothing is searched, executed or called from here.",
                    "不接受 {kind} 类型的工具:只接受由客户端自行执行的 function。此处不会检索、执行或调用任何东西。"
                ),
            ))
        }
        Some(other) => Err(wrong_type(at, other, Text::fixed("a string", "字符串"))),
        None => Err(missing(at)),
    }
}

/// A word, or `{type: "function", name}`.
pub(super) fn function_choice(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    if let Json::String(_) = value {
        return word(value, at, &["none", "auto", "required"]).map(drop);
    }
    required(value, at, &["type", "name"])?;
    for (key, value) in &object(value, at)?.0 {
        let here = at.field(key);
        match &**key {
            "type" => is_function(Some(value), here)?,
            "name" => function_name(value, here)?,
            _ => return Err(no_such_field(at, key)),
        }
    }
    Ok(())
}

/// `text`: `{format, verbosity}`, where a schema stands beside its name and not inside.
pub(super) fn text_form(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    retain(&mut object(value, at)?.0, |key, value| {
        let here = at.field(key);
        match (key, &*value) {
            ("format" | "verbosity", Json::Null) => Ok(false),
            ("format", _) => format(judge, value, here).map(|()| true),
            // No model server behind Portico knows it.
            ("verbosity", _) => word(value, here, &["low", "medium", "high"]).map(|_| false),
            _ => Err(no_such_field(at, key)),
        }
    })
}

fn format(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    required(value, at, &["type"])?;
    let format = object(value, at)?;
    let kind = format.find("type").unwrap_or(&Json::Null);
    if word(kind, at.field("type"), &["text", "json_object", "json_schema"])? == "json_schema" {
        required(value, at, &["schema"])?;
        return definition(judge, value, at, "schema", &["type"]);
    }
    match format.0.iter().find(|(key, _)| key != "type") {
        Some((key, _)) => Err(no_such_field(at, key)),
        None => Ok(()),
    }
}

/// `reasoning`: `{effort, summary, generate_summary}`.
pub(super) fn reasoning(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    const SUMMARIES: &[&str] = &["auto", "concise", "detailed", "none"];
    retain(&mut object(value, at)?.0, |key, value| {
        let here = at.field(key);
        match (key, &*value) {
            ("effort" | "summary" | "generate_summary", Json::Null) => Ok(false),
            ("effort", _) => word(value, here, super::parameters::EFFORTS).map(|_| true),
            ("summary", _) => word(value, here, SUMMARIES).map(|_| true),
            ("generate_summary", _) => word(value, here, SUMMARIES).map(|_| false),
            _ => Err(no_such_field(at, key)),
        }
    })
}

/// `include`: what more of the answer is shown. What belongs to tools that are not run here is refused.
pub(super) fn include(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    const SHOWN: &[&str] = &["message.output_text.logprobs", "reasoning.encrypted_content"];
    for (index, each) in list(value, at, 0, 8)?.iter().enumerate() {
        word(each, at.item(index), SHOWN)?;
    }
    Ok(())
}

/// `background`: an answer that somebody fetches later is one that anybody can.
pub(super) fn foreground(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    match flag(value, at)? {
        false => Ok(()),
        true => Err(invalid(
            at,
            Text::fixed(
                "Answers are not kept here to be fetched later: leave background out, and use stream.",
                "此处不保存供以后获取的回答:请去掉 background,改用 stream。",
            ),
        )),
    }
}

/// `previous_response_id` and `conversation`: whoever guesses a name would read what is behind it.
pub(super) fn nothing_kept(_: &mut Judge<'_>, _: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    Err(invalid(
        at,
        text!(
            "Answers are not kept here, so {at} can't be used: send the whole conversation as input.",
            "此处不保存回答,不能使用 {at}:请在 input 中发送完整对话。"
        ),
    ))
}
