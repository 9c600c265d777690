//! `portico model …`: the model servers from the operator's chair.
//!
//! `list`, `start`, `stop` and `restart` ask the running Portico over its admin socket. `list` and `logs` work without
//! one too: what is configured and what was logged is on disk. `install` runs here and now.

mod advisories;
mod logs;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::arguments::{JsonArguments, ListArguments, LogsArguments, ModelCommand, NameArguments};
use super::{Context, Exit as Outcome, check};
use crate::config::{self, Config, Engine, Model};
use crate::supervise::{self, Installation, clean};
use crate::sys::http::{FetchError, Limits, Target, fetch};
use crate::types::{Text, Tongue, percent_encoded, text};

/// What these commands need of the configuration.
#[derive(Debug, Clone, Copy)]
struct Setting<'a> {
    models: &'a [Model],
    /// The admin socket.
    admin: &'a Path,
    data_dir: &'a Path,
}

impl<'a> From<&'a Config> for Setting<'a> {
    fn from(config: &'a Config) -> Self {
        Self { models: &config.models, admin: &config.listen.admin, data_dir: &config.site.data_dir }
    }
}

/// Where the words go: answers to `out`, everything else to `err`.
pub(crate) struct Console<'a> {
    pub(crate) out: &'a mut dyn Write,
    pub(crate) err: &'a mut dyn Write,
    pub(crate) tongue: Tongue,
}

impl Console<'_> {
    fn answer(&mut self, text: &Text) -> io::Result<()> {
        writeln!(self.out, "{}", text.pick(self.tongue))
    }

    fn note(&mut self, text: &Text) -> io::Result<()> {
        writeln!(self.err, "{}", text.pick(self.tongue))
    }

    fn refuse(&mut self, text: &Text, outcome: Outcome) -> io::Result<Outcome> {
        let word = Text::fixed("error", "错误");
        writeln!(self.err, "{}: {}", word.pick(self.tongue), text.pick(self.tongue))?;
        Ok(outcome)
    }
}

/// `portico model …` with the configuration that is found.
pub(crate) fn model(context: &Context, command: ModelCommand) -> Outcome {
    let loaded = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refuse(context, &problems.document, &problems.list, problems.tongue),
    };
    let (mut out, mut err) = (io::stdout().lock(), io::stderr().lock());
    let mut console = Console { out: &mut out, err: &mut err, tongue: loaded.tongue };
    // Whoever read the output has gone: there is nobody left to tell.
    run(command, Setting::from(&loaded.config), &mut console).unwrap_or(Outcome::Fine)
}

/// Runs one command. The error is one of writing: whoever read the output has gone.
fn run(command: ModelCommand, setting: Setting<'_>, console: &mut Console<'_>) -> io::Result<Outcome> {
    let (name, verb) = match command {
        ModelCommand::List(arguments) => return list(setting, &arguments, console),
        ModelCommand::Install(NameArguments { name }) => return install(setting, name.as_deref(), console),
        ModelCommand::Advise(JsonArguments { json }) => return advise(json, console),
        ModelCommand::Logs(LogsArguments { name, lines, follow }) => {
            return match find(setting, name.as_deref()) {
                Ok(model) => logs::show(model, lines, follow, console),
                Err(text) => console.refuse(&text, Outcome::Wrong),
            };
        }
        ModelCommand::Start(NameArguments { name }) => (name, "start"),
        ModelCommand::Stop(NameArguments { name }) => (name, "stop"),
        ModelCommand::Restart(NameArguments { name }) => (name, "restart"),
    };
    order(setting, name.as_deref(), verb, console)
}

/// By name or alias; without one, the only one there is.
fn find<'a>(setting: Setting<'a>, name: Option<&str>) -> Result<&'a Model, Text> {
    let names: Vec<String> = setting.models.iter().map(label).collect();
    let names = names.join(", ");
    let Some(name) = name else {
        return match setting.models {
            [only] => Ok(only),
            _ => Err(text!("Which model? Configured: {names}", "哪个模型?已配置的模型:{names}")),
        };
    };
    let called = |model: &&Model| model.name == name || model.aliases.iter().any(|alias| alias == name);
    setting.models.iter().find(called).ok_or_else(|| {
        text!("There is no model {name}. Configured: {names}", "没有模型 {name}。已配置的模型:{names}")
    })
}

/// What a person knows it by: the implicit model has no name until its server has told it.
fn label(model: &Model) -> String {
    match model.endpoints.first() {
        Some(endpoint) if model.name.is_empty() => endpoint.to_string(),
        _ => model.name.clone(),
    }
}

fn external(model: &Model) -> Text {
    let name = label(model);
    text!(
        "{name} is an external model: Portico does not run its process.",
        "{name} 是外部模型:Portico 不负责运行其进程。"
    )
}

/// What the running Portico says, or why it says nothing.
enum Asked {
    Answer(StatusCode, Value),
    NotRunning,
    Failed(Text),
}

fn ask(setting: Setting<'_>, method: Method, path: &str) -> Asked {
    ask_socket(setting.admin, method, path)
}

fn ask_socket(admin: &Path, method: Method, path: &str) -> Asked {
    let limits =
        Limits { connect: Duration::from_secs(5), total: Duration::from_secs(30), max_body_bytes: 4 << 20 };
    let socket = admin.display();
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Asked::Failed(text!("Can't start: {error}", "无法启动:{error}")),
    };
    let target = Target::Unix(admin.to_owned());
    match runtime.block_on(fetch(&target, method, path, &[], Bytes::new(), limits)) {
        Ok((status, _, body)) => match serde_json::from_slice(&body) {
            Ok(value) => Asked::Answer(status, value),
            Err(error) => Asked::Failed(text!(
                "{socket} has answered {status} with something else than JSON ({error}): is that Portico?",
                "{socket} 返回 {status},内容不是 JSON({error}):那是 Portico 吗?"
            )),
        },
        Err(error) if error.is_refused() => Asked::NotRunning,
        Err(FetchError::Connect { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {
            Asked::Failed(text!(
                "No permission for the admin socket {socket}. Run this as root or as Portico's user.",
                "没有访问管理套接字 {socket} 的权限。请以 root 或 Portico 的用户运行。"
            ))
        }
        Err(error) => Asked::Failed(text!("Portico has not answered: {error}", "Portico 没有应答:{error}")),
    }
}

fn not_running(setting: Setting<'_>) -> Text {
    let socket = setting.admin.display();
    text!(
        "Portico is not running (nobody answers on {socket}). `portico run` starts it.",
        "Portico 没有运行({socket} 无应答)。可用 `portico run` 启动。"
    )
}

fn list(setting: Setting<'_>, arguments: &ListArguments, console: &mut Console<'_>) -> io::Result<Outcome> {
    let models = match ask(setting, Method::GET, "/models") {
        Asked::Answer(StatusCode::OK, Value::Array(models)) => models,
        Asked::Answer(status, _) => {
            let text = text!(
                "Portico has answered {status} to a list of models.",
                "Portico 对模型列表请求返回 {status}。"
            );
            return console.refuse(&text, Outcome::No);
        }
        Asked::NotRunning => {
            console.note(&not_running(setting))?;
            setting.models.iter().map(configured).collect()
        }
        Asked::Failed(text) => return console.refuse(&text, Outcome::No),
    };
    if arguments.advisories {
        advisories::show(&models, arguments.json, console)?;
    } else if arguments.json {
        let pretty = serde_json::to_string_pretty(&models).unwrap_or_default();
        writeln!(console.out, "{pretty}")?;
    } else {
        table(&models, console)?;
    }
    Ok(Outcome::Fine)
}

/// A model as the admin socket tells it, from the configuration alone.
fn configured(model: &Model) -> Value {
    let endpoints: Vec<Value> =
        model.endpoints.iter().map(|endpoint| json!({"address": endpoint.to_string(), "up": null})).collect();
    json!({
        "name": model.name,
        "aliases": model.aliases,
        "engine": engine_word(model.engine),
        "server": (model.engine != Engine::External).then(|| engine_word(model.engine)),
        "version": null,
        "state": "not running",
        "detail": null,
        "pid": null,
        "restarts": 0,
        "since": null,
        "endpoints": endpoints,
        "log": (model.engine != Engine::External).then(|| model.log.display().to_string()),
    })
}

/// As the configuration file spells it.
fn engine_word(engine: Engine) -> &'static str {
    match engine {
        Engine::Vllm => "vllm",
        Engine::LlamaCpp => "llama.cpp",
        Engine::External => "external",
    }
}

fn table(models: &[Value], console: &mut Console<'_>) -> io::Result<()> {
    let head = match console.tongue {
        Tongue::English => ["MODEL", "STATE", "ENGINE", "PID", "RESTARTS", "FOR", "ENDPOINTS"],
        Tongue::Chinese => ["模型", "状态", "引擎", "进程", "重启", "持续", "地址"],
    };
    let mut rows = vec![head.map(str::to_owned)];
    rows.extend(models.iter().map(|model| row(model, console.tongue)));
    for (number, line) in aligned(&rows).iter().enumerate() {
        writeln!(console.out, "{line}")?;
        for line in number.checked_sub(1).into_iter().flat_map(|at| detail(&models[at], console.tongue)) {
            writeln!(console.out, "  {line}")?;
        }
    }
    Ok(())
}

/// Rows of cells as lines, every column as wide as its widest cell.
pub(super) fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let widths: [usize; N] =
        std::array::from_fn(|at| rows.iter().map(|row| width(&row[at])).max().unwrap_or_default());
    let line = |row: &[String; N]| {
        let mut line = String::new();
        for (cell, wanted) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(wanted - width(cell) + 2));
        }
        line.trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// Why a model is not ready, line by line: nothing of what its server printed may steer the terminal.
pub(super) fn detail(model: &Value, tongue: Tongue) -> Vec<String> {
    let language = if tongue == Tongue::Chinese { "zh" } else { "en" };
    let detail = model["detail"][language].as_str().unwrap_or_default();
    detail.lines().map(|line| clean(line.as_bytes())).collect()
}

fn row(model: &Value, tongue: Tongue) -> [String; 7] {
    let plain = |key: &str| match model.get(key) {
        Some(Value::String(text)) => clean(text.as_bytes()),
        Some(Value::Number(number)) => number.to_string(),
        _ => "-".to_owned(),
    };
    let down = Text::fixed("down", "不可用");
    let endpoints = model.get("endpoints").and_then(Value::as_array).map_or_else(String::new, |endpoints| {
        let one = |endpoint: &Value| {
            let address = endpoint.get("address").and_then(Value::as_str).unwrap_or("-");
            match endpoint.get("up").and_then(Value::as_bool) {
                Some(false) => format!("{address} ({})", down.pick(tongue)),
                _ => address.to_owned(),
            }
        };
        endpoints.iter().map(one).collect::<Vec<_>>().join(", ")
    });
    [
        shown_name(model),
        state_word(&model["state"], tongue),
        plain("engine"),
        plain("pid"),
        plain("restarts"),
        for_how_long(&model["since"], SystemTime::now(), tongue),
        endpoints,
    ]
}

/// A model's state in the reader's language; JSON keeps the words of the API.
pub(super) fn state_word(state: &Value, tongue: Tongue) -> String {
    let word = state.as_str().unwrap_or("-");
    let known = match word {
        "ready" => Text::fixed("ready", "就绪"),
        "loading" => Text::fixed("loading", "加载中"),
        "down" => Text::fixed("down", "不可用"),
        "stopped" => Text::fixed("stopped", "已停止"),
        "not running" => Text::fixed("not running", "未运行"),
        other => return clean(other.as_bytes()),
    };
    known.pick(tongue).to_owned()
}

/// The two largest units of the time since a Unix time in seconds: `3 d 4 h`.
pub(super) fn for_how_long(since: &Value, now: SystemTime, tongue: Tongue) -> String {
    let Some(since) = since.as_u64() else { return "-".to_owned() };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let seconds = now.saturating_sub(since);
    let units = [
        (86400, Text::fixed("d", "天")),
        (3600, Text::fixed("h", "小时")),
        (60, Text::fixed("min", "分")),
        (1, Text::fixed("s", "秒")),
    ];
    let first = units.iter().position(|(length, _)| seconds >= *length).unwrap_or(units.len() - 1);
    let shown = units[first..].iter().take(2).scan(seconds, |left, (length, unit)| {
        let count = *left / length;
        *left %= length;
        Some((count, unit.pick(tongue)))
    });
    let shown = shown.enumerate().filter(|(at, (count, _))| *at == 0 || *count > 0);
    shown.map(|(_, (count, unit))| format!("{count} {unit}")).collect::<Vec<_>>().join(" ")
}

/// As [`label`], of a model as the admin socket tells it.
pub(super) fn shown_name(model: &Value) -> String {
    let name = model["name"].as_str().filter(|name| !name.is_empty());
    clean(name.or_else(|| model["endpoints"][0]["address"].as_str()).unwrap_or("-").as_bytes())
}

/// Columns on a terminal: Chinese characters take two.
fn width(text: &str) -> usize {
    let wide = |c: char| matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}' | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe6f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}');
    text.chars().map(|c| if wide(c) { 2 } else { 1 }).sum()
}

fn order(
    setting: Setting<'_>,
    name: Option<&str>,
    verb: &str,
    console: &mut Console<'_>,
) -> io::Result<Outcome> {
    let model = match find(setting, name) {
        Ok(model) => model,
        Err(text) => return console.refuse(&text, Outcome::Wrong),
    };
    let name = &model.name;
    if name.is_empty() {
        return console.refuse(&external(model), Outcome::No);
    }
    match ask(setting, Method::POST, &format!("/models/{}/{verb}", percent_encoded(name))) {
        Asked::Answer(StatusCode::ACCEPTED | StatusCode::OK, answer) => {
            let (en, zh) = (
                state_word(&answer["state"], Tongue::English),
                state_word(&answer["state"], Tongue::Chinese),
            );
            console.answer(&text!(
                "{name}: {verb} is under way, now {en}. `portico model list` shows how it goes.",
                "{name}:正在执行 {verb},当前状态:{zh}。可用 `portico model list` 查看进展。"
            ))?;
            Ok(Outcome::Fine)
        }
        Asked::Answer(status, answer) => {
            let said = answer.get("error").and_then(Value::as_str).unwrap_or(status.as_str());
            let said = clean(said.as_bytes());
            console.refuse(&of(name, &Text { en: said.clone().into(), zh: said.into() }), Outcome::No)
        }
        Asked::NotRunning => console.refuse(&not_running(setting), Outcome::No),
        Asked::Failed(text) => console.refuse(&text, Outcome::No),
    }
}

fn install(setting: Setting<'_>, name: Option<&str>, console: &mut Console<'_>) -> io::Result<Outcome> {
    let models: Vec<&Model> = match name.map(|name| find(setting, Some(name))) {
        Some(Ok(model)) => vec![model],
        Some(Err(text)) => return console.refuse(&text, Outcome::Wrong),
        None => setting.models.iter().filter(|model| model.engine != Engine::External).collect(),
    };
    if models.is_empty() {
        console.answer(&Text::fixed(
            "No model is run by Portico itself: there is nothing to install.",
            "没有由 Portico 自己运行的模型:没有需要安装的内容。",
        ))?;
        return Ok(Outcome::Fine);
    }
    let search_path = std::env::var_os("PATH").unwrap_or_default();
    let mut outcome = Outcome::Fine;
    for model in models {
        let name = &model.name;
        let installation = Installation { model, data_dir: setting.data_dir, search_path: &search_path };
        let mut written = Ok(());
        let result = installation.run(&mut |step| {
            if written.is_ok() {
                written = console.note(&of(name, step));
            }
        });
        written?;
        match result {
            Ok(()) => console.answer(&text!(
                "{name} is installed. A running Portico finds it within a minute; `portico model restart {name}` makes that now.",
                "{name} 已安装。运行中的 Portico 会在一分钟内发现;`portico model restart {name}` 可立即生效。"
            ))?,
            Err(text) => outcome = console.refuse(&of(name, &text), Outcome::No)?,
        }
    }
    Ok(outcome)
}

fn of(name: &str, Text { en, zh }: &Text) -> Text {
    Text { en: format!("{name}: {en}").into(), zh: format!("{name}:{zh}").into() }
}

fn advise(as_json: bool, console: &mut Console<'_>) -> io::Result<Outcome> {
    let search_path: OsString = std::env::var_os("PATH").unwrap_or_default();
    let gpus = supervise::gpus(&search_path);
    let advice = supervise::advise(&gpus);
    if as_json {
        let gpus: Vec<Value> =
            gpus.iter().map(|gpu| json!({"name": gpu.name, "memory_mib": gpu.memory_mib})).collect();
        let value = match &advice {
            Ok(advice) => json!({
                "gpus": gpus, "engine": "vllm", "path": advice.path, "args": advice.args,
                "text": advice.text.pick(console.tongue),
            }),
            Err(text) => json!({"gpus": gpus, "engine": null, "text": text.pick(console.tongue)}),
        };
        writeln!(console.out, "{value}")?;
    } else {
        match &advice {
            Ok(advice) => {
                let args = supervise::quoted(advice.args);
                console.note(&advice.text)?;
                writeln!(console.out, "engine = \"vllm\"\npath = \"{}\"\nargs = [{args}]", advice.path)?;
            }
            Err(text) => console.answer(text)?,
        }
    }
    Ok(if advice.is_ok() { Outcome::Fine } else { Outcome::No })
}

#[cfg(test)]
mod tests;
