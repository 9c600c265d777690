//! What a certificate authority asks for while it checks that a name is ours (RFC 8555, 8737): looked up by data threads,
//! set by whoever orders. A challenge is there as long as its guard.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustls::sign::CertifiedKey;

/// The folder of HTTP-01 (RFC 8555, 8.3).
pub(crate) const HTTP_01_PREFIX: &str = "/.well-known/acme-challenge/";
/// The protocol that a TLS-ALPN-01 check speaks, and nobody else (RFC 8737, 6.2).
pub(crate) const ACME_TLS_ALPN: &[u8] = b"acme-tls/1";

/// All challenges that are being answered now. One for the process; outlives reloads.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// Token → key authorization.
    tokens: HashMap<String, String>,
    /// Name as it stands in the handshake → the certificate that proves it.
    certificates: HashMap<String, Arc<CertifiedKey>>,
}

/// Takes its challenge away when it is dropped.
#[derive(Debug)]
pub(crate) struct ChallengeGuard {
    challenges: Arc<Challenges>,
    what: What,
}

#[derive(Debug)]
enum What {
    Token(String),
    Certificate(String),
}

impl Challenges {
    /// Answers HTTP-01 for a token.
    pub(crate) fn answer_http(self: &Arc<Self>, token: &str, authorization: &str) -> ChallengeGuard {
        self.lock().tokens.insert(token.to_owned(), authorization.to_owned());
        ChallengeGuard { challenges: self.clone(), what: What::Token(token.to_owned()) }
    }

    /// Answers TLS-ALPN-01 for a name. For an address the name is the one in `in-addr.arpa` or `ip6.arpa` (RFC 8738, 6).
    pub(crate) fn answer_tls(
        self: &Arc<Self>,
        server_name: &str,
        certificate: Arc<CertifiedKey>,
    ) -> ChallengeGuard {
        self.lock().certificates.insert(server_name.to_owned(), certificate);
        ChallengeGuard { challenges: self.clone(), what: What::Certificate(server_name.to_owned()) }
    }

    /// The body for a path, where it is a challenge that is pending.
    pub(crate) fn http(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(HTTP_01_PREFIX)?;
        self.lock().tokens.get(token).cloned()
    }

    pub(super) fn tls(&self, server_name: &str) -> Option<Arc<CertifiedKey>> {
        self.lock().certificates.get(server_name).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for ChallengeGuard {
    fn drop(&mut self) {
        let mut pending = self.challenges.lock();
        match &self.what {
            What::Token(token) => drop(pending.tokens.remove(token)),
            What::Certificate(name) => drop(pending.certificates.remove(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_challenge_lives_as_long_as_its_guard() {
        let challenges = Arc::new(Challenges::default());
        let guard = challenges.answer_http("token", "token.thumbprint");
        let asked = |path: &str| challenges.http(path);
        assert_eq!(asked("/.well-known/acme-challenge/token").as_deref(), Some("token.thumbprint"));
        for path in ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/other", "/token"] {
            assert_eq!(asked(path), None, "{path}");
        }
        drop(guard);
        assert_eq!(asked("/.well-known/acme-challenge/token"), None);
    }
}
