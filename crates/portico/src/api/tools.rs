//! Tools, the choice among them, and the form of the answer.

use super::json::Json;
use super::judge::{
    At, Judge, flag, invalid, list, missing, no_such_field, object, retain, short_text, word, wrong_type,
};
use crate::reason::Refusal;
use crate::types::{Text, text};

pub(super) const MOST_TOOLS: usize = 128;
const LONGEST_FUNCTION_NAME_BYTES: usize = 128;

/// `{type: "function", function: {name, description, parameters, strict}}` each.
pub(super) fn tools(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (index, tool) in list(value, at, 0, MOST_TOOLS)?.iter_mut().enumerate() {
        let at = at.item(index);
        let tool = object(tool, at)?;
        for required in ["type", "function"] {
            if tool.find(required).is_none() {
                return Err(missing(at.field(required)));
            }
        }
        for (key, value) in &mut tool.0 {
            match &**key {
                "type" => _ = word(value, at.field("type"), &["function"])?,
                "function" => definition(judge, value, at.field("function"), "parameters", &[])?,
                other => return Err(no_such_field(at, other)),
            }
        }
    }
    Ok(())
}

/// `{name, description, strict}` and a schema, which is called `parameters`, `schema` or `input_schema`. Other keys may
/// stand beside them only where somebody has judged them before.
pub(super) fn definition(
    judge: &mut Judge<'_>,
    value: &mut Json<'_>,
    at: At<'_>,
    schema_key: &str,
    judged: &[&str],
) -> Result<(), Refusal> {
    let definition = object(value, at)?;
    if definition.find("name").is_none() {
        return Err(missing(at.field("name")));
    }
    retain(&mut definition.0, |key, value| {
        let here = at.field(key);
        match (key, &*value) {
            ("name", _) => function_name(value, here).map(|()| true),
            ("description" | "strict", Json::Null) => Ok(false),
            ("description", _) => judge.text(value, here).map(|()| true),
            ("strict", _) => flag(value, here).map(|_| true),
            (key, _) if judged.contains(&key) => Ok(true),
            (key, Json::Null) if key == schema_key => Ok(false),
            (key, _) if key == schema_key => judge.schema(value, here).map(|()| true),
            _ => Err(no_such_field(at, key)),
        }
    })
}

/// A text of its own that stands before the conversation.
pub(super) fn instructions(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    judge.text(value, at)
}

/// Letters, digits and a few signs: it stands in templates, in tool parsers and in the client's own code.
pub(super) fn function_name(value: &Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    short_text(value, at, LONGEST_FUNCTION_NAME_BYTES)?;
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:/".contains(&byte);
    match value {
        Json::String(name) if !name.is_empty() && name.bytes().all(is_fine) => Ok(()),
        _ => Err(invalid(
            at,
            text!(
                "{at} may hold letters, digits and _ - . : / only.",
                "{at} 只能包含字母、数字和 _ - . : /。"
            ),
        )),
    }
}

/// A word, or `{type: "function", function: {name}}`.
pub(super) fn choice(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    if let Json::String(_) = value {
        return word(value, at, &["none", "auto", "required"]).map(drop);
    }
    let Json::Object(choice) = value else {
        return Err(wrong_type(at, value, Text::fixed("a string or an object", "字符串或对象")));
    };
    for required in ["type", "function"] {
        if choice.find(required).is_none() {
            return Err(missing(at.field(required)));
        }
    }
    for (key, value) in &mut choice.0 {
        match &**key {
            "type" => _ = word(value, at.field("type"), &["function"])?,
            "function" => {
                let at = at.field("function");
                let function = object(value, at)?;
                match function.find("name") {
                    Some(name) => function_name(name, at.field("name"))?,
                    None => return Err(missing(at.field("name"))),
                }
                if let Some((key, _)) = function.0.iter().find(|(key, _)| key != "name") {
                    return Err(no_such_field(at, key));
                }
            }
            other => return Err(no_such_field(at, other)),
        }
    }
    Ok(())
}

/// `{type: "text" | "json_object"}` or `{type: "json_schema", json_schema: {name, description, schema, strict}}`.
pub(super) fn response_format(
    judge: &mut Judge<'_>,
    value: &mut Json<'_>,
    at: At<'_>,
) -> Result<(), Refusal> {
    let format = object(value, at)?;
    let is_schema = match format.find("type") {
        None => return Err(missing(at.field("type"))),
        Some(kind) => {
            word(kind, at.field("type"), &["text", "json_object", "json_schema"])?;
            matches!(kind, Json::String(kind) if kind == "json_schema")
        }
    };
    if is_schema && format.find("json_schema").is_none() {
        return Err(missing(at.field("json_schema")));
    }
    for (key, value) in &mut format.0 {
        match &**key {
            "type" => {}
            "json_schema" if is_schema => {
                let at = at.field("json_schema");
                definition(judge, value, at, "schema", &[])?;
                // Without one there is nothing to hold the answer to, and some servers fail on it.
                if let Json::Object(object) = value
                    && object.find("schema").is_none()
                {
                    return Err(missing(at.field("schema")));
                }
            }
            other => return Err(no_such_field(at, other)),
        }
    }
    Ok(())
}
