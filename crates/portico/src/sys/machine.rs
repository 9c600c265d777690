//! What this machine is called and which addresses it has, as far as it knows itself: behind address translation its
//! public address is nowhere to be seen.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};

/// The host name, and the full name that `/etc/hosts` gives it where there is one. Lower case; nothing is asked of a
/// name server.
pub(crate) fn names() -> Vec<String> {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim().trim_end_matches('.').to_ascii_lowercase();
    if host.is_empty() || host == "(none)" {
        return Vec::new();
    }
    let full = full_name(&host, &fs::read_to_string("/etc/hosts").unwrap_or_default());
    std::iter::once(host).chain(full).collect()
}

/// The name in `/etc/hosts` that is the host name with a domain behind it.
fn full_name(host: &str, hosts: &str) -> Option<String> {
    let lines = hosts.lines().map(|line| line.split('#').next().unwrap_or_default());
    let mut names = lines.flat_map(|line| line.split_ascii_whitespace().skip(1)).map(str::to_ascii_lowercase);
    names.find(|name| name.strip_prefix(host).is_some_and(|rest| rest.len() > 1 && rest.starts_with('.')))
}

/// The addresses of all interfaces that somebody could type: without loopback, without IPv6 addresses that mean
/// nothing off their link, and without those that the kernel changes by itself (RFC 8981) or is about to give up.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let lasting = interfaces().into_iter().filter(|address| address.is_lasting);
    lasting.map(|address| address.ip).filter(|ip| !ip.is_loopback()).collect()
}

/// Every address of every interface, loopback too. Empty where `/proc` does not tell.
pub(crate) fn all_addresses() -> Vec<IpAddr> {
    interfaces().into_iter().map(|address| address.ip).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Address {
    ip: IpAddr,
    /// It means something off its link, and the kernel does not change it by itself.
    is_lasting: bool,
}

/// Those of the network namespace that this process runs in, each once.
fn interfaces() -> Vec<Address> {
    let mut addresses = parse_fib_trie(&fs::read_to_string("/proc/net/fib_trie").unwrap_or_default());
    addresses.extend(parse_if_inet6(&fs::read_to_string("/proc/net/if_inet6").unwrap_or_default()));
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// `|-- 192.0.2.2` and below it `/32 host LOCAL`: an address of this machine.
fn parse_fib_trie(table: &str) -> Vec<Address> {
    let mut found = Vec::new();
    let mut leaf: Option<IpAddr> = None;
    for line in table.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            leaf = address.parse().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(leaf.map(|ip| Address { ip, is_lasting: true }));
        }
    }
    found
}

/// Address, interface number, prefix length, scope, flags (`linux/if_addr.h`) and interface, all numbers hexadecimal.
fn parse_if_inet6(table: &str) -> Vec<Address> {
    const LINK_SCOPE: u8 = 0x20;
    /// Temporary, duplicate, deprecated or tentative.
    const PASSING: u32 = 0x01 | 0x08 | 0x20 | 0x40;
    let read = |line: &str| {
        let fields: Vec<&str> = line.split_ascii_whitespace().collect();
        let address = u128::from_str_radix(fields.first()?, 16).ok()?;
        let scope = u8::from_str_radix(fields.get(3)?, 16).ok()?;
        let flags = u32::from_str_radix(fields.get(4)?, 16).ok()?;
        let is_lasting = scope != LINK_SCOPE && flags & PASSING == 0;
        Some(Address { ip: Ipv6Addr::from(address).into(), is_lasting })
    };
    table.lines().filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_full_name_is_the_host_name_with_a_domain() {
        let hosts = "127.0.0.1 localhost\n127.0.1.1\tGPU.Example.org gpu # gpu.commented.out\n10.0.0.1 gpu2.example.org";
        assert_eq!(full_name("gpu", hosts).as_deref(), Some("gpu.example.org"));
        for host in ["gp", "localhost", "other", "gpu.example.org"] {
            assert_eq!(full_name(host, hosts), None, "{host}");
        }
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 127.0.0.0\n        /8 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     |-- 192.0.2.2\n        /32 host LOCAL\n     |-- 192.0.2.255\n        /32 link BROADCAST\n";
        let ips =
            |found: Vec<Address>| found.into_iter().map(|address| address.ip.to_string()).collect::<Vec<_>>();
        assert_eq!(ips(parse_fib_trie(trie)), ["127.0.0.1", "192.0.2.2"]);
        let six = "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n\
                   fd000000000000000000000000000002 04 40 00 82     eth0\n\
                   20010db8000000000000000000000001 04 40 00 01     eth0\n\
                   20010db8000000000000000000000002 04 40 00 00     eth0\n\
                   00000000000000000000000000000001 01 80 10 80       lo\nbroken\n";
        let found = parse_if_inet6(six);
        let lasting = found.iter().copied().filter(|address| address.is_lasting).collect();
        assert_eq!(ips(lasting), ["fd00::2", "2001:db8::2", "::1"]);
        assert_eq!(ips(found), ["fe80::fc:ff:fe00:1", "fd00::2", "2001:db8::1", "2001:db8::2", "::1"]);
    }

    #[test]
    fn an_address_is_listed_once_though_two_tables_have_it() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n        |-- 192.0.2.0\n           /24 link UNICAST\n        |-- 192.0.2.2\n           /32 host LOCAL\nLocal:\n        |-- 192.0.2.2\n           /32 host LOCAL\n";
        let mut found = parse_fib_trie(trie);
        found.dedup();
        assert_eq!(found, [Address { ip: [192, 0, 2, 2].into(), is_lasting: true }]);
    }

    #[test]
    fn loopback_is_among_those_of_this_machine_and_nobody_types_it() {
        let loopback = IpAddr::from([127, 0, 0, 1]);
        assert!(all_addresses().contains(&loopback), "{:?}", all_addresses());
        assert!(!addresses().contains(&loopback));
    }
}
