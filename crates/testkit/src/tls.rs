//! TLS for tests: an authority of their own, and connections that trust nobody else.

use std::{io, net::SocketAddr, sync::Arc};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::client::{Answer, Connection};

/// A certificate authority that lives as long as the test.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// What a server presents.
#[derive(Clone, Debug)]
pub struct Issued {
    pub certificate_pem: String,
    /// PKCS #8.
    pub key_pem: String,
}

impl Authority {
    #[must_use]
    pub fn new(common_name: &str) -> Self {
        let mut parameters = parameters(&[], common_name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(parameters, new_key());
        Self { issuer: issuer.unwrap_or_else(|error| panic!("cannot make an authority: {error}")) }
    }

    /// Its own certificate, to be trusted.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// For DNS names and addresses.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        let key = new_key();
        let certificate = parameters(names, names.first().unwrap_or(&"")).signed_by(&key, &self.issuer);
        let certificate = certificate.unwrap_or_else(|error| panic!("cannot issue for {names:?}: {error}"));
        Issued { certificate_pem: certificate.pem(), key_pem: key.serialize_pem() }
    }
}

fn parameters(names: &[&str], common_name: &str) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut parameters =
        CertificateParams::new(names.clone()).unwrap_or_else(|error| panic!("names {names:?}: {error}"));
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.distinguished_name.push(DnType::CommonName, common_name);
    // Several may be in one list of trusted roots, and OpenSSL tells them apart by this.
    parameters.use_authority_key_identifier_extension = true;
    parameters
}

fn new_key() -> KeyPair {
    KeyPair::generate().unwrap_or_else(|error| panic!("cannot make a key: {error}"))
}

/// A server's side of HTTP/1.1 over TLS.
pub(crate) fn acceptor(issued: &Issued) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_slice(issued.certificate_pem.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key_pem.as_bytes());
    let (Ok(certificate), Ok(key)) = (certificate, key) else { panic!("this is no certificate: {issued:?}") };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let configuration = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(vec![certificate], key));
    let mut configuration = configuration.unwrap_or_else(|error| panic!("cannot serve TLS: {error}"));
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    TlsAcceptor::from(Arc::new(configuration))
}

/// HTTP/1.1 over TLS. Only `roots_pem` is trusted, for the name `name`.
pub async fn connect(address: SocketAddr, name: &str, roots_pem: &str) -> io::Result<Connection> {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots_pem.as_bytes()) {
        roots.add(root.map_err(io::Error::other)?).map_err(io::Error::other)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut configuration = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let stream = TlsConnector::from(Arc::new(configuration)).connect(name, stream).await?;
    Ok(Connection::over_tls(stream))
}

/// `GET` from `localhost` on a connection of its own.
pub async fn get(port: u16, target: &str, roots_pem: &str) -> io::Result<Answer> {
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let mut connection = connect(address, "localhost", roots_pem).await?;
    connection.request("GET", target, &[], &[]).await?;
    connection.answer().await
}
