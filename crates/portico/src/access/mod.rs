//! Who may come in.
//!
//! `decide` is the decision, pure: networks, and whether somebody is known. `authenticator` is who somebody is, from the one
//! place where credentials are read (`credential`); `verify` and `lockout` stand between it and passwords. `accounts` is the
//! only way to change people, keys and sessions, over the thread that owns the store.
//!
//! Never here: a password, key or token in a log line, an error or a `Debug`; a decision that a missing file or store opens.

mod accounts;
mod address;
mod authenticator;
mod credential;
mod decide;
mod directory;
mod explain;
mod htpasswd;
mod key;
mod lockout;
mod operations;
mod password;
mod verify;

pub(crate) use accounts::{Accounts, AccountsError, Attempt, Place as StorePlace};
pub(crate) use address::{client_address, forwarded_chain, is_loopback_authority, is_trusted};
pub(crate) use authenticator::{Authenticator, Caller, Identified, Judged};
pub(crate) use credential::{Credential, composed, cookie_name, credential};
pub(crate) use decide::{Entrance, Place, Rules, Surface};
pub(crate) use directory::Person;
pub(crate) use explain::{Question, explain};
#[cfg(feature = "fuzzing")]
pub(crate) use htpasswd::parse as parse_htpasswd;
pub(crate) use htpasswd::{Htpasswd, read as read_htpasswd};
pub(crate) use key::token;
pub(crate) use operations::{Actor, KeyWish, NewKey, NotDone, key_state, word as role_word};
pub(crate) use password::refused as password_refused;
