//! What a completion continues and what an embedding is made of: texts, or token ids.

use super::json::Json;
use super::judge::{At, Judge, invalid, list, missing, whole, wrong_type};
use crate::reason::Refusal;
use crate::types::{Text, text};

/// Each prompt is a generation of its own.
const MOST_PROMPTS: usize = 32;
const MOST_INPUTS: usize = 2048;
const MOST_TOKEN_IDS: usize = 400_000;

pub(super) fn prompt(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    texts(judge, value, at, MOST_PROMPTS)
}

pub(super) fn input(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    texts(judge, value, at, MOST_INPUTS)
}

/// A text, texts, token ids, or lists of token ids. None may be empty (CVE-2024-8768: an empty prompt ends the engine).
fn texts(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>, most: usize) -> Result<(), Refusal> {
    match value {
        Json::String(_) | Json::Source(_) => one_text(judge, value, at),
        Json::Array(items) if matches!(items.first(), Some(Json::Number(_))) => token_ids(judge, value, at),
        Json::Array(_) => {
            for (index, each) in list(value, at, 1, most)?.iter_mut().enumerate() {
                let at = at.item(index);
                match each {
                    Json::String(_) | Json::Source(_) => one_text(judge, each, at)?,
                    Json::Array(_) => token_ids(judge, each, at)?,
                    other => {
                        let wanted =
                            Text::fixed("a string or an array of token ids", "字符串或 token 编号数组");
                        return Err(wrong_type(at, other, wanted));
                    }
                }
            }
            Ok(())
        }
        other => Err(wrong_type(at, other, Text::fixed("a string or an array", "字符串或数组"))),
    }
}

pub(super) fn one_text(judge: &Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    match value {
        Json::String(text) if text.is_empty() => Err(missing(at)),
        _ => judge.text(value, at),
    }
}

fn token_ids(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    judge.found.token_ids = true;
    for (index, id) in list(value, at, 1, MOST_TOKEN_IDS)?.iter().enumerate() {
        whole(id, at.item(index), 0, i64::from(i32::MAX))?;
    }
    Ok(())
}

/// `logit_bias`: token ids as keys, and how much each is wanted.
pub(super) fn logit_bias(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    const MOST: usize = 1024;
    let entries = &super::judge::object(value, at)?.0;
    if entries.len() > MOST {
        return Err(invalid(at, text!("{at} has more than {MOST} entries.", "{at} 超过 {MOST} 项。")));
    }
    for (key, value) in entries {
        let is_id = (1..=9).contains(&key.len())
            && key.bytes().all(|byte| byte.is_ascii_digit())
            // `7` and `07` would be one id under two names.
            && (!key.starts_with('0') || key.len() == 1);
        if !is_id {
            let says = text!("The keys of {at} must be token ids.", "{at} 的键必须是 token 编号。");
            return Err(invalid(at.field(key), says));
        }
        super::judge::number(value, at.field(key), -100.0, 100.0)?;
    }
    Ok(())
}

/// `stop_sequences`: a list, where `stop` may be a text alone.
pub(super) fn stop_list(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    match value {
        Json::Array(_) => stop(judge, value, at),
        other => Err(wrong_type(at, other, Text::fixed("an array", "数组"))),
    }
}

/// `stop`: one text or several, none empty.
pub(super) fn stop(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    const MOST: usize = 16;
    const LONGEST_BYTES: usize = 512;
    let one = |value: &Json<'_>, at: At<'_>| match value {
        Json::String(text) if text.is_empty() => Err(missing(at)),
        Json::String(text) if text.len() <= LONGEST_BYTES => Ok(()),
        Json::String(_) | Json::Source(_) => Err(super::judge::too_long(at, LONGEST_BYTES)),
        other => Err(wrong_type(at, other, Text::fixed("a string", "字符串"))),
    };
    match value {
        Json::Array(_) => {
            let texts = list(value, at, 0, MOST)?;
            texts.iter().enumerate().try_for_each(|(index, each)| one(each, at.item(index)))
        }
        other => one(other, at),
    }
}

pub(super) fn stop_token_ids(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (index, id) in list(value, at, 0, 64)?.iter().enumerate() {
        whole(id, at.item(index), 0, i64::from(i32::MAX))?;
    }
    Ok(())
}

/// OpenAI's labels of a call: bounded like theirs, and dropped, since nothing is stored here.
pub(super) fn metadata(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    let entries = &super::judge::object(value, at)?.0;
    if entries.len() > 16 {
        return Err(invalid(at, text!("{at} has more than 16 entries.", "{at} 超过 16 项。")));
    }
    for (key, value) in entries {
        if key.len() > 64 {
            return Err(super::judge::too_long(at.field(key), 64));
        }
        if *value != Json::Null {
            super::judge::short_text(value, at.field(key), 2048)?;
        }
    }
    Ok(())
}

/// `modalities`: an answer is text.
pub(super) fn text_only(_: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (index, each) in list(value, at, 0, 4)?.iter().enumerate() {
        super::judge::word(each, at.item(index), &["text"])?;
    }
    Ok(())
}
