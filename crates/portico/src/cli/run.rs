//! `portico run`

use std::net::SocketAddr;

use super::arguments::RunArguments;
use super::{Context, Exit, check};
use crate::config::{self, Config, Issuer};
use crate::listen::Scheme;
use crate::run::{self, Announce, StartError, Who};
use crate::types::{Text, Tongue, text};

pub(crate) fn run(context: &Context, arguments: &RunArguments) -> Exit {
    let RunArguments {} = arguments;
    let loaded = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refuse(context, &problems.document, &problems.list, problems.tongue),
    };
    let tongue = loaded.tongue;
    let remarks = config::remarks(&loaded);
    let document = loaded.document.clone();
    let mut announced = false;
    let outcome = run::serve(loaded, context.environment.clone(), &mut |announce| {
        announced = true;
        if !remarks.is_empty() {
            check::remark(context, &document, &remarks, tongue);
        }
        context.out.data(&greeting(&announce, tongue));
    });
    match outcome {
        Ok(()) => Exit::Fine,
        Err(StartError::Config(problems)) => {
            check::refuse(context, &problems.document, &problems.list, problems.tongue)
        }
        Err(StartError::Other(why)) => {
            let label = text!("error", "错误");
            context.out.talk(&format!("{}: {}\n", label.pick(tongue), why.pick(tongue)));
            Exit::Wrong
        }
    }
}

/// Where it is, who may come in, and a line to try it with.
fn greeting(announce: &Announce<'_>, tongue: Tongue) -> String {
    let Announce { listeners, config, who } = announce;
    let of = |wanted: Scheme| listeners.iter().find(|(scheme, _)| *scheme == wanted).copied();
    let (http, https) = (of(Scheme::Http), of(Scheme::Https));
    // In local mode http works without anybody's trust; elsewhere it only sends on to https.
    let main = if config.tls.redirect { https.or(http) } else { http.or(https) };
    let Some((scheme, address)) = main else { return String::new() };
    let url = url(config, scheme, address);
    let entrance = entrance(who, &url);
    let version = env!("CARGO_PKG_VERSION");
    let head = text!("Portico {version} is serving", "Portico {version} 已开始服务");
    let page = text!("page", "页面");
    let api = text!("API ", "接口");
    let access = text!("who ", "权限");
    let trial = text!("try it:", "试一试:");
    let secure = match https {
        Some((_, address)) if scheme == Scheme::Http => also_by_https(config, address, tongue),
        _ => String::new(),
    };
    format!(
        "{}\n\n  {}  {url}/\n{secure}  {}  {url}/v1\n  {}  {}\n\n{}\n{}\n\n",
        head.pick(tongue),
        page.pick(tongue),
        api.pick(tongue),
        access.pick(tongue),
        entrance.pick(tongue),
        trial.pick(tongue),
        trial_command(config, who, address, &url, tongue),
    )
}

/// Who may come in, and how the first one does.
fn entrance(who: &Who, url: &str) -> Text {
    match who {
        Who::Local => text!(
            "local mode: only programs and browsers on this machine, nobody is asked to log in",
            "本地模式:仅限本机的程序和浏览器,无需登录"
        ),
        Who::Networks => text!(
            "the networks in access.allow, without logging in; from elsewhere users and keys",
            "access.allow 中的网段无需登录;其他地址需要用户或密钥"
        ),
        Who::Known => text!(
            "users, who log in on the page, and API keys (`portico user list`, `portico key list`)",
            "用户(在页面登录)和 API 密钥(`portico user list`、`portico key list`)"
        ),
        Who::Nobody { setup: Some(token) } => text!(
            "nobody yet. Open this link within 15 minutes to become the first user; it works once:\n\n        {url}/setup#{token}\n\n        (or: portico user add NAME --role operator)",
            "目前无人可以进入。请在 15 分钟内打开此链接,成为第一个用户;链接只能使用一次:\n\n        {url}/setup#{token}\n\n        (或:portico user add 用户名 --role operator)"
        ),
        Who::Nobody { setup: None } => text!(
            "nobody: all users are disabled or without a password (`portico user list`)",
            "无人可以进入:所有用户均已停用或没有密码(`portico user list`)"
        ),
    }
}

/// The same page over https, and what browsers need for it.
fn also_by_https(config: &Config, address: SocketAddr, tongue: Tongue) -> String {
    let url = url(config, Scheme::Https, address);
    if config.tls.issuer != Issuer::Local {
        return format!("        {url}/\n");
    }
    let note = text!(
        "(browsers trust it after `portico cert trust`)",
        "(运行 `portico cert trust` 后浏览器会信任它)"
    );
    format!("        {url}/  {}\n", note.pick(tongue))
}

/// As a client on this machine reaches it. Certificates are for names: `localhost` where there is no other.
fn url(config: &Config, scheme: Scheme, address: SocketAddr) -> String {
    let port = address.port();
    let authority = match config.site.names.first() {
        Some(name) => format!("{}:{port}", name.host),
        None if address.ip().is_unspecified() || scheme == Scheme::Https && address.ip().is_loopback() => {
            format!("localhost:{port}")
        }
        None => address.to_string(),
    };
    format!("{}://{authority}", scheme.word())
}

fn trial_command(config: &Config, who: &Who, address: SocketAddr, url: &str, tongue: Tongue) -> String {
    let identity = match who {
        Who::Local | Who::Networks => "",
        Who::Known | Who::Nobody { .. } => " -H 'Authorization: Bearer pk-…'",
    };
    // The name need not resolve to this machine yet.
    let resolve = match config.site.names.first() {
        Some(name) => format!(" --resolve {}:{}:{}", name.host, address.port(), address.ip()),
        None => String::new(),
    };
    let trust = match config.tls.issuer {
        Issuer::Local if url.starts_with("https:") => {
            format!(" --cacert '{}'", config.site.data_dir.join("certificates/local/ca.pem").display())
        }
        _ => String::new(),
    };
    let Some(model) = config.models.iter().map(|model| &model.name).find(|name| !name.is_empty()) else {
        return format!("curl -sS{resolve}{trust}{identity} {url}/v1/models");
    };
    let hello: Text = text!("Say hello in one short sentence.", "用一句话打个招呼。");
    let body = serde_json::json!({
        "model": model,
        "messages": [{"role": "user", "content": hello.pick(tongue)}],
        "max_tokens": 40,
    });
    let body = body.to_string().replace('\'', "'\\''");
    format!(
        "curl -sS{resolve}{trust}{identity} {url}/v1/chat/completions -H 'Content-Type: application/json' -d '{body}'"
    )
}
