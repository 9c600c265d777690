//! How TLS is spoken towards clients: TLS 1.2 and 1.3 with the suites of aws-lc-rs (all of them forward secret), key
//! exchange with a post-quantum hybrid first, HTTP/2 or HTTP/1.1, sessions resumed by tickets whose key changes every
//! six hours and is never written anywhere. No early data: it can be replayed, and calls cost GPU time.

use std::sync::Arc;

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::server::{NoServerSessionStorage, ProducesTickets};

use super::challenges::ACME_TLS_ALPN;
use super::resolver::Resolver;
use crate::config::TlsVersion;

pub(crate) const HTTP_2_ALPN: &[u8] = b"h2";
const HTTP_1_ALPN: &[u8] = b"http/1.1";
/// Two, so that a browser that opens a second connection beside the first can resume for both.
const TICKETS: usize = 2;

/// What all handshakes share, whatever the configuration becomes.
pub(crate) struct Edge {
    resolver: Arc<Resolver>,
    tickets: Arc<dyn ProducesTickets>,
}

impl Edge {
    /// Fails where the kernel gives no random numbers.
    pub(crate) fn new(resolver: Arc<Resolver>) -> Result<Self, rustls::Error> {
        Ok(Self { resolver, tickets: aws_lc_rs::Ticketer::new()? })
    }

    pub(crate) fn resolver(&self) -> &Arc<Resolver> {
        &self.resolver
    }

    pub(crate) fn server_config(&self, oldest: TlsVersion) -> Result<Arc<ServerConfig>, rustls::Error> {
        let versions = match oldest {
            TlsVersion::Tls12 => rustls::DEFAULT_VERSIONS,
            TlsVersion::Tls13 => &[&rustls::version::TLS13],
        };
        let provider = Arc::new(aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)?
            .with_no_client_auth()
            .with_cert_resolver(self.resolver.clone());
        config.alpn_protocols = [HTTP_2_ALPN, HTTP_1_ALPN, ACME_TLS_ALPN].map(<[u8]>::to_vec).to_vec();
        config.ticketer = self.tickets.clone();
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = TICKETS;
        config.max_early_data_size = 0;
        // Every suite is a good one, and 256 bits come first.
        config.ignore_client_order = true;
        Ok(Arc::new(config))
    }
}
