//! A Portico that is killed while people and keys are made: what was acknowledged is there after the next start, and the
//! audit trail is whole.

use std::cell::{Cell, RefCell};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use testkit::client::{self, Connection};
use testkit::portico::Portico;
use testkit::process::Exit;
use testkit::scripted::Scripted;
use testkit::wait;

use crate::command::{Ended, ask};
use crate::identity::{ASKS, PASSWORD, add, basic, tell};
use crate::setup::Setup;
use crate::support::binary;

/// Another one finds other moments; a failure names the one that it was found with.
const SEED: u64 = 0x5eed_0f58;
/// What a few commands may take on a machine full of tests.
const PATIENCE: Duration = Duration::from_secs(60);

/// SplitMix64: the moments of a run are those of every run.
struct Moments(u64);

impl Moments {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % bound
    }
}

/// What Portico has said is so.
#[derive(Default)]
struct Acknowledged {
    users: RefCell<Vec<String>>,
    keys: RefCell<Vec<String>>,
    revoked: RefCell<Vec<String>>,
    sessions: RefCell<Vec<String>>,
}

impl Acknowledged {
    fn sum(&self) -> usize {
        self.count().iter().sum()
    }

    fn count(&self) -> [usize; 4] {
        [&self.users, &self.keys, &self.revoked, &self.sessions].map(|list| list.borrow().len())
    }
}

fn is_done(ended: &Ended) -> bool {
    ended.exit == Exit::Code(0)
}

/// When a round's Portico is killed: so long after so much was acknowledged, whatever the machine's speed is.
#[derive(Debug)]
struct Life {
    acknowledgements: usize,
    /// Of these, at least. Their passwords take time, so keys alone would be enough otherwise.
    users: usize,
    then: Duration,
}

/// Makes people, keys and sessions until it is killed. A command that was under way then may end as it likes: with
/// nobody to ask it opens the store itself, and what it says then counts too.
async fn work_until_killed(portico: &Portico, round: usize, life: &Life, done: &Acknowledged) {
    let killed = Cell::new(false);
    let users = async {
        for number in 0.. {
            let name = format!("user-{round}-{number}");
            let ended = tell(portico, &["user", "add", &name, "--password-stdin"], PASSWORD).await;
            if is_done(&ended) {
                done.users.borrow_mut().push(name);
            }
            if killed.get() {
                return;
            }
        }
    };
    let keys = async {
        for number in 0.. {
            let ended = ask(portico, &["key", "create", "--json", "--user", "ada"]).await;
            if is_done(&ended) {
                let made = ended.json();
                let field = |name: &str| made[name].as_str().expect("a text").to_owned();
                let (id, key) = (field("id"), field("key"));
                // Of those whose revocation was begun and not acknowledged nothing is known.
                if number % 3 != 2 {
                    done.keys.borrow_mut().push(key);
                } else if !killed.get() && is_done(&ask(portico, &["key", "revoke", &id]).await) {
                    done.revoked.borrow_mut().push(key);
                }
            }
            if killed.get() {
                return;
            }
        }
    };
    let sessions = async {
        // So that one person's sessions stay below their bound.
        for _ in 0..4 {
            let body = json!({"name": "ada", "password": PASSWORD});
            let answer = client::post_json(&portico.address(), "/account/api/login", &body).await;
            if killed.get() {
                return;
            }
            let Ok(answer) = answer else { continue };
            if let Some(cookie) = answer.head.header("set-cookie").filter(|_| answer.head.status == 200) {
                done.sessions.borrow_mut().push(cookie.split(';').next().unwrap_or_default().to_owned());
            }
        }
    };
    let end = async {
        wait::until(PATIENCE, "enough is acknowledged", async || {
            let is_enough = done.sum() >= life.acknowledgements && done.users.borrow().len() >= life.users;
            is_enough.then_some(())
        })
        .await;
        // The moment is the point, and any is right.
        tokio::time::sleep(life.then).await;
        portico.process().signal(Signal::KILL);
        killed.set(true);
    };
    tokio::join!(users, keys, sessions, end);
}

async fn is_as_acknowledged(portico: &Portico, done: &Acknowledged, moment: &str) {
    let mut connection = portico.connect().await;
    let mut status = async |header: (&str, &str)| {
        connection.request("GET", "/v1/models", &[header], &[]).await.expect("sent");
        let answer = connection.answer().await.expect("an answer");
        if answer.head.header("connection").is_some() {
            connection = Connection::open(&portico.address()).await;
        }
        answer.head.status
    };
    for (list, header, wanted) in
        [(&done.keys, "X-Api-Key", 200), (&done.revoked, "X-Api-Key", 401), (&done.sessions, "Cookie", 200)]
    {
        let credentials = list.borrow().clone();
        for credential in &credentials {
            assert_eq!(status((header, credential)).await, wanted, "{moment}: {header}");
        }
    }
    let listed = ask(portico, &["user", "list", "--json"]).await.expect(0).json();
    let listed: Vec<_> = listed.as_array().into_iter().flatten().map(|user| user["name"].clone()).collect();
    for name in done.users.borrow().iter() {
        assert!(listed.contains(&json!(name)), "{moment}: {name} is not among {listed:?}");
    }
    // A password takes its time: one.
    let last = done.users.borrow().last().cloned();
    if let Some(name) = &last {
        assert_eq!(status(("Authorization", &basic(name, PASSWORD))).await, 200, "{moment}: {name}");
    }
    let verified = ask(portico, &["audit", "verify"]).await;
    assert!(is_done(&verified), "{moment}: {verified:?}");
}

async fn crash(rounds: usize) {
    let scripted = Scripted::start().await;
    let setup = Setup::before(&scripted).with(ASKS);
    let mut portico = setup.start().await;
    add(&portico, "ada").await;
    let mut moments = Moments(SEED);
    let all = Acknowledged::default();
    for round in 0..rounds {
        let acknowledgements = usize::try_from(moments.below(5)).expect("few");
        let users = usize::try_from(moments.below(3)).expect("few");
        let life = Life { acknowledgements, users, then: Duration::from_micros(moments.below(100_000)) };
        let done = Acknowledged::default();
        work_until_killed(&portico, round, &life, &done).await;
        portico = portico.crash_and_launch(binary(), &setup.text());
        portico.serves().await;
        let moment = format!("seed {SEED:#x}, round {round}, {life:?}");
        is_as_acknowledged(&portico, &done, &moment).await;
        // Sessions have a bound, and the oldest end: only those of the round itself are looked at.
        for (all, done) in [(&all.users, done.users), (&all.keys, done.keys), (&all.revoked, done.revoked)] {
            all.borrow_mut().extend(done.into_inner());
        }
    }
    let [users, keys, revoked, _] = all.count();
    eprintln!("{rounds} crashes; {users} users, {keys} keys and {revoked} revocations were acknowledged");
    assert!(users >= rounds / 2 && keys >= rounds / 2, "{users} users and {keys} keys in {rounds} rounds");
    is_as_acknowledged(&portico, &all, "at the end").await;
}

#[tokio::test]
async fn what_was_acknowledged_outlives_a_crash() {
    crash(12).await;
}

#[tokio::test]
#[ignore = "some minutes"]
async fn what_was_acknowledged_outlives_three_hundred_crashes() {
    crash(300).await;
}
