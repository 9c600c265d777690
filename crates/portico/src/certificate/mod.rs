//! Certificates as they are served: pairs of chain and key, who gets which in a handshake, and the TLS edge itself.
//!
//! Where pairs come from is somebody else's business: `acme` orders them; `local` makes them for a machine without a
//! name; `files` reads the operator's own. `trust` puts the local root where browsers look for it. Nothing here asks the network, and no private key is ever printed or logged.

mod challenges;
mod edge;
#[cfg_attr(not(test), expect(dead_code, reason = "used by what serves it, in a later change"))]
pub(crate) mod local;
mod pair;
mod resolver;
mod stand_in;
pub(crate) mod trust;

pub(crate) use challenges::{ACME_TLS_ALPN, Challenges, HTTP_01_PREFIX};
pub(crate) use edge::{Edge, HTTP_2_ALPN};
pub(crate) use pair::Pair;
pub(crate) use resolver::Resolver;
pub(crate) use stand_in::stand_in;
