//! One question to one public server: connection, TLS, HTTP/1.1, everything bounded.
//!
//! Nothing of the client's request goes along: no cookie, no credential, no name. No proxy of the environment is used: it
//! would resolve the name anew.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::url::{Address, Host};
use super::{Fault, Fetched, Hold};
use crate::sys::trusted;
use crate::types::{Text, text};

const CONNECT: Duration = Duration::from_secs(3);
/// Of the addresses that a name has.
const MOST_TRIES: usize = 3;
const MOST_HEADERS: usize = 100;
const HEAD_BYTES: usize = 32 * 1024;
const USER_AGENT: &str = concat!("Portico/", env!("CARGO_PKG_VERSION"), " (image fetch)");
const ACCEPT: &str = "image/png, image/jpeg, image/webp, image/gif";

pub(super) type Tls = Arc<ClientConfig>;

pub(super) enum Answer {
    Picture(Fetched),
    /// Its `Location`.
    Elsewhere(String),
}

pub(super) async fn tls() -> Result<Tls, Fault> {
    // Reading the system's takes files and milliseconds.
    let made = tokio::task::spawn_blocking(|| {
        let mut config = trusted::client(trusted::roots())?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok::<_, rustls::Error>(Arc::new(config))
    });
    match made.await {
        Ok(Ok(config)) => Ok(config),
        Ok(Err(error)) => Err(Fault::unreachable(format!("TLS: {error}"))),
        Err(_) => Err(Fault::unreachable("TLS can't be set up")),
    }
}

/// Asks at exactly these addresses, which have been judged.
pub(super) async fn get(
    address: &Address,
    found: &[IpAddr],
    tls: Option<&Tls>,
    max_bytes: u64,
    hold: Hold<'_>,
) -> Result<Answer, Fault> {
    let stream = connect(found, address.port).await?;
    match tls {
        None => talk(address, stream, max_bytes, hold).await,
        Some(tls) => {
            let name = match &address.host {
                Host::Name(name) => ServerName::try_from(name.clone())
                    .map_err(|error| Fault::unreachable(format!("{name}: {error}")))?,
                Host::Ip(ip) => ServerName::from(*ip),
            };
            let secured = TlsConnector::from(tls.clone()).connect(name, stream).await;
            let secured =
                secured.map_err(|error| Fault::unreachable(format!("TLS with {}: {error}", address.host)))?;
            talk(address, secured, max_bytes, hold).await
        }
    }
}

async fn connect(found: &[IpAddr], port: u16) -> Result<TcpStream, Fault> {
    let mut last = "no address".to_owned();
    for ip in found.iter().take(MOST_TRIES) {
        match timeout(CONNECT, TcpStream::connect(SocketAddr::new(*ip, port))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = format!("{ip}: {error}"),
            Err(_) => last = format!("{ip}: not within {CONNECT:?}"),
        }
    }
    Err(Fault::unreachable(last))
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    address: &Address,
    stream: S,
    max_bytes: u64,
    hold: Hold<'_>,
) -> Result<Answer, Fault> {
    let broke = |error: hyper::Error| Fault::unreachable(format!("{}: {error}", address.host));
    let request = Request::get(&address.target)
        .header(header::HOST, address.authority())
        .header(header::USER_AGENT, USER_AGENT)
        .header(header::ACCEPT, ACCEPT)
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| Fault::unreachable(format!("{}: {error}", address.host)))?;
    let mut builder = http1::Builder::new();
    builder.max_headers(MOST_HEADERS).max_buf_size(HEAD_BYTES);
    let (mut sender, connection) = builder.handshake(TokioIo::new(stream)).await.map_err(broke)?;
    // Driven here and not by a task of its own: who drops this future drops everything.
    let mut connection = std::pin::pin!(connection);
    let mut driving = true;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broke)?;
        read(response, max_bytes, hold).await.map_err(|error| match error {
            ReadError::Broke(error) => broke(error),
            ReadError::Fault(fault) => fault,
        })
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

enum ReadError {
    Broke(hyper::Error),
    Fault(Fault),
}

async fn read(response: Response<Incoming>, max_bytes: u64, hold: Hold<'_>) -> Result<Answer, ReadError> {
    let (parts, mut body) = response.into_parts();
    if let Some(location) = elsewhere(parts.status, &parts.headers).map_err(ReadError::Fault)? {
        return Ok(Answer::Elsewhere(location));
    }
    let media_type = judge(parts.status, &parts.headers, max_bytes).map_err(ReadError::Fault)?;
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(ReadError::Broke)?.into_data() else { continue };
        let received = (whole.len() + data.len()) as u64;
        if received > max_bytes {
            return Err(ReadError::Fault(Fault::too_large(max_bytes)));
        }
        hold(data.len() as u64).map_err(|refusal| ReadError::Fault(refusal.into()))?;
        whole.extend_from_slice(&data);
    }
    Ok(Answer::Picture(Fetched { media_type, bytes: whole.freeze() }))
}

fn elsewhere(status: StatusCode, headers: &HeaderMap) -> Result<Option<String>, Fault> {
    if !matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let location = headers.get(header::LOCATION).and_then(|location| location.to_str().ok());
    location
        .map(|location| Some(location.to_owned()))
        .ok_or_else(|| Fault::unreachable("a redirect to nowhere"))
}

/// The head of an answer that claims to be a picture; gives its media type.
fn judge(status: StatusCode, headers: &HeaderMap, max_bytes: u64) -> Result<String, Fault> {
    let number = status.as_u16();
    if status != StatusCode::OK {
        return Err(Fault::said(
            format!("status {number}"),
            text!(
                "The server at the image's address answered with status {number} instead of an image.",
                "图片地址的服务器返回了状态 {number},而不是图片。"
            ),
        ));
    }
    let is_plain = headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|coding| coding.as_bytes().eq_ignore_ascii_case(b"identity"));
    let kinds: Vec<_> = headers.get_all(header::CONTENT_TYPE).iter().collect();
    let media_type = match kinds[..] {
        [kind] if is_plain => kind.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim(),
        _ => "",
    };
    if media_type.get(..6).is_none_or(|kind| !kind.eq_ignore_ascii_case("image/")) {
        return Err(Fault::said(
            "no image by its head",
            Text::fixed(
                "What stands at the image's address is not an image by its Content-Type.",
                "图片地址返回的 Content-Type 不是图片。",
            ),
        ));
    }
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|announced| announced > max_bytes) {
        return Err(Fault::too_large(max_bytes));
    }
    Ok(media_type.to_owned())
}
