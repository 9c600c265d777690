//! What can be typed. Texts are not here but in `texts`, in both languages, found by the path of the command and the name
//! of the argument.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::types::Tongue;

#[derive(Debug, Parser)]
#[command(
    name = "portico",
    version,
    propagate_version = true,
    disable_help_subcommand = true,
    max_term_width = 110
)]
pub(crate) struct Arguments {
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(RunArguments),
    Check(JsonArguments),
    Status(JsonArguments),
    Reload,
    Stop,
    Model(ModelArguments),
    Cert(CertArguments),
    Config(ConfigArguments),
    Completions(CompletionsArguments),
    Man(ManArguments),
    Help(HelpArguments),
}

/// `portico run` has no options of its own yet.
#[derive(Debug, Args)]
pub(crate) struct RunArguments {}

#[derive(Debug, Args)]
pub(crate) struct JsonArguments {
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct ModelArguments {
    #[command(subcommand)]
    pub(crate) command: ModelCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ModelCommand {
    List(ListArguments),
    Install(NameArguments),
    Advise(JsonArguments),
    Start(NameArguments),
    Stop(NameArguments),
    Restart(NameArguments),
    Logs(LogsArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    #[arg(long)]
    pub(crate) advisories: bool,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct NameArguments {
    /// Empty: the only one there is.
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct LogsArguments {
    #[arg(value_name = "NAME")]
    pub(crate) name: Option<String>,
    #[arg(short, long)]
    pub(crate) follow: bool,
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: usize,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct CertArguments {
    #[command(subcommand)]
    pub(crate) command: CertCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum CertCommand {
    Status(JsonArguments),
    Renew(RenewArguments),
    Trust(TrustArguments),
}

#[derive(Debug, Args)]
pub(crate) struct RenewArguments {
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct TrustArguments {
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[arg(long)]
    pub(crate) remove: bool,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct ConfigArguments {
    #[command(subcommand)]
    pub(crate) command: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    Schema,
    Reference(ReferenceArguments),
    Explain(ExplainArguments),
    Diff(JsonArguments),
}

#[derive(Debug, Args)]
pub(crate) struct ReferenceArguments {
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub(crate) lang: Option<LanguageWord>,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    #[arg(value_name = "KEY")]
    pub(crate) key: String,
    #[arg(long, value_enum, value_name = "LANGUAGE")]
    pub(crate) lang: Option<LanguageWord>,
    #[arg(long)]
    pub(crate) json: bool,
}

/// `--lang`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LanguageWord {
    En,
    #[value(name = "zh-CN", alias = "zh")]
    Zh,
}

impl From<LanguageWord> for Tongue {
    fn from(word: LanguageWord) -> Self {
        match word {
            LanguageWord::En => Tongue::English,
            LanguageWord::Zh => Tongue::Chinese,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArguments {
    #[arg(value_enum, value_name = "SHELL")]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManArguments {
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct HelpArguments {
    #[arg(value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
}
