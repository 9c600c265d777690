//! What happened, written down: one record for every request, whatever happened to it.
//!
//! Bounded and never in the way: a data thread formats into its own buffer and hands it on; where the disk does
//! not keep up or is full, lines are dropped and counted, and traffic goes on. No credential, prompt, image or
//! query ever gets here: the record has no field for them.

mod line;
mod log;
mod record;

pub(crate) use log::{AccessLog, LogHandle, flush_thread};
pub(crate) use record::{Record, UpstreamTimes};
