//! Processes that cannot outlive their test.

use std::{
    fs::{self, File},
    io,
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};

use crate::wait;

/// Marks whatever a test starts, down to grandchildren: its value is the folder of the test.
const MARK: &str = "TESTKIT_FOLDER";

/// Ends the process group `$1` when stdin closes without a word, which is how the death of a test looks from outside,
/// and removes `$2` if it is a [`crate::temporary::Folder`], which the test can do no more.
/// Signals are named by `-s`: Debian's shell does not take `kill -TERM -- -1`.
const GUARD: &str = r#"read -r word && exit
kill -s TERM -- "-$1"
tries=0
while [ "$tries" -lt 50 ] && kill -s 0 -- "-$1"; do sleep 0.1; tries=$((tries + 1)); done
kill -s KILL -- "-$1"
case "$2" in */pt-*) rm -rf -- "$2" ;; esac"#;

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

/// A child in a process group of its own, with its output in files. On drop it gets SIGTERM, a moment to end what it
/// started itself, and then SIGKILL goes to its group and to whatever it left behind.
pub struct Process {
    child: Child,
    guard: Child,
    name: String,
    folder: PathBuf,
    grace: Duration,
}

impl Process {
    /// `name` is for messages and for the log files in `folder`: `NAME.stdout` and `NAME.stderr`.
    #[must_use]
    pub fn start(mut command: Command, name: &str, folder: &Path) -> Self {
        let output = |kind: &str| {
            let path = folder.join(format!("{name}.{kind}"));
            File::create(&path).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()))
        };
        command.stdin(Stdio::null()).stdout(output("stdout")).stderr(output("stderr"));
        command.env(MARK, folder).process_group(0);
        let child = command.spawn().unwrap_or_else(|error| {
            panic!("cannot start {name} ({}): {error}", command.get_program().to_string_lossy())
        });
        let guard = guard(child.id(), folder).unwrap_or_else(|error| panic!("cannot guard {name}: {error}"));
        Self { child, guard, name: name.into(), folder: folder.into(), grace: Duration::from_secs(5) }
    }

    /// How long drop waits between SIGTERM and SIGKILL (5 s).
    pub fn set_grace(&mut self, grace: Duration) {
        self.grace = grace;
    }

    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has. The process stays a zombie until drop, so that its id cannot mean another one.
    #[must_use]
    pub fn exited(&self) -> Option<Exit> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = rustix::process::waitid(WaitId::Pid(self.pid()), options).ok().flatten()?;
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Some(Exit::Code(code)),
            (None, signal) => signal.map(Exit::Signal),
        }
    }

    /// Waits for the end. Panics, with the output, when it does not come.
    pub async fn wait(&self, deadline: Duration) -> Exit {
        let started = Instant::now();
        loop {
            if let Some(exit) = self.exited() {
                return exit;
            }
            assert!(
                started.elapsed() < deadline,
                "{} still runs after {deadline:?}\n{}",
                self.name,
                self.output()
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGTERM to the process alone, as a service manager first does; then [`Process::wait`].
    pub async fn stop(&self, deadline: Duration) -> Exit {
        self.signal(Signal::TERM);
        self.wait(deadline).await
    }

    /// To the process alone, not to its group.
    pub fn signal(&self, signal: Signal) {
        // It fails only for a process that has ended.
        let _ = rustix::process::kill_process(self.pid(), signal);
    }

    #[must_use]
    pub fn stdout(&self) -> String {
        self.log("stdout")
    }

    #[must_use]
    pub fn stderr(&self) -> String {
        self.log("stderr")
    }

    /// Both, under headings, for messages.
    #[must_use]
    pub fn output(&self) -> String {
        format!("--- {0} stdout\n{1}\n--- {0} stderr\n{2}", self.name, self.stdout(), self.stderr())
    }

    /// Everything that was started by this process or by its children, itself excepted, and still runs: process id
    /// and command line. A child that was given an empty environment is not found.
    #[must_use]
    pub fn family(&self) -> Vec<(u32, String)> {
        let mark = format!("{MARK}={}", self.folder.display()).into_bytes();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            let Ok(environment) = fs::read(entry.path().join("environ")) else { continue };
            if id != self.id() && environment.split(|byte| *byte == 0).any(|variable| variable == mark) {
                let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                found.push((id, String::from_utf8_lossy(&command).replace('\0', " ")));
            }
        }
        found
    }

    /// The first stdout line that begins with `prefix`, without it. Panics when the process ends before.
    pub(crate) async fn first_line(&self, prefix: &str, deadline: Duration) -> String {
        wait::until(deadline, &format!("{} says `{prefix}`", self.name), async || {
            let line = self.complete_line(prefix);
            if line.is_none()
                && let Some(exit) = self.exited()
            {
                panic!("{} ended ({exit:?}) instead of serving\n{}", self.name, self.output());
            }
            line
        })
        .await
    }

    fn complete_line(&self, prefix: &str) -> Option<String> {
        let text = self.stdout();
        let complete = &text[..text.rfind('\n')?];
        complete.lines().find_map(|line| line.strip_prefix(prefix)).map(|rest| rest.trim().to_owned())
    }

    fn log(&self, kind: &str) -> String {
        let bytes = fs::read(self.folder.join(format!("{}.{kind}", self.name))).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.output());
        }
        self.signal(Signal::TERM);
        let started = Instant::now();
        while self.exited().is_none() && started.elapsed() < self.grace {
            std::thread::sleep(Duration::from_millis(2));
        }
        // The group while its leader is a zombie at the least: its number cannot belong to anybody else.
        let _ = rustix::process::kill_process_group(self.pid(), Signal::KILL);
        for (id, _) in self.family() {
            if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        let _ = self.child.wait();
        if let Some(mut stdin) = self.guard.stdin.take() {
            let _ = io::Write::write_all(&mut stdin, b"done\n");
        }
        let _ = self.guard.wait();
    }
}

fn guard(id: u32, folder: &Path) -> io::Result<Child> {
    Command::new("sh")
        .args(["-c", GUARD, "guard", &id.to_string()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Apart from the test's own group, with which it would be killed.
        .process_group(0)
        .spawn()
}
