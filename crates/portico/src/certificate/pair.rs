//! A certificate chain with its private key, as it is handed to TLS, and what its leaf says.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64_simd::URL_SAFE_NO_PAD;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{Error as PemError, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer as _, GeneralName, ParsedExtension, X509Certificate};

use crate::types::{Text, text};

/// A chain and the key that belongs to it. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Pair {
    pub(crate) leaf: Arc<Leaf>,
    /// Self-signed for the time until there is another.
    pub(crate) is_stand_in: bool,
    certified: Arc<CertifiedKey>,
}

/// What the first certificate of a chain says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// DNS names, lower case, and addresses, in the certificate's order.
    pub(crate) names: Vec<String>,
    pub(crate) not_before: SystemTime,
    pub(crate) not_after: SystemTime,
    /// The issuer's organisation and common name, for people.
    pub(crate) issuer: String,
    /// In hexadecimal.
    pub(crate) serial: String,
    /// What its CA calls it when it is asked about renewal (RFC 9773, 4.1); `None`: it names no issuing key.
    pub(crate) renewal_id: Option<String>,
}

/// Why a chain and a key are not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PairError {
    NoCertificate,
    BadCertificate(String),
    NoKey,
    BadKey(String),
    /// The key is of another certificate.
    Mismatch,
    /// Clients go by the names in the certificate, and there are none.
    NoNames,
}

impl Pair {
    /// Both in PEM; either may hold the other as well, so that one file can be given for both.
    pub(crate) fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, PairError> {
        let chain: Vec<_> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| PairError::BadCertificate(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| match error {
            PemError::NoItemsFound => PairError::NoKey,
            other => PairError::BadKey(other.to_string()),
        })?;
        Self::new(chain, key)
    }

    pub(crate) fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, PairError> {
        let leaf = Leaf::read(chain.first().ok_or(PairError::NoCertificate)?)?;
        let provider = aws_lc_rs::default_provider();
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => PairError::Mismatch,
            rustls::Error::InvalidCertificate(error) => PairError::BadCertificate(format!("{error:?}")),
            other => PairError::BadKey(other.to_string()),
        })?;
        Ok(Self { leaf: Arc::new(leaf), is_stand_in: false, certified: Arc::new(certified) })
    }

    /// Leaf first.
    pub(super) fn chain(&self) -> &[CertificateDer<'static>] {
        &self.certified.cert
    }

    pub(crate) fn certified(&self) -> &Arc<CertifiedKey> {
        &self.certified
    }
}

impl Leaf {
    pub(crate) fn read(certificate: &CertificateDer<'_>) -> Result<Self, PairError> {
        let bad = |error: String| PairError::BadCertificate(error);
        let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| bad(error.to_string()))?;
        let alternatives = parsed.subject_alternative_name().map_err(|error| bad(error.to_string()))?;
        let names: Vec<String> = alternatives
            .iter()
            .flat_map(|extension| &extension.value.general_names)
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                GeneralName::IPAddress(octets) => address(octets).map(|address| address.to_string()),
                _ => None,
            })
            .collect();
        if names.is_empty() {
            return Err(PairError::NoNames);
        }
        let issuer = parsed.issuer();
        let part = |mut parts: Box<
            dyn Iterator<Item = &x509_parser::x509::AttributeTypeAndValue<'_>> + '_,
        >| { parts.next().and_then(|part| part.as_str().ok()).map(str::to_owned) };
        let organisation = part(Box::new(issuer.iter_organization()));
        let common_name = part(Box::new(issuer.iter_common_name()));
        let issuing_key = parsed.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(identifier) => identifier.key_identifier.as_ref(),
            _ => None,
        });
        let encoded = |bytes: &[u8]| URL_SAFE_NO_PAD.encode_to_string(bytes);
        let renewal_id =
            issuing_key.map(|key| format!("{}.{}", encoded(key.0), encoded(parsed.raw_serial())));
        Ok(Self {
            names,
            renewal_id,
            not_before: time(parsed.validity().not_before.timestamp()),
            not_after: time(parsed.validity().not_after.timestamp()),
            issuer: organisation.into_iter().chain(common_name).collect::<Vec<_>>().join(" "),
            serial: parsed.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
        })
    }

    pub(crate) fn lifetime(&self) -> Duration {
        self.not_after.duration_since(self.not_before).unwrap_or_default()
    }

    /// Whether a client that asks for this name or address would accept the certificate for it (RFC 9525: a wildcard
    /// stands for exactly one label).
    pub(crate) fn covers(&self, name: &str) -> bool {
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        self.names.iter().any(|known| match known.strip_prefix("*.") {
            Some(zone) => name.split_once('.').is_some_and(|(label, rest)| !label.is_empty() && rest == zone),
            None => *known == name,
        })
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    <[u8; 4]>::try_from(octets)
        .map(IpAddr::from)
        .or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from))
        .ok()
}

/// A time of X.509; what is before 1970 is 1970.
pub(super) fn time(seconds: i64) -> SystemTime {
    match u64::try_from(seconds) {
        Ok(seconds) => SystemTime::UNIX_EPOCH + Duration::from_secs(seconds),
        Err(_) => SystemTime::UNIX_EPOCH,
    }
}

impl PairError {
    /// What is wrong, to stand behind the name of the file.
    pub(crate) fn text(&self) -> Text {
        match self {
            Self::NoCertificate => text!("there is no certificate in it", "其中没有证书"),
            Self::BadCertificate(error) => {
                text!("the certificate can't be read: {error}", "无法读取证书:{error}")
            }
            Self::NoKey => text!("there is no private key in it", "其中没有私钥"),
            Self::BadKey(error) => text!("the private key can't be used: {error}", "无法使用该私钥:{error}"),
            Self::Mismatch => {
                text!("the private key is of another certificate", "私钥属于另一张证书,与此证书不匹配")
            }
            Self::NoNames => text!(
                "the certificate names no host (it has no subjectAltName)",
                "证书中没有主机名(缺少 subjectAltName)"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pem(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    #[test]
    fn a_pair_knows_its_names_and_lifetime() {
        let (chain, key) = pem(&["Chat.Example.com", "*.example.org", "192.0.2.1", "2001:db8::1"]);
        let pair = Pair::from_pem(chain.as_bytes(), key.as_bytes()).unwrap();
        assert_eq!(pair.leaf.names, ["chat.example.com", "*.example.org", "192.0.2.1", "2001:db8::1"]);
        assert!(pair.leaf.lifetime() > Duration::from_secs(86_400));
        for (name, wanted) in [
            ("chat.example.com", true),
            ("CHAT.example.com.", true),
            ("other.example.com", false),
            ("a.example.org", true),
            ("a.b.example.org", false),
            ("example.org", false),
            (".example.org", false),
            ("192.0.2.1", true),
            ("2001:db8::1", true),
        ] {
            assert_eq!(pair.leaf.covers(name), wanted, "{name}");
        }
        let one_file = format!("{key}{chain}");
        assert!(Pair::from_pem(one_file.as_bytes(), one_file.as_bytes()).is_ok());
    }

    #[test]
    fn what_does_not_belong_together_is_refused() {
        let ((chain, key), (_, other)) = (pem(&["a.example"]), pem(&["a.example"]));
        let refused = |chain: &str, key: &str| Pair::from_pem(chain.as_bytes(), key.as_bytes()).unwrap_err();
        assert_eq!(refused(&chain, &other), PairError::Mismatch);
        assert_eq!(refused("", &key), PairError::NoCertificate);
        assert_eq!(refused(&chain, ""), PairError::NoKey);
        assert_eq!(refused(&chain, &chain), PairError::NoKey);
        let torn = &chain[..chain.len() / 2];
        assert!(matches!(refused(torn, &key), PairError::BadCertificate(_) | PairError::NoCertificate));
    }
}
