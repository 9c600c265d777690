//! One request and its answer, checked to the byte.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use memchr::memmem;
use portico_bench::shape::{FIRST_SEED, Picture, StreamCheck, proof};
use portico_bench::wire::{self, WireError};
use tokio::io::AsyncWriteExt;

use crate::stream::Stream;
use crate::tally::Shared;

pub type Connection = wire::Connection<Stream>;

#[derive(Debug)]
pub struct Failure {
    pub kind: &'static str,
    detail: String,
}

impl Failure {
    pub fn new(kind: &'static str, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into() }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.kind, self.detail)
    }
}

impl From<WireError> for Failure {
    fn from(error: WireError) -> Self {
        let kind = match &error {
            WireError::Io(_) => "io",
            WireError::Cut => "cut",
            WireError::Malformed(_) => "malformed",
        };
        Self::new(kind, error.to_string())
    }
}

/// A request as it goes on the wire; only its number changes from one to the next.
#[derive(Debug, Clone)]
pub struct Request {
    bytes: Vec<u8>,
    seed_at: usize,
    picture: Picture,
}

impl Request {
    /// With this `Authorization`, if there is one.
    pub fn plain(target: SocketAddr, model: &str, close: bool, authorization: Option<&str>) -> Self {
        let body = format!(
            "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"What does the picture show? \
             One sentence.\"}}],\"max_tokens\":16,\"seed\":{FIRST_SEED}}}"
        );
        let authorization = authorization.map(|value| format!("Authorization: {value}\r\n"));
        let connection = if close { "Connection: close\r\n" } else { "" };
        Self::new(target, &body, &[connection, authorization.as_deref().unwrap_or_default()].concat())
    }

    /// The body is `body_bytes` long; the picture takes three quarters of it, as base64 does.
    pub fn upload(target: SocketAddr, model: &str, body_bytes: usize) -> Self {
        let head = format!(
            "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"image_url\",\
             \"image_url\":{{\"url\":\"data:image/png;base64,"
        );
        let tail = |padding: usize| {
            let text = "What does the picture show?";
            format!(
                "\"}}}},{{\"type\":\"text\",\"text\":\"{text}{:padding$}\"}}]}}],\"max_tokens\":16,\
                 \"seed\":{FIRST_SEED}}}",
                ""
            )
        };
        let encoded = crate::picture::png_base64(body_bytes - head.len() - tail(0).len());
        let padding = body_bytes - head.len() - encoded.len() - tail(0).len();
        Self::new(target, &format!("{head}{encoded}{}", tail(padding)), "")
    }

    pub fn stream(target: SocketAddr, model: &str, events: u64, rate: u64) -> Self {
        let body = format!(
            "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"What does the picture show? \
             At length.\"}}],\"stream\":true,\"max_tokens\":{events},\"seed\":{rate}}}"
        );
        Self::new(target, &body, "")
    }

    fn new(target: SocketAddr, body: &str, more: &str) -> Self {
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: {target}\r\nUser-Agent: portico-bench\r\nAccept: */*\r\n\
             {more}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let key = b"\"seed\":";
        let seed_at = memmem::rfind(body.as_bytes(), key).map_or(0, |at| head.len() + at + key.len());
        let picture = Picture::in_body(body.as_bytes());
        Self { bytes: [head.as_bytes(), body.as_bytes()].concat(), seed_at, picture }
    }

    fn number(&mut self, seed: u64) {
        let text = seed.to_string();
        self.bytes[self.seed_at..self.seed_at + text.len()].copy_from_slice(text.as_bytes());
    }
}

/// A plain call. True when the connection may be used again.
pub async fn call(
    connection: &mut Connection,
    request: &mut Request,
    number: u64,
    body: &mut Vec<u8>,
) -> Result<bool, Failure> {
    // Nine digits always; over nine hundred million requests the numbers begin again.
    let seed = FIRST_SEED + number % (9 * FIRST_SEED);
    request.number(seed);
    let written = write(connection, &request.bytes).await;
    // An early refusal explains a failed write better than the write's own error does.
    let mut head = match (connection.read_response_head().await, written) {
        (Ok(head), _) => head,
        (Err(_), Err(error)) | (Err(WireError::Io(error)), _) => return Err(WireError::Io(error).into()),
        (Err(error), Ok(())) => return Err(error.into()),
    };
    body.clear();
    while connection.read_body(&mut head.body, body).await? {}
    if head.status != 200 {
        let start = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        return Err(Failure::new("status", format!("{}: {start}", head.status)));
    }
    if memmem::find(body, proof(seed, request.picture).as_bytes()).is_none() || body.last() != Some(&b'}') {
        let start = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        return Err(Failure::new("content", format!("not the answer to number {seed}: {start}")));
    }
    if !connection.is_clean() {
        return Err(Failure::new("malformed", "bytes after the answer"));
    }
    Ok(!head.close)
}

/// One stream from request to `[DONE]`.
pub async fn stream(
    connection: &mut Connection,
    request: &Request,
    events: u64,
    shared: &Shared,
) -> Result<bool, Failure> {
    let begin = Instant::now();
    write(connection, &request.bytes).await.map_err(WireError::Io)?;
    let mut head = connection.read_response_head().await?;
    let mut data = Vec::with_capacity(16 * 1024);
    let mut transits = Vec::with_capacity(64);
    let mut check = StreamCheck::default();
    let mut more = true;
    let mut first: Option<Duration> = None;
    while more {
        data.clear();
        more = connection.read_body(&mut head.body, &mut data).await?;
        if head.status != 200 || !head.event_stream {
            let start = String::from_utf8_lossy(&data[..data.len().min(200)]).into_owned();
            return Err(Failure::new("status", format!("{}, no event stream: {start}", head.status)));
        }
        transits.clear();
        check.read(&data, |micros| transits.push(micros)).map_err(|what| Failure::new("content", what))?;
        if first.is_none() && check.events() > 0 {
            shared.first_event(*first.insert(begin.elapsed()));
        }
        shared.events(&transits);
    }
    check.finish(events).map_err(|what| Failure::new("content", what))?;
    Ok(!head.close)
}

/// The smallest call there is, over a connection that the server closes behind its answer.
pub async fn health(connection: &mut Connection, target: SocketAddr) -> Result<(), Failure> {
    let request = format!(
        "GET /health HTTP/1.1\r\nHost: {target}\r\nUser-Agent: portico-bench\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    write(connection, request.as_bytes()).await.map_err(WireError::Io)?;
    let mut head = connection.read_response_head().await?;
    let mut body = Vec::new();
    while connection.read_body(&mut head.body, &mut body).await? {}
    if (head.status, body.as_slice()) != (200, b"OK") {
        let start = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
        return Err(Failure::new("status", format!("/health: {}: {start}", head.status)));
    }
    // Over TLS a close that was not announced is an error here: a cut answer would look the same.
    Ok(connection.expect_close().await?)
}

/// TLS keeps what it encrypted until it is flushed.
async fn write(connection: &mut Connection, bytes: &[u8]) -> std::io::Result<()> {
    connection.stream.write_all(bytes).await?;
    connection.stream.flush().await
}
