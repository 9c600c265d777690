//! Composition: builds everything from one configuration, holds the long-lived tasks, reloads and stops.
//!
//! Two kinds of threads. **Data threads** (one per core) each run a current-thread runtime with their own listeners
//! and connections; requests never leave them. The **control runtime** supervises models, probes, reloads and serves
//! the admin socket. They meet in an immutable snapshot that is swapped as a whole, and in atomics.

mod control;
mod data;
mod lock;
mod models;
mod reload;
mod signals;
mod start;
mod tracing_log;
mod unopened;

pub(crate) use control::{Control, ReloadOutcome};
pub(crate) use models::Live;
pub(crate) use reload::startable;
pub(crate) use start::{Announce, StartError, serve};
