//! A backup takes the place of the store.
//!
//! All of the backup is opened and looked through beside the store before anything is replaced. Then the new files go into place
//! as at a first start (`store/place.rs`): a crash on the way is finished by whoever opens the store next.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};

use super::super::open::{self, OpenError, now};
use super::super::place::{self, Place};
use super::super::secrets::Secrets;
use super::super::sqlite::{Sqlite, Unopened};
use super::super::{AuditTrail as _, Entry, Everyone, Head, People as _, StoreError, Verdict, hex, noted};
use super::Extra;
use super::bundle;
use super::compare::{Differences, differences};
use super::seal::{Opener, Unsealed};
use crate::types::{Text, text};

/// What a restore has done.
#[derive(Debug)]
pub(crate) struct Restored {
    /// Where the database that was replaced is kept; `None`: there was none.
    pub(crate) replaced: Option<PathBuf>,
    /// Against the store that was replaced; `Err`: why that one could not be read.
    pub(crate) differences: Result<Differences, Text>,
    /// Of the backup's own audit trail, before the record of the restore.
    pub(crate) trail: Verdict,
    /// Where the audit trail ends now.
    pub(crate) head: Option<Head>,
    /// As they were given to the backup. Nothing has been done with them.
    pub(crate) extras: Vec<Extra>,
}

/// Why nothing was restored. Nothing was changed.
#[derive(Debug)]
pub(crate) enum RestoreError {
    InUse { data_dir: PathBuf },
    NoBackup { file: PathBuf },
    WrongPassphrase { file: PathBuf },
    Truncated { file: PathBuf },
    Damaged { file: PathBuf },
    TooCostly { file: PathBuf },
    Newer { version: usize, known: usize },
    Failed { path: PathBuf, why: String },
}

/// Puts the backup in `file` in the place of the store, or where there is none. `actor`: who does it, for the audit trail.
pub(crate) fn restore(
    data_dir: &Path,
    database: &Path,
    file: &Path,
    passphrase: &[u8],
    actor: &str,
) -> Result<Restored, RestoreError> {
    let place = Place::new(data_dir, database);
    let lock = place.lock().map_err(|error| fs_error(data_dir, &error))?;
    let Some(_lock) = lock else { return Err(RestoreError::InUse { data_dir: data_dir.to_owned() }) };
    place.finish().map_err(|error| fs_error(data_dir, &error))?;
    let prepared = prepare(&place, file, passphrase);
    let restored = prepared.and_then(|prepared| put_in_place(&place, prepared, actor));
    if restored.is_err() && !place.is_begun().unwrap_or(true) {
        place.new_files().discard();
    }
    restored
}

/// A store beside the one there is, whole and of this version.
struct Prepared {
    store: Sqlite,
    secrets: Secrets,
    key: Vec<u8>,
    trail: Verdict,
    head: Option<Head>,
    extras: Vec<Extra>,
}

fn prepare(place: &Place, file: &Path, passphrase: &[u8]) -> Result<Prepared, RestoreError> {
    let new = place.new_files().database;
    let unsealed = |error| unsealed(file, &new, error);
    let opening = || {
        let from = File::open(file)?;
        let bytes = from.metadata()?.len();
        Opener::new(BufReader::new(from), bytes, passphrase)
    };
    let mut opener = opening().map_err(unsealed)?;
    place.new_files().discard();
    let created = place::create(&new).map_err(|error| fs_error(&new, &error))?;
    let mut database = BufWriter::new(created);
    let (key, extras) = bundle::read(&mut opener, &mut database).map_err(|error| unsealed(error.into()))?;
    let synced = database.flush().and_then(|()| database.get_ref().sync_all());
    synced.map_err(|error| fs_error(&new, &error))?;
    let damaged = || RestoreError::Damaged { file: file.to_owned() };
    let secrets = std::str::from_utf8(&key).ok().and_then(Secrets::from_text).ok_or_else(damaged)?;
    let mut store = match Sqlite::open(place.new_files(), &secrets) {
        Ok(store) => store,
        Err(Unopened::Newer { version, known }) => return Err(RestoreError::Newer { version, known }),
        Err(Unopened::Failed(why)) => return Err(RestoreError::Failed { path: new, why }),
        Err(Unopened::Corrupt(_) | Unopened::Foreign | Unopened::OtherSecret) => return Err(damaged()),
    };
    let failed = |error: StoreError| RestoreError::Failed { path: new.clone(), why: error.to_string() };
    let head = store.head().map_err(failed)?;
    store.note_end().map_err(failed)?;
    let trail = store.verify(None).map_err(failed)?;
    Ok(Prepared { store, secrets, key, trail, head, extras })
}

fn put_in_place(place: &Place, prepared: Prepared, actor: &str) -> Result<Restored, RestoreError> {
    let Prepared { mut store, secrets, key, trail, head, extras } = prepared;
    let failed =
        |error: StoreError| RestoreError::Failed { path: place.database.clone(), why: error.to_string() };
    let before = Before::read(place);
    let everyone = store.everyone().map_err(failed)?;
    let differences = before.everyone.map(|before| differences(&everyone, &before, now()));
    let said = |head: Option<Head>| {
        head.map_or_else(
            || "no record".to_owned(),
            |head| format!("record {}, {}", head.number, hex::encode(&head.mac)),
        )
    };
    let entry = Entry {
        at: now(),
        actor: actor.to_owned(),
        action: "store.restored".to_owned(),
        target: String::new(),
        address: None,
        detail: format!(
            "a backup that ended at {}; what it replaced ended at {}",
            said(head),
            said(before.head)
        ),
    };
    store.begin_epoch(&entry).map_err(failed)?;
    let head = store.head().map_err(failed)?;
    store.close_as_one_file().map_err(failed)?;
    let new = place.new_files();
    if let Some(head) = head {
        noted::write(&new.head, head, &secrets.noted).map_err(|error| fs_error(&new.head, &error))?;
    }
    if fs::read(place.key()).ok().as_ref() != Some(&key) {
        place::replace(&new.key, &key).map_err(|error| fs_error(&new.key, &error))?;
    }
    let aside = place.aside("replaced", now());
    let replaced = place::with(&place.database, &format!(".{aside}"));
    place.install(&aside).map_err(|error| fs_error(&place.database, &error))?;
    let replaced = replaced.symlink_metadata().is_ok().then_some(replaced);
    Ok(Restored { replaced, differences, trail, head, extras })
}

/// The store that is going to be replaced, as far as it can be read.
struct Before {
    everyone: Result<Everyone, Text>,
    head: Option<Head>,
}

impl Before {
    fn read(place: &Place) -> Self {
        if matches!(place.database.try_exists(), Ok(false)) {
            return Self { everyone: Ok(Everyone::default()), head: None };
        }
        let read = || {
            let secrets = open::read_key(place)?;
            let store = Sqlite::open(place.files(), &secrets);
            let mut store = store.map_err(|error| open::unopened(place, error))?;
            let failed = |error: StoreError| open::unopened(place, Unopened::Failed(error.to_string()));
            Ok((store.everyone().map_err(failed)?, store.head().map_err(failed)?))
        };
        match read() {
            Ok((everyone, head)) => Self { everyone: Ok(everyone), head },
            Err(error) => Self { everyone: Err(OpenError::text(&error)), head: None },
        }
    }
}

fn fs_error(path: &Path, error: &io::Error) -> RestoreError {
    RestoreError::Failed { path: path.to_owned(), why: crate::sys::http::plain(error) }
}

fn unsealed(file: &Path, new: &Path, error: Unsealed) -> RestoreError {
    let file = file.to_owned();
    match error {
        Unsealed::NoBackup => RestoreError::NoBackup { file },
        Unsealed::WrongPassphrase => RestoreError::WrongPassphrase { file },
        Unsealed::Truncated => RestoreError::Truncated { file },
        Unsealed::Damaged => RestoreError::Damaged { file },
        Unsealed::TooCostly => RestoreError::TooCostly { file },
        Unsealed::Read(error) if error.kind() == io::ErrorKind::InvalidData => RestoreError::Damaged { file },
        Unsealed::Read(error) if error.kind() == io::ErrorKind::StorageFull => fs_error(new, &error),
        Unsealed::Read(error) => fs_error(&file, &error),
    }
}

impl RestoreError {
    pub(crate) fn text(&self) -> Text {
        match self {
            RestoreError::InUse { data_dir } => {
                let data_dir = data_dir.display();
                text!(
                    "Portico runs with the people and keys in {data_dir}; stop it first (portico stop), then restore",
                    "Portico 正在使用 {data_dir} 中的用户和密钥数据;请先停止它(portico stop),再恢复"
                )
            }
            RestoreError::NoBackup { file } => {
                let file = file.display();
                text!(
                    "{file} is no backup of Portico; name a file that \"portico backup\" wrote",
                    "{file} 不是 Portico 的备份;请给出由 \"portico backup\" 写出的文件"
                )
            }
            RestoreError::WrongPassphrase { file } => {
                let file = file.display();
                text!(
                    "the passphrase does not open {file}; use the one that this backup was made with",
                    "此口令打不开 {file};请使用制作该备份时的口令"
                )
            }
            RestoreError::Truncated { file } => {
                let file = file.display();
                text!(
                    "{file} ends too early: it was not copied whole; copy it again, or take another backup",
                    "{file} 不完整:复制时被截断;请重新复制,或使用另一份备份"
                )
            }
            RestoreError::Damaged { file } => {
                let file = file.display();
                text!(
                    "{file} is damaged: it is not as it was written; copy it again, or take another backup",
                    "{file} 已损坏:与写入时不同;请重新复制,或使用另一份备份"
                )
            }
            RestoreError::TooCostly { file } => {
                let file = file.display();
                text!(
                    "{file} asks for more memory or time than Portico ever does, so it was not tried; take another backup",
                    "{file} 要求的内存或时间超出 Portico 会用的范围,因此未作尝试;请使用另一份备份"
                )
            }
            RestoreError::Newer { version, known } => text!(
                "the backup was made by a newer Portico (its version is {version}, this program knows up to {known}); restore it with the newer program",
                "该备份由更新版本的 Portico 制作(其版本为 {version},本程序最多认识 {known});请用新版程序恢复"
            ),
            RestoreError::Failed { path, why } => {
                let path = path.display();
                text!(
                    "the backup can't be put in place: {path}: {why}; is there room on the disk, and may this user write there?",
                    "无法写入恢复的数据:{path}:{why};磁盘是否还有空间,当前用户能否写入?"
                )
            }
        }
    }
}
