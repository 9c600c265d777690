//! The addresses of this machine's interfaces, as `/proc` shows them: those of the network namespace that it runs in.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Every one, loopback too. Empty where `/proc` does not tell.
pub(super) fn addresses() -> Vec<IpAddr> {
    let v4 = fs::read_to_string("/proc/net/fib_trie").unwrap_or_default();
    let v6 = fs::read_to_string("/proc/net/if_inet6").unwrap_or_default();
    parse_v4(&v4).into_iter().map(IpAddr::V4).chain(parse_v6(&v6).into_iter().map(IpAddr::V6)).collect()
}

/// Two lines each: `|-- 192.0.2.2`, then `/32 host LOCAL`. The main and the local table both have them.
fn parse_v4(trie: &str) -> Vec<Ipv4Addr> {
    let mut found: Vec<Ipv4Addr> = Vec::new();
    let mut last = None;
    for line in trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse().ok();
        } else if line == "/32 host LOCAL"
            && let Some(address) = last
            && !found.contains(&address)
        {
            found.push(address);
        }
    }
    found
}

/// The first field is the address as 32 hexadecimal digits.
fn parse_v6(table: &str) -> Vec<Ipv6Addr> {
    let fields = table.lines().filter_map(|line| line.split_ascii_whitespace().next());
    fields.filter_map(|digits| Some(Ipv6Addr::from_bits(u128::from_str_radix(digits, 16).ok()?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_of_the_kernel_are_read() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     +-- 192.0.2.0/24 2 0 2\n        |-- 192.0.2.0\n           /24 link UNICAST\n        |-- 192.0.2.2\n           /32 host LOCAL\n        |-- 192.0.2.255\n           /32 link BROADCAST\nLocal:\n        |-- 192.0.2.2\n           /32 host LOCAL\n";
        assert_eq!(parse_v4(trie), [Ipv4Addr::new(192, 0, 2, 2)]);
        let table = "fd000000000000000000000000000002 04 40 00 82     eth0\n00000000000000000000000000000001 01 80 10 80       lo\nbroken\n";
        let wanted: [Ipv6Addr; 2] = ["fd00::2".parse().unwrap(), Ipv6Addr::LOCALHOST];
        assert_eq!(parse_v6(table), wanted);
    }

    #[test]
    fn loopback_is_among_those_of_this_machine() {
        assert!(addresses().contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)), "{:?}", addresses());
    }
}
