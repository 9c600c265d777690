//! Whom this machine trusts to sign for servers, for everything that asks one over TLS.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};

/// The authorities that browsers know, and those that this machine was told of, such as a company's own. Reading the system's
/// takes files and milliseconds: not for a data thread.
pub(crate) fn roots() -> RootCertStore {
    let mut roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// TLS towards servers whose certificates these have signed.
pub(crate) fn client(roots: RootCertStore) -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}
