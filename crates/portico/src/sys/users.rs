//! The users of this machine.

use std::path::PathBuf;
use std::process::Command;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) user: u32,
    pub(crate) group: u32,
    pub(crate) home: PathBuf,
}

/// By name: a local user, or one of a directory service (LDAP, systemd-userdb).
pub(crate) fn find(name: &str) -> Option<User> {
    let local = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    user_in(&local, name).or_else(|| {
        let answer = Command::new("getent").args(["passwd", "--", name]).output().ok()?;
        user_in(&String::from_utf8_lossy(&answer.stdout), name)
    })
}

/// What this machine calls a user, or his number.
pub(crate) fn name_of(user: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let found = passwd.lines().filter_map(read).find(|found| found.user == user);
    found.map_or_else(|| user.to_string(), |found| found.name)
}

fn user_in(passwd: &str, name: &str) -> Option<User> {
    passwd.lines().filter_map(read).find(|found| found.name == name)
}

/// A line of `/etc/passwd`.
fn read(line: &str) -> Option<User> {
    let fields: Vec<&str> = line.split(':').collect();
    Some(User {
        name: (*fields.first()?).to_owned(),
        user: fields.get(2)?.parse().ok()?,
        group: fields.get(3)?.parse().ok()?,
        home: fields.get(5).map_or_else(|| PathBuf::from("/"), PathBuf::from),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_read_from_their_own_line_only() {
        let passwd = "root:x:0:0:root:/root:/bin/bash\nroot2:x:7:8::/srv/two:/bin/sh\nbroken:x\n";
        let found = user_in(passwd, "root2").unwrap();
        assert_eq!((found.user, found.group, found.home), (7, 8, PathBuf::from("/srv/two")));
        assert_eq!(user_in(passwd, "broken"), None);
        assert_eq!(user_in(passwd, "roo"), None);
    }
}
