//! Names: of hosts, models, files, request keys, firewall rules.

use std::net::IpAddr;
use std::path::PathBuf;

use super::{Wrong, wrong};
use crate::config::SiteName;
use crate::config::problem::Code;
use crate::types::text;

pub(crate) fn any_text(written: &str) -> Result<String, Wrong> {
    Ok(written.to_owned())
}

/// Those that `acme::dns` knows; a test there holds the two lists together.
pub(crate) const DNS_PROVIDERS: &[&str] = &[
    "alidns",
    "cloudflare",
    "desec",
    "digitalocean",
    "gandi",
    "godaddy",
    "hetzner",
    "huaweicloud",
    "ovh",
    "pdns",
    "porkbun",
    "rfc2136",
    "route53",
    "tencentcloud",
    "volcengine",
];

/// Who holds the zone; empty: nobody is named.
pub(crate) fn dns_provider(written: &str) -> Result<String, Wrong> {
    let known = || DNS_PROVIDERS.iter().copied();
    if written.is_empty() || known().any(|name| name == written) {
        return Ok(written.to_owned());
    }
    let wrong =
        wrong!("\"{written}\" is not a DNS provider that is known", "\"{written}\" 不是已知的 DNS 服务商")
            .code(Code::UnknownWord);
    let words = DNS_PROVIDERS.join(", ");
    Err(match crate::config::nearest(written, known()) {
        Some(near) => wrong.label(text!("did you mean \"{near}\"?", "是否想写 \"{near}\"?")),
        None => wrong.label(text!("one of {words}", "可用:{words}")).help(text!(
            "with a CNAME from `_acme-challenge` before the name to a zone at one of these, any provider will do",
            "若让域名前的 `_acme-challenge` 以 CNAME 指向其中某个服务商的区域,则任何服务商都可以"
        )),
    })
}

/// A public name with an optional port, lower-cased.
pub(crate) fn site_name(written: &str) -> Result<SiteName, Wrong> {
    if written.contains("://") {
        return Err(wrong!("a name is wanted, not an address with `://`", "应写域名,而不是带 `://` 的网址"));
    }
    let bare = written.trim_start_matches('[').split(']').next().unwrap_or(written);
    if bare.parse::<IpAddr>().is_ok() || written.parse::<std::net::SocketAddr>().is_ok() {
        return Err(wrong!("\"{written}\" is an IP address, not a name", "\"{written}\" 是 IP 地址,不是域名")
            .why(text!(
                "browsers and certificates need a name; without one leave `site.names` empty, and addresses are answered as they are",
                "浏览器和证书需要域名;没有域名时请让 `site.names` 为空,Portico 会直接以地址提供服务"
            )));
    }
    let (host, port) = match written.split_once(':') {
        None => (written, None),
        Some((host, port)) => match port.parse::<u16>() {
            Ok(number) if number != 0 && !port.starts_with('+') => (host, Some(number)),
            _ => return Err(wrong!("\"{port}\" is not a port", "\"{port}\" 不是端口")),
        },
    };
    dns_name(host)?;
    Ok(SiteName { host: host.trim_end_matches('.').to_ascii_lowercase(), port })
}

/// A host name as DNS and certificates take it (RFC 1123, RFC 5890 for what is beyond ASCII).
pub(crate) fn dns_name(host: &str) -> Result<(), Wrong> {
    let host = host.trim_end_matches('.');
    if host.contains('*') {
        return Err(wrong!("wildcards are not taken", "不支持通配符")
            .label(text!("write each name", "请逐个写出域名"))
            .why(text!(
                "an unknown name in `Host` must be refused, not served",
                "`Host` 中的未知域名必须拒绝,而不是提供服务"
            )));
    }
    if !host.is_ascii() {
        return Err(wrong!("\"{host}\" is not ASCII", "\"{host}\" 不是 ASCII")
            .label(text!("write its punycode form, `xn--…`", "请写它的 punycode 形式 `xn--…`"))
            .why(text!(
                "browsers send names in that form, and so do certificates",
                "浏览器和证书都使用该形式"
            )));
    }
    let label_is_fine = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    if host.is_empty() || host.len() > 253 || !host.split('.').all(label_is_fine) {
        return Err(wrong!("\"{host}\" is not a host name", "\"{host}\" 不是主机名")
            .label(text!("write it like \"chat.example.com\"", "写法例如 \"chat.example.com\"")));
    }
    Ok(())
}

/// What clients ask for: visible ASCII without blanks, as it stands in JSON, in logs and in file names.
pub(crate) fn model_name(written: &str) -> Result<String, Wrong> {
    let fine = !written.is_empty()
        && written.len() <= 128
        && written.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"'`\\<>*,".contains(&byte));
    if fine {
        return Ok(written.to_owned());
    }
    Err(wrong!("\"{written}\" is not a model name", "\"{written}\" 不是模型名")
        .label(text!("1 to 128 letters, digits and - . _ / : @", "1 到 128 个字母、数字和 - . _ / : @")))
}

/// A model name, or `*` alone for all.
pub(crate) fn model_pattern(written: &str) -> Result<String, Wrong> {
    if written == "*" { Ok(written.to_owned()) } else { model_name(written) }
}

/// A host without a port.
pub(crate) fn host_name(written: &str) -> Result<String, Wrong> {
    if written.parse::<IpAddr>().is_err() {
        dns_name(written)?;
    }
    Ok(written.to_ascii_lowercase())
}

pub(crate) fn optional_host(written: &str) -> Result<String, Wrong> {
    if written.is_empty() { Ok(String::new()) } else { host_name(written) }
}

/// A header's name, or the beginning of several with `*`.
pub(crate) fn header_name(written: &str) -> Result<String, Wrong> {
    let name = written.strip_suffix('*').unwrap_or(written);
    if !name.is_empty() && http::HeaderName::from_bytes(name.as_bytes()).is_ok() {
        return Ok(written.to_owned());
    }
    Err(wrong!("\"{written}\" is not the name of a header", "\"{written}\" 不是头名称").label(text!(
        "write it like \"Content-Type\" or \"X-Stainless-*\"",
        "写法例如 \"Content-Type\" 或 \"X-Stainless-*\""
    )))
}

pub(crate) fn method(written: &str) -> Result<String, Wrong> {
    const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    if METHODS.contains(&written) {
        return Ok(written.to_owned());
    }
    let list = METHODS.join(", ");
    Err(wrong!("\"{written}\" is not a method", "\"{written}\" 不是 HTTP 方法")
        .label(text!("one of {list}", "可用:{list}")))
}

/// Stands between quotes in a header.
pub(crate) fn realm(written: &str) -> Result<String, Wrong> {
    if !written.is_empty() && written.is_ascii() && !written.contains(['"', '\\']) {
        return Ok(written.to_owned());
    }
    Err(wrong!(
        "the realm is ASCII text without quotes and backslashes",
        "realm 应为不含引号和反斜杠的 ASCII 文本"
    ))
}

/// The path of a file or folder. Nothing is opened here.
pub(crate) fn file(written: &str) -> Result<PathBuf, Wrong> {
    if written.is_empty() {
        return Err(wrong!("the path is empty", "路径为空").code(Code::Missing));
    }
    if let Some(rest) = written.strip_prefix("~/") {
        return Err(wrong!("`~` is the shell's, and means nothing here", "`~` 由 shell 解释,在此处没有含义")
            .label(text!("write the whole path of {rest}", "请写出 {rest} 的完整路径")));
    }
    Ok(PathBuf::from(written))
}

/// The path of a file, or nothing.
pub(crate) fn optional_file(written: &str) -> Result<Option<PathBuf>, Wrong> {
    if written.is_empty() { Ok(None) } else { file(written).map(Some) }
}

/// A file name inside of the site's root: no way out of it, no dot files.
pub(crate) fn index_page(written: &str) -> Result<String, Wrong> {
    let fine = !written.is_empty()
        && written.split('/').all(|part| !part.is_empty() && !part.starts_with('.'))
        && !written.contains('\\');
    if fine {
        return Ok(written.to_owned());
    }
    Err(wrong!("\"{written}\" is not a page inside of the root", "\"{written}\" 不是根目录内的页面")
        .label(text!("write it like \"index.html\"", "写法例如 \"index.html\"")))
}

/// An address for mail, or nothing. Only what is surely wrong is refused.
pub(crate) fn email(written: &str) -> Result<String, Wrong> {
    let fine = written.is_empty()
        || written.split_once('@').is_some_and(|(name, host)| {
            !name.is_empty()
                && !host.contains('@')
                && dns_name(host).is_ok()
                && !written.contains([' ', ',', '<'])
        });
    if fine {
        return Ok(written.to_owned());
    }
    Err(wrong!("\"{written}\" is not a mail address", "\"{written}\" 不是邮件地址")
        .label(text!("write it like \"ops@example.com\"", "写法例如 \"ops@example.com\"")))
}

/// A key of a request's JSON.
pub(crate) fn request_key(written: &str) -> Result<String, Wrong> {
    if !written.is_empty()
        && written.len() <= 64
        && written.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte))
    {
        return Ok(written.to_owned());
    }
    Err(wrong!("\"{written}\" is not the name of a request key", "\"{written}\" 不是请求键名"))
}

/// `"ssh"`, `"443/tcp"`, `"443/udp"`.
pub(crate) fn port_rule(written: &str) -> Result<String, Wrong> {
    let fine = written == "ssh"
        || written.split_once('/').is_some_and(|(port, protocol)| {
            matches!(protocol, "tcp" | "udp")
                && !port.starts_with('+')
                && port.parse::<u16>().is_ok_and(|port| port != 0)
        });
    if fine {
        return Ok(written.to_owned());
    }
    Err(wrong!("\"{written}\" is not a port with its protocol", "\"{written}\" 不是带协议的端口")
        .label(text!("write it like \"443/tcp\", or \"ssh\"", "写法例如 \"443/tcp\",或 \"ssh\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn site_names_are_dns_names() {
        let name = site_name("Chat.Example.COM:8443").expect("a name with a port");
        assert_eq!((name.host.as_str(), name.port), ("chat.example.com", Some(8443)));
        assert!(site_name("xn--fiq228c.example").is_ok());
        assert!(site_name("gpu-box").is_ok());
        for refused in [
            "",
            "*.example.com",
            "中文.example",
            "10.0.0.1",
            "10.0.0.1:80",
            "[::1]",
            "::1",
            "https://a.example",
            "a..b",
            "-a.example",
            "a.example:0",
            "a.example:http",
            "a b",
            "a.example/path",
            "a@b",
        ] {
            assert!(site_name(refused).is_err(), "{refused:?}");
        }
        assert!(site_name(&format!("{}.example", "a".repeat(64))).is_err());
    }

    #[test]
    fn small_names_are_judged() {
        assert!(
            model_name("Qwen/Qwen3-VL-8B:fp8").is_ok()
                && model_name("*").is_err()
                && model_name("a b").is_err()
                && model_name("").is_err()
        );
        assert!(
            index_page("pages/chat.html").is_ok()
                && index_page("../a").is_err()
                && index_page("/a").is_err()
                && index_page(".env").is_err()
        );
        assert!(
            email("").is_ok()
                && email("ops@example.com").is_ok()
                && email("ops").is_err()
                && email("a@b@c").is_err()
        );
        assert!(
            port_rule("ssh").is_ok()
                && port_rule("443/tcp").is_ok()
                && port_rule("443").is_err()
                && port_rule("0/tcp").is_err()
        );
        assert!(file("~/x").is_err() && file("").is_err() && optional_file("") == Ok(None));
    }
}
