//! `portico completions SHELL`

use clap_complete::{Shell, generate};

use super::{Context, Exit, texts};

pub(crate) fn completions(context: &Context, shell: Shell) -> Exit {
    let mut script = Vec::new();
    generate(shell, &mut texts::command(context.tongue), "portico", &mut script);
    context.out.data(&String::from_utf8_lossy(&script))
}
