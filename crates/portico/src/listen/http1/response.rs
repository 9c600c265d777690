//! The head of an answer and the coding of its body, as bytes. Pure, but for the second that `Date` names.

use std::cell::RefCell;

use http::StatusCode;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, TRANSFER_ENCODING, UPGRADE};
use http::response::Parts;

use super::request::Manners;
use crate::sys::clock;
use crate::types::has_option;

/// How the end of an answer's body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Nothing of a body goes out.
    Empty,
    /// By its length, which the head has said.
    Length,
    Chunked,
    /// By the end of the connection, for HTTP/1.0.
    Close,
    /// Not at all: another protocol is spoken behind the head.
    Open,
}

/// An answer's head, decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) coding: Coding,
    /// The connection may carry another request.
    pub(super) keeps: bool,
}

/// `may_keep`: the connection is in a state to carry another request.
pub(super) fn plan(parts: &Parts, body_bytes: Option<u64>, manners: Manners, may_keep: bool) -> Plan {
    let has_no_body =
        manners.is_head || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let coding = match body_bytes {
        _ if parts.status == StatusCode::SWITCHING_PROTOCOLS => Coding::Open,
        _ if has_no_body => Coding::Empty,
        Some(_) => Coding::Length,
        None if manners.is_http_1_0 => Coding::Close,
        None => Coding::Chunked,
    };
    let wants_close =
        parts.headers.get_all(CONNECTION).iter().any(|value| has_option(value.as_bytes(), "close"));
    Plan {
        coding,
        keeps: manners.keeps && may_keep && !wants_close && !matches!(coding, Coding::Close | Coding::Open),
    }
}

/// Appends the head. What frames the body and the connection is written here alone.
pub(super) fn write_head(
    parts: &Parts,
    body_bytes: Option<u64>,
    plan: Plan,
    manners: Manners,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(parts.status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(parts.status.canonical_reason().unwrap_or_default().as_bytes());
    out.extend_from_slice(b"\r\n");
    let mut says_length = false;
    for (name, value) in &parts.headers {
        if *name == CONNECTION || *name == TRANSFER_ENCODING || *name == DATE {
            continue;
        }
        if *name == CONTENT_LENGTH {
            // Of an answer that has a body, its own length is the truth; of one to HEAD, what it says.
            if plan.coding != Coding::Empty {
                continue;
            }
            says_length = true;
        }
        line(name.as_str(), value.as_bytes(), out);
    }
    match (plan.coding, body_bytes) {
        (Coding::Chunked, _) => line("transfer-encoding", b"chunked", out),
        (Coding::Length, Some(bytes)) => length(bytes, out),
        (Coding::Empty, Some(bytes)) if manners.is_head && !says_length => length(bytes, out),
        _ => {}
    }
    if parts.headers.contains_key(UPGRADE) {
        // Whoever names a protocol says so (RFC 9110 section 7.8).
        let closes = !plan.keeps && plan.coding != Coding::Open;
        line("connection", if closes { b"upgrade, close" } else { b"upgrade" }, out);
    } else if !plan.keeps {
        line("connection", b"close", out);
    } else if manners.is_http_1_0 {
        line("connection", b"keep-alive", out);
    }
    date(out);
    out.extend_from_slice(b"\r\n");
}

/// Appends what stands before a chunk's data; CR LF stands behind it.
pub(super) fn write_chunk_size(bytes: usize, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digits = (usize::BITS - bytes.leading_zeros()).div_ceil(4).max(1);
    for place in (0..digits).rev() {
        out.push(DIGITS[bytes >> (4 * place) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

fn line(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for piece in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(piece);
    }
}

fn length(bytes: u64, out: &mut Vec<u8>) {
    line("content-length", itoa::Buffer::new().format(bytes).as_bytes(), out);
}

/// Written once a second and thread.
fn date(out: &mut Vec<u8>) {
    thread_local! {
        static LINE: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
    }
    let now = clock::unix_now();
    LINE.with_borrow_mut(|(second, text)| {
        if *second != now.as_secs() || text.is_empty() {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(now.as_secs());
            *second = now.as_secs();
            *text = httpdate::fmt_http_date(time);
        }
        line("date", text.as_bytes(), out);
    });
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    const MANNERS: Manners =
        Manners { is_head: false, is_http_1_0: false, keeps: true, expects_continue: false };

    fn written(response: http::response::Builder, body_bytes: Option<u64>, manners: Manners) -> String {
        let (parts, ()) = response.body(()).unwrap().into_parts();
        let mut out = Vec::new();
        let plan = plan(&parts, body_bytes, manners, true);
        write_head(&parts, body_bytes, plan, manners, &mut out);
        let text = String::from_utf8(out).unwrap();
        // The date is what it is.
        let (before, rest) = text.split_once("date: ").unwrap();
        let (date, after) = rest.split_once("\r\n").unwrap();
        assert!(date.len() == 29 && date.ends_with(" GMT"), "{date}");
        format!("{before}{after}")
    }

    #[test]
    fn a_head_says_how_its_body_ends() {
        let ok = || Response::builder().header("x", "y");
        let old = Manners { is_http_1_0: true, keeps: false, ..MANNERS };
        for (response, bytes, manners, wanted) in [
            (ok(), Some(5), MANNERS, "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\n\r\n"),
            (ok(), None, MANNERS, "HTTP/1.1 200 OK\r\nx: y\r\ntransfer-encoding: chunked\r\n\r\n"),
            (ok(), None, old, "HTTP/1.1 200 OK\r\nx: y\r\nconnection: close\r\n\r\n"),
            (
                ok(),
                Some(5),
                Manners { keeps: true, ..old },
                "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\n",
            ),
            (
                ok(),
                Some(5),
                Manners { is_head: true, ..MANNERS },
                "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\n\r\n",
            ),
            (
                ok().header("content-length", "7"),
                Some(0),
                Manners { is_head: true, ..MANNERS },
                "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 7\r\n\r\n",
            ),
            (
                ok().header("content-length", "7").header("transfer-encoding", "gzip"),
                Some(5),
                MANNERS,
                "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\n\r\n",
            ),
            (ok().status(304), Some(0), MANNERS, "HTTP/1.1 304 Not Modified\r\nx: y\r\n\r\n"),
            (ok().status(204), Some(0), MANNERS, "HTTP/1.1 204 No Content\r\nx: y\r\n\r\n"),
            (
                Response::builder().status(101).header("upgrade", "websocket"),
                None,
                MANNERS,
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n",
            ),
            (
                ok().header("connection", "close"),
                Some(5),
                MANNERS,
                "HTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 5\r\nconnection: close\r\n\r\n",
            ),
        ] {
            assert_eq!(written(response, bytes, manners), wanted);
        }
    }

    #[test]
    fn chunk_sizes_are_hexadecimal() {
        for bytes in [1_usize, 9, 10, 15, 16, 255, 256, 4096, 65_535, 1 << 20, usize::MAX] {
            let mut out = Vec::new();
            write_chunk_size(bytes, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("{bytes:x}\r\n"));
        }
    }
}
