//! The command line. One place parses (`arguments`), one place prints (`out`), one file per command does the work.
//!
//! Exit codes: 0 fine, 1 the answer is no, 2 usage or configuration. Data goes to standard output, talk to standard error.

mod access;
mod account;
mod admin;
mod arguments;
mod backup;
mod cert;
mod check;
mod completions;
mod config;
mod man;
mod model;
mod out;
mod run;
mod texts;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::FromArgMatches;

use crate::config::Environment;
use crate::types::Tongue;

use arguments::{Arguments, Command, ConfigCommand};
use out::Out;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    Fine,
    /// The answer is no: not well, not found, not running.
    No,
    /// Usage or configuration.
    Wrong,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(match exit {
            Exit::Fine => 0,
            Exit::No => 1,
            Exit::Wrong => 2,
        })
    }
}

/// What every command gets.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) environment: Environment,
    /// `--config`.
    pub(crate) config: Option<PathBuf>,
    /// The language of the terminal; a configuration that is read may say another.
    pub(crate) tongue: Tongue,
    pub(crate) out: Out,
}

/// What `main` calls.
pub fn main() -> ExitCode {
    let environment = Environment::of_this_process();
    let tongue = environment.tongue();
    let out = Out::of_this_process(&environment);
    let parsed = texts::command(tongue)
        .try_get_matches_from(std::env::args_os())
        .and_then(|matches| Arguments::from_arg_matches(&matches));
    let exit = match parsed {
        Ok(Arguments { config, command }) => dispatch(&Context { environment, config, tongue, out }, command),
        Err(error) => usage::explain(&error, tongue, &out),
    };
    exit.into()
}

fn dispatch(context: &Context, command: Command) -> Exit {
    match command {
        Command::Run(arguments) => run::run(context, &arguments),
        Command::Check(arguments) => check::check(context, &arguments),
        Command::Status(arguments) => admin::status(context, &arguments),
        Command::Reload => admin::reload(context),
        Command::Stop => admin::stop(context),
        Command::Model(arguments) => model::model(context, arguments.command),
        Command::User(arguments) => account::user(context, arguments.command),
        Command::Key(arguments) => account::key(context, arguments.command),
        Command::Access(arguments) => access::access(context, &arguments.command),
        Command::Audit(arguments) => access::audit(context, &arguments.command),
        Command::Backup(arguments) => backup::backup(context, &arguments),
        Command::Restore(arguments) => backup::restore(context, &arguments),
        Command::Cert(arguments) => cert::cert(context, arguments.command),
        Command::Config(arguments) => match arguments.command {
            ConfigCommand::Diff(arguments) => admin::diff(context, &arguments),
            ConfigCommand::Schema => config::schema(context),
            ConfigCommand::Reference(arguments) => config::reference(context, &arguments),
            ConfigCommand::Explain(arguments) => config::explain(context, &arguments),
        },
        Command::Completions(arguments) => completions::completions(context, arguments.shell),
        Command::Man(arguments) => man::man(context, arguments.out.as_deref()),
        Command::Help(arguments) => usage::help(context, &arguments.command),
    }
}
