//! Certificates from a certificate authority, by ACME (RFC 8555): ordered, renewed in time, and ordered again when it
//! fails, without anybody looking after it.
//!
//! `driver` runs as long as the process and decides by `schedule` and `allowance`, which are pure; `order` is one order
//! from the account to the chain; `store` is what survives a restart. A certificate that is served goes on being served
//! whatever happens here.

mod account;
mod allowance;
mod asking;
mod authority;
mod client;
mod dns;
mod driver;
mod error;
mod journal;
mod order;
mod outcome;
mod schedule;
mod settings;
mod solve;
mod status;
mod store;

pub(crate) use driver::Driver;
pub(crate) use outcome::{Outcome, Wish};
pub(crate) use settings::Settings;
pub(crate) use status::kept_status;
