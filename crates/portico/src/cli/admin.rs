//! Commands that talk to a running Portico over the admin socket.

use super::arguments::JsonArguments;
use super::{Context, Exit};
use crate::types::text;

pub(crate) fn status(context: &Context, _arguments: &JsonArguments) -> Exit {
    not_wired(context)
}

pub(crate) fn reload(context: &Context) -> Exit {
    not_wired(context)
}

pub(crate) fn stop(context: &Context) -> Exit {
    not_wired(context)
}

pub(crate) fn diff(context: &Context, _arguments: &JsonArguments) -> Exit {
    not_wired(context)
}

fn not_wired(context: &Context) -> Exit {
    context.out.talk(text!("error: not wired yet\n", "错误:尚未接通\n").pick(context.tongue));
    Exit::No
}
