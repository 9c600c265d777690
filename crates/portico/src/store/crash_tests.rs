//! What was acknowledged is there after a crash: a program of its own writes, tells what was acknowledged, and is killed.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use testkit::temporary::Folder;

use super::sample::{digest, entry, key, session, user};
use super::*;

const FOLDER: &str = "PORTICO_TEST_STORE";
const ROUND: &str = "PORTICO_TEST_ROUND";

/// Run only as a program of its own, by the tests below.
#[test]
#[ignore = "the other half of what_was_acknowledged_survives_a_kill"]
fn a_writer_that_will_be_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let round = std::env::var(ROUND).unwrap();
    let folder = Path::new(&folder);
    let mut store = open(folder, &folder.join("portico.db")).unwrap().store;
    let mut out = std::io::stdout().lock();
    // The test's own words stand before, in the same line.
    writeln!(out).unwrap();
    for number in 0.. {
        let name = format!("{round}-{number}");
        store.change(&Change::AddUser(user(&name)), &entry("user.add")).unwrap();
        writeln!(out, "ack user {name}").unwrap();
        store.change(&Change::AddKey(key(&name, &name)), &entry("key.create")).unwrap();
        writeln!(out, "ack key {name}").unwrap();
        store.add_session(&session(&name, &name), &entry("login")).unwrap();
        writeln!(out, "ack session {name}").unwrap();
        store.append(&Entry { detail: name.clone(), ..entry("config.reload") }).unwrap();
        let head = store.head().unwrap().unwrap();
        writeln!(out, "ack record {} {}", head.number, hex::encode(&head.mac)).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn what_was_acknowledged_survives_a_kill() {
    rounds(30, 0x5eed);
}

#[test]
#[ignore = "takes minutes: ./test --full"]
fn what_was_acknowledged_survives_three_hundred_kills() {
    rounds(300, 0xfeed);
}

fn rounds(rounds: u32, seed: u64) {
    let mut moments = Moments(seed);
    let mut folder = Folder::new();
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        // Every few rounds from the beginning, so that a first start is cut off, too.
        let (lines, then) = if round % 4 == 0 {
            (folder, acknowledged) = (Folder::new(), Vec::new());
            (0, moments.next(60_000))
        } else {
            (moments.next(14), moments.next(4000))
        };
        let then = Duration::from_micros(then);
        let writer = Writer::start(&folder, round);
        acknowledged.extend(writer.killed_after(lines, then));
        check(&folder, &acknowledged, round);
    }
}

fn check(folder: &Folder, acknowledged: &[String], round: u32) {
    let mut opened = open_for_test(folder);
    let may_be_new = acknowledged.is_empty();
    assert!(
        opened.found == Found::There || may_be_new && opened.found == Found::New,
        "{round}: {:?}",
        opened.found
    );
    let everyone = opened.store.everyone().unwrap();
    let sessions = opened.store.sessions(sample::at(0)).unwrap();
    let records = opened.store.latest(u32::MAX).unwrap();
    for line in acknowledged {
        let words: Vec<&str> = line.split(' ').collect();
        let there = match words[..] {
            ["ack", "user", name] => everyone.users.iter().any(|user| user.name == name),
            ["ack", "key", id] => everyone.keys.iter().any(|key| key.id == id),
            ["ack", "session", token] => sessions.iter().any(|session| session.digest == digest(token)),
            ["ack", "record", number, mac] => records
                .iter()
                .any(|record| record.number.to_string() == number && hex::encode(&record.mac) == mac),
            _ => panic!("{line:?}"),
        };
        assert!(there, "round {round}: {line:?} was acknowledged");
    }
    // Each change has its record, and each record its change.
    let recorded = |action: &str| records.iter().filter(|record| record.entry.action == action).count();
    assert_eq!(recorded("user.add"), everyone.users.len());
    assert_eq!(recorded("key.create"), everyone.keys.len());
    assert_eq!(recorded("login"), sessions.len());
    let verdict = opened.store.verify(None).unwrap();
    assert!(matches!(verdict, Verdict::Whole { .. }), "round {round}: {verdict:?}");
}

struct Writer(Child);

impl Writer {
    fn start(folder: &Folder, round: u32) -> Self {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture", "store::crash_tests::a_writer_that_will_be_killed"])
            .env(FOLDER, folder.path())
            .env(ROUND, round.to_string())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        Self(child.unwrap())
    }

    /// Waits for so many acknowledgements and then so long, kills it, and gives all that it has acknowledged.
    fn killed_after(mut self, lines: u64, then: Duration) -> Vec<String> {
        let mut out = BufReader::new(self.0.stdout.take().unwrap());
        let mut acknowledged = Vec::new();
        let mut read = |acknowledged: &mut Vec<String>| {
            let mut line = String::new();
            let more = out.read_line(&mut line).unwrap() > 0;
            // A line that was cut off was not given.
            let line = line.strip_suffix('\n').unwrap_or_default();
            acknowledged.extend(line.starts_with("ack ").then(|| line.to_owned()));
            more
        };
        while (acknowledged.len() as u64) < lines {
            assert!(read(&mut acknowledged), "it ended by itself after {acknowledged:?}");
        }
        let since = Instant::now();
        while since.elapsed() < then {
            std::hint::spin_loop();
        }
        self.0.kill().unwrap();
        self.0.wait().unwrap();
        while read(&mut acknowledged) {}
        acknowledged
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Numbers that look like chance and are the same each time (splitmix64).
struct Moments(u64);

impl Moments {
    fn next(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % below
    }
}
