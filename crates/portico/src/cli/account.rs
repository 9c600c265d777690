//! `portico user` and `portico key`

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::admin::{Asked, call_for, say};
use super::arguments::{
    JsonArguments, KeyCommand, KeyCreateArguments, KeyIdArguments, UserAddArguments, UserCommand,
    UserNameArguments, UserPasswordArguments, UserPlanArguments, UserRoleArguments,
};
use super::model::aligned;
use super::{Context, Exit};
use crate::config::Config;
use crate::sys::terminal;
use crate::types::{Text, Tongue, percent_encoded, text};

/// Of a password on standard input.
const LONGEST_INPUT_BYTES: u64 = 4096;

pub(crate) fn user(context: &Context, command: UserCommand) -> Exit {
    let done = match command {
        UserCommand::Add(arguments) => add(context, &arguments),
        UserCommand::List(arguments) => users(context, &arguments),
        UserCommand::Passwd(arguments) => password(context, &arguments),
        UserCommand::Plan(arguments) => plan(context, &arguments),
        UserCommand::Role(arguments) => role(context, &arguments),
        UserCommand::Disable(arguments) => simple(context, &arguments, "disable", |name| {
            text!(
                "{name} is disabled: keys and sessions open nothing any more, until `portico user enable {name}`.",
                "{name} 已停用:其密钥和会话不再有效,直到执行 `portico user enable {name}`。"
            )
        }),
        UserCommand::Enable(arguments) => simple(context, &arguments, "enable", |name| {
            text!("{name} may come in again.", "{name} 可以再次进入。")
        }),
        UserCommand::Remove(arguments) => simple(context, &arguments, "remove", |name| {
            text!("{name} is gone, with keys and sessions.", "{name} 及其密钥和会话已删除。")
        }),
        UserCommand::Invite(arguments) => invite(context, &arguments),
    };
    done.unwrap_or_else(|exit| exit)
}

pub(crate) fn key(context: &Context, command: KeyCommand) -> Exit {
    let done = match command {
        KeyCommand::Create(arguments) => create_key(context, &arguments),
        KeyCommand::List(arguments) => keys(context, &arguments),
        KeyCommand::Rotate(arguments) => rotate_key(context, &arguments),
        KeyCommand::Revoke(arguments) => revoke_key(context, &arguments),
    };
    done.unwrap_or_else(|exit| exit)
}

fn add(context: &Context, arguments: &UserAddArguments) -> Result<Exit, Exit> {
    let UserAddArguments { name, password_stdin, plan, role, json: as_json } = arguments;
    let password = if *password_stdin { Some(from_stdin(context)?) } else { None };
    let body = json!({
        "name": name,
        "password": password,
        "plan": plan,
        "role": role.map(|role| if role.is_operator() { "operator" } else { "user" }),
    });
    let asked = call_for(context, StatusCode::CREATED, Method::POST, "/users", &without_nulls(body))?;
    let name = asked.answer["name"].as_str().unwrap_or(name).to_owned();
    let site = site(&asked.config);
    if password.is_some() {
        let text = text!("{name} was added. To log in: {site}/", "已添加 {name}。登录地址:{site}/");
        warn_of_short(context, asked.tongue, password.as_deref().unwrap_or_default());
        return Ok(print(
            context,
            *as_json,
            &json!({"name": name, "url": format!("{site}/")}),
            &text,
            asked.tongue,
        ));
    }
    let invited = call_for(context, StatusCode::OK, Method::POST, &of_user(&name, "invite"), &Value::Null)?;
    let link = link(&site, &invited.answer);
    let text = text!(
        "{name} was added and has no password yet. Hand out this link, by which {name} chooses one; it works once, for seven days:\n\n  {link}",
        "已添加 {name},尚无密码。请把此链接交给 {name} 以设置密码;链接只能使用一次,七天内有效:\n\n  {link}"
    );
    Ok(print(context, *as_json, &json!({"name": name, "invitation": link}), &text, asked.tongue))
}

fn invite(context: &Context, arguments: &UserNameArguments) -> Result<Exit, Exit> {
    let UserNameArguments { name, json: as_json } = arguments;
    let asked = call_for(context, StatusCode::OK, Method::POST, &of_user(name, "invite"), &Value::Null)?;
    let link = link(&site(&asked.config), &asked.answer);
    let text = text!(
        "By this link {name} chooses a password. It works once, for seven days, and ends earlier ones:\n\n  {link}",
        "{name} 可通过此链接设置密码。链接只能使用一次,七天内有效,之前的链接随之失效:\n\n  {link}"
    );
    Ok(print(context, *as_json, &json!({"name": name, "invitation": link}), &text, asked.tongue))
}

fn password(context: &Context, arguments: &UserPasswordArguments) -> Result<Exit, Exit> {
    let UserPasswordArguments { name, password_stdin } = arguments;
    let password = if *password_stdin { from_stdin(context)? } else { typed(context)? };
    warn_of_short(context, context.tongue, &password);
    let asked = call_for(
        context,
        StatusCode::OK,
        Method::POST,
        &of_user(name, "password"),
        &json!({"password": password}),
    )?;
    let text = text!(
        "{name} has another password now, and has to log in again everywhere.",
        "{name} 的密码已更改,需要在各处重新登录。"
    );
    Ok(context.out.data(&format!("{}\n", text.pick(asked.tongue))))
}

fn plan(context: &Context, arguments: &UserPlanArguments) -> Result<Exit, Exit> {
    let UserPlanArguments { name, plan } = arguments;
    let asked =
        call_for(context, StatusCode::OK, Method::POST, &of_user(name, "plan"), &json!({"plan": plan}))?;
    let text = text!("{name} has the plan {plan} now.", "{name} 现在使用套餐 {plan}。");
    Ok(context.out.data(&format!("{}\n", text.pick(asked.tongue))))
}

fn role(context: &Context, arguments: &UserRoleArguments) -> Result<Exit, Exit> {
    let UserRoleArguments { name, role } = arguments;
    let word = if role.is_operator() { "operator" } else { "user" };
    let asked =
        call_for(context, StatusCode::OK, Method::POST, &of_user(name, "role"), &json!({"role": word}))?;
    let text = if role.is_operator() {
        text!("{name} is an operator now.", "{name} 现在是管理员。")
    } else {
        text!("{name} is a user like others now.", "{name} 现在是普通用户。")
    };
    Ok(context.out.data(&format!("{}\n", text.pick(asked.tongue))))
}

fn simple(
    context: &Context,
    arguments: &UserNameArguments,
    verb: &str,
    done: impl FnOnce(&str) -> Text,
) -> Result<Exit, Exit> {
    let UserNameArguments { name, json: as_json } = arguments;
    let asked = call_for(context, StatusCode::OK, Method::POST, &of_user(name, verb), &Value::Null)?;
    Ok(print(context, *as_json, &asked.answer, &done(name), asked.tongue))
}

fn users(context: &Context, arguments: &JsonArguments) -> Result<Exit, Exit> {
    let none = text!(
        "There is nobody yet. `portico user add NAME` adds somebody.",
        "还没有用户。`portico user add 用户名` 可添加用户。"
    );
    let head = [
        text!("name", "用户名"),
        text!("role", "角色"),
        text!("plan", "套餐"),
        text!("keys", "密钥"),
        text!("state", "状态"),
    ];
    list(context, "/users", arguments, &none, head, |user, word| {
        let state = match (&user["disabled"], user["password"].as_str(), &user["invited"]) {
            (Value::Bool(true), ..) => text!("disabled", "已停用"),
            (_, Some("htpasswd"), _) => text!("password in the htpasswd file", "密码在 htpasswd 文件中"),
            (_, Some("none"), Value::Bool(true)) => text!("invited", "已邀请"),
            (_, Some("none"), _) => {
                text!("no password: `portico user invite`", "无密码:`portico user invite`")
            }
            _ => text!("active", "正常"),
        };
        let role =
            if user["role"] == "operator" { text!("operator", "管理员") } else { text!("user", "用户") };
        [shown(&user["name"]), word(role), shown(&user["plan"]), shown(&user["keys"]), word(state)]
    })
}

/// What is there, one in a line below `head`; `none`: where there is nothing.
fn list<const N: usize>(
    context: &Context,
    path: &str,
    arguments: &JsonArguments,
    none: &Text,
    head: [Text; N],
    row: impl Fn(&Value, &dyn Fn(Text) -> String) -> [String; N],
) -> Result<Exit, Exit> {
    let asked = call_for(context, StatusCode::OK, Method::GET, path, &Value::Null)?;
    if arguments.json {
        return Ok(context.out.data(&format!("{:#}\n", asked.answer)));
    }
    let word = |text: Text| text.pick(asked.tongue).to_owned();
    let found: Vec<&Value> = asked.answer.as_array().into_iter().flatten().collect();
    if found.is_empty() {
        return Ok(context.out.data(&format!("{}\n", none.pick(asked.tongue))));
    }
    let rows = found.iter().map(|found| row(found, &word));
    let rows: Vec<_> = std::iter::once(head.map(&word)).chain(rows).collect();
    let mut out = String::new();
    for line in aligned(&rows) {
        let _ = writeln!(out, "{line}");
    }
    Ok(context.out.data(&out))
}

fn create_key(context: &Context, arguments: &KeyCreateArguments) -> Result<Exit, Exit> {
    let KeyCreateArguments { user, name, expires, models, networks, json: as_json } = arguments;
    let body = json!({
        "user": user,
        "name": name,
        "expires": expires.map(|period| period.0.as_secs()),
        "models": models,
        "networks": networks,
    });
    let asked = call_for(context, StatusCode::CREATED, Method::POST, "/keys", &without_nulls(body))?;
    show_key(context, &asked, *as_json)
}

fn rotate_key(context: &Context, arguments: &KeyIdArguments) -> Result<Exit, Exit> {
    let path = format!("/keys/{}/rotate", percent_encoded(&arguments.id));
    let asked = call_for(context, StatusCode::CREATED, Method::POST, &path, &Value::Null)?;
    show_key(context, &asked, arguments.json)
}

/// A new key, the only time that it is shown.
fn show_key(context: &Context, asked: &Asked, as_json: bool) -> Result<Exit, Exit> {
    let answer = &asked.answer;
    if as_json {
        return Ok(context.out.data(&format!("{answer:#}\n")));
    }
    let (id, key, site) = (shown(&answer["id"]), shown(&answer["key"]), site(&asked.config));
    let model = asked.config.models.iter().map(|model| model.name.as_str()).find(|name| !name.is_empty());
    let model = model.unwrap_or("MODEL");
    let mut out = String::new();
    let head = text!("The key {id}. It is shown this once:", "密钥 {id}。仅显示这一次:");
    let _ = writeln!(out, "{}\n\n  {key}\n", head.pick(asked.tongue));
    if let Some(until) = answer["old_until"].as_str() {
        let note =
            text!("The one it replaces still opens until {until}.", "被替换的密钥在 {until} 之前仍然有效。");
        let _ = writeln!(out, "{}\n", note.pick(asked.tongue));
    }
    let _ = writeln!(
        out,
        "curl {site}/v1/chat/completions -H 'Authorization: Bearer {key}' -H 'Content-Type: application/json' \\\n  -d '{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}'\n"
    );
    let _ = writeln!(
        out,
        "from openai import OpenAI\nclient = OpenAI(base_url=\"{site}/v1\", api_key=\"{key}\")"
    );
    Ok(context.out.data(&out))
}

fn keys(context: &Context, arguments: &JsonArguments) -> Result<Exit, Exit> {
    let none = text!(
        "There are no keys yet. `portico key create --user NAME` makes one.",
        "还没有密钥。`portico key create --user 用户名` 可创建密钥。"
    );
    let head = [
        text!("id", "编号"),
        text!("user", "用户"),
        text!("name", "名称"),
        text!("state", "状态"),
        text!("expires", "到期"),
        text!("last used", "上次使用"),
    ];
    list(context, "/keys", arguments, &none, head, |key, word| {
        let state = match key["state"].as_str() {
            Some("revoked") => text!("revoked", "已吊销"),
            Some("expired") => text!("expired", "已过期"),
            Some("rotated") => text!("rotated", "已轮换"),
            _ => text!("active", "有效"),
        };
        let time =
            |value: &Value| value.as_str().map_or("-".to_owned(), |time| time.chars().take(16).collect());
        [
            shown(&key["id"]),
            shown(&key["user"]),
            shown(&key["name"]),
            word(state),
            time(&key["expires"]),
            time(&key["last_used"]),
        ]
    })
}

fn revoke_key(context: &Context, arguments: &KeyIdArguments) -> Result<Exit, Exit> {
    let KeyIdArguments { id, json: as_json } = arguments;
    let asked = call_for(
        context,
        StatusCode::OK,
        Method::POST,
        &format!("/keys/{}/revoke", percent_encoded(id)),
        &Value::Null,
    )?;
    let text = text!("{id} opens nothing any more.", "{id} 已失效。");
    Ok(print(context, *as_json, &asked.answer, &text, asked.tongue))
}

/// Where people find the site: by the names that it has, with a port only where they carry one.
fn site(config: &Config) -> String {
    let scheme = if config.has_https() && config.tls.redirect { "https" } else { "http" };
    if let Some(name) = config.site.names.first() {
        let port = name.port.map(|port| format!(":{port}")).unwrap_or_default();
        return format!("{scheme}://{}{port}", name.host);
    }
    let listeners = if scheme == "https" { &config.listen.https } else { &config.listen.http };
    match listeners.first() {
        Some(address) if !address.ip().is_unspecified() => format!("{scheme}://{address}"),
        Some(address) => format!("{scheme}://localhost:{}", address.port()),
        None => format!("{scheme}://localhost"),
    }
}

fn link(site: &str, answer: &Value) -> String {
    format!("{site}/invite#{}", shown(&answer["token"]))
}

fn from_stdin(context: &Context) -> Result<String, Exit> {
    let mut input = String::new();
    let read = std::io::stdin().lock().take(LONGEST_INPUT_BYTES).read_to_string(&mut input);
    let password = input.strip_suffix('\n').unwrap_or(&input);
    let password = password.strip_suffix('\r').unwrap_or(password);
    if read.is_err() || password.is_empty() || password.contains('\n') {
        let why = text!(
            "standard input holds no password: one line is expected. For example: printf '%s' 'the password' | portico user …",
            "标准输入中没有密码:应为一行文本。例如:printf '%s' '密码' | portico user …"
        );
        say(context, context.tongue, &why);
        return Err(Exit::Wrong);
    }
    Ok(password.to_owned())
}

/// Typed twice, unseen.
fn typed(context: &Context) -> Result<String, Exit> {
    if !std::io::stdin().is_terminal() {
        let why = text!(
            "there is no terminal to type a password on; use --password-stdin",
            "没有可输入密码的终端;请使用 --password-stdin"
        );
        say(context, context.tongue, &why);
        return Err(Exit::Wrong);
    }
    let ask = |text: Text| {
        context.out.talk(text.pick(context.tongue));
        let line = terminal::hidden_line();
        context.out.talk("\n");
        line.map_err(|error| {
            say(context, context.tongue, &text!("the terminal: {error}", "终端:{error}"));
            Exit::No
        })
    };
    let first = ask(text!("New password: ", "新密码:"))?;
    let second = ask(text!("Once more: ", "再次输入:"))?;
    if first != second || first.is_empty() {
        say(
            context,
            context.tongue,
            &text!("the two are not the same, or are empty", "两次输入不一致或为空"),
        );
        return Err(Exit::No);
    }
    Ok(first)
}

fn warn_of_short(context: &Context, tongue: Tongue, password: &str) {
    if password.chars().count() < 8 {
        let note = text!(
            "note: this password has fewer than 8 characters and is soon guessed.\n",
            "注意:该密码少于 8 个字符,容易被猜出。\n"
        );
        context.out.talk(note.pick(tongue));
    }
}

fn print(context: &Context, as_json: bool, json: &Value, text: &Text, tongue: Tongue) -> Exit {
    if as_json {
        context.out.data(&format!("{json:#}\n"))
    } else {
        context.out.data(&format!("{}\n", text.pick(tongue)))
    }
}

fn of_user(name: &str, verb: &str) -> String {
    format!("/users/{}/{verb}", percent_encoded(name))
}

fn without_nulls(mut value: Value) -> Value {
    if let Some(object) = value.as_object_mut() {
        object.retain(|_, value| !value.is_null());
    }
    value
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}
