//! What a backup holds beside the store: the certificates, their accounts and the local authority, which others trust.

use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::store::backup::Extra;
use crate::sys::files;
use crate::types::{Text, text};

/// Below the data folder.
const FOLDER: &str = "certificates";
/// Of all files together; they are a few kilobytes each.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
const LONGEST_PASSPHRASE_BYTES: u64 = 4096;

/// The passphrase in a file: its first line.
pub(crate) fn passphrase(path: &Path) -> Result<String, Text> {
    let shown = path.display();
    let unreadable = |error: std::io::Error| {
        text!("the passphrase file {shown} can't be read: {error}", "无法读取口令文件 {shown}:{error}")
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > LONGEST_PASSPHRASE_BYTES {
        return Err(text!("the passphrase file {shown} is longer than 4 KiB", "口令文件 {shown} 超过 4 KiB"));
    }
    if metadata.is_file() && metadata.mode() & 0o007 != 0 {
        return Err(text!(
            "everybody on this machine can read the passphrase file {shown}: chmod 600 {shown}",
            "本机所有用户都能读取口令文件 {shown}:请执行 chmod 600 {shown}"
        ));
    }
    let content = std::fs::read(path).map_err(unreadable)?;
    let line = content.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
    match std::str::from_utf8(line) {
        Ok(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => {
            Err(text!("the passphrase file {shown} is empty, or no text", "口令文件 {shown} 为空或不是文本"))
        }
    }
}

/// Everything in the folder of certificates, by its path below the data folder. Locks and half-written files stay out.
pub(crate) fn extras(data_dir: &Path) -> std::io::Result<Vec<Extra>> {
    let (mut found, mut bytes) = (Vec::new(), 0);
    let mut folders = vec![data_dir.join(FOLDER)];
    while let Some(folder) = folders.pop() {
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                folders.push(entry.path());
            }
            let name = entry.file_name().to_string_lossy().into_owned();
            if !kind.is_file() || name == "lock" || name.ends_with(".tmp") || name.starts_with('.') {
                continue;
            }
            bytes += entry.metadata()?.len();
            if bytes > MOST_BYTES {
                return Err(std::io::Error::other("the folder of certificates is larger than 64 MiB"));
            }
            let path = entry.path();
            let below = path.strip_prefix(data_dir).unwrap_or(&path);
            found.push(Extra { name: below.to_string_lossy().into_owned(), content: std::fs::read(&path)? });
        }
    }
    found.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(found)
}

/// Writes them where there is nothing of that name yet: what is there was ordered later. Gives what was written.
pub(crate) fn put_back(data_dir: &Path, extras: &[Extra]) -> Result<Vec<PathBuf>, Text> {
    let mut written = Vec::new();
    for extra in extras {
        let path = data_dir.join(&extra.name);
        if !extra.name.starts_with("certificates/") || path.exists() {
            continue;
        }
        let shown = path.display();
        let failed =
            |error: std::io::Error| text!("{shown} can't be written: {error}", "无法写入 {shown}:{error}");
        if let Some(folder) = path.parent() {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        }
        files::replace(&path, &extra.content, 0o600).map_err(failed)?;
        written.push(path);
    }
    Ok(written)
}
