//! The authority's own certificate: what whoever trusts it has, and what it may sign.

use std::time::{Duration, SystemTime};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::constraints::Constraints;
use super::said::Why;
use super::wanted::Wanted;
use crate::certificate::pair;

/// A clock before this (2025-01-01) has not been set yet, and nothing is judged by it: boards without a battery start in
/// 1970, and their authority must not be replaced for that.
const PLAUSIBLE_SINCE: Duration = Duration::from_secs(1_735_689_600);

#[derive(Debug, Clone)]
pub(crate) struct Root {
    pub(super) certificate: CertificateDer<'static>,
    /// Its common name.
    pub(crate) name: String,
    pub(super) public_key: Vec<u8>,
    /// By which leaves name their issuer.
    pub(super) key_identifier: Vec<u8>,
    pub(super) constraints: Constraints,
    not_before: SystemTime,
    not_after: SystemTime,
}

impl Root {
    /// The error is for people, in English as the library gives it.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let certificate = CertificateDer::from_pem_slice(pem).map_err(|error| error.to_string())?;
        Self::new(certificate)
    }

    pub(super) fn new(certificate: CertificateDer<'static>) -> Result<Self, String> {
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|error| error.to_string())?;
        let written = parsed.name_constraints().map_err(|error| error.to_string())?;
        let constraints = Constraints::read(written.map(|extension| extension.value))
            .filter(|_| parsed.is_ca())
            .ok_or("it is not one of Portico's authorities")?;
        let name = parsed.subject().iter_common_name().find_map(|part| part.as_str().ok());
        let key_identifier =
            parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
                x509_parser::extensions::ParsedExtension::SubjectKeyIdentifier(identifier) => {
                    Some(identifier.0.to_vec())
                }
                _ => None,
            });
        Ok(Self {
            name: name.ok_or("it has no name")?.to_owned(),
            public_key: parsed.public_key().raw.to_vec(),
            key_identifier: key_identifier.ok_or("its key has no identifier")?,
            constraints,
            not_before: pair::time(parsed.validity().not_before.timestamp()),
            not_after: pair::time(parsed.validity().not_after.timestamp()),
            certificate,
        })
    }

    pub(crate) fn not_after(&self) -> SystemTime {
        self.not_after
    }

    /// Eight hexadecimal digits that no other authority has.
    pub(crate) fn mark(&self) -> String {
        mark(&self.key_identifier)
    }

    /// What it may sign besides what is never public.
    pub(crate) fn beyond(&self) -> Vec<String> {
        self.constraints.beyond()
    }

    /// As programs that keep roots read them (RFC 7468): lines of 64 characters.
    pub(crate) fn pem(&self) -> String {
        let encoded = base64_simd::STANDARD.encode_to_string(&self.certificate);
        let lines = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>();
        format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
    }

    /// Why it has to be replaced, if it has to. `leaf_lifetime`: a leaf does not outlive its authority.
    pub(super) fn outlived(&self, wanted: &Wanted, leaf_lifetime: Duration, now: SystemTime) -> Option<Why> {
        if is_plausible(now) {
            if now < self.not_before {
                return Some(Why::NotYetValid);
            }
            if now + leaf_lifetime > self.not_after {
                return Some(Why::Expired);
            }
        }
        let configured = wanted.configured.iter();
        let uncovered: Vec<String> =
            configured.filter(|name| !self.constraints.cover(name)).cloned().collect();
        (!uncovered.is_empty()).then_some(Why::Uncovered(uncovered))
    }

    /// What of the wanted it may sign.
    pub(super) fn covered(&self, wanted: &Wanted) -> Vec<String> {
        let all = wanted.configured.iter().chain(&wanted.found);
        all.filter(|name| self.constraints.cover(name)).cloned().collect()
    }
}

pub(super) fn mark(key_identifier: &[u8]) -> String {
    key_identifier.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

pub(super) fn is_plausible(now: SystemTime) -> bool {
    now >= SystemTime::UNIX_EPOCH + PLAUSIBLE_SINCE
}
