//! HTTP/1.1 over TLS towards clients, as little of it as ACME needs: bodies with a length, answers one by one.

use std::{io, net, sync::Arc};

use memchr::memmem;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::oneshot,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Shared,
    exchange::{self, Outcome},
};

/// More than any request of ACME; what is larger ends the connection.
const MOST_BYTES: usize = 1 << 20;

/// A request.
pub(super) struct Incoming {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// An answer, without the headers that say how long it is.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Incoming {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(key, _)| key.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value.as_str())
    }
}

/// Until `stopped`; what is under way then ends with the runtime.
pub(super) fn serve(
    listener: net::TcpListener,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.unwrap_or_else(|error| panic!("no runtime for the shim: {error}"));
    runtime.block_on(async {
        let listener = listener.set_nonblocking(true).and_then(|()| TcpListener::from_std(listener));
        let listener = listener.unwrap_or_else(|error| panic!("the shim cannot listen: {error}"));
        let accept = async {
            // It fails for want of descriptors, which is a failure of the test anyway.
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    // A client that leaves, or that does not trust the certificate, is not the shim's business.
                    let _ = connection(stream, acceptor, shared).await;
                });
            }
        };
        tokio::select! {
            () = accept => {}
            _ = stopped => {}
        }
    });
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = acceptor.accept(stream).await?;
    let mut buffer = Vec::new();
    while let Some(incoming) = read(&mut stream, &mut buffer).await? {
        let without_body = incoming.method == "HEAD";
        match exchange::handle(&shared, incoming).await {
            Outcome::Answer { answer, padding_bytes: None } => {
                write(&mut stream, &answer, without_body).await?
            }
            Outcome::Answer { answer, padding_bytes: Some(bytes) } => {
                return write_padded(&mut stream, &answer, bytes).await;
            }
            Outcome::Half(answer) => {
                let mut bytes = head(&answer, Some(answer.body.len()));
                bytes.extend(&answer.body[..answer.body.len() / 2]);
                stream.write_all(&bytes).await?;
                return stream.shutdown().await;
            }
            // Without the alert that would be a tidy end.
            Outcome::Close => return stream.get_ref().0.set_zero_linger(),
            Outcome::Hang => std::future::pending().await,
        }
    }
    stream.shutdown().await
}

/// The next request; `None`: the client has left.
async fn read(stream: &mut TlsStream<TcpStream>, buffer: &mut Vec<u8>) -> io::Result<Option<Incoming>> {
    let end = loop {
        if let Some(end) = memmem::find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if buffer.len() > MOST_BYTES || stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    };
    let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
    let mut lines = text.trim_end().split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let pairs = lines.filter_map(|line| line.split_once(':'));
    let headers = pairs.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect();
    let mut incoming = Incoming { method, target, headers, body: Vec::new() };
    let length: usize =
        incoming.header("content-length").and_then(|length| length.parse().ok()).unwrap_or_default();
    if length > MOST_BYTES || incoming.header("transfer-encoding").is_some() {
        return Ok(None);
    }
    while buffer.len() < end + length {
        if stream.read_buf(buffer).await? == 0 {
            return Ok(None);
        }
    }
    incoming.body = buffer[end..end + length].to_vec();
    buffer.drain(..end + length);
    Ok(Some(incoming))
}

fn head(answer: &Answer, length: Option<usize>) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} \r\n", answer.status);
    for (key, value) in &answer.headers {
        text.push_str(&format!("{key}: {value}\r\n"));
    }
    match length {
        // A 204 must not say a length.
        Some(_) if answer.status == 204 => {}
        Some(length) => text.push_str(&format!("Content-Length: {length}\r\n")),
        None => text.push_str("Connection: close\r\n"),
    }
    text.push_str("\r\n");
    text.into_bytes()
}

async fn write(stream: &mut TlsStream<TcpStream>, answer: &Answer, without_body: bool) -> io::Result<()> {
    let mut bytes = head(answer, Some(answer.body.len()));
    if !without_body {
        bytes.extend(&answer.body);
    }
    stream.write_all(&bytes).await?;
    stream.flush().await
}

/// The body ends with the connection.
async fn write_padded(stream: &mut TlsStream<TcpStream>, answer: &Answer, bytes: u64) -> io::Result<()> {
    stream.write_all(&head(answer, None)).await?;
    tokio::io::copy(&mut tokio::io::repeat(b' ').take(bytes), stream).await?;
    stream.write_all(&answer.body).await?;
    stream.shutdown().await
}
