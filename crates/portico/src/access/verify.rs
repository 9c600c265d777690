//! Passwords are verified here: on threads of their own, of low priority, behind two queues that refuse. People who come from
//! where they were before do not stand behind strangers, who may all be guessing.
//!
//! What was right is remembered for a minute under a key that only this process knows, so that scripts which send a name
//! and a password with every call pay for it once. What is remembered is bound to the hash that was verified against: another
//! password, and it is void. The same question asked by many at once is answered once.

use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use aws_lc_rs::hmac;
use tokio::sync::oneshot;

use super::password::{self, PasswordHash};
use crate::sys::clock::Instant;
use crate::sys::process::lower_thread_priority;
use crate::sys::random;

/// What waits to be verified, in each queue. Each takes from one to some hundred milliseconds.
const QUEUE: usize = 64;
const REMEMBERED: Duration = Duration::from_secs(60);
const MOST_REMEMBERED: usize = 4096;

/// A name and a password, as an HMAC under a key of this process, and the hash that they are held against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    digest: [u8; 32],
    hash: PasswordHash,
}

/// The digest alone: two hashes for one name and password are rare.
impl Hash for Fingerprint {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.digest.hash(state);
    }
}

/// More wait to be verified than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Busy;

pub(crate) struct Verifier {
    shared: Arc<Shared>,
}

/// Whom a password is verified for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// Somebody who is known, or comes from an address that the account was used from before.
    Known,
    Stranger,
}

struct Shared {
    key: hmac::Key,
    right: Mutex<HashMap<[u8; 32], (PasswordHash, Instant)>>,
    /// Who waits for the same answer.
    waiting: Mutex<HashMap<Fingerprint, Vec<oneshot::Sender<bool>>>>,
    queues: Mutex<Queues>,
    /// Something was put into a queue, or it is over.
    changed: Condvar,
}

#[derive(Default)]
struct Queues {
    known: VecDeque<Job>,
    strangers: VecDeque<Job>,
    is_over: bool,
}

enum Job {
    Verify { fingerprint: Fingerprint, password: Vec<u8>, remember: bool },
    Hash { password: Vec<u8>, answer: oneshot::Sender<std::io::Result<PasswordHash>> },
}

impl Verifier {
    /// Starts its threads, half as many as there are processors. They end with it.
    pub(crate) fn start() -> std::io::Result<Self> {
        let mut key = [0_u8; 32];
        random::fill(&mut key)?;
        let shared = Arc::new(Shared {
            key: hmac::Key::new(hmac::HMAC_SHA256, &key),
            right: Mutex::default(),
            waiting: Mutex::default(),
            queues: Mutex::default(),
            changed: Condvar::new(),
        });
        let threads = std::thread::available_parallelism().map_or(1, |count| (count.get() / 2).clamp(1, 4));
        for _ in 0..threads {
            let shared = shared.clone();
            std::thread::Builder::new().name("passwords".to_owned()).spawn(move || work(&shared))?;
        }
        Ok(Self { shared })
    }

    pub(crate) fn fingerprint(&self, name: &str, hash: &PasswordHash, password: &[u8]) -> Fingerprint {
        Fingerprint { digest: self.digest(name, password), hash: hash.clone() }
    }

    fn digest(&self, name: &str, password: &[u8]) -> [u8; 32] {
        let mut context = hmac::Context::with_key(&self.shared.key);
        for piece in [name.as_bytes(), password] {
            context.update(&(piece.len() as u64).to_be_bytes());
            context.update(piece);
        }
        let mut digest = [0_u8; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }

    /// It was verified less than a minute ago.
    pub(crate) fn is_remembered(
        &self,
        name: &str,
        hash: &PasswordHash,
        password: &[u8],
        now: Instant,
    ) -> bool {
        let digest = self.digest(name, password);
        let right = lock(&self.shared.right);
        right.get(&digest).is_some_and(|(verified, since)| {
            verified == hash && now.saturating_duration_since(*since) < REMEMBERED
        })
    }

    /// Whether somebody else waits for the same answer already, so that asking costs nothing.
    pub(crate) fn is_asked(&self, fingerprint: &Fingerprint) -> bool {
        lock(&self.shared.waiting).contains_key(fingerprint)
    }

    /// Whether the password is that of the fingerprint's hash. `remember`: where it is, for the next minute. Dropping the future
    /// does not stop what has begun.
    pub(crate) async fn verify(
        &self,
        fingerprint: Fingerprint,
        password: &[u8],
        remember: bool,
        lane: Lane,
    ) -> Result<bool, Busy> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = lock(&self.shared.waiting);
            match waiting.get_mut(&fingerprint) {
                Some(others) => others.push(sender),
                None => {
                    let asked = fingerprint.clone();
                    let job = Job::Verify { fingerprint: asked, password: password.to_vec(), remember };
                    self.shared.put(job, lane)?;
                    waiting.insert(fingerprint, vec![sender]);
                }
            }
        }
        receiver.await.map_err(|_gone| Busy)
    }

    /// The hash of a new password.
    pub(crate) async fn hash(&self, password: &[u8]) -> Result<std::io::Result<PasswordHash>, Busy> {
        let (answer, receiver) = oneshot::channel();
        self.shared.put(Job::Hash { password: password.to_vec(), answer }, Lane::Known)?;
        receiver.await.map_err(|_gone| Busy)
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        lock(&self.shared.queues).is_over = true;
        self.shared.changed.notify_all();
    }
}

fn work(shared: &Shared) {
    // What is verified here may be anybody's guess; live answers come first.
    lower_thread_priority();
    while let Some(job) = shared.next() {
        match job {
            Job::Verify { fingerprint, password, remember } => {
                // A panic in one library must not be the last login of all.
                let judged = catch_unwind(AssertUnwindSafe(|| fingerprint.hash.is_of(&password)));
                let is_right = judged.unwrap_or(false);
                if is_right && remember {
                    shared.remember(fingerprint.clone(), Instant::now());
                }
                let waiting = lock(&shared.waiting).remove(&fingerprint);
                for answer in waiting.into_iter().flatten() {
                    // Whoever has asked may have left.
                    let _ = answer.send(is_right);
                }
            }
            Job::Hash { password, answer } => {
                let _ = answer.send(password::hash(&password));
            }
        }
    }
}

impl Shared {
    fn put(&self, job: Job, lane: Lane) -> Result<(), Busy> {
        let mut queues = lock(&self.queues);
        let queue = match lane {
            Lane::Known => &mut queues.known,
            Lane::Stranger => &mut queues.strangers,
        };
        if queue.len() >= QUEUE {
            return Err(Busy);
        }
        queue.push_back(job);
        drop(queues);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits for one. `None`: it is over.
    fn next(&self) -> Option<Job> {
        let mut queues = lock(&self.queues);
        while !queues.is_over {
            if let Some(job) = queues.known.pop_front().or_else(|| queues.strangers.pop_front()) {
                return Some(job);
            }
            queues = self.changed.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
        None
    }

    fn remember(&self, fingerprint: Fingerprint, now: Instant) {
        let mut right = lock(&self.right);
        if right.len() >= MOST_REMEMBERED {
            right.retain(|_, (_, since)| now.saturating_duration_since(*since) < REMEMBERED);
        }
        if right.len() < MOST_REMEMBERED {
            right.insert(fingerprint.digest, (fingerprint.hash, now));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Four rounds of bcrypt: a few milliseconds.
    const CHEAP: &str = "$2y$04$nprOqyjS.m5E7dEfQIwXX..Vr6gd0.QfetwThPAy1j5gQtouswTs6";

    #[tokio::test]
    async fn what_was_right_is_remembered_with_its_hash() {
        let verifier = Verifier::start().unwrap();
        let hash = PasswordHash::parse(CHEAP).unwrap();
        let password = "x".repeat(80).into_bytes();
        let right = verifier.fingerprint("ida", &hash, &password);
        let now = Instant::now();
        assert!(!verifier.is_remembered("ida", &hash, &password, now));
        assert_eq!(verifier.verify(right.clone(), &password, true, Lane::Stranger).await, Ok(true));
        assert!(verifier.is_remembered("ida", &hash, &password, Instant::now()));
        assert!(!verifier.is_remembered("ida", &hash, &password, now + REMEMBERED * 2), "for a minute");
        let wrong = verifier.fingerprint("ida", &hash, b"other");
        assert_eq!(verifier.verify(wrong.clone(), b"other", true, Lane::Stranger).await, Ok(false));
        assert!(!verifier.is_remembered("ida", &hash, b"other", Instant::now()));
        let changed = PasswordHash::parse(&CHEAP.replace("$04$np", "$04$nq")).unwrap();
        assert!(!verifier.is_remembered("ida", &changed, &password, Instant::now()), "bound to the hash");
        assert_ne!(verifier.fingerprint("ida", &changed, &password), right, "another question");
        assert_ne!(verifier.fingerprint("adi", &hash, &password), right, "bound to the name");
    }

    #[tokio::test]
    async fn many_who_ask_the_same_are_one_and_too_many_others_are_refused() {
        let verifier = Arc::new(Verifier::start().unwrap());
        let hash = PasswordHash::parse(CHEAP).unwrap();
        let ask = |password: String| {
            let (verifier, hash) = (verifier.clone(), hash.clone());
            let fingerprint = verifier.fingerprint("ida", &hash, password.as_bytes());
            async move { verifier.verify(fingerprint, password.as_bytes(), false, Lane::Stranger).await }
        };
        let same: Vec<_> = (0..1000).map(|_| tokio::spawn(ask("x".repeat(80)))).collect();
        for asked in same {
            assert_eq!(asked.await.unwrap(), Ok(true));
        }
        let others: Vec<_> = (0..1000).map(|n| tokio::spawn(ask(n.to_string()))).collect();
        let mut refused = 0;
        for asked in others {
            match asked.await.unwrap() {
                Ok(is_right) => assert!(!is_right),
                Err(Busy) => refused += 1,
            }
        }
        assert!(refused > 800, "{refused} of 1000");
    }

    #[tokio::test]
    async fn who_is_known_does_not_stand_behind_strangers() {
        let verifier = Arc::new(Verifier::start().unwrap());
        let hash = PasswordHash::parse(CHEAP).unwrap();
        let done = Arc::new(Mutex::new(Vec::new()));
        let ask = |number: usize, lane: Lane| {
            let (verifier, hash, done) = (verifier.clone(), hash.clone(), done.clone());
            async move {
                let password = number.to_string().into_bytes();
                let fingerprint = verifier.fingerprint("ida", &hash, &password);
                let answer = verifier.verify(fingerprint, &password, false, lane).await;
                lock(&done).push((lane, answer));
            }
        };
        let mut asked = tokio::task::JoinSet::new();
        for number in 0..QUEUE * 2 {
            asked.spawn(ask(number, Lane::Stranger));
        }
        // Asked in this order, for they are all of one thread.
        asked.spawn(ask(QUEUE * 2, Lane::Known));
        asked.join_all().await;
        let done = lock(&done);
        let looked_at = done.iter().filter(|(_, answer)| *answer == Ok(false));
        let place = looked_at.clone().position(|(lane, _)| *lane == Lane::Known).expect("it was looked at");
        let strangers = looked_at.count() - 1;
        assert!(strangers >= QUEUE && place < strangers / 2, "{place} of {strangers}");
        assert!(done.len() - strangers > 1, "the queue of strangers was full");
    }

    #[tokio::test]
    async fn a_new_hash_is_made_here_too() {
        let verifier = Verifier::start().unwrap();
        let hash = verifier.hash(b"long enough").await.unwrap().unwrap();
        assert!(hash.is_of(b"long enough"));
    }
}
