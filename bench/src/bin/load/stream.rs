//! The connections that are measured: plain, or TLS 1.3 as this tool speaks it to everybody alike.
//!
//! No session is ever resumed, so every connection costs a full handshake. Offered are one signature (ECDSA with P-256:
//! a server with another kind of certificate can't be measured by mistake), HTTP/1.1, rustls's suites in its order, and
//! the key exchange that the plan names. The certificate itself is not judged, its signature over the handshake is.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, HandshakeKind, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::exchange::{Connection, Failure};
use crate::tally::Shared;

/// What key exchange is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyExchange {
    /// X25519 and nothing else.
    X25519,
    /// X25519MLKEM768 first, X25519 for servers that do not know it: key shares for both, so that neither costs another
    /// round trip.
    Hybrid,
}

/// Makes connections.
pub struct Dialer {
    target: SocketAddr,
    tls: Option<TlsConnector>,
    name: ServerName<'static>,
}

#[derive(Debug)]
pub enum Stream {
    Plain(TcpStream),
    Secure(Box<TlsStream<TcpStream>>),
}

impl KeyExchange {
    pub fn named(name: &str) -> Result<Self, String> {
        match name {
            "x25519" => Ok(Self::X25519),
            "hybrid" => Ok(Self::Hybrid),
            _ => Err(format!("--tls {name} is neither x25519 nor hybrid")),
        }
    }
}

impl Dialer {
    pub fn new(target: SocketAddr, tls: Option<KeyExchange>) -> Result<Self, String> {
        let tls = tls.map(configuration).transpose().map_err(|error| error.to_string())?;
        let name = ServerName::try_from("localhost").map_err(|error| error.to_string())?;
        Ok(Self { target, tls: tls.map(|tls| TlsConnector::from(Arc::new(tls))), name })
    }

    pub fn target(&self) -> SocketAddr {
        self.target
    }

    pub async fn connect(&self, shared: &Shared) -> Result<Connection, Failure> {
        let failed = |error: io::Error| Failure::new("connect", error.to_string());
        let stream = TcpStream::connect(self.target).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        let Some(tls) = &self.tls else {
            return Ok(Connection::new(Stream::Plain(stream)));
        };
        let stream = tls.connect(self.name.clone(), stream).await;
        let stream = stream.map_err(|error| Failure::new("tls", error.to_string()))?;
        shared.agreed(agreed(&stream)?)?;
        Ok(Connection::new(Stream::Secure(Box::new(stream))))
    }
}

fn configuration(offered: KeyExchange) -> Result<ClientConfig, rustls::Error> {
    let kx_groups = match offered {
        KeyExchange::X25519 => vec![kx_group::X25519],
        KeyExchange::Hybrid => vec![kx_group::X25519MLKEM768, kx_group::X25519],
    };
    let provider = Arc::new(CryptoProvider { kx_groups, ..default_provider() });
    let mut configuration = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    configuration.resumption = Resumption::disabled();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(configuration)
}

/// Says what was agreed on; an error where the handshake was not a full one.
fn agreed(stream: &TlsStream<TcpStream>) -> Result<String, Failure> {
    let (_, session) = stream.get_ref();
    if session.handshake_kind() != Some(HandshakeKind::Full) {
        return Err(Failure::new("tls", format!("the handshake was {:?}", session.handshake_kind())));
    }
    let version = session.protocol_version().map(|version| format!("{version:?}"));
    let group = session.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name()));
    let suite = session.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite()));
    let protocol = session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned());
    let parts = [version, group, suite, protocol].map(|part| part.unwrap_or_else(|| "nothing".to_owned()));
    Ok(parts.join(" "))
}

/// Takes every certificate, and checks that whoever sent it has its key.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

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
        Err(rustls::Error::General("TLS 1.2 was not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Secure(stream) => Pin::new(stream.as_mut()).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, SignatureAlgorithm};
    use rustls::ServerConfig;
    use rustls::crypto::SupportedKxGroup;
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::*;

    /// What comes of connecting twice to a server with this kind of certificate and key exchange.
    fn connected(
        offered: KeyExchange,
        kind: &'static SignatureAlgorithm,
        groups: Vec<&'static dyn SupportedKxGroup>,
    ) -> Result<String, String> {
        let key = KeyPair::generate_for(kind).expect("a key");
        let parameters = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
        let certificate = parameters.self_signed(&key).expect("a certificate").der().clone();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = CryptoProvider { kx_groups: groups, ..default_provider() };
        let mut server = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key))
            .expect("a server's configuration");
        server.alpn_protocols = vec![b"http/1.1".to_vec()];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
            let target = listener.local_addr().expect("an address");
            let serve = tokio::spawn(async move {
                let acceptor = TlsAcceptor::from(Arc::new(server));
                for _ in 0..2 {
                    let (stream, _) = listener.accept().await.expect("a client");
                    // The client's verdict is what is tested.
                    if let Ok(mut stream) = acceptor.accept(stream).await {
                        let _ = tokio::io::AsyncReadExt::read(&mut stream, &mut [0]).await;
                    }
                }
            });
            let shared = Shared::default();
            let dialer = Dialer::new(target, Some(offered))?;
            for _ in 0..2 {
                let connection = dialer.connect(&shared).await.map_err(|failure| failure.to_string());
                drop(connection?);
            }
            serve.await.expect("the server ends");
            shared.agreement().ok_or_else(|| "nothing".to_owned())
        })
    }

    #[test]
    fn says_what_was_agreed_on() {
        let suite = "TLS13_AES_256_GCM_SHA384 http/1.1";
        let groups = || vec![kx_group::X25519MLKEM768, kx_group::X25519];
        let hybrid = connected(KeyExchange::Hybrid, &PKCS_ECDSA_P256_SHA256, groups());
        assert_eq!(hybrid, Ok(format!("TLSv1_3 X25519MLKEM768 {suite}")));
        let classic = connected(KeyExchange::X25519, &PKCS_ECDSA_P256_SHA256, groups());
        assert_eq!(classic, Ok(format!("TLSv1_3 X25519 {suite}")));
        // A server without the hybrid costs no second round.
        let old = connected(KeyExchange::Hybrid, &PKCS_ECDSA_P256_SHA256, vec![kx_group::X25519]);
        assert_eq!(old, Ok(format!("TLSv1_3 X25519 {suite}")));
    }

    #[test]
    fn what_cannot_be_compared_is_an_error() {
        let other_key = connected(KeyExchange::X25519, &PKCS_ED25519, vec![kx_group::X25519]);
        assert!(other_key.as_ref().is_err_and(|error| error.starts_with("tls")), "{other_key:?}");
        let other_group = connected(KeyExchange::X25519, &PKCS_ECDSA_P256_SHA256, vec![kx_group::SECP256R1]);
        assert!(other_group.as_ref().is_err_and(|error| error.starts_with("tls")), "{other_group:?}");
    }
}
