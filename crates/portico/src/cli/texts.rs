//! The texts of the command line in both languages, and the parser that carries one of them.

use clap::{Arg, ArgAction, Command, CommandFactory};

use super::arguments::Arguments;
use crate::types::{Text, Tongue, text};

/// What each command does, by its path below `portico`.
const COMMANDS: &[(&str, Text)] = &[
    ("", Text::fixed("The front door for a self-hosted vision-language model", "自建视觉语言模型的前门")),
    ("run", Text::fixed("Serve in the foreground", "在前台提供服务")),
    (
        "check",
        Text::fixed(
            "Read and judge the configuration: every problem at once",
            "读取并检查配置:一次列出所有问题",
        ),
    ),
    ("status", Text::fixed("Show how a running Portico is doing", "查看正在运行的 Portico 的状态")),
    (
        "reload",
        Text::fixed(
            "Take over the changed configuration, all of it or nothing",
            "载入修改后的配置:全部生效或完全不变",
        ),
    ),
    ("stop", Text::fixed("Let live answers finish, then end", "等进行中的回答完成后停止")),
    (
        "model",
        Text::fixed(
            "Model servers: list, install, start, stop, logs",
            "模型服务:列出、安装、启动、停止、日志",
        ),
    ),
    ("model list", Text::fixed("List the models and their states", "列出模型及其状态")),
    (
        "model install",
        Text::fixed("Fetch a model; an interrupted download goes on where it was", "下载模型;中断后可继续"),
    ),
    (
        "model advise",
        Text::fixed("Say which model and flags suit this machine's GPU", "说明适合本机 GPU 的模型和参数"),
    ),
    ("model start", Text::fixed("Start a model server", "启动模型服务")),
    ("model stop", Text::fixed("Stop a model server until it is started again", "停止模型服务,直到再次启动")),
    ("model restart", Text::fixed("Stop a model server and start it again", "重新启动模型服务")),
    ("model logs", Text::fixed("Show the output of a model server", "查看模型服务的输出")),
    (
        "user",
        Text::fixed(
            "People: add, list, passwords, plans, disable, remove, invite",
            "用户:添加、列出、密码、套餐、停用、删除、邀请",
        ),
    ),
    (
        "user add",
        Text::fixed(
            "Add somebody; without --password-stdin a one-time link to choose a password is printed",
            "添加用户;不带 --password-stdin 时输出用于设置密码的一次性链接",
        ),
    ),
    (
        "user list",
        Text::fixed("List the users, those of the htpasswd file too", "列出用户,包括 htpasswd 文件中的用户"),
    ),
    (
        "user passwd",
        Text::fixed("Give somebody another password; all sessions end", "更改密码;其所有会话随之结束"),
    ),
    ("user plan", Text::fixed("Give somebody another plan", "更改用户的套餐")),
    ("user disable", Text::fixed("Keep somebody out, keys and sessions too", "停用用户,包括其密钥和会话")),
    ("user enable", Text::fixed("Let a disabled user in again", "重新启用已停用的用户")),
    ("user remove", Text::fixed("Remove somebody, with keys and sessions", "删除用户及其密钥和会话")),
    (
        "user invite",
        Text::fixed("Print a one-time link to choose a password", "输出用于设置密码的一次性链接"),
    ),
    ("key", Text::fixed("API keys: create, list, rotate, revoke", "API 密钥:创建、列出、轮换、吊销")),
    ("key create", Text::fixed("Make a key; it is shown this once", "创建密钥;仅显示一次")),
    ("key list", Text::fixed("List the keys, without what opens anything", "列出密钥(不含密钥本身)")),
    (
        "key rotate",
        Text::fixed(
            "Put a new key in place of one, which still opens for a day",
            "用新密钥替换旧密钥,旧密钥一天内仍有效",
        ),
    ),
    ("key revoke", Text::fixed("End a key at once", "立即吊销密钥")),
    ("access", Text::fixed("Who may come in, and why", "谁可以进入及其依据")),
    (
        "access explain",
        Text::fixed(
            "Say what would happen to a request, and which line decides",
            "说明某个请求会怎样,以及由哪一条规则决定",
        ),
    ),
    ("audit", Text::fixed("The record of logins and changes", "登录与更改的审计记录")),
    ("audit list", Text::fixed("Show the newest records", "查看最新的记录")),
    (
        "audit verify",
        Text::fixed("Find out whether any record was changed or removed", "检查记录是否被修改或删除"),
    ),
    ("user role", Text::fixed("Make somebody an operator, or a user again", "设为管理员或恢复为普通用户")),
    (
        "backup",
        Text::fixed(
            "Write one encrypted file with everything that can't be made again",
            "把所有无法重建的数据写入一个加密文件",
        ),
    ),
    (
        "restore",
        Text::fixed(
            "Bring a backup back, while Portico does not run, and say who came back to life",
            "在 Portico 停止时恢复备份,并列出重新生效的用户和密钥",
        ),
    ),
    (
        "cert",
        Text::fixed(
            "Certificates: how they stand, renewing one now, whom browsers trust",
            "证书:查看状态,立即续期,让浏览器信任",
        ),
    ),
    (
        "cert status",
        Text::fixed(
            "Show names, issuer, days left, the next renewal and why, and the last error",
            "查看域名、签发者、剩余天数、下次续期及其原因、上次错误",
        ),
    ),
    (
        "cert renew",
        Text::fixed("Order a new certificate now, without waiting for its time", "立即申请新证书,不等到期"),
    ),
    (
        "cert trust",
        Text::fixed(
            "Let this machine's browsers and programs trust the local certificate authority",
            "让本机的浏览器和程序信任本地证书颁发机构",
        ),
    ),
    (
        "config",
        Text::fixed(
            "The configuration: reference, explanation, schema, difference",
            "配置:参考、说明、模式、差异",
        ),
    ),
    (
        "config schema",
        Text::fixed(
            "Print the JSON Schema of the file, for editors",
            "输出配置文件的 JSON Schema,供编辑器使用",
        ),
    ),
    (
        "config reference",
        Text::fixed(
            "Print every key with its default and range, as Markdown",
            "以 Markdown 输出所有键及其默认值和范围",
        ),
    ),
    (
        "config explain",
        Text::fixed("Explain a key, a section or a problem code", "说明某个键、小节或问题代码"),
    ),
    ("config diff", Text::fixed("Show what a reload would change", "查看重新载入会改变什么")),
    ("completions", Text::fixed("Print completions for a shell", "输出 shell 补全脚本")),
    ("man", Text::fixed("Print the manual page", "输出手册页")),
    ("help", Text::fixed("Print the help of a command", "显示命令的帮助")),
];

/// Below the list of commands.
const BEGIN: Text = Text::fixed(
    "Where to begin:
  portico run     without a configuration: a page and an API for this machine alone on
                  http://127.0.0.1:8080, in front of the model server on 127.0.0.1:3001
  portico check   says what a configuration means and what is wrong with it

Exit codes: 0 fine, 1 the answer is no, 2 usage or configuration.",
    "从这里开始:
  portico run     没有配置文件时:在 http://127.0.0.1:8080 上提供仅供本机使用的页面和接口,
                  后端是 127.0.0.1:3001 上的模型服务
  portico check   检查配置文件,指出其中的问题

退出码:0 正常,1 结果为否,2 用法或配置有误。",
);

/// What each argument means: first by the command's path, then for every command.
const ARGUMENTS: &[(&str, &str, Text)] = &[
    (
        "*",
        "config",
        Text::fixed(
            "Configuration file [default: $PORTICO_CONFIG, ./portico.toml, /etc/portico/portico.toml, built-in defaults]",
            "配置文件 [默认:$PORTICO_CONFIG、./portico.toml、/etc/portico/portico.toml、内置默认值]",
        ),
    ),
    ("*", "json", Text::fixed("Answer in JSON", "以 JSON 输出")),
    ("backup", "file", Text::fixed("Where to", "写入的文件")),
    ("restore", "file", Text::fixed("What `portico backup` wrote", "`portico backup` 写出的文件")),
    ("*", "passphrase_file", Text::fixed("A file whose first line is the passphrase", "首行为口令的文件")),
    ("user role", "role", Text::fixed("user or operator", "user(用户)或 operator(管理员)")),
    (
        "cert renew",
        "dry_run",
        Text::fixed(
            "Go the whole way against the authority's place for trying, if it has one, and change nothing",
            "在颁发机构的测试环境(如有)中走完全部流程,不作任何改动",
        ),
    ),
    (
        "model list",
        "advisories",
        Text::fixed(
            "List the known security holes of each model server's version, and what covers them",
            "列出各模型服务版本的已知安全漏洞及相应防护",
        ),
    ),
    ("*", "user", Text::fixed("The user's name", "用户名")),
    (
        "*",
        "password_stdin",
        Text::fixed("Read the password from standard input, one line", "从标准输入读取密码(一行)"),
    ),
    (
        "*",
        "plan",
        Text::fixed(
            "A [plan.NAME] of the configuration [default: default]",
            "配置中的 [plan.名称] [默认:default]",
        ),
    ),
    (
        "user add",
        "role",
        Text::fixed("user or operator [default: user]", "user(用户)或 operator(管理员)[默认:user]"),
    ),
    ("key create", "label", Text::fixed("What the key is for, for people", "密钥的用途说明")),
    (
        "key create",
        "expires",
        Text::fixed(
            "How long it opens anything: 90d, 12h [default: until it is revoked]",
            "有效期:90d、12h [默认:直到吊销]",
        ),
    ),
    (
        "key create",
        "models",
        Text::fixed(
            "Only these models, with commas between [default: all that the plan allows]",
            "仅限这些模型,以逗号分隔 [默认:套餐允许的全部模型]",
        ),
    ),
    (
        "key create",
        "networks",
        Text::fixed(
            "Only from these networks, with commas between [default: everywhere]",
            "仅限来自这些网段,以逗号分隔 [默认:不限]",
        ),
    ),
    (
        "*",
        "id",
        Text::fixed("The key's id, as `portico key list` shows it", "密钥编号,见 `portico key list`"),
    ),
    ("access explain", "ip", Text::fixed("The address that it comes from", "来源地址")),
    (
        "access explain",
        "key",
        Text::fixed("With this key, or the one of this id", "使用此密钥或此编号的密钥"),
    ),
    (
        "access explain",
        "user",
        Text::fixed("As this user, with the right password", "以此用户的身份(密码正确)"),
    ),
    (
        "access explain",
        "path",
        Text::fixed(
            "What is asked for [default: /v1/chat/completions]",
            "请求的路径 [默认:/v1/chat/completions]",
        ),
    ),
    (
        "access explain",
        "method",
        Text::fixed("GET, POST … [default: the path's own]", "GET、POST 等 [默认:该路径的方法]"),
    ),
    ("audit list", "lines", Text::fixed("Show so many [default: 100]", "显示多少条 [默认:100]")),
    (
        "audit verify",
        "head",
        Text::fixed(
            "A head of an earlier log, which has to be in the trail",
            "早先日志中的链尾,应包含在记录中",
        ),
    ),
    ("*", "help", Text::fixed("Print help", "显示帮助")),
    ("*", "version", Text::fixed("Print version", "显示版本")),
    (
        "*",
        "name",
        Text::fixed(
            "Name or alias of the model [default: the only one there is]",
            "模型名或别名 [默认:唯一的那个]",
        ),
    ),
    (
        "*",
        "lang",
        Text::fixed("Language: en or zh-CN [default: the terminal's]", "语言:en 或 zh-CN [默认:终端的语言]"),
    ),
    (
        "cert trust",
        "dry_run",
        Text::fixed("Say what would be done, and change nothing", "只说明将做什么,不作任何改动"),
    ),
    ("cert trust", "remove", Text::fixed("Take the trust back", "撤回信任")),
    ("model logs", "follow", Text::fixed("Go on showing what is added", "持续显示新增内容")),
    (
        "model logs",
        "lines",
        Text::fixed("Show so many of the last lines [default: 100]", "显示最后多少行 [默认:100]"),
    ),
    (
        "config explain",
        "key",
        Text::fixed(
            "A key (timeouts.drain), a section (model) or a code (C012)",
            "键(timeouts.drain)、小节(model)或代码(C012)",
        ),
    ),
    (
        "completions",
        "shell",
        Text::fixed("bash, zsh, fish, elvish or powershell", "bash、zsh、fish、elvish 或 powershell"),
    ),
    ("man", "out", Text::fixed("Write one page per command into this folder", "为每个命令写一页到此文件夹")),
    ("help", "command", Text::fixed("The command", "命令")),
];

/// The parser, with every text in one language.
pub(crate) fn command(tongue: Tongue) -> Command {
    localized(Arguments::command(), "", tongue)
}

fn localized(command: Command, path: &str, tongue: Tongue) -> Command {
    let (about, template) = (about_text(path), template(tongue));
    let mut command = command
        .disable_help_flag(true)
        .disable_version_flag(true)
        .help_template(template)
        .about(about.map(|about| about.pick(tongue).to_owned()).unwrap_or_default())
        .subcommand_help_heading(text!("Commands", "命令").pick(tongue).to_owned())
        .arg(Arg::new("help").short('h').long("help").action(ArgAction::Help));
    if path.is_empty() {
        command = command.after_help(BEGIN.pick(tongue).to_owned());
        command = command.arg(Arg::new("version").short('V').long("version").action(ArgAction::Version));
    }
    let names: Vec<String> = command.get_subcommands().map(|child| child.get_name().to_owned()).collect();
    for name in names {
        let below = join(path, &name);
        command = command.mut_subcommand(name, |child| localized(child, &below, tongue));
    }
    command.mut_args(|argument| {
        let heading =
            if argument.is_positional() { text!("Arguments", "参数") } else { text!("Options", "选项") };
        let help = argument_text(path, argument.get_id().as_str());
        let takes_value = argument.get_action().takes_values();
        argument
            .help(help.map(|help| help.pick(tongue).to_owned()).unwrap_or_default())
            .help_heading(heading.pick(tongue).to_owned())
            // Both are in the texts, in the reader's language.
            .hide_possible_values(takes_value)
            .hide_default_value(takes_value)
    })
}

fn template(tongue: Tongue) -> String {
    let usage = text!("Usage:", "用法:");
    format!("{{about-with-newline}}\n{} {{usage}}\n\n{{all-args}}{{after-help}}", usage.pick(tongue))
}

fn about_text(path: &str) -> Option<&'static Text> {
    COMMANDS.iter().find(|(command, _)| *command == path).map(|(_, text)| text)
}

fn argument_text(path: &str, name: &str) -> Option<&'static Text> {
    let find = |wanted: &str| {
        ARGUMENTS.iter().find(|(command, argument, _)| *command == wanted && *argument == name)
    };
    find(path).or_else(|| find("*")).map(|(_, _, text)| text)
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path} {name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn walk(command: &Command, path: &str, seen: &mut Vec<String>, used: &mut Vec<(String, String)>) {
        assert!(about_text(path).is_some(), "the command `{path}` has no text");
        seen.push(path.to_owned());
        for argument in command.get_arguments() {
            let name = argument.get_id().as_str();
            assert!(argument_text(path, name).is_some(), "the argument `{name}` of `{path}` has no text");
            used.push((path.to_owned(), name.to_owned()));
        }
        for child in command.get_subcommands() {
            walk(child, &join(path, child.get_name()), seen, used);
        }
    }

    #[test]
    fn every_command_and_argument_has_both_texts_and_no_text_is_left_over() {
        let (mut seen, mut used) = (Vec::new(), Vec::new());
        walk(&command(Tongue::English), "", &mut seen, &mut used);
        for (path, _) in COMMANDS {
            assert!(seen.iter().any(|seen| seen == path), "`{path}` is no command");
        }
        for (path, name, _) in ARGUMENTS {
            let is_used = used.iter().any(|(at, used)| used == name && (*path == "*" || at == path));
            assert!(is_used, "`{name}` of `{path}` is no argument");
        }
    }

    #[test]
    fn the_parser_is_sound_in_both_languages() {
        for tongue in [Tongue::English, Tongue::Chinese] {
            command(tongue).debug_assert();
        }
        let help = command(Tongue::Chinese).render_help().to_string();
        assert!(help.contains("用法:") && help.contains("命令:") && help.contains("选项:"), "{help}");
        assert!(!help.contains("Usage") && !help.contains("Print"), "{help}");
    }

    fn has_han(text: &str) -> bool {
        text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
    }

    /// The first string literal of a piece of Rust, without its quotes, and what follows it.
    fn literal(source: &str) -> Option<(&str, &str)> {
        let source = source.trim_start();
        if let Some(raw) = source.strip_prefix("r#\"") {
            return raw.split_once("\"#");
        }
        let inside = source.strip_prefix('"')?;
        let mut escaped = false;
        for (at, character) in inside.char_indices() {
            match character {
                '\\' if !escaped => escaped = true,
                '"' if !escaped => return Some((&inside[..at], &inside[at + 1..])),
                _ => escaped = false,
            }
        }
        None
    }

    /// Both halves of every text that is written out in a source file. What is put together elsewhere has no literals.
    fn halves(source: &str) -> Vec<(String, String)> {
        let mut found = Vec::new();
        // In two parts, so that this list is not found itself.
        for opening in [concat!("text", "!("), concat!("Text::", "fixed("), concat!("wrong", "!(")] {
            for (at, _) in source.match_indices(opening) {
                let Some((english, rest)) = literal(&source[at + opening.len()..]) else { continue };
                let rest = rest.trim_start().strip_prefix(',').unwrap_or(rest);
                let chinese = literal(rest).map(|(chinese, _)| chinese.to_owned());
                found.push((english.to_owned(), chinese.unwrap_or_default()));
            }
        }
        found
    }

    /// What is left of a half without its inline arguments.
    fn words(half: &str) -> String {
        let mut depth = 0;
        half.chars()
            .filter(|character| {
                match character {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                depth == 0 && character.is_alphabetic()
            })
            .collect()
    }

    /// A text that only joins others (`"{en}: {said}"`) has no words of its own, in both halves.
    fn is_whole(english: &str, chinese: &str) -> bool {
        let joins = words(english).is_empty() && words(chinese).is_empty() && !chinese.is_empty();
        joins || (has_han(chinese) && !has_han(english))
    }

    fn check_folder(folder: &std::path::Path, count: &mut usize, wrong: &mut Vec<String>) {
        for entry in std::fs::read_dir(folder).expect("the sources") {
            let path = entry.expect("a file").path();
            if path.is_dir() {
                check_folder(&path, count, wrong);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let source = std::fs::read_to_string(&path).expect("a source file");
                for (english, chinese) in halves(&source) {
                    *count += 1;
                    if !is_whole(&english, &chinese) {
                        wrong.push(format!("{}: {english:?} / {chinese:?}", path.display()));
                    }
                }
            }
        }
    }

    #[test]
    fn every_text_of_the_sources_is_in_both_languages() {
        let (mut count, mut wrong) = (0, Vec::new());
        let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        check_folder(&sources, &mut count, &mut wrong);
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(count > 300, "only {count} texts were found");
        for reason in crate::reason::Reason::ALL {
            let text = reason.text();
            assert!(has_han(&text.zh) && !has_han(&text.en), "{text:?}");
        }
    }

    #[test]
    fn a_missing_half_is_found() {
        // Put together, so that this very file passes.
        let source = format!("{}(\"only {{name}} \\\" here\")", "text!");
        assert_eq!(halves(&source), [("only {name} \\\" here".to_owned(), String::new())]);
        for (english, chinese, whole) in [
            ("a {b}", "甲 {b}", true),
            ("{a}: {b}", "{a}:{b}", true),
            ("a {b}", "a {b}", false),
            ("a {b}", "{b}", false),
            ("{a}", "", false),
            ("甲", "甲", false),
        ] {
            assert_eq!(is_whole(english, chinese), whole, "{english} / {chinese}");
        }
        let source = format!("{}(\n \"a\",\n r#\"\"乙\"\"#,\n)", "Text::fixed");
        assert_eq!(halves(&source), [("a".to_owned(), "\"乙\"".to_owned())]);
    }
}
