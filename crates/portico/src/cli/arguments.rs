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
    User(UserArguments),
    Key(KeyArguments),
    Access(AccessArguments),
    Audit(AuditArguments),
    Backup(BackupArguments),
    Restore(RestoreArguments),
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
pub(crate) struct UserArguments {
    #[command(subcommand)]
    pub(crate) command: UserCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum UserCommand {
    Add(UserAddArguments),
    List(JsonArguments),
    Passwd(UserPasswordArguments),
    Plan(UserPlanArguments),
    Role(UserRoleArguments),
    Disable(UserNameArguments),
    Enable(UserNameArguments),
    Remove(UserNameArguments),
    Invite(UserNameArguments),
}

#[derive(Debug, Args)]
pub(crate) struct UserAddArguments {
    #[arg(id = "user", value_name = "NAME")]
    pub(crate) name: String,
    #[arg(long)]
    pub(crate) password_stdin: bool,
    #[arg(long, value_name = "PLAN")]
    pub(crate) plan: Option<String>,
    #[arg(long, value_enum, value_name = "ROLE")]
    pub(crate) role: Option<RoleWord>,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserNameArguments {
    #[arg(id = "user", value_name = "NAME")]
    pub(crate) name: String,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserPasswordArguments {
    #[arg(id = "user", value_name = "NAME")]
    pub(crate) name: String,
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UserPlanArguments {
    #[arg(id = "user", value_name = "NAME")]
    pub(crate) name: String,
    #[arg(value_name = "PLAN")]
    pub(crate) plan: String,
}

#[derive(Debug, Args)]
pub(crate) struct UserRoleArguments {
    #[arg(id = "user", value_name = "NAME")]
    pub(crate) name: String,
    #[arg(value_enum, value_name = "ROLE")]
    pub(crate) role: RoleWord,
}

/// `--role`
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RoleWord {
    User,
    Operator,
}

impl RoleWord {
    pub(crate) const fn is_operator(self) -> bool {
        matches!(self, RoleWord::Operator)
    }
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct KeyArguments {
    #[command(subcommand)]
    pub(crate) command: KeyCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    Create(KeyCreateArguments),
    List(JsonArguments),
    Rotate(KeyIdArguments),
    Revoke(KeyIdArguments),
}

#[derive(Debug, Args)]
pub(crate) struct KeyCreateArguments {
    #[arg(long, value_name = "NAME")]
    pub(crate) user: String,
    #[arg(long = "name", id = "label", value_name = "TEXT")]
    pub(crate) name: Option<String>,
    #[arg(long, value_name = "PERIOD")]
    pub(crate) expires: Option<PeriodWord>,
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(crate) models: Vec<String>,
    #[arg(long, value_name = "CIDRS", value_delimiter = ',')]
    pub(crate) networks: Vec<NetworkWord>,
    #[arg(long)]
    pub(crate) json: bool,
}

/// `90d`, `12h`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeriodWord(pub(crate) std::time::Duration);

impl std::str::FromStr for PeriodWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        crate::config::period(text).map(Self).ok_or_else(|| "90d, 12h, 30m".to_owned())
    }
}

/// A network, or an address alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(crate) struct NetworkWord(ipnet::IpNet);

impl std::str::FromStr for NetworkWord {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        crate::config::network(text)
            .map(Self)
            .ok_or_else(|| "10.0.0.0/8, 192.0.2.7, 2001:db8::/32".to_owned())
    }
}

#[derive(Debug, Args)]
pub(crate) struct KeyIdArguments {
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct AccessArguments {
    #[command(subcommand)]
    pub(crate) command: AccessCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    Explain(AccessExplainArguments),
}

#[derive(Debug, Args)]
pub(crate) struct AccessExplainArguments {
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ip: std::net::IpAddr,
    #[arg(long, value_name = "KEY", conflicts_with = "user")]
    pub(crate) key: Option<String>,
    #[arg(long, value_name = "NAME")]
    pub(crate) user: Option<String>,
    #[arg(long, value_name = "PATH")]
    pub(crate) path: Option<String>,
    #[arg(long, value_name = "METHOD")]
    pub(crate) method: Option<String>,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub(crate) struct AuditArguments {
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    List(AuditListArguments),
    Verify(AuditVerifyArguments),
}

#[derive(Debug, Args)]
pub(crate) struct AuditListArguments {
    #[arg(short = 'n', long, value_name = "N", default_value_t = 100)]
    pub(crate) lines: u32,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArguments {
    #[arg(long, value_name = "NUMBER:MAC")]
    pub(crate) head: Option<String>,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArguments {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: PathBuf,
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RestoreArguments {
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: PathBuf,
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
