//! What the configuration says about ordering certificates.

use std::net::IpAddr;
use std::path::PathBuf;

use super::account::AccountSettings;
use super::authority::Authority;
use super::dns::DnsSettings;
use crate::config::{Challenge, Config, Issuer};

/// A change of any of it is another driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Public names; without them the addresses that clients come by.
    pub(crate) names: Vec<String>,
    pub(super) data_dir: PathBuf,
    pub(super) issuer: Issuer,
    pub(super) authority: Authority,
    pub(super) fallback: Option<Authority>,
    pub(super) challenge: Challenge,
    pub(super) profile: String,
    pub(super) account: AccountSettings,
    pub(super) dns: DnsSettings,
    pub(super) ca_file: Option<PathBuf>,
}

/// For an address Let's Encrypt signs only certificates of six days (letsencrypt.org/docs/profiles).
const FOR_ADDRESSES: &str = "shortlived";

impl Settings {
    /// `None`: the issuer is not one that is asked by ACME. `addresses`: of this machine, used where there are no names.
    pub(crate) fn of(config: &Config, addresses: &[IpAddr]) -> Option<Self> {
        let tls = &config.tls;
        let authority = Authority::of(&tls.issuer)?;
        let mut names: Vec<String> = config.site.names.iter().map(|name| name.host.clone()).collect();
        let mut profile = tls.profile.clone();
        if names.is_empty() {
            names = addresses.iter().map(ToString::to_string).collect();
            let is_lets_encrypt = matches!(tls.issuer, Issuer::LetsEncrypt | Issuer::LetsEncryptStaging);
            if profile.is_empty() && is_lets_encrypt {
                FOR_ADDRESSES.clone_into(&mut profile);
            }
        }
        Some(Self {
            names,
            data_dir: config.site.data_dir.clone(),
            issuer: tls.issuer.clone(),
            authority,
            fallback: tls
                .fallback
                .as_ref()
                .filter(|fallback| **fallback != tls.issuer)
                .and_then(Authority::of),
            challenge: tls.challenge,
            profile,
            account: AccountSettings {
                email: config.site.email.clone(),
                eab_kid: tls.eab_kid.clone(),
                eab_hmac_file: tls.eab_hmac_file.clone(),
            },
            dns: DnsSettings {
                provider: tls.dns_provider.clone(),
                credentials_file: tls.dns_credentials_file.clone(),
            },
            ca_file: tls.ca_file.clone(),
        })
    }

    pub(super) fn are_for_addresses(&self) -> bool {
        self.names.iter().any(|name| name.parse::<IpAddr>().is_ok())
    }

    /// The external account is the first CA's; another gives its own.
    pub(super) fn account_at(&self, authority: &Authority) -> AccountSettings {
        if *authority == self.authority {
            return self.account.clone();
        }
        AccountSettings { eab_kid: String::new(), eab_hmac_file: None, ..self.account.clone() }
    }
}
