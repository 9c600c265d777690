//! What one event of a stream means, in each of the dialects.

use std::ops::Range;

use memchr::memmem;

use crate::api::Usage;
use crate::api::scan::top_level;
use crate::types::Dialect;

/// What becomes of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It passes.
    News,
    /// It passes, and carries a piece of the answer.
    Piece,
    /// It passes, and nothing comes after it.
    End,
    /// The model server's own word on its failure, which may name addresses and paths.
    Failure,
    /// Belongs to another dialect.
    Foreign,
}

/// The end of a chat, and of nothing else.
const DONE: &[u8] = b"[DONE]";

pub(super) fn meaning(dialect: Dialect, event: &[u8], json: &[u8]) -> Meaning {
    if json == DONE {
        return if dialect == Dialect::Chat { Meaning::End } else { Meaning::Foreign };
    }
    if dialect == Dialect::Chat {
        return if is_error(json) { Meaning::Failure } else { Meaning::Piece };
    }
    let name = name(event);
    let kind = text(json, "type").or(name).unwrap_or_default();
    // The name is what some clients go by, and the type what others do: either may say that it failed.
    if is_failure(kind) || name.is_some_and(is_failure) || holds_error(json) {
        return Meaning::Failure;
    }
    by_kind(dialect, kind)
}

/// The same, for an event that is too large to be held: by its name alone, which stands before everything else.
pub(super) fn meaning_of_large(dialect: Dialect, beginning: &[u8]) -> Meaning {
    match name(beginning) {
        Some(name) if dialect != Dialect::Chat && is_failure(name) => Meaning::Failure,
        Some(name) if dialect != Dialect::Chat => by_kind(dialect, name),
        _ => Meaning::News,
    }
}

fn by_kind(dialect: Dialect, kind: &[u8]) -> Meaning {
    match (dialect, kind) {
        (Dialect::Responses, b"response.completed" | b"response.incomplete")
        | (Dialect::Messages, b"message_stop") => Meaning::End,
        (Dialect::Responses, kind) if kind.ends_with(b".delta") => Meaning::Piece,
        (Dialect::Messages, b"content_block_delta") => Meaning::Piece,
        _ => Meaning::News,
    }
}

fn is_failure(kind: &[u8]) -> bool {
    matches!(kind, b"error" | b"response.failed")
}

/// Whether whole events can be passed on without a look at each: nothing in them is ever of interest.
pub(super) fn holds_nothing_of_interest(dialect: Dialect, events: &[u8]) -> bool {
    let words: &[&[u8]] = match dialect {
        Dialect::Chat => &[b"\"usage\"", DONE, b"\"error\""],
        Dialect::Responses => &[
            // The key under which name and usage stand.
            b"\"response\"",
            b"\"error\"",
            b"response.completed",
            b"response.incomplete",
            b"response.failed",
            b"event: error",
            b"event:error",
            DONE,
        ],
        Dialect::Messages => &[
            // The key under which the name stands.
            b"\"message\"",
            b"\"usage\"",
            b"message_stop",
            b"\"error\"",
            b"response.failed",
            b"event: error",
            b"event:error",
            DONE,
        ],
    };
    words.iter().all(|word| memmem::find(events, word).is_none())
}

/// How many pieces of an answer plain events hold.
pub(super) fn pieces(dialect: Dialect, events: &[u8]) -> u64 {
    let mark: &[u8] = match dialect {
        Dialect::Chat => b"\n\n",
        Dialect::Responses => b".delta\"",
        // Its content has such words only behind a backslash.
        Dialect::Messages => b"\"content_block_delta\"",
    };
    memmem::find_iter(events, mark).count() as u64
}

pub(super) fn usage(dialect: Dialect, json: &[u8]) -> Option<Usage> {
    memmem::find(json, b"\"usage\"")?;
    let span = match dialect {
        Dialect::Chat => top_level(json, "usage"),
        Dialect::Responses => inside(json, "response", "usage"),
        Dialect::Messages => top_level(json, "usage").or_else(|| inside(json, "message", "usage")),
    }?;
    serde_json::from_slice::<Option<Usage>>(&json[span]).ok().flatten()
}

/// A chat's event that carries its usage and nothing else.
pub(super) fn is_usage_alone(dialect: Dialect, json: &[u8]) -> bool {
    dialect == Dialect::Chat
        && top_level(json, "choices").is_some_and(|span| {
            json[span].iter().all(|byte| matches!(byte, b'[' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
        })
}

/// Where the value of the model's name stands.
pub(super) fn model(dialect: Dialect, json: &[u8]) -> Option<Range<usize>> {
    match dialect {
        Dialect::Chat => top_level(json, "model"),
        Dialect::Responses => inside(json, "response", "model"),
        Dialect::Messages => inside(json, "message", "model"),
    }
}

fn inside(json: &[u8], outer: &str, inner: &str) -> Option<Range<usize>> {
    let outer = top_level(json, outer)?;
    let span = top_level(&json[outer.clone()], inner)?;
    Some(outer.start + span.start..outer.start + span.end)
}

/// `{"error": …}`, or `{"object": "error", …}` as older engines say it.
fn is_error(json: &[u8]) -> bool {
    let object_is_error = || top_level(json, "object").is_some_and(|span| json[span] == *b"\"error\"");
    memmem::find(json, b"\"error\"").is_some()
        && top_level(json, "choices").is_none()
        && (top_level(json, "error").is_some() || object_is_error())
}

fn holds_error(json: &[u8]) -> bool {
    memmem::find(json, b"\"error\"").is_some()
        && top_level(json, "error").is_some_and(|span| json[span] != *b"null")
}

/// A text without escapes.
fn text<'j>(json: &'j [u8], key: &str) -> Option<&'j [u8]> {
    json[top_level(json, key)?].strip_prefix(b"\"")?.strip_suffix(b"\"")
}

/// What the `event:` line says, as clients read it: without one blank.
fn name(event: &[u8]) -> Option<&[u8]> {
    let value = event.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"event:"))?;
    let value = value.strip_prefix(b" ").unwrap_or(value);
    Some(value.strip_suffix(b"\r").unwrap_or(value))
}
