//! `portico check`

use super::arguments::JsonArguments;
use super::{Context, Exit};
use crate::config::render::{Render, json};
use crate::config::{self, Document, Problem, Severity};
use crate::types::{Tongue, text};

pub(crate) fn check(context: &Context, arguments: &JsonArguments) -> Exit {
    match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => {
            let remarks = config::remarks(&loaded);
            let startable =
                config::unbuilt(&loaded).iter().all(|problem| problem.severity != Severity::Error);
            report(
                context,
                arguments,
                &loaded.document,
                &remarks,
                Verdict::Valid { startable },
                loaded.tongue,
            )
        }
        Err(problems) => {
            report(context, arguments, &problems.document, &problems.list, Verdict::Wrong, problems.tongue)
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Valid {
        /// `run` serves with it already: nothing in it waits for what is not built yet.
        startable: bool,
    },
    Wrong,
}

fn report(
    context: &Context,
    arguments: &JsonArguments,
    document: &Document,
    problems: &[Problem],
    verdict: Verdict,
    tongue: Tongue,
) -> Exit {
    if arguments.json {
        let printed = context.out.data(&format!("{}\n", json(document, problems, tongue)));
        return if printed == Exit::Fine && verdict == Verdict::Wrong { Exit::Wrong } else { printed };
    }
    if !problems.is_empty() {
        let render = Render { tongue, colour: context.out.talk_colour };
        context.out.talk(&render.all(document, problems));
    }
    let Verdict::Valid { startable } = verdict else { return Exit::Wrong };
    let fine = match &document.path {
        Some(path) if startable => {
            let path = path.display();
            text!("{path} is valid.", "{path} 有效。")
        }
        Some(path) => {
            let path = path.display();
            text!(
                "{path} is valid. This version does not start with it yet: see the warnings.",
                "{path} 有效。此版本尚不能以它启动:请看上面的警告。"
            )
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
