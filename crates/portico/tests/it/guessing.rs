//! Thousands of guesses at a password: they end soon, cost little, and whoever has come in notices nothing (F58).

use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use tokio::task::JoinSet;

use testkit::client::{Answer, Connection};
use testkit::net::Address;
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::command::ask;
use crate::identity::{ASKS, PASSWORD, add, basic, key, session};
use crate::setup::Setup;

/// The default of `access.lockout.failures`.
const FAILURES: usize = 10;
/// An account is locked, for addresses that it was never used from, at ten times that.
const FAILURES_OF_AN_ACCOUNT: usize = 10 * FAILURES;
/// What memory may grow by under thousands of guesses: caches of the allocator, and tables with bounds.
const FLAT_BYTES: u64 = 4 << 20;
/// And by a hundred verifications, of which each works in 19 MiB.
const LESS_THAN_ONE_BYTES: u64 = 16 << 20;

/// Between two requests of somebody who works.
const PAUSE: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(60);

/// How often each status was answered.
type Tally = BTreeMap<u16, usize>;

async fn models(connection: &mut Connection, credential: (&str, &str)) -> Answer {
    connection.request("GET", "/v1/models", &[credential], &[]).await.expect("sent");
    connection.answer().await.expect("an answer")
}

/// Guesses at one account from one address, one after the other over one connection; no password twice.
async fn guess(target: Address, source: IpAddr, numbers: std::ops::Range<usize>) -> Tally {
    let mut connection = Connection::open_from(source, &target).await;
    // Passwords are looked at with what live answers leave of the machine.
    connection.set_deadline(PATIENCE);
    let mut tally = Tally::new();
    for number in numbers {
        let guess = basic("ada", &format!("guess {source} {number}"));
        let answer = models(&mut connection, ("Authorization", &guess)).await;
        if answer.head.status == 429 {
            let wait = answer.head.header("retry-after").and_then(|wait| wait.parse::<u64>().ok());
            assert!(wait.is_some_and(|seconds| (1..=900).contains(&seconds)), "{wait:?}");
        }
        *tally.entry(answer.head.status).or_default() += 1;
    }
    tally
}

fn add_up(total: &mut Tally, tally: &Tally) {
    for (status, count) in tally {
        *total.entry(*status).or_default() += count;
    }
}

/// Several guessers at once: who, and how many guesses each.
async fn attack(portico: &Portico, sources: impl Iterator<Item = IpAddr>, each: usize) -> Tally {
    const AT_ONCE: usize = 8;
    let mut total = Tally::new();
    let mut guessers = JoinSet::new();
    for (number, source) in sources.enumerate() {
        if guessers.len() >= AT_ONCE {
            add_up(&mut total, &guessers.join_next().await.expect("one").expect("not panicked"));
        }
        guessers.spawn(guess(portico.address(), source, number * each..(number + 1) * each));
    }
    while let Some(tally) = guessers.join_next().await {
        add_up(&mut total, &tally.expect("not panicked"));
    }
    total
}

/// Somebody who is in, and works on while `attack` runs. Gives what `attack` gives, and how many requests were answered.
async fn meanwhile<T>(
    portico: &Portico,
    credential: (&str, &str),
    attack: impl Future<Output = T>,
) -> (T, usize) {
    let mut connection = portico.connect().await;
    let (is_over, mut answered) = (Cell::new(false), 0);
    let attack = async {
        let result = attack.await;
        is_over.set(true);
        result
    };
    let work = async {
        while !is_over.get() {
            let answer = models(&mut connection, credential).await;
            assert_eq!(answer.head.status, 200, "{}", answer.text());
            answered += 1;
            tokio::time::sleep(PAUSE).await;
        }
    };
    let (result, ()) = tokio::join!(attack, work);
    (result, answered)
}

/// The time that the threads which verify passwords have run.
fn time_of_passwords(portico: &Portico) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", portico.process().id())).expect("it runs");
    let read = |task: &std::path::Path, file| std::fs::read_to_string(task.join(file)).unwrap_or_default();
    let of_passwords =
        tasks.flatten().map(|task| task.path()).filter(|task| read(task, "comm") == "passwords\n");
    let nanoseconds = of_passwords.map(|task| {
        let schedstat = read(&task, "schedstat");
        schedstat.split(' ').next().and_then(|field| field.parse::<u64>().ok()).expect("nanoseconds")
    });
    Duration::from_nanos(nanoseconds.sum())
}

fn resident_bytes(portico: &Portico) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", portico.process().id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

async fn failures_on_record(portico: &Portico) -> usize {
    let list = ask(portico, &["audit", "list", "--json"]).await.expect(0).json();
    list.as_array().into_iter().flatten().filter(|record| record["action"] == "login.failed").count()
}

/// Asks for identity; `ada` has come in from 127.0.0.1 with her password. Gives the time that it took to verify, too.
async fn house(more: &str) -> (Portico, Scripted, Duration) {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with(&format!("{ASKS}{more}")).start().await;
    add(&portico, "ada").await;
    let before = time_of_passwords(&portico);
    let mut connection = portico.connect().await;
    let answer = models(&mut connection, ("Authorization", &basic("ada", PASSWORD))).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let one = time_of_passwords(&portico) - before;
    (portico, scripted, one)
}

#[tokio::test]
async fn f58_twenty_thousand_guesses_from_one_address_are_ten() {
    let (portico, _scripted, one) = house("").await;
    let (_, key) = key(&portico, &["--user", "ada"]).await;
    let attacker = || std::iter::repeat_n(IpAddr::from([127, 0, 0, 2]), 8);
    let before = time_of_passwords(&portico);
    let (mut total, _) = meanwhile(&portico, ("X-Api-Key", &key), attack(&portico, attacker(), 250)).await;
    let resident = resident_bytes(&portico);
    let (rest, answered) = meanwhile(&portico, ("X-Api-Key", &key), attack(&portico, attacker(), 2250)).await;
    let grown = resident_bytes(&portico).saturating_sub(resident);
    let spent = time_of_passwords(&portico) - before;
    add_up(&mut total, &rest);
    println!("{total:?}, {answered} of hers, {spent:?} for passwords ({one:?} each), {grown} bytes more");
    assert!(answered > 100, "{answered} requests of hers were answered");
    assert_eq!(total, Tally::from([(401, FAILURES), (429, 20_000 - FAILURES)]));
    assert_eq!(failures_on_record(&portico).await, FAILURES);
    // Twice, for a machine that is busy with other things.
    assert!(spent <= one * 2 * u32::try_from(FAILURES).expect("few"), "{spent:?}, and one takes {one:?}");
    assert!(grown < FLAT_BYTES, "{grown} bytes");
}

#[tokio::test]
async fn f58_guesses_from_five_hundred_addresses_are_a_hundred() {
    let (portico, _scripted, one) = house("").await;
    let cookie = session(&portico, "ada").await;
    let attackers = (0..500_u16).map(|number| {
        let [high, low] = number.to_be_bytes();
        IpAddr::V4(Ipv4Addr::new(127, 1, high, low + u8::from(low == 0)))
    });
    let (before, resident) = (time_of_passwords(&portico), resident_bytes(&portico));
    let (total, answered) = meanwhile(&portico, ("Cookie", &cookie), attack(&portico, attackers, 8)).await;
    let spent = time_of_passwords(&portico) - before;
    let grown = resident_bytes(&portico).saturating_sub(resident);
    println!("{total:?}, {answered} of hers, {spent:?} for passwords ({one:?} each), {grown} bytes more");
    assert!(answered > 100, "{answered} requests of hers were answered");
    assert_eq!(
        total,
        Tally::from([(401, FAILURES_OF_AN_ACCOUNT), (429, 4000 - FAILURES_OF_AN_ACCOUNT)]),
        "the account is locked for addresses that it was never used from"
    );
    assert_eq!(failures_on_record(&portico).await, FAILURES_OF_AN_ACCOUNT);
    assert!(grown < LESS_THAN_ONE_BYTES, "{grown} bytes");
    let bound = one * 2 * u32::try_from(FAILURES_OF_AN_ACCOUNT).expect("few");
    assert!(spent <= bound, "{spent:?}, and one takes {one:?}");

    let mut elsewhere = Connection::open_from(IpAddr::from([127, 2, 0, 1]), &portico.address()).await;
    let right = basic("ada", PASSWORD);
    let mut at_home = portico.connect().await;
    // Where she was before, a password is still looked at: a wrong one is wrong and not too many.
    let mistyped = basic("ada", "mistyped");
    assert_eq!(models(&mut at_home, ("Authorization", &mistyped)).await.head.status, 401);
    assert_eq!(models(&mut at_home, ("Authorization", &right)).await.head.status, 200);
    let unknown = basic("bob", "anything");
    assert_eq!(models(&mut elsewhere, ("Authorization", &unknown)).await.head.status, 401, "another account");
}

/// Whoever hangs up before the answer has guessed all the same, and no longer than the ban lasts: neither an address nor an
/// account may stay locked because somebody had no patience.
#[tokio::test]
async fn f58_guesses_that_are_given_up_count_and_are_forgotten() {
    const FEW: usize = 4;
    let lockout = format!("lockout = {{ failures = {FEW}, window = \"1s\", ban = \"1s\" }}\n");
    let (portico, _scripted, _) = house(&lockout).await;
    let source = IpAddr::from([127, 0, 0, 2]);
    let (left, number) = (Cell::new(0), Cell::new(0));
    until(SOON * 2, "clients have left while their guesses were looked at", async || {
        number.set(number.get() + 1);
        let mut connection = Connection::open_from(source, &portico.address()).await;
        let guess = basic("ada", &format!("guess {}", number.get()));
        connection.request("GET", "/v1/models", &[("Authorization", &guess)], &[]).await.expect("sent");
        // It may have arrived by now, or not: the log tells.
        tokio::time::sleep(Duration::from_millis(3)).await;
        drop(connection);
        let records = portico.records("access.log");
        left.set(records.iter().filter(|line| line["reason"] == "client_left").count());
        (left.get() >= FEW).then_some(())
    })
    .await;
    let answered = || portico.records("access.log").iter().filter(|line| line["status"] == 401).count();
    until(SOON, "the audit trail has more failures than were answered", async || {
        (failures_on_record(&portico).await > answered()).then_some(())
    })
    .await;
    until(SOON, "the address is forgiven", async || {
        let mut connection = Connection::open_from(source, &portico.address()).await;
        let answer = models(&mut connection, ("Authorization", &basic("eve", "anything"))).await;
        (answer.head.status == 401).then_some(())
    })
    .await;
}
