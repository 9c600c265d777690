//! `[tls]`

use super::gather;
use crate::config::checked::{Issuer, Site, Tls};
use crate::config::keys::{site as site_keys, tls as keys};
use crate::config::problem::{Code, Problem, Severity, Spot};
use crate::config::reader::{Reader, not_built};
use crate::types::text;

pub(super) fn tls(file: &mut Reader<'_, '_, '_>, site: Option<&Site>, local: Option<bool>) -> Option<Tls> {
    let has_names = site.is_some_and(|site| !site.names.is_empty());
    let names = file.section("site").spot_of(&site_keys::NAMES);
    let mut reader = file.section("tls");
    let issuer = issuer(&mut reader, has_names, &names);
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
    let redirect_default = local.is_some_and(|local| !local);
    let base = reader.absolute("");
    let absolute =
        |file: Option<Option<std::path::PathBuf>>| file.map(|file| file.map(|file| base.join(file)));
    gather!(Tls {
        issuer: issuer,
        fallback: reader.take(&keys::FALLBACK),
        challenge: reader.take(&keys::CHALLENGE),
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

/// Certificates are not built yet: whoever writes an issuer, or names that would get one, must hear that the site would
/// be served in the clear. The unwritten `local` of local mode is no promise to anybody.
fn issuer(reader: &mut Reader<'_, '_, '_>, has_names: bool, names: &Spot) -> Option<Issuer> {
    let written = reader.take_written(&keys::ISSUER).ok()?;
    let spot = reader.spot_of(&keys::ISSUER);
    let say_off = text!(
        "write tls.issuer = \"off\" until certificates are built",
        "证书功能实现之前,请写 tls.issuer = \"off\""
    );
    match written {
        Some(Issuer::Off) => Some(Issuer::Off),
        Some(issuer) => {
            reader.judge.unbuilt.push(not_built(&spot, Severity::Error).help(say_off));
            Some(issuer)
        }
        None if has_names => {
            let spot = Spot { key: spot.key, span: names.span.clone() };
            let problem = Problem::error(
                Code::NotBuiltProtection,
                &spot,
                text!(
                    "with `site.names` the default of `tls.issuer` is letsencrypt, and certificates are not built yet",
                    "写了 `site.names` 时 `tls.issuer` 默认为 letsencrypt,而证书功能尚未实现"
                ),
            )
            .label(text!("these names would be served in the clear", "这些域名将以明文提供服务"))
            .help(say_off);
            reader.judge.unbuilt.push(problem);
            Some(Issuer::LetsEncrypt)
        }
        None => Some(Issuer::Local),
    }
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
