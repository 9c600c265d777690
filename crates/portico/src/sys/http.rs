//! A small HTTP/1.1 client for the control plane: one request, one connection, everything bounded.
//!
//! Used for asking model servers whether they are ready and for the command line's talk with the admin socket. The
//! request path has its own client with pools and streams; this one is simple on purpose.

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout, timeout_at};

/// Where to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A name or an address literal without brackets.
    Tcp {
        host: String,
        port: u16,
    },
    Unix(PathBuf),
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// For making the connection, name lookup included.
    pub(crate) connect: Duration,
    /// For all of it: connection, request and the last byte of the answer.
    pub(crate) total: Duration,
    pub(crate) max_body_bytes: usize,
}

/// Why there is no answer. The words are for logs and for [`crate::types::Text`]s that quote them.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    #[error("can't connect to {target}: {}", plain(source))]
    Connect { target: String, source: std::io::Error },
    #[error("no connection to {target} within {after:?}")]
    ConnectTimeout { target: String, after: Duration },
    #[error("no whole answer from {target} within {after:?}")]
    Timeout { target: String, after: Duration },
    #[error("the exchange with {target} broke off: {source}")]
    Exchange { target: String, source: hyper::Error },
    #[error("{target} answered with more than {max_body_bytes} bytes")]
    TooLarge { target: String, max_body_bytes: usize },
    #[error("the request can't be written: {0}")]
    Request(#[from] http::Error),
}

impl FetchError {
    /// Nobody listens there: the server is not up yet, or no more.
    pub(crate) fn is_refused(&self) -> bool {
        use std::io::ErrorKind::{ConnectionRefused, NotFound};
        matches!(self, FetchError::Connect { source, .. } if matches!(source.kind(), ConnectionRefused | NotFound))
    }
}

/// An error of the system without its number, which tells a reader nothing.
pub(crate) fn plain(error: &std::io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Target::Tcp { host, port } if host.contains(':') => write!(f, "http://[{host}]:{port}"),
            Target::Tcp { host, port } => write!(f, "http://{host}:{port}"),
            Target::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Target {
    fn authority(&self) -> String {
        match self {
            Target::Tcp { host, port } if host.contains(':') => format!("[{host}]:{port}"),
            Target::Tcp { host, port } => format!("{host}:{port}"),
            Target::Unix(_) => "localhost".to_owned(),
        }
    }
}

/// One request over a connection of its own. Dropping the future closes the connection.
pub(crate) async fn fetch(
    target: &Target,
    method: Method,
    path: &str,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
    limits: Limits,
) -> Result<(StatusCode, HeaderMap, Bytes), FetchError> {
    let mut builder = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, target.authority())
        .header(header::CONNECTION, "close");
    for (name, value) in headers {
        builder = builder.header(name, value);
    }
    let request = builder.body(Full::new(body))?;
    let deadline = Instant::now() + limits.total;
    let exchange = async {
        match target {
            Target::Tcp { host, port } => {
                let connecting = TcpStream::connect((host.as_str(), *port));
                let stream = connect(target, limits.connect, connecting).await?;
                talk(target, stream, request, limits.max_body_bytes).await
            }
            Target::Unix(socket) => {
                let stream = connect(target, limits.connect, UnixStream::connect(socket)).await?;
                talk(target, stream, request, limits.max_body_bytes).await
            }
        }
    };
    match timeout_at(deadline, exchange).await {
        Ok(answer) => answer,
        Err(_) => Err(FetchError::Timeout { target: target.to_string(), after: limits.total }),
    }
}

/// Whether somebody accepts connections there. Nothing is sent.
pub(crate) async fn reach(target: &Target, within: Duration) -> Result<(), FetchError> {
    match target {
        Target::Tcp { host, port } => {
            connect(target, within, TcpStream::connect((host.as_str(), *port))).await.map(drop)
        }
        Target::Unix(socket) => connect(target, within, UnixStream::connect(socket)).await.map(drop),
    }
}

async fn connect<S>(
    target: &Target,
    within: Duration,
    connecting: impl Future<Output = std::io::Result<S>>,
) -> Result<S, FetchError> {
    match timeout(within, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(source)) => Err(FetchError::Connect { target: target.to_string(), source }),
        Err(_) => Err(FetchError::ConnectTimeout { target: target.to_string(), after: within }),
    }
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    target: &Target,
    stream: S,
    request: Request<Full<Bytes>>,
    max_body_bytes: usize,
) -> Result<(StatusCode, HeaderMap, Bytes), FetchError> {
    let broke = |source| FetchError::Exchange { target: target.to_string(), source };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broke)?;
    // The connection is driven here and not by a task of its own: who drops this future drops everything.
    let mut connection = std::pin::pin!(connection);
    let mut driving = true;
    let answer = async {
        let (parts, mut body) = sender.send_request(request).await.map_err(broke)?.into_parts();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(broke)?.into_data() else { continue };
            if whole.len() + data.len() > max_body_bytes {
                return Err(FetchError::TooLarge { target: target.to_string(), max_body_bytes });
            }
            whole.extend_from_slice(&data);
        }
        Ok((parts.status, parts.headers, whole.freeze()))
    };
    let mut answer = std::pin::pin!(answer);
    loop {
        tokio::select! {
            biased;
            result = &mut answer => return result,
            // Its end, good or bad, reaches the answer too, which tells it better.
            _ = &mut connection, if driving => driving = false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, UnixListener};

    use super::*;

    const LIMITS: Limits =
        Limits { connect: Duration::from_secs(2), total: Duration::from_secs(5), max_body_bytes: 64 };

    /// Accepts one connection, reads the head of the request, answers with `answer` and closes.
    async fn serve_one(listener: TcpListener, answer: &'static [u8]) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.windows(4).any(|window| window == b"\r\n\r\n") {
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0, "closed early");
            seen.extend_from_slice(&buffer[..n]);
        }
        stream.write_all(answer).await.unwrap();
        String::from_utf8(seen).unwrap()
    }

    async fn ask(
        answer: &'static [u8],
        limits: Limits,
    ) -> (Result<(StatusCode, HeaderMap, Bytes), FetchError>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target =
            Target::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let headers = [(header::ACCEPT, HeaderValue::from_static("application/json"))];
        let asking = fetch(&target, Method::GET, "/v1/models", &headers, Bytes::new(), limits);
        let (answer, seen) = tokio::join!(asking, serve_one(listener, answer));
        (answer, seen)
    }

    #[tokio::test]
    async fn an_answer_arrives_whole_and_the_request_is_what_was_asked() {
        let (answer, seen) = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx-a: b\r\n\r\nhi", LIMITS).await;
        let (status, headers, body) = answer.unwrap();
        assert_eq!((status.as_u16(), &body[..]), (200, &b"hi"[..]));
        assert_eq!(headers["x-a"], "b");
        assert!(seen.starts_with("GET /v1/models HTTP/1.1\r\nhost: 127.0.0.1:"), "{seen}");
        assert!(seen.contains("accept: application/json"), "{seen}");
    }

    #[tokio::test]
    async fn an_answer_without_a_length_ends_with_the_connection() {
        let (answer, _) = ask(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", LIMITS).await;
        assert_eq!(&answer.unwrap().2[..], b"until the end");
    }

    #[tokio::test]
    async fn faults_have_their_own_errors() {
        let (answer, _) = ask(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhi", LIMITS).await;
        assert!(matches!(answer, Err(FetchError::Exchange { .. })), "{answer:?}");
        let (answer, _) = ask(b"garbage\r\n\r\n", LIMITS).await;
        assert!(matches!(answer, Err(FetchError::Exchange { .. })), "{answer:?}");
        let (answer, _) = ask(b"HTTP/1.1 200 OK\r\n\r\nhello", Limits { max_body_bytes: 4, ..LIMITS }).await;
        assert!(matches!(answer, Err(FetchError::TooLarge { max_body_bytes: 4, .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn silence_ends_at_the_total_deadline() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target =
            Target::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        let limits = Limits { total: Duration::from_millis(50), ..LIMITS };
        let answer = fetch(&target, Method::GET, "/", &[], Bytes::new(), limits).await;
        assert!(matches!(answer, Err(FetchError::Timeout { .. })), "{answer:?}");
    }

    #[tokio::test]
    async fn nobody_there_is_told_apart_on_both_kinds_of_socket() {
        let missing = Target::Unix(std::env::temp_dir().join("portico-no-such.sock"));
        assert!(reach(&missing, LIMITS.connect).await.unwrap_err().is_refused());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target =
            Target::Tcp { host: "127.0.0.1".to_owned(), port: listener.local_addr().unwrap().port() };
        reach(&target, LIMITS.connect).await.unwrap();
        drop(listener);
        assert!(reach(&target, LIMITS.connect).await.unwrap_err().is_refused());
    }

    #[tokio::test]
    async fn a_unix_socket_answers_too() {
        let path = std::env::temp_dir().join(format!("portico-{}.sock", crate::sys::random::hex(6).unwrap()));
        let listener = UnixListener::bind(&path).unwrap();
        let target = Target::Unix(path.clone());
        let serving = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut buffer = [0; 1024];
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(String::from_utf8_lossy(&buffer[..n]).contains("host: localhost\r\n"));
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        };
        let asking = fetch(&target, Method::POST, "/models/a/stop", &[], Bytes::new(), LIMITS);
        let (answer, ()) = tokio::join!(asking, serving);
        assert_eq!(answer.unwrap().0, StatusCode::ACCEPTED);
        std::fs::remove_file(path).unwrap();
    }
}
