//! The addresses that clients come by where there is no name.

use std::net::IpAddr;

use crate::config::{Config, Issuer};
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
    let global = bound.iter().chain(own).filter(|address| is_global(**address));
    let mut addresses = Vec::new();
    for address in written.chain(global) {
        if !addresses.contains(address) {
            addresses.push(*address);
        }
    }
    addresses
}

/// Not of this machine, of this network, or of nobody.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_unspecified()
                || address.is_private()
                || address.is_loopback()
                || address.is_link_local()
                || address.is_broadcast()
                || address.is_documentation()
                || address.is_multicast()
                || (address.octets()[0] == 100 && address.octets()[1] & 0xc0 == 64))
        }
        IpAddr::V6(address) => {
            let first = address.segments()[0];
            first & 0xe000 == 0x2000 && !(first == 0x2001 && address.segments()[1] == 0xdb8)
        }
    }
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
            assert_eq!(is_global(address.parse().unwrap()), wanted, "{address}");
        }
    }
}
