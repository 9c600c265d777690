//! Carries out a fault, or a normal answer, on the wire.

use std::{fmt::Write as _, io, time::Duration};

use crate::{
    answer::{self, Call, Kind},
    connection::Head,
    dialect::{self, Event},
    fault::Fault,
    record::{State, Ticket},
    socket::Socket,
};

/// Text of `split-events`: characters of one to four bytes.
const UTF8_TEXT: &str = "Grüße 世界 🙂 done";
const EVENT_STREAM: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\nTransfer-Encoding: chunked\r\n\r\n";

/// How it went, and what becomes of the connection.
pub(crate) enum Outcome {
    /// Answered in full; the connection may be used again.
    Keep,
    /// Answered in full; the connection is closed.
    Close,
    CloseLater(Duration),
    /// Closed on purpose before the answer's end.
    Cut,
    PeerClosed,
}

pub(crate) struct Performance<'a> {
    pub(crate) socket: &'a Socket,
    pub(crate) state: &'a State,
    pub(crate) ticket: Ticket,
    pub(crate) head: &'a Head,
    pub(crate) call: Option<Call>,
}

impl Performance<'_> {
    /// An error is the client's doing: it does not take more.
    pub(crate) async fn run(&self, fault: &Fault) -> io::Result<Outcome> {
        match fault {
            Fault::None
            | Fault::WebSocket(_)
            | Fault::SplitEvents
            | Fault::CrlfEvents
            | Fault::SlowStream { .. }
            | Fault::Flood { .. } => self.stream_fault(fault).await,
            Fault::EndEarly(_)
            | Fault::HangMidStream(_)
            | Fault::EngineDead { .. }
            | Fault::DieMidStream { .. } => self.cut_fault(fault).await,
            Fault::SlowHeaders(pause) => {
                tokio::time::sleep(*pause).await;
                self.normal("").await
            }
            Fault::Silent => std::future::pending().await,
            Fault::CloseEarly => Ok(Outcome::Cut),
            Fault::Reset => self.reset(),
            Fault::CloseIdle(pause) => self.normal("").await.map(|_| Outcome::CloseLater(*pause)),
            Fault::LlamaStream => {
                let outcome = self.normal("Server: llama.cpp\r\n").await?;
                let is_stream = self.call.as_ref().is_some_and(|call| call.stream);
                Ok(if is_stream { Outcome::CloseLater(Duration::from_millis(20)) } else { outcome })
            }
            Fault::Error(status) => self.error(*status, "this is a scripted error").await,
            Fault::Early(status) => self.error(*status, "answered before the body was read").await,
            Fault::LeakyError => {
                let text = "Connect call failed ('127.0.0.1', 3001): /opt/models/secret/engine.py line 42";
                self.error(500, text).await
            }
            Fault::Html => self.page("text/html", "<!doctype html><title>Welcome</title>").await,
            Fault::BadChunk | Fault::DieMidEvent => self.broken_event_fault(fault).await,
            // It was set for a request that has been read already: the body is there, so it acts like silence.
            Fault::Unread => std::future::pending().await,
            _ => self.head_fault(fault).await,
        }
    }

    /// An answer in OpenAI's error shape, after which the connection may be used again.
    pub(crate) async fn error(&self, status: u16, message: &str) -> io::Result<Outcome> {
        let body = answer::error(status, message);
        self.body(&format!("HTTP/1.1 {status} Scripted"), "application/json", "", &body).await
    }

    async fn page(&self, kind: &str, body: &str) -> io::Result<Outcome> {
        self.body("HTTP/1.1 200 OK", kind, "", body).await
    }

    async fn body(&self, status_line: &str, kind: &str, headers: &str, body: &str) -> io::Result<Outcome> {
        let mut text = format!(
            "{status_line}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        if self.head.method != "HEAD" {
            text.push_str(body);
        }
        self.send(&text).await?;
        Ok(Outcome::Keep)
    }

    /// The answer that a well server gives; `headers` are added to it.
    async fn normal(&self, headers: &str) -> io::Result<Outcome> {
        let model = &self.state.model;
        if let Some(call) = &self.call {
            let pieces = call.pieces();
            if call.stream && call.kind.can_stream() {
                self.send(&with_headers(EVENT_STREAM, headers)).await?;
                return self.whole_stream(&call.events(model, &pieces)).await;
            }
            return self
                .body("HTTP/1.1 200 OK", call.content_type(), headers, &call.json(model, &pieces))
                .await;
        }
        match (self.head.method.as_str(), self.head.path.as_str()) {
            ("GET" | "HEAD", "/health") => self.page("application/json", r#"{"status":"ok"}"#).await,
            ("GET", "/version") if self.state.vllm.is_some() => {
                let version = serde_json::json!({ "version": self.state.vllm });
                self.page("application/json", &version.to_string()).await
            }
            ("GET", "/v1/models") => {
                self.body("HTTP/1.1 200 OK", "application/json", headers, &self.models(model)).await
            }
            ("POST", path) if Kind::of(path).is_some() => {
                self.error(400, "the body is no JSON object and no form").await
            }
            _ => self.error(404, "no such path").await,
        }
    }

    /// Streams that come to their proper end, only oddly.
    async fn stream_fault(&self, fault: &Fault) -> io::Result<Outcome> {
        let Some(call) = self.call.as_ref().filter(|call| call.kind.can_stream()) else {
            return self.normal("").await;
        };
        let model = &self.state.model;
        match fault {
            Fault::SlowStream { events, every } if !call.stream => {
                tokio::time::sleep(*every * u32::try_from(*events).unwrap_or(u32::MAX)).await;
                let text = call.json(model, &answer::numbered(*events));
                self.page("application/json", &text).await
            }
            _ if !call.stream => self.normal("").await,
            Fault::SlowStream { events, every } => {
                self.send(EVENT_STREAM).await?;
                let all = call.events(model, &answer::numbered(*events));
                let first_with_text = call.kind.events_before_text();
                for (index, event) in all.iter().enumerate() {
                    if (first_with_text..first_with_text + events).contains(&index) {
                        tokio::time::sleep(*every).await;
                    }
                    self.event(event).await?;
                }
                self.end_of_stream().await
            }
            Fault::Flood { events, bytes } => {
                self.send(EVENT_STREAM).await?;
                // One event after the other, never a list of them: N times BYTES may be more than the memory.
                let big = call.events(model, &["x".repeat(*bytes)]);
                let text = call.kind.events_before_text();
                for event in &big[..text] {
                    self.event(event).await?;
                }
                for _ in 0..*events {
                    self.event(&big[text]).await?;
                }
                for event in &big[text + 1..] {
                    self.event(event).await?;
                }
                self.end_of_stream().await
            }
            Fault::SplitEvents => {
                self.send(EVENT_STREAM).await?;
                self.split(&call.events(model, &answer::words(UTF8_TEXT))).await
            }
            Fault::CrlfEvents => {
                self.send(EVENT_STREAM).await?;
                for Event { name, json } in call.events(model, &call.pieces()) {
                    let name = name.unwrap_or("message");
                    self.chunk(&format!(": a comment\r\nevent: {name}\r\ndata:{json}\r\n\r\n")).await?;
                    self.state.sent(self.ticket, 0, 1);
                }
                if !call.kind.done().is_empty() {
                    self.chunk("data:[DONE]\r\n\r\n").await?;
                }
                self.send("0\r\n\r\n").await?;
                Ok(Outcome::Keep)
            }
            _ => self.normal("").await,
        }
    }

    /// Answers that stop after a number of whole events, in one way or another.
    async fn cut_fault(&self, fault: &Fault) -> io::Result<Outcome> {
        let (Fault::EndEarly(count)
        | Fault::HangMidStream(count)
        | Fault::EngineDead { events: count, .. }
        | Fault::DieMidStream { events: count, .. }) = fault
        else {
            return self.normal("").await;
        };
        let Some(call) = &self.call else { return self.normal("").await };
        let pieces = answer::numbered(*count);
        if call.stream {
            self.send(EVENT_STREAM).await?;
            for event in call.events(&self.state.model, &pieces).iter().take(*count) {
                self.event(event).await?;
            }
        } else {
            let text = call.json(&self.state.model, &pieces);
            let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
            self.send(&format!("{head}: {}\r\n\r\n{}", text.len(), &text[..text.len() / 2])).await?;
        }
        match fault {
            Fault::HangMidStream(_) => std::future::pending().await,
            Fault::DieMidStream { reset: true, .. } => self.reset(),
            Fault::EndEarly(_) if call.stream => {
                self.send("0\r\n\r\n").await?;
                Ok(Outcome::Keep)
            }
            Fault::EngineDead { code, .. } if call.stream => {
                let text = match code {
                    400 => "The prompt is longer than the maximum context length of 1024 tokens.",
                    _ => "EngineCore encountered an issue. See stack trace (above) for the root cause.",
                };
                self.event(&dialect::failure(call.kind, text, *code)).await?;
                self.end_of_stream().await
            }
            _ => Ok(Outcome::Cut),
        }
    }

    async fn broken_event_fault(&self, fault: &Fault) -> io::Result<Outcome> {
        let Some(call) = self.call.as_ref().filter(|call| call.stream) else {
            return self.head_fault(&Fault::ShortBody).await;
        };
        let events = call.events(&self.state.model, &answer::numbered(3));
        self.send(EVENT_STREAM).await?;
        self.event(&events[0]).await?;
        self.event(&events[1]).await?;
        if *fault == Fault::BadChunk {
            self.send("zz\r\ndata: {}\n\n\r\n").await?;
        } else {
            let event = format!("{}\n\n", events[2]);
            self.chunk(&event[..event.len() / 2]).await?;
        }
        Ok(Outcome::Cut)
    }

    fn models(&self, model: &str) -> String {
        answer::models(model, if self.state.vllm.is_some() { "vllm" } else { "scripted" })
    }

    /// Faults of the status line, the headers, and the length of the body.
    async fn head_fault(&self, fault: &Fault) -> io::Result<Outcome> {
        let json = match &self.call {
            Some(call) => call.json(&self.state.model, &call.pieces()),
            None => self.models(&self.state.model),
        };
        let (length, ok) = (json.len(), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n");
        match fault {
            Fault::Garbage => {
                self.send("\u{1}\u{2}SSH-2.0-not-http\r\n\u{fffd}\u{fffd}\r\n\r\n").await?;
                Ok(Outcome::Cut)
            }
            Fault::Status(line) => {
                self.send(&format!("{line}\r\nContent-Length: 0\r\n\r\n")).await?;
                Ok(Outcome::Close)
            }
            Fault::TwoLengths => {
                let other = length + 10;
                self.send(&format!("{ok}Content-Length: {length}\r\nContent-Length: {other}\r\n\r\n{json}"))
                    .await?;
                Ok(Outcome::Cut)
            }
            Fault::TransferEncodingAndLength => {
                let both = format!("Content-Length: {length}\r\nTransfer-Encoding: chunked");
                self.send(&format!("{ok}{both}\r\n\r\n{length:x}\r\n{json}\r\n0\r\n\r\n")).await?;
                Ok(Outcome::Close)
            }
            Fault::HugeHeaders(bytes) => self.normal(&format!("X-Huge: {}\r\n", "h".repeat(*bytes))).await,
            Fault::ManyHeaders(count) => {
                let mut headers = String::new();
                for number in 0..*count {
                    // Writing to a string cannot fail.
                    let _ = write!(headers, "X-{number}: v\r\n");
                }
                self.normal(&headers).await
            }
            Fault::EarlyHints => {
                self.send("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n").await?;
                self.normal("").await
            }
            Fault::EndlessInformational => loop {
                self.send("HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n").await?;
                tokio::time::sleep(Duration::from_millis(1)).await;
            },
            Fault::Switch => {
                self.send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: odd\r\n\r\n")
                    .await?;
                std::future::pending().await
            }
            Fault::MoreBody(bytes) => {
                let more = "m".repeat(*bytes);
                self.send(&format!("{ok}Content-Length: {length}\r\n\r\n{json}{more}")).await?;
                Ok(Outcome::Keep)
            }
            Fault::ShortBody => {
                self.send(&format!("{ok}Content-Length: {}\r\n\r\n{json}", length + 100)).await?;
                Ok(Outcome::Cut)
            }
            Fault::ForeignHeaders => self.normal(FOREIGN_HEADERS).await,
            _ => self.normal("").await,
        }
    }

    fn reset(&self) -> io::Result<Outcome> {
        self.socket.reset_on_close();
        Ok(Outcome::Cut)
    }

    async fn whole_stream(&self, events: &[Event]) -> io::Result<Outcome> {
        for event in events {
            self.event(event).await?;
        }
        self.end_of_stream().await
    }

    async fn end_of_stream(&self) -> io::Result<Outcome> {
        let done = self.done();
        if !done.is_empty() {
            self.chunk(done).await?;
        }
        self.send("0\r\n\r\n").await?;
        Ok(Outcome::Keep)
    }

    fn done(&self) -> &'static str {
        self.call.as_ref().map_or("", |call| call.kind.done())
    }

    async fn event(&self, event: &Event) -> io::Result<()> {
        self.chunk(&format!("{event}\n\n")).await?;
        self.state.sent(self.ticket, 0, 1);
        Ok(())
    }

    /// One HTTP chunk, in one write.
    async fn chunk(&self, text: &str) -> io::Result<()> {
        self.send(&format!("{:x}\r\n{text}\r\n", text.len())).await
    }

    /// The whole stream as chunks of 1, 2, 3, … 13, 1, … bytes, each in three writes.
    async fn split(&self, events: &[Event]) -> io::Result<Outcome> {
        let mut text: String = events.iter().map(|event| format!("{event}\n\n")).collect();
        text.push_str(self.done());
        let mut rest = text.as_bytes();
        for size in (1..=13).cycle() {
            let (piece, more) = rest.split_at(size.min(rest.len()));
            if piece.is_empty() {
                break;
            }
            self.send(&format!("{:x}\r\n", piece.len())).await?;
            self.bytes(piece).await?;
            tokio::task::yield_now().await;
            self.send("\r\n").await?;
            rest = more;
        }
        self.state.sent(self.ticket, 0, events.len() as u64);
        self.send("0\r\n\r\n").await?;
        Ok(Outcome::Keep)
    }

    async fn send(&self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes()).await
    }

    async fn bytes(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let written = self.socket.write(bytes).await?;
            self.state.sent(self.ticket, written as u64, 0);
            bytes = &bytes[written..];
        }
        Ok(())
    }
}

/// `X-Nominated` is hop-by-hop too, since Connection names it.
const FOREIGN_HEADERS: &str = "Access-Control-Allow-Origin: *\r\nServer: scripted/1.0\r\nSet-Cookie: engine=1; Path=/\r\n\
    Connection: keep-alive, x-nominated\r\nX-Nominated: secret\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\n\
    Trailer: X-Later\r\nUpgrade: h2c\r\nX-Powered-By: scripted\r\nX-Request-Id: from-the-engine\r\nVia: 1.1 inner\r\n";

/// `headers` in front of the empty line that ends `head`.
fn with_headers(head: &str, headers: &str) -> String {
    format!("{}{headers}\r\n", head.strip_suffix("\r\n").unwrap_or(head))
}
