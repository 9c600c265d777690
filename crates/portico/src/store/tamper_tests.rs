//! Whoever can write to the database, and does not have the secret, changes nothing in the audit trail unseen.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::LazyLock;

use proptest::prelude::*;
use rusqlite::Connection;
use testkit::temporary::Folder;

use super::sample::{entry, user};
use super::*;

const RECORDS: i64 = 12;

/// A closed store with a trail of so many records, in its files.
static WHOLE: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let folder = Folder::new();
    let mut opened = open_for_test(&folder);
    opened.store.change(&Change::AddUser(user("ada")), &entry("user.add")).unwrap();
    for number in 2..=RECORDS {
        let address = (number % 3 > 0).then(|| "192.0.2.1".parse().unwrap());
        let said = Entry { address, detail: format!("record {number}"), ..entry("login") };
        opened.store.append(&said).unwrap();
    }
    drop(opened);
    let files = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap())).collect()
});

fn copied() -> Folder {
    let folder = Folder::new();
    for (name, content) in &*WHOLE {
        let path = folder.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }
    folder
}

/// Something done to the file behind Portico's back.
#[derive(Debug, Clone)]
enum Edit {
    Set { column: &'static str, number: i64, value: String },
    Delete { from: i64, to: i64 },
    Swap { one: i64, other: i64 },
    Repeat { number: i64, as_number: i64 },
    Shift { from: i64, by: i64 },
    Forge { number: i64, detail: String },
}

impl Edit {
    fn sql(&self) -> String {
        const COPIED: &str = "epoch, at, actor, action, target, address, detail, mac";
        match self {
            Edit::Set { column, number, value } => {
                format!("UPDATE audit SET {column} = {value} WHERE number = {number}")
            }
            Edit::Delete { from, to } => format!("DELETE FROM audit WHERE number BETWEEN {from} AND {to}"),
            Edit::Swap { one, other } => format!(
                "UPDATE audit SET number = -1 WHERE number = {one}; \
                 UPDATE audit SET number = {one} WHERE number = {other}; \
                 UPDATE audit SET number = {other} WHERE number = -1"
            ),
            Edit::Repeat { number, as_number } => format!(
                "INSERT OR REPLACE INTO audit SELECT {as_number}, {COPIED} FROM audit WHERE number = {number}"
            ),
            Edit::Shift { from, by } => {
                format!(
                    "UPDATE audit SET number = -(number + {by}) WHERE number >= {from}; \
                     UPDATE audit SET number = -number WHERE number < 0"
                )
            }
            Edit::Forge { number, detail } => format!(
                "INSERT OR REPLACE INTO audit VALUES ({number}, 1, 5, 'user:eve', 'login', 'eve', NULL, '{detail}', \
                 randomblob(32))"
            ),
        }
    }
}

fn edits() -> impl Strategy<Value = Edit> {
    let number = || 1..=RECORDS;
    let set = prop_oneof![
        (prop_oneof![Just("epoch"), Just("at")], number(), any::<i64>().prop_map(|value| value.to_string())),
        (
            prop_oneof![Just("actor"), Just("action"), Just("target"), Just("detail"), Just("address")],
            number(),
            "[a-z:0-9. ]{0,9}".prop_map(|text| format!("'{text}'"))
        ),
        (Just("detail"), number(), Just("detail || char(0)".to_owned())),
        (Just("address"), number(), Just("NULL".to_owned())),
        (Just("at"), number(), Just("at + 1".to_owned())),
        (Just("mac"), number(), Just("zeroblob(32)".to_owned())),
        (
            Just("mac"),
            number(),
            number().prop_map(|other| format!("(SELECT mac FROM audit WHERE number = {other})"))
        ),
        (Just("number"), number(), (RECORDS + 1..RECORDS + 9).prop_map(|value| value.to_string())),
        (Just("target"), number(), Just("CAST(x'ff' AS TEXT)".to_owned())),
    ];
    prop_oneof![
        4 => set.prop_map(|(column, number, value)| Edit::Set { column, number, value }),
        1 => (number(), 0..4_i64).prop_map(|(from, more)| Edit::Delete { from, to: from + more }),
        1 => number().prop_map(|from| Edit::Delete { from, to: i64::MAX }),
        1 => (number(), number()).prop_map(|(one, other)| Edit::Swap { one, other }),
        1 => (number(), -1..=RECORDS + 1).prop_map(|(number, as_number)| Edit::Repeat { number, as_number }),
        1 => (number(), -2..3_i64).prop_map(|(from, by)| Edit::Shift { from, by }),
        1 => (-1..=RECORDS + 2, "[a-z]{0,9}").prop_map(|(number, detail)| Edit::Forge { number, detail }),
    ]
}

/// All rows, as texts.
fn rows(database: &Path) -> Vec<String> {
    let connection = Connection::open(database).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT number || '|' || epoch || '|' || at || '|' || hex(actor) || '|' || hex(action) || '|' || hex(target) \
             || '|' || CASE WHEN address IS NULL THEN 'none' ELSE hex(address) END || '|' || hex(detail) || '|' || hex(mac) FROM audit ORDER BY number",
        )
        .unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_edit_is_found(edits in prop::collection::vec(edits(), 0..4)) {
        let folder = copied();
        let database = folder.path().join("portico.db");
        let before = rows(&database);
        let connection = Connection::open(&database).unwrap();
        connection.pragma_update(None, "ignore_check_constraints", true).unwrap();
        for edit in &edits {
            // Some can't be made, such as a number that is taken.
            let _ = connection.execute_batch(&edit.sql());
        }
        drop(connection);
        let changed = rows(&database) != before;
        let verdict = open_for_test(&folder).store.verify(None).unwrap();
        prop_assert_eq!(matches!(verdict, Verdict::Broken { .. }), changed, "{:?}", verdict);
    }
}

/// What of the trail there is no other trace of.
#[test]
fn the_note_beside_the_database_is_part_of_it() {
    let restored = |leave: &dyn Fn(&Folder)| {
        let folder = copied();
        leave(&folder);
        open_for_test(&folder).store.verify(None).unwrap()
    };
    let records = u64::try_from(RECORDS).unwrap();
    let note = |folder: &Folder| folder.path().join("audit.head");
    let unnoted = Verdict::Broken { number: records + 1, how: Break::Unnoted };
    assert!(matches!(restored(&|_| ()), Verdict::Whole { .. }));
    assert_eq!(restored(&|folder| fs::remove_file(note(folder)).unwrap()), unnoted);
    let lowered = |folder: &Folder| {
        // The earlier record's own mac is in the database; the note's is not.
        let text = fs::read_to_string(note(folder)).unwrap().replacen("12 ", "11 ", 1);
        fs::write(note(folder), text).unwrap();
    };
    assert_eq!(restored(&lowered), unnoted);
    let shorter = |folder: &Folder| {
        let connection = Connection::open(folder.path().join("portico.db")).unwrap();
        connection.execute("DELETE FROM audit WHERE number = ?1", [RECORDS]).unwrap();
    };
    assert_eq!(restored(&shorter), Verdict::Broken { number: records, how: Break::Cut });
    let all = |folder: &Folder| {
        let connection = Connection::open(folder.path().join("portico.db")).unwrap();
        connection.execute("DELETE FROM audit", []).unwrap();
    };
    assert_eq!(restored(&all), Verdict::Broken { number: 1, how: Break::Cut });
}

/// A note that lags behind is true, as after a crash.
#[test]
fn a_chain_that_went_on_is_whole() {
    let folder = Folder::new();
    let mut opened = open_for_test(&folder);
    opened.store.append(&entry("login")).unwrap();
    let note = fs::read(folder.path().join("audit.head")).unwrap();
    (0..5).for_each(|_| opened.store.append(&entry("login")).unwrap());
    drop(opened);
    fs::write(folder.path().join("audit.head"), note).unwrap();
    let verdict = open_for_test(&folder).store.verify(None).unwrap();
    assert!(matches!(verdict, Verdict::Whole { records: 6, .. }), "{verdict:?}");
}
