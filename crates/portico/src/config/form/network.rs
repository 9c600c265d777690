//! Networks: CIDR or a single address.

use std::net::IpAddr;

use ipnet::IpNet;

use super::{Wrong, wrong};
use crate::types::text;

/// `"192.168.10.0/24"`, `"2001:db8::/32"`, or one address. Bits set behind the mask are refused: a network in an access
/// rule that means something else than it seems to mean is a hole.
pub(crate) fn network(written: &str) -> Result<IpNet, Wrong> {
    if let Ok(address) = written.parse::<IpAddr>() {
        return Ok(IpNet::from(address.to_canonical()));
    }
    let Ok(network) = written.parse::<IpNet>() else {
        return Err(wrong!("\"{written}\" is not a network", "\"{written}\" 不是网段").label(text!(
            "write an address (\"10.0.5.100\") or a network (\"192.168.10.0/24\")",
            "请写地址(\"10.0.5.100\")或网段(\"192.168.10.0/24\")"
        )));
    };
    let trunk = network.trunc();
    if trunk != network {
        let address = network.addr();
        return Err(wrong!("\"{written}\" has bits set behind its mask", "\"{written}\" 在掩码之外还有置位")
            .label(text!(
                "write \"{trunk}\" for the network or \"{address}\" for the one address",
                "整个网段请写 \"{trunk}\",单个地址请写 \"{address}\""
            )));
    }
    if let IpNet::V6(mapped) = network
        && mapped.prefix_len() >= 96
        && let Some(address) = mapped.addr().to_ipv4_mapped()
    {
        let plain = format!("{address}/{}", mapped.prefix_len() - 96);
        return Err(wrong!("\"{written}\" is IPv4 written as IPv6", "\"{written}\" 是以 IPv6 写出的 IPv4")
            .label(text!("write \"{plain}\"", "请写 \"{plain}\"")));
    }
    Ok(network)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_and_addresses_are_read() {
        for (written, shown) in [
            ("192.168.10.0/24", "192.168.10.0/24"),
            ("10.0.5.100", "10.0.5.100/32"),
            ("::1", "::1/128"),
            ("2001:db8::/32", "2001:db8::/32"),
            ("::ffff:10.0.0.1", "10.0.0.1/32"),
            ("0.0.0.0/0", "0.0.0.0/0"),
        ] {
            assert_eq!(
                network(written).map(|network| network.to_string()),
                Ok(shown.to_owned()),
                "{written}"
            );
        }
        for refused in [
            "",
            "10.0.0",
            "10.0.0.0/33",
            "192.168.10.5/24",
            "10.0.0.0/8 ",
            "localhost",
            "::ffff:10.0.0.0/104",
            "10.0.0.1-10.0.0.9",
        ] {
            assert!(network(refused).is_err(), "{refused:?}");
        }
    }
}
