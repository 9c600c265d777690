//! The end of a log file, and what is added to it.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use super::{Console, Outcome, label};
use crate::config::{Engine, Model};
use crate::supervise::clean;
use crate::types::{Text, text};

const BLOCK: u64 = 64 * 1024;
/// The end of a file that is searched for lines: a model server can print very long ones.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
const LOOK: Duration = Duration::from_millis(200);

pub(super) fn show(
    model: &Model,
    lines: usize,
    follow: bool,
    console: &mut Console<'_>,
) -> io::Result<Outcome> {
    if model.engine == Engine::External {
        let name = label(model);
        let text = text!(
            "{name} is served by a server that Portico does not run: its log is where that server writes it.",
            "{name} 由外部服务提供,Portico 不负责运行它:日志在该服务自己的位置。"
        );
        return console.refuse(&text, Outcome::No);
    }
    let (file, ending) = match open_at_end(&model.log, lines) {
        Ok(found) => found,
        Err(error) => return console.refuse(&unreadable(model, &error), Outcome::No),
    };
    write_lines(console.out, &ending)?;
    if follow {
        follow_file(file, &model.log, console.out, || true)?;
    }
    Ok(Outcome::Fine)
}

fn unreadable(model: &Model, error: &io::Error) -> Text {
    let (name, log) = (&model.name, model.log.display());
    match error.kind() {
        io::ErrorKind::NotFound => text!(
            "{name} has printed nothing yet: {log} does not exist.",
            "{name} 还没有任何输出:{log} 不存在。"
        ),
        io::ErrorKind::PermissionDenied => {
            text!(
                "No permission to read {log}. Try: sudo tail -n 200 {log}",
                "没有读取 {log} 的权限。请尝试:sudo tail -n 200 {log}"
            )
        }
        _ => text!("{log} can't be read: {error}", "无法读取 {log}:{error}"),
    }
}

/// The file, read to its end, and its last lines.
fn open_at_end(path: &Path, lines: usize) -> io::Result<(File, Vec<u8>)> {
    let mut file = File::open(path)?;
    let end = file.seek(SeekFrom::End(0))?;
    let mut start = end;
    let mut ending = Vec::new();
    // One line break more than lines: the last line may or may not have its own.
    while start > 0 && end - start < MOST_BYTES && count(&ending) <= lines {
        let from = start.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(from))?;
        let mut block = vec![0; usize::try_from(start - from).unwrap_or_default()];
        file.read_exact(&mut block)?;
        block.extend_from_slice(&ending);
        ending = block;
        start = from;
    }
    file.seek(SeekFrom::Start(end))?;
    let ended = ending.last() == Some(&b'\n');
    let wanted = lines + usize::from(ended);
    let breaks: Vec<usize> =
        ending.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
    if let Some(at) = breaks.len().checked_sub(wanted).and_then(|first| breaks.get(first)) {
        ending.drain(..=*at);
    }
    if lines == 0 {
        ending.clear();
    }
    Ok((file, ending))
}

fn count(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count()
}

/// A log holds what a model server prints, and so what a prompt may have made it print: nothing of it may steer the
/// terminal.
fn write_lines(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        writeln!(out, "{}", clean(line))?;
    }
    out.flush()
}

/// Goes on until `go_on` says no (a person ends it by a signal). A file that was set aside or emptied is followed
/// under its name.
fn follow_file(
    mut file: File,
    path: &Path,
    out: &mut dyn Write,
    mut go_on: impl FnMut() -> bool,
) -> io::Result<()> {
    let mut buffer = vec![0; BLOCK as usize];
    // A line that has not ended yet: shown when it has, so that no character is cut in two.
    let mut rest: Vec<u8> = Vec::new();
    while go_on() {
        let taken = file.read(&mut buffer)?;
        if taken > 0 {
            rest.extend_from_slice(&buffer[..taken]);
            let whole = rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            write_lines(out, &rest[..whole])?;
            rest.drain(..whole);
            continue;
        }
        let (old, position) = (file.metadata()?, file.stream_position()?);
        let replaced = fs::metadata(path).is_ok_and(|now| now.ino() != old.ino() || now.dev() != old.dev());
        if replaced {
            file = File::open(path)?;
        } else if old.len() < position {
            file.seek(SeekFrom::Start(0))?;
        } else {
            std::thread::sleep(LOOK);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file() -> std::path::PathBuf {
        std::env::temp_dir().join(format!("portico-logs-{}", crate::sys::random::hex(6).unwrap()))
    }

    #[test]
    fn the_last_lines_are_found_also_across_blocks() {
        let path = file();
        let text: String = (0..30_000).map(|number| format!("line {number}\n")).collect();
        for (content, lines, first, count) in [
            (text.clone(), 3, Some("line 29997"), 3),
            (text.clone(), 20_000, Some("line 10000"), 20_000),
            (text.clone(), 50_000, Some("line 0"), 30_000),
            (text.clone(), 0, None, 0),
            ("a\nb\nc".to_owned(), 2, Some("b"), 2),
            ("a".to_owned(), 2, Some("a"), 1),
            (String::new(), 2, None, 0),
        ] {
            fs::write(&path, &content).unwrap();
            let (mut file, ending) = open_at_end(&path, lines).unwrap();
            let ending = String::from_utf8(ending).unwrap();
            assert_eq!((ending.lines().next(), ending.lines().count()), (first, count), "{lines}");
            assert_eq!(file.read(&mut [0; 8]).unwrap(), 0, "following begins at the end");
        }
        fs::remove_file(path).unwrap();
    }

    #[test]
    fn following_goes_on_over_a_file_that_is_set_aside() {
        let path = file();
        fs::write(&path, "old\n").unwrap();
        let (open, _) = open_at_end(&path, 1).unwrap();
        let mut shown = Vec::new();
        let mut turn = 0;
        follow_file(open, &path, &mut shown, || {
            turn += 1;
            match turn {
                1 => fs::write(&path, "old\nadded \x1b[31mred\n").unwrap(),
                3 => {
                    fs::rename(&path, path.with_extension("1")).unwrap();
                    fs::write(&path, "in the new one\n").unwrap();
                }
                _ => {}
            }
            turn < 8
        })
        .unwrap();
        assert_eq!(String::from_utf8(shown).unwrap(), "added red\nin the new one\n");
        fs::remove_file(path.with_extension("1")).unwrap();
        fs::remove_file(path).unwrap();
    }
}
