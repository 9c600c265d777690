//! A strict JSON document over the client's bytes, and a writer that makes a new one from it.
//!
//! What two readers could understand differently is refused by [`parse`]: duplicate keys, other encodings, numbers
//! that do not fit, halves of surrogate pairs. Strings without escapes are borrowed, and so is the source of long ones
//! with escapes: a picture of 20 MB is scanned but not copied, neither in nor out.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::borrow::Cow;

use crate::types::Rope;

pub(crate) use read::parse;
pub(crate) use write::{to_text, write_rest};

/// Strings of so many bytes are passed on as slices of the body; shorter ones are cheaper to copy.
const LONG_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number<'a>),
    String(Cow<'a, str>),
    /// A long string that is written with escapes, or that is base64 in large part: its source between the quotes, read
    /// to be well formed. It is decoded only as long as somebody looks at it.
    Source(&'a [u8]),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
    /// A string that was judged and changed, in pieces that need no escapes. Never parsed, only written.
    Written(Rope),
    /// A string that is not there yet: [`Rope::fill`] puts it in. Never parsed, only written.
    Hole,
}

/// A number as the client wrote it. It is sent on in the same digits, so that no reader gets another value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Number<'a>(&'a str);

/// Keys are unique and keep their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object<'a>(pub(crate) Vec<(Cow<'a, str>, Json<'a>)>);

impl<'a> Object<'a> {
    pub(crate) fn find(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn find_mut(&mut self, key: &str) -> Option<&mut Json<'a>> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }
}

impl Number<'_> {
    /// An integer written as one. `1.0`, `1e2` and `-0` are integers to some readers and not to others.
    pub(crate) fn whole(self) -> Option<i64> {
        if self.0 == "-0" { None } else { self.0.parse().ok() }
    }

    pub(crate) fn float(self) -> f64 {
        self.0.parse().unwrap_or(f64::NAN)
    }
}

impl Json<'_> {
    /// A string's text, decoded if need be.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        match self {
            Json::String(text) => Some(Cow::Borrowed(text)),
            Json::Source(source) => Some(read::decoded(source)),
            _ => None,
        }
    }

    /// What a person calls this kind of value.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) | Json::Source(_) | Json::Written(_) | Json::Hole => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }
}
