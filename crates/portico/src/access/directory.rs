//! Who is known: people and keys as they are now, in memory. Never changed in place; a change makes another one.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ipnet::IpNet;
use jiff::Timestamp;

use super::htpasswd::Htpasswd;
use super::password::PasswordHash;
use crate::reason::{Reason, Refusal};
use crate::store::{self, Digest, Everyone, Role, Secrets};
use crate::types::{CacheSalt, Identity};

#[derive(Debug, Default)]
pub(crate) struct Directory {
    people: HashMap<Arc<str>, Arc<Person>>,
    keys: HashMap<Digest, Arc<Key>>,
    /// Whom they are for, and until when.
    invitations: HashMap<Digest, (String, Timestamp)>,
    decoys: Vec<Decoy>,
}

/// What unknown names are verified against, so that they cost what known ones do: one for each cost that hashes here have.
#[derive(Debug)]
struct Decoy {
    hash: PasswordHash,
    /// How many people have one of this cost.
    people: u32,
}

#[derive(Debug)]
pub(crate) struct Person {
    pub(crate) name: Arc<str>,
    pub(crate) source: Source,
    /// `None`: invited, and none chosen yet.
    pub(crate) password: Option<PasswordHash>,
    pub(crate) role: Role,
    /// `None`: the default one.
    pub(crate) plan: Option<Arc<str>>,
    pub(crate) disabled: bool,
    /// What this person's sessions are bound to.
    pub(crate) binding: Digest,
    pub(crate) cache_salt: CacheSalt,
    pub(super) identity: Arc<Identity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Store,
    Htpasswd,
}

#[derive(Debug)]
pub(crate) struct Key {
    pub(crate) id: Arc<str>,
    pub(crate) owner: Arc<Person>,
    pub(super) identity: Arc<Identity>,
    pub(crate) expires: Option<Timestamp>,
    /// Empty: all that the plan allows.
    pub(crate) models: Vec<String>,
    networks: Vec<IpNet>,
    revoked: bool,
    /// Seconds of the Unix epoch; 0: not since this process began. The same one for the key's whole life.
    used: Arc<AtomicI64>,
}

impl Directory {
    /// People of the store and of the file. Where both have a password for a name, the store's counts.
    pub(super) fn new(everyone: &Everyone, file: &Htpasswd, secrets: &Secrets, before: &Directory) -> Self {
        let mut people = HashMap::new();
        for (name, hash) in &file.users {
            let user = store::User {
                name: name.to_string(),
                password: Some(hash.as_str().to_owned()),
                role: Role::User,
                plan: None,
                disabled: false,
                created: Timestamp::UNIX_EPOCH,
                epoch: 0,
            };
            let person = person(&user, Source::Htpasswd, secrets);
            people.insert(person.name.clone(), Arc::new(person));
        }
        for user in &everyone.users {
            let person = match file.users.get(&*user.name) {
                // Somebody of the file who has keys, a plan or a role: the store has a place for those.
                Some(hash) if user.password.is_none() => {
                    let user = store::User { password: Some(hash.as_str().to_owned()), ..user.clone() };
                    person(&user, Source::Htpasswd, secrets)
                }
                _ => person(user, Source::Store, secrets),
            };
            people.insert(person.name.clone(), Arc::new(person));
        }
        let keys = everyone.keys.iter().filter_map(|key| {
            let owner = people.get(&*key.user)?;
            let used = before.keys.get(&key.digest).map(|before| before.used.clone()).unwrap_or_default();
            Some((key.digest, Arc::new(Key::new(key, owner, used))))
        });
        let keys = keys.collect();
        let invitations = everyone.invitations.iter();
        let invitations =
            invitations.map(|found| (found.digest, (found.user.clone(), found.expires))).collect();
        let decoys = decoys(people.values().filter_map(|person| person.password.as_ref()));
        Self { people, keys, invitations, decoys }
    }

    pub(crate) fn person(&self, name: &str) -> Option<&Arc<Person>> {
        self.people.get(name)
    }

    pub(super) fn key(&self, digest: &Digest) -> Option<&Arc<Key>> {
        self.keys.get(digest)
    }

    pub(super) fn key_by_id(&self, id: &str) -> Option<&Arc<Key>> {
        self.keys.values().find(|key| *key.id == *id)
    }

    pub(crate) fn people(&self) -> impl Iterator<Item = &Arc<Person>> {
        self.people.values()
    }

    /// When a key was used last, since this process began.
    pub(crate) fn last_used(&self, id: &str) -> Option<Timestamp> {
        self.key_by_id(id).and_then(|key| key.last_used())
    }

    pub(super) fn invited(&self, digest: &Digest, now: Timestamp) -> Option<&str> {
        let (user, expires) = self.invitations.get(digest)?;
        (*expires > now).then_some(user)
    }

    /// A hash that is there, of a cost that an unknown name draws by lot, as often as people have that cost. It stays the same
    /// over restarts, and over changes of people but where they change how often a cost occurs: somebody who asks for a name
    /// again and again learns nothing from its cost. `None`: nobody has a password.
    pub(super) fn decoy(&self, name: &str, secrets: &Secrets) -> Option<&PasswordHash> {
        // The highest random weight wins (rendezvous hashing).
        let weight = |decoy: &Decoy| {
            let lot = secrets.lot_of_decoy(name, decoy.hash.cost());
            f64::from(decoy.people) / -lot.ln()
        };
        let weighed = self.decoys.iter().map(|decoy| (weight(decoy), &decoy.hash));
        weighed.max_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, hash)| hash)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.people.is_empty()
    }

    /// Whether anybody could come in by showing who he is.
    pub(crate) fn lets_anybody_in(&self, now: Timestamp) -> bool {
        self.people.values().any(|person| !person.disabled && person.password.is_some())
            || self.keys.values().any(|key| key.check(None, now).is_ok())
    }

    /// When keys were used, of those that were.
    pub(super) fn uses(&self) -> Vec<(String, Timestamp)> {
        let used = |key: &Arc<Key>| Some((key.id.to_string(), key.last_used()?));
        self.keys.values().filter_map(used).collect()
    }
}

fn decoys<'a>(hashes: impl Iterator<Item = &'a PasswordHash>) -> Vec<Decoy> {
    let mut decoys: Vec<Decoy> = Vec::new();
    for hash in hashes {
        match decoys.iter_mut().find(|decoy| decoy.hash.cost() == hash.cost()) {
            Some(decoy) => decoy.people += 1,
            None => decoys.push(Decoy { hash: hash.clone(), people: 1 }),
        }
    }
    decoys
}

fn person(user: &store::User, source: Source, secrets: &Secrets) -> Person {
    let name: Arc<str> = user.name.as_str().into();
    Person {
        identity: Arc::new(Identity { user: name.clone(), key: None }),
        name,
        source,
        // What can't be read is nobody's password.
        password: user.password.as_deref().and_then(|text| PasswordHash::parse(text).ok()),
        role: user.role,
        plan: user.plan.as_deref().map(Arc::from),
        disabled: user.disabled,
        binding: secrets.binding_of(user),
        cache_salt: secrets.cache_salt(&user.name),
    }
}

impl Key {
    fn new(key: &store::ApiKey, owner: &Arc<Person>, used: Arc<AtomicI64>) -> Self {
        let id: Arc<str> = key.id.as_str().into();
        Self {
            identity: Arc::new(Identity { user: owner.name.clone(), key: Some(id.clone()) }),
            id,
            owner: owner.clone(),
            expires: key.expires,
            models: key.models.clone(),
            networks: key.networks.clone(),
            revoked: key.revoked.is_some(),
            used,
        }
    }

    /// Whether it opens anything now; `address`: where it is used from, if that is asked.
    pub(super) fn check(&self, address: Option<IpAddr>, now: Timestamp) -> Result<(), Refusal> {
        let id = &self.id;
        if self.owner.disabled {
            let name = &self.owner.name;
            let private = format!("key {id}: its user {name} is disabled");
            return Err(Refusal::new(Reason::InvalidKey).because(private));
        }
        if self.revoked {
            return Err(Refusal::new(Reason::KeyRevoked).because(format!("key {id} was revoked")));
        }
        if let Some(expires) = self.expires.filter(|expires| *expires <= now) {
            return Err(Refusal::new(Reason::KeyExpired).because(format!("key {id} expired at {expires}")));
        }
        match address.map(|address| address.to_canonical()) {
            Some(address) if !self.networks.is_empty() && !self.holds(address) => {
                let private = format!("key {id}: no network of it holds {address}");
                Err(Refusal::new(Reason::NetworkRefused).because(private))
            }
            _ => Ok(()),
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|net| net.contains(&address))
    }

    pub(super) fn note_use(&self, now: Timestamp) {
        let seconds = now.as_second();
        // A write that changes nothing would still be one for every thread that reads.
        if self.used.load(Ordering::Relaxed) != seconds {
            self.used.store(seconds, Ordering::Relaxed);
        }
    }

    pub(crate) fn last_used(&self) -> Option<Timestamp> {
        let seconds = self.used.load(Ordering::Relaxed);
        if seconds == 0 { None } else { Timestamp::from_second(seconds).ok() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAST: &str = "$apr1$salt$aaaaaaaaaaaaaaaaaaaaaa";
    const SLOW: &str =
        "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc";

    fn secrets() -> Secrets {
        Secrets::from_text(&"1".repeat(64)).unwrap()
    }

    fn directory(fast: usize, slow: usize) -> Directory {
        let hashes = [(FAST, fast), (SLOW, slow)];
        let users = hashes.iter().flat_map(|(hash, count)| {
            (0..*count).map(move |number| store::User {
                password: Some((*hash).to_owned()),
                name: format!("{} {number}", &hash[..5]),
                role: Role::User,
                plan: None,
                disabled: false,
                created: Timestamp::UNIX_EPOCH,
                epoch: 0,
            })
        });
        let everyone = Everyone { users: users.collect(), ..Everyone::default() };
        Directory::new(&everyone, &Htpasswd::default(), &secrets(), &Directory::default())
    }

    fn slow_names(directory: &Directory) -> Vec<usize> {
        let secrets = secrets();
        let is_slow = |name: &usize| {
            directory.decoy(&name.to_string(), &secrets).is_some_and(|hash| hash.as_str() == SLOW)
        };
        (0..1000).filter(is_slow).collect()
    }

    #[test]
    fn unknown_names_cost_what_people_cost_and_keep_their_cost() {
        let slow = slow_names(&directory(30, 10));
        assert!((200..300).contains(&slow.len()), "{} of 1000 for 10 of 40", slow.len());
        assert_eq!(slow_names(&directory(30, 10)), slow, "people made anew, in another order of the table");
        let more = slow_names(&directory(30, 11));
        assert!(slow.iter().all(|name| more.contains(name)), "one more makes nobody leave");
        assert!(more.len() - slow.len() < 60, "and few join: {} and {}", more.len(), slow.len());
        assert!(directory(0, 0).decoy("ada", &secrets()).is_none());
    }
}
