//! As much HTTP/1.1 as the two ends need, read strictly: what a proxy garbles must show up as an error here and
//! not be papered over.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::TcpStream;

const HEAD_LIMIT_BYTES: usize = 64 * 1024;
const BODY_LIMIT_BYTES: usize = 128 * 1024 * 1024;
const READ_BYTES: usize = 16 * 1024;
const LARGE_READ_BYTES: usize = 256 * 1024;

#[derive(Debug)]
pub enum WireError {
    Io(io::Error),
    /// The peer closed in the middle of a message.
    Cut,
    Malformed(String),
}

impl From<io::Error> for WireError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl std::fmt::Display for WireError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(error) => write!(formatter, "{error}"),
            Self::Cut => formatter.write_str("the connection was closed in the middle of a message"),
            Self::Malformed(what) => formatter.write_str(what),
        }
    }
}

fn malformed(what: impl Into<String>) -> WireError {
    WireError::Malformed(what.into())
}

#[derive(Debug)]
pub struct RequestHead {
    pub method: String,
    pub path: String,
    pub close: bool,
    body: Body,
}

#[derive(Debug)]
pub struct ResponseHead {
    pub status: u16,
    pub close: bool,
    pub event_stream: bool,
    pub body: Body,
}

/// One end of a connection with what was read but not yet used.
#[derive(Debug)]
pub struct Connection<S = TcpStream> {
    pub stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + Unpin> Connection<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::with_capacity(READ_BYTES) }
    }

    async fn fill(&mut self, at_most: usize) -> io::Result<usize> {
        self.buffer.reserve(at_most);
        self.stream.read_buf(&mut self.buffer).await
    }

    /// `None` when the peer closed between two requests. The whole body is in `body` afterwards.
    pub async fn read_request(&mut self, body: &mut Vec<u8>) -> Result<Option<RequestHead>, WireError> {
        body.clear();
        let mut head = loop {
            if let Some((head, used)) = parse_request(&self.buffer)? {
                self.buffer.drain(..used);
                break head;
            }
            if self.fill(READ_BYTES).await? == 0 {
                return if self.buffer.is_empty() { Ok(None) } else { Err(WireError::Cut) };
            }
        };
        while self.read_body(&mut head.body, body).await? {}
        Ok(Some(head))
    }

    pub async fn read_response_head(&mut self) -> Result<ResponseHead, WireError> {
        loop {
            if let Some((head, used)) = parse_response(&self.buffer)? {
                self.buffer.drain(..used);
                if head.status != 100 {
                    return Ok(head);
                }
                continue;
            }
            if self.fill(READ_BYTES).await? == 0 {
                return Err(WireError::Cut);
            }
        }
    }

    /// Appends what there is of the body to `out`, waiting for more where nothing is there; `false` when it is complete.
    pub async fn read_body(&mut self, body: &mut Body, out: &mut Vec<u8>) -> Result<bool, WireError> {
        if body.complete() {
            return Ok(false);
        }
        if self.buffer.is_empty() {
            let at_most = if body.is_large() { LARGE_READ_BYTES } else { READ_BYTES };
            if self.fill(at_most).await? == 0 {
                return body.end_of_stream().map(|()| false);
            }
        }
        let used = body.feed(&self.buffer, out)?;
        self.buffer.drain(..used);
        if out.len() > BODY_LIMIT_BYTES {
            return Err(malformed("body over the limit of this tool"));
        }
        Ok(!body.complete())
    }

    /// True when nothing that belongs to no message was received.
    pub fn is_clean(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Waits for the peer's close, which must be the next thing it does.
    pub async fn expect_close(&mut self) -> Result<(), WireError> {
        match self.fill(READ_BYTES).await? {
            0 => Ok(()),
            _ => Err(malformed("bytes after the last answer of a connection")),
        }
    }
}

struct Traits {
    length: Option<u64>,
    chunked: bool,
    close: bool,
    event_stream: bool,
}

fn traits(headers: &[httparse::Header<'_>]) -> Result<Traits, WireError> {
    let mut found = Traits { length: None, chunked: false, close: false, event_stream: false };
    for header in headers {
        let value = header.value.trim_ascii();
        if header.name.eq_ignore_ascii_case("content-length") {
            let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            let number = number.ok_or_else(|| malformed("content-length is no number"))?;
            if found.length.replace(number).is_some() {
                return Err(malformed("two content-length headers"));
            }
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if !value.eq_ignore_ascii_case(b"chunked") || found.chunked {
                return Err(malformed("transfer-encoding is not one chunked"));
            }
            found.chunked = true;
        } else if header.name.eq_ignore_ascii_case("connection") {
            found.close |=
                value.split(|byte| *byte == b',').any(|t| t.trim_ascii().eq_ignore_ascii_case(b"close"));
        } else if header.name.eq_ignore_ascii_case("content-type") {
            found.event_stream = value.starts_with(b"text/event-stream");
        }
    }
    if found.chunked && found.length.is_some() {
        return Err(malformed("content-length and chunked in one message"));
    }
    Ok(found)
}

fn too_long(bytes: &[u8]) -> Result<(), WireError> {
    if bytes.len() > HEAD_LIMIT_BYTES { Err(malformed("head over 64 KiB")) } else { Ok(()) }
}

fn parse_request(bytes: &[u8]) -> Result<Option<(RequestHead, usize)>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let used = match request.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return too_long(bytes).map(|()| None),
        Err(error) => return Err(malformed(format!("request head: {error}"))),
    };
    let found = traits(request.headers)?;
    let body = if found.chunked { Body::chunked() } else { Body::Length(found.length.unwrap_or(0)) };
    let head = RequestHead {
        method: request.method.unwrap_or_default().to_owned(),
        path: request.path.unwrap_or_default().to_owned(),
        close: found.close || request.version == Some(0),
        body,
    };
    Ok(Some((head, used)))
}

fn parse_response(bytes: &[u8]) -> Result<Option<(ResponseHead, usize)>, WireError> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let used = match response.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return too_long(bytes).map(|()| None),
        Err(error) => return Err(malformed(format!("response head: {error}"))),
    };
    let found = traits(response.headers)?;
    let status = response.code.unwrap_or_default();
    let body = match found.length {
        _ if matches!(status, 100..200 | 204 | 304) => Body::Length(0),
        _ if found.chunked => Body::chunked(),
        Some(length) => Body::Length(length),
        None => Body::UntilClose(false),
    };
    let close = found.close || response.version == Some(0) || matches!(body, Body::UntilClose(_));
    Ok(Some((ResponseHead { status, close, event_stream: found.event_stream, body }, used)))
}

/// How much of a message is still to come.
#[derive(Debug)]
pub enum Body {
    Length(u64),
    Chunked(Chunk),
    /// The flag: the close was seen.
    UntilClose(bool),
}

/// Where in the chunked coding the next byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunk {
    Size { value: u64, digits: u8 },
    SizeEnd(u64),
    Data(u64),
    DataEnd,
    DataEndFeed,
    Trailer { line: usize },
    TrailerFeed { line: usize },
    Complete,
}

impl Body {
    fn chunked() -> Self {
        Self::Chunked(Chunk::Size { value: 0, digits: 0 })
    }

    pub fn complete(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked(Chunk::Complete) | Self::UntilClose(true))
    }

    fn is_large(&self) -> bool {
        match self {
            Self::Length(left) | Self::Chunked(Chunk::Data(left)) => *left > LARGE_READ_BYTES as u64,
            Self::Chunked(_) | Self::UntilClose(_) => false,
        }
    }

    fn end_of_stream(&mut self) -> Result<(), WireError> {
        match self {
            Self::UntilClose(seen) => {
                *seen = true;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(WireError::Cut),
        }
    }

    /// Appends the content in `input` to `out` and says how many bytes of `input` belong to this body.
    pub fn feed(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, WireError> {
        match self {
            Self::UntilClose(_) => {
                out.extend_from_slice(input);
                Ok(input.len())
            }
            Self::Length(left) => Ok(take(left, input, out)),
            Self::Chunked(chunk) => {
                let mut used = 0;
                while used < input.len() && *chunk != Chunk::Complete {
                    used += chunk.step(&input[used..], out)?;
                }
                Ok(used)
            }
        }
    }
}

fn take(left: &mut u64, input: &[u8], out: &mut Vec<u8>) -> usize {
    let count = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
    out.extend_from_slice(&input[..count]);
    *left -= count as u64;
    count
}

impl Chunk {
    /// One byte, or one run of data. `input` is never empty.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, WireError> {
        let byte = input[0];
        *self = match (*self, byte) {
            (Self::Data(mut left), _) => {
                let used = take(&mut left, input, out);
                *self = if left == 0 { Self::DataEnd } else { Self::Data(left) };
                return Ok(used);
            }
            (Self::Size { value, digits: 1.. }, b'\r') => Self::SizeEnd(value),
            (Self::Size { value, digits }, _) => match (byte as char).to_digit(16) {
                Some(digit) if digits < 15 => {
                    Self::Size { value: value * 16 + u64::from(digit), digits: digits + 1 }
                }
                _ => return Err(malformed("chunk size")),
            },
            (Self::SizeEnd(0), b'\n') => Self::Trailer { line: 0 },
            (Self::SizeEnd(size), b'\n') => Self::Data(size),
            (Self::DataEnd, b'\r') => Self::DataEndFeed,
            (Self::DataEndFeed, b'\n') => Self::Size { value: 0, digits: 0 },
            (Self::Trailer { line }, b'\r') => Self::TrailerFeed { line },
            (Self::Trailer { line }, _) if line < HEAD_LIMIT_BYTES => Self::Trailer { line: line + 1 },
            (Self::TrailerFeed { line: 0 }, b'\n') => Self::Complete,
            (Self::TrailerFeed { .. }, b'\n') => Self::Trailer { line: 0 },
            _ => return Err(malformed("chunked coding")),
        };
        Ok(1)
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, parse_request, parse_response};

    const CODED: &[u8] = b"5\r\nhello\r\nB\r\n, big world\r\n0\r\nX-Trailer: 1\r\n\r\n";

    #[test]
    fn decodes_chunks_cut_anywhere() {
        for size in 1..CODED.len() {
            let mut body = Body::chunked();
            let mut out = Vec::new();
            for piece in CODED.chunks(size) {
                assert!(!body.complete());
                assert_eq!(body.feed(piece, &mut out).expect("good coding"), piece.len());
            }
            assert!(body.complete(), "pieces of {size}");
            assert_eq!(out, b"hello, big world");
        }
    }

    #[test]
    fn leaves_what_belongs_to_the_next_message() {
        let mut body = Body::chunked();
        let mut out = Vec::new();
        assert_eq!(body.feed(b"1\r\na\r\n0\r\n\r\nHTTP/1.1", &mut out).expect("good coding"), 11);
        let mut body = Body::Length(3);
        assert_eq!(body.feed(b"abcHTTP", &mut out).expect("good length"), 3);
        assert_eq!(out, b"aabc");
    }

    #[test]
    fn refuses_broken_coding() {
        for broken in [&b"\r\n"[..], b"5\nhello", b"5\r\nhelloX", b"g\r\n", b"-1\r\n", b"1\r\na\n"] {
            assert!(Body::chunked().feed(broken, &mut Vec::new()).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn an_early_end_is_an_error_unless_the_close_ends_the_body() {
        assert!(Body::Length(1).end_of_stream().is_err());
        assert!(Body::chunked().end_of_stream().is_err());
        assert!(Body::UntilClose(false).end_of_stream().is_ok());
    }

    #[test]
    fn refuses_ambiguous_heads() {
        let both = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert!(parse_response(both).is_err());
        let two = b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n";
        assert!(parse_request(two).is_err());
    }

    #[test]
    fn upgrade_alone_does_not_close() {
        let (head, _) =
            parse_request(b"GET / HTTP/1.1\r\nConnection: upgrade\r\n\r\n").expect("good").expect("whole");
        assert!(!head.close);
        let (head, _) =
            parse_request(b"GET / HTTP/1.1\r\nConnection: a, Close\r\n\r\n").expect("good").expect("whole");
        assert!(head.close);
    }
}
