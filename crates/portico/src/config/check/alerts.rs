//! `[alerts]`

use super::gather;
use crate::config::checked::{AlertKind, AlertTarget, Alerts, Smtp};
use crate::config::keys::alerts as keys;
use crate::config::problem::{Code, Problem, Severity};
use crate::config::reader::Reader;
use crate::types::text;

pub(super) fn alerts(file: &mut Reader<'_, '_, '_>) -> Option<Alerts> {
    let mut reader = file.section("alerts");
    let smtp = smtp(&mut reader);
    let mail_works = smtp.as_ref().is_none_or(|smtp| !smtp.host.is_empty() && !smtp.from.is_empty());
    let targets = targets(&mut reader, mail_works);
    gather!(Alerts {
        repeat: reader.take(&keys::REPEAT),
        quiet: reader.take(&keys::QUIET),
        smtp: smtp,
        targets: targets,
    })
}

fn smtp(reader: &mut Reader<'_, '_, '_>) -> Option<Smtp> {
    let mut reader = reader.section("smtp");
    let password_file =
        reader.take(&keys::SMTP_PASSWORD_FILE).map(|file| file.map(|file| reader.absolute(file)));
    gather!(Smtp {
        host: reader.take(&keys::SMTP_HOST),
        port: reader.take(&keys::SMTP_PORT),
        security: reader.take(&keys::SMTP_SECURITY),
        username: reader.take(&keys::SMTP_USERNAME),
        password_file: password_file,
        from: reader.take(&keys::SMTP_FROM),
    })
}

fn targets(reader: &mut Reader<'_, '_, '_>, mail_works: bool) -> Option<Vec<AlertTarget>> {
    let count = reader.count("target");
    let targets: Vec<Option<AlertTarget>> =
        (0..count).map(|index| target(reader.element("target", index), mail_works)).collect();
    for later in 1..count {
        let Some(name) = targets[later].as_ref().map(|target| target.name.clone()) else { continue };
        let same = |other: &Option<AlertTarget>| other.as_ref().is_some_and(|other| other.name == name);
        if let Some(earlier) = targets[..later].iter().position(same) {
            let first = reader.element("target", earlier).spot_of(&keys::TARGET_NAME);
            let spot = reader.element("target", later).spot_of(&keys::TARGET_NAME);
            reader.judge.push(
                Problem::error(
                    Code::Duplicate,
                    &spot,
                    text!("two alert targets are called \"{name}\"", "有两个告警目标名为 \"{name}\""),
                )
                .also(&first, text!("first here", "第一次在此")),
            );
        }
    }
    targets.into_iter().collect()
}

fn target(mut reader: Reader<'_, '_, '_>, mail_works: bool) -> Option<AlertTarget> {
    reader.note_whole(Severity::Warning);
    let kind = reader.take(&keys::TARGET_KIND);
    let to = reader.take(&keys::TARGET_TO);
    let url_file = reader.take(&keys::TARGET_URL_FILE);
    let spot = reader.spot_of(&keys::TARGET_KIND);
    let mut missing = |name: &str, help| {
        reader.judge.push(
            Problem::error(
                Code::Missing,
                &spot,
                text!("an alert target of this kind needs {name}", "该类型的告警目标需要 {name}"),
            )
            .label(help),
        );
    };
    match (kind, &to, &url_file) {
        (Some(AlertKind::Mail), Some(to), _) => {
            if to.is_empty() {
                missing("`to`", text!("add to = [\"ops@example.com\"]", "请加上 to = [\"ops@example.com\"]"));
            }
            if !mail_works {
                missing(
                    "`alerts.smtp`",
                    text!("write host and from in [alerts.smtp]", "请在 [alerts.smtp] 中写出 host 和 from"),
                );
            }
        }
        (Some(kind), _, Some(None)) if kind != AlertKind::Mail => {
            missing(
                "`url_file`",
                text!(
                    "add url_file = \"/etc/portico/NAME.url\"",
                    "请加上 url_file = \"/etc/portico/名称.url\""
                ),
            );
        }
        _ => {}
    }
    let url_file = url_file.map(|file| file.map(|file| reader.absolute(file)));
    let secret_file =
        reader.take(&keys::TARGET_SECRET_FILE).map(|file| file.map(|file| reader.absolute(file)));
    gather!(AlertTarget {
        name: reader.take(&keys::TARGET_NAME),
        kind: kind,
        to: to,
        url_file: url_file,
        secret_file: secret_file,
    })
}
