//! Composition: builds everything from one configuration, holds the long-lived threads and tasks, and stops.
//!
//! Two kinds of threads. **Data threads** (one per core) each run a current-thread runtime with their own listeners
//! and connections; requests never leave them. The **control runtime** supervises models, probes, reloads and serves
//! the admin socket. They meet in an immutable snapshot that is swapped as a whole, and in atomics.

mod data;
mod lock;
mod signals;
mod start;

pub(crate) use start::{Announce, StartError, Who, serve};
