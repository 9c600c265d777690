//! `portico cert`

mod trust;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use http::{Method, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::admin::{self, say};
use super::arguments::{CertCommand, JsonArguments, RenewArguments};
use super::model::aligned;
use super::{Context, Exit, check};
use crate::certificate::{LastError, State, Status};
use crate::config;
use crate::control::{self, NotTried};
use crate::types::{Text, Tongue, text};

const SOON: Duration = Duration::from_secs(60);
/// A CA may look at a name for minutes.
const RENEWAL_TIME: Duration = Duration::from_secs(15 * 60);

pub(crate) fn cert(context: &Context, command: CertCommand) -> Exit {
    match command {
        CertCommand::Status(arguments) => status(context, &arguments),
        CertCommand::Renew(arguments) => renew(context, &arguments),
        CertCommand::Trust(arguments) => trust::trust(context, &arguments),
    }
}

/// From the running Portico, or from what it has kept.
fn status(context: &Context, arguments: &JsonArguments) -> Exit {
    let loaded = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refuse(context, &problems.document, &problems.list, problems.tongue),
    };
    let (running, found) = match admin::ask_if_running(context, Method::GET, "/certificates", &loaded, SOON) {
        Ok(Some((StatusCode::OK, answer))) => {
            (true, serde_json::from_value(answer["certificates"].clone()).unwrap_or_default())
        }
        Ok(Some((status, _))) => return admin::unexpected(context, status),
        Ok(None) => (false, control::kept_certificates(&loaded.config)),
        Err(exit) => return exit,
    };
    let found: Vec<Status> = found;
    let fine = !found.is_empty() && found.iter().all(|status| status.state == State::Valid);
    let text = if arguments.json {
        format!("{:#}\n", json!({"running": running, "certificates": found}))
    } else {
        screen(&found, running, &loaded.config, loaded.tongue)
    };
    match context.out.data(&text) {
        Exit::Fine if fine => Exit::Fine,
        Exit::Fine => Exit::No,
        exit => exit,
    }
}

fn screen(found: &[Status], running: bool, config: &config::Config, tongue: Tongue) -> String {
    let mut out = String::new();
    if !running {
        let note = text!(
            "Portico is not running; this is what it has kept.",
            "Portico 没有运行;以下是它保存的内容。"
        );
        let _ = writeln!(out, "{}\n", note.pick(tongue));
    }
    if found.is_empty() {
        let none = if config.has_https() {
            text!(
                "There is no certificate yet. `portico run` gets one.",
                "还没有证书。`portico run` 会自动获取。"
            )
        } else {
            text!(
                "https is off (tls.issuer = \"off\", or listen.https is empty): there is no certificate.",
                "https 已关闭(tls.issuer = \"off\",或 listen.https 为空):没有证书。"
            )
        };
        let _ = writeln!(out, "{}", none.pick(tongue));
    }
    for status in found {
        one(&mut out, status, tongue);
    }
    out
}

fn one(out: &mut String, status: &Status, tongue: Tongue) {
    let word = |text: Text| text.pick(tongue).to_owned();
    let Status { names, issuer, certificate, path, challenge, next, failures, last_error, .. } = status;
    let _ = writeln!(out, "{}", if names.is_empty() { certificate.names.join(" ") } else { names.join(" ") });
    let mut facts = vec![
        [word(text!("state", "状态")), word(in_short(status))],
        [word(text!("signed by", "签发者")), certificate.issuer.clone()],
        [word(text!("issuer", "来源")), issuer.clone()],
    ];
    if let Some(challenge) = challenge {
        facts.push([word(text!("proven by", "验证方式")), challenge.clone()]);
    }
    if let Some(path) = path {
        facts.push([word(text!("kept in", "保存位置")), path.clone()]);
    }
    if let Some(next) = next {
        let (at, why) = (shown(next.at), next.why.pick(tongue));
        facts.push([word(text!("next", "下一步")), word(text!("{at}: {why}", "{at}:{why}"))]);
    }
    for line in aligned(&facts) {
        let _ = writeln!(out, "  {line}");
    }
    if let Some(error) = last_error {
        let at = shown(error.at);
        let head = text!("last error ({at}, {failures} in a row):", "上次错误({at},连续 {failures} 次):");
        let _ = writeln!(out, "\n  {}", head.pick(tongue));
        for line in told(error, tongue) {
            let _ = writeln!(out, "    {line}");
        }
    }
}

/// The state of it, in a line.
pub(super) fn in_short(status: &Status) -> Text {
    let certificate = &status.certificate;
    let (days, until) = (certificate.days_left, shown(certificate.not_after));
    match status.state {
        State::Valid => {
            text!("valid until {until}, {days:.1} days left", "有效期至 {until},剩余 {days:.1} 天")
        }
        State::Expired => text!("EXPIRED on {until}", "已于 {until} 过期"),
        State::NotYetValid => {
            let from = shown(certificate.not_before);
            text!(
                "not valid before {from}: is this machine's clock right?",
                "{from} 之前无效:本机时钟是否正确?"
            )
        }
        State::StandIn => text!(
            "self-signed stand-in: browsers refuse it; the real one is being ordered",
            "自签名临时证书:浏览器会拒绝;正式证书正在申请"
        ),
    }
}

fn told(error: &LastError, tongue: Tongue) -> Vec<String> {
    let mut lines = vec![format!("{} [{}] {}", error.authority, error.kind, error.said.pick(tongue))];
    lines.extend(error.explanation.as_ref().map(|text| text.pick(tongue).to_owned()));
    lines
}

/// In this machine's time zone, to the minute.
fn shown(at: Timestamp) -> String {
    at.to_zoned_datetime(TimeZone::system()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

fn renew(context: &Context, arguments: &RenewArguments) -> Exit {
    let RenewArguments { dry_run, json } = *arguments;
    let loaded = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refuse(context, &problems.document, &problems.list, problems.tongue),
    };
    let path = if dry_run { "/certificates/renew?dry_run" } else { "/certificates/renew" };
    if !json {
        let wait = text!(
            "Asking the certificate authority; this can take a minute…",
            "正在向颁发机构申请;可能需要一分钟……"
        );
        context.out.talk(&format!("{}\n", wait.pick(loaded.tongue)));
    }
    let began = SystemTime::now();
    let asked = admin::ask_if_running(context, Method::POST, path, &loaded, RENEWAL_TIME);
    let (done, answer) = match asked {
        Ok(Some((status, answer))) => (status == StatusCode::OK, answer),
        Ok(None) => match control::renew_alone(&loaded.config, dry_run) {
            Ok(outcome) => (outcome.is_done(), outcome.json(dry_run)),
            Err(NotTried::Renewal(why)) => return no(context, loaded.tongue, &why.text()),
            Err(NotTried::Other(why)) => return no(context, loaded.tongue, &why),
        },
        Err(exit) => return exit,
    };
    let seconds = began.elapsed().unwrap_or_default().as_secs_f64();
    if json {
        let printed = context.out.data(&format!("{answer:#}\n"));
        return if done || printed != Exit::Fine { printed } else { Exit::No };
    }
    if !done {
        return not_renewed(context, loaded.tongue, &answer);
    }
    context.out.data(&format!("{}\n", renewed(&answer, dry_run, seconds).pick(loaded.tongue)))
}

fn renewed(answer: &Value, dry_run: bool, seconds: f64) -> Text {
    let word = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let (authority, challenge) = (word(&answer["authority"]), word(&answer["challenge"]));
    if dry_run {
        return text!(
            "The dry run succeeded in {seconds:.1} s: {authority} has signed, proven by {challenge}. Nothing was changed.",
            "演练成功,用时 {seconds:.1} 秒:{authority} 已签发,验证方式 {challenge}。没有任何改动。"
        );
    }
    let until = word(&answer["certificate"]["not_after"]);
    text!(
        "Renewed in {seconds:.1} s: {authority} has signed, proven by {challenge}. It is served already, and valid until {until}.",
        "已续期,用时 {seconds:.1} 秒:{authority} 已签发,验证方式 {challenge}。新证书已在使用,有效期至 {until}。"
    )
}

fn no(context: &Context, tongue: Tongue, why: &Text) -> Exit {
    say(context, tongue, why);
    Exit::No
}

fn not_renewed(context: &Context, tongue: Tongue, answer: &Value) -> Exit {
    if let Ok(error) = serde_json::from_value::<LastError>(answer["error"].clone()) {
        let lines = told(&error, tongue).join("\n  ");
        say(context, tongue, &text!("no certificate was signed:\n  {lines}", "没有签发证书:\n  {lines}"));
    } else {
        let key = if tongue == Tongue::Chinese { "zh" } else { "en" };
        let why = answer["refused"][key].as_str().unwrap_or("?").to_owned();
        say(context, tongue, &text!("{why}", "原因:{why}"));
    }
    Exit::No
}
