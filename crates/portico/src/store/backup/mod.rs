//! One encrypted file with everything that can't be recreated, and the way back.
//!
//! In it: a copy of the database at one moment, its secret, and files that the caller gives. Not in it: sessions, since nobody
//! should be logged in by a restore, and invitations, since one that was used would be good once more.

mod bundle;
mod compare;
mod restore;
mod seal;
#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::{Head, Sqlite, StoreError, place};
use crate::types::{Text, text};

pub(crate) use compare::{Revived, Was};
pub(crate) use restore::{Restored, restore};
use seal::{COST, Cost, Sealer};

/// A file that the caller gives along: its name is a path below the caller's folder.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Extra {
    pub(crate) name: String,
    pub(crate) content: Vec<u8>,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BackedUp {
    pub(crate) bytes: u64,
    /// Where its audit trail ends.
    pub(crate) head: Option<Head>,
}

/// Why there is no backup.
#[derive(Debug)]
pub(crate) enum BackupError {
    EmptyPassphrase,
    /// A name that is no path below a folder.
    Name(String),
    Store(StoreError),
    Write {
        path: PathBuf,
        error: io::Error,
    },
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Certificates' private keys are among them.
        write!(f, "Extra({}, {} bytes)", self.name, self.content.len())
    }
}

/// Writes the backup to `to` (0600), whole or not at all. Takes a second or two: the passphrase is made costly to guess.
pub(crate) fn backup(
    store: &mut Sqlite,
    extras: &[Extra],
    passphrase: &[u8],
    to: &Path,
) -> Result<BackedUp, BackupError> {
    backup_at(COST, store, extras, passphrase, to)
}

fn backup_at(
    cost: Cost,
    store: &mut Sqlite,
    extras: &[Extra],
    passphrase: &[u8],
    to: &Path,
) -> Result<BackedUp, BackupError> {
    if passphrase.is_empty() {
        return Err(BackupError::EmptyPassphrase);
    }
    if let Some(extra) = extras.iter().find(|extra| !bundle::is_plain(&extra.name)) {
        return Err(BackupError::Name(extra.name.clone()));
    }
    let copy = Copied::new(store)?;
    let temporary = place::with(to, &format!(".{}.tmp", std::process::id()));
    let failed = |error| BackupError::Write { path: to.to_owned(), error };
    let written = write(cost, &copy, &store.files().key, extras, passphrase, &temporary)
        .and_then(|bytes| fs::rename(&temporary, to).map(|()| bytes))
        .and_then(|bytes| place::sync_folder(to).map(|()| bytes));
    if written.is_err() {
        // Best effort: the write's own error is the one worth telling.
        let _ = fs::remove_file(&temporary);
    }
    Ok(BackedUp { bytes: written.map_err(failed)?, head: copy.head })
}

fn write(
    cost: Cost,
    copy: &Copied,
    key_file: &Path,
    extras: &[Extra],
    passphrase: &[u8],
    to: &Path,
) -> io::Result<u64> {
    let key = fs::read(key_file)?;
    let database = File::open(&copy.path)?;
    let database_bytes = database.metadata()?.len();
    let content_bytes = bundle::size(key.len() as u64, database_bytes, extras);
    let file = place::create(to)?;
    let mut sealer = Sealer::new(BufWriter::new(file), passphrase, cost, content_bytes)?;
    bundle::write(&mut sealer, &key, (database, database_bytes), extras)?;
    let mut buffered = sealer.finish()?;
    buffered.flush()?;
    let file = buffered.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// The database at one moment, beside it; removed on drop.
struct Copied {
    path: PathBuf,
    head: Option<Head>,
}

impl Copied {
    fn new(store: &mut Sqlite) -> Result<Self, BackupError> {
        let path = store.files().copy();
        let mut copied = Self { path: path.clone(), head: None };
        drop(place::create(&path).map_err(|error| BackupError::Write { path: path.clone(), error })?);
        copied.head = store.copy_to(&path).map_err(BackupError::Store)?;
        Ok(copied)
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        place::discard_database(&self.path);
    }
}

impl BackupError {
    pub(crate) fn text(&self) -> Text {
        match self {
            BackupError::EmptyPassphrase => text!(
                "the passphrase is empty, and a backup holds all secrets; write one into the file, in one line",
                "口令为空,而备份含有全部机密;请在口令文件中写入一行口令"
            ),
            BackupError::Name(name) => text!(
                "{name:?} can't be in a backup: its name is no path below a folder; leave it out",
                "{name:?} 无法放入备份:其名称不是文件夹之下的路径;请将其排除"
            ),
            BackupError::Store(error) => text!(
                "people and keys can't be read for the backup: {error}; see whether the disk is full, then try again",
                "无法读取用户和密钥以作备份:{error};请检查磁盘是否已满,然后重试"
            ),
            BackupError::Write { path, error } => {
                let (path, why) = (path.display(), crate::sys::http::plain(error));
                text!(
                    "the backup can't be written: {path}: {why}; make room, or choose another place",
                    "无法写入备份:{path}:{why};请腾出空间,或另选位置"
                )
            }
        }
    }
}
