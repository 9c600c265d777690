//! Certificates as they are served: pairs of chain and key, who gets which in a handshake, and the TLS edge itself.
//!
//! Where pairs come from is somebody else's business: `acme` orders them; `local` makes them for a machine without a
//! name; `files` reads the operator's own. `trust` puts the local root where browsers look for it. Nothing here asks the network, and no private key is ever printed or logged.

mod challenges;
mod edge;
pub(crate) mod local;
mod pair;
mod resolver;
mod stand_in;
mod status;
pub(crate) mod trust;

pub(crate) use challenges::{ACME_TLS_ALPN, ChallengeGuard, Challenges, HTTP_01_PREFIX};
pub(crate) use edge::{Edge, HTTP_2_ALPN};
pub(crate) use pair::{Leaf, Pair, PairError};
pub(crate) use resolver::Resolver;
pub(crate) use stand_in::stand_in;
pub(crate) use status::{Certificate, LastError, Next, State, Status, system_time, timestamp};
