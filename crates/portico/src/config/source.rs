//! Finds and reads the file: bounded, never blocking, nothing but a regular file.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::Environment;
use super::problem::{Code, Problem, Spot};
use crate::types::text;

/// A configuration beyond this is a mistake, such as a log file.
pub(crate) const MAX_BYTES: u64 = 1 << 20;

/// What was read. Without a path these are the built-in defaults.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Document {
    pub(crate) path: Option<PathBuf>,
    pub(crate) text: String,
}

/// The file that is meant: named, or from `PORTICO_CONFIG`, or `./portico.toml`, or `/etc/portico/portico.toml`, or none.
/// A file that is there but can't be read is an error, never skipped.
pub(crate) fn find(named: Option<&Path>, environment: &Environment) -> Option<PathBuf> {
    if let Some(path) = named {
        return Some(path.to_owned());
    }
    if let Some(path) = environment.variable("PORTICO_CONFIG") {
        return Some(PathBuf::from(path));
    }
    let nearby = environment.directory.join("portico.toml");
    if is_there(&nearby) {
        return Some(PathBuf::from("portico.toml"));
    }
    let system = PathBuf::from("/etc/portico/portico.toml");
    is_there(&system).then_some(system)
}

fn is_there(path: &Path) -> bool {
    !matches!(std::fs::symlink_metadata(path), Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory))
}

pub(crate) fn read(path: Option<PathBuf>, environment: &Environment) -> Result<Document, Box<Problem>> {
    let Some(path) = path else { return Ok(Document::default()) };
    let shown = path.display().to_string();
    let bytes = read_bytes(&environment.directory.join(&path))
        .map_err(|failure| Box::new(failure.problem(&shown)))?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Document { path: Some(path), text }),
        Err(error) => Err(Box::new(not_text(&error, &shown))),
    }
}

/// The lines of a file that can't be used which say where its Portico is asked: `listen.admin`, and `site.data_dir`
/// that its default may lie in. A guess, for talking to a Portico that runs while its file is edited.
pub(super) fn where_it_is_asked(document: &Document) -> Document {
    let line = |section: &str, key: &str| {
        let found = document.text.lines().map(str::trim).find(|line| {
            let rest = line.strip_prefix(key).map(str::trim_start);
            rest.is_some_and(|rest| rest.starts_with('=')) && toml::from_str::<toml::Table>(line).is_ok()
        });
        found.map(|found| format!("[{section}]\n{found}\n")).unwrap_or_default()
    };
    Document { path: document.path.clone(), text: line("site", "data_dir") + &line("listen", "admin") }
}

fn not_text(error: &std::string::FromUtf8Error, shown: &str) -> Problem {
    let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    Problem::error(
        Code::NotText,
        &Spot::default(),
        text!("{shown} is not UTF-8 text: line {line}", "{shown} 不是 UTF-8 文本:第 {line} 行"),
    )
    .help(text!(
        "save it as UTF-8 (iconv -f GBK -t UTF-8 does that for Chinese text)",
        "请另存为 UTF-8(中文文件可用 iconv -f GBK -t UTF-8 转换)"
    ))
}

enum Failure {
    Folder,
    NotAFile,
    TooLarge,
    Io(std::io::Error),
}

impl Failure {
    fn problem(self, shown: &str) -> Problem {
        let unreadable = |message| Problem::error(Code::Unreadable, &Spot::default(), message);
        match self {
            Failure::Folder => unreadable(text!("{shown} is a folder", "{shown} 是文件夹")).help(text!(
                "name the file in it, such as {shown}/portico.toml",
                "请写出其中的文件,例如 {shown}/portico.toml"
            )),
            Failure::NotAFile => unreadable(text!(
                "{shown} is a pipe, a socket or a device, not a file",
                "{shown} 是管道、套接字或设备,不是普通文件"
            ))
            .help(text!(
                "a configuration is read again on reload, so it must be a regular file",
                "重新加载时会再次读取配置,因此必须是普通文件"
            )),
            Failure::TooLarge => Problem::error(
                Code::TooLarge,
                &Spot::default(),
                text!("{shown} is larger than 1 MiB", "{shown} 大于 1 MiB"),
            )
            .help(text!("is this the configuration file?", "这确实是配置文件吗?")),
            Failure::Io(error) if error.kind() == ErrorKind::NotFound => {
                unreadable(text!("there is no file {shown}", "没有文件 {shown}")).help(text!(
                    "name another with --config FILE, or leave it out for the built-in defaults",
                    "用 --config 指定其他文件,或不指定而使用内置默认值"
                ))
            }
            Failure::Io(error) if error.kind() == ErrorKind::PermissionDenied => {
                unreadable(text!("no permission to read {shown}", "没有读取 {shown} 的权限"))
                    .help(text!("look at it with: ls -l {shown}", "查看权限:ls -l {shown}"))
            }
            Failure::Io(error) => {
                unreadable(text!("{shown} can't be read: {error}", "无法读取 {shown}:{error}"))
            }
        }
    }
}

fn read_bytes(path: &Path) -> Result<Vec<u8>, Failure> {
    // Without O_NONBLOCK, opening a pipe would wait for its writer for ever.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path).map_err(Failure::Io)?;
    let metadata = file.metadata().map_err(Failure::Io)?;
    if metadata.is_dir() {
        return Err(Failure::Folder);
    }
    // /dev/null is how one says "no configuration" to programs that insist on a file.
    if !metadata.is_file() && path != Path::new("/dev/null") {
        return Err(Failure::NotAFile);
    }
    bounded(file)
}

fn bounded(file: File) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(Failure::Io)?;
    if bytes.len() as u64 > MAX_BYTES { Err(Failure::TooLarge) } else { Ok(bytes) }
}
