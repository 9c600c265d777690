//! The two certificates that are made: the authority's own, and the one that is served.

use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256,
};
use rustls::pki_types::CertificateDer;
use time::OffsetDateTime;

use super::constraints::Constraints;

/// Every authority's name begins so.
const NAME_BEGINS: &str = "Portico local CA";
const DAY: Duration = Duration::from_secs(86_400);
/// Trust is given by hand, so it should not have to be given often.
const AUTHORITY_LIFETIME: Duration = DAY.saturating_mul(3650);
/// Below every limit of clients: Apple takes at most 825 days from private authorities (support.apple.com/102028).
pub(super) const LEAF_LIFETIME: Duration = DAY.saturating_mul(90);
/// For clients whose clock is behind.
const BACKDATED: Duration = Duration::from_secs(3600);
/// A common name has at most 64 characters (RFC 5280, `ub-common-name`); this leaves room for the rest.
const HOST_CHARACTERS: usize = 32;

pub(super) struct Made {
    pub(super) certificate: CertificateDer<'static>,
    pub(super) pem: String,
    pub(super) key: KeyPair,
}

/// Signs nothing but leaves (`pathlen:0`), and those only for what its constraints permit.
pub(super) fn authority(
    host: &str,
    constraints: &Constraints,
    now: SystemTime,
) -> Result<Made, rcgen::Error> {
    let mut parameters = lasting(now, now + AUTHORITY_LIFETIME);
    let host: String = host.chars().take(HOST_CHARACTERS).collect();
    let day = OffsetDateTime::from(now).date();
    let name = format!("{NAME_BEGINS} ({host}, {day})");
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    // Two authorities with one subject would be one for NSS, which goes by it.
    let mark = super::root::mark(&parameters.key_identifier(&key));
    parameters.distinguished_name.push(DnType::OrganizationalUnitName, mark);
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    parameters.name_constraints = Some(constraints.written());
    let certificate = parameters.self_signed(&key)?;
    Ok(Made { pem: certificate.pem(), certificate: certificate.into(), key })
}

/// A server's certificate with a key of its own.
pub(super) fn leaf(
    issuer: &Issuer<'_, KeyPair>,
    names: Vec<String>,
    now: SystemTime,
) -> Result<Made, rcgen::Error> {
    let mut parameters = CertificateParams::new(names)?;
    let lasting = lasting(now, now + LEAF_LIFETIME);
    (parameters.not_before, parameters.not_after) = (lasting.not_before, lasting.not_after);
    parameters.distinguished_name = lasting.distinguished_name;
    parameters.distinguished_name.push(DnType::CommonName, "Portico");
    parameters.is_ca = IsCa::ExplicitNoCa;
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let certificate = parameters.signed_by(&key, issuer)?;
    Ok(Made { pem: certificate.pem(), certificate: certificate.into(), key })
}

/// With an empty subject.
fn lasting(now: SystemTime, until: SystemTime) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = rcgen::DistinguishedName::new();
    parameters.not_before = OffsetDateTime::from(now.checked_sub(BACKDATED).unwrap_or(now));
    parameters.not_after = OffsetDateTime::from(until);
    parameters
}
