//! Frames, read.

use bytes::{Buf as _, Bytes, BytesMut};

use super::frame::apply;
use super::{
    BINARY, CLOSE, CONTINUATION, FIN, LONGEST_CONTROL_BYTES, MASKED, OPCODE, PING, PONG, RESERVED, TEXT, code,
};

/// Who has sent what is read: clients mask their frames, servers do not (section 5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sender {
    Client,
    Server,
}

/// What came, whole.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// UTF-8.
    Text(Bytes),
    Ping(Bytes),
    Pong,
    /// With the code, where it says one. Nothing is read behind it.
    Close(Option<u16>),
}

/// A rule that was broken, and the code that the connection is closed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Violation {
    pub(crate) code: u16,
    pub(crate) rule: &'static str,
}

/// Reads one side of a connection.
#[derive(Debug)]
pub(crate) struct Reader {
    sender: Sender,
    longest_message_bytes: usize,
    /// Of a message in fragments, what came before.
    begun: Option<Begun>,
    is_closed: bool,
    small_frames: u64,
}

#[derive(Debug, Default)]
struct Begun {
    bytes: BytesMut,
    /// So much of it is UTF-8; behind it there is at most half a character.
    utf8_bytes: usize,
}

/// A frame's head, judged.
struct Head {
    is_last: bool,
    opcode: u8,
    mask: Option<[u8; 4]>,
    head_bytes: usize,
    payload_bytes: usize,
}

impl Reader {
    pub(crate) const fn new(sender: Sender, longest_message_bytes: usize) -> Self {
        Self { sender, longest_message_bytes, begun: None, is_closed: false, small_frames: 0 }
    }

    /// The next message in what has come; `None`: there has to be more. What was used is gone from `input`.
    pub(crate) fn next(&mut self, input: &mut BytesMut) -> Result<Option<Message>, Violation> {
        while !self.is_closed {
            let Some(head) = self.head(input)? else { return Ok(None) };
            if input.len() < head.head_bytes + head.payload_bytes {
                return Ok(None);
            }
            input.advance(head.head_bytes);
            let mut payload = input.split_to(head.payload_bytes);
            if let Some(mask) = head.mask {
                apply(mask, &mut payload);
            }
            if let Some(message) = self.frame(&head, payload)? {
                return Ok(Some(message));
            }
        }
        input.clear();
        Ok(None)
    }

    /// Of fragments, so many bytes are held.
    pub(crate) fn held_bytes(&self) -> usize {
        self.begun.as_ref().map_or(0, |begun| begun.bytes.len())
    }

    /// Frames so far that brought no message: what there should not be many of.
    pub(crate) const fn small_frames(&self) -> u64 {
        self.small_frames
    }

    /// Judges a frame's head as far as it is there: what is wrong with it is said before its payload is waited for.
    fn head(&self, input: &[u8]) -> Result<Option<Head>, Violation> {
        let [first, rest @ ..] = input else { return Ok(None) };
        let (is_last, opcode) = (first & FIN != 0, first & OPCODE);
        if first & RESERVED != 0 {
            return Err(broken("a reserved bit is set, and no extension was agreed on"));
        }
        let is_control = match opcode {
            CONTINUATION if self.begun.is_none() => {
                return Err(broken("a message goes on that was not begun"));
            }
            TEXT | BINARY if self.begun.is_some() => {
                return Err(broken("a message begins within another"));
            }
            BINARY => return Err(Violation { code: code::UNSUPPORTED_DATA, rule: "messages are text" }),
            CONTINUATION | TEXT => false,
            CLOSE | PING | PONG => true,
            _ => return Err(broken("an opcode that does not exist")),
        };
        if is_control && !is_last {
            return Err(broken("a control frame in fragments"));
        }
        let [second, rest @ ..] = rest else { return Ok(None) };
        if (second & MASKED != 0) != (self.sender == Sender::Client) {
            return Err(broken(match self.sender {
                Sender::Client => "a client's frame is not masked",
                Sender::Server => "a server's frame is masked",
            }));
        }
        let short = usize::from(second & !MASKED);
        if is_control && short > LONGEST_CONTROL_BYTES {
            return Err(broken("a control frame is longer than 125 bytes"));
        }
        let Some((payload_bytes, length_bytes)) = length(short, rest)? else { return Ok(None) };
        if !is_control && payload_bytes > self.longest_message_bytes.saturating_sub(self.held_bytes()) {
            return Err(Violation { code: code::TOO_LARGE, rule: "the message is too large" });
        }
        let mask = match (self.sender, rest[length_bytes..].first_chunk::<4>()) {
            (Sender::Server, _) => None,
            (Sender::Client, Some(mask)) => Some(*mask),
            (Sender::Client, None) => return Ok(None),
        };
        let head_bytes = 2 + length_bytes + mask.map_or(0, |mask| mask.len());
        Ok(Some(Head { is_last, opcode, mask, head_bytes, payload_bytes }))
    }

    fn frame(&mut self, head: &Head, payload: BytesMut) -> Result<Option<Message>, Violation> {
        let message = match head.opcode {
            PING => Message::Ping(payload.freeze()),
            PONG => Message::Pong,
            CLOSE => {
                self.is_closed = true;
                return closing(&payload).map(|code| Some(Message::Close(code)));
            }
            _ => return self.part(head.is_last, payload),
        };
        self.small_frames += 1;
        Ok(Some(message))
    }

    /// What can't become UTF-8 any more is said at once (section 8.1), not when the message ends.
    fn part(&mut self, is_last: bool, payload: BytesMut) -> Result<Option<Message>, Violation> {
        let Begun { mut bytes, mut utf8_bytes } = self.begun.take().unwrap_or_default();
        if bytes.is_empty() {
            bytes = payload;
        } else {
            bytes.extend_from_slice(&payload);
        }
        match std::str::from_utf8(&bytes[utf8_bytes..]) {
            Ok(_) => utf8_bytes = bytes.len(),
            Err(error) if error.error_len().is_none() && !is_last => utf8_bytes += error.valid_up_to(),
            Err(_) => return Err(Violation { code: code::NOT_UTF8, rule: "a text is not UTF-8" }),
        }
        if is_last {
            return Ok(Some(Message::Text(bytes.freeze())));
        }
        self.small_frames += 1;
        self.begun = Some(Begun { bytes, utf8_bytes });
        Ok(None)
    }
}

/// The payload's length and the bytes it takes to say it, where they are there. Exactly one way is right for each
/// length (section 5.2).
fn length(short: usize, rest: &[u8]) -> Result<Option<(usize, usize)>, Violation> {
    let (length, bytes, least) = match short {
        126 => match rest.first_chunk() {
            Some(digits) => (u64::from(u16::from_be_bytes(*digits)), 2, 126),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(digits) => (u64::from_be_bytes(*digits), 8, 1 << 16),
            None => return Ok(None),
        },
        short => return Ok(Some((short, 0))),
    };
    if length < least {
        return Err(broken("a length is not written in the shortest form"));
    }
    if length > i64::MAX as u64 {
        return Err(broken("the top bit of a length is set"));
    }
    Ok(Some((usize::try_from(length).unwrap_or(usize::MAX), bytes)))
}

/// A close frame's code (sections 5.5.1 and 7.4).
fn closing(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let Some((digits, reason)) = payload.split_first_chunk() else {
        return match payload {
            [] => Ok(None),
            _ => Err(broken("half a code to close with")),
        };
    };
    let code = u16::from_be_bytes(*digits);
    // 1004 to 1006 and 1015 are never sent; 1012 and 1013 came to IANA's list later.
    if !matches!(code, 1000..=1003 | 1007..=1013 | 3000..=4999) {
        return Err(broken("a code to close with that nobody may send"));
    }
    match std::str::from_utf8(reason) {
        Ok(_) => Ok(Some(code)),
        Err(_) => Err(Violation { code: code::NOT_UTF8, rule: "the reason to close is not UTF-8" }),
    }
}

const fn broken(rule: &'static str) -> Violation {
    Violation { code: code::PROTOCOL_ERROR, rule }
}

#[cfg(test)]
#[path = "read_tests.rs"]
mod tests;
