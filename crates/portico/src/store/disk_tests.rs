//! F25 and F26: a full disk stops what has to be written, and nothing else.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use testkit::temporary::Folder;

use super::open::OpenError;
use super::sample::{at, entry, session, user};
use super::*;

/// A disk of its own, so small that it can be filled.
struct Disk(Folder);

impl Disk {
    fn new(size: &str) -> Self {
        let disk = Self(Folder::new());
        disk.run("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]);
        disk
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let status = Command::new(program).args(arguments).arg(self.0.path()).status().unwrap();
        assert!(status.success(), "{program}");
    }

    fn fill(&self) {
        let mut filler = fs::File::create(self.path().join("filler")).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
    }

    fn free(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("SKIPPED: only root can mount a small disk");
    }
    root
}

#[test]
fn f26_on_a_full_disk_what_is_there_is_read_and_nothing_is_torn() {
    if !is_root() {
        return;
    }
    let disk = Disk::new("1m");
    let database = disk.path().join("data/portico.db");
    let again = || open(&disk.path().join("data"), &database).unwrap();
    let mut store = again().store;
    store.change(&Change::AddUser(user("ada")), &entry("user.add")).unwrap();
    store.add_session(&session("s", "ada"), &entry("login")).unwrap();
    disk.fill();
    // As long as there is room within the log's last page something may still fit.
    let mut written = 2;
    let refused = (0..200).find_map(|number| {
        let change = Change::AddUser(user(&format!("{number}{}", "x".repeat(3000))));
        let refused = store.change(&change, &entry("user.add")).err();
        written += u64::from(refused.is_none());
        refused
    });
    let refused = refused.expect("the disk is full");
    assert!(matches!(&refused, StoreError::Database(why) if why.contains("full")), "{refused:?}");
    assert!(store.append(&Entry { detail: "x".repeat(9000), ..entry("login.failed") }).is_err());
    for _ in 0..2 {
        assert_eq!(store.everyone().unwrap().users.len() as u64, written - 1);
        assert_eq!(store.sessions(at(0)).unwrap(), [session("s", "ada")]);
        let verdict = store.verify(None).unwrap();
        assert!(matches!(verdict, Verdict::Whole { records, .. } if records == written), "{verdict:?}");
    }
    // It has expired, and whether it can be forgotten or not, it is not given out.
    assert_eq!(store.sessions(at(5000)).unwrap(), []);
    drop(store);
    // Whether it opens there depends on the last page; what it must not do is take the store for a damaged one.
    match open(&disk.path().join("data"), &database) {
        Ok(opened) => assert_eq!(opened.found, Found::There),
        Err(error) => assert!(matches!(error, OpenError::Failed { .. }), "{error:?}"),
    }
    disk.free();
    let mut store = again().store;
    assert_eq!(store.everyone().unwrap().users.len() as u64, written - 1);
    store.change(&Change::AddUser(user("bob")), &entry("user.add")).unwrap();
    let verdict = store.verify(None).unwrap();
    assert!(matches!(verdict, Verdict::Whole { records, .. } if records == written + 1), "{verdict:?}");
}

#[test]
fn f25_a_first_start_on_a_full_disk_leaves_nothing_that_is_half() {
    if !is_root() {
        return;
    }
    let disk = Disk::new("256k");
    let (data_dir, database) = (disk.path().join("data"), disk.path().join("data/portico.db"));
    fs::create_dir(&data_dir).unwrap();
    disk.fill();
    let error = open(&data_dir, &database).unwrap_err();
    assert!(matches!(&error, OpenError::Failed { .. }), "{error:?}");
    assert!(error.text().en.contains("room on the disk"), "{}", error.text().en);
    assert!(!exists(&data_dir, &database));
    disk.free();
    assert_eq!(open(&data_dir, &database).unwrap().found, Found::New);
}
