use std::os::unix::fs::MetadataExt as _;

use testkit::temporary::Folder;

use super::super::sample::{at, entry, invitation, key, session, user};
use super::super::*;
use super::compare::Differences;
use super::compare::LostKey;
use super::restore::RestoreError;
use super::*;

/// As a real one in all but what guessing costs.
const CHEAP: Cost = Cost { memory_kib: 8, passes: 1, lanes: 1 };
const PASSPHRASE: &[u8] = "ein Satz, 一句话".as_bytes();

struct Case {
    folder: Folder,
    outside: Folder,
}

impl Case {
    /// Ada with a key, a session and an invitation, in a backup.
    fn new() -> Self {
        let case = Self { folder: Folder::new(), outside: Folder::new() };
        let mut store = case.open().store;
        case.fill(&mut store);
        let done = backup_at(CHEAP, &mut store, &case.extras(), PASSPHRASE, &case.file()).unwrap();
        assert_eq!(done.head, store.head().unwrap());
        assert_eq!(done.bytes, fs::metadata(case.file()).unwrap().len());
        case
    }

    fn fill(&self, store: &mut Sqlite) {
        for change in [
            Change::AddUser(user("ada")),
            Change::AddKey(key("k", "ada")),
            Change::AddInvitation(invitation("i", "ada")),
        ] {
            store.change(&change, &entry("a.change")).unwrap();
        }
        store.add_session(&session("s", "ada"), &entry("login")).unwrap();
    }

    fn open(&self) -> Opened {
        open_for_test(&self.folder)
    }

    fn file(&self) -> PathBuf {
        self.outside.path().join("a.backup")
    }

    fn extras(&self) -> Vec<Extra> {
        vec![Extra { name: "certificates/x/pair.pem".to_owned(), content: vec![7; 200_000] }]
    }

    fn restore_with(&self, passphrase: &[u8]) -> Result<Restored, RestoreError> {
        let database = self.folder.path().join("portico.db");
        restore(self.folder.path(), &database, &self.file(), passphrase, "system:root")
    }

    fn restore(&self) -> Restored {
        self.restore_with(PASSPHRASE).unwrap()
    }

    fn files(&self) -> Vec<(String, Vec<u8>)> {
        let files = fs::read_dir(self.folder.path()).unwrap().map(|file| file.unwrap());
        let files =
            files.map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()));
        let mut files: Vec<_> = files.collect();
        files.sort();
        files
    }

    /// That it is refused, and nothing changed.
    fn refused(&self, passphrase: &[u8], wanted: &str) {
        let before = self.files();
        let error = self.restore_with(passphrase).unwrap_err();
        assert!(error.text().en.contains(wanted), "{}", error.text().en);
        assert_eq!(self.files(), before, "{wanted}");
    }
}

fn names(store: &mut Sqlite) -> Vec<String> {
    store.everyone().unwrap().users.into_iter().map(|user| user.name).collect()
}

#[test]
fn a_backup_brings_back_what_there_was() {
    let case = Case::new();
    assert_eq!(fs::metadata(case.file()).unwrap().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(case.outside.path()).unwrap().count(), 1);
    assert!(case.files().iter().all(|(name, _)| !name.contains("copy")), "{:?}", case.files().len());
    // On another machine.
    let other = Case { folder: Folder::new(), outside: case.outside };
    let restored = other.restore();
    assert_eq!(restored.replaced, None);
    assert_eq!(restored.extras, other.extras());
    assert!(matches!(restored.trail, Verdict::Whole { records: 4, .. }), "{:?}", restored.trail);
    let mut opened = other.open();
    assert_eq!(opened.found, Found::There);
    let everyone = opened.store.everyone().unwrap();
    assert_eq!(everyone.users, [user("ada")]);
    assert_eq!(everyone.keys, [key("k", "ada")]);
    assert_eq!((everyone.invitations, opened.store.sessions(at(0)).unwrap()), (vec![], vec![]));
    let records = opened.store.latest(9).unwrap();
    assert_eq!(records.iter().map(|record| record.epoch).collect::<Vec<_>>(), [1, 1, 1, 1, 2]);
    assert_eq!(records[4].entry.action, "store.restored");
    assert_eq!(opened.store.head().unwrap(), restored.head);
    assert!(matches!(
        opened.store.verify(restored.head.as_ref()).unwrap(),
        Verdict::Whole { records: 5, .. }
    ));
    let modes =
        fs::read_dir(other.folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().mode());
    assert!(modes.into_iter().all(|mode| mode & 0o077 == 0));
}

#[test]
fn a_restore_tells_what_is_good_again_and_what_is_gone() {
    let case = Case::new();
    let mut store = case.open().store;
    for change in [
        Change::RevokeKey { id: "k".to_owned(), at: at(9) },
        Change::AddUser(user("bob")),
        Change::AddKey(key("l", "bob")),
    ] {
        store.change(&change, &entry("a.change")).unwrap();
    }
    let old = store.head().unwrap().unwrap();
    drop(store);
    let restored = case.restore();
    let wanted = Differences {
        revived: vec![Revived::Key { id: "k".to_owned(), user: "ada".to_owned(), was: Was::Revoked }],
        lost_users: vec!["bob".to_owned()],
        lost_keys: vec![LostKey { id: "l".to_owned(), user: "bob".to_owned() }],
    };
    assert_eq!(restored.differences, Ok(wanted));
    let mut store = case.open().store;
    assert_eq!(names(&mut store), ["ada"]);
    let detail = store.latest(1).unwrap().remove(0).entry.detail;
    assert!(detail.contains(&format!("ended at record 7, {}", hex::encode(&old.mac))), "{detail}");
    // The chain went on from the backup, not from there.
    assert!(matches!(store.verify(Some(&old)).unwrap(), Verdict::Broken { how: Break::Cut, .. }));
    drop(store);
    // What was replaced opens, under its secret, which is the same.
    let replaced = restored.replaced.unwrap();
    assert!(replaced.to_str().unwrap().contains("portico.db.replaced-"), "{replaced:?}");
    let again = Case { folder: Folder::new(), outside: Folder::new() };
    for (from, to) in [(replaced, "portico.db"), (case.folder.path().join("store.key"), "store.key")] {
        fs::copy(from, again.folder.path().join(to)).unwrap();
    }
    assert_eq!(names(&mut again.open().store), ["ada", "bob"]);
}

#[test]
fn a_secret_that_is_replaced_is_kept_beside() {
    let case = Case::new();
    let other = Case { folder: Folder::new(), outside: case.outside };
    drop(other.open());
    let secret = fs::read(other.folder.path().join("store.key")).unwrap();
    other.restore();
    let kept = other.files().into_iter().find(|(name, _)| name.starts_with("store.key.replaced-")).unwrap();
    assert_eq!(kept.1, secret);
    assert_eq!(names(&mut other.open().store), ["ada"]);
}

#[test]
fn what_can_t_be_opened_changes_nothing() {
    let case = Case::new();
    case.refused(b"another", "the passphrase does not open");
    let whole = fs::read(case.file()).unwrap();
    for at in (200..whole.len()).step_by(40_009).chain([whole.len() - 1]) {
        let mut flipped = whole.clone();
        flipped[at] ^= 4;
        fs::write(case.file(), flipped).unwrap();
        case.refused(PASSPHRASE, "is damaged");
        fs::write(case.file(), &whole[..at]).unwrap();
        case.refused(PASSPHRASE, "ends too early");
    }
    fs::write(case.file(), b"something else").unwrap();
    case.refused(PASSPHRASE, "is no backup");
    fs::remove_file(case.file()).unwrap();
    case.refused(PASSPHRASE, "a.backup");
    assert_eq!(names(&mut case.open().store), ["ada"]);
}

#[test]
fn a_store_that_is_open_is_not_replaced() {
    let case = Case::new();
    let opened = case.open();
    assert!(matches!(case.restore_with(PASSPHRASE), Err(RestoreError::InUse { .. })));
    drop(opened);
    case.restore();
}

#[test]
fn a_damaged_store_is_replaced_and_kept() {
    let case = Case::new();
    fs::write(case.folder.path().join("portico.db"), "damaged").unwrap();
    let restored = case.restore();
    assert!(restored.differences.unwrap_err().en.contains("not a database"));
    assert_eq!(fs::read(restored.replaced.unwrap()).unwrap(), b"damaged");
    assert_eq!(names(&mut case.open().store), ["ada"]);
}

/// Whatever of the renames has been done when it is cut off, the next one who opens the store does the rest.
#[test]
fn a_restore_that_was_cut_off_is_finished() {
    let case = Case::new();
    let mut store = case.open().store;
    store.change(&Change::AddUser(user("bob")), &entry("user.add")).unwrap();
    drop(store);
    let before = case.files();
    case.restore();
    let after = case.files();
    let of = |files: &[(String, Vec<u8>)], name: &str| {
        files.iter().find(|(found, _)| found == name).map(|(_, content)| content.clone()).unwrap()
    };
    let aside =
        after.iter().find_map(|(name, _)| name.strip_prefix("portico.db.").map(str::to_owned)).unwrap();
    // Renames in their order: each file aside, then its new one into place.
    for done in 0..=4 {
        let other = Case { folder: Folder::new(), outside: Folder::new() };
        let put = |name: &str, content: Vec<u8>| {
            place::replace(&other.folder.path().join(name), &content).unwrap();
        };
        put("store.next", aside.clone().into_bytes());
        put("store.key", of(&before, "store.key"));
        for (name, first) in [("portico.db", 0), ("audit.head", 2)] {
            let old = if done > first { format!("{name}.{aside}") } else { name.to_owned() };
            put(&old, of(&before, name));
            let new = if done > first + 1 { name.to_owned() } else { format!("{name}.new") };
            put(&new, of(&after, name));
        }
        let mut opened = other.open();
        assert_eq!((opened.found.clone(), names(&mut opened.store)), (Found::There, vec!["ada".to_owned()]));
        assert!(matches!(opened.store.verify(None).unwrap(), Verdict::Whole { records: 5, .. }), "{done}");
        drop(opened);
        assert_eq!(of(&other.files(), &format!("portico.db.{aside}")), of(&before, "portico.db"));
    }
}

#[test]
fn what_can_t_be_in_a_backup_is_refused() {
    let case = Case::new();
    let mut store = case.open().store;
    let mut refused = |extras: &[Extra], passphrase: &[u8], to: &str| {
        let to = case.outside.path().join(to);
        let error = backup_at(CHEAP, &mut store, extras, passphrase, &to).unwrap_err();
        assert!(!to.exists());
        assert!(case.files().iter().all(|(name, _)| !name.contains("copy")));
        error.text().en.into_owned()
    };
    let out = Extra { name: "../a".to_owned(), content: Vec::new() };
    assert!(refused(&[], b"", "b").contains("passphrase is empty"));
    assert!(refused(&[out], b"p", "b").contains("no path below a folder"));
    assert!(refused(&[], b"p", "none/b").contains("can't be written"));
}

/// With what a real one costs, and while somebody writes.
#[test]
fn a_backup_of_a_store_that_is_written_to_is_of_one_moment() {
    let case = Case { folder: Folder::new(), outside: Folder::new() };
    let mut store = case.open().store;
    case.fill(&mut store);
    let mut writer =
        Sqlite::open(store.files().clone(), &Secrets::read(&store.files().key).unwrap()).unwrap();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let writing = std::thread::spawn(move || {
        let mut number = 0;
        while stopped.try_recv().is_err() {
            writer.change(&Change::AddUser(user(&format!("u{number}"))), &entry("user.add")).unwrap();
            number += 1;
        }
    });
    let done = backup(&mut store, &[], PASSPHRASE, &case.file()).unwrap();
    stop.send(()).unwrap();
    writing.join().unwrap();
    drop(store);
    let restored = case.restore();
    let Verdict::Whole { records, head } = restored.trail else { panic!("{:?}", restored.trail) };
    assert_eq!(head, done.head);
    let mut store = case.open().store;
    // Ada's key, invitation and login are records without a user.
    assert_eq!(store.everyone().unwrap().users.len() as u64, records - 3);
}
