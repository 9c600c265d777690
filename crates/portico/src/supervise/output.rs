//! The child's output: to its log file, and the last lines kept for messages.
//!
//! The pipe is read whatever happens to the file. A child whose output nobody takes stops in the middle of its next
//! line; a full disk must not do that to a model, so what can't be written is dropped and counted. Reading has a
//! thread of its own, because a disk that stalls would stall a runtime with it.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, PipeReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Lines kept in memory.
const KEPT_LINES: usize = 200;
/// Longer lines are cut there: a model server may print a whole prompt.
const MAX_LINE_BYTES: usize = 2000;
/// The file is set aside as `NAME.1` at this size; the one set aside before is lost.
const MAX_FILE_BYTES: u64 = 50 * 1024 * 1024;
/// How often a file that can't be opened is tried again.
const REOPEN_AFTER: Duration = Duration::from_secs(1);

/// The last lines, without control characters. Cheap to clone; all clones see the same lines.
#[derive(Debug, Clone, Default)]
pub(super) struct Tail(Arc<Mutex<Lines>>);

#[derive(Debug, Default)]
struct Lines {
    whole: VecDeque<String>,
    /// A line that has not ended yet.
    partial: Vec<u8>,
}

impl Tail {
    /// The last `count` lines, oldest first, an unfinished one included.
    pub(super) fn last(&self, count: usize) -> Vec<String> {
        let lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let partial = Some(clean(&lines.partial)).filter(|line| !line.is_empty());
        let all: Vec<String> = lines.whole.iter().cloned().chain(partial).collect();
        all[all.len().saturating_sub(count)..].to_vec()
    }

    pub(super) fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Lines::default();
    }

    /// Carriage returns end a line as well: each step of a progress bar would otherwise be part of one endless line.
    fn push(&self, bytes: &[u8]) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
            let ended = matches!(piece.last(), Some(b'\n' | b'\r'));
            let text = if ended { &piece[..piece.len() - 1] } else { piece };
            let room = MAX_LINE_BYTES.saturating_sub(lines.partial.len());
            lines.partial.extend_from_slice(&text[..text.len().min(room)]);
            if ended {
                let line = clean(&std::mem::take(&mut lines.partial));
                if !line.is_empty() {
                    if lines.whole.len() == KEPT_LINES {
                        lines.whole.pop_front();
                    }
                    lines.whole.push_back(line);
                }
            }
        }
    }
}

/// What may be shown on a terminal and in a page: no escape sequences, no other control characters.
pub(crate) fn clean(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let mut shown = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            // ESC [ ... letter: colours and cursor moves go as a whole.
            '\u{1b}' if characters.next_if_eq(&'[').is_some() => {
                while characters.next_if(|c| !('\u{40}'..='\u{7e}').contains(c)).is_some() {}
                characters.next();
            }
            '\t' => shown.push(' '),
            // Controls, and the marks that turn the direction of text around.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {}
            c => shown.push(c),
        }
    }
    shown.trim_end().to_owned()
}

/// Reads `pipe` to its end on a thread of its own. The receiver hears when the last byte has been taken: every
/// process that held the other end is gone then.
pub(super) fn collect(pipe: PipeReader, log: PathBuf, tail: Tail) -> io::Result<oneshot::Receiver<()>> {
    let (done, drained) = oneshot::channel();
    std::thread::Builder::new().name("model-log".to_owned()).spawn(move || {
        pump(pipe, LogFile::new(log, MAX_FILE_BYTES), &tail);
        // Nobody may listen any more.
        let _ = done.send(());
    })?;
    Ok(drained)
}

fn pump(mut pipe: PipeReader, mut file: LogFile, tail: &Tail) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return,
            Ok(count) => {
                tail.push(&buffer[..count]);
                file.append(&buffer[..count]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// A log file that never fails: what it can't take is counted, and said in the file when it can again.
struct LogFile {
    path: PathBuf,
    max_bytes: u64,
    open: Option<(File, u64)>,
    lost_bytes: u64,
    last_try: Option<Instant>,
}

impl LogFile {
    fn new(path: PathBuf, max_bytes: u64) -> Self {
        Self { path, max_bytes, open: None, lost_bytes: 0, last_try: None }
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Err(error) = self.try_append(bytes) {
            if self.lost_bytes == 0 {
                let path = self.path.display();
                tracing::warn!(
                    "the model's log {path} can't be written ({error}): its output is dropped until it can"
                );
            }
            self.lost_bytes += bytes.len() as u64;
            self.open = None;
        }
    }

    fn try_append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.open.as_ref().is_some_and(|(_, size)| *size + bytes.len() as u64 > self.max_bytes) {
            self.open = None;
            fs::rename(&self.path, set_aside(&self.path))?;
            self.last_try = None;
        }
        if self.open.is_none() {
            if self.last_try.is_some_and(|last| last.elapsed() < REOPEN_AFTER) {
                return Err(io::Error::from(io::ErrorKind::WouldBlock));
            }
            self.last_try = Some(Instant::now());
            self.open = Some(open(&self.path)?);
        }
        let Some((file, size)) = &mut self.open else { return Ok(()) };
        if self.lost_bytes > 0 {
            let note = format!(
                "\n[portico: {} bytes of output before this could not be written]\n",
                self.lost_bytes
            );
            file.write_all(note.as_bytes())?;
            *size += note.len() as u64;
            self.lost_bytes = 0;
        }
        file.write_all(bytes)?;
        *size += bytes.len() as u64;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64)> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    let size = file.metadata()?.len();
    Ok((file, size))
}

fn set_aside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".1");
    name.into()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn folder() -> PathBuf {
        std::env::temp_dir().join(format!("portico-output-{}", crate::sys::random::hex(6).unwrap()))
    }

    #[test]
    fn the_tail_keeps_the_last_whole_lines_and_shows_them_clean() {
        let tail = Tail::default();
        for number in 0..300 {
            tail.push(format!("line {number}\n").as_bytes());
        }
        tail.push(b"load 1%\rload 2%\rload 3%\n\n\x1b[31mred\x1b[0m\tend\x07\nunfini");
        tail.push("shed \u{202e}".as_bytes());
        assert_eq!(tail.last(5), ["load 1%", "load 2%", "load 3%", "red end", "unfinished"]);
        assert_eq!(tail.last(1000).len(), KEPT_LINES + 1);
        tail.push(&vec![b'x'; 100_000]);
        assert!(tail.last(1)[0].len() <= MAX_LINE_BYTES);
    }

    #[test]
    fn a_log_is_made_private_and_set_aside_when_it_is_large() {
        let path = folder().join("models/a.log");
        let mut file = LogFile::new(path.clone(), 100);
        for _ in 0..5 {
            file.append(&[b'a'; 40]);
        }
        assert_eq!(fs::metadata(&path).unwrap().len(), 40);
        assert_eq!(fs::metadata(set_aside(&path)).unwrap().len(), 80);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        fs::remove_dir_all(path.parent().unwrap().parent().unwrap()).unwrap();
    }

    #[test]
    fn a_full_disk_does_not_stop_the_child_and_what_was_lost_is_said() {
        // /dev/full takes nothing, as a full disk does.
        let mut file = LogFile::new("/dev/full".into(), 1 << 40);
        file.append(&[b'a'; 40]);
        file.append(&[b'a'; 2]);
        assert_eq!(file.lost_bytes, 42);
        file.path = folder().join("a.log");
        file.last_try = None;
        file.append(b"here again\n");
        let written = fs::read_to_string(&file.path).unwrap();
        assert!(written.contains("42 bytes") && written.ends_with("here again\n"), "{written}");
        fs::remove_dir_all(file.path.parent().unwrap()).unwrap();
    }

    #[tokio::test]
    async fn a_child_that_prints_to_a_full_disk_gets_to_its_end() {
        let (reader, mut writer) = io::pipe().unwrap();
        let tail = Tail::default();
        let drained = collect(reader, "/dev/full".into(), tail.clone()).unwrap();
        let printing = std::thread::spawn(move || {
            for number in 0..20_000 {
                writeln!(writer, "line {number} {}", "x".repeat(500)).unwrap();
            }
        });
        tokio::time::timeout(Duration::from_secs(30), drained).await.unwrap().unwrap();
        printing.join().unwrap();
        assert!(tail.last(1)[0].starts_with("line 19999"));
    }
}
