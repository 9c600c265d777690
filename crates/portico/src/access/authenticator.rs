//! Who is it? From a credential to a person, for every request anew.
//!
//! Keys and sessions cost an HMAC and a look into a table; a password that was verified within the last minute costs the
//! same, any other waits for `verify`. Everything is in memory: no database is asked on the request path.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use jiff::Timestamp;

use super::credential::{Credential, composed};
use super::decide::Shown;
use super::directory::{Directory, Key, Person, Source};
use super::key;
use super::lockout::{Attempt, Locked, Lockout, Settled};
use super::password::PasswordHash;
use super::verify::{Busy, Fingerprint, Lane, Verifier};
use crate::config;
use crate::reason::{Reason, Refusal};
use crate::store::{Digest, Secrets, Session};
use crate::sys::clock::Instant;
use crate::types::Identity;

pub(crate) struct Authenticator {
    directory: ArcSwap<Directory>,
    sessions: RwLock<HashMap<Digest, Session>>,
    /// `None`: there is no store yet, so there are no keys and sessions.
    secrets: ArcSwapOption<Secrets>,
    verifier: Verifier,
    lockout: Mutex<Lockout>,
    /// For an unknown name where nobody has a password.
    nobody: PasswordHash,
    /// There are users or keys, or there were: local mode is over.
    has_people: AtomicBool,
}

/// Somebody who has come in, and by what.
#[derive(Debug, Clone, Default)]
pub(crate) enum Caller {
    /// By the address, or in local mode.
    #[default]
    Nobody,
    Password(Arc<Person>),
    Session(Arc<Person>, Digest),
    Key(Arc<Key>),
}

/// What a credential has come to.
#[derive(Debug)]
pub(crate) struct Identified {
    pub(crate) shown: Shown,
    pub(crate) caller: Caller,
}

/// What a password has come to.
#[derive(Debug)]
pub(crate) enum Judged {
    Right {
        person: Arc<Person>,
        /// From an address that the account was not used from before.
        is_first: bool,
    },
    Wrong {
        locked: Option<Locked>,
    },
    /// It was not looked at; the address or the account may try again after so long.
    LockedOut(Duration),
    Busy,
}

impl Caller {
    pub(crate) fn person(&self) -> Option<&Arc<Person>> {
        match self {
            Caller::Nobody => None,
            Caller::Password(person) | Caller::Session(person, _) => Some(person),
            Caller::Key(key) => Some(&key.owner),
        }
    }

    pub(crate) fn key(&self) -> Option<&Arc<Key>> {
        if let Caller::Key(key) = self { Some(key) } else { None }
    }

    pub(crate) fn session(&self) -> Option<Digest> {
        if let Caller::Session(_, digest) = self { Some(*digest) } else { None }
    }

    pub(crate) fn plan(&self) -> Option<&Arc<str>> {
        self.person().and_then(|person| person.plan.as_ref())
    }

    /// As the log names him.
    pub(crate) fn identity(&self) -> Option<&Arc<Identity>> {
        match self {
            Caller::Key(key) => Some(&key.identity),
            _ => self.person().map(|person| &person.identity),
        }
    }
}

impl Authenticator {
    pub(crate) fn new(limits: config::Lockout) -> std::io::Result<Self> {
        // Nobody knows its password, nor do we.
        let nobody = PasswordHash::parse(
            "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        )
        .map_err(|_| std::io::Error::other("the decoy of passwords is not whole"))?;
        Ok(Self {
            directory: ArcSwap::default(),
            sessions: RwLock::default(),
            secrets: ArcSwapOption::empty(),
            verifier: Verifier::start()?,
            lockout: Mutex::new(Lockout::new(limits)),
            nobody,
            has_people: AtomicBool::new(false),
        })
    }

    pub(crate) fn directory(&self) -> arc_swap::Guard<Arc<Directory>> {
        self.directory.load()
    }

    pub(crate) fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    pub(crate) fn has_people(&self) -> bool {
        self.has_people.load(Ordering::Relaxed)
    }

    pub(crate) fn set_limits(&self, limits: config::Lockout) {
        self.lockout().set_limits(limits);
    }

    pub(super) fn set_people(&self, has_people: bool) {
        self.has_people.store(has_people, Ordering::Relaxed);
    }

    pub(super) fn set_secrets(&self, secrets: Arc<Secrets>) {
        self.secrets.store(Some(secrets));
    }

    pub(super) fn set_directory(&self, directory: Directory) {
        self.directory.store(Arc::new(directory));
    }

    pub(super) fn set_sessions(&self, sessions: Vec<Session>) {
        let now = Instant::now();
        let mut lockout = self.lockout();
        for session in &sessions {
            lockout.remember(session.address, &session.user, now);
        }
        drop(lockout);
        let sessions = sessions.into_iter().map(|session| (session.digest, session));
        *self.sessions.write().unwrap_or_else(PoisonError::into_inner) = sessions.collect();
    }

    pub(super) fn change_sessions(&self, change: impl FnOnce(&mut HashMap<Digest, Session>)) {
        change(&mut self.sessions.write().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn session(&self, digest: &Digest) -> Option<Session> {
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).get(digest).cloned()
    }

    /// Whom an invitation is for, if it is good.
    pub(crate) fn invited(&self, token: &str) -> Option<String> {
        let digest = self.secrets.load().as_ref()?.digest_of_invitation(token);
        self.directory.load().invited(&digest, Timestamp::now()).map(str::to_owned)
    }

    /// Keys and sessions. Passwords are for [`Self::remembered`] and then for [`super::Accounts::judge`].
    pub(crate) fn identify(&self, credential: &Credential<'_>, address: IpAddr) -> Identified {
        let found = match credential {
            Credential::None => Ok(None),
            Credential::Unusable(why) => Err(Refusal::new(Reason::WrongCredentials).because(*why)),
            Credential::Basic { .. } => {
                Err(Refusal::new(Reason::WrongCredentials).because("the password was not looked at"))
            }
            Credential::Key(key) => self.by_key(key, address).map(Some),
            Credential::Session(token) => self.by_session(token).map(Some),
        };
        match found {
            Ok(Some(caller)) => Identified::somebody(caller),
            Ok(None) => Identified::nobody(),
            Err(refusal) => Identified::wrong(refusal),
        }
    }

    fn by_key(&self, key: &str, address: IpAddr) -> Result<Caller, Refusal> {
        let (key, now) = (self.find_key(key)?, Timestamp::now());
        key.check(Some(address), now)?;
        key.note_use(now);
        Ok(Caller::Key(key))
    }

    pub(super) fn find_key(&self, key: &str) -> Result<Arc<Key>, Refusal> {
        const MALFORMED: &str = "what was sent has not the form of a key";
        let wrong = |why: &'static str| Refusal::new(Reason::InvalidKey).because(why);
        if key.len() != key::LENGTH {
            return Err(wrong(MALFORMED));
        }
        let secrets = self.secrets.load();
        let secrets = secrets.as_ref().ok_or_else(|| wrong("there are no keys"))?;
        let digest = secrets.digest_of_key(key);
        let found = self.directory.load().key(&digest).cloned();
        found.ok_or_else(|| wrong(if key::is_well_formed(key) { "there is no such key" } else { MALFORMED }))
    }

    fn by_session(&self, token: &str) -> Result<Caller, Refusal> {
        let ended = |why: String| Refusal::new(Reason::SessionExpired).because(why);
        let secrets = self.secrets.load();
        let digest = secrets.as_ref().map(|secrets| secrets.digest_of_session(token));
        let digest = digest.ok_or_else(|| ended("there are no sessions".to_owned()))?;
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&digest).ok_or_else(|| ended("there is no such session".to_owned()))?;
        let name = &session.user;
        if session.expires <= Timestamp::now() {
            return Err(ended(format!("the session of {name} expired at {}", session.expires)));
        }
        let directory = self.directory.load();
        let person = directory.person(name).filter(|person| !person.disabled);
        let person = person.filter(|person| person.binding == session.bound_to);
        let person = person.ok_or_else(|| {
            ended(format!("{name} is gone or disabled, or has another password than when the session began"))
        })?;
        Ok(Caller::Session(person.clone(), digest))
    }

    /// Whose password this is, where it was verified less than a minute ago.
    pub(crate) fn remembered(&self, name: &str, password: &[u8]) -> Option<Arc<Person>> {
        let directory = self.directory.load();
        let person = directory.person(name).filter(|person| !person.disabled);
        let own = person.and_then(|person| person.password.as_ref());
        let hash = own.unwrap_or(&self.nobody);
        let composed = composed_bytes(password);
        let is_right = self.verifier.is_remembered(name, hash, &composed, Instant::now());
        person.filter(|_| is_right && own.is_some()).cloned()
    }

    /// Holds a password against the one of a name. Takes as long, and answers the same, whether there is such a name. Dropped
    /// before it is done, it counts as a wrong one.
    pub(super) async fn judge(&self, name: &str, password: &[u8], address: IpAddr) -> Judged {
        let (person, hash) = self.hash_for(name);
        let is_known = person.is_some();
        let composed = composed_bytes(password);
        let fingerprint = self.verifier.fingerprint(name, &hash, &composed);
        // Who joins in the question of another is not charged for it.
        let attempt = if self.verifier.is_asked(&fingerprint) {
            None
        } else {
            match self.lockout().begin(address, name, Instant::now()) {
                Ok(attempt) => Some(ChargeGuard { lockout: &self.lockout, attempt: Some(attempt) }),
                Err(wait) => return Judged::LockedOut(wait),
            }
        };
        let is_familiar = attempt.as_ref().is_some_and(ChargeGuard::is_familiar);
        let lane = if is_familiar { Lane::Known } else { Lane::Stranger };
        let verified = self.verified(fingerprint, &hash, name, (&composed, password), is_known, lane).await;
        let (settled, is_right) = match verified {
            Ok(true) if is_known => (Settled::Right, true),
            Ok(_) => (Settled::Wrong, false),
            Err(Busy) => (Settled::Unknown, false),
        };
        let mut lockout = self.lockout();
        let is_first = is_right && !lockout.is_familiar(address, name);
        let locked = attempt.and_then(|attempt| attempt.settle(&mut lockout, settled));
        drop(lockout);
        match (person, settled) {
            (Some(person), Settled::Right) => Judged::Right { person, is_first },
            (_, Settled::Unknown) => Judged::Busy,
            _ => Judged::Wrong { locked },
        }
    }

    /// The person behind a name who may log in, and what to verify against: where there is none, the hash of somebody else,
    /// with an answer that does not count.
    fn hash_for(&self, name: &str) -> (Option<Arc<Person>>, PasswordHash) {
        let directory = self.directory.load();
        let person = directory.person(name);
        let secrets = self.secrets.load();
        // Drawn for known names, too: it takes as long then.
        let decoy = secrets.as_ref().and_then(|secrets| directory.decoy(name, secrets));
        let own = person.and_then(|person| person.password.as_ref());
        let able = person.filter(|person| !person.disabled && own.is_some()).cloned();
        (able, own.or(decoy).unwrap_or(&self.nobody).clone())
    }

    /// Characters that can be written in more than one way are composed, as Portico's own pages send them; an htpasswd file
    /// may have been made from others, so what came is tried as well.
    async fn verified(
        &self,
        fingerprint: Fingerprint,
        hash: &PasswordHash,
        name: &str,
        password: (&[u8], &[u8]),
        remember: bool,
        lane: Lane,
    ) -> Result<bool, Busy> {
        let (composed, as_sent) = password;
        let is_right = self.verifier.verify(fingerprint, composed, remember, lane).await?;
        if is_right || composed == as_sent {
            return Ok(is_right);
        }
        let fingerprint = self.verifier.fingerprint(name, hash, as_sent);
        self.verifier.verify(fingerprint, as_sent, remember, lane).await
    }

    fn lockout(&self) -> MutexGuard<'_, Lockout> {
        self.lockout.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A password in the form that Portico's own pages send.
fn composed_bytes(password: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(password).map(composed) {
        Ok(Cow::Owned(text)) => Cow::Owned(text.into_bytes()),
        _ => Cow::Borrowed(password),
    }
}

/// An attempt that is charged. Dropped unsettled it was wrong: what nobody settles would lock an address or an account for
/// ever.
struct ChargeGuard<'a> {
    lockout: &'a Mutex<Lockout>,
    attempt: Option<Attempt>,
}

impl ChargeGuard<'_> {
    fn is_familiar(&self) -> bool {
        self.attempt.is_some_and(|attempt| attempt.is_familiar)
    }

    fn settle(mut self, lockout: &mut Lockout, settled: Settled) -> Option<Locked> {
        self.attempt.take().and_then(|attempt| lockout.settle(attempt, settled, Instant::now()))
    }
}

impl Drop for ChargeGuard<'_> {
    fn drop(&mut self) {
        if let Some(attempt) = self.attempt.take() {
            let mut lockout = self.lockout.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = lockout.settle(attempt, Settled::Wrong, Instant::now());
        }
    }
}

impl Identified {
    pub(crate) fn nobody() -> Self {
        Self { shown: Shown::Nothing, caller: Caller::default() }
    }

    pub(crate) fn somebody(caller: Caller) -> Self {
        Self { shown: Shown::Somebody, caller }
    }

    pub(crate) fn wrong(refusal: Refusal) -> Self {
        Self { shown: Shown::Wrong(refusal), caller: Caller::default() }
    }
}

impl Judged {
    /// The answer where it is not right. The private part says no more of the name than the attempt did.
    pub(crate) fn refusal(&self, address: IpAddr) -> Refusal {
        match self {
            Judged::LockedOut(wait) => {
                let seconds = wait.as_secs();
                let mut refusal = Refusal::new(Reason::TooManyAttempts).because(format!(
                    "access.lockout: too many failures from {address} or at this account, again in {seconds} s"
                ));
                refusal.retry_after = Some(*wait);
                refusal
            }
            Judged::Busy => {
                Refusal::new(Reason::ServerBusy).because("too many passwords wait to be verified")
            }
            Judged::Right { .. } | Judged::Wrong { .. } => {
                Refusal::new(Reason::WrongCredentials).because("the name or the password is wrong")
            }
        }
    }
}

impl Person {
    pub(crate) fn is_of_file(&self) -> bool {
        self.source == Source::Htpasswd
    }
}
