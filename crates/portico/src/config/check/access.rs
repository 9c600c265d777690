//! `[access]` and `[cors]`

use super::gather;
use crate::config::checked::{Access, Cors, Lockout, Satisfy};
use crate::config::keys::access as keys;
use crate::config::problem::{Code, Problem};
use crate::config::reader::Reader;
use crate::types::text;

pub(super) fn access(file: &mut Reader<'_, '_, '_>) -> Option<Access> {
    let mut reader = file.section("access");
    let satisfy = reader.take(&keys::SATISFY);
    let allow = reader.take(&keys::ALLOW);
    if let (Some(Satisfy::Any), Some(allow)) = (satisfy, &allow) {
        any_needs_networks(&mut reader, allow);
    }
    let htpasswd = reader.take(&keys::HTPASSWD).map(|file| file.map(|file| reader.absolute(file)));
    let lockout = lockout(&mut reader);
    gather!(Access {
        scope: reader.take(&keys::SCOPE),
        satisfy: satisfy,
        allow: allow,
        deny: reader.take(&keys::DENY),
        htpasswd: htpasswd,
        realm: reader.take(&keys::REALM),
        login_page: reader.take(&keys::LOGIN_PAGE),
        session: reader.take(&keys::SESSION),
        lockout: lockout,
        admin_allow: reader.take(&keys::ADMIN_ALLOW),
    })
}

fn lockout(reader: &mut Reader<'_, '_, '_>) -> Option<Lockout> {
    let mut reader = reader.section("lockout");
    gather!(Lockout {
        failures: reader.take(&keys::LOCKOUT_FAILURES),
        window: reader.take(&keys::LOCKOUT_WINDOW),
        ban: reader.take(&keys::LOCKOUT_BAN),
    })
}

fn any_needs_networks(reader: &mut Reader<'_, '_, '_>, allow: &[ipnet::IpNet]) {
    let spot = reader.spot_of(&keys::SATISFY);
    if allow.is_empty() {
        reader.judge.push(
            Problem::error(
                Code::Unsafe,
                &spot,
                text!(
                    "`access.satisfy` is \"any\", and `access.allow` is empty",
                    "`access.satisfy` 为 \"any\",但 `access.allow` 为空"
                ),
            )
            .label(text!("an empty allow means every address", "allow 为空表示所有地址"))
            .why(text!(
                "together they would let everybody in without identity",
                "两者一起会让任何人无需身份即可进入"
            ))
            .help(text!(
                "write the networks in `access.allow`, or `satisfy = \"all\"`",
                "请在 `access.allow` 中写出网段,或写 `satisfy = \"all\"`"
            )),
        );
    }
    for (index, network) in allow.iter().enumerate() {
        if network.prefix_len() == 0 {
            let spot = reader.spot_of_item(&keys::ALLOW, index);
            reader.judge.push(
                Problem::warning(
                    Code::Unsafe,
                    &spot,
                    text!(
                        "{network} is every address, and with satisfy = \"any\" that lets everybody in",
                        "{network} 表示所有地址,与 satisfy = \"any\" 一起会让任何人进入"
                    ),
                )
                .label(text!("nobody is asked who they are", "不验证任何人的身份")),
            );
        }
    }
}

pub(super) fn cors(file: &mut Reader<'_, '_, '_>) -> Option<Cors> {
    let mut reader = file.section("cors");
    gather!(Cors {
        origins: reader.take(&keys::ORIGINS),
        methods: reader.take(&keys::METHODS),
        headers: reader.take(&keys::HEADERS),
        expose: reader.take(&keys::EXPOSE),
        max_age: reader.take(&keys::MAX_AGE),
    })
}
