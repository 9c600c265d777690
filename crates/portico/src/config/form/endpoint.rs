//! Where a model server listens, and how far away that is.

use std::net::IpAddr;

use super::address::unix_path;
use super::{Wrong, wrong};
use crate::config::EndpointAddress;
use crate::config::problem::Code;
use crate::types::text;

/// `"http://127.0.0.1:3001"` or `"unix:/run/vllm.sock"`.
pub(crate) fn endpoint(written: &str) -> Result<EndpointAddress, Wrong> {
    if let Some(path) = written.strip_prefix("unix:") {
        return unix_path(path).map(EndpointAddress::Unix);
    }
    if let Some(rest) = written.strip_prefix("https://") {
        return Err(wrong!("https to a model server is not spoken", "不支持以 https 连接模型服务")
            .label(text!("write \"http://{rest}\"", "请写 \"http://{rest}\""))
            .why(text!(
                "a model server stands on this machine or next to it, and prompts leave over a private network only; for a distant one put a tunnel (WireGuard, ssh -L) in between",
                "模型服务应在本机或同一内网,提示词只经私有网络传输;若在远处,请在两者之间建立隧道(WireGuard、ssh -L)"
            )));
    }
    let Some(rest) = written.strip_prefix("http://") else {
        let better = if written.contains("://") || written.is_empty() { "127.0.0.1:3001" } else { written };
        return Err(wrong!(
            "\"{written}\" is not the address of a model server",
            "\"{written}\" 不是模型服务的地址"
        )
        .label(text!(
            "write it like \"http://{better}\" or \"unix:/path\"",
            "写法例如 \"http://{better}\" 或 \"unix:/path\""
        )));
    };
    let authority = match rest.split_once('/') {
        None => rest,
        Some((authority, "")) => authority,
        Some((authority, path)) => {
            return Err(wrong!("the address has a path", "地址里带有路径")
                .label(text!("write \"http://{authority}\"", "请写 \"http://{authority}\""))
                .why(text!(
                    "/{path} is dropped nowhere: requests arrive at the model server under the path they came with, /v1/…",
                    "/{path} 无处可用:请求以原来的路径 /v1/… 到达模型服务"
                )));
        }
    };
    tcp(authority)
}

fn tcp(authority: &str) -> Result<EndpointAddress, Wrong> {
    if authority.contains(['@', '?', '#']) {
        return Err(wrong!(
            "the address holds more than a host and a port",
            "地址里除主机和端口外还有其他内容"
        ));
    }
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, port)) if host.parse::<std::net::Ipv6Addr>().is_ok() => {
                (host, port.strip_prefix(':'))
            }
            _ => {
                return Err(wrong!(
                    "\"{authority}\" is not an IPv6 address",
                    "\"{authority}\" 不是 IPv6 地址"
                ));
            }
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    let Some(port) = port
        .filter(|port| !port.starts_with('+'))
        .and_then(|port| port.parse::<u16>().ok())
        .filter(|port| *port != 0)
    else {
        return Err(wrong!("the port is missing or not a port", "缺少端口或端口不正确")
            .label(text!("write it like \"http://127.0.0.1:3001\"", "写法例如 \"http://127.0.0.1:3001\"")));
    };
    if host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
        return Err(wrong!("nobody can be reached at {host}", "无法连接到 {host}")
            .label(text!("write \"http://127.0.0.1:{port}\"", "请写 \"http://127.0.0.1:{port}\""))
            .why(text!(
                "it means every address of the machine, and only a listener may say so",
                "它表示本机的所有地址,只有监听方可以这样写"
            )));
    }
    if host.parse::<IpAddr>().is_err() {
        super::word::dns_name(host)?;
    }
    Ok(EndpointAddress::Tcp { host: host.to_ascii_lowercase(), port })
}

/// Loopback, a private range (RFC 1918, RFC 4193), or the shared range of carriers and overlay networks (RFC 6598).
/// Link-local addresses are not among them: 169.254.169.254 hands out a cloud machine's keys.
pub(crate) fn is_close(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            address.is_loopback() || address.is_private() || (first == 100 && (64..128).contains(&second))
        }
        IpAddr::V6(address) => address.is_loopback() || address.is_unique_local(),
    }
}

/// Names that the public DNS does not hold: a single label (a container's or a host's name), `localhost`, and suffixes
/// that are reserved or that registries will not hand out (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`, and
/// `lan`, `home`, `corp`, and the cluster's own `svc`). Whoever connects must still judge the address that such a name
/// resolves to, with [`is_close`].
pub(crate) fn is_private_name(host: &str) -> bool {
    const SUFFIXES: [&str; 9] =
        ["localhost", "local", "internal", "home.arpa", "lan", "home", "corp", "svc", "intranet"];
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    !host.contains('.')
        || SUFFIXES.iter().any(|suffix| host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.')))
}

/// An external endpoint that is neither close nor allowed to be far.
pub(crate) fn too_far(host: &str) -> Wrong {
    match host.parse::<IpAddr>() {
        Ok(_) => wrong!("{host} is a public address", "{host} 是公网地址"),
        Err(_) => wrong!("{host} may be a public address", "{host} 可能是公网地址"),
    }
    .code(Code::Unsafe)
    .why(text!(
        "prompts and pictures would cross the internet in the clear, to a server that asks nobody who they are",
        "提示词和图片将以明文经过互联网,到达一个不验证身份的服务"
    ))
    .help(text!(
        "use a loopback, private or Unix socket address, or write `allow_public = true` if the way there is protected",
        "请使用回环、私有或 Unix 套接字地址;若线路已受保护,请写 `allow_public = true`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read() {
        for (written, shown) in [
            ("http://127.0.0.1:3001", "http://127.0.0.1:3001"),
            ("http://127.0.0.1:3001/", "http://127.0.0.1:3001"),
            ("http://[::1]:3001", "http://[::1]:3001"),
            ("http://VLLM:8000", "http://vllm:8000"),
            ("unix:/run/vllm.sock", "unix:/run/vllm.sock"),
        ] {
            assert_eq!(
                endpoint(written).map(|endpoint| endpoint.to_string()),
                Ok(shown.to_owned()),
                "{written}"
            );
        }
        for refused in [
            "",
            "127.0.0.1:3001",
            "https://10.0.0.5:443",
            "http://127.0.0.1",
            "http://127.0.0.1:3001/v1",
            "http://user@10.0.0.1:80",
            "http://0.0.0.0:3001",
            "http://[::]:3001",
            "http://10.0.0.1:0",
            "http://10.0.0.1:70000",
            "http://[::1:3001",
            "unix:run/a",
            "ftp://10.0.0.1:21",
            "http://a b:80",
            "http://:80",
        ] {
            assert!(endpoint(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn close_is_loopback_private_and_shared() {
        for close in [
            "127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "::1",
            "fd00::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_close(close.parse().expect("an address")), "{close}");
        }
        for far in [
            "8.8.8.8",
            "169.254.169.254",
            "172.32.0.1",
            "100.128.0.1",
            "2001:db8::1",
            "fe80::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!is_close(far.parse().expect("an address")), "{far}");
        }
        for private in [
            "vllm",
            "localhost",
            "gpu.lan",
            "gpu.internal",
            "vllm.default.svc",
            "vllm.ns.svc.cluster.local",
            "a.local.",
        ] {
            assert!(is_private_name(private), "{private}");
        }
        for public in ["example.com", "notlocal.dev", "xinternal.io", "a.mylan"] {
            assert!(!is_private_name(public), "{public}");
        }
    }
}
