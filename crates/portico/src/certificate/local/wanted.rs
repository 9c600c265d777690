//! Which names and addresses the local certificate is for.

use std::net::{IpAddr, SocketAddr};

use crate::sys::machine;

/// A machine with many containers has hundreds of addresses; a certificate with all of them would be slow to send.
const MOST_FOUND: usize = 64;

/// Names in lower case, and addresses as they are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What the configuration asks for, and loopback. An authority that may not sign all of these is replaced.
    pub(super) configured: Vec<String>,
    /// What this machine happens to be called and to have. An authority stays as it is when these change: what it may
    /// not sign is left out.
    pub(super) found: Vec<String>,
    /// The machine's own name, for people.
    pub(super) host: String,
}

impl Wanted {
    /// `names` are the site's, `listeners` where https is served.
    pub(crate) fn of_this_machine(names: &[String], listeners: &[SocketAddr]) -> Self {
        Self::new(names, listeners, &machine::names(), &machine::addresses())
    }

    /// A listener on a wildcard is reached at every address of its family.
    pub(super) fn new(
        names: &[String],
        listeners: &[SocketAddr],
        host: &[String],
        addresses: &[IpAddr],
    ) -> Self {
        let mut configured = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        configured.extend(names.iter().map(|name| name.to_ascii_lowercase()).filter(|name| is_name(name)));
        let bound: Vec<IpAddr> = listeners.iter().map(|listener| listener.ip().to_canonical()).collect();
        let typed = bound.iter().filter(|address| !address.is_unspecified() && !is_link_local(address));
        configured.extend(typed.map(ToString::to_string));

        let mut found: Vec<String> = host.iter().filter(|name| is_name(name)).cloned().collect();
        let short = host.first().and_then(|name| name.split('.').next()).filter(|name| is_name(name));
        found.extend(short.map(|name| format!("{name}.local")));
        // `[::]` is bound for IPv6 alone, as `0.0.0.0` is for IPv4.
        let anywhere =
            |four: bool| bound.iter().any(|address| address.is_unspecified() && address.is_ipv4() == four);
        let reached = addresses.iter().filter(|address| anywhere(address.is_ipv4()));
        found.extend(reached.take(MOST_FOUND).map(ToString::to_string));

        let configured = once_each(configured, &[]);
        let found = once_each(found, &configured);
        let host = host.first().cloned().unwrap_or_else(|| "localhost".to_owned());
        Self { configured, found, host }
    }
}

fn once_each(names: Vec<String>, known: &[String]) -> Vec<String> {
    let mut kept = Vec::with_capacity(names.len());
    for name in names {
        if !kept.contains(&name) && !known.contains(&name) {
            kept.push(name);
        }
    }
    kept
}

/// Addresses of one link only; nobody can type them without naming the interface.
fn is_link_local(address: &IpAddr) -> bool {
    matches!(address, IpAddr::V6(address) if address.is_unicast_link_local())
}

/// What clients accept as a name in a certificate. A last label of digits would be read as an address (WHATWG URL).
fn is_name(name: &str) -> bool {
    let fine = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let last = name.rsplit('.').next().unwrap_or_default();
    name.len() <= 253 && name.split('.').all(fine) && !last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(names: &[&str], listeners: &[&str], host: &[&str]) -> Wanted {
        let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        let listeners: Vec<SocketAddr> = listeners.iter().map(|text| text.parse().unwrap()).collect();
        let addresses: Vec<IpAddr> =
            ["192.168.1.5", "203.0.113.9", "2001:db8::5"].iter().map(|text| text.parse().unwrap()).collect();
        Wanted::new(&owned(names), &listeners, &owned(host), &addresses)
    }

    #[test]
    fn loopback_and_the_machines_name_are_always_wanted() {
        let wanted = wanted(&[], &["127.0.0.1:8443"], &["gpu", "gpu.example.org"]);
        assert_eq!(wanted.configured, ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(wanted.found, ["gpu", "gpu.example.org", "gpu.local"]);
        assert_eq!(wanted.host, "gpu");
    }

    #[test]
    fn wildcards_stand_for_the_addresses_of_their_family() {
        let found = |listeners: &[&str]| wanted(&[], listeners, &[]).found;
        assert_eq!(found(&["0.0.0.0:443"]), ["192.168.1.5", "203.0.113.9"]);
        assert_eq!(found(&["[::]:443"]), ["2001:db8::5"]);
        let bound =
            wanted(&["Chat.LAN"], &["192.168.1.5:443", "[fe80::1]:443", "[::ffff:10.0.0.1]:1"], &["a.lan"]);
        assert_eq!(bound.configured[3..], ["chat.lan", "192.168.1.5", "10.0.0.1"]);
        assert_eq!(bound.found, ["a.lan", "a.local"]);
    }

    #[test]
    fn what_no_client_takes_for_a_name_is_left_out() {
        for (name, fine) in [
            ("gpu", true),
            ("gpu_1", true),
            ("gpu.1a", true),
            ("gpu.1", false),
            ("127", false),
            ("-a", false),
            ("a..b", false),
            ("a b", false),
            ("", false),
        ] {
            assert_eq!(is_name(name), fine, "{name}");
            assert_eq!(wanted(&[], &[], &[name]).found.iter().any(|found| found == name), fine, "{name}");
        }
        assert_eq!(wanted(&[], &[], &[]).host, "localhost");
    }
}
