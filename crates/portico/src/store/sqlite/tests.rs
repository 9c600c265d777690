use testkit::temporary::Folder;

use super::super::conformance::{self, Backend, Store};
use super::super::open_for_test as opened;
use super::super::sample::{entry, user};
use super::*;

pub(in super::super) struct File {
    folder: Folder,
    secrets: Secrets,
}

impl File {
    fn open(&self) -> Sqlite {
        let folder = self.folder.path();
        let place = place::Place::new(folder, &folder.join("portico.db"));
        Sqlite::open(place.files(), &self.secrets).unwrap()
    }
}

impl Backend for File {
    fn new() -> Self {
        let folder = Folder::new();
        let secrets = opened(&folder).secrets;
        Self { folder, secrets }
    }

    fn handle(&self) -> Box<dyn Store> {
        Box::new(self.open())
    }
}

conformance::all_promises!(File);

#[test]
fn settings_are_those_that_the_promises_need() {
    let store = File::new().open();
    for (pragma, wanted) in [
        ("journal_mode", "wal"),
        ("synchronous", "2"),
        ("foreign_keys", "1"),
        ("secure_delete", "1"),
        ("temp_store", "2"),
        ("trusted_schema", "0"),
        ("busy_timeout", "5000"),
    ] {
        let query = format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}");
        let query =
            if pragma == "busy_timeout" { query.replacen("busy_timeout AS", "timeout AS", 1) } else { query };
        let value: String = store.connection.query_row(&query, [], |row| row.get(0)).unwrap();
        assert_eq!(value, wanted, "{pragma}");
    }
}

/// Somebody's trigger would run with each change.
#[test]
fn triggers_of_others_do_not_run() {
    let file = File::new();
    let other = Connection::open(file.folder.path().join("portico.db")).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER more AFTER INSERT ON users BEGIN UPDATE users SET role = 'operator'; END",
        )
        .unwrap();
    let mut store = file.open();
    store.change(&Change::AddUser(user("ada")), &entry("user.add")).unwrap();
    assert_eq!(store.everyone().unwrap().users, [user("ada")]);
}

/// Values that no Portico wrote are an error, not a panic and not a guess.
#[test]
fn what_can_t_be_read_is_an_error() {
    let file = File::new();
    let mut store = file.open();
    store.change(&Change::AddUser(user("ada")), &entry("user.add")).unwrap();
    for (sql, back) in [
        ("UPDATE users SET created = 9223372036854775807", "UPDATE users SET created = 0"),
        (
            "INSERT INTO keys VALUES ('k', 'ada', '', zeroblob(32), 0, NULL, '[1]', '[]', NULL, NULL, NULL)",
            "UPDATE keys SET models = '[]'",
        ),
        ("UPDATE keys SET networks = '[\"10.0.0.0/99\"]'", "UPDATE keys SET networks = '[]'"),
    ] {
        store.connection.execute(sql, []).unwrap();
        assert!(matches!(store.everyone(), Err(StoreError::Database(_))), "{sql}");
        store.connection.execute(back, []).unwrap();
        store.everyone().unwrap();
    }
}
