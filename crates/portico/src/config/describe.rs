//! A key in words: what explain, reference and schema share.

use super::key::{Built, Default, Entry, Shape};
use crate::types::{Text, text};

/// How a section's header stands in the file.
pub(crate) fn header(section: &str) -> String {
    match section.strip_suffix("[]") {
        Some(list) => format!("[[{list}]]"),
        None => format!("[{}]", section.replace('*', "NAME")),
    }
}

/// The section's part of a key's path.
pub(crate) fn section_of(at: &str) -> &str {
    at.rsplit_once('.').map_or("", |(section, _)| section)
}

/// The path as a person writes it: `plan.NAME.weight`, `model.name`.
pub(crate) fn plain_path(at: &str) -> String {
    at.replace("[]", "").replace('*', "NAME")
}

pub(crate) fn kind(shape: &Shape) -> Text {
    match shape {
        Shape::Flag => text!("true or false", "true 或 false"),
        Shape::Whole { .. } => text!("whole number", "整数"),
        Shape::Number { .. } => text!("number", "数字"),
        Shape::Period { .. } => text!("duration (units ms s m h d)", "时长(单位 ms s m h d)"),
        Shape::Size { .. } => {
            text!("size (units KiB MiB GiB TiB KB MB GB)", "大小(单位 KiB MiB GiB TiB KB MB GB)")
        }
        Shape::Words(words) => {
            let list = quoted(words);
            text!("one of {list}", "以下之一:{list}")
        }
        Shape::Form(form) => form.clone(),
        Shape::WordsOr(words, other) => {
            let (list, Text { en, zh }) = (quoted(words), kind(other));
            text!("{list}, or {en}", "{list},或{zh}")
        }
        Shape::List { item, .. } => {
            let Text { en, zh } = kind(item);
            text!("list: {en}", "列表:{zh}")
        }
    }
}

/// Floor and ceiling, and what zero means where it means something of its own.
pub(crate) fn range(shape: &Shape) -> Option<Text> {
    let between = |min: String, max: String| text!("{min} to {max}", "{min} 到 {max}");
    match shape {
        Shape::Whole { min, max, zero } => {
            Some(with_zero(between(min.to_string(), max.to_string()), "0", zero.as_ref()))
        }
        Shape::Number { min, max } => Some(between(min.to_string(), max.to_string())),
        Shape::Period { min, max, zero } => {
            Some(with_zero(between((*min).to_owned(), (*max).to_owned()), "\"0s\"", zero.as_ref()))
        }
        Shape::Size { min, max } => Some(between((*min).to_owned(), (*max).to_owned())),
        Shape::WordsOr(_, other) => range(other),
        Shape::List { item, max } => {
            let count = text!("at most {max} items", "最多 {max} 项");
            match range(item) {
                Some(Text { en, zh }) => {
                    let Text { en: count_en, zh: count_zh } = count;
                    Some(text!("{count_en}, each {en}", "{count_zh},每项 {zh}"))
                }
                None => Some(count),
            }
        }
        Shape::Flag | Shape::Words(_) | Shape::Form(_) => None,
    }
}

fn with_zero(range: Text, zero: &str, meaning: Option<&Text>) -> Text {
    let Some(Text { en: meaning_en, zh: meaning_zh }) = meaning else { return range };
    let Text { en, zh } = range;
    Text { en: format!("{en}; {zero}: {meaning_en}").into(), zh: format!("{zh};{zero}:{meaning_zh}").into() }
}

pub(crate) fn default(entry: &dyn Entry) -> Text {
    match entry.default() {
        Default::Is(written) => Text { en: (*written).into(), zh: (*written).into() },
        Default::Depends(text) => text.clone(),
        Default::Required => text!("none: it must be written", "无:必须写出"),
    }
}

pub(crate) fn built(built: Built) -> Text {
    match built {
        Built::Yes => text!("yes", "是"),
        Built::Later => text!("not yet: accepted with a warning", "尚未:接受并给出警告"),
        Built::LaterProtects => {
            text!("not yet: `run` refuses to start where it is set", "尚未:设置后 `run` 拒绝启动")
        }
        Built::LaterProtectsRoot => {
            text!(
                "not yet: as root, `run` refuses to start where it is set",
                "尚未:以 root 运行时,设置后 `run` 拒绝启动"
            )
        }
    }
}

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
