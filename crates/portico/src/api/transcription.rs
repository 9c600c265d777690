//! A form that asks for a transcription: judged while it comes, and written anew as it is judged. Pure.
//!
//! What leaves has a boundary that the client can't know, headers of ours, a file name of ours and the type that the
//! file's first bytes tell. The model's name comes first, whatever the order was.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::audio;
use super::judge::{At, invalid, missing, odd_character, shown, too_long};
use super::multipart::{Event, PartHead, Reader};
use super::tokens::{self, Scope};
use crate::config::Policy;
use crate::reason::{Reason, Refusal};
use crate::types::{Text, text};

const LONGEST_NAME_BYTES: usize = 512;
const LONGEST_PROMPT_BYTES: usize = 16 * 1024;
const LONGEST_FIELD_BYTES: usize = 1024;
/// Smaller pieces are copied together: a piece holds all of the memory that it was read to.
const SMALL_BYTES: usize = 16 * 1024;

/// How the text comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    #[default]
    Json,
    /// Not JSON: plain text, or subtitles.
    Text,
}

pub(crate) struct Upload<'p> {
    policy: &'p Policy,
    reader: Reader,
    /// Of what is sent.
    boundary: String,
    /// Names that have come, each of which may come once.
    seen: Vec<String>,
    part: Part,
    model: Option<Arc<str>>,
    format: Format,
    /// Judged and written, and not yet taken.
    out: VecDeque<Bytes>,
    /// What is behind `out`, gathered.
    small: BytesMut,
    out_bytes: u64,
}

/// The part that is being read.
enum Part {
    None,
    Field {
        name: String,
        value: BytesMut,
        most_bytes: usize,
    },
    /// Its first bytes, until they tell what it is.
    FileHead(BytesMut),
    File,
}

impl<'p> Upload<'p> {
    /// `theirs`: the boundary of the form that comes; `ours`: of the form that is sent, a secret until then, or a file
    /// could hold a part of its own making.
    pub(crate) fn new(theirs: &str, ours: &str, policy: &'p Policy) -> Self {
        Self {
            policy,
            reader: Reader::new(theirs),
            boundary: format!("portico-{ours}"),
            seen: Vec::new(),
            part: Part::None,
            model: None,
            format: Format::Json,
            out: VecDeque::new(),
            small: BytesMut::new(),
            out_bytes: 0,
        }
    }

    /// Where what comes from the network is appended.
    pub(crate) fn input(&mut self) -> &mut BytesMut {
        self.reader.input()
    }

    /// Judges what is there.
    pub(crate) fn judge(&mut self) -> Result<(), Refusal> {
        while let Some(event) = self.reader.next().map_err(torn)? {
            match event {
                Event::Part(head) => self.begin(head)?,
                Event::Data(data) => self.data(data)?,
                Event::PartEnd => self.end_part()?,
                Event::End => self.check_whole()?,
            }
        }
        Ok(())
    }

    /// The client's body has ended. Only now is the last boundary written: what follows it may not be thrown away.
    pub(crate) fn end(&mut self) -> Result<(), Refusal> {
        self.reader.end().map_err(torn)?;
        self.push(Bytes::from(format!("--{}--\r\n", self.boundary)));
        Ok(())
    }

    pub(crate) fn model(&self) -> Option<&Arc<str>> {
        self.model.as_ref()
    }

    pub(crate) const fn format(&self) -> Format {
        self.format
    }

    /// Bytes that can be taken.
    pub(crate) const fn ready_bytes(&self) -> u64 {
        self.out_bytes
    }

    pub(crate) fn take(&mut self) -> Option<Bytes> {
        let piece = self.out.pop_front().unwrap_or_else(|| self.small.split().freeze());
        self.out_bytes -= piece.len() as u64;
        (!piece.is_empty()).then_some(piece)
    }

    pub(crate) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    /// What stands before everything that is taken: the name under which the model server knows the model.
    pub(crate) fn opening(&self, model: &str) -> Bytes {
        let mut opening = self.part_head("name=\"model\"", None);
        opening.extend_from_slice(model.as_bytes());
        opening.extend_from_slice(b"\r\n");
        opening.into()
    }

    fn begin(&mut self, head: PartHead) -> Result<(), Refusal> {
        let PartHead { name, filename, content_type } = head;
        let at = At::Key(&name);
        if self.seen.contains(&name) && name != GRANULARITIES {
            return Err(invalid(at, text!("The form has more than one {at}.", "表单中有多个 {at}。")));
        }
        if name == "file" {
            if filename.is_none() {
                return Err(invalid(
                    at,
                    text!("{at} must be a file, with a filename.", "{at} 必须是文件,并带有 filename。"),
                ));
            }
            let is_sound = |kind: &str| {
                kind.starts_with("audio/") || kind.starts_with("video/") || kind == "application/octet-stream"
            };
            if !content_type.as_deref().is_none_or(is_sound) {
                return Err(invalid(
                    at,
                    text!("{at} is not declared as sound.", "{at} 声明的类型不是音频。"),
                ));
            }
            self.part = Part::FileHead(BytesMut::new());
        } else {
            if filename.is_some() || !matches!(content_type.as_deref(), None | Some("text/plain")) {
                return Err(invalid(
                    at,
                    text!("{at} must be text, not a file.", "{at} 必须是文本,而不是文件。"),
                ));
            }
            let most_bytes = self.most_bytes(&name)?;
            self.part = Part::Field { name: name.clone(), value: BytesMut::new(), most_bytes };
        }
        self.seen.push(name);
        Ok(())
    }

    /// How long a field may be; an error where there is none of that name.
    fn most_bytes(&self, name: &str) -> Result<usize, Refusal> {
        let at = At::Key(name);
        let Policy { enabled, allow_keys, deny_keys, .. } = self.policy;
        if *enabled && deny_keys.iter().any(|denied| denied == name) {
            return Err(invalid(at, text!("The field {at} is not accepted here.", "此处不接受字段 {at}。"))
                .because("policy.deny_keys names it"));
        }
        match name {
            "model" => Ok(LONGEST_NAME_BYTES),
            "prompt" => Ok(LONGEST_PROMPT_BYTES),
            _ if FIELDS.contains(&name) => Ok(64),
            _ if is_plain_name(name) && (!enabled || allow_keys.iter().any(|allowed| allowed == name)) => {
                Ok(LONGEST_FIELD_BYTES)
            }
            _ => Err(invalid(at, text!("The field {at} is not known here.", "此处没有字段 {at}。"))
                .because("it is on no list; policy.allow_keys could let it through")),
        }
    }

    fn data(&mut self, data: Bytes) -> Result<(), Refusal> {
        match &mut self.part {
            Part::None => {}
            Part::Field { name, value, most_bytes } => {
                if value.len() + data.len() > *most_bytes {
                    return Err(too_long(At::Key(name), *most_bytes));
                }
                value.extend_from_slice(&data);
            }
            Part::FileHead(head) => {
                head.extend_from_slice(&data);
                if head.len() >= audio::HEAD_BYTES {
                    let head = std::mem::take(head).freeze();
                    self.begin_file(head)?;
                }
            }
            Part::File => self.push(data),
        }
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), Refusal> {
        match std::mem::replace(&mut self.part, Part::None) {
            Part::None => {}
            Part::Field { name, value, .. } => self.field(&name, &value)?,
            Part::FileHead(head) => {
                self.begin_file(head.freeze())?;
                self.push(Bytes::from_static(b"\r\n"));
            }
            Part::File => self.push(Bytes::from_static(b"\r\n")),
        }
        self.part = Part::None;
        Ok(())
    }

    fn check_whole(&self) -> Result<(), Refusal> {
        if self.model.is_none() {
            return Err(missing(At::Key("model")));
        }
        if !self.seen.iter().any(|name| name == "file") {
            return Err(missing(At::Key("file")));
        }
        Ok(())
    }

    fn begin_file(&mut self, head: Bytes) -> Result<(), Refusal> {
        let kind = audio::judge(&head).map_err(not_a_sound)?;
        let names = format!("name=\"file\"; filename=\"{}\"", kind.filename());
        let before = self.part_head(&names, Some(kind.content_type()));
        self.push(before.into());
        self.push(head);
        self.part = Part::File;
        Ok(())
    }

    fn field(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        let at = At::Key(name);
        let value = std::str::from_utf8(value).map_err(|_| odd_character(at))?;
        let is_odd = |c: char| c.is_control() && !(name == "prompt" && matches!(c, '\n' | '\r' | '\t'));
        if value.chars().any(is_odd) {
            return Err(odd_character(at));
        }
        let written = match name {
            "model" if value.is_empty() => return Err(missing(at)),
            "model" => {
                self.model = Some(value.into());
                return Ok(());
            }
            "prompt" if self.policy.enabled => tokens::defused_piece(value, Scope::Chat),
            "language" if !is_language(value) => {
                let says = text!(
                    "{at} must be a code such as en or zh-CN.",
                    "{at} 必须是语言代码,例如 en 或 zh-CN。"
                );
                return Err(invalid(at, says));
            }
            "response_format" => {
                self.format = match one_of(value, FORMATS, at)? {
                    "json" | "verbose_json" => Format::Json,
                    _ => Format::Text,
                };
                None
            }
            "temperature" => Some(temperature(value, at)?),
            GRANULARITIES => {
                let word = one_of(value, &["word", "segment"], at)?;
                let marked = format!("{GRANULARITIES}{word}");
                if self.seen.contains(&marked) {
                    return Err(invalid(at, text!("{at} says {word} twice.", "{at} 中 {word} 出现两次。")));
                }
                self.seen.push(marked);
                None
            }
            "stream" => {
                return match one_of(value, &["true", "false"], at)? {
                    "false" => Ok(()),
                    _ => Err(invalid(
                        at,
                        text!(
                            "Transcriptions come whole here: leave {at} out, or send false.",
                            "此处的转写一次性返回:请省略 {at} 或设为 false。"
                        ),
                    )),
                };
            }
            _ => None,
        };
        let mut part = self.part_head(&format!("name=\"{name}\""), None);
        part.extend_from_slice(written.as_deref().unwrap_or(value).as_bytes());
        part.extend_from_slice(b"\r\n");
        self.push(part.into());
        Ok(())
    }

    fn part_head(&self, names: &str, content_type: Option<&str>) -> Vec<u8> {
        let mut head = format!("--{}\r\nContent-Disposition: form-data; {names}\r\n", self.boundary);
        if let Some(content_type) = content_type {
            head.push_str("Content-Type: ");
            head.push_str(content_type);
            head.push_str("\r\n");
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    fn push(&mut self, piece: Bytes) {
        self.out_bytes += piece.len() as u64;
        if piece.len() < SMALL_BYTES {
            self.small.extend_from_slice(&piece);
        }
        // A file that comes byte by byte must not be held as millions of pieces.
        if (self.small.len() >= SMALL_BYTES || piece.len() >= SMALL_BYTES) && !self.small.is_empty() {
            self.out.push_back(self.small.split().freeze());
        }
        if piece.len() >= SMALL_BYTES {
            self.out.push_back(piece);
        }
    }
}

const GRANULARITIES: &str = "timestamp_granularities[]";
const FIELDS: &[&str] = &["language", "response_format", "temperature", GRANULARITIES, "stream"];
const FORMATS: &[&str] = &["json", "text", "srt", "verbose_json", "vtt"];

/// It stands between quotes in a header of ours.
fn is_plain_name(name: &str) -> bool {
    name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.[]".contains(&byte))
}

fn is_language(value: &str) -> bool {
    (2..=16).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn one_of<'w>(value: &str, words: &[&'w str], at: At<'_>) -> Result<&'w str, Refusal> {
    words.iter().find(|word| **word == value).copied().ok_or_else(|| {
        let words = words.join(", ");
        invalid(at, text!("{at} must be one of {words}.", "{at} 只能是以下之一:{words}。"))
    })
}

/// Written by us, so that every reader reads the number that was judged.
fn temperature(value: &str, at: At<'_>) -> Result<String, Refusal> {
    let is_plain = value.bytes().all(|byte| byte.is_ascii_digit() || b".e-".contains(&byte));
    let number = value.parse::<f64>().ok().filter(|number| is_plain && (0.0..=1.0).contains(number));
    number.map(|number| number.abs().to_string()).ok_or_else(|| {
        invalid(at, text!("{at} must be a number from 0 to 1.", "{at} 必须是 0 到 1 之间的数字。"))
    })
}

fn torn(why: Text) -> Refusal {
    let Text { en, zh } = why;
    Refusal::new(Reason::InvalidForm).saying(text!(
        "The request body is not a valid multipart form: {en}.",
        "请求体不是合法的 multipart 表单:{zh}。"
    ))
}

fn not_a_sound(fault: audio::Fault) -> Refusal {
    let at = shown("file");
    let says = match fault {
        audio::Fault::Unknown => text!(
            "{at} is no sound that is known here: send WAV, FLAC, MP3, Ogg, WebM or M4A.",
            "{at} 不是此处支持的音频:请发送 WAV、FLAC、MP3、Ogg、WebM 或 M4A。"
        ),
        audio::Fault::Odd => text!(
            "{at} describes itself in a way that no recording does (rate, channels or form of its samples).",
            "{at} 的文件头不合理(采样率、声道或采样格式)。"
        ),
        audio::Fault::TooLong => text!(
            "{at} is longer than the 4 hours that are accepted. Send it in pieces.",
            "{at} 超过此处接受的 4 小时,请分段发送。"
        ),
    };
    invalid(at, says)
}

#[cfg(test)]
mod tests;
