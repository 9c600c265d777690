//! What guessing leads to: pure, with the time as an argument.
//!
//! Failures are counted for each address (IPv6 by /64) and, apart from that, for each account. An address that has failed
//! too often is locked out for all accounts. An account that many addresses guess at is locked for addresses it has never
//! been used from: nobody can lock its owner out of the places that the owner uses. Keys and sessions are not guessed and
//! pass by all of this.
//!
//! An attempt is charged before its password is looked at and given back when it was right, so that a thousand guesses at
//! once are not a thousand looks. Unknown names are counted like known ones.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use crate::config;
use crate::sys::clock::Instant;

/// An account's bound, in those of an address: one address alone never reaches it.
const ACCOUNT_FACTOR: u32 = 10;
/// Of each table. A hundred bytes each.
const MOST_ENTRIES: usize = 32 * 1024;
/// Who tries while others of the same address are looked at comes again this soon.
const SOON: Duration = Duration::from_secs(1);

pub(crate) struct Lockout {
    limits: config::Lockout,
    hasher: RandomState,
    addresses: HashMap<IpAddr, Count>,
    /// By a hash of the name, which may be long and is anybody's.
    accounts: HashMap<u64, Count>,
    /// Accounts and the addresses that they were used from.
    familiar: HashMap<(u64, IpAddr), Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    failures: u32,
    /// Attempts that are being looked at.
    pending: u32,
    since: Instant,
    locked_until: Option<Instant>,
}

/// One attempt, charged. It has to be settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) struct Attempt {
    address: IpAddr,
    account: u64,
    /// The account was used from this address before.
    pub(super) is_familiar: bool,
}

/// What has just been locked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locked {
    Address,
    Account,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Settled {
    Right,
    Wrong,
    /// It was not looked at.
    Unknown,
}

impl Lockout {
    pub(crate) fn new(limits: config::Lockout) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            addresses: HashMap::new(),
            accounts: HashMap::new(),
            familiar: HashMap::new(),
        }
    }

    pub(crate) fn set_limits(&mut self, limits: config::Lockout) {
        self.limits = limits;
    }

    /// May this address try a password of this account? If not: when it may again.
    pub(crate) fn begin(&mut self, address: IpAddr, name: &str, now: Instant) -> Result<Attempt, Duration> {
        let (address, account) = (network_of(address), self.hasher.hash_one(name));
        let is_familiar = self.familiar.contains_key(&(account, address));
        let limits = self.limits.clone();
        let by_address = Self::count(&mut self.addresses, address, &limits, now);
        by_address.admit(limits.failures, now)?;
        if !is_familiar {
            let most = limits.failures.saturating_mul(ACCOUNT_FACTOR);
            Self::count(&mut self.accounts, account, &limits, now).admit(most, now)?;
        }
        Self::count(&mut self.addresses, address, &limits, now).pending += 1;
        if !is_familiar {
            Self::count(&mut self.accounts, account, &limits, now).pending += 1;
        }
        Ok(Attempt { address, account, is_familiar })
    }

    pub(crate) fn settle(&mut self, attempt: Attempt, settled: Settled, now: Instant) -> Option<Locked> {
        let Attempt { address, account, is_familiar } = attempt;
        let limits = self.limits.clone();
        let locked_address = self
            .addresses
            .get_mut(&address)
            .is_some_and(|count| count.settle(settled, limits.failures, limits.ban, now));
        let most = limits.failures.saturating_mul(ACCOUNT_FACTOR);
        let locked_account = !is_familiar
            && self
                .accounts
                .get_mut(&account)
                .is_some_and(|count| count.settle(settled, most, limits.ban, now));
        if settled == Settled::Right {
            self.know(account, address, now);
        }
        match (locked_address, locked_account) {
            (_, true) => Some(Locked::Account),
            (true, false) => Some(Locked::Address),
            (false, false) => None,
        }
    }

    /// The account was used from there before this process began.
    pub(crate) fn remember(&mut self, address: IpAddr, name: &str, now: Instant) {
        let account = self.hasher.hash_one(name);
        self.know(account, network_of(address), now);
    }

    pub(crate) fn is_familiar(&self, address: IpAddr, name: &str) -> bool {
        self.familiar.contains_key(&(self.hasher.hash_one(name), network_of(address)))
    }

    fn know(&mut self, account: u64, address: IpAddr, now: Instant) {
        make_room(&mut self.familiar, |_, _| false, |_, seen| *seen);
        self.familiar.insert((account, address), now);
    }

    fn count<'t, K: Hash + Eq + Copy>(
        table: &'t mut HashMap<K, Count>,
        key: K,
        limits: &config::Lockout,
        now: Instant,
    ) -> &'t mut Count {
        if !table.contains_key(&key) {
            make_room(table, |_, count| count.is_over(limits.window, now), |_, count| count.since);
        }
        let count = table.entry(key).or_insert_with(|| Count::new(now));
        if count.is_over(limits.window, now) {
            *count = Count { pending: count.pending, ..Count::new(now) };
        }
        count
    }
}

impl Count {
    const fn new(now: Instant) -> Self {
        Self { failures: 0, pending: 0, since: now, locked_until: None }
    }

    fn is_over(&self, window: Duration, now: Instant) -> bool {
        match self.locked_until {
            Some(until) => now >= until,
            None => now.saturating_duration_since(self.since) >= window,
        }
    }

    fn admit(&self, most: u32, now: Instant) -> Result<(), Duration> {
        if let Some(until) = self.locked_until {
            return Err(until.saturating_duration_since(now).max(SOON));
        }
        if self.failures + self.pending >= most { Err(SOON) } else { Ok(()) }
    }

    /// True: it is locked from now on.
    fn settle(&mut self, settled: Settled, most: u32, ban: Duration, now: Instant) -> bool {
        self.pending = self.pending.saturating_sub(1);
        match settled {
            Settled::Unknown => false,
            // Whoever knows one password may guess at another's: what was counted is not forgotten for it.
            Settled::Right => false,
            Settled::Wrong => {
                self.failures += 1;
                let locks = self.failures >= most && self.locked_until.is_none();
                if locks {
                    self.locked_until = Some(now + ban);
                }
                locks
            }
        }
    }
}

/// Takes out what is over, and when there is still no room an eighth of the rest, the oldest first.
fn make_room<K: Hash + Eq + Copy, V>(
    table: &mut HashMap<K, V>,
    is_over: impl Fn(&K, &V) -> bool,
    age: impl Fn(&K, &V) -> Instant,
) {
    if table.len() < MOST_ENTRIES {
        return;
    }
    table.retain(|key, value| !is_over(key, value));
    if table.len() < MOST_ENTRIES {
        return;
    }
    let mut ages: Vec<Instant> = table.iter().map(|(key, value)| age(key, value)).collect();
    let (_, middle, _) = ages.select_nth_unstable(MOST_ENTRIES / 8);
    let middle = *middle;
    table.retain(|key, value| age(key, value) > middle);
}

/// Who has one address of a /64 has all of them.
fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WINDOW: Duration = Duration::from_secs(600);
    const BAN: Duration = Duration::from_secs(900);

    fn lockout() -> (Lockout, Instant) {
        let limits = config::Lockout { failures: 3, window: WINDOW, ban: BAN };
        (Lockout::new(limits), Instant::now())
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// Tries with a wrong password: whether it was looked at, and what was locked by it.
    fn guess(
        lockout: &mut Lockout,
        from: &str,
        name: &str,
        now: Instant,
    ) -> Result<Option<Locked>, Duration> {
        let attempt = lockout.begin(address(from), name, now)?;
        Ok(lockout.settle(attempt, Settled::Wrong, now))
    }

    fn knows(lockout: &mut Lockout, from: &str, name: &str, now: Instant) -> bool {
        let Ok(attempt) = lockout.begin(address(from), name, now) else { return false };
        lockout.settle(attempt, Settled::Right, now);
        true
    }

    #[test]
    fn f58_an_address_that_guesses_is_locked_out_for_a_while() {
        let (mut lockout, now) = lockout();
        assert_eq!(guess(&mut lockout, "192.0.2.1", "ada", now), Ok(None));
        assert_eq!(guess(&mut lockout, "192.0.2.1", "bob", now), Ok(None));
        assert_eq!(guess(&mut lockout, "192.0.2.1", "nobody", now), Ok(Some(Locked::Address)));
        assert_eq!(guess(&mut lockout, "192.0.2.1", "ada", now), Err(BAN));
        assert_eq!(guess(&mut lockout, "::ffff:192.0.2.1", "ada", now), Err(BAN), "the same address");
        assert!(!knows(&mut lockout, "192.0.2.1", "ada", now), "not even with the password");
        assert!(knows(&mut lockout, "192.0.2.2", "ada", now), "others are not concerned");
        assert_eq!(guess(&mut lockout, "192.0.2.1", "ada", now + BAN), Ok(None));
    }

    #[test]
    fn failures_are_forgotten_after_the_window() {
        let (mut lockout, now) = lockout();
        for _ in 0..2 {
            assert_eq!(guess(&mut lockout, "192.0.2.1", "ada", now), Ok(None));
        }
        assert_eq!(guess(&mut lockout, "192.0.2.1", "ada", now + WINDOW), Ok(None));
        assert_eq!(guess(&mut lockout, "192.0.2.1", "ada", now + WINDOW), Ok(None));
        assert!(guess(&mut lockout, "192.0.2.1", "ada", now + WINDOW).unwrap().is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_address() {
        let (mut lockout, now) = lockout();
        for host in ["2001:db8::1", "2001:db8::2", "2001:db8::ffff"] {
            assert!(guess(&mut lockout, host, "ada", now).is_ok());
        }
        assert!(guess(&mut lockout, "2001:db8::4", "ada", now).is_err());
        assert!(guess(&mut lockout, "2001:db8:0:1::4", "ada", now).is_ok());
    }

    #[test]
    fn a_thousand_guesses_at_once_are_three() {
        let (mut lockout, now) = lockout();
        let looked_at = (0..1000).filter(|_| lockout.begin(address("192.0.2.1"), "ada", now).is_ok()).count();
        assert_eq!(looked_at, 3);
    }

    #[test]
    fn an_attempt_that_was_not_looked_at_does_not_count() {
        let (mut lockout, now) = lockout();
        for _ in 0..100 {
            let attempt = lockout.begin(address("192.0.2.1"), "ada", now).unwrap();
            assert_eq!(lockout.settle(attempt, Settled::Unknown, now), None);
        }
    }

    #[test]
    fn nobody_locks_an_owner_out_of_where_he_was() {
        let (mut lockout, now) = lockout();
        assert!(knows(&mut lockout, "198.51.100.7", "ada", now));
        lockout.remember(address("198.51.100.8"), "ada", now);
        let mut locked = None;
        for host in 1..=30 {
            locked = guess(&mut lockout, &format!("203.0.113.{host}"), "ada", now).unwrap();
        }
        assert_eq!(locked, Some(Locked::Account));
        assert!(guess(&mut lockout, "203.0.113.99", "ada", now).is_err(), "from a new address");
        assert!(guess(&mut lockout, "203.0.113.99", "bob", now).is_ok(), "another account");
        assert!(knows(&mut lockout, "198.51.100.7", "ada", now), "where she was");
        assert!(knows(&mut lockout, "198.51.100.8", "ada", now), "where she was before a restart");
        assert!(knows(&mut lockout, "203.0.113.99", "ada", now + BAN));
    }

    #[test]
    fn one_address_alone_does_not_lock_an_account() {
        let (mut lockout, now) = lockout();
        for _ in 0..1000 {
            let _ = guess(&mut lockout, "192.0.2.1", "ada", now);
        }
        assert!(knows(&mut lockout, "192.0.2.2", "ada", now));
    }

    #[test]
    fn f58_memory_is_bounded() {
        let (mut lockout, now) = lockout();
        for number in 0..100_000_u32 {
            let host = IpAddr::from(number.to_be_bytes());
            if let Ok(attempt) = lockout.begin(host, &format!("name {number}"), now) {
                lockout.settle(attempt, Settled::Wrong, now);
            }
        }
        assert!(lockout.addresses.len() <= MOST_ENTRIES && lockout.accounts.len() <= MOST_ENTRIES);
    }
}
