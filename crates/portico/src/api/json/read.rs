//! The reader: RFC 8259 to the letter, and narrower where readers are known to differ.

use std::borrow::Cow;

use super::{Json, LONG_BYTES, Number, Object};
use crate::api::base64_map::Base64Map;
use crate::types::{Text, text};

/// Values in one document. Each takes 32 bytes or more here and may take two on the wire, so that a body within its
/// limit could grow to many times what was counted against `limits.body_total`.
pub(super) const MOST_VALUES: u32 = 400_000;
/// Longer than any name that an API or a schema has use for.
const LONGEST_KEY_BYTES: usize = 1024;
/// A 64-bit float has 17 digits that count; what is longer is written to be rounded differently.
const LONGEST_NUMBER_BYTES: usize = 40;
/// So many keys are looked through one by one; a hostile object with thousands is sorted.
const FEW_KEYS: usize = 32;

/// Why a document can't be read, and where.
#[derive(Debug)]
pub(crate) struct Unreadable {
    what: Text,
    line: usize,
    column: usize,
    is_too_deep: bool,
}

impl Unreadable {
    pub(crate) fn is_too_deep(&self) -> bool {
        self.is_too_deep
    }

    /// For people; it stands in the middle of a sentence.
    pub(crate) fn text(&self) -> Text {
        let Self { what: Text { en, zh }, line, column, .. } = self;
        text!("{en} at line {line} column {column}", "第 {line} 行第 {column} 列:{zh}")
    }
}

/// Reads a whole document. `max_depth` counts nested arrays and objects.
pub(crate) fn parse<'a>(body: &'a [u8], base64: &Base64Map, max_depth: u32) -> Result<Json<'a>, Unreadable> {
    read(body, base64, max_depth).map_err(|Stop { what, at, is_too_deep }| {
        let before = &body[..at.min(body.len())];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |newline| newline + 1);
        Unreadable {
            what,
            line: memchr::memchr_iter(b'\n', before).count() + 1,
            column: before.len() - line_start + 1,
            is_too_deep,
        }
    })
}

fn read<'a>(body: &'a [u8], base64: &Base64Map, max_depth: u32) -> Result<Json<'a>, Stop> {
    if body.starts_with(b"\xef\xbb\xbf") {
        return Err(stop(0, Text::fixed("a byte order mark stands before it", "前面有字节顺序标记")));
    }
    for other in base64.others(body.len()) {
        let start = other.start;
        std::str::from_utf8(&body[other]).map_err(|error| not_utf8(start + error.valid_up_to()))?;
    }
    let mut reader = Reader { bytes: body, base64, at: 0, depth_left: max_depth, values_left: MOST_VALUES };
    reader.skip_space();
    let document = reader.value()?;
    reader.skip_space();
    match reader.at == body.len() {
        true => Ok(document),
        false => Err(reader.stop(Text::fixed("something follows the document", "文档之后还有内容"))),
    }
}

/// The text that a source between quotes stands for; it has been read before.
pub(super) fn decoded(source: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', source).is_none() {
        return String::from_utf8_lossy(source);
    }
    let mut reader =
        Reader { bytes: source, base64: Base64Map::none(), at: 0, depth_left: 0, values_left: 0 };
    let mut text = String::with_capacity(source.len());
    // Nothing stops it: the same source was read to its closing quote.
    let _ = reader.unescape(&mut |piece| text.push_str(piece));
    Cow::Owned(text)
}

struct Stop {
    what: Text,
    at: usize,
    is_too_deep: bool,
}

fn not_utf8(at: usize) -> Stop {
    stop(at, Text::fixed("it is not UTF-8", "不是 UTF-8 编码"))
}

fn stop(at: usize, what: Text) -> Stop {
    Stop { what, at, is_too_deep: false }
}

struct Reader<'a, 'm> {
    bytes: &'a [u8],
    base64: &'m Base64Map,
    at: usize,
    depth_left: u32,
    values_left: u32,
}

impl<'a> Reader<'a, '_> {
    fn stop(&self, what: Text) -> Stop {
        stop(self.at, what)
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    /// A piece that begins and ends beside ASCII. All of it has passed for UTF-8 before.
    fn text(&self, start: usize, end: usize) -> Result<&'a str, Stop> {
        std::str::from_utf8(&self.bytes[start..end]).map_err(|error| not_utf8(start + error.valid_up_to()))
    }

    /// Where the next quote, backslash or control character stands, or the end.
    fn plain_end(&self, start: usize) -> usize {
        let mut at = start;
        loop {
            let run = self.base64.next(at);
            let until = run.as_ref().map_or(self.bytes.len(), |run| run.start.max(at));
            at += plain_run(&self.bytes[at..until]);
            match run {
                Some(run) if at == until => at = run.end,
                _ => return at,
            }
        }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.peek() {
            self.at += 1;
        }
    }

    fn value(&mut self) -> Result<Json<'a>, Stop> {
        let Some(left) = self.values_left.checked_sub(1) else {
            return Err(
                self.stop(text!("there are more than {MOST_VALUES} values", "值的数量超过 {MOST_VALUES}"))
            );
        };
        self.values_left = left;
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'{') => self.object().map(Json::Object),
            Some(b'[') => self.array().map(Json::Array),
            Some(b'-' | b'0'..=b'9') => self.number().map(Json::Number),
            Some(b't') => self.word("true", Json::Bool(true)),
            Some(b'f') => self.word("false", Json::Bool(false)),
            Some(b'n') => self.word("null", Json::Null),
            _ => Err(self.unexpected()),
        }
    }

    fn unexpected(&self) -> Stop {
        self.stop(match self.peek() {
            None => Text::fixed("it ends too early", "内容提前结束"),
            Some(_) => Text::fixed("there is something that is not JSON", "此处不是合法的 JSON"),
        })
    }

    fn word(&mut self, word: &str, value: Json<'a>) -> Result<Json<'a>, Stop> {
        if !self.bytes[self.at..].starts_with(word.as_bytes()) {
            return Err(self.unexpected());
        }
        self.at += word.len();
        Ok(value)
    }

    fn deeper(&mut self) -> Result<(), Stop> {
        self.depth_left = self.depth_left.checked_sub(1).ok_or_else(|| {
            let what = Text::fixed("it is nested too deeply", "嵌套过深");
            Stop { is_too_deep: true, ..self.stop(what) }
        })?;
        self.at += 1;
        self.skip_space();
        Ok(())
    }

    /// After an item: whether another one follows. The closing bracket is taken.
    fn goes_on(&mut self, close: u8) -> Result<bool, Stop> {
        self.skip_space();
        match self.peek() {
            Some(b',') => {
                self.at += 1;
                self.skip_space();
                Ok(true)
            }
            Some(byte) if byte == close => {
                self.at += 1;
                self.depth_left += 1;
                Ok(false)
            }
            _ => Err(self.unexpected()),
        }
    }

    fn array(&mut self) -> Result<Vec<Json<'a>>, Stop> {
        self.deeper()?;
        let mut items = Vec::new();
        if self.peek() == Some(b']') {
            self.goes_on(b']')?;
            return Ok(items);
        }
        loop {
            items.push(self.value()?);
            if !self.goes_on(b']')? {
                return Ok(items);
            }
        }
    }

    fn object(&mut self) -> Result<Object<'a>, Stop> {
        self.deeper()?;
        let mut entries: Vec<(Cow<'a, str>, Json<'a>)> = Vec::new();
        if self.peek() == Some(b'}') {
            self.goes_on(b'}')?;
            return Ok(Object(entries));
        }
        loop {
            let start = self.at;
            let key = self.key()?;
            if entries.len() < FEW_KEYS && entries.iter().any(|(known, _)| *known == key) {
                return Err(twice(start, &key));
            }
            self.skip_space();
            if self.peek() != Some(b':') {
                return Err(self.unexpected());
            }
            self.at += 1;
            self.skip_space();
            let value = self.value()?;
            entries.push((key, value));
            if !self.goes_on(b'}')? {
                break;
            }
        }
        if entries.len() > FEW_KEYS {
            let mut keys: Vec<&str> = entries.iter().map(|(key, _)| &**key).collect();
            keys.sort_unstable();
            if let Some(pair) = keys.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(twice(self.at, pair[0]));
            }
        }
        Ok(Object(entries))
    }

    fn key(&mut self) -> Result<Cow<'a, str>, Stop> {
        let start = self.at;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        let key = match self.string()? {
            Json::String(key) if key.len() <= LONGEST_KEY_BYTES => key,
            _ => {
                let what = text!(
                    "a key is longer than {LONGEST_KEY_BYTES} bytes",
                    "键的长度超过 {LONGEST_KEY_BYTES} 字节"
                );
                return Err(stop(start, what));
            }
        };
        // Some readers end a name at its first NUL.
        match key.chars().any(char::is_control) {
            true => Err(stop(start, Text::fixed("a key holds a control character", "键中含有控制字符"))),
            false => Ok(key),
        }
    }

    fn string(&mut self) -> Result<Json<'a>, Stop> {
        self.at += 1;
        let start = self.at;
        self.at = self.plain_end(start);
        let end = self.at;
        if self.peek() == Some(b'"') {
            self.at += 1;
            let holds_run = self.base64.next(start).is_some_and(|run| run.start < end);
            return Ok(match holds_run {
                true => Json::Source(&self.bytes[start..end]),
                false => Json::String(Cow::Borrowed(self.text(start, end)?)),
            });
        }
        // Short ones are decoded at once. Of long ones only the source is kept: the copy would stand beside the
        // body for as long as the request takes.
        let mut is_long = end - start > LONG_BYTES;
        let mut text = if is_long { String::new() } else { self.text(start, end)?.to_owned() };
        self.unescape(&mut |piece| {
            is_long |= text.len() + piece.len() > LONG_BYTES;
            if !is_long {
                text.push_str(piece);
            }
        })?;
        if self.peek() != Some(b'"') {
            return Err(self.unexpected());
        }
        self.at += 1;
        Ok(match is_long {
            true => Json::Source(&self.bytes[start..self.at - 1]),
            false => Json::String(Cow::Owned(text)),
        })
    }

    /// Gives the rest of a string in decoded pieces, up to its closing quote or the end.
    fn unescape(&mut self, push: &mut dyn FnMut(&str)) -> Result<(), Stop> {
        loop {
            let start = self.at;
            self.at = self.plain_end(start);
            if self.at > start {
                push(self.text(start, self.at)?);
            }
            match self.peek() {
                Some(b'"') | None => return Ok(()),
                Some(b'\\') => push(self.escape()?.encode_utf8(&mut [0; 4])),
                Some(_) => {
                    return Err(self.stop(Text::fixed(
                        "a string holds a control character that is not escaped",
                        "字符串中有未转义的控制字符",
                    )));
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, Stop> {
        let start = self.at;
        let wrong = || stop(start, Text::fixed("there is no such escape", "没有这种转义写法"));
        self.at += 2;
        Ok(match self.bytes.get(start + 1) {
            Some(b'"') => '"',
            Some(b'\\') => '\\',
            Some(b'/') => '/',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let first = self.unit().ok_or_else(wrong)?;
                let second = match first {
                    0xd800..0xdc00 if self.bytes[self.at..].starts_with(b"\\u") => {
                        self.at += 2;
                        Some(self.unit().ok_or_else(wrong)?)
                    }
                    _ => None,
                };
                let units = std::iter::once(first).chain(second);
                let mut characters = char::decode_utf16(units);
                match (characters.next(), characters.next()) {
                    (Some(Ok(character)), None) => character,
                    _ => {
                        let what = Text::fixed("there is half of a surrogate pair", "代理对不完整");
                        return Err(stop(start, what));
                    }
                }
            }
            _ => return Err(wrong()),
        })
    }

    /// Four hexadecimal digits.
    fn unit(&mut self) -> Option<u16> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        let mut unit = 0_u16;
        for digit in digits {
            unit = unit << 4 | u16::try_from(char::from(*digit).to_digit(16)?).ok()?;
        }
        self.at += 4;
        Some(unit)
    }

    fn number(&mut self) -> Result<Number<'a>, Stop> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            _ => self.digits()?,
        }
        let mut is_whole = true;
        let mut may_overflow = false;
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
            is_whole = false;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
            is_whole = false;
            may_overflow = true;
        }
        let number = Number(self.text(start, self.at)?);
        let fits = number.0.len() <= LONGEST_NUMBER_BYTES
            && match is_whole {
                // 18 digits always fit.
                true => number.0.len() <= 18 || number.0.parse::<i64>().is_ok(),
                false => !may_overflow || number.float().is_finite(),
            };
        match fits {
            true => Ok(number),
            false => Err(stop(
                start,
                Text::fixed("a number does not fit into 64 bits", "数字超出 64 位可以表示的范围"),
            )),
        }
    }

    fn digits(&mut self) -> Result<(), Stop> {
        let start = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at == start { Err(self.unexpected()) } else { Ok(()) }
    }
}

fn twice(at: usize, key: &str) -> Stop {
    // A key is the client's own word; it is cut so that the message stays one.
    let key: String = key.chars().take(64).collect();
    stop(at, text!("the key {key:?} appears twice", "键 {key:?} 出现了两次"))
}

/// How many bytes stand before a quote, a backslash or a control character. In blocks, which the compiler turns into
/// vector instructions: pictures are megabytes.
pub(super) fn plain_run(bytes: &[u8]) -> usize {
    let mut at = 0;
    // Most strings are short, and a large block would look far beyond their end.
    if bytes.first_chunk::<32>().is_some_and(is_plain) {
        at += 32;
        at += plain_blocks::<256>(&bytes[at..]);
        at += plain_blocks::<32>(&bytes[at..]);
    }
    let rest = &bytes[at..];
    let is_special = |byte: &u8| *byte < 0x20 || *byte == b'"' || *byte == b'\\';
    at + rest.iter().position(is_special).unwrap_or(rest.len())
}

fn plain_blocks<const SIZE: usize>(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<SIZE>();
    blocks.iter().take_while(|block| is_plain(block)).count() * SIZE
}

/// The least of what is left after each of the three is taken away tells of all of a block at once.
fn is_plain<const SIZE: usize>(block: &[u8; SIZE]) -> bool {
    let (mut lowest, mut nearest) = (u8::MAX, u8::MAX);
    for byte in block {
        lowest = lowest.min(*byte);
        nearest = nearest.min(byte ^ b'"').min(byte ^ b'\\');
    }
    lowest >= 0x20 && nearest != 0
}
