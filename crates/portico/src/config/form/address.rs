//! Where Portico itself listens: socket addresses and Unix sockets.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{Wrong, wrong};
use crate::config::MetricsAddress;
use crate::config::problem::Code;
use crate::types::text;

/// `sun_path` holds 108 bytes with its final zero (unix(7)).
const UNIX_PATH_BYTES: usize = 107;

/// `"127.0.0.1:8080"`, `"[::]:443"`. Names are refused: what a name resolves to is not decided by this file.
pub(crate) fn listener(written: &str) -> Result<SocketAddr, Wrong> {
    if let Ok(address) = written.parse::<SocketAddr>() {
        return Ok(address);
    }
    let wrong = wrong!("\"{written}\" is not an address with a port", "\"{written}\" 不是带端口的地址");
    let Some(better) = put_right(written) else {
        return Err(wrong.label(text!(
            "write it like \"127.0.0.1:8080\" or \"[::1]:8080\"",
            "写法例如 \"127.0.0.1:8080\" 或 \"[::1]:8080\""
        )));
    };
    Err(wrong.label(text!("write \"{better}\"", "请写 \"{better}\"")))
}

/// What was probably meant: `localhost:80`, `*:80`, `:80`, `80`, or an address without a port.
fn put_right(written: &str) -> Option<String> {
    if let Ok(address) = written.parse::<std::net::IpAddr>() {
        return Some(SocketAddr::new(address, 8080).to_string());
    }
    if is_port(written) {
        return Some(format!("127.0.0.1:{written}"));
    }
    let (host, port) = written.split_once(':')?;
    match host {
        "localhost" if is_port(port) => Some(format!("127.0.0.1:{port}")),
        "" | "*" if is_port(port) => Some(format!("0.0.0.0:{port}")),
        _ => None,
    }
}

fn is_port(written: &str) -> bool {
    written.parse::<u16>().is_ok() && !written.starts_with('+')
}

/// `"unix:/run/portico/admin.sock"`, and nothing else. Empty: where it is by default.
pub(crate) fn unix_socket(written: &str) -> Result<Option<PathBuf>, Wrong> {
    if written.is_empty() {
        return Ok(None);
    }
    match written.strip_prefix("unix:") {
        Some(path) => unix_path(path).map(Some),
        None if written.starts_with('/') => Err(wrong!("the prefix `unix:` is missing", "缺少前缀 `unix:`")
            .label(text!("write \"unix:{written}\"", "请写 \"unix:{written}\""))),
        None => Err(wrong!("only a Unix socket is taken here", "此处只能是 Unix 套接字")
            .code(Code::Unsafe)
            .label(text!("write it like \"unix:/run/portico/admin.sock\"", "写法例如 \"unix:/run/portico/admin.sock\""))
            .why(text!(
                "the admin socket can do everything; on TCP any program of any user of the machine could reach it",
                "管理套接字可以执行一切操作;若用 TCP,本机任何用户的任何程序都能访问它"
            ))),
    }
}

/// The path of a Unix socket, absolute and short enough for the kernel.
pub(crate) fn unix_path(path: &str) -> Result<PathBuf, Wrong> {
    if !path.starts_with('/') {
        return Err(wrong!("the path of a Unix socket must be absolute", "Unix 套接字的路径必须是绝对路径"));
    }
    let length = path.len();
    if length > UNIX_PATH_BYTES {
        return Err(wrong!(
            "the path of the Unix socket has {length} bytes; the kernel takes at most {UNIX_PATH_BYTES}",
            "Unix 套接字的路径有 {length} 字节;内核最多允许 {UNIX_PATH_BYTES} 字节"
        ));
    }
    Ok(PathBuf::from(path))
}

/// Loopback or a Unix socket; empty: no such listener.
pub(crate) fn metrics(written: &str) -> Result<MetricsAddress, Wrong> {
    if written.is_empty() {
        return Ok(MetricsAddress::Off);
    }
    if written.starts_with("unix:") || written.starts_with('/') {
        return Ok(unix_socket(written)?.map_or(MetricsAddress::Off, MetricsAddress::Unix));
    }
    let address = listener(written)?;
    if address.ip().to_canonical().is_loopback() {
        return Ok(MetricsAddress::Tcp(address));
    }
    let port = address.port();
    Err(wrong!(
        "metrics are served on loopback or a Unix socket only",
        "指标只能在回环地址或 Unix 套接字上提供"
    )
    .code(Code::Unsafe)
    .label(text!("write \"127.0.0.1:{port}\"", "请写 \"127.0.0.1:{port}\""))
    .why(text!(
        "they name models, users and addresses, and nobody is asked who they are there",
        "其中含有模型、用户和地址,而该处不验证身份"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listeners_are_addresses_with_ports() {
        for fine in ["127.0.0.1:8080", "[::]:443", "0.0.0.0:80", "[::1]:0"] {
            assert!(listener(fine).is_ok(), "{fine}");
        }
        for (refused, better) in [
            ("localhost:8080", "127.0.0.1:8080"),
            (":80", "0.0.0.0:80"),
            ("*:80", "0.0.0.0:80"),
            ("8080", "127.0.0.1:8080"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("::1", "[::1]:8080"),
            ("", "127.0.0.1:8080"),
            ("127.0.0.1:99999", "127.0.0.1:8080"),
        ] {
            let wrong = listener(refused).expect_err(refused);
            assert!(format!("{wrong:?}").contains(better), "{refused}: {wrong:?}");
        }
    }

    #[test]
    fn admin_is_a_unix_socket_and_metrics_stay_inside() {
        assert_eq!(unix_socket("unix:/run/a.sock"), Ok(Some(PathBuf::from("/run/a.sock"))));
        assert_eq!(unix_socket(""), Ok(None));
        for refused in ["/run/a.sock", "127.0.0.1:9000", "unix:a.sock", "unix:"] {
            assert!(unix_socket(refused).is_err(), "{refused}");
        }
        assert!(unix_socket(&format!("unix:/{}", "a".repeat(107))).is_err());
        assert!(unix_socket(&format!("unix:/{}", "a".repeat(106))).is_ok());
        assert!(
            metrics("127.0.0.1:9321").is_ok()
                && metrics("[::1]:9321").is_ok()
                && metrics("unix:/run/m").is_ok()
        );
        assert_eq!(metrics(""), Ok(MetricsAddress::Off));
        for refused in ["0.0.0.0:9321", "192.168.1.2:9321", "[::]:9321", "9321"] {
            assert!(metrics(refused).is_err(), "{refused}");
        }
    }
}
