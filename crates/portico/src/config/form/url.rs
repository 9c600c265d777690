//! URLs, as far as this file needs them: certificate authorities, origins, heartbeat.

use super::{Wrong, wrong};
use crate::config::Issuer;
use crate::config::problem::Code;
use crate::types::text;

pub(crate) const ISSUERS: [&str; 6] =
    ["letsencrypt", "letsencrypt-staging", "zerossl", "local", "files", "off"];

/// A known word, or the https URL of an ACME directory.
pub(crate) fn issuer(written: &str) -> Result<Issuer, Wrong> {
    match written {
        "letsencrypt" => Ok(Issuer::LetsEncrypt),
        "letsencrypt-staging" => Ok(Issuer::LetsEncryptStaging),
        "zerossl" => Ok(Issuer::ZeroSsl),
        "local" => Ok(Issuer::Local),
        "files" => Ok(Issuer::Files),
        "off" => Ok(Issuer::Off),
        url if url.starts_with("https://") && has_host(url) => Ok(Issuer::Directory(url.to_owned())),
        url if url.starts_with("http://") => Err(wrong!(
            "the directory of a certificate authority must be https",
            "证书颁发机构的目录必须使用 https"
        )),
        other => {
            let wrong = wrong!("\"{other}\" is not an issuer", "\"{other}\" 不是可用的颁发者")
                .code(Code::UnknownWord);
            let words = ISSUERS.join(", ");
            Err(match crate::config::nearest(other, ISSUERS) {
                Some(near) => wrong.label(text!("did you mean \"{near}\"?", "是否想写 \"{near}\"?")),
                None => wrong.label(text!("one of {words}, or an https URL", "可用:{words},或 https 地址")),
            })
        }
    }
}

/// A certificate authority, or nothing.
pub(crate) fn optional_issuer(written: &str) -> Result<Option<Issuer>, Wrong> {
    if written.is_empty() {
        return Ok(None);
    }
    match issuer(written)? {
        Issuer::Local | Issuer::Files | Issuer::Off => {
            Err(wrong!("\"{written}\" is not a certificate authority", "\"{written}\" 不是证书颁发机构"))
        }
        authority => Ok(Some(authority)),
    }
}

/// `sqlite:` and a file name.
pub(crate) fn store_url(written: &str) -> Result<String, Wrong> {
    match written.split_once(':') {
        Some(("sqlite", file)) if !file.is_empty() => Ok(written.to_owned()),
        Some(("postgres" | "postgresql", _)) => {
            Err(wrong!("PostgreSQL is not spoken in this version", "此版本不支持 PostgreSQL")
                .label(text!("write \"sqlite:portico.db\"", "请写 \"sqlite:portico.db\"")))
        }
        _ => Err(wrong!("\"{written}\" is not a database", "\"{written}\" 不是数据库地址")
            .label(text!("write it like \"sqlite:portico.db\"", "写法例如 \"sqlite:portico.db\""))),
    }
}

/// `https://admin.example.com`, exactly as browsers send it in `Origin`.
pub(crate) fn origin(written: &str) -> Result<String, Wrong> {
    let host = written.strip_prefix("https://").or_else(|| written.strip_prefix("http://"));
    if written == "*" {
        return Err(wrong!(
            "\"*\" would let every web page use this service",
            "\"*\" 会让任何网页都能使用此服务"
        )
        .code(Code::Unsafe)
        .label(text!(
            "name the origins, such as \"https://admin.example.com\"",
            "请逐个写出来源,例如 \"https://admin.example.com\""
        )));
    }
    match host {
        Some(host)
            if has_host(written)
                && !host.contains(['/', '?', '#', '@'])
                && host == host.to_ascii_lowercase() =>
        {
            Ok(written.to_owned())
        }
        _ => {
            let better = host
                .and_then(|host| host.split(['/', '?', '#']).next())
                .filter(|host| !host.is_empty())
                .unwrap_or("admin.example.com")
                .to_ascii_lowercase();
            let scheme = if written.starts_with("http://") { "http" } else { "https" };
            Err(wrong!(
                "\"{written}\" is not an origin as browsers send it",
                "\"{written}\" 不是浏览器发送的来源格式"
            )
            .label(text!("write it like \"{scheme}://{better}\"", "写法例如 \"{scheme}://{better}\"")))
        }
    }
}

/// A web address, or nothing.
pub(crate) fn https_or_http(written: &str) -> Result<String, Wrong> {
    let known = written.starts_with("https://") || written.starts_with("http://");
    if written.is_empty() || (known && has_host(written)) {
        return Ok(written.to_owned());
    }
    Err(wrong!("\"{written}\" is not a web address", "\"{written}\" 不是网址").label(text!(
        "write it like \"https://hc.example.com/ping\"",
        "写法例如 \"https://hc.example.com/ping\""
    )))
}

fn has_host(url: &str) -> bool {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    !authority.is_empty() && !url.chars().any(|c| c.is_whitespace() || c == '"' || c == '<')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuers_are_words_or_https() {
        assert_eq!(issuer("off"), Ok(Issuer::Off));
        assert_eq!(issuer("https://ca.lan/dir"), Ok(Issuer::Directory("https://ca.lan/dir".to_owned())));
        for refused in ["", "http://ca.lan/dir", "https://", "letsencrpt", "Off"] {
            assert!(issuer(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn origins_are_as_browsers_send_them() {
        for fine in ["https://admin.example.com", "http://localhost:3000"] {
            assert!(origin(fine).is_ok(), "{fine}");
        }
        for refused in [
            "*",
            "",
            "admin.example.com",
            "https://admin.example.com/",
            "https://Admin.example.com",
            "null",
            "https://",
        ] {
            assert!(origin(refused).is_err(), "{refused:?}");
        }
    }
}
