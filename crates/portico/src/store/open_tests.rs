use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _};

use testkit::temporary::Folder;

use super::open::OpenError;
use super::sample::{self, entry, user};
use super::*;

fn names(folder: &Folder) -> Vec<String> {
    let files = fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn database(folder: &Folder) -> std::path::PathBuf {
    folder.path().join("portico.db")
}

fn opened(folder: &Folder) -> Opened {
    open(folder.path(), &database(folder)).unwrap()
}

/// Why not, in both languages.
fn refused(folder: &Folder) -> (OpenError, String) {
    let error = open(folder.path(), &database(folder)).unwrap_err();
    let text = error.text();
    assert!(text.zh.chars().any(|letter| ('\u{4e00}'..='\u{9fff}').contains(&letter)), "{}", text.zh);
    let said = text.en.replace(&folder.path().display().to_string(), "DIR");
    (error, said)
}

fn with_ada(folder: &Folder) {
    opened(folder).store.change(&Change::AddUser(user("ada")), &entry("user.add")).unwrap();
}

fn users(opened: &mut Opened) -> Vec<String> {
    opened.store.everyone().unwrap().users.into_iter().map(|user| user.name).collect()
}

fn whole(opened: &mut Opened) -> u64 {
    match opened.store.verify(None).unwrap() {
        Verdict::Whole { records, .. } => records,
        broken => panic!("{broken:?}"),
    }
}

#[test]
fn a_store_is_made_where_there_is_none_and_found_again() {
    let folder = Folder::new();
    assert!(!exists(folder.path(), &database(&folder)));
    let mut first = opened(&folder);
    assert_eq!(first.found, Found::New);
    first.store.change(&Change::AddUser(user("ada")), &entry("user.add")).unwrap();
    for name in names(&folder) {
        let mode = fs::metadata(folder.path().join(&name)).unwrap().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
    drop(first);
    assert_eq!(names(&folder), ["audit.head", "portico.db", "store.key", "store.lock"]);
    assert!(exists(folder.path(), &database(&folder)));
    let mut second = opened(&folder);
    assert_eq!((second.found.clone(), users(&mut second)), (Found::There, vec!["ada".to_owned()]));
    assert_eq!(whole(&mut second), 1);
}

#[test]
fn one_process_at_a_time() {
    let folder = Folder::new();
    let first = opened(&folder);
    let (error, said) = refused(&folder);
    assert!(matches!(error, OpenError::InUse { .. }));
    assert!(said.contains("stop it first"), "{said}");
    drop(first);
    opened(&folder);
}

#[test]
fn a_database_may_lie_elsewhere() {
    let (folder, elsewhere) = (Folder::new(), Folder::new());
    let database = elsewhere.path().join("deep/people.db");
    drop(open(folder.path(), &database).unwrap());
    assert_eq!(open(folder.path(), &database).unwrap().found, Found::There);
    assert_eq!(names(&folder), ["audit.head", "store.key", "store.lock"]);
}

#[test]
fn a_database_without_its_secret_is_left_alone() {
    let folder = Folder::new();
    with_ada(&folder);
    let key = fs::read(folder.path().join("store.key")).unwrap();
    fs::remove_file(folder.path().join("store.key")).unwrap();
    let before = fs::read(database(&folder)).unwrap();
    let (error, said) = refused(&folder);
    assert!(matches!(error, OpenError::NoKey { .. }));
    assert!(said.contains("restore a backup") && said.contains("DIR/store.key"), "{said}");
    assert_eq!(fs::read(database(&folder)).unwrap(), before);
    place::replace(&folder.path().join("store.key"), &key).unwrap();
    assert_eq!(users(&mut opened(&folder)), ["ada"]);
}

#[test]
fn a_secret_of_another_store_is_refused() {
    let (folder, other) = (Folder::new(), Folder::new());
    with_ada(&folder);
    with_ada(&other);
    fs::copy(other.path().join("store.key"), folder.path().join("store.key")).unwrap();
    let (error, said) = refused(&folder);
    assert!(matches!(error, OpenError::OtherKey { .. }));
    assert!(said.contains("do not belong together"), "{said}");
}

#[test]
fn a_secret_that_others_may_read_is_refused() {
    let folder = Folder::new();
    with_ada(&folder);
    let key = folder.path().join("store.key");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    assert!(refused(&folder).1.contains("chmod 600"));
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&key, "no key\n").unwrap();
    assert!(refused(&folder).1.contains("not as Portico wrote it"));
}

#[test]
fn a_lost_database_is_told_and_remembered() {
    let folder = Folder::new();
    with_ada(&folder);
    // As a crash leaves it in a backup.
    fs::write(place::with(&database(&folder), ".copy"), "Ada's hash").unwrap();
    fs::remove_file(database(&folder)).unwrap();
    // As after a crash: a log without its database must not be taken for the new one's.
    fs::write(place::with(&database(&folder), "-wal"), "of another").unwrap();
    let mut anew = opened(&folder);
    assert_eq!((anew.found.clone(), users(&mut anew)), (Found::Lost, vec![]));
    let records = anew.store.latest(9).unwrap();
    assert_eq!(records[0].entry.action, "store.lost");
    assert!(records[0].entry.detail.contains("ended at record 1, "), "{}", records[0].entry.detail);
    assert_eq!(whole(&mut anew), 1);
    drop(anew);
    assert_eq!(opened(&folder).found, Found::There);
    assert_eq!(
        names(&folder).iter().filter(|name| name.contains(".lost-")).count(),
        2,
        "{:?}",
        names(&folder)
    );
}

/// Bytes in the middle, the beginning, the second half gone, all gone.
#[test]
fn a_damaged_database_is_put_aside() {
    type Damage = fn(&fs::File);
    let damages: [(&str, Damage); 5] = [
        ("middle", |file| {
            let pages = file.metadata().unwrap().len() / 4096;
            (1..pages).for_each(|page| file.write_all_at(&[0x5a; 600], page * 4096).unwrap());
        }),
        ("beginning", |file| file.write_all_at(&[0; 100], 0).unwrap()),
        ("half", |file| file.set_len(file.metadata().unwrap().len() / 2).unwrap()),
        ("empty", |file| file.set_len(0).unwrap()),
        ("text", |file| {
            file.set_len(0).unwrap();
            file.write_all_at("not a database, but long enough\n".repeat(500).as_bytes(), 0).unwrap();
        }),
    ];
    for (what, damage) in damages {
        let folder = Folder::new();
        with_ada(&folder);
        let file = fs::OpenOptions::new().read(true).write(true).open(database(&folder)).unwrap();
        damage(&file);
        let damaged = fs::read(database(&folder)).unwrap();
        let mut anew = opened(&folder);
        let Found::SetAside { to, why } = anew.found.clone() else { panic!("{what}: {:?}", anew.found) };
        assert_eq!(fs::read(&to).unwrap(), damaged, "{what}: {why}");
        let name = to.file_name().unwrap().to_str().unwrap();
        assert!(name.starts_with("portico.db.corrupt-") && name.len() == 34, "{name}");
        assert_eq!(users(&mut anew), Vec::<String>::new(), "{what}");
        let record = anew.store.latest(9).unwrap().remove(0).entry;
        assert_eq!(record.action, "store.set-aside");
        assert!(record.detail.contains("ended at record 1, "), "{what}: {}", record.detail);
        anew.store.change(&Change::AddUser(user("ada")), &entry("user.add")).unwrap();
        drop(anew);
        assert_eq!(users(&mut opened(&folder)), ["ada"], "{what}");
    }
}

#[test]
fn databases_of_others_are_left_alone() {
    let folder = Folder::new();
    with_ada(&folder);
    fs::remove_file(database(&folder)).unwrap();
    let other = rusqlite::Connection::open(database(&folder)).unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    drop(other);
    let (error, said) = refused(&folder);
    assert!(matches!(error, OpenError::Foreign { .. }), "{said}");
    assert_eq!(names(&folder), ["audit.head", "portico.db", "store.key", "store.lock"]);
}

#[test]
fn a_store_of_a_newer_version_is_left_alone() {
    let folder = Folder::new();
    with_ada(&folder);
    let connection = rusqlite::Connection::open(database(&folder)).unwrap();
    connection.pragma_update(None, "user_version", 1000).unwrap();
    drop(connection);
    let (error, said) = refused(&folder);
    assert!(matches!(error, OpenError::Newer { version: 1000, known: 1, .. }), "{said}");
    assert!(said.contains("newer Portico"), "{said}");
}

#[test]
fn without_permission_it_says_so() {
    if rustix::process::geteuid().is_root() {
        // Root may write everywhere but where there are no files at all.
        let (_, said) = {
            let error =
                open(std::path::Path::new("/proc/nowhere"), std::path::Path::new("/proc/nowhere/a.db"));
            let error = error.unwrap_err();
            let said = error.text().en.into_owned();
            (error, said)
        };
        assert!(said.contains("/proc/nowhere") && said.contains("room on the disk"), "{said}");
        return;
    }
    let folder = Folder::new();
    with_ada(&folder);
    fs::set_permissions(database(&folder), fs::Permissions::from_mode(0o000)).unwrap();
    let (error, said) = refused(&folder);
    assert!(matches!(error, OpenError::Failed { .. }) && said.contains("DIR/portico.db"), "{said}");
}

/// A crash between any two renames of the first start leaves a store, or none.
#[test]
fn a_first_start_that_was_cut_off_is_finished() {
    for done in 0..4 {
        let folder = Folder::new();
        with_ada(&folder);
        // As when only the first `done` of the three had been renamed.
        for path in ["portico.db", "store.key", "audit.head"].iter().skip(done) {
            fs::rename(folder.path().join(path), folder.path().join(format!("{path}.new"))).unwrap();
        }
        assert!(done < 1 || exists(folder.path(), &database(&folder)));
        fs::write(folder.path().join("store.next"), "old-20260101-000000").unwrap();
        assert!(exists(folder.path(), &database(&folder)));
        let mut finished = opened(&folder);
        assert_eq!((finished.found.clone(), users(&mut finished)), (Found::There, vec!["ada".to_owned()]));
        assert_eq!(whole(&mut finished), 1);
        drop(finished);
        assert_eq!(names(&folder), ["audit.head", "portico.db", "store.key", "store.lock"], "{done}");
    }
    // Before it had begun: what was being made is made anew.
    let folder = Folder::new();
    for path in ["portico.db", "store.key", "audit.head"] {
        fs::write(folder.path().join(format!("{path}.new")), "half").unwrap();
    }
    assert_eq!(opened(&folder).found, Found::New);
    assert_eq!(opened(&folder).found, Found::There);
}

#[test]
fn names_of_what_is_put_aside_do_not_repeat() {
    let folder = Folder::new();
    let place = place::Place::new(folder.path(), &database(&folder));
    let now = sample::at(0);
    assert_eq!(place.aside("corrupt", now), "corrupt-20260301-000000");
    fs::write(folder.path().join("portico.db.corrupt-20260301-000000"), "").unwrap();
    assert_eq!(place.aside("corrupt", now), "corrupt-20260301-000000-2");
}
