//! An HTTP/1.1 client that sends exactly what it is given and shows exactly what comes back.
//!
//! It follows no rule that a test might want to break: bytes go out as they are, heads are kept as received, chunks
//! are given one by one. Reads have a deadline ([`Connection::set_deadline`], 10 s); past it the error is `TimedOut`.
//! A connection closed in the middle of something is `UnexpectedEof`.

use std::{
    io::{self, ErrorKind},
    net::IpAddr,
    os::fd::AsFd as _,
    time::Duration,
};

use memchr::memmem;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{net::Address, wait::SOON};

/// Status line and headers, as received.
#[derive(Clone, Debug)]
pub struct Head {
    pub status: u16,
    pub lines: Vec<String>,
}

impl Head {
    /// The first value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).into_iter().next()
    }

    /// Every value of a header, in order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.lines.iter().skip(1).filter_map(|line| line.split_once(':'));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }
}

/// A whole answer; `body` is without the chunks' framing.
#[derive(Clone, Debug)]
pub struct Answer {
    pub head: Head,
    pub body: Vec<u8>,
}

impl Answer {
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON. Panics, with the body, when it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        match serde_json::from_slice(&self.body) {
            Ok(json) => json,
            Err(error) => panic!("not JSON ({error}): {}", self.text()),
        }
    }
}

/// What is left of the body of the answer being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Body {
    Done,
    Length(u64),
    Chunked,
    UntilClose,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// The close that follows is a reset.
    fn reset_on_close(&self) -> io::Result<()>;
    fn shrink_receive_buffer(&self, bytes: usize) -> io::Result<()>;
}

impl Stream for TcpStream {
    fn reset_on_close(&self) -> io::Result<()> {
        self.set_zero_linger()
    }

    fn shrink_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_recv_buffer_size(self.as_fd(), bytes)?)
    }
}

impl Stream for TlsStream<TcpStream> {
    fn reset_on_close(&self) -> io::Result<()> {
        self.get_ref().0.reset_on_close()
    }

    fn shrink_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.get_ref().0.shrink_receive_buffer(bytes)
    }
}

impl Stream for UnixStream {
    fn reset_on_close(&self) -> io::Result<()> {
        Ok(())
    }

    fn shrink_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        Ok(rustix::net::sockopt::set_socket_recv_buffer_size(self.as_fd(), bytes)?)
    }
}

/// One connection, kept until it is dropped.
pub struct Connection {
    stream: Box<dyn Stream>,
    /// Received and not yet read.
    buffer: Vec<u8>,
    /// Body text that is not yet a whole event.
    event_text: Vec<u8>,
    body: Body,
    without_body: bool,
    deadline: Duration,
}

impl Connection {
    /// Panics when nobody listens.
    pub async fn open(address: &Address) -> Self {
        match Self::try_open(address).await {
            Ok(connection) => connection,
            Err(error) => panic!("cannot connect to {address}: {error}"),
        }
    }

    /// From this address of the machine: loopback has a whole network of them. Panics when nobody listens.
    pub async fn open_from(source: IpAddr, address: &Address) -> Self {
        let Address::Tcp(target) = address else { panic!("{address} has no sources to come from") };
        let opened = async {
            let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
            socket.bind((source, 0).into())?;
            let stream = socket.connect(*target).await?;
            stream.set_nodelay(true)?;
            io::Result::Ok(stream)
        };
        match opened.await {
            Ok(stream) => Self::on(Box::new(stream)),
            Err(error) => panic!("cannot connect from {source} to {address}: {error}"),
        }
    }

    pub async fn try_open(address: &Address) -> io::Result<Self> {
        let stream: Box<dyn Stream> = match address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        };
        Ok(Self::on(stream))
    }

    /// Behind a TLS handshake that has been made; see [`crate::tls::connect`].
    #[must_use]
    pub fn over_tls(stream: TlsStream<TcpStream>) -> Self {
        Self::on(Box::new(stream))
    }

    fn on(stream: Box<dyn Stream>) -> Self {
        let (buffer, event_text) = (Vec::new(), Vec::new());
        Self { stream, buffer, event_text, body: Body::Done, without_body: false, deadline: SOON }
    }

    /// For each read that follows.
    pub fn set_deadline(&mut self, deadline: Duration) {
        self.deadline = deadline;
    }

    /// A small receive buffer in the kernel, for tests of slow readers.
    pub fn shrink_receive_buffer(&self, bytes: usize) -> io::Result<()> {
        self.stream.shrink_receive_buffer(bytes)
    }

    /// Bytes as they are. Give up the write, as a deadline would, by dropping the future.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// A well-formed request. `Host` and, with a body or where the method wants one, `Content-Length` are added
    /// unless `headers` holds them.
    pub async fn request(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> io::Result<()> {
        let given = |name: &str| headers.iter().any(|(key, _)| key.eq_ignore_ascii_case(name));
        let mut text = format!("{method} {target} HTTP/1.1\r\n");
        if !given("host") {
            text.push_str("Host: localhost\r\n");
        }
        let wants_length = !body.is_empty() || matches!(method, "POST" | "PUT" | "PATCH");
        if wants_length && !given("content-length") && !given("transfer-encoding") {
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        for (key, value) in headers {
            text.push_str(&format!("{key}: {value}\r\n"));
        }
        text.push_str("\r\n");
        self.without_body = method == "HEAD";
        let mut bytes = text.into_bytes();
        bytes.extend(body);
        self.send(bytes).await
    }

    /// `POST` with a JSON body.
    pub async fn post_json(&mut self, target: &str, json: &Value) -> io::Result<()> {
        let body = json.to_string();
        self.request("POST", target, &[("Content-Type", "application/json")], body.as_bytes()).await
    }

    /// The next head, also one with a 1xx status.
    pub async fn head(&mut self) -> io::Result<Head> {
        let text = loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n\r\n") {
                let text = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 4);
                break text;
            }
            if !self.more().await? {
                return Err(eof("the end of the head", &self.buffer));
            }
        };
        let lines: Vec<_> = text.split("\r\n").map(str::to_owned).collect();
        let rest = lines[0].strip_prefix("HTTP/1.1 ").or_else(|| lines[0].strip_prefix("HTTP/1.0 "));
        let status = rest.and_then(|rest| rest.get(..3)?.parse().ok());
        let status =
            status.ok_or_else(|| io::Error::new(ErrorKind::InvalidData, format!("no HTTP: {text:?}")))?;
        let head = Head { status, lines };
        self.event_text.clear();
        self.body = if self.without_body || matches!(status, 100..200 | 204 | 304) {
            Body::Done
        } else if head.header("transfer-encoding").is_some() {
            Body::Chunked
        } else if let Some(length) = head.header("content-length") {
            Body::Length(length.parse().map_err(|_| io::Error::new(ErrorKind::InvalidData, text.clone()))?)
        } else {
            Body::UntilClose
        };
        Ok(head)
    }

    /// The next piece of the body: one chunk as it was framed, or what one read brought. `None`: it is complete.
    pub async fn piece(&mut self) -> io::Result<Option<Vec<u8>>> {
        match self.body {
            Body::Done => Ok(None),
            Body::Chunked => self.chunk().await,
            Body::Length(0) => {
                self.body = Body::Done;
                Ok(None)
            }
            Body::Length(left) => {
                if self.buffer.is_empty() && !self.more().await? {
                    return Err(eof(&format!("{left} more bytes of the body"), &[]));
                }
                let here = usize::try_from(left).unwrap_or(usize::MAX).min(self.buffer.len());
                self.body = Body::Length(left - here as u64);
                Ok(Some(self.buffer.drain(..here).collect()))
            }
            Body::UntilClose => {
                if self.buffer.is_empty() && !self.more().await? {
                    self.body = Body::Done;
                    return Ok(None);
                }
                Ok(Some(std::mem::take(&mut self.buffer)))
            }
        }
    }

    async fn chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let line = self.line().await?;
        let size = line.split(';').next().unwrap_or_default().trim();
        let size = usize::from_str_radix(size, 16)
            .map_err(|_| io::Error::new(ErrorKind::InvalidData, format!("no chunk size: {line:?}")))?;
        if size == 0 {
            while !self.line().await?.is_empty() {}
            self.body = Body::Done;
            return Ok(None);
        }
        while self.buffer.len() < size + 2 {
            if !self.more().await? {
                return Err(eof(&format!("a chunk of {size} bytes"), &self.buffer));
            }
        }
        let chunk = self.buffer.drain(..size).collect();
        if !self.line().await?.is_empty() {
            return Err(io::Error::new(ErrorKind::InvalidData, "a chunk is longer than its size"));
        }
        Ok(Some(chunk))
    }

    /// The rest of the body.
    pub async fn body(&mut self) -> io::Result<Vec<u8>> {
        let mut body = std::mem::take(&mut self.event_text);
        while let Some(piece) = self.piece().await? {
            body.extend(piece);
        }
        Ok(body)
    }

    /// The next event of an SSE body, as received, with the empty line that ends it. `None`: the body is complete.
    /// A body that is complete in the middle of an event is an error.
    pub async fn event(&mut self) -> io::Result<Option<String>> {
        loop {
            let ends = [
                memmem::find(&self.event_text, b"\n\n").map(|at| at + 2),
                memmem::find(&self.event_text, b"\n\r\n").map(|at| at + 3),
            ];
            if let Some(end) = ends.into_iter().flatten().min() {
                let event: Vec<u8> = self.event_text.drain(..end).collect();
                return String::from_utf8(event)
                    .map(Some)
                    .map_err(|error| io::Error::new(ErrorKind::InvalidData, error));
            }
            match self.piece().await? {
                Some(piece) => self.event_text.extend(piece),
                None if self.event_text.is_empty() => return Ok(None),
                None => return Err(eof("the end of an event", &self.event_text)),
            }
        }
    }

    /// The next final answer; 1xx heads are passed over.
    pub async fn answer(&mut self) -> io::Result<Answer> {
        let mut head = self.head().await?;
        while head.status < 200 {
            head = self.head().await?;
        }
        let body = self.body().await?;
        Ok(Answer { head, body })
    }

    /// Everything up to the close. A reset counts as one.
    pub async fn rest(&mut self) -> io::Result<Vec<u8>> {
        loop {
            match self.more().await {
                Ok(true) => {}
                Ok(false) => return Ok(std::mem::take(&mut self.buffer)),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(std::mem::take(&mut self.buffer));
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// What one read brings; an empty answer is the close.
    pub async fn read(&mut self) -> io::Result<Vec<u8>> {
        if self.buffer.is_empty() {
            self.more().await?;
        }
        Ok(std::mem::take(&mut self.buffer))
    }

    /// Whether the server closes the connection, without sending more, before the deadline.
    pub async fn is_closed_within(&mut self, deadline: Duration) -> bool {
        let usual = std::mem::replace(&mut self.deadline, deadline);
        let more = self.more().await;
        self.deadline = usual;
        match more {
            Ok(more) => !more && self.buffer.is_empty(),
            Err(error) => error.kind() != ErrorKind::TimedOut,
        }
    }

    /// Ends the write side; the answer can still be read.
    pub async fn shutdown_write(&mut self) -> io::Result<()> {
        self.stream.shutdown().await
    }

    /// Closes with a TCP reset.
    pub fn reset(self) -> io::Result<()> {
        self.stream.reset_on_close()
    }

    async fn line(&mut self) -> io::Result<String> {
        loop {
            if let Some(end) = memmem::find(&self.buffer, b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if !self.more().await? {
                return Err(eof("the end of a line", &self.buffer));
            }
        }
    }

    /// Reads once; whether anything came.
    async fn more(&mut self) -> io::Result<bool> {
        // Without a place of its own a read brings 64 bytes.
        self.buffer.reserve(16 * 1024);
        match timeout(self.deadline, self.stream.read_buf(&mut self.buffer)).await {
            Ok(read) => Ok(read? > 0),
            Err(_) => {
                let got = String::from_utf8_lossy(&self.buffer).into_owned();
                Err(io::Error::new(
                    ErrorKind::TimedOut,
                    format!("nothing for {:?} after {got:?}", self.deadline),
                ))
            }
        }
    }
}

/// One request on a connection of its own, and its answer.
pub async fn once(
    address: &Address,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> io::Result<Answer> {
    let mut connection = Connection::try_open(address).await?;
    connection.request(method, target, headers, body).await?;
    connection.answer().await
}

/// `GET` on a connection of its own.
pub async fn get(address: &Address, target: &str) -> io::Result<Answer> {
    once(address, "GET", target, &[], &[]).await
}

/// `POST` of JSON on a connection of its own.
pub async fn post_json(address: &Address, target: &str, json: &Value) -> io::Result<Answer> {
    let body = json.to_string();
    once(address, "POST", target, &[("Content-Type", "application/json")], body.as_bytes()).await
}

fn eof(missing: &str, got: &[u8]) -> io::Error {
    let got = String::from_utf8_lossy(&got[..got.len().min(500)]);
    io::Error::new(ErrorKind::UnexpectedEof, format!("closed before {missing}; there was {got:?}"))
}
