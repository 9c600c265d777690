//! The admin socket: HTTP over a Unix socket, for the command line. Never on a network.
//!
//! Whoever may open the socket (its file mode, and the peer's uid or group on top) may ask; there is no other
//! identity here.

mod accounts;
mod handle;
mod socket;

pub(crate) use accounts::{Request, answer as people_answer};
pub(crate) use socket::{bind, serve};
