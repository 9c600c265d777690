//! Showing a CA that a name is ours, as it wants to see it.

use std::net::IpAddr;
use std::sync::Arc;

use instant_acme::{ChallengeHandle, ChallengeType};
use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;

use super::error::OrderError;
use super::journal::Proof;
use crate::certificate::{ChallengeGuard, Challenges};
use crate::types::text;

impl Proof {
    pub(super) const fn kind(self) -> ChallengeType {
        match self {
            Proof::TlsAlpn01 => ChallengeType::TlsAlpn01,
            Proof::Http01 => ChallengeType::Http01,
            Proof::Dns01 => ChallengeType::Dns01,
        }
    }
}

/// Makes this process answer for a name until the guard is dropped. Not for DNS-01, which others answer.
pub(super) fn answer(
    proof: Proof,
    name: &str,
    challenge: &ChallengeHandle<'_>,
    challenges: &Arc<Challenges>,
) -> Result<Option<ChallengeGuard>, OrderError> {
    let authorization = challenge.key_authorization();
    match proof {
        Proof::Http01 => Ok(Some(challenges.answer_http(&challenge.token, authorization.as_str()))),
        Proof::TlsAlpn01 => {
            let certificate = proving(name, authorization.digest().as_ref()).map_err(|error| {
                OrderError::here(
                    "certificate",
                    text!(
                        "the certificate for TLS-ALPN-01 can't be made: {error}",
                        "无法生成 TLS-ALPN-01 所用的证书:{error}"
                    ),
                )
            })?;
            Ok(Some(challenges.answer_tls(&server_name(name), Arc::new(certificate))))
        }
        Proof::Dns01 => Ok(None),
    }
}

/// RFC 8737, 3: self-signed, for this name alone, with the digest in a critical extension.
fn proving(name: &str, digest: &[u8]) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
    let mut parameters = CertificateParams::new([name.to_owned()])?;
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
    let key = KeyPair::generate()?;
    let certificate = parameters.self_signed(&key)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    // Not by a constructor that reads the certificate: nobody but a CA knows the extension.
    Ok(CertifiedKey::new(vec![certificate.der().clone()], aws_lc_rs::sign::any_ecdsa_type(&key)?))
}

/// What the CA will ask for in the handshake: the name, or for an address its reverse name (RFC 8738, 6).
fn server_name(name: &str) -> String {
    match name.parse() {
        Ok(IpAddr::V4(address)) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        Ok(IpAddr::V6(address)) => {
            let mut reversed = String::with_capacity(72);
            for byte in address.octets().iter().rev() {
                reversed.push_str(&format!("{:x}.{:x}.", byte & 15, byte >> 4));
            }
            reversed + "ip6.arpa"
        }
        Err(_) => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_asked_for_by_their_reverse_name() {
        assert_eq!(server_name("a.example"), "a.example");
        assert_eq!(server_name("192.0.2.1"), "1.2.0.192.in-addr.arpa");
        assert_eq!(
            server_name("2001:db8::1"),
            "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
        assert!(proving("192.0.2.1", &[7; 32]).is_ok());
    }
}
