//! Adds and removes TXT records at whoever holds a zone, by the `dns-update` library.
//!
//! A crate of its own for the time its build takes: the library's futures hold the code of some sixty providers each,
//! and a compiler that is told to make it fast puts it into whoever polls them, and works on that for minutes. Here they
//! are behind a pointer, and the workspace's profile asks for little (DNS is waited for in seconds).

use std::pin::Pin;

use dns_update::{DnsRecord, DnsRecordType, DnsUpdater};

/// A change on its way to the provider.
pub type Change<'a> = Pin<Box<dyn Future<Output = dns_update::Result<()>> + Send + 'a>>;

/// Adds a value to those at `name`, an absolute name in `zone`, for so many seconds.
#[must_use]
pub fn add(
    updater: &DnsUpdater,
    name: String,
    zone: String,
    value: String,
    time_to_live_secs: u32,
) -> Change<'_> {
    let records = vec![DnsRecord::TXT(value)];
    Box::pin(updater.add_to_rrset(name, DnsRecordType::TXT, time_to_live_secs, records, zone))
}

/// Removes a value from those at `name`.
#[must_use]
pub fn remove(updater: &DnsUpdater, name: String, zone: String, value: String) -> Change<'_> {
    let records = vec![DnsRecord::TXT(value)];
    Box::pin(updater.remove_from_rrset(name, DnsRecordType::TXT, records, zone))
}
