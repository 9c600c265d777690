//! The writer: from what was judged to the body that is sent.

use std::borrow::Cow;

use bytes::Bytes;

use super::read::plain_run;
use super::{Json, LONG_BYTES, Object};
use crate::types::Rope;

/// A buffer of this size becomes a piece of the body: one that doubles would hold a long document twice.
const PIECE_BYTES: usize = 64 * 1024;

/// Writes an object anew, but for its opening brace and its first keys: whoever sends it puts `{"key":value` in front.
/// `body` is what it was parsed from: long strings become slices of it.
pub(crate) fn write_rest(object: Object<'_>, body: &Bytes) -> Rope {
    let mut writer =
        Writer { body, buffer: Vec::with_capacity(body.len().min(LONG_BYTES)), rope: Rope::default() };
    for (key, value) in object.0 {
        writer.buffer.push(b',');
        writer.string(key);
        writer.buffer.push(b':');
        writer.value(value);
    }
    writer.buffer.push(b'}');
    writer.finish()
}

/// A small document as text.
pub(crate) fn to_text(document: Json<'_>) -> String {
    let mut writer = Writer { body: &Bytes::new(), buffer: Vec::new(), rope: Rope::default() };
    writer.value(document);
    String::from_utf8(writer.finish().to_vec()).unwrap_or_default()
}

#[cfg(test)]
pub(super) fn write(document: Json<'_>, body: &Bytes) -> Rope {
    let mut writer = Writer { body, buffer: Vec::new(), rope: Rope::default() };
    writer.value(document);
    writer.finish()
}

struct Writer<'b> {
    body: &'b Bytes,
    buffer: Vec<u8>,
    rope: Rope,
}

impl Writer<'_> {
    fn value(&mut self, value: Json<'_>) {
        match value {
            Json::Null => self.buffer.extend_from_slice(b"null"),
            Json::Bool(true) => self.buffer.extend_from_slice(b"true"),
            Json::Bool(false) => self.buffer.extend_from_slice(b"false"),
            Json::Number(number) => self.buffer.extend_from_slice(number.0.as_bytes()),
            Json::String(text) => self.string(text),
            Json::Source(source) => self.source(source),
            Json::Written(pieces) => {
                self.buffer.push(b'"');
                pieces.into_iter().for_each(|piece| self.piece(piece));
                self.buffer.push(b'"');
            }
            Json::Hole => {
                self.buffer.push(b'"');
                self.push_buffer();
                self.rope.push_hole();
                self.buffer.push(b'"');
            }
            Json::Array(items) => {
                self.buffer.push(b'[');
                for (index, item) in items.into_iter().enumerate() {
                    if index > 0 {
                        self.buffer.push(b',');
                    }
                    self.value(item);
                }
                self.buffer.push(b']');
            }
            Json::Object(object) => {
                self.buffer.push(b'{');
                for (index, (key, item)) in object.0.into_iter().enumerate() {
                    if index > 0 {
                        self.buffer.push(b',');
                    }
                    self.string(key);
                    self.buffer.push(b':');
                    self.value(item);
                }
                self.buffer.push(b'}');
            }
        }
        if self.buffer.len() >= PIECE_BYTES {
            self.push_buffer();
        }
    }

    fn string(&mut self, text: Cow<'_, str>) {
        match text {
            // What lies in the body was borrowed from it, so it held no escapes there and needs none here.
            Cow::Borrowed(text) if self.is_of_body(text.as_bytes()) => self.source(text.as_bytes()),
            Cow::Owned(text) if text.len() >= LONG_BYTES && plain_run(text.as_bytes()) == text.len() => {
                self.buffer.push(b'"');
                self.push_buffer();
                self.rope.push(Bytes::from(text));
                self.buffer.push(b'"');
            }
            text => serde_json::to_writer(&mut self.buffer, &*text).expect("a string always serialises"),
        }
    }

    /// A string as it stands in the body.
    fn source(&mut self, source: &[u8]) {
        self.buffer.push(b'"');
        if source.len() >= LONG_BYTES && self.is_of_body(source) {
            self.push_buffer();
            self.rope.push(self.body.slice_ref(source));
        } else {
            self.buffer.extend_from_slice(source);
        }
        self.buffer.push(b'"');
    }

    fn piece(&mut self, piece: Bytes) {
        if piece.len() < LONG_BYTES {
            self.buffer.extend_from_slice(&piece);
        } else {
            self.push_buffer();
            self.rope.push(piece);
        }
    }

    fn is_of_body(&self, text: &[u8]) -> bool {
        self.body.as_ptr_range().contains(&text.as_ptr())
    }

    fn push_buffer(&mut self) {
        self.rope.push(Bytes::from(std::mem::take(&mut self.buffer)));
    }

    fn finish(mut self) -> Rope {
        self.push_buffer();
        self.rope
    }
}
