//! `portico access explain` and `portico audit`

use std::fmt::Write as _;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::admin::call_for;
use super::arguments::{
    AccessCommand, AccessExplainArguments, AuditCommand, AuditListArguments, AuditVerifyArguments,
};
use super::{Context, Exit};
use crate::types::text;

pub(crate) fn access(context: &Context, command: &AccessCommand) -> Exit {
    let AccessCommand::Explain(arguments) = command;
    explain(context, arguments).unwrap_or_else(|exit| exit)
}

fn explain(context: &Context, arguments: &AccessExplainArguments) -> Result<Exit, Exit> {
    let AccessExplainArguments { ip, key, user, path, method, json: as_json } = arguments;
    let mut body = json!({"ip": ip});
    for (name, value) in [("key", key), ("user", user), ("path", path), ("method", method)] {
        if let Some(value) = value {
            body[name] = json!(value);
        }
    }
    let asked = call_for(context, StatusCode::OK, Method::POST, "/access/explain", &body)?;
    let answer = &asked.answer;
    let enters = answer["enters"] == Value::Bool(true);
    let shown = if *as_json {
        format!("{answer:#}\n")
    } else {
        let because = answer["because"].as_str().unwrap_or_default();
        let verdict = if enters {
            text!("enters", "允许进入")
        } else {
            let (status, code) = (&answer["status"], answer["code"].as_str().unwrap_or_default());
            text!("is refused: {status} {code}", "被拒绝:{status} {code}")
        };
        let why = text!("because", "依据");
        format!("{ip} {}\n  {}: {because}\n", verdict.pick(asked.tongue), why.pick(asked.tongue))
    };
    match context.out.data(&shown) {
        Exit::Fine if !enters => Ok(Exit::No),
        exit => Ok(exit),
    }
}

pub(crate) fn audit(context: &Context, command: &AuditCommand) -> Exit {
    let done = match command {
        AuditCommand::List(arguments) => list(context, arguments),
        AuditCommand::Verify(arguments) => verify(context, arguments),
    };
    done.unwrap_or_else(|exit| exit)
}

fn list(context: &Context, arguments: &AuditListArguments) -> Result<Exit, Exit> {
    let asked =
        call_for(context, StatusCode::OK, Method::GET, &format!("/audit?{}", arguments.lines), &Value::Null)?;
    if arguments.json {
        return Ok(context.out.data(&format!("{:#}\n", asked.answer)));
    }
    let mut out = String::new();
    for record in asked.answer.as_array().into_iter().flatten() {
        let field = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
        let (number, time) = (&record["number"], field("time").chars().take(19).collect::<String>());
        let _ =
            write!(out, "{number:>6}  {time}  {}  {}  {}", field("actor"), field("action"), field("target"));
        for extra in ["address", "detail"] {
            if let Some(value) = record[extra].as_str().filter(|value| !value.is_empty()) {
                let _ = write!(out, "  {value}");
            }
        }
        out.push('\n');
    }
    if out.is_empty() {
        let none = text!("Nothing has been recorded yet.", "还没有任何记录。");
        let _ = writeln!(out, "{}", none.pick(asked.tongue));
    }
    Ok(context.out.data(&out))
}

fn verify(context: &Context, arguments: &AuditVerifyArguments) -> Result<Exit, Exit> {
    let body = arguments.head.as_ref().map_or_else(|| json!({}), |head| json!({"head": head}));
    let asked = call_for(context, StatusCode::OK, Method::POST, "/audit/verify", &body)?;
    let answer = &asked.answer;
    let whole = answer["whole"] == Value::Bool(true);
    let shown = if arguments.json {
        format!("{answer:#}\n")
    } else {
        let (records, number) = (&answer["records"], &answer["number"]);
        let head = answer["head"].as_str().unwrap_or("-");
        let verdict = match (whole, answer["how"].as_str()) {
            (true, _) => text!(
                "The trail is whole: {records} records, head {head}. Compare the head with the one in the error log.",
                "审计记录完整:共 {records} 条,链尾 {head}。请与错误日志中的链尾比较。"
            ),
            (false, Some("missing")) => {
                text!("BROKEN: record {number} is missing.", "已被破坏:第 {number} 条记录缺失。")
            }
            (false, Some("cut")) => text!(
                "BROKEN: the trail ends before record {number}, which was there.",
                "已被破坏:记录在曾经存在的第 {number} 条之前中断。"
            ),
            (false, Some("unnoted")) => text!(
                "SUSPECT: the note of the trail's end beside the database (audit.head) is not the one that was written. Compare the end with the error log: portico audit verify --head NUMBER:MAC",
                "可疑:数据库旁的链尾记录(audit.head)与写入时不同。请与错误日志中的链尾比较:portico audit verify --head 编号:MAC"
            ),
            (false, _) => text!(
                "BROKEN: record {number} is not as it was written.",
                "已被破坏:第 {number} 条记录与写入时不同。"
            ),
        };
        format!("{}\n", verdict.pick(asked.tongue))
    };
    match context.out.data(&shown) {
        Exit::Fine if !whole => Ok(Exit::No),
        exit => Ok(exit),
    }
}
