//! `[tls]`

use super::gather;
use crate::config::checked::{Challenge, Issuer, Listen, Site, Tls};
use crate::config::keys::tls as keys;
use crate::config::problem::{Code, Problem};
use crate::config::reader::Reader;
use crate::types::text;

pub(super) fn tls(file: &mut Reader<'_, '_, '_>, site: Option<&Site>, local: Option<bool>) -> Option<Tls> {
    let has_names = site.is_some_and(|site| !site.names.is_empty());
    let mut reader = file.section("tls");
    let default_issuer = if has_names { Issuer::LetsEncrypt } else { Issuer::Local };
    let issuer = reader.take_or(&keys::ISSUER, default_issuer);
    let certificate = reader.take(&keys::CERTIFICATE);
    let key = reader.take(&keys::KEY);
    if issuer == Some(Issuer::Files) {
        needed_for_files(&mut reader, certificate.as_ref().is_some_and(Option::is_none), "certificate");
        needed_for_files(&mut reader, key.as_ref().is_some_and(Option::is_none), "key");
    }
    let eab_kid = reader.section("eab").take(&keys::EAB_KID);
    let eab_hmac_file = reader.section("eab").take(&keys::EAB_HMAC_FILE);
    let dns_provider = reader.section("dns").take(&keys::DNS_PROVIDER);
    let dns_credentials_file = reader.section("dns").take(&keys::DNS_CREDENTIALS_FILE);
    let challenge = reader.take(&keys::CHALLENGE);
    if let (Some(kid), Some(file)) = (&eab_kid, &eab_hmac_file) {
        whole_account(&mut reader, kid, file.is_some());
    }
    if let (Some(Challenge::Dns01), Some(provider), Some(file)) =
        (challenge, &dns_provider, &dns_credentials_file)
    {
        needed_for_dns(&mut reader, provider, file.is_some());
    }
    let redirect_default = local.is_some_and(|local| !local);
    let base = reader.absolute("");
    let absolute =
        |file: Option<Option<std::path::PathBuf>>| file.map(|file| file.map(|file| base.join(file)));
    gather!(Tls {
        issuer: issuer,
        fallback: reader.take(&keys::FALLBACK),
        challenge: challenge,
        profile: reader.take(&keys::PROFILE),
        eab_kid: eab_kid,
        eab_hmac_file: absolute(eab_hmac_file),
        dns_provider: dns_provider,
        dns_credentials_file: absolute(dns_credentials_file),
        ca_file: absolute(reader.take(&keys::CA_FILE)),
        certificate: absolute(certificate),
        key: absolute(key),
        min_version: reader.take(&keys::MIN_VERSION),
        hsts: reader.take(&keys::HSTS),
        redirect: reader.take_or(&keys::REDIRECT, redirect_default),
    })
}

/// A CA signs for names, or for addresses that are written down or found behind a wildcard.
pub(super) fn something_to_sign(file: &mut Reader<'_, '_, '_>, site: &Site, listen: &Listen, tls: &Tls) {
    let is_private_ca = matches!(tls.issuer, Issuer::Directory(_));
    let could_be_signed = listen.https.iter().chain(&listen.http).any(|address| {
        let address = address.ip().to_canonical();
        address.is_unspecified() || is_private_ca || !address.is_loopback()
    });
    if !tls.issuer.is_acme() || !site.names.is_empty() || could_be_signed {
        return;
    }
    let reader = file.section("tls");
    let spot = reader.spot_of(&keys::ISSUER);
    reader.judge.push(
        Problem::error(
            Code::Missing,
            &spot,
            text!(
                "`tls.issuer` is a certificate authority, and there is nothing that it could sign for",
                "`tls.issuer` 为证书颁发机构,但没有可供签发的域名或地址"
            ),
        )
        .label(text!(
            "write site.names, or leave it out for a local certificate",
            "请填写 site.names;或去掉此项以使用本地证书"
        ))
        .why(text!(
            "`site.names` is empty, and Portico listens on loopback only",
            "`site.names` 为空,且 Portico 只监听回环地址"
        )),
    );
}

/// An external account is a key id and a key, or nothing.
fn whole_account(reader: &mut Reader<'_, '_, '_>, kid: &str, has_key: bool) {
    let (here, missing) = match (kid.is_empty(), has_key) {
        (false, false) => (reader.section("eab").spot_of(&keys::EAB_KID), "hmac_file"),
        (true, true) => (reader.section("eab").spot_of(&keys::EAB_HMAC_FILE), "kid"),
        _ => return,
    };
    reader.judge.push(
        Problem::error(
            Code::Missing,
            &here,
            text!("`tls.eab.{missing}` is missing beside it", "缺少与之配套的 `tls.eab.{missing}`"),
        )
        .label(text!("the authority gives both, a key id and a key", "颁发机构会同时给出密钥编号和密钥")),
    );
}

/// DNS-01 needs somebody who writes the record.
fn needed_for_dns(reader: &mut Reader<'_, '_, '_>, provider: &str, has_credentials: bool) {
    let missing = match (provider.is_empty(), has_credentials) {
        (true, _) => "dns.provider",
        (false, false) => "dns.credentials_file",
        (false, true) => return,
    };
    let spot = reader.spot_of(&keys::CHALLENGE);
    reader.judge.push(
        Problem::error(
            Code::Missing,
            &spot,
            text!(
                "`tls.challenge` is \"dns-01\", and `tls.{missing}` is empty",
                "`tls.challenge` 为 \"dns-01\",但 `tls.{missing}` 为空"
            ),
        )
        .label(text!(
            "add dns = {{ provider = \"alidns\", credentials_file = \"/path/to/credentials\" }}",
            "请加上 dns = {{ provider = \"alidns\", credentials_file = \"/path/to/credentials\" }}"
        )),
    );
}

fn needed_for_files(reader: &mut Reader<'_, '_, '_>, missing: bool, name: &str) {
    if missing {
        let spot = reader.spot_of(&keys::ISSUER);
        reader.judge.push(
            Problem::error(
                Code::Missing,
                &spot,
                text!(
                    "`tls.issuer` is \"files\", and `tls.{name}` is empty",
                    "`tls.issuer` 为 \"files\",但 `tls.{name}` 为空"
                ),
            )
            .label(text!("add {name} = \"/path/to/{name}.pem\"", "请加上 {name} = \"/path/to/{name}.pem\"")),
        );
    }
}
