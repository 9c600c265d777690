//! Whose browsers are meant: whoever typed the command, also behind `sudo`.

use std::path::PathBuf;

use crate::config::Environment;
use crate::sys::users;

const DATA: &str = ".local/share";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Person {
    pub(crate) home: PathBuf,
    /// Where programs keep what they know (XDG Base Directory Specification).
    pub(crate) data: PathBuf,
    /// Number of the user and group to become for what is done in the home; `None`: it is ours.
    pub(super) becomes: Option<(u32, u32)>,
}

impl Person {
    /// `None`: nobody has a home here.
    pub(crate) fn of(environment: &Environment) -> Option<Self> {
        let behind = ["SUDO_USER", "DOAS_USER"].iter().find_map(|name| environment.variable(name));
        if let Some(user) = behind.filter(|name| environment.root && *name != "root").and_then(users::find) {
            let data = user.home.join(DATA);
            return Some(Self { home: user.home, data, becomes: Some((user.user, user.group)) });
        }
        let folder = |name| environment.variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let home = folder("HOME")?;
        let data = folder("XDG_DATA_HOME").unwrap_or_else(|| home.join(DATA));
        Some(Self { home, data, becomes: None })
    }

    /// Root works for somebody.
    pub(crate) fn is_behind_root(&self) -> bool {
        self.becomes.is_some()
    }
}
