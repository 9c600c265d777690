//! The error log: Portico's own words, on standard error or in a file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Registry, reload};

use crate::config::Log;
use crate::config::tracing_level::Level;

/// Changes the log while it is in use.
#[derive(Clone)]
pub(crate) struct ErrorLog {
    target: Target,
    level: reload::Handle<LevelFilter, Registry>,
}

/// Standard error, or a file that can be opened anew.
#[derive(Clone, Default)]
struct Target(Arc<Mutex<Option<(PathBuf, File)>>>);

impl ErrorLog {
    /// Installs the process's one subscriber. Control bytes in messages are escaped by the formatter.
    pub(crate) fn install(log: &Log, colour: bool) -> io::Result<Self> {
        let target = Target::default();
        target.point_at(log.error.as_deref())?;
        let (filter, level) = reload::Layer::new(level(log.level));
        let format = tracing_subscriber::fmt::layer()
            .with_target(false)
            .with_ansi(colour && log.error.is_none())
            .with_writer(target.clone());
        // A second call in one process (tests) keeps the first subscriber.
        let _ = tracing_subscriber::registry().with(filter).with(format).try_init();
        Ok(Self { target, level })
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

impl<'a> MakeWriter<'a> for Target {
    type Writer = Target;

    fn make_writer(&'a self) -> Target {
        self.clone()
    }
}

impl Write for Target {
    /// A log that can't be written is not a reason to stop: the words are lost, the traffic goes on.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = match self.lock().as_mut() {
            Some((_, file)) => file.write_all(bytes),
            None => io::stderr().write_all(bytes),
        };
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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
