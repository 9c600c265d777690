//! From a listening socket to a request: bind, accept, one task per connection, its deadlines and its end.
//!
//! Runs on the data threads. Decides nothing about requests; that is `front`'s.

mod accept;
mod bind;
mod connection;
mod frames;
mod handshake;
mod http1;
mod io;
mod live;
mod proxy_protocol;
mod state;

pub(crate) use accept::accept;
pub(crate) use bind::{BindError, Bound, bind};
#[cfg(feature = "fuzzing")]
pub(crate) use http1::{Bounds, Course};
pub(crate) use live::{Connections, LiveThread};
#[cfg(feature = "fuzzing")]
pub(crate) use proxy_protocol::read as proxy_header;

/// What is spoken on a listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

impl Scheme {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Scheme::Http => "http",
            Scheme::Https => "https",
        }
    }
}

/// What all data threads are told when the process is to end. Only ever goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Serving,
    /// No new connections, no new requests on old ones; live answers may finish.
    Draining,
    /// Live answers are cut with a last word.
    Cut,
}
