//! The store in one file of SQLite.
//!
//! What has been acknowledged is on disk (`synchronous=FULL` on a write-ahead log). A database that was tampered with may hold
//! triggers, views and functions of somebody else: none of them is run.

mod audit;
mod migrations;
mod people;
#[cfg(test)]
mod released_tests;
mod rows;
mod sessions;
#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use aws_lc_rs::hmac::Key;
use jiff::Timestamp;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Row, TransactionBehavior, ffi, params};

use audit::Epoch;

use super::chain::BEGINNING;
use super::noted::Noted;
use super::place::{Files, Lock};
use super::{
    AuditTrail, Break, Change, Digest, Ending, Entry, Everyone, Head, People, Record, Secrets, Session,
    Sessions, StoreError, Verdict, place,
};

/// "Prtc": by this a database is known as a store, whatever it is called.
const APPLICATION: i32 = 0x5072_7463;
/// Another handle writes for milliseconds; only a backup or somebody's tool holds on for longer.
const BUSY: Duration = Duration::from_secs(5);
/// The log is cut to this once it has been larger.
const LARGEST_IDLE_LOG_BYTES: i64 = 4 << 20;

#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Connection,
    audit: Key,
    noted: Noted,
    files: Files,
    // Dropped last: closing the database writes to it.
    lock: Option<Lock>,
}

/// Why a database can't be used as a store.
#[derive(Debug)]
pub(super) enum Unopened {
    /// Not a database, or not a whole one.
    Corrupt(String),
    /// A database of another program.
    Foreign,
    /// Written by a later version.
    Newer { version: usize, known: usize },
    /// Its digests were made under another secret.
    OtherSecret,
    /// It may be fine, and could not be read or written.
    Failed(String),
}

/// Makes a database that is whole and empty. It is one file, closed and synced.
pub(super) fn create(path: &Path, secrets: &Secrets) -> Result<(), Unopened> {
    let file = place::create(path).map_err(|error| Unopened::Failed(error.to_string()))?;
    for log in ["-journal", "-wal", "-shm"] {
        crate::sys::files::remove(&place::with(path, log))
            .map_err(|error| Unopened::Failed(error.to_string()))?;
    }
    let mut connection = connect(path)?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    migrations::migrate(&mut connection, migrations::STEPS)?;
    connection.execute("INSERT INTO store (one, secret) VALUES (1, ?1)", params![secrets.check])?;
    connection.close().map_err(|(_, error)| error)?;
    file.sync_all().map_err(|error| Unopened::Failed(error.to_string()))
}

fn connect(path: &Path) -> Result<Connection, Unopened> {
    // No `SQLITE_OPEN_CREATE`: an empty file in place of a lost one would hide the loss.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    for (setting, wanted) in [
        (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
        (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
        (DbConfig::SQLITE_DBCONFIG_ENABLE_FKEY, true),
    ] {
        connection.set_db_config(setting, wanted)?;
    }
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "secure_delete", true)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    // What does not fit elsewhere would go to files of everybody's temporary folder.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "journal_size_limit", LARGEST_IDLE_LOG_BYTES)?;
    Ok(connection)
}

impl Sqlite {
    /// A database that is there. It is looked through for damage, and brought to this version.
    pub(super) fn open(files: Files, secrets: &Secrets) -> Result<Self, Unopened> {
        let path = &files.database;
        let failed = |error: io::Error| Unopened::Failed(error.to_string());
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.len() == 0 {
            return Err(Unopened::Corrupt("it is empty".to_owned()));
        }
        if metadata.permissions().mode() & 0o077 != 0 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(failed)?;
        }
        let mut connection = connect(path)?;
        let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
        if application != APPLICATION {
            return Err(Unopened::Foreign);
        }
        let (version, known) = (migrations::version(&connection)?, migrations::STEPS.len());
        if version > known {
            return Err(Unopened::Newer { version, known });
        }
        let damage: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if damage != "ok" {
            return Err(Unopened::Corrupt(damage));
        }
        let _: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        migrations::migrate(&mut connection, migrations::STEPS)?;
        let check: Digest = connection.query_row("SELECT secret FROM store", [], |row| row.get(0))?;
        if check != secrets.check {
            return Err(Unopened::OtherSecret);
        }
        let noted = Noted::new(files.head.clone(), secrets);
        Ok(Self { connection, audit: secrets.audit.clone(), noted, files, lock: None })
    }

    /// Nobody else may open it as long as this is there.
    pub(super) fn hold(&mut self, lock: Lock) {
        self.lock = Some(lock);
    }

    pub(super) const fn files(&self) -> &Files {
        &self.files
    }

    /// A copy of one moment, in an empty file, without sessions and invitations. Where its audit trail ends.
    pub(super) fn copy_to(&self, path: &Path) -> Result<Option<Head>, StoreError> {
        let name =
            path.to_str().ok_or_else(|| StoreError::Database(format!("{} is no UTF-8", path.display())))?;
        self.connection.execute("VACUUM INTO ?1", [name])?;
        let copy = connect(path).map_err(|error| StoreError::Database(format!("{error:?}")))?;
        forget_logins(&copy)?;
        let head = audit::last(&copy)?.map(|(head, _)| head);
        copy.close().map_err(|(_, error)| error)?;
        Ok(head)
    }

    /// Notes the end of the trail as it is, whatever was noted before: for a database that comes from elsewhere.
    pub(super) fn note_end(&mut self) -> Result<(), StoreError> {
        let head = self.head()?.unwrap_or(BEGINNING);
        self.noted.follow(head);
        Ok(())
    }

    /// Begins another epoch of the audit trail with this record. Nobody is logged in, and no link of an invitation holds.
    pub(super) fn begin_epoch(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.write(entry, Epoch::Next, |connection| Ok(forget_logins(connection)?))
    }

    /// Closes it so that it has no log beside it, and can be renamed.
    pub(super) fn close_as_one_file(self) -> Result<(), StoreError> {
        let mode: String = self.connection.query_row("PRAGMA journal_mode = DELETE", [], |row| row.get(0))?;
        match mode.as_str() {
            "delete" => Ok(()),
            mode => Err(StoreError::Database(format!("its log can't be folded in (it is {mode})"))),
        }
    }

    /// The change and its record, both or neither.
    fn write(
        &mut self,
        entry: &Entry,
        epoch: Epoch,
        work: impl FnOnce(&Connection) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        // Immediate: what is read here is what the change is made to.
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        work(&transaction)?;
        let head = audit::append(&transaction, &self.audit, entry, epoch)?;
        transaction.commit()?;
        self.noted.follow(head);
        Ok(())
    }
}

impl People for Sqlite {
    fn everyone(&mut self) -> Result<Everyone, StoreError> {
        // One moment for all three tables.
        let transaction = self.connection.transaction()?;
        Ok(people::everyone(&transaction)?)
    }

    fn change(&mut self, change: &Change, entry: &Entry) -> Result<(), StoreError> {
        self.write(entry, Epoch::Same, |connection| people::change(connection, change))
    }

    fn note_use(&mut self, used: &[(String, Timestamp)]) -> Result<(), StoreError> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for (id, at) in used {
            people::note_use(&transaction, id, at.as_microsecond())?;
        }
        Ok(transaction.commit()?)
    }
}

impl Sessions for Sqlite {
    fn sessions(&mut self, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let live = sessions::live(&self.connection, now.as_microsecond())?;
        // Those that can't be forgotten now, as on a full disk, are not given out all the same.
        let _ = sessions::forget_expired(&self.connection, now.as_microsecond());
        Ok(live)
    }

    fn add_session(&mut self, session: &Session, entry: &Entry) -> Result<(), StoreError> {
        self.write(entry, Epoch::Same, |connection| sessions::add(connection, session))
    }

    fn end_sessions(&mut self, which: &Ending, entry: &Entry) -> Result<(), StoreError> {
        self.write(entry, Epoch::Same, |connection| sessions::end(connection, which))
    }
}

impl AuditTrail for Sqlite {
    fn append(&mut self, entry: &Entry) -> Result<(), StoreError> {
        self.write(entry, Epoch::Same, |_| Ok(()))
    }

    fn latest(&mut self, limit: u32) -> Result<Vec<Record>, StoreError> {
        Ok(audit::latest(&self.connection, limit)?)
    }

    fn head(&mut self) -> Result<Option<Head>, StoreError> {
        Ok(audit::last(&self.connection)?.map(|(head, _)| head))
    }

    fn verify(&mut self, known: Option<&Head>) -> Result<Verdict, StoreError> {
        let noted =
            self.noted.read().map_err(|error| StoreError::Database(format!("audit.head: {error}")))?;
        let awaited = known.copied().into_iter().chain(noted).collect();
        let verdict = audit::verify(&self.connection, &self.audit, awaited)?;
        Ok(match (verdict, noted) {
            (Verdict::Whole { records, .. }, None) => {
                Verdict::Broken { number: records + 1, how: Break::Unnoted }
            }
            (verdict, _) => verdict,
        })
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.noted.write();
    }
}

fn forget_logins(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("DELETE FROM sessions; DELETE FROM invitations")
}

fn all<T>(
    connection: &Connection,
    query: &str,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> rusqlite::Result<Vec<T>> {
    connection.prepare(query)?.query_map([], read)?.collect()
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error().map(|error| error.extended_code) {
            Some(ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY) => Self::Exists,
            Some(ffi::SQLITE_CONSTRAINT_FOREIGNKEY) => Self::Missing,
            _ => Self::Database(error.to_string()),
        }
    }
}

impl From<rusqlite::Error> for Unopened {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Self::Corrupt(error.to_string()),
            _ => Self::Failed(error.to_string()),
        }
    }
}
