//! `portico check`

use super::arguments::JsonArguments;
use super::{Context, Exit};
use crate::config::render::{Render, json};
use crate::config::{self, Document, Problem, Severity};
use crate::types::{Tongue, text};

pub(crate) fn check(context: &Context, arguments: &JsonArguments) -> Exit {
    match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => report(context, arguments, &loaded.document, &config::remarks(&loaded), loaded.tongue),
        Err(problems) => report(context, arguments, &problems.document, &problems.list, problems.tongue),
    }
}

fn report(
    context: &Context,
    arguments: &JsonArguments,
    document: &Document,
    problems: &[Problem],
    tongue: Tongue,
) -> Exit {
    let is_wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
    let verdict = if is_wrong { Exit::Wrong } else { Exit::Fine };
    if arguments.json {
        let printed = context.out.data(&format!("{}\n", json(document, problems, tongue)));
        return if printed == Exit::Fine { verdict } else { printed };
    }
    if !problems.is_empty() {
        let render = Render { tongue, colour: context.out.talk_colour };
        context.out.talk(&render.all(document, problems));
    }
    if is_wrong {
        return Exit::Wrong;
    }
    let fine = match &document.path {
        Some(path) => {
            let path = path.display();
            text!("{path} is valid.", "{path} 有效。")
        }
        None => text!("No configuration file: built-in defaults.", "没有配置文件:使用内置默认值。"),
    };
    context.out.data(&format!("{}\n", fine.pick(tongue)))
}

/// Says what is wrong with a configuration that another command needed.
pub(crate) fn refuse(context: &Context, document: &Document, problems: &[Problem], tongue: Tongue) -> Exit {
    let render = Render { tongue, colour: context.out.talk_colour };
    context.out.talk(&render.all(document, problems));
    Exit::Wrong
}

/// What another command says about a configuration that it goes on with.
pub(crate) fn remark(context: &Context, document: &Document, problems: &[Problem], tongue: Tongue) {
    let render = Render { tongue, colour: context.out.talk_colour };
    context.out.talk(&render.all(document, problems));
}
