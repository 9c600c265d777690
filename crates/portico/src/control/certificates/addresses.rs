//! The addresses that clients come by where there is no name.

use std::net::IpAddr;

use crate::config::{Config, Issuer};

/// Those that are bound by name. A public CA signs for public ones only; a private one is asked for any.
pub(super) fn public(config: &Config) -> Vec<IpAddr> {
    let is_private_ca = matches!(config.tls.issuer, Issuer::Directory(_));
    let mut addresses = Vec::new();
    for address in config.listen.https.iter().chain(&config.listen.http) {
        let address = address.ip().to_canonical();
        let is_public = !address.is_unspecified() && (is_private_ca || is_global(address));
        if is_public && !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    addresses
}

/// Not of this machine, of this network, or of nobody.
fn is_global(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => {
            !(address.is_private()
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
