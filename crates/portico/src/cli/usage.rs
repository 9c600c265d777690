//! What was typed wrongly, in the language of the terminal. English is clap's own; Chinese is put together from what clap
//! knows about the mistake.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::out::Out;
use super::{Context, Exit, texts};
use crate::types::{Text, Tongue, text};

pub(crate) fn explain(error: &clap::Error, tongue: Tongue, out: &Out) -> Exit {
    let rendered = |colour: bool| {
        let styled = error.render();
        if colour { styled.ansi().to_string() } else { styled.to_string() }
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => out.data(&rendered(out.data_colour)),
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            out.talk(&rendered(out.talk_colour));
            Exit::Wrong
        }
        _ => {
            match tongue {
                Tongue::English => out.talk(&rendered(out.talk_colour)),
                Tongue::Chinese => out.talk(&in_chinese(error)),
            }
            if let Some(hint) = bare_file(error) {
                out.talk(&format!("{}\n", hint.pick(tongue)));
            }
            Exit::Wrong
        }
    }
}

/// Other programs take the file as it is: `nginx -t` people type `check portico.toml`.
fn bare_file(error: &clap::Error) -> Option<Text> {
    let argument = error.get(ContextKind::InvalidArg).map(show)?;
    let is_file = error.kind() == ErrorKind::UnknownArgument && argument.ends_with(".toml");
    is_file.then(|| {
        text!(
            "The configuration file is named with --config {argument}",
            "请用 --config {argument} 指定配置文件"
        )
    })
}

fn in_chinese(error: &clap::Error) -> String {
    let about = |kind| error.get(kind).map(show).unwrap_or_default();
    let (argument, value, command) = (
        about(ContextKind::InvalidArg),
        about(ContextKind::InvalidValue),
        about(ContextKind::InvalidSubcommand),
    );
    let message = match error.kind() {
        ErrorKind::UnknownArgument => text!("unexpected argument '{argument}'", "没有参数 '{argument}'"),
        ErrorKind::InvalidSubcommand => text!("unknown command '{command}'", "没有命令 '{command}'"),
        ErrorKind::InvalidValue if value.is_empty() => {
            text!("'{argument}' needs a value", "'{argument}' 需要一个值")
        }
        ErrorKind::InvalidValue | ErrorKind::ValueValidation => {
            text!("'{value}' is no value for '{argument}'", "'{value}' 不是 '{argument}' 可用的值")
        }
        ErrorKind::MissingRequiredArgument => text!("missing: {argument}", "缺少:{argument}"),
        ErrorKind::MissingSubcommand => text!("a command is missing", "缺少命令"),
        ErrorKind::ArgumentConflict => text!("'{argument}' can't be used here", "此处不能使用 '{argument}'"),
        ErrorKind::TooManyValues => {
            text!("'{argument}' takes no value '{value}'", "'{argument}' 不接受值 '{value}'")
        }
        other => text!("{other}", "命令行有误:{other}"),
    };
    let suggestions: Vec<Text> =
        [ContextKind::SuggestedArg, ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue]
            .into_iter()
            .filter_map(|kind| error.get(kind).map(show))
            .map(|near| text!("did you mean '{near}'?", "是否想写 '{near}'?"))
            .collect();
    let mut shown = format!("错误:{}\n", message.pick(Tongue::Chinese));
    for suggestion in suggestions {
        shown.push_str(&format!("\n  提示:{}\n", suggestion.pick(Tongue::Chinese)));
    }
    let valid = about(ContextKind::ValidValue);
    if !valid.is_empty() {
        shown.push_str(&format!("\n  可用:{valid}\n"));
    }
    shown.push_str("\n查看帮助:portico --help\n");
    shown
}

fn show(value: &ContextValue) -> String {
    match value {
        ContextValue::Strings(list) => list.join("、"),
        ContextValue::StyledStrs(list) => list.iter().map(ToString::to_string).collect::<Vec<_>>().join("、"),
        other => other.to_string(),
    }
}

/// `portico help COMMAND`
pub(crate) fn help(context: &Context, path: &[String]) -> Exit {
    let mut command = texts::command(context.tongue);
    command.build();
    for name in path {
        let Some(child) = command.find_subcommand(name).cloned() else {
            // What is typed wrongly here is wrong as a command too, and that mistake is explained with its likeness.
            let typed = std::iter::once("portico").chain(path.iter().map(String::as_str));
            return match texts::command(context.tongue).try_get_matches_from(typed) {
                Err(error) => explain(&error, context.tongue, &context.out),
                Ok(_) => Exit::Wrong,
            };
        };
        command = child;
    }
    let help = command.render_help();
    context.out.data(&if context.out.data_colour { help.ansi().to_string() } else { help.to_string() })
}
