//! `[tls]`

use std::path::PathBuf;

use super::table;
use crate::config::form;
use crate::config::key::Built::Yes;
use crate::config::key::Default::{Depends, Is};
use crate::config::rule::{Flag, Form, OneOf, Period};
use crate::config::{Challenge, Issuer, TlsVersion};
use crate::types::Text;

pub(super) const OPTIONAL_FILE: Form<Option<PathBuf>> = Form {
    read: form::optional_file,
    words: &[],
    is: Text::fixed("the path of a file; empty: none", "文件路径;留空则无"),
};

const ISSUER_WORDS: &[&str] = &["letsencrypt", "letsencrypt-staging", "zerossl", "local", "files", "off"];

table! {
    TLS "tls"
    "Certificates and https." "证书与 https。";

    ISSUER "issuer": Form<Issuer> = Form { read: form::issuer, words: ISSUER_WORDS, is: Text::fixed("the https URL of an ACME directory", "ACME 目录的 https 地址") },
        Depends(Text::fixed(r#""letsencrypt" with site.names, "local" without"#, r#"有 site.names 时为 "letsencrypt",否则为 "local""#)), Yes,
        "Who signs the certificate. off: the site is served in the clear on listen.http.",
        "由谁签发证书。off:在 listen.http 上以明文提供服务。";
    FALLBACK "fallback": Form<Option<Issuer>> = Form { read: form::optional_issuer, words: &["letsencrypt", "letsencrypt-staging", "zerossl"], is: Text::fixed("the https URL of an ACME directory; empty: none", "ACME 目录的 https 地址;留空则无") }, Is(r#""""#), Yes,
        "A second certificate authority after repeated failure of the first.", "首选颁发机构多次失败后改用的第二个颁发机构。";
    CHALLENGE "challenge": OneOf<Challenge> = OneOf(&[("auto", Challenge::Auto), ("tls-alpn-01", Challenge::TlsAlpn01), ("http-01", Challenge::Http01), ("dns-01", Challenge::Dns01)]), Is(r#""auto""#), Yes,
        "How the names are proven. auto: tls-alpn-01, then http-01.", "证明域名归属的方式。auto:先 tls-alpn-01,再 http-01。";
    PROFILE "profile": Form<String> = Form { read: form::any_text, words: &[], is: Text::fixed("a profile of the certificate authority", "颁发机构的配置名") }, Is(r#""""#), Yes,
        "A certificate profile that the authority offers, such as \"shortlived\".", "颁发机构提供的证书配置,例如 \"shortlived\"。";
    CA_FILE "ca_file": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Yes,
        "Root certificate for a private ACME directory.", "私有 ACME 目录的根证书。";
    CERTIFICATE "certificate": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Yes,
        "Certificate chain (PEM) for issuer = \"files\".", "issuer = \"files\" 时的证书链(PEM)。";
    KEY "key": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Yes,
        "Private key (PEM) for issuer = \"files\".", "issuer = \"files\" 时的私钥(PEM)。";
    MIN_VERSION "min_version": OneOf<TlsVersion> = OneOf(&[("1.2", TlsVersion::Tls12), ("1.3", TlsVersion::Tls13)]), Is(r#""1.2""#), Yes,
        "The oldest TLS version that is spoken.", "允许的最低 TLS 版本。";
    HSTS "hsts": Period = Period::or_zero("1s", "730d", Text::fixed("not sent", "不发送")), Is(r#""180d""#), Yes,
        "How long browsers remember to come by https only. Never sent for issuer local or off, nor for an address.",
        "浏览器记住只用 https 访问的时间。issuer 为 local 或 off 时、以 IP 地址访问时都不发送。";
    REDIRECT "redirect": Flag = Flag, Depends(Text::fixed("true, false in local mode", "true,本地模式为 false")), Yes,
        "Pages asked for by http are sent to https. false: http serves the site too.",
        "把以 http 访问的页面转到 https。false:http 也提供服务。";
}

table! {
    EAB "tls.eab"
    "External account binding, where the certificate authority asks for it." "外部账户绑定,仅在颁发机构要求时使用。";

    EAB_KID "kid": Form<String> = Form { read: form::any_text, words: &[], is: Text::fixed("a key id", "密钥编号") }, Is(r#""""#), Yes,
        "The key id that the authority gave.", "颁发机构给出的密钥编号。";
    EAB_HMAC_FILE "hmac_file": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Yes,
        "File with the HMAC key that the authority gave.", "保存颁发机构所给 HMAC 密钥的文件。";
}

table! {
    DNS "tls.dns"
    "The DNS provider for dns-01." "dns-01 所用的 DNS 服务商。";

    DNS_PROVIDER "provider": Form<String> = Form { read: form::dns_provider, words: form::DNS_PROVIDERS, is: Text::fixed("empty: none", "留空则无") }, Is(r#""""#), Yes,
        "Who holds the zone. rfc2136: a name server of your own that takes updates.", "托管该区域的服务商。rfc2136:自己的、接受更新的域名服务器。";
    DNS_CREDENTIALS_FILE "credentials_file": Form<Option<PathBuf>> = OPTIONAL_FILE, Is(r#""""#), Yes,
        "File with what the provider wants to know, as docs/dns-01.md says; readable by its owner alone.", "保存服务商凭据的文件(格式见 docs/dns-01.md),仅其所有者可读。";
}
