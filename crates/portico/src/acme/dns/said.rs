//! What went wrong, for people: in the provider's words, without secrets, and with what to do about it.

use std::path::Path;

use dns_update::Error;

use super::credentials::{Credentials, Unusable};
use super::place::Place;
use super::provider::Provider;
use crate::acme::error::{OrderError, clean};
use crate::types::{Text, text};

const KIND: &str = "dns";
const OWN_SERVER: &str = "rfc2136";

pub(super) fn failed(said: Text) -> OrderError {
    OrderError::here(KIND, said)
}

/// Of the file with the credentials.
pub(super) fn unusable(file: &Path, provider: &Provider, why: Unusable) -> OrderError {
    let (file, name) = (file.display(), provider.name);
    failed(match why {
        Unusable::Unreadable(why) => {
            text!(
                "tls.dns.credentials_file {file} can't be read: {why}",
                "无法读取 tls.dns.credentials_file {file}:{why}"
            )
        }
        Unusable::OpenToOthers => text!(
            "other users of this machine may read tls.dns.credentials_file {file}; type: chmod 600 {file}",
            "本机其他用户可以读取 tls.dns.credentials_file {file};请执行:chmod 600 {file}"
        ),
        Unusable::Wrong(Text { en, zh }) => {
            let example =
                provider.example().lines().map(|line| format!("`{line}`")).collect::<Vec<_>>().join(", ");
            text!(
                "tls.dns.credentials_file {file} can't be used for {name}: {en}. It needs the lines {example}.",
                "tls.dns.credentials_file {file} 不能用于 {name}:{zh}。它需要以下各行:{example}。"
            )
        }
    })
}

/// By the provider, or on the way to it.
pub(super) fn refused(
    file: &Path,
    provider: &Provider,
    credentials: &Credentials,
    place: &Place,
    error: &Error,
) -> OrderError {
    let said = match error {
        Error::Client(why) if is_of_signature(provider, why) => {
            text!("the name server's answer is not signed by this key", "域名服务器的应答不是用此密钥签名的")
        }
        _ => Text::quoted(clean(&credentials.without_secrets(&error.to_string()))),
    };
    let (name, Place { name: record, zone }) = (provider.name, place);
    let advice = advice(file, provider, place, error);
    let (en, en_advice, zh, zh_advice) = (said.en, advice.en, said.zh, advice.zh);
    failed(text!(
        "{name} did not take the record {record} in the zone {zone}: {en}. {en_advice}",
        "{name} 没有接受区域 {zone} 中的记录 {record}:{zh}。{zh_advice}"
    ))
}

/// A server that does not take a key answers without a signature (RFC 8945, 5.3.2), which the library takes for one
/// that was cut off.
fn is_of_signature(provider: &Provider, why: &str) -> bool {
    provider.name == OWN_SERVER && why.contains("TSIG")
}

fn advice(file: &Path, provider: &Provider, place: &Place, error: &Error) -> Text {
    let (file, zone) = (file.display(), &place.zone);
    let is_own_server = provider.name == OWN_SERVER;
    match error {
        Error::Response(code) if is_own_server && code == "Query Refused" => text!(
            "Let the key in {file} update TXT records of this zone, in the name server's configuration.",
            "请在域名服务器的配置中允许 {file} 里的密钥更新该区域的 TXT 记录。"
        ),
        Error::Client(why) if is_own_server && !is_of_signature(provider, why) => text!(
            "Look whether `server` in {file} is right and answers from here.",
            "请检查 {file} 中的 `server` 是否正确、能否从本机访问。"
        ),
        _ if is_own_server => text!(
            "Compare key_name, key and algorithm in {file} with the name server's configuration, and its clock with this one.",
            "请将 {file} 中的 key_name、key 和 algorithm 与域名服务器的配置核对,并核对两台机器的时钟。"
        ),
        Error::Unauthorized => text!(
            "The credentials in {file} are not accepted: make new ones that may change {zone}.",
            "{file} 中的凭据不被接受:请重新创建可修改 {zone} 的凭据。"
        ),
        Error::NotFound => text!(
            "Look whether the account of {file} holds the zone {zone}.",
            "请检查 {file} 对应的账户是否托管了区域 {zone}。"
        ),
        _ => text!(
            "Look whether the credentials in {file} are right and may change {zone}.",
            "请检查 {file} 中的凭据是否正确、是否有权修改 {zone}。"
        ),
    }
}
