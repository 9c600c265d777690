//! DNS-01: a TXT record at whoever holds the zone.

use std::path::PathBuf;

use super::error::OrderError;
use crate::types::text;

/// `tls.dns`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DnsSettings {
    pub(crate) provider: String,
    pub(crate) credentials_file: Option<PathBuf>,
}

/// A record that was written; it stays until it is removed.
#[derive(Debug)]
pub(super) struct Record {}

pub(super) async fn publish(
    _settings: &DnsSettings,
    _name: &str,
    _value: &str,
) -> Result<Record, OrderError> {
    Err(OrderError::here("dns", text!("dns-01 is not built yet", "dns-01 尚未实现")))
}

impl Record {
    pub(super) async fn is_seen(&self) -> Result<(), OrderError> {
        Ok(())
    }

    pub(super) async fn remove(self) {}
}
