//! One knock at one door: a connection, the name, and whatever comes back.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, SignatureScheme};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::block;
use super::finding::{Door, Heard};
use super::{LOOK, Proof};

/// Of an answer: pages of refusal are small, and their signs stand in front.
const MOST_BYTES: usize = 16 * 1024;
const MOST_HEADERS: usize = 64;
/// Of what a server calls itself.
const MOST_NAME_CHARS: usize = 40;

/// Asks for the proof, or for `/health` where there is none.
pub(super) async fn knock(name: &str, door: Door, at: SocketAddr, proof: Option<&Proof>) -> Heard {
    let deadline = Instant::now() + LOOK;
    let stream = match timeout_at(deadline, TcpStream::connect(at)).await {
        Err(_) => return Heard::TimedOut,
        Ok(Err(error)) => return not_connected(&error),
        Ok(Ok(stream)) => stream,
    };
    match door {
        Door::Http => ask(stream, name, proof, deadline).await,
        Door::Https => {
            let Some((connector, server_name)) = tls(name) else { return Heard::NoTls };
            match timeout_at(deadline, connector.connect(server_name, stream)).await {
                Err(_) => Heard::Silent,
                Ok(Err(error)) => no_handshake(&error),
                Ok(Ok(stream)) => ask(stream, name, proof, deadline).await,
            }
        }
    }
}

fn not_connected(error: &io::Error) -> Heard {
    match error.kind() {
        ErrorKind::ConnectionRefused => Heard::Refused,
        ErrorKind::ConnectionReset => Heard::Cut,
        ErrorKind::TimedOut => Heard::TimedOut,
        // Unreachable, forbidden by the firewall of this machine, an address of no interface, a family that is off.
        _ => Heard::NoRoute,
    }
}

fn no_handshake(error: &io::Error) -> Heard {
    match error.kind() {
        ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => Heard::Cut,
        _ => Heard::NoTls,
    }
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    name: &str,
    proof: Option<&Proof>,
    deadline: Instant,
) -> Heard {
    let path = match proof {
        Some(proof) => format!("/.well-known/acme-challenge/{}", proof.token),
        None => "/health".to_owned(),
    };
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let version = env!("CARGO_PKG_VERSION");
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: Portico/{version} (reach)\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    );
    let mut answer = Vec::new();
    let exchange = async {
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        while !is_whole(&answer) && answer.len() < MOST_BYTES {
            if stream.read_buf(&mut answer).await? == 0 {
                break;
            }
        }
        Ok::<_, io::Error>(())
    };
    let ended = timeout_at(deadline, exchange).await;
    if answer.is_empty() {
        return if ended.is_err() { Heard::Silent } else { Heard::Cut };
    }
    // What came before an end of any kind counts.
    judge(&answer, proof.map_or("OK", |proof| &proof.body))
}

/// A head, and as much of a body as it announces.
fn is_whole(answer: &[u8]) -> bool {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    match head.parse(answer) {
        Ok(httparse::Status::Complete(end)) => {
            let length = header(&head, "content-length").parse::<usize>();
            length.is_ok_and(|length| answer.len() - end >= length)
        }
        Ok(httparse::Status::Partial) => false,
        // No HTTP: nothing more will tell.
        Err(_) => true,
    }
}

fn judge(answer: &[u8], wanted: &str) -> Heard {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let Ok(httparse::Status::Complete(end)) = head.parse(answer) else {
        return Heard::Other { status: None, server: None };
    };
    let status = head.code.unwrap_or_default();
    let body = &answer[end..];
    let is_cut = header(&head, "content-length").parse::<usize>().is_ok_and(|length| body.len() < length);
    if status == 200 && !is_cut && body.trim_ascii() == wanted.as_bytes() {
        return Heard::Portico;
    }
    let server = header(&head, "server");
    if block::is_block(block::Page { status, server, location: header(&head, "location"), body }) {
        return Heard::FilingBlock;
    }
    // It ends up on a terminal.
    let shown: String = server.chars().filter(|c| !c.is_control()).take(MOST_NAME_CHARS).collect();
    Heard::Other { status: Some(status), server: Some(shown).filter(|shown| !shown.is_empty()) }
}

/// Empty where it is not there, or no text.
fn header<'a>(head: &httparse::Response<'_, 'a>, name: &str) -> &'a str {
    let found = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    found.and_then(|header| std::str::from_utf8(header.value).ok()).unwrap_or_default()
}

/// `None` where the name can't stand in a handshake.
fn tls(name: &str) -> Option<(TlsConnector, ServerName<'static>)> {
    let server_name = ServerName::try_from(name.to_owned()).ok()?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().ok()?;
    let mut config = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate { provider }))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some((TlsConnector::from(Arc::new(config)), server_name))
}

/// Takes every certificate: there may be none yet but the one that stands in, and who answers is told by what is
/// answered. Nothing secret is said over such a connection.
#[derive(Debug)]
struct AnyCertificate {
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
