//! Faults of a session that has begun.

use serde_json::json;
use testkit::websocket::frame::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, TEXT};

use super::{Fault, Session, delta_event};
use crate::record::Ended;

/// What is written at once of something that is large.
const PIECE_BYTES: usize = 64 * 1024;
/// Text of `ws-fragments`: characters of one to four bytes.
const FRAGMENTED: &str = "Grüße 世界 🙂 done";

impl Session<'_> {
    /// Commits a fault. `Ok`: the session goes on.
    pub(super) async fn misbehave(&mut self, fault: &Fault) -> Result<(), Ended> {
        let event = delta_event("faulty");
        match fault {
            Fault::Masked => self.send(&Frame::new(TEXT, event).masked()).await,
            Fault::Rsv => self.send(&Frame { rsv: 4, ..Frame::new(TEXT, event) }).await,
            Fault::Binary => self.send(&Frame::new(BINARY, event)).await,
            Fault::BadUtf8 => {
                let [before, after] = [&b"{\"type\":\"transcription.delta\",\"delta\":\""[..], b"\"}"];
                self.send(&Frame::new(TEXT, [before, b"\xc3\x28", after].concat())).await
            }
            Fault::NoJson => self.send(&Frame::new(TEXT, "this is no JSON")).await,
            Fault::Huge(bytes) => self.huge(*bytes).await,
            Fault::LongControl => self.send(&Frame::new(PING, [b'p'; 126])).await,
            Fault::Fragments(count) => self.fragments_with_pings(*count).await,
            Fault::Die => Err(Ended::ServerClosed),
            Fault::Reset => {
                self.socket.reset_on_close();
                Err(Ended::ServerClosed)
            }
            Fault::Close(code) => self.close(*code, "scripted").await,
            Fault::CloseBad(None) => self.close_with(&Frame::new(CLOSE, [3])).await,
            Fault::CloseBad(Some(code)) => self.close(*code, "").await,
            Fault::PingFlood => self.ping_flood().await,
            Fault::Hang => {
                self.socket.read_side_closed().await;
                Err(Ended::ClientClosed)
            }
            Fault::LeakyError => {
                let text = "Connect call failed ('127.0.0.1', 3001): /opt/models/secret/engine.py line 42";
                self.error(text, "processing_error").await
            }
            Fault::NoPong => {
                self.answers_pings = false;
                Ok(())
            }
            Fault::Usage(tokens) => {
                let usage = json!({ "prompt_tokens": tokens, "completion_tokens": tokens });
                let done = json!({ "type": "transcription.done", "text": "", "usage": usage }).to_string();
                self.event(&done).await?;
                self.event(&done).await
            }
            Fault::Flood { events, bytes } => {
                let text = "x".repeat(*bytes);
                for _ in 0..*events {
                    self.delta(&text).await?;
                }
                Ok(())
            }
            // Over before a session begins.
            Fault::Refuse(_)
            | Fault::BadAccept
            | Fault::NoUpgrade
            | Fault::Extension
            | Fault::Protocol
            | Fault::Silent
            | Fault::Slow(_)
            | Fault::Early
            | Fault::Mute => Ok(()),
        }
    }

    /// In pieces, so that it may be more than the memory.
    async fn huge(&self, bytes: usize) -> Result<(), Ended> {
        let empty = delta_event("");
        let (start, end) = empty.split_at(empty.len() - 2);
        self.write(&frame::head(true, 0, TEXT, false, bytes as u64)).await?;
        let Some(mut left) = bytes.checked_sub(empty.len()) else {
            // Too short for an event: the length alone is what counts.
            return self.write(&vec![b'x'; bytes]).await;
        };
        self.write(start.as_bytes()).await?;
        while left > 0 {
            let piece = left.min(PIECE_BYTES);
            self.write(&vec![b'x'; piece]).await?;
            left -= piece;
        }
        self.write(end.as_bytes()).await
    }

    async fn fragments_with_pings(&self, count: usize) -> Result<(), Ended> {
        let text = delta_event(FRAGMENTED).into_bytes();
        let count = count.clamp(1, text.len());
        for index in 0..count {
            // Cut anywhere, within characters too.
            let part = &text[index * text.len() / count..(index + 1) * text.len() / count];
            let opcode = if index == 0 { TEXT } else { CONTINUATION };
            let fin = index + 1 == count;
            self.send(&Frame { fin, ..Frame::new(opcode, part) }).await?;
            if !fin {
                self.send(&Frame::new(PING, format!("between {index}"))).await?;
            }
        }
        self.state.sent(self.ticket, 0, 1);
        Ok(())
    }

    async fn ping_flood(&mut self) -> Result<(), Ended> {
        let pings = Frame::new(PING, "ping").bytes().repeat(100);
        let writer = Self::new(self.socket, self.state, self.ticket, Vec::new());
        let flood = async {
            loop {
                writer.write(&pings).await?;
                // The socket may be ready for long: the one who reads has to have a turn.
                tokio::task::yield_now().await;
            }
        };
        let reading = async {
            loop {
                self.frame().await?;
            }
        };
        tokio::select! {
            ended = flood => ended,
            ended = reading => ended,
        }
    }
}
