//! A strict JSON document over the client's bytes, and a writer that makes a new one from it.
//!
//! serde_json does the reading (UTF-8, grammar, no trailing data, no NaN); what it would let pass is refused here:
//! duplicate keys, which two readers resolve differently, and depth beyond the configured one. Strings without
//! escapes are borrowed, so a picture of 20 MB is scanned but not copied, neither in nor out.

use std::borrow::Cow;
use std::cell::Cell;
use std::collections::HashSet;
use std::fmt;

use bytes::Bytes;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::Number;

use crate::types::Rope;

/// Values in one document. Each takes 32 bytes or more here and may take two on the wire, so that a body within its
/// limit could grow to many times what was counted against `limits.body_total`.
const MOST_VALUES: u32 = 1_000_000;
/// Borrowed strings longer than this are passed on as slices of the body; shorter ones are cheaper to copy.
const SLICE_FROM_BYTES: usize = 4096;

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Json<'a> {
    Null,
    Bool(bool),
    Number(Number),
    String(Cow<'a, str>),
    Array(Vec<Json<'a>>),
    Object(Object<'a>),
    /// A string that was judged and changed, in pieces that need no escapes. Never parsed, only written.
    Written(Rope),
    /// A string that is not there yet: [`Rope::fill`] puts it in. Never parsed, only written.
    Hole,
}

/// Keys are unique and keep their order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Object<'a>(pub(crate) Vec<(Cow<'a, str>, Json<'a>)>);

/// Reads a whole document. `max_depth` counts nested arrays and objects.
pub(crate) fn parse(body: &[u8], max_depth: u32) -> Result<Json<'_>, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_slice(body);
    let values_left = Cell::new(MOST_VALUES);
    let document = Seed { depth_left: max_depth, values_left: &values_left }.deserialize(&mut reader)?;
    reader.end()?;
    Ok(document)
}

/// Writes an object anew, but for its opening brace and the one key `without`: whoever sends it puts
/// `{"key":value` in front. `body` is what it was parsed from: long borrowed strings become slices of it.
pub(crate) fn write_rest(object: &Object<'_>, without: &str, body: &Bytes) -> Rope {
    let mut writer =
        Writer { body, buffer: Vec::with_capacity(body.len().min(SLICE_FROM_BYTES)), rope: Rope::default() };
    for (key, value) in object.0.iter().filter(|(key, _)| key != without) {
        writer.buffer.push(b',');
        writer.plain(key);
        writer.buffer.push(b':');
        writer.value(value);
    }
    writer.buffer.push(b'}');
    writer.finish()
}

#[cfg(test)]
fn write(document: &Json<'_>, body: &Bytes) -> Rope {
    let mut writer = Writer { body, buffer: Vec::new(), rope: Rope::default() };
    writer.value(document);
    writer.finish()
}

impl<'a> Object<'a> {
    pub(crate) fn find(&self, key: &str) -> Option<&Json<'a>> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    pub(crate) fn find_mut(&mut self, key: &str) -> Option<&mut Json<'a>> {
        self.0.iter_mut().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// Sets a key in place, or appends it.
    pub(crate) fn set(&mut self, key: &'static str, value: Json<'a>) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, slot)) => *slot = value,
            None => self.0.push((Cow::Borrowed(key), value)),
        }
    }
}

impl Json<'_> {
    /// What a person calls this kind of value.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Bool(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::String(_) | Json::Written(_) | Json::Hole => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }
}

#[derive(Clone, Copy)]
struct Seed<'c> {
    depth_left: u32,
    values_left: &'c Cell<u32>,
}

impl Seed<'_> {
    fn deeper<E: serde::de::Error>(self) -> Result<Self, E> {
        match self.depth_left.checked_sub(1) {
            Some(depth_left) => Ok(Self { depth_left, ..self }),
            None => Err(E::custom("nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        let Some(left) = self.values_left.get().checked_sub(1) else {
            return Err(D::Error::custom(format_args!("more than {MOST_VALUES} values")));
        };
        self.values_left.set(left);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Json<'de>, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("number out of range"))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let seed = self.deeper()?;
        let mut array = Vec::new();
        while let Some(item) = items.next_element_seed(seed)? {
            array.push(item);
        }
        Ok(Json::Array(array))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let seed = self.deeper()?;
        let mut object = Object::default();
        let mut seen: Option<HashSet<Cow<'de, str>>> = None;
        while let Some(key) = entries.next_key_seed(Key)? {
            // A linear look is cheapest for the usual dozen keys; a hostile body with thousands gets a set.
            let duplicate = match &mut seen {
                Some(seen) => !seen.insert(key.clone()),
                None => object.find(&key).is_some(),
            };
            if duplicate {
                return Err(A::Error::custom(format_args!("the key {key:?} appears twice")));
            }
            let value = entries.next_value_seed(seed)?;
            object.0.push((key, value));
            if seen.is_none() && object.0.len() == 32 {
                seen = Some(object.0.iter().map(|(key, _)| key.clone()).collect());
            }
        }
        Ok(Json::Object(object))
    }
}

struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(value.to_owned()))
    }
}

struct Writer<'b> {
    body: &'b Bytes,
    buffer: Vec<u8>,
    rope: Rope,
}

impl Writer<'_> {
    fn value(&mut self, value: &Json<'_>) {
        match value {
            Json::Null => self.buffer.extend_from_slice(b"null"),
            Json::Bool(true) => self.buffer.extend_from_slice(b"true"),
            Json::Bool(false) => self.buffer.extend_from_slice(b"false"),
            Json::Number(number) => self.plain(number),
            Json::String(text) => self.string(text),
            Json::Written(pieces) => {
                self.buffer.push(b'"');
                for piece in pieces.iter() {
                    self.piece(piece);
                }
                self.buffer.push(b'"');
            }
            Json::Hole => {
                self.buffer.push(b'"');
                self.rope.push(Bytes::from(std::mem::take(&mut self.buffer)));
                self.rope.push_hole();
                self.buffer.push(b'"');
            }
            Json::Array(items) => {
                self.buffer.push(b'[');
                for (index, item) in items.iter().enumerate() {
                    if index > 0 {
                        self.buffer.push(b',');
                    }
                    self.value(item);
                }
                self.buffer.push(b']');
            }
            Json::Object(object) => {
                self.buffer.push(b'{');
                for (index, (key, item)) in object.0.iter().enumerate() {
                    if index > 0 {
                        self.buffer.push(b',');
                    }
                    self.plain(key);
                    self.buffer.push(b':');
                    self.value(item);
                }
                self.buffer.push(b'}');
            }
        }
    }

    fn string(&mut self, text: &str) {
        // A string that lies in the body was borrowed from it, so it held no escapes there and needs none here.
        match text {
            text if text.len() >= SLICE_FROM_BYTES && self.is_of_body(text) => {
                self.buffer.push(b'"');
                self.rope.push(Bytes::from(std::mem::take(&mut self.buffer)));
                self.rope.push(self.body.slice_ref(text.as_bytes()));
                self.buffer.push(b'"');
            }
            _ => self.plain(text),
        }
    }

    fn piece(&mut self, piece: &Bytes) {
        if piece.len() < SLICE_FROM_BYTES {
            self.buffer.extend_from_slice(piece);
        } else {
            self.rope.push(Bytes::from(std::mem::take(&mut self.buffer)));
            self.rope.push(piece.clone());
        }
    }

    fn is_of_body(&self, text: &str) -> bool {
        self.body.as_ptr_range().contains(&text.as_ptr())
    }

    fn plain(&mut self, value: &(impl serde::Serialize + ?Sized)) {
        serde_json::to_writer(&mut self.buffer, value).expect("strings and finite numbers always serialise");
    }

    fn finish(mut self) -> Rope {
        self.rope.push(Bytes::from(self.buffer));
        self.rope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(text: &str) -> String {
        let body = Bytes::copy_from_slice(text.as_bytes());
        let document = parse(&body, 64).unwrap();
        String::from_utf8(write(&document, &body).to_vec()).unwrap()
    }

    #[test]
    fn what_is_written_means_what_was_read() {
        for text in [
            r#"{"a":[1,-2,3.5,true,false,null,"x"],"b":{"c":"\u00e9\n\"\\"}}"#,
            r#"  [ ]  "#,
            r#""only a string""#,
            "{\"long\":\"0123456789\u{4e2d}\u{6587}\"}",
        ] {
            let once: serde_json::Value = serde_json::from_str(text).unwrap();
            let twice: serde_json::Value = serde_json::from_str(&rewritten(text)).unwrap();
            assert_eq!(once, twice, "{text}");
        }
    }

    #[test]
    fn a_long_string_is_a_slice_of_the_body() {
        let text = format!(r#"{{"url":"data:image/png;base64,{}","n":1}}"#, "A".repeat(100_000));
        let body = Bytes::from(text.clone());
        let document = parse(&body, 64).unwrap();
        let rope = write(&document, &body);
        assert_eq!(rope.to_vec(), text.as_bytes());
        assert_eq!(rope.pieces_for_test(), 3);
        assert!(body.as_ptr_range().contains(&rope.piece_for_test(1).as_ptr()), "not copied");
    }

    #[test]
    fn what_readers_could_understand_differently_is_refused() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"x":{"b":1,"b":1}}"#,
            r#"{"a":1} {"b":2}"#,
            r#"{"a":1}x"#,
            r#"{"a":NaN}"#,
            r#"{"a":Infinity}"#,
            r#"{"a":1e999}"#,
            r#"{'a':1}"#,
            r#"{"a":01}"#,
            "{\"a\":\"\u{1}\"}",
            "\u{feff}{}",
            r#"{"a":"\ud800"}"#,
            "",
        ] {
            assert!(parse(text.as_bytes(), 64).is_err(), "{text}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}", 64).is_err());
        assert!(parse(&"{}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>(), 64).is_err());
    }

    #[test]
    fn duplicates_are_found_among_many_keys() {
        let many: String = (0..1000).map(|i| format!("\"k{i}\":0,")).collect();
        assert!(parse(format!("{{{many}\"k999\":1}}").as_bytes(), 64).is_err());
        assert!(parse(format!("{{{many}\"k1000\":1}}").as_bytes(), 64).is_ok());
    }

    #[test]
    fn a_document_of_many_tiny_values_is_refused() {
        let array = |items: u32| format!("[{}0]", "0,".repeat(items as usize - 1));
        assert!(parse(array(MOST_VALUES - 1).as_bytes(), 64).is_ok(), "the array is a value too");
        assert!(parse(array(MOST_VALUES).as_bytes(), 64).is_err());
    }

    #[test]
    fn depth_is_counted_exactly() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(parse(nested(64).as_bytes(), 64).is_ok());
        assert!(parse(nested(65).as_bytes(), 64).is_err());
        assert!(parse(nested(100_000).as_bytes(), 64).is_err());
    }
}
