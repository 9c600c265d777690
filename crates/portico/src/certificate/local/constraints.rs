//! What the local authority may sign (RFC 5280, 4.2.1.10). Whoever trusts its root trusts it for these names and addresses
//! alone: with a stolen key nobody can pose as a bank.

use std::net::IpAddr;

use ipnet::IpNet;
use rcgen::{CidrSubnet, GeneralSubtree, NameConstraints};
use x509_parser::extensions::{GeneralName, GeneralSubtree as Subtree, NameConstraints as Written};

/// Names that never are public: RFC 6761 and 6762, RFC 8375, ICANN's resolution on `internal`, and what routers use.
const ZONES: [&str; 5] = ["localhost", "local", "lan", "home.arpa", "internal"];
/// Addresses that never are public: loopback, RFC 1918, RFC 6598 (Tailscale too), RFC 3927, RFC 4193, RFC 4291.
const NETWORKS: [&str; 9] = [
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "169.254.0.0/16",
    "fc00::/7",
    "fe80::/10",
];

/// A name permits itself and all below it; a name with a leading dot, which RFC 5280 does not define but all verifiers read
/// the same way, means only what is below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Constraints {
    permitted: Vec<String>,
    excluded: Vec<String>,
    networks: Vec<IpNet>,
}

impl Constraints {
    /// What is never public, and beyond that exactly these. A machine may be called `dev`, so that what is below a single
    /// name has to be excluded again: `*.dev` is half of the public web.
    pub(super) fn around<'a>(names: impl IntoIterator<Item = &'a String>) -> Self {
        let networks = NETWORKS.iter().map(|network| network.parse().expect("written as networks"));
        let mut constraints = Self {
            permitted: ZONES.map(str::to_owned).to_vec(),
            excluded: Vec::new(),
            networks: networks.collect(),
        };
        let beyond: Vec<&String> = names.into_iter().filter(|name| !constraints.cover(name)).collect();
        for name in &beyond {
            if let Ok(address) = name.parse::<IpAddr>() {
                constraints.networks.push(IpNet::from(address));
                continue;
            }
            constraints.permitted.push((*name).clone());
            let below = format!(".{name}");
            if !beyond.iter().any(|other| other.ends_with(&below)) {
                constraints.excluded.push(below);
            }
        }
        constraints
    }

    /// As they stand in a certificate; `None`: it has none, and may sign everything.
    pub(super) fn read(written: Option<&Written<'_>>) -> Option<Self> {
        let (permitted, excluded) = (&written?.permitted_subtrees, &written?.excluded_subtrees);
        let subtrees = |list: &Option<Vec<Subtree<'_>>>| -> (Vec<String>, Vec<IpNet>) {
            let bases = || list.iter().flatten().map(|subtree| &subtree.base);
            let names = bases().filter_map(|base| match base {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            });
            let networks = bases().filter_map(|base| match base {
                GeneralName::IPAddress(octets) => network(octets),
                _ => None,
            });
            (names.collect(), networks.collect())
        };
        let ((permitted, networks), (excluded, _)) = (subtrees(permitted), subtrees(excluded));
        Some(Self { permitted, excluded, networks })
    }

    pub(super) fn cover(&self, name: &str) -> bool {
        match name.parse::<IpAddr>() {
            Ok(address) => self.networks.iter().any(|network| network.contains(&address)),
            Err(_) => {
                let within = |bases: &[String]| bases.iter().any(|base| is_within(name, base));
                within(&self.permitted) && !within(&self.excluded)
            }
        }
    }

    /// What is permitted besides what is never public.
    pub(super) fn beyond(&self) -> Vec<String> {
        let never_public = Self::around([]);
        let names = self.permitted.iter().filter(|name| !never_public.permitted.contains(name)).cloned();
        let networks = self.networks.iter().filter(|network| !never_public.networks.contains(network));
        let shown = networks.map(|network| match network.prefix_len() == network.max_prefix_len() {
            true => network.addr().to_string(),
            false => network.to_string(),
        });
        names.chain(shown).collect()
    }

    pub(super) fn written(&self) -> NameConstraints {
        let names = |names: &[String]| names.iter().cloned().map(GeneralSubtree::DnsName).collect::<Vec<_>>();
        let networks = self.networks.iter().map(|network| {
            GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(network.network(), network.prefix_len()))
        });
        NameConstraints {
            permitted_subtrees: names(&self.permitted).into_iter().chain(networks).collect(),
            excluded_subtrees: names(&self.excluded),
        }
    }
}

fn is_within(name: &str, base: &str) -> bool {
    match name.strip_suffix(base) {
        Some("") => true,
        Some(rest) => base.starts_with('.') || rest.ends_with('.'),
        None => false,
    }
}

/// Address and mask, one behind the other.
fn network(octets: &[u8]) -> Option<IpNet> {
    let (address, mask) = octets.split_at(octets.len() / 2);
    let ip = |octets: &[u8]| {
        let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
        four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
    };
    IpNet::with_netmask(ip(address)?, ip(mask)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn around(names: &[&str]) -> Constraints {
        Constraints::around(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn only_what_is_never_public_is_covered_unasked() {
        let constraints = around(&[]);
        for (name, covered) in [
            ("localhost", true),
            ("portico.localhost", true),
            ("gpu.local", true),
            ("gpu.lan", true),
            ("lan", true),
            ("gpu.home.arpa", true),
            ("gpu.corp.internal", true),
            ("127.0.0.1", true),
            ("::1", true),
            ("10.9.8.7", true),
            ("172.31.0.1", true),
            ("172.32.0.1", false),
            ("192.168.0.1", true),
            ("100.100.1.1", true),
            ("fd00::1", true),
            ("8.8.8.8", false),
            ("2001:db8::1", false),
            ("::2", false),
            ("gpu", false),
            ("example.com", false),
            ("notlocalhost", false),
            ("arpa", false),
            ("local.example.com", false),
        ] {
            assert_eq!(constraints.cover(name), covered, "{name}");
        }
    }

    #[test]
    fn what_was_asked_for_is_covered_to_the_letter() {
        let constraints = around(&[
            "dev",
            "chat.example.com",
            "203.0.113.9",
            "2001:db8::9",
            "gpu.lan",
            "a.example.org",
            "example.org",
        ]);
        for (name, covered) in [
            ("dev", true),
            ("web.dev", false),
            ("chat.example.com", true),
            ("a.chat.example.com", false),
            ("example.com", false),
            ("203.0.113.9", true),
            ("203.0.113.8", false),
            ("2001:db8::9", true),
            ("2001:db8::8", false),
            ("gpu.lan", true),
            ("a.gpu.lan", true),
            ("example.org", true),
            ("a.example.org", true),
            ("b.a.example.org", false),
        ] {
            assert_eq!(constraints.cover(name), covered, "{name}");
        }
    }
}
