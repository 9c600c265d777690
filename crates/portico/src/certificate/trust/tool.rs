//! Programs of the system that keep roots.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::person::Person;
use crate::sys::procfs;

/// Rebuilding the system's store takes a minute on small boards, with Java's beside it more.
const LONGEST: Duration = Duration::from_secs(180);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// Where programs of the system are, whatever `su` and `sudo` make of the search path.
const SYSTEM_FOLDERS: [&str; 5] = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];

/// The folders that programs are looked for in.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    search_path: OsString,
}

/// What a program has answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) success: bool,
    pub(super) stdout: String,
    /// Both outputs, for people.
    pub(super) said: String,
}

impl Tools {
    pub(crate) fn on(search_path: &str) -> Self {
        let written = std::env::split_paths(search_path).filter(|folder| folder.is_absolute());
        let folders: Vec<PathBuf> = written.chain(SYSTEM_FOLDERS.iter().map(PathBuf::from)).collect();
        let search_path = std::env::join_paths(folders);
        Self { search_path: search_path.expect("parts of a search path, and constants") }
    }

    pub(super) fn find(&self, name: &str) -> Option<PathBuf> {
        procfs::find_program(name, &self.search_path)
    }

    /// Runs a program to its end, as the person where one is given: what is made is theirs then, and no link in their home
    /// leads further than they may go. It sees nothing of our own environment and never a terminal to ask on.
    pub(super) fn run<A: AsRef<OsStr>>(
        &self,
        program: &Path,
        arguments: &[A],
        person: Option<&Person>,
        input: &str,
    ) -> io::Result<Answer> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", &self.search_path)
            .env("LC_ALL", "C")
            .current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if let Some(person) = person {
            command.env("HOME", &person.home);
            if let Some((user, group)) = person.becomes {
                command.uid(user).gid(group);
            }
        }
        let mut child = command.spawn()?;
        let (stdout, stderr) = (drained(child.stdout.take()), drained(child.stderr.take()));
        if let Some(mut stdin) = child.stdin.take() {
            // Who does not read its input has no use for it.
            let _unread = stdin.write_all(input.as_bytes());
        }
        let success = ended(&mut child)?;
        let (stdout, stderr) = (text(stdout), text(stderr));
        let said = format!("{}\n{}", stderr.trim(), stdout.trim()).trim().to_owned();
        Ok(Answer { success, stdout, said })
    }
}

fn drained(output: Option<impl Read + Send + 'static>) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut read = Vec::new();
        // What was read until an error is all there is.
        let _cut = output.map(|mut output| output.read_to_end(&mut read));
        read
    })
}

fn text(output: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&output.join().unwrap_or_default()).into_owned()
}

fn ended(child: &mut Child) -> io::Result<bool> {
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status.success());
        }
        if since.elapsed() > LONGEST {
            child.kill()?;
            child.wait()?;
            return Err(io::ErrorKind::TimedOut.into());
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}
