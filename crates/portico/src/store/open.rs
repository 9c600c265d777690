//! Opening the store, whatever became of its files: nothing that was lost goes unsaid, and nothing that is damaged is deleted.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::chain::BEGINNING;
use super::noted::{self, Noted};
use super::place::{self, Place};
use super::secrets::{self, KeyFault, Secrets};
use super::sqlite::{self, Sqlite, Unopened};
use super::{AuditTrail as _, Entry, hex};
use crate::types::{Text, text};

#[derive(Debug)]
pub(crate) struct Opened {
    /// Nobody else opens it while this is there.
    pub(crate) store: Sqlite,
    pub(crate) secrets: Secrets,
    pub(crate) found: Found,
}

/// What was there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing: a new one was made.
    New,
    There,
    /// The secret without its database: everybody who was in it is unknown now. A new, empty one was made.
    Lost,
    /// The database was damaged: it was put aside, and a new, empty one was made.
    SetAside {
        to: PathBuf,
        why: String,
    },
}

/// Why there is no store to work with. Nothing was changed.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Another process has it open.
    InUse {
        data_dir: PathBuf,
    },
    Key {
        path: PathBuf,
        fault: KeyFault,
    },
    /// The database is there, and the secret is not.
    NoKey {
        path: PathBuf,
        database: PathBuf,
    },
    /// The database belongs to another secret.
    OtherKey {
        path: PathBuf,
        database: PathBuf,
    },
    Newer {
        database: PathBuf,
        version: usize,
        known: usize,
    },
    /// A database of another program.
    Foreign {
        database: PathBuf,
    },
    Failed {
        path: PathBuf,
        why: String,
    },
}

/// Whether there is a store, whole or not.
pub(crate) fn exists(data_dir: &Path, database: &Path) -> bool {
    let place = Place::new(data_dir, database);
    let there = |path: &Path| path.symlink_metadata().is_ok();
    there(&place.key()) || there(database) || place.is_begun().unwrap_or(true)
}

/// Opens the store, and makes one where there is none.
pub(crate) fn open(data_dir: &Path, database: &Path) -> Result<Opened, OpenError> {
    let place = Place::new(data_dir, database);
    let failed = |error: io::Error| failed(data_dir, &error);
    let lock = place.lock().map_err(failed)?;
    let lock = lock.ok_or_else(|| OpenError::InUse { data_dir: data_dir.to_owned() })?;
    place.finish().map_err(failed)?;
    place::discard_database(&place.files().copy());
    let (key, there) =
        (place.key().try_exists().map_err(failed)?, place.database.try_exists().map_err(failed)?);
    let (mut store, secrets, found) = match (key, there) {
        (false, true) => {
            return Err(OpenError::NoKey { path: place.key(), database: place.database });
        }
        (true, true) => open_or_set_aside(&place)?,
        (true, false) => {
            let secrets = read_key(&place)?;
            let store = begin_anew(&place, &secrets, "lost", "store.lost", "the database was not there")?;
            (store, secrets, Found::Lost)
        }
        (false, false) => {
            let (store, secrets) = make(&place)?;
            (store, secrets, Found::New)
        }
    };
    store.hold(lock);
    Ok(Opened { store, secrets, found })
}

fn open_or_set_aside(place: &Place) -> Result<(Sqlite, Secrets, Found), OpenError> {
    let secrets = read_key(place)?;
    let why = match Sqlite::open(place.files(), &secrets) {
        Ok(store) => return Ok((store, secrets, Found::There)),
        Err(Unopened::Corrupt(why)) => why,
        Err(other) => return Err(unopened(place, other)),
    };
    let aside = place.aside("corrupt", now());
    let to = place::with(&place.database, &format!(".{aside}"));
    let detail = format!("put aside as {}: {why}", to.display());
    let store = begin_anew_as(place, &secrets, &aside, "store.set-aside", &detail)?;
    Ok((store, secrets, Found::SetAside { to, why }))
}

/// Secret and database. A crash on the way leaves neither or both.
fn make(place: &Place) -> Result<(Sqlite, Secrets), OpenError> {
    let text = secrets::draw().map_err(|error| failed(&place.key(), &error))?;
    let secrets = Secrets::from_text(&text).expect("a secret as it is drawn");
    let new = place.new_files().key;
    place::replace(&new, text.as_bytes()).map_err(|error| failed(&new, &error))?;
    let store = install_empty(place, &secrets, &place.aside("old", now()))?;
    Ok((store, secrets))
}

fn begin_anew(
    place: &Place,
    secrets: &Secrets,
    word: &str,
    action: &str,
    detail: &str,
) -> Result<Sqlite, OpenError> {
    begin_anew_as(place, secrets, &place.aside(word, now()), action, detail)
}

/// An empty database under the secret that is there. Its first record says where the chain before it ended.
fn begin_anew_as(
    place: &Place,
    secrets: &Secrets,
    aside: &str,
    action: &str,
    detail: &str,
) -> Result<Sqlite, OpenError> {
    let before = Noted::new(place.files().head, secrets).read().ok().flatten();
    let ended = before.map_or_else(
        || "the end of its audit trail is not known".to_owned(),
        |head| format!("its audit trail ended at record {}, {}", head.number, hex::encode(&head.mac)),
    );
    // What a crash has left of a secret that never came to be used.
    place.new_files().discard();
    let mut store = install_empty(place, secrets, aside)?;
    let entry = Entry {
        at: now(),
        actor: "portico".to_owned(),
        action: action.to_owned(),
        target: String::new(),
        address: None,
        detail: format!("{detail}; {ended}"),
    };
    store
        .append(&entry)
        .map_err(|error| OpenError::Failed { path: place.database.clone(), why: error.to_string() })?;
    Ok(store)
}

fn install_empty(place: &Place, secrets: &Secrets, aside: &str) -> Result<Sqlite, OpenError> {
    let failed = |error: io::Error| failed(&place.database, &error);
    let new = place.new_files();
    sqlite::create(&new.database, secrets).map_err(|error| unopened(place, error))?;
    noted::write(&new.head, BEGINNING, &secrets.noted).map_err(failed)?;
    place.install(aside).map_err(failed)?;
    Sqlite::open(place.files(), secrets).map_err(|error| unopened(place, error))
}

pub(super) fn read_key(place: &Place) -> Result<Secrets, OpenError> {
    Secrets::read(&place.key()).map_err(|fault| OpenError::Key { path: place.key(), fault })
}

pub(super) fn unopened(place: &Place, error: Unopened) -> OpenError {
    let database = place.database.clone();
    match error {
        Unopened::Foreign => OpenError::Foreign { database },
        Unopened::Newer { version, known } => OpenError::Newer { database, version, known },
        Unopened::OtherSecret => OpenError::OtherKey { path: place.key(), database },
        Unopened::Corrupt(why) | Unopened::Failed(why) => OpenError::Failed { path: database, why },
    }
}

fn failed(path: &Path, error: &io::Error) -> OpenError {
    OpenError::Failed { path: path.to_owned(), why: crate::sys::http::plain(error) }
}

pub(super) fn now() -> Timestamp {
    let now = crate::sys::clock::unix_now();
    let microseconds = i64::try_from(now.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_microsecond(microseconds).unwrap_or(Timestamp::MAX)
}

impl OpenError {
    pub(crate) fn text(&self) -> Text {
        match self {
            OpenError::InUse { data_dir } => {
                let data_dir = data_dir.display();
                text!(
                    "another Portico has the people and keys in {data_dir} open; stop it first (portico stop), or choose another data_dir",
                    "另一个 Portico 正在使用 {data_dir} 中的用户和密钥数据;请先停止它(portico stop),或另选 data_dir"
                )
            }
            OpenError::Key { path, fault } => key_text(path, fault),
            OpenError::NoKey { path, database } => {
                let (path, database) = (path.display(), database.display());
                text!(
                    "{database} is there, but {path} is not: without this secret no API key and no session in it can be checked; put the file back, restore a backup (portico restore FILE), or move {database} away to begin anew without users and keys",
                    "{database} 存在,但 {path} 不见了:没有这个密钥文件,其中的 API 密钥和会话都无法校验;请把该文件放回,从备份恢复(portico restore FILE),或移走 {database},从没有用户和密钥的状态重新开始"
                )
            }
            OpenError::OtherKey { path, database } => {
                let (path, database) = (path.display(), database.display());
                text!(
                    "{path} and {database} do not belong together: one of them comes from another installation or backup; put back the one that is missing, or restore both from a backup (portico restore FILE)",
                    "{path} 与 {database} 不是一套:其中之一来自另一处安装或备份;请把缺少的那个放回,或从备份一并恢复(portico restore FILE)"
                )
            }
            OpenError::Newer { database, version, known } => {
                let database = database.display();
                text!(
                    "{database} was written by a newer Portico (its version is {version}, this program knows up to {known}); run the newer program again, or restore a backup that was made before the upgrade",
                    "{database} 由更新版本的 Portico 写入(其版本为 {version},本程序最多认识 {known});请重新使用新版程序,或恢复升级前的备份"
                )
            }
            OpenError::Foreign { database } => {
                let database = database.display();
                text!(
                    "{database} is a database of another program and was left as it is; let store.url name another file",
                    "{database} 是其他程序的数据库,未作改动;请让 store.url 指向另一个文件"
                )
            }
            OpenError::Failed { path, why } => {
                let path = path.display();
                text!(
                    "the store of people and keys can't be opened: {path}: {why}; is there room on the disk, and may this user read and write the file and its folder?",
                    "无法打开用户和密钥数据:{path}:{why};磁盘是否还有空间,当前用户能否读写该文件及其所在文件夹?"
                )
            }
        }
    }
}

fn key_text(path: &Path, fault: &KeyFault) -> Text {
    let path = path.display();
    match fault {
        KeyFault::Read(error) => {
            let why = crate::sys::http::plain(error);
            text!(
                "the secret of the store, {path}, can't be read: {why}; run Portico as the user that it belongs to",
                "无法读取数据密钥文件 {path}:{why};请以拥有该文件的用户运行 Portico"
            )
        }
        KeyFault::Open { mode } => text!(
            "others can read or write the secret of the store, {path} (its mode is {mode:03o}); type: chmod 600 {path}",
            "其他用户可以读写数据密钥文件 {path}(其权限为 {mode:03o});请执行:chmod 600 {path}"
        ),
        KeyFault::Malformed => text!(
            "the secret of the store, {path}, is not as Portico wrote it (64 digits in one line); put the right file back, or restore a backup (portico restore FILE)",
            "数据密钥文件 {path} 不是 Portico 写入的样子(一行 64 个数字);请放回正确的文件,或从备份恢复(portico restore FILE)"
        ),
    }
}
