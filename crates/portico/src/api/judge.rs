//! Judging one body: what every key and field is held against, and how what is wrong is said.
//!
//! [`Judge::object`] goes through the top-level keys by the table in [`super::parameters`]; what a key's own shape needs
//! stands in `messages`, `tools`, `schema` and `inputs`. All of it is for every operation: a new one brings a table.

use std::borrow::Cow;
use std::fmt;

use super::Operation;
use super::body::Body;
use super::json::{Json, Object};
use super::parameters::{self, Fate, Parameter, Rule};
use super::tokens::{self, Scope};
use super::vision::Pictures;
use crate::config::Policy;
use crate::reason::{Reason, Refusal};
use crate::types::{Text, text};

/// A text with a control token in it is copied to break the token. Longer ones are refused instead, or the copies would
/// hold several times the body.
const LONGEST_DEFUSED_BYTES: usize = 1 << 20;

/// Where in the body, in the API's notation: `messages[0].content[1].image_url`. Costs nothing until it is shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'p> {
    Key(&'p str),
    Field(&'p At<'p>, &'p str),
    Item(&'p At<'p>, usize),
}

impl<'p> At<'p> {
    pub(super) fn field(&'p self, name: &'p str) -> At<'p> {
        At::Field(self, name)
    }

    pub(super) fn item(&'p self, index: usize) -> At<'p> {
        At::Item(self, index)
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            At::Key(key) => f.write_str(&shown(key)),
            At::Field(of, name) => write!(f, "{of}.{}", shown(name)),
            At::Item(of, index) => write!(f, "{of}[{index}]"),
        }
    }
}

/// A client's own word in a message: cut, so that the message stays one.
pub(super) fn shown(word: &str) -> Cow<'_, str> {
    match word.char_indices().nth(64) {
        Some((end, _)) => Cow::Owned(format!("{}…", &word[..end])),
        None => Cow::Borrowed(word),
    }
}

/// What the judge has found on its way.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) stream: bool,
    pub(super) wants_usage: bool,
    pub(super) images: u32,
    /// Of their data: URLs.
    pub(super) image_url_bytes: usize,
    pub(super) pictures: Pictures,
    /// A prompt is given as token ids, in which nobody sees control tokens.
    pub(super) token_ids: bool,
    pub(super) max_tokens: Option<u32>,
    pub(super) max_completion_tokens: Option<u32>,
    pub(super) min_tokens: Option<u32>,
    /// What a message says about thinking before the answer.
    pub(super) thinking: Option<Thinking>,
    /// Of all schemas together.
    pub(super) schema_values: u32,
    pub(super) schema_bytes: usize,
}

/// Anthropic's `thinking`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Thinking {
    Adaptive,
    Disabled,
    Enabled { budget_tokens: u32 },
}

pub(super) struct Judge<'r> {
    pub(super) operation: Operation,
    pub(super) policy: &'r Policy,
    /// What the document was parsed from.
    pub(super) body: &'r Body,
    pub(super) found: Found,
}

impl Judge<'_> {
    /// Judges every key, and leaves only those that are sent on as they are.
    pub(super) fn object(&mut self, object: &mut Object<'_>) -> Result<(), Refusal> {
        for required in parameters::required(self.operation) {
            if matches!(object.find(required), None | Some(Json::Null)) {
                return Err(missing(At::Key(required)));
            }
        }
        retain(&mut object.0, |key, value| self.key(key, value))
    }

    /// Whether the key is sent on.
    fn key(&mut self, key: &str, value: &mut Json<'_>) -> Result<bool, Refusal> {
        let at = At::Key(key);
        if !self.policy.enabled {
            return match parameters::find(self.operation, key) {
                // What Portico has to know or writes itself.
                Some(parameter) if key == "stream" || matches!(parameter.fate, Fate::Set | Fate::Capped) => {
                    self.parameter(parameter, value, at)
                }
                _ => Ok(true),
            };
        }
        if self.policy.deny_keys.iter().any(|denied| denied == key) {
            return Err(invalid(at, text!("The field {at} is not accepted here.", "此处不接受字段 {at}。"))
                .because("policy.deny_keys names it"));
        }
        let allows = || self.policy.allow_keys.iter().any(|allowed| allowed == key);
        match parameters::find(self.operation, key) {
            Some(parameter) => self.parameter(parameter, value, at),
            None if allows() => Ok(true),
            None => Err(not_on_the_list(self.operation, at, key)),
        }
    }

    fn parameter(
        &mut self,
        parameter: &Parameter,
        value: &mut Json<'_>,
        at: At<'_>,
    ) -> Result<bool, Refusal> {
        // For every API null is the same as nothing, but not for every model server.
        if *value == Json::Null {
            return Ok(false);
        }
        match &parameter.rule {
            Rule::Any => {}
            Rule::Flag => _ = flag(value, at)?,
            Rule::Whole(least, most) => _ = whole(value, at, *least, *most)?,
            Rule::Number(least, most) => number(value, at, *least, *most)?,
            Rule::Text(most_bytes) => short_text(value, at, *most_bytes)?,
            Rule::Word(words) => _ = word(value, at, words)?,
            Rule::Own(own, _) => own(self, value, at)?,
        }
        Ok(parameter.fate == Fate::Sent)
    }

    /// A text that the model reads.
    pub(super) fn text(&self, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
        self.defuse(value, at, tokens::defused)
    }

    /// A text that others follow without anything in between.
    pub(super) fn piece(&self, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
        self.defuse(value, at, tokens::defused_piece)
    }

    fn defuse(
        &self,
        value: &mut Json<'_>,
        at: At<'_>,
        how: fn(&str, Scope) -> Option<String>,
    ) -> Result<(), Refusal> {
        let Some(text) = value.text() else {
            return Err(wrong_type(at, value, Text::fixed("a string", "字符串")));
        };
        let scope = self.scope();
        if text.len() > LONGEST_DEFUSED_BYTES {
            return match tokens::holds_any(&text, scope) {
                true => Err(control_token(at)),
                false => Ok(()),
            };
        }
        if let Some(defused) = how(&text, scope) {
            *value = Json::String(Cow::Owned(defused));
        }
        Ok(())
    }

    pub(super) const fn scope(&self) -> Scope {
        match self.operation {
            Operation::Completions | Operation::Embeddings => Scope::Prompt,
            // Rankers have templates, too.
            _ => Scope::Chat,
        }
    }
}

/// Goes through the entries of an object and keeps those for which `keep` says so.
pub(super) fn retain<'a>(
    entries: &mut Vec<(Cow<'a, str>, Json<'a>)>,
    mut keep: impl FnMut(&str, &mut Json<'a>) -> Result<bool, Refusal>,
) -> Result<(), Refusal> {
    let mut wrong = None;
    entries.retain_mut(|(key, value)| {
        if wrong.is_some() {
            return true;
        }
        keep(key, value).unwrap_or_else(|refusal| {
            wrong = Some(refusal);
            true
        })
    });
    wrong.map_or(Ok(()), Err)
}

pub(super) fn object<'v, 'a>(value: &'v mut Json<'a>, at: At<'_>) -> Result<&'v mut Object<'a>, Refusal> {
    match value {
        Json::Object(object) => Ok(object),
        other => Err(wrong_type(at, other, Text::fixed("an object", "对象"))),
    }
}

/// An array of `least` to `most` items.
pub(super) fn list<'v, 'a>(
    value: &'v mut Json<'a>,
    at: At<'_>,
    least: usize,
    most: usize,
) -> Result<&'v mut Vec<Json<'a>>, Refusal> {
    match value {
        Json::Array(items) if items.len() < least => Err(missing(at)),
        Json::Array(items) if items.len() > most => {
            let count = items.len();
            Err(invalid(
                at,
                text!(
                    "{at} has {count} entries; at most {most} are accepted.",
                    "{at} 有 {count} 项,最多接受 {most} 项。"
                ),
            ))
        }
        Json::Array(items) => Ok(items),
        other => Err(wrong_type(at, other, Text::fixed("an array", "数组"))),
    }
}

pub(super) fn flag(value: &Json<'_>, at: At<'_>) -> Result<bool, Refusal> {
    match value {
        Json::Bool(value) => Ok(*value),
        other => Err(wrong_type(at, other, Text::fixed("true or false", "true 或 false"))),
    }
}

pub(super) fn whole(value: &Json<'_>, at: At<'_>, least: i64, most: i64) -> Result<i64, Refusal> {
    match value {
        Json::Number(number) => {
            number.whole().filter(|number| (least..=most).contains(number)).ok_or_else(|| {
                invalid(
                    at,
                    text!(
                        "{at} must be a whole number from {least} to {most} here.",
                        "此处 {at} 必须是 {least} 到 {most} 的整数。"
                    ),
                )
            })
        }
        other => Err(wrong_type(at, other, Text::fixed("a whole number", "整数"))),
    }
}

pub(super) fn number(value: &Json<'_>, at: At<'_>, least: f64, most: f64) -> Result<(), Refusal> {
    match value {
        Json::Number(number) if (least..=most).contains(&number.float()) => Ok(()),
        Json::Number(_) => Err(invalid(
            at,
            text!("{at} must be from {least} to {most} here.", "此处 {at} 必须在 {least} 到 {most} 之间。"),
        )),
        other => Err(wrong_type(at, other, Text::fixed("a number", "数字"))),
    }
}

/// A short text that no model reads: a name of something, for people and programs.
pub(super) fn short_text(value: &Json<'_>, at: At<'_>, most_bytes: usize) -> Result<(), Refusal> {
    match value {
        Json::String(text) if text.len() > most_bytes => Err(too_long(at, most_bytes)),
        Json::Source(_) => Err(too_long(at, most_bytes)),
        Json::String(text) if text.chars().any(char::is_control) => Err(odd_character(at)),
        Json::String(_) => Ok(()),
        other => Err(wrong_type(at, other, Text::fixed("a string", "字符串"))),
    }
}

/// A name that stands in a template beside what the model reads: nothing in it may look like anything else.
pub(super) fn name(value: &Json<'_>, at: At<'_>, most_bytes: usize) -> Result<(), Refusal> {
    short_text(value, at, most_bytes)?;
    let is_odd = |c: char| {
        matches!(c, '<' | '>' | '|' | '\u{ff5c}' | '{' | '}' | '"' | '\\' | '`')
            // Zero-width, direction and line marks: what is seen is not what is there.
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    match value {
        Json::String(text) if text.is_empty() => Err(missing(at)),
        Json::String(text) if text.contains(is_odd) => Err(odd_character(at)),
        _ => Ok(()),
    }
}

/// One of these words.
pub(super) fn word(value: &Json<'_>, at: At<'_>, words: &[&'static str]) -> Result<&'static str, Refusal> {
    match value {
        Json::String(_) | Json::Source(_) => {
            let known = match value {
                Json::String(text) => words.iter().find(|word| **word == *text),
                _ => None,
            };
            known.copied().ok_or_else(|| {
                let words = words.join(", ");
                invalid(at, text!("{at} must be one of {words}.", "{at} 只能是以下之一:{words}。"))
            })
        }
        other => Err(wrong_type(at, other, Text::fixed("a string", "字符串"))),
    }
}

/// How closely a picture is looked at. False: it says nothing.
pub(super) fn detail(value: &Json<'_>, at: At<'_>) -> Result<bool, Refusal> {
    match value {
        Json::Null => Ok(false),
        _ => word(value, at, &["auto", "low", "high"]).map(|_| true),
    }
}

pub(super) fn invalid(at: impl fmt::Display, says: Text) -> Refusal {
    Refusal::new(Reason::InvalidValue).param(at.to_string()).saying(says)
}

pub(super) fn wrong_type(at: impl fmt::Display, found: &Json<'_>, wanted: Text) -> Refusal {
    let (kind, Text { en, zh }) = (found.kind(), wanted);
    let says = text!("{at} must be {en}, not {kind}.", "{at} 必须是{zh},而不是 {kind}。");
    invalid(at, says)
}

pub(super) fn missing(at: At<'_>) -> Refusal {
    invalid(at, text!("The field {at} is missing or empty.", "字段 {at} 缺失或为空。"))
}

pub(super) fn too_long(at: At<'_>, most_bytes: usize) -> Refusal {
    invalid(at, text!("{at} is longer than {most_bytes} bytes.", "{at} 超过 {most_bytes} 字节。"))
}

pub(super) fn odd_character(at: At<'_>) -> Refusal {
    invalid(
        at,
        text!("{at} holds a character that is not accepted in a name.", "{at} 含有名称中不允许的字符。"),
    )
}

pub(super) fn control_token(at: At<'_>) -> Refusal {
    invalid(
        at,
        text!(
            "{at} holds a control token of the model, such as <|im_end|>. Take it out or write it with a space.",
            "{at} 含有模型的控制标记(例如 <|im_end|>)。请删除它,或在其中加入空格。"
        ),
    )
}

/// A field of an object that is not among those it may have.
pub(super) fn no_such_field(at: At<'_>, name: &str) -> Refusal {
    let at = at.field(name);
    invalid(at, text!("There is no field {at} here.", "此处没有字段 {at}。"))
}

fn not_on_the_list(operation: Operation, at: At<'_>, key: &str) -> Refusal {
    if let Some(Text { en, zh }) = parameters::refused(key) {
        return invalid(
            at,
            text!("The field {at} is not accepted here: {en}.", "此处不接受字段 {at}:{zh}。"),
        )
        .because("it is on the list of refused keys; policy.allow_keys could let it through");
    }
    let near = crate::config::nearest(key, parameters::names(operation));
    let says = match near {
        Some(near) => text!(
            "The field {at} is not known here. Did you mean {near}?",
            "此处没有字段 {at}。是否想写 {near}?"
        ),
        None => text!("The field {at} is not known here.", "此处没有字段 {at}。"),
    };
    invalid(at, says).because("it is on no list; policy.allow_keys could let it through")
}
