//! What surrounds the process and decides defaults. A value, so that the checks stay pure.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::path::PathBuf;

use crate::types::Tongue;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    pub(crate) root: bool,
    /// Started by the system's systemd as a unit of its own.
    pub(crate) service: bool,
    /// Standard error is a terminal.
    pub(crate) terminal: bool,
    pub(crate) directory: PathBuf,
    pub(crate) variables: BTreeMap<String, String>,
}

impl Environment {
    /// The surroundings of this process.
    pub(crate) fn of_this_process() -> Self {
        let variables: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self {
            root: rustix::process::geteuid().is_root(),
            service: is_service(&variables),
            terminal: rustix::termios::isatty(std::io::stderr()),
            directory: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
            variables,
        }
    }

    /// A variable that is set to something.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What the locale says, in the order of POSIX: the first of the three that is set decides.
    pub(crate) fn tongue(&self) -> Tongue {
        let locale = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().find_map(|name| self.variable(name));
        Tongue::from_locale(locale.unwrap_or_default())
    }

    /// Whether talk on a terminal may be coloured (no-color.org, bixense.com/clicolors).
    pub(crate) fn colour(&self, terminal: bool) -> bool {
        if self.variable("NO_COLOR").is_some() {
            return false;
        }
        if self.variable("CLICOLOR_FORCE").is_some_and(|value| value != "0") {
            return true;
        }
        terminal
            && self.variable("CLICOLOR").is_none_or(|value| value != "0")
            && self.variable("TERM").is_none_or(|value| value != "dumb")
    }
}

/// systemd sets SYSTEMD_EXEC_PID to the pid of the unit's own process and JOURNAL_STREAM to its standard error; both are
/// inherited by everything started from there, a desktop's terminal too, so they only count where they still fit.
/// MANAGERPID marks a user's own systemd, whose units have that user's folders.
fn is_service(variables: &BTreeMap<String, String>) -> bool {
    if variables.contains_key("MANAGERPID") {
        return false;
    }
    let own_pid = std::process::id().to_string();
    let started_by_systemd = variables.get("SYSTEMD_EXEC_PID").is_some_and(|pid| *pid == own_pid);
    let journal =
        rustix::fs::fstat(std::io::stderr().as_fd()).map(|stat| format!("{}:{}", stat.st_dev, stat.st_ino));
    let logs_to_journal = journal.is_ok_and(|journal| variables.get("JOURNAL_STREAM") == Some(&journal));
    started_by_systemd || logs_to_journal
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Environment {
        let variables = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment { variables, ..Environment::default() }
    }

    #[test]
    fn the_first_locale_variable_that_is_set_decides() {
        assert_eq!(with(&[]).tongue(), Tongue::English);
        assert_eq!(with(&[("LANG", "zh_CN.UTF-8")]).tongue(), Tongue::Chinese);
        assert_eq!(with(&[("LC_ALL", "C"), ("LANG", "zh_CN.UTF-8")]).tongue(), Tongue::English);
        assert_eq!(
            with(&[("LC_ALL", ""), ("LC_MESSAGES", "zh_TW"), ("LANG", "en_US")]).tongue(),
            Tongue::Chinese
        );
    }

    #[test]
    fn colour_follows_the_conventions() {
        assert!(with(&[]).colour(true) && !with(&[]).colour(false));
        assert!(!with(&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")]).colour(true));
        assert!(with(&[("NO_COLOR", "")]).colour(true));
        assert!(with(&[("CLICOLOR_FORCE", "1")]).colour(false));
        assert!(!with(&[("CLICOLOR", "0")]).colour(true) && !with(&[("TERM", "dumb")]).colour(true));
    }

    #[test]
    fn a_terminal_inside_of_a_desktop_session_is_no_service() {
        let own = std::process::id().to_string();
        let map = |pairs: &[(&str, &str)]| with(pairs).variables;
        assert!(is_service(&map(&[("SYSTEMD_EXEC_PID", &own)])));
        assert!(!is_service(&map(&[
            ("SYSTEMD_EXEC_PID", "1"),
            ("INVOCATION_ID", "abc"),
            ("JOURNAL_STREAM", "1:1")
        ])));
        assert!(!is_service(&map(&[("SYSTEMD_EXEC_PID", &own), ("MANAGERPID", "900")])));
    }
}
