//! What `rerank` and `score` compare: texts.
//!
//! vLLM also takes documents with parts, which may name pictures; a ranker of pictures is asked by nobody yet, so here
//! a document is a text.

use super::inputs::one_text;
use super::json::Json;
use super::judge::{At, Judge, list, missing, no_such_field, object, wrong_type};
use crate::reason::Refusal;
use crate::types::Text;

/// Each is a run of the model.
const MOST_TEXTS: usize = 2048;

pub(super) fn query(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    one_text(judge, value, at)
}

/// Texts, or `{text}` each, as Cohere and Jina have it. Written as texts, which every server takes.
pub(super) fn documents(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    for (index, each) in list(value, at, 1, MOST_TEXTS)?.iter_mut().enumerate() {
        let at = at.item(index);
        if let Json::Object(_) = each {
            *each = text_of(each, at)?;
            one_text(judge, each, at.field("text"))?;
        } else {
            one_text(judge, each, at)?;
        }
    }
    Ok(())
}

fn text_of<'a>(document: &mut Json<'a>, at: At<'_>) -> Result<Json<'a>, Refusal> {
    let document = object(document, at)?;
    if let Some((key, _)) = document.0.iter().find(|(key, _)| key != "text") {
        return Err(no_such_field(at, key));
    }
    document.0.pop().map(|(_, text)| text).ok_or_else(|| missing(at.field("text")))
}

/// `text_1` and `text_2`: a text or texts.
pub(super) fn texts(judge: &mut Judge<'_>, value: &mut Json<'_>, at: At<'_>) -> Result<(), Refusal> {
    match value {
        Json::String(_) | Json::Source(_) => one_text(judge, value, at),
        Json::Array(_) => {
            for (index, each) in list(value, at, 1, MOST_TEXTS)?.iter_mut().enumerate() {
                one_text(judge, each, at.item(index))?;
            }
            Ok(())
        }
        other => Err(wrong_type(at, other, Text::fixed("a string or an array", "字符串或数组"))),
    }
}
