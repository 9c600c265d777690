//! From an accepted socket to a stream that speaks HTTP: whose it is, and TLS where that is spoken.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::{ProtocolVersion, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::proxy_protocol;
use crate::certificate::{ACME_TLS_ALPN, HTTP_2_ALPN};
use crate::front::Tls;

/// What came of a handshake.
pub(super) enum Greeted {
    /// With what is spoken over it, and what requests have to know of it.
    Secure(Box<TlsStream<TcpStream>>, Protocol, Tls),
    /// A certificate authority has seen what it wanted to see (RFC 8737, 3); nothing else is spoken.
    Proven,
    /// Somebody speaks plain HTTP here.
    Plain(TcpStream),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Http1,
    Http2,
}

/// The first byte of every TLS client (RFC 8446, 5.1: `handshake`).
const HANDSHAKE: u8 = 22;

/// Whose connection it is, where a trusted proxy has to say so.
pub(super) async fn announced(stream: &mut TcpStream, proxy: IpAddr) -> io::Result<IpAddr> {
    Ok(proxy_protocol::read(stream).await?.unwrap_or(proxy))
}

pub(super) async fn greet(stream: TcpStream, config: Arc<ServerConfig>) -> io::Result<Greeted> {
    let mut first = [0; 1];
    if stream.peek(&mut first).await? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if first[0] != HANDSHAKE && first[0].is_ascii_uppercase() {
        return Ok(Greeted::Plain(stream));
    }
    let stream = TlsAcceptor::from(config).accept(stream).await?;
    let (_, session) = stream.get_ref();
    let protocol = match session.alpn_protocol() {
        Some(ACME_TLS_ALPN) => return Ok(Greeted::Proven),
        Some(HTTP_2_ALPN) => Protocol::Http2,
        _ => Protocol::Http1,
    };
    let tls = Tls {
        version: match session.protocol_version() {
            Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLSv1.3",
        },
        server_name: session.server_name().map(Into::into),
    };
    Ok(Greeted::Secure(Box::new(stream), protocol, tls))
}
