//! Whether a configuration may be served at all: only where somebody may come in. Until identity is built, that is local
//! mode, or networks alone.

use super::checked::{Config, Mode, Satisfy};
use super::problem::{Code, Problem, Spot};
use crate::types::text;

pub(crate) fn may_start(config: &Config) -> Result<(), Box<Problem>> {
    let spot = |key: &str| Spot { key: key.to_owned(), span: None };
    let help = text!(
        "for this machine alone: leave out [access] and site.names, and listen on 127.0.0.1; for networks: satisfy = \"any\" and allow = [\"192.168.10.0/24\"] in [access]",
        "仅供本机:去掉 [access] 和 site.names,并监听 127.0.0.1;供某些网段:在 [access] 中写 satisfy = \"any\" 和 allow = [\"192.168.10.0/24\"]"
    );
    match config.mode() {
        Mode::Local | Mode::Networks => Ok(()),
        Mode::Closed => Err(Box::new(closed(config, spot).help(help))),
    }
}

/// Nobody could come in: says which setting leads there.
fn closed(config: &Config, spot: impl Fn(&str) -> Spot) -> Problem {
    let access = &config.access;
    let (key, message) = if access.satisfy == Satisfy::All && !access.allow.is_empty() {
        (
            "access.satisfy",
            text!(
                "`access.allow` is written, and `access.satisfy` is \"all\": identity is asked for too, and is not built yet",
                "写了 `access.allow` 而 `access.satisfy` 为 \"all\":还会要求身份,而身份验证尚未实现"
            ),
        )
    } else if access.htpasswd.is_some() {
        (
            "access.htpasswd",
            text!(
                "`access.htpasswd` asks for identity, which is not built yet",
                "`access.htpasswd` 要求身份,而身份验证尚未实现"
            ),
        )
    } else if !config.site.names.is_empty() {
        (
            "site.names",
            text!(
                "`site.names` makes this a public site, and nothing says who may come in",
                "`site.names` 表示这是公开站点,但没有任何规则说明谁可以进入"
            ),
        )
    } else if !access.deny.is_empty() {
        (
            "access.deny",
            text!(
                "`access.deny` alone lets nobody in: identity is not built yet",
                "只有 `access.deny` 时无人可以进入:身份验证尚未实现"
            ),
        )
    } else if !config.listen.trusted_proxies.is_empty() {
        (
            "listen.trusted_proxies",
            text!(
                "with `listen.trusted_proxies` others come in through a proxy, and nothing says who may",
                "写了 `listen.trusted_proxies` 时他人会经由代理进入,但没有任何规则说明谁可以进入"
            ),
        )
    } else {
        let open = |addresses: &[std::net::SocketAddr]| {
            addresses.iter().any(|address| !address.ip().to_canonical().is_loopback())
        };
        let key = if open(&config.listen.http) { "listen.http" } else { "listen.https" };
        (
            key,
            text!(
                "`{key}` names an address that other machines can reach, and nothing says who may come in",
                "`{key}` 含有其他机器可访问的地址,但没有任何规则说明谁可以进入"
            ),
        )
    };
    Problem::error(Code::NotClosed, &spot(key), message).why(text!(
        "no way to come in is configured, and closed is the default",
        "没有配置任何进入方式,默认即为关闭"
    ))
}
