//! A terminal that somebody types on.

use std::io::{self, BufRead as _, Read as _};

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

/// A line that is not shown while it is typed, without its end.
pub(crate) fn hidden_line() -> io::Result<String> {
    const LONGEST_BYTES: u64 = 4096;
    let stdin = io::stdin();
    let before = tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&stdin, OptionalActions::Flush, &silent)?;
    let mut line = String::new();
    let read = stdin.lock().take(LONGEST_BYTES).read_line(&mut line);
    tcsetattr(&stdin, OptionalActions::Now, &before)?;
    read?;
    line.truncate(line.trim_end_matches(['\n', '\r']).len());
    Ok(line)
}
