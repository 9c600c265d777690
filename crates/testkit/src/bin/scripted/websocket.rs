//! `GET /v1/realtime`, with the events of vLLM: audio in, a transcription out.
//!
//! It demands what RFC 6455 demands of a client, and answers anything else with a close that says so. A session is read
//! and written by one task: nothing is read while something is written.

mod fault;
mod misbehave;
mod record;

use std::{convert::Infallible, io};

use serde_json::{Value, json};
use testkit::websocket::frame::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT};

pub(crate) use self::fault::Fault;
use crate::{
    answer,
    connection::Head,
    fault::Fault as AnyFault,
    record::{Ended, State, Ticket},
    socket::Socket,
};

/// Whether a request asks for a session.
pub(crate) fn is_handshake(head: &Head) -> bool {
    head.method == "GET" && head.path == "/v1/realtime" && head.has_token("upgrade", "websocket")
}

impl From<io::Error> for Ended {
    fn from(_: io::Error) -> Self {
        Self::ClientClosed
    }
}

pub(crate) struct Session<'a> {
    socket: &'a Socket,
    state: &'a State,
    ticket: Ticket,
    /// Received and not yet a whole frame.
    buffer: Vec<u8>,
    /// Of a message that has begun.
    fragments: Option<Vec<u8>>,
    messages: usize,
    model_is_known: bool,
    audio_bytes: usize,
    answers_pings: bool,
}

impl<'a> Session<'a> {
    /// `buffer`: what came behind the handshake.
    pub(crate) fn new(socket: &'a Socket, state: &'a State, ticket: Ticket, buffer: Vec<u8>) -> Self {
        Self {
            socket,
            state,
            ticket,
            buffer,
            fragments: None,
            messages: 0,
            model_is_known: false,
            audio_bytes: 0,
            answers_pings: true,
        }
    }

    pub(crate) async fn run(mut self, head: &Head, fault: Option<Fault>) -> Ended {
        match self.session(head, fault).await {
            Ok(never) => match never {},
            Err(ended) => ended,
        }
    }

    async fn session(&mut self, head: &Head, fault: Option<Fault>) -> Result<Infallible, Ended> {
        let mut first = self.handshake(head, fault.as_ref()).await?;
        let created = json!({ "type": "session.created", "id": "sess-1", "created": 1 }).to_string();
        if let Some(Fault::Early) = fault {
            first.extend(Frame::new(TEXT, created).bytes());
            self.write(&first).await?;
            self.state.sent(self.ticket, 0, 1);
        } else {
            self.write(&first).await?;
            if !matches!(fault, Some(Fault::Mute)) {
                self.event(&created).await?;
            }
        }
        if let Some(fault) = fault.filter(|fault| !fault.is_of_handshake()) {
            self.misbehave(&fault).await?;
        }
        loop {
            let frame = self.frame().await?;
            self.take(frame).await?;
        }
    }

    /// The head of the answer.
    async fn handshake(&mut self, head: &Head, fault: Option<&Fault>) -> Result<Vec<u8>, Ended> {
        let key = head.header("sec-websocket-key").unwrap_or_default();
        if head.header("sec-websocket-version") != Some("13")
            || key.len() != 24
            || !head.has_token("connection", "upgrade")
        {
            return self.refuse(400, "this is no handshake of a WebSocket").await;
        }
        match fault {
            Some(Fault::Refuse(status)) => return self.refuse(*status, "this is a scripted error").await,
            Some(Fault::Silent) => return self.left().await,
            Some(Fault::Slow(pause)) => tokio::time::sleep(*pause).await,
            _ => {}
        }
        let upgrade = if let Some(Fault::NoUpgrade) = fault { "" } else { "Upgrade: websocket\r\n" };
        let accept = match fault {
            Some(Fault::BadAccept) => frame::accept(""),
            _ => frame::accept(key),
        };
        let more = match fault {
            Some(Fault::Extension) => "Sec-WebSocket-Extensions: permessage-deflate\r\n",
            Some(Fault::Protocol) => "Sec-WebSocket-Protocol: realtime\r\n",
            _ => "",
        };
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\n{upgrade}Connection: Upgrade\r\nSec-WebSocket-Accept: {accept}\r\n{more}\r\n"
        );
        Ok(head.into_bytes())
    }

    async fn refuse<T>(&self, status: u16, message: &str) -> Result<T, Ended> {
        let body = answer::error(status, message);
        let head = format!(
            "HTTP/1.1 {status} Scripted\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        self.write(head.as_bytes()).await?;
        Err(Ended::Complete)
    }

    async fn take(&mut self, frame: Frame) -> Result<(), Ended> {
        if !frame.masked || frame.rsv != 0 {
            return self.close(1002, "a frame without a mask, or with reserved bits").await;
        }
        let is_control = frame.opcode >= CLOSE;
        if is_control && (!frame.fin || frame.payload.len() > 125) {
            return self.close(1002, "a control frame that is long or in fragments").await;
        }
        match frame.opcode {
            PING if self.answers_pings => self.send(&Frame::new(PONG, frame.payload)).await,
            PING | PONG => Ok(()),
            CLOSE => {
                self.send(&Frame::new(CLOSE, frame.payload)).await?;
                Err(Ended::Complete)
            }
            BINARY => self.close(1003, "binary").await,
            TEXT | CONTINUATION if (frame.opcode == TEXT) == self.fragments.is_none() => {
                let mut joined = self.fragments.take().unwrap_or_default();
                joined.extend(frame.payload);
                if !frame.fin {
                    self.fragments = Some(joined);
                    return Ok(());
                }
                match String::from_utf8(joined) {
                    Ok(text) => self.message(&text).await,
                    Err(_) => self.close(1007, "not UTF-8").await,
                }
            }
            _ => self.close(1002, "an opcode that has no place here").await,
        }
    }

    async fn message(&mut self, text: &str) -> Result<(), Ended> {
        self.messages += 1;
        let json: Value = serde_json::from_str(text).unwrap_or_default();
        if self.messages == 1
            && let Some(words) = wish(text, &json)
        {
            self.state.chose(self.ticket, words.trim());
            return match AnyFault::parse(&words) {
                Ok(AnyFault::WebSocket(fault)) if !fault.is_of_handshake() => self.misbehave(&fault).await,
                Ok(_) => self.error("that is no fault of a session", "no_fault").await,
                Err(problem) => self.error(&problem, "no_fault").await,
            };
        }
        match json["type"].as_str() {
            Some("session.update") => match json["model"].as_str() {
                Some(model) if model == self.state.model => {
                    self.model_is_known = true;
                    Ok(())
                }
                Some(model) => {
                    self.error(&format!("The model `{model}` does not exist."), "model_not_found").await
                }
                None => self.error("model is missing", "processing_error").await,
            },
            Some("input_audio_buffer.append") => match json["audio"].as_str().and_then(decoded) {
                Some(audio) if !audio.is_empty() && audio.len() % 2 == 0 => {
                    self.audio_bytes += audio.len();
                    Ok(())
                }
                _ => self.error("Invalid audio data", "invalid_audio").await,
            },
            Some("input_audio_buffer.commit") if !self.model_is_known => {
                let text =
                    "Model not validated. Make sure to validate the model by sending a session.update event.";
                self.error(text, "model_not_validated").await
            }
            Some("input_audio_buffer.commit") if json["final"] == true => self.transcription().await,
            Some("input_audio_buffer.commit") => Ok(()),
            other => {
                let text = format!("Unknown event type: {}", other.unwrap_or("none"));
                self.error(&text, "unknown_event").await
            }
        }
    }

    async fn transcription(&mut self) -> Result<(), Ended> {
        let text = format!("You said: {} bytes", std::mem::take(&mut self.audio_bytes));
        for delta in answer::words(&text) {
            self.delta(&delta).await?;
        }
        let usage = json!({ "prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12 });
        self.event(&json!({ "type": "transcription.done", "text": text, "usage": usage }).to_string()).await
    }

    async fn delta(&self, delta: &str) -> Result<(), Ended> {
        self.event(&delta_event(delta)).await
    }

    async fn error(&self, message: &str, code: &str) -> Result<(), Ended> {
        self.event(&json!({ "type": "error", "error": message, "code": code }).to_string()).await
    }

    async fn event(&self, json: &str) -> Result<(), Ended> {
        self.send(&Frame::new(TEXT, json)).await?;
        self.state.sent(self.ticket, 0, 1);
        Ok(())
    }

    /// Says why, and waits for the answer or the end of the connection.
    async fn close(&mut self, code: u16, reason: &str) -> Result<(), Ended> {
        self.close_with(&Frame::close(code, reason)).await
    }

    async fn close_with(&mut self, close: &Frame) -> Result<(), Ended> {
        self.send(close).await?;
        while self.frame().await?.opcode != CLOSE {}
        Err(Ended::Complete)
    }

    /// The next frame, whatever it is.
    async fn frame(&mut self) -> Result<Frame, Ended> {
        loop {
            if let Some(frame) = frame::take(&mut self.buffer) {
                self.state.frame(self.ticket, record::kept(&frame));
                return Ok(frame);
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Ended> {
        self.buffer.reserve(64 * 1024);
        if self.socket.read(&mut self.buffer).await? == 0 { Err(Ended::ClientClosed) } else { Ok(()) }
    }

    /// Ends when the client has closed its side; what it still sends is read and forgotten.
    async fn left<T>(&mut self) -> Result<T, Ended> {
        loop {
            self.buffer.clear();
            self.more().await?;
        }
    }

    async fn send(&self, frame: &Frame) -> Result<(), Ended> {
        self.write(&frame.bytes()).await
    }

    async fn write(&self, bytes: &[u8]) -> Result<(), Ended> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let written = self.socket.write(rest).await?;
            self.state.sent(self.ticket, written as u64, 0);
            rest = &rest[written..];
        }
        Ok(())
    }
}

fn delta_event(delta: &str) -> String {
    json!({ "type": "transcription.delta", "delta": delta }).to_string()
}

/// The fault that a message asks for, without `fault:`.
fn wish(text: &str, json: &Value) -> Option<String> {
    let audio = json["audio"].as_str().and_then(decoded).and_then(|audio| String::from_utf8(audio).ok());
    let texts = [Some(text), json["model"].as_str(), audio.as_deref()];
    texts.into_iter().flatten().find_map(|text| text.strip_prefix("fault:")).map(str::to_owned)
}

/// Standard alphabet, with padding.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let value = |byte| {
        Some(match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        })
    };
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() / 4 * 3);
    let (mut joined, mut bits) = (0u32, 0);
    for byte in digits.bytes() {
        joined = joined << 6 | u32::from(value(byte)?);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(joined >> bits & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use testkit::image::base64;

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        for length in 0..40 {
            let bytes: Vec<u8> = (0..length).map(|byte: u8| byte.wrapping_mul(7)).collect();
            assert_eq!(decoded(&base64(&bytes)), Some(bytes));
        }
        for wrong in ["A", "AA", "A===", "AA!A", "====", "AA=A"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }
}
