//! A value of another type than the key takes: what was found, what is wanted, and how to write it.

use toml::Spanned;
use toml::de::DeValue;

use super::key::Shape;
use super::problem::{Code, Problem, Spot};
use crate::types::{Text, text};

pub(crate) fn wrong_type(spot: &Spot, value: &Spanned<DeValue<'_>>, shape: &Shape) -> Problem {
    let key = &spot.key;
    let Text { en: wanted_en, zh: wanted_zh } = wanted(shape);
    let Text { en: found_en, zh: found_zh } = found(value.get_ref());
    let problem = Problem::error(
        Code::WrongType,
        spot,
        text!("`{key}` takes {wanted_en}, not {found_en}", "`{key}` 应为{wanted_zh},而不是{found_zh}"),
    );
    match fix(value.get_ref(), shape) {
        Some(fixed) => problem.label(text!("write {fixed}", "请写 {fixed}")),
        None => problem,
    }
}

fn wanted(shape: &Shape) -> Text {
    match shape {
        Shape::Flag => Text::fixed("true or false", " true 或 false"),
        Shape::Whole { .. } => Text::fixed("a whole number", "整数"),
        Shape::Number { .. } => Text::fixed("a number", "数字"),
        Shape::Period { .. } => Text::fixed("a duration such as \"300s\"", "时长,例如 \"300s\""),
        Shape::Size { .. } => Text::fixed("a size such as \"64MiB\"", "大小,例如 \"64MiB\""),
        Shape::Words(_) | Shape::Form(_) => Text::fixed("text in quotes", "带引号的文本"),
        Shape::WordsOr(words, other) => match (words.first(), &**other) {
            (_, Shape::Form(_)) | (None, _) => wanted(other),
            (Some(word), other) => {
                let Text { en, zh } = wanted(other);
                text!("\"{word}\" or {en}", " \"{word}\" 或{zh}")
            }
        },
        Shape::List { .. } => Text::fixed("a list in square brackets", "方括号中的列表"),
    }
}

fn found(value: &DeValue<'_>) -> Text {
    match value {
        DeValue::String(_) => Text::fixed("text", "文本"),
        DeValue::Integer(_) => Text::fixed("a whole number", "整数"),
        DeValue::Float(_) => Text::fixed("a number with a fraction", "小数"),
        DeValue::Boolean(_) => Text::fixed("true or false", "布尔值"),
        DeValue::Datetime(_) => Text::fixed("a date or time", "日期或时间"),
        DeValue::Array(_) => Text::fixed("a list", "列表"),
        DeValue::Table(_) => Text::fixed("a section", "小节"),
    }
}

/// The same value as the key would take it, where that is clear.
fn fix(value: &DeValue<'_>, shape: &Shape) -> Option<String> {
    match (shape, value) {
        (Shape::Period { .. }, DeValue::Integer(number)) => Some(format!("\"{number}s\"")),
        (Shape::Size { .. }, DeValue::Integer(number)) => Some(format!("\"{number}\"")),
        (Shape::Flag, DeValue::String(written)) => match written.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => Some("true".to_owned()),
            "false" | "no" | "off" | "0" => Some("false".to_owned()),
            _ => None,
        },
        (Shape::Flag, DeValue::Integer(number)) => match number.as_str() {
            "0" => Some("false".to_owned()),
            "1" => Some("true".to_owned()),
            _ => None,
        },
        (Shape::Whole { .. } | Shape::Number { .. }, DeValue::String(written)) => {
            written.parse::<u64>().ok().map(|number| number.to_string())
        }
        (Shape::WordsOr(_, other), DeValue::String(_)) => match &**other {
            Shape::Form(_) => None,
            other => fix(value, other),
        },
        (Shape::Words(_) | Shape::Form(_), DeValue::Integer(number)) => Some(format!("\"{number}\"")),
        (Shape::List { item, .. }, DeValue::String(written))
            if matches!(**item, Shape::Words(_) | Shape::Form(_) | Shape::WordsOr(..)) =>
        {
            Some(format!("[{written:?}]"))
        }
        _ => None,
    }
}
