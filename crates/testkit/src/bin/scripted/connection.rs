//! One connection: read a request, choose what to do, do it while watching for the client's end, next.

use std::{io, time::Duration};

use memchr::memmem;
use serde_json::Value;

use crate::{
    answer::Call,
    control,
    fault::Fault,
    perform::{Outcome, Performance},
    record::{Ended, State, Ticket},
    socket::Socket,
    websocket::{self, Session},
};

const LARGEST_HEAD_BYTES: usize = 1 << 20;
/// What may pile up of later requests while one is being answered, before reading stops.
const LARGEST_AHEAD_BYTES: usize = 1 << 20;

/// Request line and headers.
pub(crate) struct Head {
    pub(crate) lines: Vec<String>,
    pub(crate) method: String,
    pub(crate) path: String,
}

impl Head {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let lines: Vec<String> = text.split("\r\n").map(str::to_owned).collect();
        let mut words = lines[0].split(' ');
        let method = words.next().unwrap_or_default().to_owned();
        let target = words.next().unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default().to_owned();
        Self { lines, method, path }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.lines.iter().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn has_token(&self, name: &str, token: &str) -> bool {
        self.header(name).is_some_and(|value| value.to_ascii_lowercase().contains(token))
    }

    fn has_body(&self) -> bool {
        self.has_token("transfer-encoding", "chunked")
            || self.header("content-length").is_some_and(|length| length != "0")
    }
}

/// Why reading stopped before its end.
enum Stop {
    /// The client closed or reset the connection.
    Peer,
    /// What came is no HTTP/1.1.
    Malformed(&'static str),
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Peer
    }
}

struct Connection<'a> {
    socket: &'a Socket,
    state: &'a State,
    number: usize,
    /// Received and not yet used.
    buffer: Vec<u8>,
}

/// Serves requests until either side closes.
pub(crate) async fn serve(socket: &Socket, state: &State, number: usize) {
    let mut connection = Connection { socket, state, number, buffer: Vec::new() };
    while connection.exchange().await {}
}

impl Connection<'_> {
    /// One request and its answer; whether the connection goes on.
    async fn exchange(&mut self) -> bool {
        let head = match self.head().await {
            Ok(head) => head,
            Err(Stop::Peer) => {
                self.state.peer_closed(self.number);
                return false;
            }
            Err(Stop::Malformed(_)) => return false,
        };
        if head.path.starts_with("/_scripted/") {
            return self.control(&head).await;
        }
        let ticket = self.state.received(self.number, head.lines.clone());
        let preset = self.state.preset(head.has_body());
        if websocket::is_handshake(&head) {
            return self.websocket(&head, ticket, preset).await;
        }
        if let Some(text) = &preset
            && let Ok(fault @ (Fault::Early(_) | Fault::Unread)) = Fault::parse(text)
        {
            self.state.chose(ticket, text);
            return self.without_body(&head, ticket, &fault).await;
        }
        let mut body = Vec::new();
        let read = self.body(&head, &mut body).await;
        self.state.body(ticket, &body, read.is_ok());
        match read {
            Ok(()) => self.perform(&head, &body, ticket, preset).await,
            Err(Stop::Peer) => {
                self.state.ended(ticket, Ended::ClientClosed);
                self.state.peer_closed(self.number);
                false
            }
            Err(Stop::Malformed(problem)) => {
                self.refuse(&head, ticket, problem).await;
                false
            }
        }
    }

    async fn perform(&mut self, head: &Head, body: &[u8], ticket: Ticket, preset: Option<String>) -> bool {
        let call = Call::read(&head.path, body);
        let chosen = call.as_ref().and_then(Call::fault).map(str::to_owned).or(preset).unwrap_or_default();
        self.state.chose(ticket, &chosen);
        let fault = match Fault::parse(&chosen) {
            Ok(fault) => fault,
            Err(problem) => {
                self.refuse(head, ticket, &problem).await;
                return false;
            }
        };
        let performance = Performance { socket: self.socket, state: self.state, ticket, head, call };
        let (socket, buffer) = (self.socket, &mut self.buffer);
        let outcome = tokio::select! {
            biased;
            outcome = performance.run(&fault) => outcome.unwrap_or(Outcome::PeerClosed),
            () = peer_closes(socket, buffer) => Outcome::PeerClosed,
        };
        let ended = match outcome {
            Outcome::Keep | Outcome::Close | Outcome::CloseLater(_) => Ended::Complete,
            Outcome::Cut => Ended::ServerClosed,
            Outcome::PeerClosed => Ended::ClientClosed,
        };
        self.state.ended(ticket, ended);
        match outcome {
            Outcome::Keep => !head.has_token("connection", "close"),
            Outcome::CloseLater(pause) => {
                self.idle(pause).await;
                false
            }
            Outcome::PeerClosed => {
                self.state.peer_closed(self.number);
                false
            }
            Outcome::Close | Outcome::Cut => false,
        }
    }

    /// A realtime session, with which the connection ends. A fault of HTTP is one of its handshake.
    async fn websocket(&mut self, head: &Head, ticket: Ticket, preset: Option<String>) -> bool {
        self.state.body(ticket, &[], true);
        let chosen = preset.unwrap_or_default();
        let fault = match Fault::parse(&chosen) {
            Ok(Fault::None) => None,
            Ok(Fault::WebSocket(fault)) => Some(fault),
            _ => return self.perform(head, &[], ticket, Some(chosen)).await,
        };
        self.state.chose(ticket, &chosen);
        let buffer = std::mem::take(&mut self.buffer);
        let ended = Session::new(self.socket, self.state, ticket, buffer).run(head, fault).await;
        self.state.ended(ticket, ended);
        if let Ended::ClientClosed = ended {
            self.state.peer_closed(self.number);
        }
        false
    }

    /// Lets the kept connection lie for a while.
    async fn idle(&mut self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = peer_closes(self.socket, &mut self.buffer) => self.state.peer_closed(self.number),
        }
    }

    /// The faults that leave the body on the wire.
    async fn without_body(&mut self, head: &Head, ticket: Ticket, fault: &Fault) -> bool {
        self.state.body(ticket, &[], false);
        if let Fault::Early(_) = fault {
            let performance =
                Performance { socket: self.socket, state: self.state, ticket, head, call: None };
            let ended =
                if performance.run(fault).await.is_ok() { Ended::ServerClosed } else { Ended::ClientClosed };
            self.state.ended(ticket, ended);
            // With bytes unread, a close is a reset that can overtake the answer: the write side goes first.
            self.socket.shutdown_write();
            let _ = tokio::time::timeout(Duration::from_secs(1), self.socket.read_side_closed()).await;
        } else {
            self.socket.read_side_closed().await;
            self.state.ended(ticket, Ended::ClientClosed);
            self.state.peer_closed(self.number);
        }
        false
    }

    async fn refuse(&self, head: &Head, ticket: Ticket, problem: &str) {
        let performance = Performance { socket: self.socket, state: self.state, ticket, head, call: None };
        // Failing to say it leaves nothing else to do: the connection ends either way.
        let _ = performance.error(400, problem).await;
        self.state.ended(ticket, Ended::ServerClosed);
    }

    async fn control(&mut self, head: &Head) -> bool {
        self.state.is_control(self.number);
        let mut body = Vec::new();
        if self.body(head, &mut body).await.is_err() {
            return false;
        }
        let (status, json): (u16, Value) = control::answer(self.state, head, &body);
        let text = json.to_string();
        let answer = format!(
            "HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        let mut rest = answer.as_bytes();
        while !rest.is_empty() {
            match self.socket.write(rest).await {
                Ok(written) => rest = &rest[written..],
                Err(_) => return false,
            }
        }
        !head.has_token("connection", "close")
    }

    async fn head(&mut self) -> Result<Head, Stop> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let head = Head::parse(&self.buffer[..end]);
                self.buffer.drain(..end + 4);
                return Ok(head);
            }
            if self.buffer.len() > LARGEST_HEAD_BYTES {
                return Err(Stop::Malformed("the head has no end"));
            }
            self.more().await?;
        }
    }

    async fn body(&mut self, head: &Head, body: &mut Vec<u8>) -> Result<(), Stop> {
        if head.has_body() && head.has_token("expect", "100-continue") {
            self.socket.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
        }
        if head.has_token("transfer-encoding", "chunked") {
            return self.chunks(body).await;
        }
        let length = head.header("content-length").unwrap_or("0");
        let length = length.parse().map_err(|_| Stop::Malformed("Content-Length is no number"))?;
        self.take(length, body).await
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Result<(), Stop> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size = usize::from_str_radix(size, 16).map_err(|_| Stop::Malformed("no chunk size"))?;
            if size == 0 {
                while !self.line().await?.is_empty() {}
                return Ok(());
            }
            self.take(size, body).await?;
            if !self.line().await?.is_empty() {
                return Err(Stop::Malformed("a chunk is longer than its size"));
            }
        }
    }

    async fn line(&mut self) -> Result<String, Stop> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            self.more().await?;
        }
    }

    async fn take(&mut self, mut length: usize, body: &mut Vec<u8>) -> Result<(), Stop> {
        loop {
            let here = length.min(self.buffer.len());
            body.extend(self.buffer.drain(..here));
            length -= here;
            if length == 0 {
                return Ok(());
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Stop> {
        self.buffer.reserve(64 * 1024);
        if self.socket.read(&mut self.buffer).await? == 0 { Err(Stop::Peer) } else { Ok(()) }
    }
}

/// Ends when the client has closed its side. What it sends ahead is kept.
async fn peer_closes(socket: &Socket, buffer: &mut Vec<u8>) {
    while buffer.len() < LARGEST_AHEAD_BYTES {
        buffer.reserve(4096);
        if !matches!(socket.read(buffer).await, Ok(length) if length > 0) {
            return;
        }
    }
    socket.read_side_closed().await;
}
