//! The head of a model server's answer, read strictly. Pure: bytes in, a head out.
//!
//! A model server is trusted to do its work, not to frame its answers well: where two readers could see different
//! ends, the answer is no answer (RFC 9112, section 6.3), and its connection is not used again.

use std::mem::MaybeUninit;

use http::StatusCode;

use super::framing::Framing;
use crate::types::has_option;

/// A head may hold so many bytes and fields; model servers need a tenth of it.
pub(super) const MOST_HEAD_BYTES: usize = 64 * 1024;
const MOST_FIELDS: usize = 100;

/// What matters of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// The body is said to be a stream of events.
    pub(crate) is_event_stream: bool,
    pub(super) framing: Framing,
    /// The server will take another request on the connection.
    pub(super) is_kept: bool,
}

/// What stands at the beginning of some bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Parsed {
    /// Not a whole head yet.
    Partial,
    /// An informational head of so many bytes; the answer is still to come.
    Informational(usize),
    Head(Head, usize),
}

/// Fails with the reason, for the log. `accept`: a change to WebSocket was asked for, and this is what whoever agrees to
/// it says.
pub(super) fn parse(bytes: &[u8], accept: Option<&str>) -> Result<Parsed, &'static str> {
    let mut fields = [MaybeUninit::uninit(); MOST_FIELDS];
    let mut response = httparse::Response::new(&mut []);
    let parsed = httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut response,
        bytes,
        &mut fields,
    );
    let length = match parsed {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) if bytes.len() > MOST_HEAD_BYTES => {
            return Err("its head is too large");
        }
        Ok(httparse::Status::Partial) => return Ok(Parsed::Partial),
        Err(httparse::Error::TooManyHeaders) => return Err("its head has too many fields"),
        Err(_) => return Err("it is not HTTP"),
    };
    if length > MOST_HEAD_BYTES {
        return Err("its head is too large");
    }
    if has_lone_line_feed(&bytes[..length]) {
        return Err("a line of its head does not end with CRLF");
    }
    let status = response.code.and_then(|code| StatusCode::from_u16(code).ok()).ok_or("it has no status")?;
    match (status.as_u16(), accept) {
        (101, None) => Err("it switches protocols, which nobody asked for"),
        (101, Some(accept)) => {
            agrees(response.headers, accept)?;
            Ok(Parsed::Head(
                Head { status, is_event_stream: false, framing: Framing::UntilClose, is_kept: false },
                length,
            ))
        }
        (100..=199, _) => Ok(Parsed::Informational(length)),
        _ => Ok(Parsed::Head(read(status, response.version == Some(1), response.headers)?, length)),
    }
}

fn read(
    status: StatusCode,
    is_http_1_1: bool,
    fields: &[httparse::Header<'_>],
) -> Result<Head, &'static str> {
    let (mut length, mut is_chunked) = (None, false);
    let (mut is_event_stream, mut is_kept, mut is_llama_cpp) = (false, is_http_1_1, false);
    for field in fields {
        let value = field.value.trim_ascii();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("content-length") {
            let announced = decimal(value).ok_or("its Content-Length is no number")?;
            if length.replace(announced).is_some() {
                return Err("it has two Content-Lengths");
            }
        } else if is("transfer-encoding") {
            if is_chunked || !is_http_1_1 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err("its Transfer-Encoding is not chunked");
            }
            is_chunked = true;
        } else if is("content-type") {
            let essence = value.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
            is_event_stream = essence.eq_ignore_ascii_case(b"text/event-stream");
        } else if is("content-encoding") {
            if !value.is_empty() && !value.eq_ignore_ascii_case(b"identity") {
                return Err("it is encoded, which nobody asked for");
            }
        } else if is("connection") {
            is_kept &= !has_option(value, "close");
        } else if is("server") {
            is_llama_cpp = value == b"llama.cpp";
        }
    }
    // Some close the connection a moment later and do not say so, and the next call would be lost on it: uvicorn behind an
    // answer in which its program has failed, llama.cpp behind a stream.
    is_kept &= !(status.is_server_error() || (is_event_stream && is_llama_cpp));
    let framing = match (status.as_u16(), is_chunked, length) {
        (_, true, Some(_)) => return Err("it has both a Transfer-Encoding and a Content-Length"),
        (204 | 304, ..) | (_, false, Some(0)) => Framing::Done,
        (_, true, None) => Framing::chunked(),
        (_, false, Some(length)) => Framing::Length(length),
        (_, false, None) => Framing::UntilClose,
    };
    Ok(Head { status, is_event_stream, framing, is_kept: is_kept && framing != Framing::UntilClose })
}

/// Whether the server agrees to WebSocket, to this client, and to nothing else (RFC 6455 section 4.1).
fn agrees(fields: &[httparse::Header<'_>], accept: &str) -> Result<(), &'static str> {
    let (mut upgrades, mut says_so, mut accepts) = (0, false, 0);
    for field in fields {
        let value = field.value.trim_ascii();
        let is = |name: &str| field.name.eq_ignore_ascii_case(name);
        if is("upgrade") {
            if !value.eq_ignore_ascii_case(b"websocket") {
                return Err("it switches to another protocol");
            }
            upgrades += 1;
        } else if is("connection") {
            says_so |= has_option(value, "upgrade");
        } else if is("sec-websocket-accept") {
            if value != accept.as_bytes() {
                return Err("it accepts another handshake");
            }
            accepts += 1;
        } else if is("sec-websocket-extensions") || is("sec-websocket-protocol") {
            return Err("it chooses an extension or a protocol that nobody offered");
        } else if is("content-length") || is("transfer-encoding") {
            return Err("it frames a body where none can be");
        }
    }
    match (upgrades, says_so, accepts) {
        (1, true, 1) => Ok(()),
        _ => Err("it does not say that it switches to WebSocket"),
    }
}

/// The parser takes a line feed alone for the end of a line; other readers do not.
fn has_lone_line_feed(head: &[u8]) -> bool {
    memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r')
}

fn decimal(digits: &[u8]) -> Option<u64> {
    // `parse` alone would take a sign.
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &str) -> Result<Parsed, &'static str> {
        parse(format!("HTTP/1.1 200 OK\r\n{fields}\r\n").as_bytes(), None)
    }

    fn framing(fields: &str) -> Option<(Framing, bool)> {
        match head(fields) {
            Ok(Parsed::Head(head, _)) => Some((head.framing, head.is_kept)),
            Ok(other) => panic!("{other:?}"),
            Err(_) => None,
        }
    }

    #[test]
    fn the_end_of_a_body_is_known_or_the_answer_is_refused() {
        for (fields, wanted) in [
            ("Content-Length: 5\r\n", Some((Framing::Length(5), true))),
            ("content-length:  5 \r\n", Some((Framing::Length(5), true))),
            ("Content-Length: 0\r\n", Some((Framing::Done, true))),
            ("Transfer-Encoding: chunked\r\n", Some((Framing::chunked(), true))),
            ("transfer-encoding: Chunked\r\n", Some((Framing::chunked(), true))),
            ("", Some((Framing::UntilClose, false))),
            ("Content-Length: 5\r\nConnection: close\r\n", Some((Framing::Length(5), false))),
            ("Content-Length: 5\r\nConnection: keep-alive, Close\r\n", Some((Framing::Length(5), false))),
            ("Content-Length: 5\r\nConnection: keep-alive\r\n", Some((Framing::Length(5), true))),
            ("Server: llama.cpp\r\nContent-Length: 5\r\n", Some((Framing::Length(5), true))),
            (
                "Server: llama.cpp\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
                Some((Framing::chunked(), false)),
            ),
            (
                "Server: uvicorn\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
                Some((Framing::chunked(), true)),
            ),
            ("Content-Length: 5\r\nContent-Encoding: identity\r\n", Some((Framing::Length(5), true))),
            ("Content-Length: 5\r\nContent-Length: 6\r\n", None),
            ("Content-Length: 5\r\nContent-Length: 5\r\n", None),
            ("Content-Length: 5, 5\r\n", None),
            ("Content-Length: +5\r\n", None),
            ("Content-Length: -5\r\n", None),
            ("Content-Length: 0x5\r\n", None),
            ("Content-Length: 99999999999999999999\r\n", None),
            ("Content-Length:\r\n", None),
            ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", None),
            ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", None),
            ("Transfer-Encoding: gzip, chunked\r\n", None),
            ("Transfer-Encoding: identity\r\n", None),
            ("Content-Length: 5\r\nContent-Encoding: gzip\r\n", None),
            ("Content-Length : 5\r\n", None),
            ("Content-Length: 5\n", None),
            ("X: a\rb\r\n", None),
            ("X: a\r\n b\r\n", None),
        ] {
            assert_eq!(framing(fields), wanted, "{fields:?}");
        }
        for (text, wanted) in [
            ("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", Some((Framing::Length(5), false))),
            ("HTTP/1.1 204 No Content\r\n\r\n", Some((Framing::Done, true))),
            ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ] {
            let read = match parse(text.as_bytes(), None) {
                Ok(Parsed::Head(head, _)) => Some((head.framing, head.is_kept)),
                _ => None,
            };
            assert_eq!(read, wanted, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_answer_is_told_from_what_is_not_whole() {
        assert_eq!(parse(b"", None), Ok(Parsed::Partial));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-", None), Ok(Parsed::Partial));
        assert_eq!(parse(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 2", None), Ok(Parsed::Informational(28)));
        for garbage in [
            "SSH-2.0-OpenSSH\r\n",
            "HTTP/9.9 200 OK\r\n\r\n",
            "HTTP/1.1 101 Switching\r\n\r\n",
            "HTTP/1.1 2000 OK\r\n\r\n",
            "HTTP/1.1 099 Odd\r\n\r\n",
            "HTTP/1.1 200 OK\n\n",
            "HTTP/1.1 200 OK\r\nX\r\n\r\n",
            "HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n",
        ] {
            assert!(parse(garbage.as_bytes(), None).is_err(), "{garbage:?}");
        }
        assert!(head(&"X: y\r\n".repeat(MOST_FIELDS + 1)).is_err());
        assert!(head(&format!("X: {}\r\n", "y".repeat(MOST_HEAD_BYTES))).is_err());
        assert!(
            parse(format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(MOST_HEAD_BYTES)).as_bytes(), None).is_err()
        );
    }

    #[test]
    fn events_are_told_by_their_type() {
        for (value, wanted) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("text/event-streaming", false),
            ("application/json", false),
        ] {
            match head(&format!("Content-Type: {value}\r\n")) {
                Ok(Parsed::Head(head, _)) => assert_eq!(head.is_event_stream, wanted, "{value}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
