//! Certificate authorities: where their directories are, and what they limit.

use std::time::Duration;

use crate::config::Issuer;

/// A CA that speaks ACME.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// As the configuration names it, for people.
    pub(crate) name: String,
    pub(crate) directory: String,
    pub(crate) limits: Limits,
    pub(crate) issuer: Issuer,
}

/// How often the CA lets one account try. `None`: it says of no such limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Orders of an account.
    pub(crate) orders: Option<Rate>,
    /// Certificates for exactly the same names.
    pub(crate) same_names: Option<Rate>,
    /// Failed checks of one name.
    pub(crate) failed_checks: Option<Rate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rate {
    pub(crate) most: u32,
    pub(crate) within: Duration,
}

const HOUR: Duration = Duration::from_secs(3600);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// letsencrypt.org/docs/rate-limits, November 2026.
const LETS_ENCRYPT: Limits = Limits {
    orders: Some(Rate { most: 300, within: Duration::from_secs(3 * 3600) }),
    same_names: Some(Rate { most: 5, within: WEEK }),
    failed_checks: Some(Rate { most: 5, within: HOUR }),
};
/// letsencrypt.org/docs/staging-environment, November 2026.
const LETS_ENCRYPT_STAGING: Limits = Limits {
    orders: Some(Rate { most: 1500, within: Duration::from_secs(3 * 3600) }),
    same_names: Some(Rate { most: 30_000, within: WEEK }),
    failed_checks: Some(Rate { most: 200, within: HOUR }),
};

const LETS_ENCRYPT_DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";
const LETS_ENCRYPT_STAGING_DIRECTORY: &str = "https://acme-staging-v02.api.letsencrypt.org/directory";
pub(crate) const ZERO_SSL_DIRECTORY: &str = "https://acme.zerossl.com/v2/DV90";

impl Authority {
    /// `None`: not one that speaks ACME.
    pub(crate) fn of(issuer: &Issuer) -> Option<Self> {
        let (name, directory, limits) = match issuer {
            Issuer::LetsEncrypt => ("letsencrypt", LETS_ENCRYPT_DIRECTORY, LETS_ENCRYPT),
            Issuer::LetsEncryptStaging => {
                ("letsencrypt-staging", LETS_ENCRYPT_STAGING_DIRECTORY, LETS_ENCRYPT_STAGING)
            }
            Issuer::ZeroSsl => ("zerossl", ZERO_SSL_DIRECTORY, Limits::default()),
            Issuer::Directory(url) => (url.as_str(), url.as_str(), Limits::default()),
            Issuer::Local | Issuer::Files | Issuer::Off => return None,
        };
        Some(Self { name: name.to_owned(), directory: directory.to_owned(), limits, issuer: issuer.clone() })
    }

    /// Where a dry run goes: a CA's own place for trying, or the CA itself where it has none.
    pub(crate) fn for_trying(issuer: &Issuer) -> Option<Self> {
        match issuer {
            Issuer::LetsEncrypt => Self::of(&Issuer::LetsEncryptStaging),
            other => Self::of(other),
        }
    }
}
