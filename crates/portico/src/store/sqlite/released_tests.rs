//! A database of every version that was released opens and holds what it held.

use std::path::PathBuf;

use jiff::Timestamp;
use rusqlite::types::ValueRef;
use testkit::temporary::Folder;

use super::super::sample::{at, entry, invitation, key, session, user};
use super::super::{ApiKey, Found, Invitation, Role, User, noted, open};
use super::*;

/// What the digests and the chain in them were made under.
const SECRET: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

fn released(version: usize) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("src/store/sqlite/released/{version}.sql"))
}

/// In every one of them.
fn everyone(secrets: &Secrets) -> Everyone {
    let ada = User { plan: Some("gold".to_owned()), role: Role::Operator, epoch: 3, ..user("ada") };
    let li = User { name: "李明".to_owned(), password: None, disabled: true, ..user("") };
    let full = ApiKey {
        digest: secrets.digest_of_key("pk-one"),
        expires: Some(at(9000)),
        models: vec!["qwen".to_owned()],
        networks: vec!["192.0.2.0/24".parse().unwrap()],
        last_used: Some(at(60)),
        revoked: Some(at(70)),
        replaced_by: Some("two".to_owned()),
        ..key("one", "ada")
    };
    Everyone {
        users: vec![ada, li],
        keys: vec![full, key("two", "ada")],
        invitations: vec![Invitation {
            digest: secrets.digest_of_invitation("i"), ..invitation("", "李明")
        }],
    }
}

fn login(secrets: &Secrets) -> Session {
    let expires = Timestamp::from_second(4_000_000_000).unwrap();
    Session { digest: secrets.digest_of_session("s"), expires, ..session("", "ada") }
}

#[test]
fn every_released_version_opens_with_what_it_held() {
    let secrets = Secrets::from_text(SECRET).unwrap();
    for version in 1..=migrations::STEPS.len() {
        let dump = fs::read_to_string(released(version));
        let dump = dump.unwrap_or_else(|error| panic!("write it with WRITE_RELEASED=1: {version}: {error}"));
        let folder = Folder::new();
        let files = place::Place::new(folder.path(), &folder.path().join("portico.db")).files();
        place::replace(&files.key, SECRET.as_bytes()).unwrap();
        let before = Connection::open(&files.database).unwrap();
        before.execute_batch(&dump).unwrap();
        assert_eq!(migrations::version(&before).unwrap(), version);
        let (head, _) = audit::last(&before).unwrap().unwrap();
        noted::write(&files.head, head, &secrets.noted).unwrap();
        drop(before);
        let mut opened = open(folder.path(), &files.database).unwrap();
        assert_eq!(opened.found, Found::There);
        let store = &mut opened.store;
        assert_eq!(migrations::version(&store.connection).unwrap(), migrations::STEPS.len());
        assert_eq!(store.everyone().unwrap(), everyone(&secrets));
        assert_eq!(store.sessions(at(0)).unwrap(), [login(&secrets)]);
        let verdict = store.verify(Some(&head)).unwrap();
        assert_eq!(verdict, Verdict::Whole { records: 6, head: Some(head) }, "version {version}");
        store.append(&entry("login")).unwrap();
    }
}

/// With `WRITE_RELEASED=1` writes the dump of this version, which stays as it is once the version was released.
#[test]
fn this_version_is_among_them() {
    let path = released(migrations::STEPS.len());
    if std::env::var_os("WRITE_RELEASED").is_some() {
        fs::write(&path, dump()).unwrap();
    }
    let fresh = |text: &str| {
        text.lines().filter(|line| line.starts_with("CREATE")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(fresh(&fs::read_to_string(&path).unwrap_or_default()), fresh(&dump()), "{}", path.display());
}

fn dump() -> String {
    let folder = Folder::new();
    let files = place::Place::new(folder.path(), &folder.path().join("portico.db")).files();
    let secrets = Secrets::from_text(SECRET).unwrap();
    create(&files.database, &secrets).unwrap();
    let mut store = Sqlite::open(files, &secrets).unwrap();
    let Everyone { users, keys, invitations } = everyone(&secrets);
    let changes = users.into_iter().map(Change::AddUser).chain(keys.into_iter().map(Change::AddKey));
    for change in changes.chain(invitations.into_iter().map(Change::AddInvitation)) {
        store.change(&change, &Entry { detail: "第一".to_owned(), ..entry("a.change") }).unwrap();
    }
    store.add_session(&login(&secrets), &Entry { address: None, ..entry("login") }).unwrap();
    as_sql(&store.connection)
}

fn as_sql(connection: &Connection) -> String {
    let schema = all(
        connection,
        "SELECT type, name, sql FROM sqlite_schema WHERE sql NOT NULL ORDER BY rowid",
        |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?, row.get::<_, String>(2)?)),
    );
    let version = migrations::version(connection).unwrap();
    let mut text = format!("PRAGMA application_id = {APPLICATION};\nPRAGMA user_version = {version};\n");
    for (kind, name, sql) in schema.unwrap() {
        text += &format!("{sql};\n");
        if kind != "table" {
            continue;
        }
        let rows = all(connection, &format!("SELECT * FROM {name}"), |row| {
            let values = (0..row.as_ref().column_count()).map(|column| Ok(literal(row.get_ref(column)?)));
            Ok(values.collect::<rusqlite::Result<Vec<_>>>()?.join(", "))
        });
        rows.unwrap().iter().for_each(|row| text += &format!("INSERT INTO {name} VALUES ({row});\n"));
    }
    text
}

fn literal(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(text) => format!("'{}'", std::str::from_utf8(text).unwrap().replace('\'', "''")),
        ValueRef::Blob(bytes) => format!("x'{}'", super::super::hex::encode(bytes)),
    }
}

/// The way from one version to the next, with a step that no version has yet.
#[test]
fn steps_are_taken_once_and_whole() {
    let mut connection = Connection::open_in_memory().unwrap();
    let first = migrations::STEPS[0];
    migrations::migrate(&mut connection, &[first]).unwrap();
    connection.execute("INSERT INTO users VALUES ('ada', NULL, 'user', NULL, 0, 0, 0)", []).unwrap();
    let second = "ALTER TABLE users ADD COLUMN colour TEXT NOT NULL DEFAULT 'blue'";
    let broken = "CREATE TABLE half (a) STRICT; this is no SQL";
    migrations::migrate(&mut connection, &[first, second, "CREATE TABLE half (a TEXT) STRICT; no SQL"])
        .unwrap_err();
    migrations::migrate(&mut connection, &[first, second, broken]).unwrap_err();
    assert_eq!(migrations::version(&connection).unwrap(), 2);
    let colour: String = connection.query_row("SELECT colour FROM users", [], |row| row.get(0)).unwrap();
    assert_eq!(colour, "blue");
    let half =
        connection.query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'half'", [], |row| row.get(0));
    assert_eq!(half, Ok(0));
    migrations::migrate(&mut connection, &[first, second]).unwrap();
}
