//! The addresses that clients come by where there is no name.

use std::net::IpAddr;

use crate::config::{Config, Issuer};
use crate::fetch::is_public;
use crate::sys::machine;

/// Those that are bound, where a wildcard stands for this machine's own. A public CA signs for public ones only; a private one is
/// asked for any that stands in the configuration.
pub(super) fn public(config: &Config) -> Vec<IpAddr> {
    let is_private_ca = matches!(config.tls.issuer, Issuer::Directory(_));
    let bound: Vec<IpAddr> = config
        .listen
        .https
        .iter()
        .chain(&config.listen.http)
        .map(|address| address.ip().to_canonical())
        .collect();
    let written = bound.iter().filter(|address| !address.is_unspecified() && is_private_ca);
    let anywhere =
        |four: bool| bound.iter().any(|address| address.is_unspecified() && address.is_ipv4() == four);
    let own = machine::addresses();
    let own = own.iter().filter(|address| anywhere(address.is_ipv4()));
    let public = bound.iter().chain(own).filter(|address| is_public(**address));
    let mut addresses = Vec::new();
    for address in written.chain(public) {
        if !addresses.contains(address) {
            addresses.push(*address);
        }
    }
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_global() {
        for (address, wanted) in [
            ("8.8.8.8", true),
            ("0.0.0.0", false),
            ("10.1.2.3", false),
            ("100.64.0.1", false),
            ("127.0.0.1", false),
            ("203.0.113.9", false),
            ("2606:4700::1", true),
            ("2001:db8::1", false),
            ("fd00::1", false),
            ("fe80::1", false),
            ("::1", false),
            ("::", false),
        ] {
            assert_eq!(is_public(address.parse().unwrap()), wanted, "{address}");
        }
    }
}
