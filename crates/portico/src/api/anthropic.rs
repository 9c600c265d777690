//! What a call of Anthropic's API has beside its messages: tools, the choice among them, thinking, the form of the answer.

use super::blocks::cache_control;
use super::json::Json;
use super::judge::{
    At, Judge, Thinking, flag, invalid, list, missing, no_such_field, object, retain, shown, whole, word,
};
use super::tools::{MOST_TOOLS, definition, function_name};
use crate::reason::Refusal;
use crate::types::{Text, text};

/// Anthropic's least, which vLLM holds callers to.
pub(super) const LEAST_BUDGET_TOKENS: u32 = 1024;

/// `{name, description, input_schema, type: "custom"}` each. Anthropic's own kinds run on its servers, or promise a
/// program that the model was trained on.
pub(super) fn tools(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (index, tool) in list(value, at, 0, MOST_TOOLS)?.iter_mut().enumerate() {
        let at = at.item(index);
        retain(&mut object(tool, at)?.0, |key, value| {
            let here = at.field(key);
            match (key, &*value) {
                ("type", Json::Null) => Ok(false),
                ("type", Json::String(kind)) if kind == "custom" => Ok(false),
                ("type", kind) => Err(not_custom(kind, here)),
                ("cache_control", _) => cache_control(judge, value, here).map(|()| false),
                // When its arguments come, and when it is shown to the model: at once.
                ("eager_input_streaming" | "defer_loading", Json::Null) => Ok(false),
                ("eager_input_streaming" | "defer_loading", _) => flag(value, here).map(|_| false),
                ("allowed_callers", Json::Null) => Ok(false),
                ("allowed_callers", _) => {
                    for (index, caller) in list(value, here, 0, 8)?.iter().enumerate() {
                        word(caller, here.item(index), &["direct"])?;
                    }
                    Ok(false)
                }
                // No model server behind Portico shows them to the model.
                ("input_examples", _) => Ok(false),
                _ => Ok(true),
            }
        })?;
        definition(judge, tool, at, "input_schema", &[])?;
        if object(tool, at)?.find("input_schema").is_none() {
            return Err(missing(at.field("input_schema")));
        }
    }
    Ok(())
}

fn not_custom(kind: &Json<'_>, at: At<'_>) -> Refusal {
    let kind = kind.text().unwrap_or_default();
    let kind = shown(&kind);
    invalid(
        at,
        text!(
            "Tools of type {kind} are not accepted: only custom ones, which the client runs itself. Nothing is searched, executed or called from here.",
            "不接受 {kind} 类型的工具:只接受由客户端自行执行的 custom 工具。此处不会检索、执行或调用任何东西。"
        ),
    )
}

/// `{type: "auto" | "any" | "none" | "tool", name, disable_parallel_tool_use}`.
pub(super) fn tool_choice(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let choice = object(value, at)?;
    let is_named = match choice.find("type") {
        None => return Err(missing(at.field("type"))),
        Some(kind) => word(kind, at.field("type"), &["auto", "any", "none", "tool"])? == "tool",
    };
    if is_named && choice.find("name").is_none() {
        return Err(missing(at.field("name")));
    }
    retain(&mut choice.0, |key, value| {
        let here = at.field(key);
        match key {
            "type" => Ok(true),
            "name" if is_named => function_name(value, here).map(|()| true),
            "disable_parallel_tool_use" if *value == Json::Null => Ok(false),
            "disable_parallel_tool_use" => flag(value, here).map(|_| true),
            _ => Err(no_such_field(at, key)),
        }
    })
}

/// `{type: "enabled", budget_tokens}`, or disabled, or adaptive; `display` concerns what Anthropic shows.
pub(super) fn thinking(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let thinking = object(value, at)?;
    let kind = match thinking.find("type") {
        None => return Err(missing(at.field("type"))),
        Some(kind) => word(kind, at.field("type"), &["enabled", "disabled", "adaptive"])?,
    };
    let mut budget_tokens = None;
    for (key, value) in &thinking.0 {
        let here = at.field(key);
        match (&**key, value) {
            ("type", _) | ("display", Json::Null) => {}
            ("display", _) => _ = word(value, here, &["summarized", "omitted", "updates"])?,
            ("budget_tokens", _) if kind == "enabled" => {
                let tokens = whole(value, here, LEAST_BUDGET_TOKENS.into(), 1_000_000)?;
                budget_tokens = u32::try_from(tokens).ok();
            }
            _ => return Err(no_such_field(at, key)),
        }
    }
    judge.found.thinking = Some(match (kind, budget_tokens) {
        ("disabled", _) => Thinking::Disabled,
        ("adaptive", _) => Thinking::Adaptive,
        (_, Some(budget_tokens)) => Thinking::Enabled { budget_tokens },
        (_, None) => return Err(missing(at.field("budget_tokens"))),
    });
    Ok(())
}

/// `{effort, format: {type: "json_schema", schema}}`.
pub(super) fn output_config(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    retain(&mut object(value, at)?.0, |key, value| {
        let here = at.field(key);
        match (key, &*value) {
            ("effort" | "format", Json::Null) => Ok(false),
            ("effort", _) => word(value, here, &["low", "medium", "high", "xhigh", "max"]).map(|_| true),
            ("format", _) => output_format(judge, value, here).map(|()| true),
            _ => Err(no_such_field(at, key)),
        }
    })
}

fn output_format(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let format = object(value, at)?;
    if let Some(key) = ["type", "schema"].iter().find(|key| format.find(key).is_none()) {
        return Err(missing(at.field(key)));
    }
    for (key, value) in &mut format.0 {
        match &**key {
            "type" => _ = word(value, at.field("type"), &["json_schema"])?,
            "schema" => judge.schema(value, at.field("schema"))?,
            other => return Err(no_such_field(at, other)),
        }
    }
    Ok(())
}

/// Understood and left out: what would be cut from a conversation stays in it.
pub(super) fn context_management(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    match value {
        Json::Object(_) => Ok(()),
        other => Err(super::judge::wrong_type(at, other, Text::fixed("an object", "对象"))),
    }
}
