//! What has to be remembered: people, their keys, sessions and invitations, and the record of who did what.
//!
//! Small traits by use ([`People`], [`Sessions`], [`AuditTrail`]), so that other databases can follow; `sqlite` is the one
//! there is. A change of people and its record in the audit trail are one transaction: what was acknowledged is there after
//! a crash, both or neither. Calls block, for milliseconds as a rule: a thread of their own makes them.
//!
//! Never here: a decision about who may come in; a key, token or password as its owner types it. What is kept of keys,
//! sessions and invitations are digests under a secret that lies outside the database (`secrets`), of passwords a slow hash.
//!
//! Times are kept to the microsecond.

pub(crate) mod backup;
mod chain;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash_tests;
#[cfg(test)]
mod disk_tests;
mod hex;
mod noted;
mod open;
#[cfg(test)]
mod open_tests;
mod place;
#[cfg(test)]
mod sample;
mod secrets;
mod sqlite;
#[cfg(test)]
mod tamper_tests;

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub(crate) use hex::encode as in_hex;
pub(crate) use open::{Found, Opened, exists, open};
pub(crate) use secrets::Secrets;
pub(crate) use sqlite::Sqlite;

/// HMAC-SHA-256 of a key, a session's token or an invitation's, under one of the [`secrets`].
pub(crate) type Digest = [u8; 32];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    User,
    Operator,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: String,
    /// A slow hash in PHC form; `None`: invited, and no password chosen yet.
    pub(crate) password: Option<String>,
    pub(crate) role: Role,
    /// `None`: the default one.
    pub(crate) plan: Option<String>,
    pub(crate) disabled: bool,
    pub(crate) created: Timestamp,
    /// Raised by whatever ends the user's sessions: another password, being disabled.
    pub(crate) epoch: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiKey {
    /// What it is called by; no secret.
    pub(crate) id: String,
    pub(crate) user: String,
    /// What its owner calls it.
    pub(crate) name: String,
    pub(crate) digest: Digest,
    pub(crate) created: Timestamp,
    pub(crate) expires: Option<Timestamp>,
    /// Empty: all that the plan allows.
    pub(crate) models: Vec<String>,
    /// Empty: every address that may come in.
    pub(crate) networks: Vec<IpNet>,
    /// Written now and then, not at every use.
    pub(crate) last_used: Option<Timestamp>,
    pub(crate) revoked: Option<Timestamp>,
    /// The key that a rotation put in its place.
    pub(crate) replaced_by: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) digest: Digest,
    pub(crate) user: String,
    /// What it is bound to: it is void once its user's password or state is another one.
    pub(crate) bound_to: Digest,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
    pub(crate) address: IpAddr,
    /// As the browser called itself, cut.
    pub(crate) agent: String,
}

/// A one-time link by which somebody chooses a password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Invitation {
    pub(crate) digest: Digest,
    pub(crate) user: String,
    pub(crate) created: Timestamp,
    pub(crate) expires: Timestamp,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Everyone {
    pub(crate) users: Vec<User>,
    pub(crate) keys: Vec<ApiKey>,
    pub(crate) invitations: Vec<Invitation>,
}

/// One change of people. What does not fit what is there is refused as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    AddUser(User),
    /// Only while there is no user at all.
    AddFirstUser(User),
    /// Raises the epoch, and ends the user's invitation.
    SetPassword {
        user: String,
        password: String,
    },
    SetPlan {
        user: String,
        plan: Option<String>,
    },
    SetRole {
        user: String,
        role: Role,
    },
    /// Raises the epoch.
    SetDisabled {
        user: String,
        disabled: bool,
    },
    /// With keys, sessions and invitations.
    RemoveUser {
        user: String,
    },
    AddKey(ApiKey),
    /// The old one holds until `until` at the latest.
    RotateKey {
        old: String,
        until: Timestamp,
        new: ApiKey,
    },
    RevokeKey {
        id: String,
        at: Timestamp,
    },
    /// Takes the place of the user's earlier ones.
    AddInvitation(Invitation),
    /// Raises the epoch. Only while the invitation is there and has not expired at `at`; it is gone afterwards.
    AcceptInvitation {
        digest: Digest,
        password: String,
        at: Timestamp,
    },
}

/// Users, keys and invitations.
pub(crate) trait People: Send {
    fn everyone(&mut self) -> Result<Everyone, StoreError>;
    /// Durable, together with its record, when this returns.
    fn change(&mut self, change: &Change, entry: &Entry) -> Result<(), StoreError>;
    /// When keys were used last. Unknown ids are skipped.
    fn note_use(&mut self, used: &[(String, Timestamp)]) -> Result<(), StoreError>;
}

/// Browsers that are logged in.
pub(crate) trait Sessions: Send {
    /// Those that have not expired at `now`; the others are forgotten.
    fn sessions(&mut self, now: Timestamp) -> Result<Vec<Session>, StoreError>;
    fn add_session(&mut self, session: &Session, entry: &Entry) -> Result<(), StoreError>;
    fn end_sessions(&mut self, which: &Ending, entry: &Entry) -> Result<(), StoreError>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ending {
    One(Digest),
    /// All of a user, but the one that asks for it.
    AllOf {
        user: String,
        except: Option<Digest>,
    },
}

/// The record of logins, failures, and changes of users, keys and configuration: a chain, in which each record vouches for
/// the one before it.
pub(crate) trait AuditTrail: Send {
    fn append(&mut self, entry: &Entry) -> Result<(), StoreError>;
    /// The newest `limit` records, oldest first.
    fn latest(&mut self, limit: u32) -> Result<Vec<Record>, StoreError>;
    /// The newest record's, for whoever notes it elsewhere.
    fn head(&mut self) -> Result<Option<Head>, StoreError>;
    /// Goes through all of it. `known`: a head that was noted elsewhere, which has to be in the chain.
    fn verify(&mut self, known: Option<&Head>) -> Result<Verdict, StoreError>;
}

/// What is to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) at: Timestamp,
    /// Who did it: `user:NAME`, `system:NAME` (of this machine, by the admin socket or the command line), `portico`, or `-`
    /// for somebody unknown.
    pub(crate) actor: String,
    /// `login`, `login.failed`, `user.add`, `key.revoke`, `config.reload` …
    pub(crate) action: String,
    /// The user or key that it was done to.
    pub(crate) target: String,
    pub(crate) address: Option<IpAddr>,
    /// A few words more; no secret.
    pub(crate) detail: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) number: u64,
    /// Begins with 1; a restored backup begins another one.
    pub(crate) epoch: u64,
    pub(crate) entry: Entry,
    pub(crate) mac: Digest,
}

/// The end of the chain at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) number: u64,
    pub(crate) mac: Digest,
}

/// `NUMBER:MAC`, as logs have it.
impl std::fmt::Display for Head {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.number, hex::encode(&self.mac))
    }
}

impl std::str::FromStr for Head {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (number, mac) = text.trim().split_once(':').ok_or(())?;
        Ok(Self { number: number.parse().map_err(|_| ())?, mac: hex::decode(mac).ok_or(())? })
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// So many records, and the last of them.
    Whole { records: u64, head: Option<Head> },
    /// The first record that is not as it was written, or that is missing, and how that shows.
    Broken { number: u64, how: Break },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Break {
    /// It, or its place in the chain, was changed.
    Changed,
    /// There is none with this number.
    Missing,
    /// The chain ends before a head that was noted elsewhere, or went on from another one.
    Cut,
    /// What was noted of its end beside the database is gone, or is not as it was written.
    Unnoted,
}

/// Why something could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("there is one of this name already")]
    Exists,
    #[error("there is none of this name")]
    Missing,
    /// An invitation that has been used or has expired, a first user where there is one.
    #[error("it is too late for that")]
    TooLate,
    #[error("the database: {0}")]
    Database(String),
}

#[cfg(test)]
fn open_for_test(folder: &testkit::temporary::Folder) -> Opened {
    open(folder.path(), &folder.path().join("portico.db")).unwrap()
}
