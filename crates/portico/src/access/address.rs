//! Whose address a request counts as: the transport peer, unless the peer is a proxy that was named as trusted.

use std::net::IpAddr;

use http::HeaderMap;
use ipnet::IpNet;

/// The right-most address of `X-Forwarded-For` that is not itself a trusted proxy; everything left of it could
/// have been written by anybody. A value that can't be read ends the search at the last address that could.
pub(crate) fn client_address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let peer = peer.to_canonical();
    let is_trusted = |address: &IpAddr| trusted.iter().any(|net| net.contains(address));
    if !is_trusted(&peer) {
        return peer;
    }
    let mut client = peer;
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or("?")).collect();
    for item in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = parse(item.trim()) else { break };
        client = address;
        if !is_trusted(&client) {
            break;
        }
    }
    client
}

/// Whether the transport peer is a proxy that was named as trusted.
pub(crate) fn is_trusted(peer: IpAddr, trusted: &[IpNet]) -> bool {
    let peer = peer.to_canonical();
    trusted.iter().any(|net| net.contains(&peer))
}

/// The `X-Forwarded-For` that the model server gets: what a trusted proxy said and the proxy itself; from anybody
/// else only the address that was seen.
pub(crate) fn forwarded_chain(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> String {
    const LONGEST_BYTES: usize = 1024;
    if !is_trusted(peer, trusted) {
        return peer.to_canonical().to_string();
    }
    let peer = peer.to_canonical();
    let lines: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let chain = lines.join(", ");
    if chain.is_empty() || chain.len() > LONGEST_BYTES {
        return format!("{}, {peer}", client_address(peer, headers, trusted));
    }
    format!("{chain}, {peer}")
}

/// An address as proxies write it: bare, `[v6]`, or with a port.
fn parse(text: &str) -> Option<IpAddr> {
    let address: IpAddr = if let Ok(address) = text.parse() {
        address
    } else if let Ok(socket) = text.parse::<std::net::SocketAddr>() {
        socket.ip()
    } else {
        text.strip_prefix('[')?.strip_suffix(']')?.parse().ok()?
    };
    Some(address.to_canonical())
}

/// Whether the host of a `Host` or an `Origin`, without its port, names this machine: `localhost` or a loopback
/// address. Anything else in local mode is a tunnel or a rebound DNS name.
pub(crate) fn is_loopback_authority(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(peer: &str, forwarded: &[&str], trusted: &[&str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let trusted: Vec<IpNet> = trusted.iter().map(|net| net.parse().unwrap()).collect();
        client_address(peer.parse().unwrap(), &headers, &trusted).to_string()
    }

    #[test]
    fn only_trusted_proxies_are_believed() {
        let proxies = &["10.0.0.0/8"];
        for (peer, forwarded, trusted, wanted) in [
            ("203.0.113.9", &["1.2.3.4"][..], &proxies[..], "203.0.113.9"),
            ("10.0.0.1", &["1.2.3.4"], &proxies[..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4"], &proxies[..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"], &proxies[..], "1.2.3.4"),
            ("10.0.0.1", &["6.6.6.6", "1.2.3.4"], &proxies[..], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4:5678"], &proxies[..], "1.2.3.4"),
            ("10.0.0.1", &["[2001:db8::1]:5678"], &proxies[..], "2001:db8::1"),
            ("10.0.0.1", &["::ffff:1.2.3.4"], &proxies[..], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4, nonsense"], &proxies[..], "10.0.0.1"),
            ("10.0.0.1", &[], &proxies[..], "10.0.0.1"),
            ("::ffff:10.0.0.1", &["1.2.3.4"], &proxies[..], "1.2.3.4"),
            ("10.0.0.1", &["1.2.3.4"], &[], "10.0.0.1"),
        ] {
            assert_eq!(client(peer, forwarded, trusted), wanted, "{peer} {forwarded:?}");
        }
    }

    #[test]
    fn loopback_names() {
        for (host, wanted) in [
            ("localhost", true),
            ("LOCALHOST", true),
            ("127.0.0.1", true),
            ("127.8.9.1", true),
            ("[::1]", true),
            ("[::ffff:127.0.0.1]", true),
            ("localhost.evil.example", false),
            ("127.0.0.1.nip.io", false),
            ("192.168.1.4", false),
            ("", false),
        ] {
            assert_eq!(is_loopback_authority(host), wanted, "{host}");
        }
    }
}
