//! `portico run`

use super::arguments::RunArguments;
use super::{Context, Exit, check};
use crate::config::{self, Problem, Severity};
use crate::types::text;

pub(crate) fn run(context: &Context, arguments: &RunArguments) -> Exit {
    let RunArguments {} = arguments;
    let loaded = match config::load(context.config.as_deref(), &context.environment) {
        Ok(loaded) => loaded,
        Err(problems) => return check::refuse(context, &problems.document, &problems.list, problems.tongue),
    };
    let mut said: Vec<Problem> = loaded.warnings.clone();
    said.extend(config::unbuilt(&loaded));
    said.extend(config::may_start(&loaded.config).err().map(|problem| *problem));
    if said.iter().any(|problem| problem.severity == Severity::Error) {
        return check::refuse(context, &loaded.document, &said, loaded.tongue);
    }
    context.out.talk(text!("error: `run` is not wired yet\n", "错误:`run` 尚未接通\n").pick(context.tongue));
    Exit::No
}
