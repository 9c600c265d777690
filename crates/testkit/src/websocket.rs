//! A WebSocket client that sends any bytes and shows every frame.
//!
//! Like [`crate::client`] it follows no rule by itself: it answers no ping, joins no fragments and closes nothing unless
//! it is told to. Only [`WebSocket::event`] does what a well-behaved client would.

pub mod frame;

use std::{
    io::{self, ErrorKind},
    time::Duration,
};

use serde_json::Value;

use self::frame::{CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};
use crate::{
    client::{Answer, Connection, Head},
    net::Address,
};

/// The key of the handshakes here, from RFC 6455.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// The headers of a plain handshake.
pub const HANDSHAKE: [(&str, &str); 5] = [
    ("Host", "localhost"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
];

/// One connection, before, in and after its handshake.
pub struct WebSocket {
    connection: Connection,
    /// Received and not yet a whole frame.
    buffer: Vec<u8>,
}

impl WebSocket {
    /// Connects, and says nothing yet. Panics when nobody listens.
    pub async fn open(address: &Address) -> Self {
        Self { connection: Connection::open(address).await, buffer: Vec::new() }
    }

    /// A session that has begun. Panics when the handshake is refused or answered wrongly.
    pub async fn connect(address: &Address, path: &str) -> Self {
        let mut socket = Self::open(address).await;
        match socket.handshake(path, &[]).await {
            Ok(head) => assert_switched(&head),
            Err(error) => panic!("no answer to a handshake on {path}: {error}"),
        }
        socket
    }

    /// Sends a handshake and reads the head of its answer. `headers` are added; one of [`HANDSHAKE`] gives way to those
    /// of its own name.
    pub async fn handshake(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Head> {
        let all = self::headers(headers);
        self.handshake_of(&format!("GET {path} HTTP/1.1"), &all).await
    }

    /// Sends a request line with exactly these headers and reads the head of its answer.
    pub async fn handshake_of(&mut self, line: &str, headers: &[(&str, &str)]) -> io::Result<Head> {
        self.connection.send(request(line, headers)).await?;
        self.connection.head().await
    }

    /// A handshake that is answered with a whole HTTP answer, like one that is refused.
    pub async fn refusal(&mut self, path: &str, headers: &[(&str, &str)]) -> io::Result<Answer> {
        let head = self.handshake(path, headers).await?;
        self.body_of(head).await
    }

    /// The rest of an answer that is no 101.
    pub async fn body_of(&mut self, head: Head) -> io::Result<Answer> {
        let body = self.connection.body().await?;
        Ok(Answer { head, body })
    }

    /// The connection below, where its bytes or its end are the test's concern.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// For each read that follows.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.connection.set_deadline(deadline);
    }

    /// Bytes as they are.
    pub async fn send_raw(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.connection.send(bytes).await
    }

    pub async fn send_frame(
        &mut self,
        fin: bool,
        rsv: u8,
        opcode: u8,
        masked: bool,
        payload: impl Into<Vec<u8>>,
    ) -> io::Result<()> {
        let frame = Frame { fin, rsv, ..Frame::new(opcode, payload) };
        self.send_raw(if masked { frame.masked() } else { frame }.bytes()).await
    }

    /// A text in one frame, as a client sends it.
    pub async fn text(&mut self, text: &str) -> io::Result<()> {
        self.send_raw(Frame::new(TEXT, text).masked().bytes()).await
    }

    pub async fn json(&mut self, json: &Value) -> io::Result<()> {
        self.text(&json.to_string()).await
    }

    /// A text in as many fragments.
    pub async fn fragments(&mut self, parts: &[&str]) -> io::Result<()> {
        for (index, part) in parts.iter().enumerate() {
            let opcode = if index == 0 { TEXT } else { CONTINUATION };
            self.send_frame(index + 1 == parts.len(), 0, opcode, true, *part).await?;
        }
        Ok(())
    }

    pub async fn ping(&mut self, payload: &[u8]) -> io::Result<()> {
        self.send_frame(true, 0, PING, true, payload).await
    }

    pub async fn close(&mut self, code: u16, reason: &str) -> io::Result<()> {
        self.send_raw(Frame::close(code, reason).masked().bytes()).await
    }

    /// The next frame. A connection that is closed first is `UnexpectedEof`.
    pub async fn read_frame(&mut self) -> io::Result<Frame> {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer) {
                return Ok(frame);
            }
            let more = self.connection.read().await?;
            if more.is_empty() {
                let text = format!("closed where a frame should be; there was {:?}", self.buffer);
                return Err(io::Error::new(ErrorKind::UnexpectedEof, text));
            }
            self.buffer.extend(more);
        }
    }

    /// Code and reason of the close that comes next; pings and pongs may come before it, nothing else.
    pub async fn read_close(&mut self) -> io::Result<(u16, String)> {
        loop {
            let frame = self.read_frame().await?;
            match frame.opcode {
                CLOSE => return Ok(frame.close_code()),
                PING | PONG => {}
                _ => return Err(wrong(&frame, "a close")),
            }
        }
    }

    /// The next message as JSON. Pings before it are answered, fragments are joined.
    pub async fn event(&mut self) -> io::Result<Value> {
        let text = self.message().await?;
        serde_json::from_str(&text)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, format!("{error}: {text:?}")))
    }

    /// The next text. Pings before it are answered, fragments are joined.
    pub async fn message(&mut self) -> io::Result<String> {
        let mut joined: Option<Vec<u8>> = None;
        loop {
            let frame = self.read_frame().await?;
            match (frame.opcode, &mut joined) {
                (PING, _) => self.send_frame(true, 0, PONG, true, frame.payload).await?,
                (PONG, _) => {}
                (TEXT, None) | (CONTINUATION, Some(_)) => {
                    joined.get_or_insert_default().extend(&frame.payload);
                    if frame.fin {
                        return String::from_utf8(joined.unwrap_or_default())
                            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
                    }
                }
                _ => return Err(wrong(&frame, "a text")),
            }
        }
    }

    /// Whether the server closes the connection, without sending more, before the deadline.
    pub async fn is_closed_within(&mut self, deadline: Duration) -> bool {
        self.buffer.is_empty() && self.connection.is_closed_within(deadline).await
    }

    /// Closes with a TCP reset.
    pub fn reset(self) -> io::Result<()> {
        self.connection.reset()
    }
}

/// A request without a body.
#[must_use]
pub fn request(line: &str, headers: &[(&str, &str)]) -> String {
    let fields: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("{line}\r\n{fields}\r\n")
}

/// [`HANDSHAKE`] with more headers, which replace those of the same name.
#[must_use]
pub fn headers<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let given = |name: &str| more.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
    HANDSHAKE.into_iter().filter(|(name, _)| !given(name)).chain(more.iter().copied()).collect()
}

/// Panics unless the head is the answer to a handshake with [`KEY`].
pub fn assert_switched(head: &Head) {
    assert_eq!(head.status, 101, "{:?}", head.lines);
    assert_eq!(head.headers("sec-websocket-accept"), [frame::accept(KEY)], "{:?}", head.lines);
    let has = |name, token| head.header(name).is_some_and(|value| value.eq_ignore_ascii_case(token));
    assert!(has("upgrade", "websocket") && has("connection", "upgrade"), "{:?}", head.lines);
}

fn wrong(frame: &Frame, wanted: &str) -> io::Error {
    let payload = String::from_utf8_lossy(&frame.payload[..frame.payload.len().min(500)]);
    let text = format!("opcode {} where {wanted} should be: {payload:?}", frame.opcode);
    io::Error::new(ErrorKind::InvalidData, text)
}
