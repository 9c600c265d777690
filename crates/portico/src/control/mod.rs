//! The running process as its operator meets it: what it serves now, its models, its logs; and reloads.
//!
//! `run` builds a [`Control`] and lives as long as it; the admin socket and signals act on it. Nothing here starts or
//! ends the process.

mod accounts;
mod backup;
mod certificates;
mod error_log;
mod models;
mod process;
mod reload;
pub(crate) mod unopened;

pub(crate) use accounts::{open as open_accounts, watch as watch_accounts};
pub(crate) use backup::{extras, passphrase, put_back};
pub(crate) use certificates::{Certificates, NotTried, kept as kept_certificates, renew_alone};
pub(crate) use error_log::ErrorLog;
pub(crate) use models::{Live, Plan, registry};
pub(crate) use process::{Control, ReloadOutcome};
pub(crate) use reload::{startable, watch_file};
