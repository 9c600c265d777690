//! The error log: Portico's own words, on standard error or in a file.
//!
//! Written by a thread of its own: whoever has something to say, requests too, hands it over and goes on. A terminal that
//! nobody reads or a disk that hangs costs lines, which are counted, and no traffic.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::config::Log;
use crate::config::tracing_level::Level;
use crate::sys::clock::Instant;

/// So many may wait to be written; a line is a few hundred bytes.
const WAITING_LINES: usize = 4096;
/// At the end of the process, what waits is written within this time or not at all.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Changes the log while it is in use.
#[derive(Clone)]
pub(crate) struct ErrorLog {
    target: Target,
    lines: Lines,
    level: reload::Handle<LevelFilter, Registry>,
}

/// Standard error, or a file that can be opened anew.
#[derive(Clone, Default)]
struct Target(Arc<Mutex<Option<(PathBuf, File)>>>);

/// Where lines are handed over.
#[derive(Clone)]
struct Lines {
    sender: SyncSender<Message>,
    /// Since the last line that was written.
    lost: Arc<AtomicU64>,
}

enum Message {
    Line(Vec<u8>),
    /// Everything before it has been written when this is told.
    Mark(SyncSender<()>),
}

/// Dropped, it waits a little until what was said has been written.
pub(crate) struct LastWords(Lines);

impl ErrorLog {
    /// Installs the process's one subscriber. Control bytes in messages are escaped by the formatter.
    pub(crate) fn install(log: &Log, colour: bool) -> io::Result<Self> {
        let target = Target::default();
        target.point_at(log.error.as_deref())?;
        let lines = Lines::start(target.clone())?;
        let (filter, level) = reload::Layer::new(level(log.level));
        let format = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_ansi(colour && log.error.is_none())
            .with_writer(lines.clone());
        // A second call in one process (tests) keeps the first subscriber.
        let _ = tracing_subscriber::registry().with(filter).with(format).try_init();
        Ok(Self { target, lines, level })
    }

    pub(crate) fn last_words(&self) -> LastWords {
        LastWords(self.lines.clone())
    }

    /// Goes on with another target and level, or fails and goes on as before.
    pub(crate) fn change(&self, log: &Log) -> io::Result<()> {
        self.target.point_at(log.error.as_deref())?;
        let _ = self.level.reload(level(log.level));
        Ok(())
    }

    pub(crate) fn reopen(&self) -> io::Result<()> {
        let path = self.target.lock().as_ref().map(|(path, _)| path.clone());
        self.target.point_at(path.as_deref())
    }
}

impl Target {
    fn point_at(&self, path: Option<&Path>) -> io::Result<()> {
        let opened = match path {
            None => None,
            Some(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                let file = OpenOptions::new().create(true).append(true).mode(0o640).open(path)?;
                Some((path.to_owned(), file))
            }
        };
        *self.lock() = opened;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(PathBuf, File)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    /// A log that can't be written is not a reason to stop: the words are lost, the traffic goes on.
    fn write(&self, bytes: &[u8]) {
        // The lock is not held while the file is written: a reload has to get past one that hangs.
        let file = self.lock().as_ref().map(|(_, file)| file.try_clone());
        let _ = match file {
            Some(file) => file.and_then(|mut file| file.write_all(bytes)),
            None => io::stderr().write_all(bytes),
        };
    }
}

impl Lines {
    /// The thread ends with the process: it may hang in a write.
    fn start(target: Target) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(WAITING_LINES);
        let lost = Arc::new(AtomicU64::new(0));
        let lines = Self { sender, lost: lost.clone() };
        std::thread::Builder::new()
            .name("error-log".to_owned())
            .spawn(move || write_lines(&receiver, &target, &lost))?;
        Ok(lines)
    }
}

fn write_lines(receiver: &Receiver<Message>, target: &Target, lost: &AtomicU64) {
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Line(line) => {
                target.write(&line);
                let lost = lost.swap(0, Ordering::Relaxed);
                if lost > 0 {
                    target.write(
                        format!("{lost} lines of this log were lost: it was not written fast enough\n")
                            .as_bytes(),
                    );
                }
            }
            Message::Mark(written) => _ = written.try_send(()),
        }
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Lines;

    fn make_writer(&'a self) -> Lines {
        self.clone()
    }
}

impl Write for Lines {
    /// The formatter gives a whole line at once.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.sender.try_send(Message::Line(line.to_vec())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for LastWords {
    fn drop(&mut self) {
        let (written, wait) = mpsc::sync_channel(1);
        let until = Instant::now() + LAST_LINES;
        while let Err(TrySendError::Full(_)) = self.0.sender.try_send(Message::Mark(written.clone())) {
            if Instant::now() >= until {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = wait.recv_timeout(until.saturating_duration_since(Instant::now()));
    }
}

fn level(level: Level) -> LevelFilter {
    match level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    }
}
