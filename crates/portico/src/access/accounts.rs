//! Changes of people, keys and sessions: one at a time, on a thread that owns the store.
//!
//! A change is durable before it is answered, and what the request path sees (`authenticator`) follows it before the answer
//! too: who revokes a key and has the answer can rely on it. Where there is no store yet, as in local mode, the first change
//! makes it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::authenticator::{Authenticator, Judged};
use super::directory::{Directory, Person};
use super::htpasswd::Htpasswd;
use super::key;
use super::lockout::Locked;
use crate::store::backup::{Extra, backup};
use crate::store::{
    self, AuditTrail as _, Change, Digest, Ending, Entry, Everyone, Found, Head, Opened, People as _, Record,
    Session, Sessions as _, StoreError, Verdict,
};
use crate::types::{Text, text};

/// What waits to be written.
const QUEUE: usize = 256;
/// Of these, records that nobody waits for: guessing must not take the room of logging in.
const MOST_NOTES: usize = 32;
/// Of one person. The oldest ends when there is one more.
const MOST_SESSIONS: usize = 64;

#[derive(Clone)]
pub(crate) struct Accounts {
    authenticator: Arc<Authenticator>,
    jobs: SyncSender<Job>,
    /// Records that wait.
    notes: Arc<AtomicUsize>,
    /// Records of the audit trail that found no room.
    lost: Arc<AtomicU64>,
}

type Job = Box<dyn FnOnce(&mut Clerk) + Send>;

/// Where the store lies.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) data_dir: PathBuf,
    pub(crate) database: PathBuf,
}

/// A name and a password that somebody has sent.
pub(crate) struct Attempt {
    pub(crate) name: String,
    pub(crate) password: Vec<u8>,
    pub(crate) address: IpAddr,
    /// With Basic, what the client calls itself. Pages log in by [`Accounts::log_in`], which makes a record of its own.
    pub(crate) basic: Option<String>,
}

#[derive(Debug)]
pub(crate) enum AccountsError {
    Busy,
    Store(StoreError),
    /// There is no store, and none can be made.
    Open(Text),
    /// The kernel gave no random numbers, or the like.
    Other(std::io::Error),
}

/// What the thread owns.
struct Clerk {
    place: Place,
    opened: Option<Opened>,
    /// There was a store and it is gone, or could not be read: nothing may be open for that.
    is_lost: bool,
    htpasswd: Htpasswd,
    authenticator: Arc<Authenticator>,
}

impl Accounts {
    /// Starts the thread. `open`: the store is made now if there is none. What was found of it comes back, where it was opened.
    /// Blocks for some milliseconds.
    pub(crate) fn start(
        place: Place,
        htpasswd: Htpasswd,
        authenticator: Arc<Authenticator>,
        open: bool,
    ) -> Result<(Self, Option<Found>), AccountsError> {
        let mut clerk = Clerk { place, opened: None, is_lost: false, htpasswd, authenticator };
        let exists = store::exists(&clerk.place.data_dir, &clerk.place.database);
        let found = if open || exists {
            clerk.open()?;
            clerk.opened.as_ref().map(|opened| opened.found.clone())
        } else {
            None
        };
        let authenticator = clerk.authenticator.clone();
        let (jobs, queue) = sync_channel::<Job>(QUEUE);
        std::thread::Builder::new()
            .name("accounts".to_owned())
            .spawn(move || work(clerk, &queue))
            .map_err(AccountsError::Other)?;
        Ok((Self { authenticator, jobs, notes: Arc::default(), lost: Arc::default() }, found))
    }

    pub(crate) fn authenticator(&self) -> &Arc<Authenticator> {
        &self.authenticator
    }

    /// Holds a password that is not remembered against the one of a name, and writes down what the audit trail should know.
    /// It is finished and written down as well where the asker does not wait for it: nobody guesses unseen by hanging up
    /// early.
    pub(crate) async fn judge(&self, attempt: Attempt) -> Judged {
        let accounts = self.clone();
        let judging = tokio::spawn(async move {
            let Attempt { name, password, address, .. } = &attempt;
            let judged = accounts.authenticator.judge(name, password, *address).await;
            if let Some(entry) = attempt.entry(&judged) {
                accounts.note(entry);
            }
            judged
        });
        judging.await.unwrap_or(Judged::Busy)
    }

    async fn ask<T: Send + 'static>(
        &self,
        job: impl FnOnce(&mut Clerk) -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        let (answer, receiver) = oneshot::channel();
        let job: Job = Box::new(move |clerk| {
            let _ = answer.send(job(clerk));
        });
        self.jobs.try_send(job).map_err(|_full| AccountsError::Busy)?;
        receiver.await.map_err(|_gone| AccountsError::Busy)?
    }

    /// Durable, recorded and in force when this returns. Dropped, it may still happen.
    pub(crate) async fn change(&self, change: Change, entry: Entry) -> Result<(), AccountsError> {
        self.ask(move |clerk| clerk.change(&change, &entry)).await
    }

    pub(crate) async fn everyone(&self) -> Result<Everyone, AccountsError> {
        self.ask(|clerk| clerk.everyone()).await
    }

    /// The token of a new session.
    pub(crate) async fn log_in(
        &self,
        person: &Person,
        address: IpAddr,
        agent: String,
        lifetime: Duration,
    ) -> Result<String, AccountsError> {
        let token = key::token::<32>().map_err(AccountsError::Other)?;
        let (user, bound_to, sent) = (person.name.to_string(), person.binding, token.clone());
        self.ask(move |clerk| {
            let now = Timestamp::now();
            let expires = now.checked_add(lifetime).unwrap_or(Timestamp::MAX);
            let digest = clerk.open()?.secrets.digest_of_session(&sent);
            let session = Session { digest, user, bound_to, created: now, expires, address, agent };
            clerk.add_session(session)
        })
        .await?;
        Ok(token)
    }

    pub(crate) async fn end_sessions(&self, which: Ending, entry: Entry) -> Result<(), AccountsError> {
        self.ask(move |clerk| clerk.end_sessions(&which, &entry)).await
    }

    /// Recorded soon; counted as lost where too much waits.
    pub(crate) fn note(&self, entry: Entry) {
        let notes = self.notes.clone();
        if notes.fetch_add(1, Ordering::Relaxed) >= MOST_NOTES {
            notes.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let job: Job = Box::new(move |clerk| {
            notes.fetch_sub(1, Ordering::Relaxed);
            if let Some(opened) = &mut clerk.opened
                && let Err(error) = opened.store.append(&entry)
            {
                tracing::error!(%error, action = entry.action, "a record of the audit trail could not be written");
            }
        });
        if self.jobs.try_send(job).is_err() {
            self.notes.fetch_sub(1, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn lost_records(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// What can be learnt from the request path, written down now and then.
    pub(crate) async fn keep_uses(&self) -> Result<(), AccountsError> {
        self.ask(|clerk| {
            let uses = clerk.authenticator.directory().uses();
            match &mut clerk.opened {
                Some(opened) if !uses.is_empty() => {
                    opened.store.note_use(&uses).map_err(AccountsError::Store)
                }
                _ => Ok(()),
            }
        })
        .await
    }

    /// Where there is no store yet, there is one afterwards.
    pub(crate) async fn make_store(&self) -> Result<(), AccountsError> {
        self.ask(|clerk| clerk.open().map(|_| ())).await
    }

    /// The file has changed. In force when this returns.
    pub(crate) async fn set_htpasswd(&self, htpasswd: Htpasswd) -> Result<(), AccountsError> {
        self.ask(move |clerk| {
            clerk.htpasswd = htpasswd;
            clerk.publish()
        })
        .await
    }

    /// Where the audit trail ends now.
    pub(crate) async fn head(&self) -> Result<Option<Head>, AccountsError> {
        self.ask(|clerk| match &mut clerk.opened {
            Some(opened) => opened.store.head().map_err(AccountsError::Store),
            None => Ok(None),
        })
        .await
    }

    /// An encrypted copy of everything at `to`: the size of it. Other changes wait for about a second meanwhile.
    pub(crate) async fn backup(
        &self,
        extras: Vec<Extra>,
        passphrase: String,
        to: PathBuf,
        entry: Entry,
    ) -> Result<u64, AccountsError> {
        self.ask(move |clerk| {
            let store = &mut clerk.open()?.store;
            store.append(&entry).map_err(AccountsError::Store)?;
            let made = backup(store, &extras, passphrase.as_bytes(), &to);
            made.map(|made| made.bytes).map_err(|error| AccountsError::Open(error.text()))
        })
        .await
    }

    pub(crate) async fn audit(&self, limit: u32) -> Result<Vec<Record>, AccountsError> {
        self.ask(move |clerk| match &mut clerk.opened {
            Some(opened) => opened.store.latest(limit).map_err(AccountsError::Store),
            None => Ok(Vec::new()),
        })
        .await
    }

    pub(crate) async fn verify_audit(&self, known: Option<Head>) -> Result<Verdict, AccountsError> {
        self.ask(move |clerk| clerk.open()?.store.verify(known.as_ref()).map_err(AccountsError::Store)).await
    }

    /// The digest under which a new key, or an invitation's token, is kept.
    pub(crate) async fn digest(&self, of: Secret) -> Result<Digest, AccountsError> {
        self.ask(move |clerk| {
            let secrets = &clerk.open()?.secrets;
            Ok(match of {
                Secret::Key(key) => secrets.digest_of_key(&key),
                Secret::Invitation(token) => secrets.digest_of_invitation(&token),
            })
        })
        .await
    }
}

/// What is kept as a digest only.
pub(crate) enum Secret {
    Key(String),
    Invitation(String),
}

impl Attempt {
    fn entry(self, judged: &Judged) -> Option<Entry> {
        let (action, detail) = match judged {
            Judged::Right { is_first: true, .. } => ("login.basic", self.basic?),
            Judged::Wrong { locked } => {
                let detail = match locked {
                    None => "",
                    Some(Locked::Address) => "the address is locked out now",
                    Some(Locked::Account) => "the account is locked now for addresses it was not used from",
                };
                ("login.failed", detail.to_owned())
            }
            _ => return None,
        };
        Some(Entry {
            at: Timestamp::now(),
            actor: "-".to_owned(),
            action: action.to_owned(),
            target: self.name.chars().filter(|c| !c.is_control()).take(64).collect(),
            address: Some(self.address),
            detail,
        })
    }
}

fn work(mut clerk: Clerk, queue: &Receiver<Job>) {
    while let Ok(job) = queue.recv() {
        job(&mut clerk);
    }
}

impl Clerk {
    fn open(&mut self) -> Result<&mut Opened, AccountsError> {
        if self.opened.is_none() {
            let opened = store::open(&self.place.data_dir, &self.place.database)
                .map_err(|error| AccountsError::Open(error.text()))?;
            self.is_lost = matches!(opened.found, Found::Lost | Found::SetAside { .. });
            self.authenticator.set_secrets(Arc::new(opened.secrets.clone()));
            self.opened = Some(opened);
            self.publish()?;
            self.publish_sessions()?;
        }
        self.opened.as_mut().ok_or(AccountsError::Busy)
    }

    fn everyone(&mut self) -> Result<Everyone, AccountsError> {
        match &mut self.opened {
            Some(opened) => opened.store.everyone().map_err(AccountsError::Store),
            None => Ok(Everyone::default()),
        }
    }

    fn change(&mut self, change: &Change, entry: &Entry) -> Result<(), AccountsError> {
        self.open()?.store.change(change, entry).map_err(AccountsError::Store)?;
        self.publish()
    }

    fn publish(&mut self) -> Result<(), AccountsError> {
        let everyone = self.everyone()?;
        let Some(opened) = &self.opened else { return Ok(()) };
        let before = self.authenticator.directory();
        let directory = Directory::new(&everyone, &self.htpasswd, &opened.secrets, &before);
        self.authenticator.set_directory(directory);
        let has_people = self.is_lost || !everyone.users.is_empty() || !everyone.keys.is_empty();
        self.authenticator.set_people(has_people);
        Ok(())
    }

    fn publish_sessions(&mut self) -> Result<(), AccountsError> {
        let Some(opened) = &mut self.opened else { return Ok(()) };
        let sessions = opened.store.sessions(Timestamp::now()).map_err(AccountsError::Store)?;
        self.authenticator.set_sessions(sessions);
        Ok(())
    }

    fn add_session(&mut self, session: Session) -> Result<(), AccountsError> {
        let entry = Entry {
            at: session.created,
            actor: format!("user:{}", session.user),
            action: "login".to_owned(),
            target: session.user.clone(),
            address: Some(session.address),
            detail: session.agent.clone(),
        };
        let opened = self.open()?;
        opened.store.add_session(&session, &entry).map_err(AccountsError::Store)?;
        let mut oldest = None;
        self.authenticator.change_sessions(|sessions| {
            let of_user = sessions.values().filter(|other| other.user == session.user);
            if of_user.clone().count() >= MOST_SESSIONS {
                oldest = of_user.min_by_key(|other| other.created).map(|other| other.digest);
            }
            sessions.insert(session.digest, session);
        });
        match oldest {
            Some(digest) => {
                let entry =
                    Entry { action: "session.end".to_owned(), detail: "too many".to_owned(), ..entry };
                self.end_sessions(&Ending::One(digest), &entry)
            }
            None => Ok(()),
        }
    }

    fn end_sessions(&mut self, which: &Ending, entry: &Entry) -> Result<(), AccountsError> {
        self.open()?.store.end_sessions(which, entry).map_err(AccountsError::Store)?;
        self.authenticator.change_sessions(|sessions| match which {
            Ending::One(digest) => {
                sessions.remove(digest);
            }
            Ending::AllOf { user, except } => {
                sessions.retain(|digest, session| session.user != *user || Some(*digest) == *except);
            }
        });
        Ok(())
    }
}

impl AccountsError {
    pub(crate) fn text(&self) -> Text {
        match self {
            AccountsError::Busy => text!(
                "too many changes are waiting to be written; try again in a moment",
                "等待写入的更改过多;请稍后再试"
            ),
            AccountsError::Store(error) => {
                text!("it could not be kept: {error}", "无法保存:{error}")
            }
            AccountsError::Open(why) => why.clone(),
            AccountsError::Other(error) => text!("it did not work: {error}", "操作失败:{error}"),
        }
    }
}
