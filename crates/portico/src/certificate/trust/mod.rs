//! The places where browsers and other programs look up whom to trust, and the local root in there.
//!
//! Every place is looked at first and touched only where something has to change, and looked at again afterwards: what is
//! said to be done was seen. Nothing is done in a home but by its owner.

mod nss;
mod person;
mod system;
mod tool;

use std::path::{Path, PathBuf};

use super::local::Root;
use crate::types::Text;
pub(crate) use person::Person;
pub(crate) use tool::Tools;

/// What is to be in a place afterwards, and what is not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    pub(crate) trusted: Option<&'a Root>,
    pub(crate) gone: &'a [&'a Root],
    /// Where the trusted root lies, for what the operator has to type.
    pub(crate) file: &'a Path,
    pub(crate) seriousness: Seriousness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seriousness {
    Do,
    /// Only say what would be done.
    DryRun,
}

/// A place, and what has become of the wish there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) kind: Kind,
    /// File or folder; empty where there is no such place on this machine.
    pub(crate) path: PathBuf,
    pub(crate) verdict: Verdict,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    System,
    Chromium,
    Firefox,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    Done,
    /// Nothing had to be changed.
    Already,
    /// Would be changed, but for the dry run.
    Would,
    /// Not touched: why, and what to type.
    Skipped(Text),
    Failed(Text),
}

/// Fulfils the wish everywhere. Blocks on programs, each for three minutes at most.
pub(crate) fn fulfil(wish: Wish<'_>, root: bool, person: Option<&Person>, tools: &Tools) -> Vec<Place> {
    let mut places = vec![system::fulfil(wish, root, tools)];
    places.extend(nss::fulfil(wish, person, tools));
    places
}

/// A word as a shell takes it back.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-:=@%+,".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_a_shell_would_take_them_apart() {
        for (word, shown) in [
            ("/var/lib/portico/ca.pem", "/var/lib/portico/ca.pem"),
            ("/home/a b/ca.pem", "'/home/a b/ca.pem'"),
            ("it's", r"'it'\''s'"),
            ("$(id)", "'$(id)'"),
            ("", "''"),
        ] {
            assert_eq!(quoted(word), shown);
        }
    }
}
