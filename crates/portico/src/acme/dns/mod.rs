//! DNS-01: a TXT record at whoever holds the zone.
//!
//! `provider` is the list of those who do, `credentials` the file that each wants; `place` finds out where a record
//! belongs, and `seen` waits until everybody sees it. Writing is the `dns-update` library's work, by `zone-records`. A
//! record that others have put at the same name stays.

mod ask;
mod credentials;
mod place;
mod provider;
mod said;
mod seen;

use std::path::PathBuf;

use dns_update::DnsUpdater;
use tokio::time::Instant;

use self::ask::Names;
use self::credentials::{Credentials, Unusable};
use self::place::Place;
use self::provider::Provider;
use super::error::OrderError;
use crate::types::text;

/// `tls.dns`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DnsSettings {
    pub(crate) provider: String,
    pub(crate) credentials_file: Option<PathBuf>,
}

/// The records of one order. They stay until they are removed, also when this is dropped: then the next order at the
/// same names leaves them alone, and so does every CA, for which they prove nothing any more.
pub(super) struct Records {
    account: Account,
    written: Vec<(Place, String)>,
}

/// A provider, and what it takes to change a zone there.
struct Account {
    provider: &'static Provider,
    file: PathBuf,
    credentials: Credentials,
    updater: DnsUpdater,
    names: Names,
}

impl Records {
    /// None yet. The credentials are read anew for each order: they may have been put right since.
    pub(super) async fn none(settings: &DnsSettings) -> Result<Self, OrderError> {
        let settings = settings.clone();
        // It reads files, and the library panics where the system has no roots to trust.
        let opening = tokio::task::spawn_blocking(move || Account::open(&settings));
        let account = opening.await.map_err(|error| {
            said::failed(text!(
                "TLS towards the DNS provider can't be set up: {error}. Are root certificates installed (ca-certificates)?",
                "无法建立与 DNS 服务商的 TLS:{error}。是否已安装根证书(ca-certificates)?"
            ))
        })??;
        Ok(Self { account, written: Vec::new() })
    }

    /// Writes the value that proves `host`, and does not wait for it.
    pub(super) async fn publish(&mut self, host: &str, value: &str) -> Result<(), OrderError> {
        let Account { provider, file, credentials, updater, names } = &self.account;
        let place = Place::of(host, names).await.map_err(said::failed)?;
        let (name, zone) = (place.name.to_ascii(), place.zone.to_ascii());
        // Before it is tried: of a write that fails late, nobody knows what is left.
        self.written.push((place.clone(), value.to_owned()));
        zone_records::add(updater, name, zone, value.to_owned(), provider.time_to_live)
            .await
            .map_err(|error| said::refused(file, provider, credentials, &place, &error))
    }

    /// Until all name servers show all of them.
    pub(super) async fn are_seen(&self) -> Result<(), OrderError> {
        let since = Instant::now();
        for (place, value) in &self.written {
            seen::wait(place, value, &self.account.names, since).await.map_err(said::failed)?;
        }
        Ok(())
    }

    /// What can't be removed does no harm.
    pub(super) async fn remove(self) {
        let Account { credentials, updater, .. } = &self.account;
        for (place, value) in self.written {
            let (name, zone) = (place.name.to_ascii(), place.zone.to_ascii());
            if let Err(error) = zone_records::remove(updater, name.clone(), zone, value).await {
                let error = credentials.without_secrets(&error.to_string());
                tracing::debug!(name, error, "a record in DNS can't be removed");
            }
        }
    }
}

impl Account {
    fn open(settings: &DnsSettings) -> Result<Self, OrderError> {
        let name = &settings.provider;
        let (Some(provider), Some(file)) = (provider::find(name), &settings.credentials_file) else {
            return Err(said::failed(text!(
                "tls.dns names no provider with a credentials file",
                "tls.dns 未指定带凭据文件的服务商"
            )));
        };
        let opened = Credentials::read(file, provider).and_then(|credentials| {
            let updater = provider.open(&credentials).map_err(Unusable::Wrong)?;
            Ok((credentials, updater))
        });
        let (credentials, updater) = opened.map_err(|why| said::unusable(file, provider, why))?;
        let names = Names::new(provider.server(&credentials));
        Ok(Self { provider, file: file.clone(), credentials, updater, names })
    }
}
