//! Where the files of a store lie, and how new ones take the place of old ones together.
//!
//! ```text
//! store.lock       held while the store is open
//! store.key        the secret (0600)
//! portico.db       the database, with -wal and -shm beside it while it is open (0600); may lie elsewhere
//! audit.head       the end of the audit trail (0600)
//! portico.db.copy  while a backup is made
//! NAME.new         a new one, not yet in its place
//! store.next       the new ones are whole: their way into place has begun
//! ```
//!
//! Renames of several files can't be made at once. So what has to be renamed is written down first, and whoever opens the store
//! next finishes it.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;

use crate::sys::files;

/// Readable and writable by their owner.
const PRIVATE: u32 = 0o600;
/// A program that is just being started holds the files of who starts it until it runs, even those that have been closed meanwhile.
const LOCK_TRIES: u32 = 50;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
/// Behind the names of files that are not in their places yet.
const NEW: &str = ".new";

#[derive(Debug, Clone)]
pub(super) struct Place {
    data_dir: PathBuf,
    pub(super) database: PathBuf,
}

/// The files of one store.
#[derive(Debug, Clone)]
pub(super) struct Files {
    pub(super) database: PathBuf,
    pub(super) key: PathBuf,
    pub(super) head: PathBuf,
}

/// The kernel lets go of it however the process ends.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, not read")] File);

impl Place {
    pub(super) fn new(data_dir: &Path, database: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), database: database.to_owned() }
    }

    pub(super) fn files(&self) -> Files {
        Files {
            database: self.database.clone(),
            key: self.data_dir.join("store.key"),
            head: self.data_dir.join("audit.head"),
        }
    }

    /// Of a store that is being made beside the one there is.
    pub(super) fn new_files(&self) -> Files {
        let Files { database, key, head } = self.files();
        let [database, key, head] = [database, key, head].map(|path| with(&path, NEW));
        Files { database, key, head }
    }

    pub(super) fn key(&self) -> PathBuf {
        self.files().key
    }

    fn plan(&self) -> PathBuf {
        self.data_dir.join("store.next")
    }

    /// `None`: another process has it. Makes the folders (0700) where they are missing.
    pub(super) fn lock(&self) -> io::Result<Option<Lock>> {
        for folder in [Some(self.data_dir.as_path()), self.database.parent()].into_iter().flatten() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let path = self.data_dir.join("store.lock");
        let mut options = OpenOptions::new();
        let file = options.create(true).truncate(false).write(true).mode(PRIVATE).open(&path)?;
        own(&path)?;
        for _ in 0..LOCK_TRIES {
            if files::try_lock(&file)? {
                return Ok(Some(Lock(file)));
            }
            std::thread::sleep(BETWEEN_TRIES);
        }
        Ok(None)
    }

    /// Puts the new files, which are whole and synced, into their places. What stands there is kept, with `aside` behind its name.
    pub(super) fn install(&self, aside: &str) -> io::Result<()> {
        replace(&self.plan(), aside.as_bytes())?;
        self.finish()
    }

    /// Whether a way into place has begun that was not finished.
    pub(super) fn is_begun(&self) -> io::Result<bool> {
        self.plan().try_exists()
    }

    /// Goes on with a way into place that has begun, if there is one. May be cut off anywhere and be called again.
    pub(super) fn finish(&self) -> io::Result<()> {
        let aside = match fs::read_to_string(self.plan()) {
            Ok(aside) => aside,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for path in self.files().each() {
            let new = with(&path, NEW);
            if !new.try_exists()? {
                continue;
            }
            let kept = with(&path, &format!(".{aside}"));
            // The database before its log: without its log a database may open, and lack the newest changes.
            for part in ["", "-wal", "-shm"] {
                rename(&with(&path, part), &with(&kept, part))?;
            }
            fs::rename(&new, &path)?;
            sync_folder(&path)?;
        }
        files::remove(&self.plan())?;
        sync_folder(&self.plan())
    }

    /// What files of this moment are called that are set aside: `WORD-YYYYMMDD-HHMMSS`, and a number where that is taken.
    pub(super) fn aside(&self, word: &str, now: Timestamp) -> String {
        let name = format!("{word}-{}", now.strftime("%Y%m%d-%H%M%S"));
        let taken = |name: &str| {
            self.files()
                .each()
                .into_iter()
                .any(|path| with(&path, &format!(".{name}")).symlink_metadata().is_ok())
        };
        let numbered = (2..).map(|number| format!("{name}-{number}"));
        std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name)).expect("numbers do not end")
    }
}

impl Files {
    /// Of the database while a backup is made. One that a crash has left holds what the database does.
    pub(super) fn copy(&self) -> PathBuf {
        with(&self.database, ".copy")
    }

    fn each(&self) -> [PathBuf; 3] {
        [self.database.clone(), self.key.clone(), self.head.clone()]
    }

    /// New ones that have not come into place.
    pub(super) fn discard(&self) {
        discard_database(&self.database);
        [&self.key, &self.head].into_iter().for_each(|path| drop(files::remove(path)));
    }
}

/// With what SQLite has put beside it. Best effort: whoever makes the next one replaces what can't be removed.
pub(super) fn discard_database(path: &Path) {
    let parts = ["", "-journal", "-wal", "-shm"].map(|part| with(path, part));
    parts.iter().for_each(|path| drop(files::remove(path)));
}

/// A name with something more at its end.
pub(super) fn with(path: &Path, more: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(more);
    PathBuf::from(name)
}

/// As [`files::replace`], for its owner only.
pub(super) fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    files::replace(path, content, PRIVATE)?;
    own(path)
}

/// A new and empty file for its owner only, in place of whatever lies there.
pub(super) fn create(path: &Path) -> io::Result<File> {
    files::remove(path)?;
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(PRIVATE).open(path)?;
    own(path)?;
    Ok(file)
}

pub(super) fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

/// What root makes belongs to whom the folder belongs to: the service has to read it afterwards.
fn own(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if rustix::process::geteuid().is_root() && !folder.as_os_str().is_empty() => {
            files::own_like(path, folder)
        }
        _ => Ok(()),
    }
}

/// That it is not there is no error.
fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
