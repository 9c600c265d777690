//! Which certificate a handshake gets. Read on every handshake, swapped whole: connections keep what they were made with.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::challenges::{ACME_TLS_ALPN, Challenges};
use super::pair::Pair;

/// One for the process.
#[derive(Debug)]
pub(crate) struct Resolver {
    pair: ArcSwap<Pair>,
    challenges: Arc<Challenges>,
}

impl Resolver {
    pub(crate) fn new(pair: Pair, challenges: Arc<Challenges>) -> Arc<Self> {
        Arc::new(Self { pair: ArcSwap::from_pointee(pair), challenges })
    }

    /// From now on new handshakes get this one.
    pub(crate) fn serve(&self, pair: Pair) {
        self.pair.store(Arc::new(pair));
    }

    pub(crate) fn served(&self) -> Arc<Pair> {
        self.pair.load_full()
    }

    pub(crate) fn challenges(&self) -> &Arc<Challenges> {
        &self.challenges
    }
}

impl ResolvesServerCert for Resolver {
    /// There is one certificate, and it is also for clients that name nobody or somebody else: what they ask for is
    /// judged by the request's own host, and `/health` answers under every name.
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // A check by a certificate authority offers this protocol and no other (RFC 8737, 3).
        let offered = hello.alpn().into_iter().flatten();
        let mut offered = offered.map(|protocol| protocol == ACME_TLS_ALPN);
        if (offered.next(), offered.next()) == (Some(true), None) {
            return self.challenges.tls(hello.server_name()?);
        }
        Some(self.pair.load().certified().clone())
    }
}
