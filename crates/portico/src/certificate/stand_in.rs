//! A self-signed certificate for names that have none yet: clients refuse it, but the port answers, and the checks of a
//! certificate authority pass.

use std::time::SystemTime;

use rcgen::{CertificateParams, DnType, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::pair::{Pair, PairError};

const DAYS: i64 = 7;

/// In memory only, new at every start.
pub(crate) fn stand_in(names: &[String]) -> Result<Pair, PairError> {
    let bad = |error: rcgen::Error| PairError::BadCertificate(error.to_string());
    let names = if names.is_empty() { vec!["localhost".to_owned()] } else { names.to_vec() };
    let mut parameters = CertificateParams::new(names).map_err(bad)?;
    parameters.distinguished_name.push(DnType::CommonName, "Portico stand-in: no certificate yet");
    let now = time::OffsetDateTime::from(SystemTime::now());
    parameters.not_before = now - time::Duration::hours(1);
    parameters.not_after = now + time::Duration::days(DAYS);
    let key = KeyPair::generate().map_err(bad)?;
    let certificate = parameters.self_signed(&key).map_err(bad)?;
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let mut pair = Pair::new(vec![certificate.der().clone()], key)?;
    pair.is_stand_in = true;
    Ok(pair)
}
