//! The headers of one part. Pure.

use crate::types::Text;

/// What a part says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartHead {
    pub(crate) name: String,
    /// A part with one is a file.
    pub(crate) filename: Option<String>,
    /// In lower case, without its parameters.
    pub(crate) content_type: Option<String>,
}

/// `block`: the lines of a head, without the empty line at its end.
pub(super) fn read(block: &[u8]) -> Result<PartHead, Text> {
    let block = std::str::from_utf8(block).map_err(|_| NOT_TEXT)?;
    let (mut disposition, mut content_type, mut encoding, mut length) = (None, None, None, None);
    for line in block.split("\r\n") {
        if line.chars().any(|c| c.is_control() && c != '\t') {
            return Err(NOT_TEXT);
        }
        let (name, value) = line.split_once(':').ok_or(NO_HEADER)?;
        let value = value.trim_matches([' ', '\t']);
        let slot = match name.to_ascii_lowercase().as_str() {
            "content-disposition" => &mut disposition,
            "content-type" => &mut content_type,
            "content-transfer-encoding" => &mut encoding,
            // Some clients count a part; the boundary decides.
            "content-length" => &mut length,
            _ => return Err(UNKNOWN_HEADER),
        };
        if slot.replace(value).is_some() {
            return Err(TWICE);
        }
    }
    if encoding.is_some_and(|value| {
        !["7bit", "8bit", "binary"].iter().any(|plain| value.eq_ignore_ascii_case(plain))
    }) {
        return Err(ENCODED);
    }
    if length.is_some_and(|value| value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(NO_HEADER);
    }
    let (name, filename) = disposed(disposition.ok_or(NO_DISPOSITION)?)?;
    let content_type = content_type.map(essence).transpose()?;
    Ok(PartHead { name, filename, content_type })
}

fn disposed(value: &str) -> Result<(String, Option<String>), Text> {
    let (kind, parameters) = value.split_once(';').ok_or(NO_DISPOSITION)?;
    if !kind.trim().eq_ignore_ascii_case("form-data") {
        return Err(NO_DISPOSITION);
    }
    let (mut name, mut filename) = (None, None);
    for parameter in Parameters::new(parameters) {
        let (key, value) = parameter?;
        let slot = match key.as_str() {
            "name" => &mut name,
            "filename" => &mut filename,
            // `filename*` is a second name of the same file: RFC 7578 forbids it.
            _ => return Err(NO_DISPOSITION),
        };
        if slot.replace(value).is_some() {
            return Err(TWICE);
        }
    }
    Ok((name.filter(|name| !name.is_empty()).ok_or(NO_DISPOSITION)?, filename))
}

/// A media type without its parameters; one of several parts in itself is refused.
fn essence(value: &str) -> Result<String, Text> {
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let is_word = |word: &str| !word.is_empty() && word.bytes().all(is_token);
    match essence.split_once('/') {
        Some(("multipart", _)) => Err(NESTED),
        Some((kind, form)) if is_word(kind) && is_word(form) => Ok(essence),
        _ => Err(NO_HEADER),
    }
}

/// `name=value; name="value"`, names in lower case, each value with its quotes taken off.
pub(super) struct Parameters<'a> {
    rest: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    /// `text`: what follows the first semicolon.
    pub(super) const fn new(text: &'a str) -> Self {
        Self { rest: Some(text) }
    }

    fn one(&mut self, text: &'a str) -> Result<(String, String), Text> {
        let (name, value) = text.trim_start_matches([' ', '\t']).split_once('=').ok_or(ODD_PARAMETER)?;
        if name.is_empty() || !name.bytes().all(|byte| is_token(byte) && byte != b'%' && byte != b'\'') {
            return Err(ODD_PARAMETER);
        }
        let (value, rest) = match value.strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = value.find([';', ' ', '\t']).unwrap_or(value.len());
                let (token, rest) = value.split_at(end);
                if token.is_empty() || !token.bytes().all(is_token) {
                    return Err(ODD_PARAMETER);
                }
                (token.to_owned(), rest)
            }
        };
        let rest = rest.trim_start_matches([' ', '\t']);
        self.rest = match rest.strip_prefix(';') {
            Some(rest) => Some(rest),
            None if rest.is_empty() => None,
            None => return Err(ODD_PARAMETER),
        };
        Ok((name.to_ascii_lowercase(), value))
    }
}

impl Iterator for Parameters<'_> {
    type Item = Result<(String, String), Text>;

    fn next(&mut self) -> Option<Self::Item> {
        let text = self.rest.take()?;
        Some(self.one(text))
    }
}

/// What stands between the quotes, and what follows. A backslash that escapes neither a quote nor itself is read in two
/// ways by two readers.
fn unquoted(text: &str) -> Result<(String, &str), Text> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\'))) => value.push(escaped),
                _ => return Err(ODD_PARAMETER),
            },
            '\t' => return Err(NOT_TEXT),
            other => value.push(other),
        }
    }
    Err(ODD_PARAMETER)
}

/// RFC 9110, `tchar`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

const NOT_TEXT: Text = Text::fixed(
    "the headers of a part hold a character that does not belong there",
    "某个部分的头含有不允许的字符",
);
const NO_HEADER: Text =
    Text::fixed("a part has a line among its headers that is none", "某个部分的头中有一行不是合法的头");
const UNKNOWN_HEADER: Text = Text::fixed(
    "a part has a header other than Content-Disposition, Content-Type, Content-Transfer-Encoding and Content-Length",
    "某个部分含有 Content-Disposition、Content-Type、Content-Transfer-Encoding、Content-Length 以外的头",
);
const TWICE: Text =
    Text::fixed("a part says the same thing twice in its headers", "某个部分的头中同一内容出现两次");
const ENCODED: Text =
    Text::fixed("a part is encoded: send its bytes as they are", "某个部分经过编码:请直接发送原始字节");
const NO_DISPOSITION: Text = Text::fixed(
    "a part needs one Content-Disposition: form-data with a name, and with nothing else but a filename",
    "每个部分必须有且只有一个 Content-Disposition: form-data,带 name,此外只能有 filename",
);
const NESTED: Text = Text::fixed("a part is a form itself", "某个部分本身又是一个表单");
const ODD_PARAMETER: Text = Text::fixed(
    "a part has a parameter in its headers that can be read in two ways",
    "某个部分的头中有可作两种理解的参数",
);
