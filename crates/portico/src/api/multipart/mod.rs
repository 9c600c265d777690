//! A strict reader of `multipart/form-data` (RFC 7578, RFC 2046), piece by piece. Pure.
//!
//! Readers of forms differ in what they forgive: bare line feeds, text before the first boundary, folded or repeated
//! headers, two names of one part. Whoever knows both readers can show each another form. So nothing is forgiven here,
//! and what was read is written anew with a boundary that the client can't know.

mod head;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use memchr::memmem::Finder;

use self::head::Parameters;
pub(crate) use self::head::PartHead;
use crate::types::Text;

/// RFC 2046: a boundary has 1 to 70 characters.
const LONGEST_BOUNDARY_BYTES: usize = 70;
/// The headers of one part. A file's name is the longest thing that belongs there.
const LONGEST_HEAD_BYTES: usize = 2048;
/// More than any operation has fields.
const MOST_PARTS: u32 = 16;

pub(crate) struct Reader {
    /// CRLF, two hyphens and the boundary.
    delimiter: Finder<'static>,
    input: BytesMut,
    at: At,
    parts: u32,
}

/// What comes next in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// The first delimiter, which has no line before it.
    Start,
    /// Behind a delimiter: another part, or the end.
    Delimited,
    Head,
    Data,
    /// Behind the last delimiter.
    End,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A part begins.
    Part(PartHead),
    /// The next bytes of its content; never empty.
    Data(Bytes),
    PartEnd,
    /// The form is whole.
    End,
}

impl Reader {
    /// `boundary`: as [`boundary`] has read it.
    pub(crate) fn new(boundary: &str) -> Self {
        Self {
            delimiter: Finder::new(&format!("\r\n--{boundary}")).into_owned(),
            input: BytesMut::new(),
            at: At::Start,
            parts: 0,
        }
    }

    /// Where what comes from the network is appended. [`Reader::next`] takes it away as far as it can.
    pub(crate) fn input(&mut self) -> &mut BytesMut {
        &mut self.input
    }

    /// `None`: more input is needed.
    pub(crate) fn next(&mut self) -> Result<Option<Event>, Text> {
        loop {
            match self.at {
                At::Start => {
                    let first = &self.delimiter.needle()[2..];
                    let there = first.len().min(self.input.len());
                    if self.input[..there] != first[..there] {
                        return Err(NO_BOUNDARY);
                    }
                    if there < first.len() {
                        return Ok(None);
                    }
                    let _ = self.input.split_to(there);
                    self.at = At::Delimited;
                }
                At::Delimited => match self.input.get(..2) {
                    None => return Ok(None),
                    Some(b"\r\n") => self.begin_part()?,
                    Some(b"--") => {
                        let _ = self.input.split_to(2);
                        self.at = At::End;
                        return Ok(Some(Event::End));
                    }
                    Some(_) => return Err(ODD_DELIMITER),
                },
                At::Head => return self.head(),
                At::Data => return self.data(),
                At::End => {
                    let rest = &self.input[..];
                    return if b"\r\n".starts_with(rest) { Ok(None) } else { Err(EPILOGUE) };
                }
            }
        }
    }

    /// Whether the input may end here.
    pub(crate) fn end(&self) -> Result<(), Text> {
        match self.at {
            At::End if matches!(&self.input[..], b"" | b"\r\n") => Ok(()),
            _ => Err(TORN),
        }
    }

    fn begin_part(&mut self) -> Result<(), Text> {
        self.parts += 1;
        if self.parts > MOST_PARTS {
            return Err(TOO_MANY_PARTS);
        }
        // Its CRLF belongs to the head: a head without a line is then an empty line, too.
        self.at = At::Head;
        Ok(())
    }

    fn head(&mut self) -> Result<Option<Event>, Text> {
        let end = memchr::memmem::find(&self.input, b"\r\n\r\n");
        if end.unwrap_or(self.input.len()) > LONGEST_HEAD_BYTES {
            return Err(LONG_HEAD);
        }
        let Some(end) = end else { return Ok(None) };
        let block = self.input.split_to(end + 4);
        let lines = block.get(2..end).unwrap_or_default();
        let head = head::read(lines)?;
        self.at = At::Data;
        Ok(Some(Event::Part(head)))
    }

    fn data(&mut self) -> Result<Option<Event>, Text> {
        match self.delimiter.find(&self.input) {
            Some(0) => {
                let _ = self.input.split_to(self.delimiter.needle().len());
                self.at = At::Delimited;
                Ok(Some(Event::PartEnd))
            }
            Some(start) => Ok(Some(Event::Data(self.input.split_to(start).freeze()))),
            None => {
                let kept = begun_bytes(&self.input, self.delimiter.needle());
                let ready = self.input.len() - kept;
                Ok((ready > 0).then(|| Event::Data(self.input.split_to(ready).freeze())))
            }
        }
    }
}

/// How much of the end of `input` could be the beginning of `delimiter`.
fn begun_bytes(input: &[u8], delimiter: &[u8]) -> usize {
    let tail = &input[input.len().saturating_sub(delimiter.len() - 1)..];
    memchr::memchr_iter(b'\r', tail)
        .map(|at| &tail[at..])
        .find(|end| delimiter.starts_with(end))
        .map_or(0, <[u8]>::len)
}

/// The boundary of a form; an error where the body is no form, or where two readers could find two boundaries.
pub(crate) fn boundary(headers: &HeaderMap) -> Result<String, Text> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return Err(NO_FORM) };
    let value = value.to_str().map_err(|_| NO_FORM)?;
    let (essence, parameters) = value.split_once(';').ok_or(NO_FORM)?;
    if !essence.trim().eq_ignore_ascii_case("multipart/form-data") {
        return Err(NO_FORM);
    }
    let mut boundary = None;
    for parameter in Parameters::new(parameters) {
        let (name, value) = parameter.map_err(|_| NO_FORM)?;
        if name != "boundary" || boundary.replace(value).is_some() {
            return Err(NO_FORM);
        }
    }
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    boundary
        .filter(|boundary| {
            (1..=LONGEST_BOUNDARY_BYTES).contains(&boundary.len())
                && boundary.bytes().all(is_allowed)
                && !boundary.ends_with(' ')
        })
        .ok_or(NO_FORM)
}

pub(crate) const NO_FORM: Text = Text::fixed(
    "The body must be a form (Content-Type: multipart/form-data with one boundary of 1 to 70 characters), not compressed",
    "请求体必须是未压缩的表单(Content-Type: multipart/form-data,带一个 1 到 70 个字符的 boundary)",
);
const NO_BOUNDARY: Text = Text::fixed("it does not begin with its boundary", "开头不是所声明的 boundary");
const ODD_DELIMITER: Text = Text::fixed(
    "a line begins with the boundary and goes on with something else",
    "有一行以 boundary 开头,后面却跟着其他内容",
);
const EPILOGUE: Text = Text::fixed("something follows its last boundary", "最后一个 boundary 之后还有内容");
const TORN: Text = Text::fixed("it ends before its last boundary", "在最后一个 boundary 之前就结束了");
const TOO_MANY_PARTS: Text = Text::fixed("it has more than 16 parts", "超过 16 个部分");
const LONG_HEAD: Text =
    Text::fixed("the headers of a part are longer than 2048 bytes", "某个部分的头超过 2048 字节");

#[cfg(test)]
mod tests;
