//! The access log's way to the disk.
//!
//! Each data thread collects lines in its own buffer and hands it to one writer thread when it is large or 200 ms
//! old, so a request costs no system call and no wake-up. The channel is bounded; when the disk does not keep up,
//! whole buffers are dropped and their lines counted.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread::JoinHandle;

use super::line;
use super::record::Outcome;
use crate::config::{LogFormat, LogTarget};

/// A thread's buffer is handed over when it is this large.
const HAND_OVER_BYTES: usize = 32 * 1024;
/// So many buffers may wait for the disk: 32 MiB at most, a second or two of a very busy site.
const WAITING_BUFFERS: usize = 1024;

thread_local! {
    static BUFFER: RefCell<Option<ThreadBuffer>> = const { RefCell::new(None) };
}

struct ThreadBuffer {
    handle: LogHandle,
    bytes: Vec<u8>,
    lines: u64,
    zone: jiff::tz::TimeZone,
}

/// What a data thread needs to write lines.
#[derive(Clone)]
pub(crate) struct LogHandle {
    sender: SyncSender<Message>,
    format: LogFormat,
    off: bool,
    lost: Arc<AtomicU64>,
}

enum Message {
    Lines { bytes: Vec<u8>, lines: u64 },
    Stop,
}

/// The writer thread and its state. Owned by `run`.
pub(crate) struct AccessLog {
    handle: LogHandle,
    reopen: Arc<AtomicBool>,
    writer: Option<JoinHandle<()>>,
}

impl AccessLog {
    /// Opens the target and starts the writer. An unwritable path is an error here and now; one that fails later
    /// only costs lines.
    pub(crate) fn start(target: &LogTarget, format: LogFormat) -> io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel(WAITING_BUFFERS);
        let lost = Arc::new(AtomicU64::new(0));
        let reopen = Arc::new(AtomicBool::new(false));
        let sink = Sink::open(target)?;
        let worker = Writer { receiver, sink, lost: lost.clone(), reopen: reopen.clone(), failing: false };
        let writer = std::thread::Builder::new().name("access-log".to_owned()).spawn(move || worker.run())?;
        let handle = LogHandle { sender, format, off: *target == LogTarget::Off, lost };
        Ok(Self { handle, reopen, writer: Some(writer) })
    }

    pub(crate) fn handle(&self) -> LogHandle {
        self.handle.clone()
    }

    /// Lines that were not written, since the start.
    pub(crate) fn lost(&self) -> u64 {
        self.handle.lost.load(Ordering::Relaxed)
    }

    /// The file is opened anew before the next line (SIGUSR1, after a rotation).
    pub(crate) fn reopen(&self) {
        self.reopen.store(true, Ordering::Release);
        // An empty buffer wakes the writer, so that the new file exists at once.
        let _ = self.handle.sender.try_send(Message::Lines { bytes: Vec::new(), lines: 0 });
    }
}

impl Drop for AccessLog {
    /// Waits until everything handed over is written. Data threads must have been flushed before.
    fn drop(&mut self) {
        let _ = self.handle.sender.send(Message::Stop);
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

impl LogHandle {
    /// Makes this thread write its records here.
    pub(crate) fn attach_thread(self) {
        BUFFER.with_borrow_mut(|slot| {
            *slot = Some(ThreadBuffer {
                handle: self,
                bytes: Vec::new(),
                lines: 0,
                zone: jiff::tz::TimeZone::system(),
            });
        });
    }
}

/// Appends the record's line to this thread's buffer. Called by [`super::Record`] alone.
pub(super) fn write(outcome: &Outcome) {
    if let Some(private) = &outcome.private {
        tracing::debug!(
            id = std::str::from_utf8(&outcome.id).unwrap_or_default(),
            reason = outcome.reason.code(),
            "{private}"
        );
    }
    BUFFER.with_borrow_mut(|slot| {
        let Some(buffer) = slot.as_mut() else { return };
        if buffer.handle.off {
            return;
        }
        match buffer.handle.format {
            LogFormat::Json => line::json(outcome, &mut buffer.bytes),
            LogFormat::Recipe => line::recipe(outcome, &buffer.zone, &mut buffer.bytes),
        }
        buffer.lines += 1;
        if buffer.bytes.len() >= HAND_OVER_BYTES {
            buffer.hand_over();
        }
    });
}

/// Hands over what this thread has collected. Its runtime calls this every 200 ms and once at its end.
pub(crate) fn flush_thread() {
    BUFFER.with_borrow_mut(|slot| {
        if let Some(buffer) = slot.as_mut()
            && buffer.lines > 0
        {
            buffer.hand_over();
        }
    });
}

impl ThreadBuffer {
    fn hand_over(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let lines = std::mem::take(&mut self.lines);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) =
            self.handle.sender.try_send(Message::Lines { bytes, lines })
        {
            self.handle.lost.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

struct Writer {
    receiver: Receiver<Message>,
    sink: Sink,
    lost: Arc<AtomicU64>,
    reopen: Arc<AtomicBool>,
    failing: bool,
}

impl Writer {
    fn run(mut self) {
        while let Ok(Message::Lines { bytes, lines }) = self.receiver.recv() {
            if self.reopen.swap(false, Ordering::AcqRel)
                && let Err(error) = self.sink.reopen()
            {
                tracing::error!(%error, "the access log could not be reopened; the old file goes on");
            }
            match self.sink.write(&bytes) {
                Ok(()) if self.failing => {
                    self.failing = false;
                    tracing::info!("the access log is written again");
                }
                Ok(()) => {}
                Err(error) => self.failed(lines, &error),
            }
        }
    }

    /// Said once when it begins, not once a line.
    fn failed(&mut self, lines: u64, error: &io::Error) {
        self.lost.fetch_add(lines, Ordering::Relaxed);
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(%error, "the access log can't be written; traffic goes on and lost lines are counted");
        }
    }
}

enum Sink {
    Off,
    Stdout,
    File { path: PathBuf, file: File, torn: bool },
}

impl Sink {
    fn open(target: &LogTarget) -> io::Result<Self> {
        match target {
            LogTarget::Off => Ok(Sink::Off),
            LogTarget::Stdout => Ok(Sink::Stdout),
            LogTarget::File(path) => {
                if let Some(folder) = path.parent() {
                    std::fs::create_dir_all(folder)?;
                }
                Ok(Sink::File { path: path.clone(), file: open_append(path)?, torn: false })
            }
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        if let Sink::File { path, file, torn } = self {
            *file = open_append(path)?;
            *torn = false;
        }
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::Off => Ok(()),
            Sink::Stdout => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(bytes)?;
                stdout.flush()
            }
            Sink::File { file, torn, .. } => {
                // After a full disk the last line may be half there: the next one starts on its own.
                if std::mem::take(torn) {
                    file.write_all(b"\n").inspect_err(|_| *torn = true)?;
                }
                file.write_all(bytes).inspect_err(|_| *torn = true)
            }
        }
    }
}

fn open_append(path: &PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o640).open(path)
}
