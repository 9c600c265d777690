//! JSON schemas of guests: for tools, and for the form of an answer.
//!
//! The model server turns them into grammars, and that has been its weakest side: regular expressions end it or run for
//! ever (CVE-2025-48944, CVE-2025-48943), types that do not exist end it, deep and large ones fill its memory. So:
//! only the keywords of the standard that are harmless, types by name, no regular expressions, bounded in every
//! direction. A keyword that the standard does not know is left out, which the standard says every reader must do
//! anyway: vendors' extensions smuggle expressions in (`x-guidance`).

use super::json::{Json, Object};
use super::judge::{At, Judge, flag, invalid, list, object, retain, short_text, whole, word, wrong_type};
use super::tokens;
use crate::reason::Refusal;
use crate::types::{Text, text};

const DEEPEST: u32 = 24;
/// In all schemas of a request together.
const MOST_VALUES: u32 = 20_000;
const MOST_BYTES: usize = 1 << 20;
/// A grammar may write a repetition out.
const LARGEST_COUNT: i64 = 65_536;

const TYPES: &[&str] = &["object", "array", "string", "number", "integer", "boolean", "null"];
/// Formats with a fixed meaning. `regex` and everything unknown is refused: engines turn formats into expressions.
const FORMATS: &[&str] = &[
    "date-time",
    "date",
    "time",
    "duration",
    "email",
    "idn-email",
    "hostname",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "iri",
    "uuid",
    "int32",
    "int64",
    "uint32",
    "uint64",
    "float",
    "double",
    "byte",
    "binary",
    "password",
    "url",
];

impl Judge<'_> {
    pub(super) fn schema(&mut self, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
        match value {
            Json::Object(_) => self.node(value, at, DEEPEST),
            other => Err(wrong_type(at, other, Text::fixed("an object", "对象"))),
        }
    }

    fn node(&mut self, value: &mut Json<'_>, at: At<'_>, depth_left: u32) -> Result<(), Refusal> {
        let Some(depth_left) = depth_left.checked_sub(1) else {
            return Err(invalid(
                at,
                text!("The schema is nested deeper than {DEEPEST} levels.", "模式嵌套超过 {DEEPEST} 层。"),
            ));
        };
        self.take(0, at)?;
        if let Json::Bool(_) = value {
            return Ok(());
        }
        retain(&mut object(value, at)?.0, |key, value| self.keyword(key, value, at, depth_left))
    }

    /// Whether the keyword is sent on.
    fn keyword(
        &mut self,
        key: &str,
        value: &mut Json<'_>,
        of: At<'_>,
        depth_left: u32,
    ) -> Result<bool, Refusal> {
        let at = of.field(key);
        match key {
            "type" => types(value, at)?,
            "properties" | "$defs" | "definitions" | "dependentSchemas" => {
                self.named(value, at, depth_left)?
            }
            "items"
            | "additionalProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames"
            | "unevaluatedProperties"
            | "unevaluatedItems"
            | "additionalItems"
                if !matches!(value, Json::Array(_)) =>
            {
                self.node(value, at, depth_left)?;
            }
            "anyOf" | "oneOf" | "allOf" | "prefixItems" | "items" => {
                for (index, each) in list(value, at, 1, 256)?.iter_mut().enumerate() {
                    self.node(each, at.item(index), depth_left)?;
                }
            }
            "required" | "dependentRequired" | "enum" | "const" | "default" | "examples" | "example" => {
                self.values(value, at)?;
            }
            "title" | "description" | "$comment" => {
                self.text(value, at)?;
                self.take(value.text().map_or(0, |text| text.len()), at)?;
            }
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties"
            | "minContains" | "maxContains" => _ = whole(value, at, 0, LARGEST_COUNT)?,
            "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum" | "multipleOf" => match value {
                Json::Number(_) | Json::Bool(_) => {}
                other => return Err(wrong_type(at, other, Text::fixed("a number", "数字"))),
            },
            "format" => _ = word(value, at, FORMATS)?,
            "$ref" => {
                local(value, at)?;
                self.address(value, at)?;
            }
            "$schema" => {
                short_text(value, at, 256)?;
                self.address(value, at)?;
            }
            "uniqueItems" | "nullable" | "deprecated" | "readOnly" | "writeOnly" => _ = flag(value, at)?,
            "pattern" | "patternProperties" => {
                return Err(invalid(
                    at,
                    text!(
                        "Regular expressions are not accepted in schemas ({key}). Describe the form in `description`, or list the values in `enum`.",
                        "模式中不接受正则表达式({key})。请在 description 中描述格式,或用 enum 列出取值。"
                    ),
                ));
            }
            "$id" | "$anchor" | "$dynamicRef" | "$dynamicAnchor" | "$recursiveRef" | "$recursiveAnchor"
            | "$vocabulary" => {
                return Err(invalid(
                    at,
                    text!(
                        "{key} is not accepted in schemas; use $defs and $ref.",
                        "模式中不接受 {key},请使用 $defs 和 $ref。"
                    ),
                ));
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Schemas under names of their own.
    fn named(&mut self, value: &mut Json<'_>, at: At<'_>, depth_left: u32) -> Result<(), Refusal> {
        let Object(entries) = object(value, at)?;
        for (name, each) in entries {
            self.take(name.len(), at)?;
            if tokens::holds_any(name, self.scope()) {
                return Err(super::judge::control_token(at));
            }
            self.node(each, at.field(name), depth_left)?;
        }
        Ok(())
    }

    /// Plain values inside a schema.
    fn values(&mut self, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
        self.weigh(value, at)?;
        self.data(value, at).map(drop)
    }

    /// A text that has to stay as it is, and that a template prints with the rest of the schema.
    fn address(&self, value: &Json<'_>, at: At<'_>) -> Result<(), Refusal> {
        match value.text() {
            Some(text) if tokens::holds_any(&text, self.scope()) => Err(super::judge::control_token(at)),
            _ => Ok(()),
        }
    }

    fn weigh(&mut self, value: &Json<'_>, at: At<'_>) -> Result<(), Refusal> {
        match value {
            Json::Array(items) => {
                self.take(0, at)?;
                items.iter().try_for_each(|item| self.weigh(item, at))
            }
            Json::Object(object) => object.0.iter().try_for_each(|(key, value)| {
                self.take(key.len(), at)?;
                self.weigh(value, at)
            }),
            other => self.take(other.text().map_or(0, |text| text.len()), at),
        }
    }

    fn take(&mut self, bytes: usize, at: At<'_>) -> Result<(), Refusal> {
        let found = &mut self.found;
        found.schema_values += 1;
        found.schema_bytes += bytes;
        if found.schema_values <= MOST_VALUES && found.schema_bytes <= MOST_BYTES {
            return Ok(());
        }
        Err(invalid(
            at,
            text!(
                "The schemas of the request are too large: at most {MOST_VALUES} values and {MOST_BYTES} bytes together.",
                "请求中的模式过大:合计最多 {MOST_VALUES} 个值、{MOST_BYTES} 字节。"
            ),
        ))
    }
}

fn types(value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    match value {
        Json::Array(_) => {
            for (index, each) in list(value, at, 1, TYPES.len())?.iter().enumerate() {
                word(each, at.item(index), TYPES)?;
            }
            Ok(())
        }
        one => word(one, at, TYPES).map(drop),
    }
}

/// A reference within the schema: no other document is fetched, and no other schema of the engine's is reached.
fn local(value: &Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    short_text(value, at, 1024)?;
    match value {
        Json::String(reference) if *reference == "#" || reference.starts_with("#/") => Ok(()),
        _ => Err(invalid(
            at,
            text!("{at} must point into the same schema (#/…).", "{at} 必须指向同一模式内部(#/…)。"),
        )),
    }
}
