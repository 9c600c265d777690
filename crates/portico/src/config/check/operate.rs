//! `[log]`, `[health]`, `[firewall]`, `[store]`

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::gather;
use crate::config::checked::{Firewall, Health, Log, LogTarget, Store};
use crate::config::keys::operate as keys;
use crate::config::problem::{Code, Problem};
use crate::config::reader::Reader;
use crate::types::text;

pub(super) fn log(file: &mut Reader<'_, '_, '_>) -> Option<Log> {
    let mut reader = file.section("log");
    let service = reader.judge.environment.service;
    let default = PathBuf::from(if service { "/var/log/portico/access.log" } else { "stdout" });
    let access = reader.take_or(&keys::ACCESS, default).map(|target| match target.to_str() {
        Some("stdout") => LogTarget::Stdout,
        Some("off") => LogTarget::Off,
        _ => LogTarget::File(reader.absolute(target)),
    });
    let error = reader
        .take(&keys::ERROR)
        .map(|target| if target == Path::new("stderr") { None } else { Some(reader.absolute(target)) });
    let rotate_size_bytes = reader.section("rotate").take(&keys::ROTATE_SIZE);
    let rotate_keep = reader.section("rotate").take(&keys::ROTATE_KEEP);
    if let (Some(LogTarget::File(access)), Some(Some(error))) = (&access, &error)
        && access == error
    {
        let spot = reader.spot_of(&keys::ERROR);
        let first = reader.spot_of(&keys::ACCESS);
        reader.judge.push(
            Problem::error(
                Code::Duplicate,
                &spot,
                text!(
                    "`log.error` and `log.access` are the same file",
                    "`log.error` 与 `log.access` 是同一个文件"
                ),
            )
            .also(&first, text!("first here", "第一次在此")),
        );
    }
    gather!(Log {
        access: access,
        format: reader.take(&keys::FORMAT),
        error: error,
        level: reader.take(&keys::LEVEL),
        rotate_size_bytes: rotate_size_bytes,
        rotate_keep: rotate_keep,
        prompts: reader.take(&keys::PROMPTS),
    })
}

pub(super) fn health(file: &mut Reader<'_, '_, '_>) -> Option<Health> {
    let mut reader = file.section("health");
    let unless_zero = |period: Duration| (!period.is_zero()).then_some(period);
    gather!(Health {
        interval: reader.take(&keys::INTERVAL).map(unless_zero),
        generate_every: reader.take(&keys::GENERATE_EVERY).map(unless_zero),
        failures: reader.take(&keys::FAILURES),
        heartbeat_url: reader.take(&keys::HEARTBEAT_URL),
    })
}

pub(super) fn firewall(file: &mut Reader<'_, '_, '_>) -> Option<Firewall> {
    let mut reader = file.section("firewall");
    let open = reader.take(&keys::OPEN);
    let closed = reader.take(&keys::CLOSED);
    if let (Some(open), Some(closed)) = (&open, &closed) {
        for (index, rule) in closed.iter().enumerate().filter(|(_, rule)| open.contains(rule)) {
            let spot = reader.spot_of_item(&keys::CLOSED, index);
            reader.judge.push(Problem::error(
                Code::Contradiction,
                &spot,
                text!("\"{rule}\" is both open and closed", "\"{rule}\" 既开放又关闭"),
            ));
        }
    }
    gather!(Firewall {
        backend: reader.take(&keys::BACKEND),
        default: reader.take(&keys::DEFAULT),
        open: open,
        closed: closed,
    })
}

pub(super) fn store(file: &mut Reader<'_, '_, '_>) -> Option<Store> {
    let mut reader = file.section("store");
    gather!(Store { url: reader.take(&keys::URL), keep_usage: reader.take(&keys::KEEP_USAGE) })
}
