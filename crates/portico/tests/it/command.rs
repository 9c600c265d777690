//! The command line, run to its end.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use testkit::portico::Portico;
use testkit::process::{Exit, Process};
use testkit::temporary::Folder;

use crate::support::binary;

/// What a command gets on a machine full of tests.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// How a command ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.exit, Exit::Code(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

/// `portico …` in `folder`, in English, whatever the locale of the tests is.
pub(crate) async fn portico(folder: &Path, arguments: &[&str]) -> Ended {
    portico_with(folder, arguments, |_| {}).await
}

pub(crate) async fn portico_with(
    folder: &Path,
    arguments: &[&str],
    adjust: impl FnOnce(&mut Command),
) -> Ended {
    let mut command = Command::new(binary());
    command.args(arguments).current_dir(folder);
    plain_surroundings(&mut command);
    adjust(&mut command);
    end_of(command).await
}

/// In the language of a locale.
pub(crate) async fn portico_in(folder: &Path, arguments: &[&str], locale: &str) -> Ended {
    portico_with(folder, arguments, |command| {
        command.env("LC_ALL", locale);
    })
    .await
}

/// Any program, run to its end.
pub(crate) async fn end_of(command: Command) -> Ended {
    // A folder of its own: what ends takes everything with it that was started under its folder.
    let folder = Folder::new();
    let process = Process::start(command, "command", folder.path());
    let exit = process.wait(DEADLINE).await;
    Ended { exit, stdout: process.stdout(), stderr: process.stderr() }
}

/// A command for a Portico that runs.
pub(crate) async fn ask(running: &Portico, arguments: &[&str]) -> Ended {
    let file = running.configuration_file();
    let file = file.to_string_lossy();
    portico(running.folder(), &[arguments, &["--config", &file]].concat()).await
}

/// English, no colours, and no configuration of the machine's own.
pub(crate) fn plain_surroundings(command: &mut Command) {
    for variable in ["PORTICO_CONFIG", "LANG", "LC_MESSAGES", "NO_COLOR", "CLICOLOR_FORCE", "CLICOLOR"] {
        command.env_remove(variable);
    }
    command.env("LC_ALL", "C");
}
