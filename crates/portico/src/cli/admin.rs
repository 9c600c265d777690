//! Commands that talk to a running Portico over its admin socket.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;

use super::arguments::JsonArguments;
use super::model::{aligned, detail, for_how_long, shown_name, state_word};
use super::{Context, Exit, cert, check};
use crate::access::Actor;
use crate::admin::{Request as PeopleRequest, people_answer};
use crate::certificate::Status;
use crate::config;
use crate::control;
use crate::sys::http::{FetchError, Limits, Target, fetch};
use crate::sys::users;
use crate::types::{Text, Tongue, text};

const LIMITS: Limits = Limits {
    connect: Duration::from_secs(2),
    total: Duration::from_secs(60),
    max_body_bytes: 4 * 1024 * 1024,
};

/// Asks the running Portico that this configuration belongs to.
pub(super) fn ask(context: &Context, method: Method, path: &str) -> Result<(StatusCode, Value), Exit> {
    let (socket, tongue) = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => (loaded.config.listen.admin, loaded.tongue),
        Err(problems) => {
            return Err(check::refuse(context, &problems.document, &problems.list, problems.tongue));
        }
    };
    request(&socket, method, path).map_err(|error| {
        say(context, tongue, &not_reached(&socket, &error));
        Exit::No
    })
}

/// `None`: nobody runs. Who may not ask is told so.
pub(super) fn ask_if_running(
    context: &Context,
    method: Method,
    path: &str,
    loaded: &config::Loaded,
    total: Duration,
) -> Result<Option<(StatusCode, Value)>, Exit> {
    let socket = &loaded.config.listen.admin;
    match request_within(socket, method, path, Limits { total, ..LIMITS }) {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is_refused() => Ok(None),
        Err(error) => {
            say(context, loaded.tongue, &not_reached(socket, &error));
            Err(Exit::No)
        }
    }
}

/// What was asked of the running Portico, or of its store where nobody runs.
pub(super) struct Asked {
    pub(super) status: StatusCode,
    pub(super) answer: Value,
    pub(super) config: config::Config,
    pub(super) tongue: Tongue,
}

/// Asks about people: the running Portico; where none runs, the store is opened by this process.
fn call(context: &Context, method: Method, path: &str, body: &Value) -> Result<Asked, Exit> {
    let loaded = config::load(context.config.as_deref(), &context.environment)
        .map_err(|problems| check::refuse(context, &problems.document, &problems.list, problems.tongue))?;
    let (config, tongue) = (loaded.config, loaded.tongue);
    let socket = &config.listen.admin;
    let sent = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let (status, answer) = match request_with(socket, method.clone(), path, sent.clone(), LIMITS) {
        Ok(answer) => answer,
        Err(error) if error.is_refused() => {
            alone(context, tongue, &config, &method, path, &sent).map_err(|why| {
                say(context, tongue, &why);
                Exit::Wrong
            })?
        }
        Err(error) => {
            say(context, tongue, &not_reached(socket, &error));
            return Err(Exit::No);
        }
    };
    Ok(Asked { status, answer, config, tongue })
}

/// The same answer, from this process.
fn alone(
    context: &Context,
    tongue: Tongue,
    config: &config::Config,
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<(StatusCode, Value), Text> {
    let (accounts, loss) = control::open_accounts(config)?;
    if let Some(loss) = loss {
        say(context, tongue, &loss);
    }
    let actor = Actor {
        name: format!("system:{}", users::name_of(rustix::process::getuid().as_raw())),
        address: None,
    };
    let request = PeopleRequest { method, target: path, body, actor };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| text!("threads can't be started: {error}", "无法启动线程:{error}"))?;
    let answer = runtime.block_on(people_answer(&request, &accounts, config));
    Ok(answer.unwrap_or((StatusCode::NOT_FOUND, Value::Null)))
}

/// As [`call`], for who needs the answer: where it is not the wanted one, that is said.
pub(super) fn call_for(
    context: &Context,
    wanted: StatusCode,
    method: Method,
    path: &str,
    body: &Value,
) -> Result<Asked, Exit> {
    let asked = call(context, method, path, body)?;
    if asked.status == wanted { Ok(asked) } else { Err(refused_with(context, &asked)) }
}

/// Says why something was not done.
fn refused_with(context: &Context, asked: &Asked) -> Exit {
    match serde_json::from_value::<Text>(asked.answer["refused"].clone()) {
        Ok(why) => say(context, asked.tongue, &why),
        Err(_) => return unexpected(context, asked.status),
    }
    Exit::No
}

/// As [`ask`], also while the file is being edited: a slip in it must not hide the Portico that runs.
fn ask_in_any_case(context: &Context, method: Method, path: &str) -> Result<(StatusCode, Value), Exit> {
    if let Err(problems) = config::load(context.config.as_deref(), &context.environment)
        && let Some(socket) = config::admin_socket_of_broken(&problems.document, &context.environment)
        && let Ok(answer) = request(&socket, method.clone(), path)
    {
        let warning = text!(
            "warning: the configuration file can't be used as it is now; `portico check` shows why.\n",
            "警告:当前的配置文件无法使用;`portico check` 可查看原因。\n"
        );
        context.out.talk(warning.pick(problems.tongue));
        return Ok(answer);
    }
    ask(context, method, path)
}

fn request(socket: &std::path::Path, method: Method, path: &str) -> Result<(StatusCode, Value), FetchError> {
    request_within(socket, method, path, LIMITS)
}

fn request_within(
    socket: &std::path::Path,
    method: Method,
    path: &str,
    limits: Limits,
) -> Result<(StatusCode, Value), FetchError> {
    request_with(socket, method, path, Bytes::new(), limits)
}

fn request_with(
    socket: &std::path::Path,
    method: Method,
    path: &str,
    body: Bytes,
    limits: Limits,
) -> Result<(StatusCode, Value), FetchError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime of one thread needs only file descriptors");
    let target = Target::Unix(PathBuf::from(socket));
    let answer = runtime.block_on(fetch(&target, method, path, &[], body, limits));
    answer.map(|(status, _, body)| (status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn not_reached(socket: &std::path::Path, error: &FetchError) -> Text {
    let shown = socket.display();
    match error {
        error if error.is_refused() => text!(
            "Portico is not running: nobody answers on {shown}. Start it with `portico run`, or name its configuration with --config.",
            "Portico 没有运行:{shown} 无人应答。用 `portico run` 启动,或用 --config 指明它的配置文件。"
        ),
        FetchError::Connect { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => text!(
            "the admin socket {shown} may not be opened by this user. Try again with sudo.",
            "当前用户无权打开管理套接字 {shown}。请用 sudo 重试。"
        ),
        error => text!("the running Portico did not answer: {error}", "正在运行的 Portico 没有回答:{error}"),
    }
}

pub(crate) fn status(context: &Context, arguments: &JsonArguments) -> Exit {
    let (status, answer) = match ask_in_any_case(context, Method::GET, "/status") {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if status != StatusCode::OK {
        return unexpected(context, status);
    }
    let ready = answer["models"].as_array().is_some_and(|models| {
        !models.is_empty()
            && models.iter().all(|model| matches!(model["state"].as_str(), Some("ready" | "stopped")))
    });
    let text = if arguments.json { format!("{answer:#}\n") } else { screen(&answer, context.tongue) };
    match context.out.data(&text) {
        Exit::Fine if ready => Exit::Fine,
        Exit::Fine => Exit::No,
        exit => exit,
    }
}

fn screen(answer: &Value, tongue: Tongue) -> String {
    let word = |text: Text| text.pick(tongue).to_owned();
    let string = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let mut out = String::new();
    let listeners: Vec<_> = answer["listeners"].as_array().into_iter().flatten().map(string).collect();
    let (version, pid) = (string(&answer["version"]), &answer["pid"]);
    let age = for_how_long(&answer["since"], SystemTime::now(), tongue);
    let head =
        text!("Portico {version}, pid {pid}, up for {age}", "Portico {version},进程 {pid},已运行 {age}");
    let _ = writeln!(out, "{}", word(head));
    let config = match answer["config"].as_str() {
        Some(path) => path.to_owned(),
        None => word(text!("built-in defaults", "内置默认值")),
    };
    let facts = [
        [word(text!("listens on", "监听地址")), listeners.join(" ")],
        [word(text!("mode", "模式")), mode_word(&answer["mode"], tongue)],
        [word(text!("config", "配置")), config],
        [word(text!("connections", "连接数")), answer["connections"].to_string()],
    ];
    let certificates: Vec<Status> =
        serde_json::from_value(answer["certificates"].clone()).unwrap_or_default();
    let certificates = certificates
        .iter()
        .map(|status| [word(text!("certificate", "证书")), cert::in_short(status).pick(tongue).to_owned()]);
    let facts: Vec<_> = facts.into_iter().chain(certificates).collect();
    for line in aligned(&facts) {
        let _ = writeln!(out, "  {line}");
    }
    if answer["log_lines_lost"].as_u64().unwrap_or(0) > 0 {
        let lost = &answer["log_lines_lost"];
        let lost = text!(
            "{lost} access log lines were lost: is the disk full?",
            "丢失了 {lost} 行访问日志:磁盘是否已满?"
        );
        let _ = writeln!(out, "  {}", word(lost));
    }
    if answer["audit_records_lost"].as_u64().unwrap_or(0) > 0 {
        let lost = &answer["audit_records_lost"];
        let lost = text!(
            "{lost} records of the audit trail were lost: too many at once",
            "丢失了 {lost} 条审计记录:同时产生过多"
        );
        let _ = writeln!(out, "  {}", word(lost));
    }
    if answer["last_reload"]["ok"] == Value::Bool(false) {
        let why = detail(&answer["last_reload"], tongue).join(" ");
        let _ = writeln!(out, "  {}", word(text!("the last reload failed: {why}", "上次重新加载失败:{why}")));
    }
    let _ = writeln!(out);
    let models: Vec<&Value> = answer["models"].as_array().into_iter().flatten().collect();
    let row = |model: &&Value| {
        let (running, waiting) = (&model["running"], &model["waiting"]);
        let load = word(text!("{running} running, {waiting} waiting", "运行 {running},等待 {waiting}"));
        [shown_name(model), string(&model["engine"]), state_word(&model["state"], tongue), load]
    };
    let rows: Vec<_> = models.iter().map(row).collect();
    for (line, model) in aligned(&rows).iter().zip(models) {
        let _ = writeln!(out, "  {line}");
        for line in detail(model, tongue) {
            let _ = writeln!(out, "      {line}");
        }
    }
    out
}

fn mode_word(mode: &Value, tongue: Tongue) -> String {
    let word = match mode.as_str() {
        Some("local") => text!("local: this machine alone", "本地:仅限本机"),
        Some("networks") => text!("networks: those in access.allow", "网段:access.allow 中的地址"),
        Some("identity") => text!("whoever is known: users and keys", "已知身份者:用户和密钥"),
        Some("closed") => text!("closed: nobody may come in", "关闭:无人可以进入"),
        other => {
            let other = other.unwrap_or("-");
            text!("unknown: {other}", "未知:{other}")
        }
    };
    word.pick(tongue).to_owned()
}

pub(crate) fn reload(context: &Context) -> Exit {
    let (status, answer) = match ask(context, Method::POST, "/reload") {
        Ok(answer) => answer,
        Err(exit) => {
            if exit == Exit::Wrong {
                unchanged(context);
            }
            return exit;
        }
    };
    if status == StatusCode::OK {
        let changed = list(&answer["changed"]);
        let text = if changed.is_empty() {
            text!("Reloaded; nothing had changed.", "已重新加载;没有变化。")
        } else {
            text!("Reloaded. Changed: {changed}", "已重新加载。变化:{changed}")
        };
        return context.out.data(&format!("{}\n", text.pick(context.tongue)));
    }
    refused(context, &answer)
}

/// Why a reload would not or did not happen. Problems in the file are shown from the file itself.
fn refused(context: &Context, answer: &Value) -> Exit {
    let problems = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => control::startable(&loaded).err(),
        Err(problems) => Some(*problems),
    };
    let exit = if let Some(problems) = problems {
        check::refuse(context, &problems.document, &problems.list, problems.tongue)
    } else {
        let key = if context.tongue == Tongue::Chinese { "zh" } else { "en" };
        let from_refusal = answer["refused"][key].as_str();
        let why = from_refusal.or_else(|| answer["problems"][0]["message"].as_str()).unwrap_or_default();
        say(context, context.tongue, &text!("{why}", "原因:{why}"));
        Exit::No
    };
    unchanged(context);
    exit
}

fn unchanged(context: &Context) {
    let kept = text!("The running configuration was NOT changed.", "正在运行的配置没有改变。");
    context.out.talk(&format!("{}\n", kept.pick(context.tongue)));
}

pub(crate) fn stop(context: &Context) -> Exit {
    match ask_in_any_case(context, Method::POST, "/stop") {
        Ok((StatusCode::ACCEPTED, _)) => {
            let text = text!(
                "Stopping: live answers may finish, then it ends.",
                "正在停止:进行中的回答可以完成,然后结束。"
            );
            context.out.data(&format!("{}\n", text.pick(context.tongue)))
        }
        Ok((status, _)) => unexpected(context, status),
        Err(exit) => exit,
    }
}

/// Exit 1 when the running configuration differs from the file, as `diff` does.
pub(crate) fn diff(context: &Context, arguments: &JsonArguments) -> Exit {
    let (status, answer) = match ask(context, Method::GET, "/config/diff") {
        Ok(answer) => answer,
        Err(exit) => return exit,
    };
    if status != StatusCode::OK {
        return refused(context, &answer);
    }
    let same = answer["changed"].as_array().is_none_or(Vec::is_empty);
    let text = if arguments.json {
        format!("{answer:#}\n")
    } else if same {
        format!("{}\n", text!("No difference.", "没有差别。").pick(context.tongue))
    } else {
        let changed = list(&answer["changed"]);
        let restart = list(&answer["needs_restart"]);
        let mut text = format!("{}\n", text!("changed: {changed}", "变化:{changed}").pick(context.tongue));
        if !restart.is_empty() {
            let note = text!("needs a restart: {restart}", "需要重启:{restart}");
            text.push_str(note.pick(context.tongue));
            text.push('\n');
        }
        text
    };
    match context.out.data(&text) {
        Exit::Fine if same => Exit::Fine,
        Exit::Fine => Exit::No,
        exit => exit,
    }
}

fn list(value: &Value) -> String {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
}

pub(super) fn unexpected(context: &Context, status: StatusCode) -> Exit {
    let why = text!("the running Portico answered {status}", "正在运行的 Portico 回答了 {status}");
    say(context, context.tongue, &why);
    Exit::No
}

pub(super) fn say(context: &Context, tongue: Tongue, why: &Text) {
    let label = text!("error", "错误");
    context.out.talk(&format!("{}: {}\n", label.pick(tongue), why.pick(tongue)));
}
