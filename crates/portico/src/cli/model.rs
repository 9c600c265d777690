//! `portico model …`

use super::arguments::ModelCommand;
use super::{Context, Exit};
use crate::types::text;

pub(crate) fn model(context: &Context, command: &ModelCommand) -> Exit {
    match command {
        ModelCommand::List(_)
        | ModelCommand::Install(_)
        | ModelCommand::Start(_)
        | ModelCommand::Stop(_)
        | ModelCommand::Restart(_)
        | ModelCommand::Logs(_) => {
            context.out.talk(text!("error: not wired yet\n", "错误:尚未接通\n").pick(context.tongue));
            Exit::No
        }
    }
}
