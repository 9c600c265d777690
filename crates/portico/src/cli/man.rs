//! `portico man`: troff, one page to standard output or one per command into a folder.

use std::path::Path;

use clap_mangen::Man;

use super::{Context, Exit, texts};
use crate::types::text;

pub(crate) fn man(context: &Context, folder: Option<&Path>) -> Exit {
    let mut command = texts::command(context.tongue);
    // Gives every command its whole name and the options that hold everywhere.
    command.build();
    let result = match folder {
        Some(folder) => std::fs::create_dir_all(folder).and_then(|()| pages(&command, folder)),
        None => {
            let mut page = Vec::new();
            match Man::new(command).render(&mut page) {
                Ok(()) => return context.out.data(&String::from_utf8_lossy(&page)),
                Err(error) => Err(error),
            }
        }
    };
    match result {
        Ok(()) => Exit::Fine,
        Err(error) => {
            let folder = folder.unwrap_or(Path::new("-")).display();
            let said = text!(
                "error: the manual can't be written to {folder}: {error}\n",
                "错误:无法将手册写入 {folder}:{error}\n"
            );
            context.out.talk(said.pick(context.tongue));
            Exit::No
        }
    }
}

/// `portico.1`, `portico-model.1`, `portico-model-list.1`, …
fn pages(command: &clap::Command, folder: &Path) -> std::io::Result<()> {
    for child in command.get_subcommands() {
        pages(child, folder)?;
    }
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    std::fs::write(folder.join(format!("{name}.1")), page)
}
