//! Reaching a model server: which of its endpoints, over which connection, within which deadlines.
//!
//! The connection is polled inside the task of the request that uses it: no second task, no channel, and a request
//! that is dropped takes its connection with it, which is what stops the generation. A request is sent again only
//! when not one byte of it was written; a body that comes in pieces is not asked for any before that. A connection is used again only after a complete, clean exchange.
//!
//! HTTP/1.1 is spoken by hand (`head`, `framing`, `connection`): a model server's answer has to be read more strictly
//! than a general client reads it, and a general client costs a channel and several copies for each request.

mod choose;
mod connection;
mod exchange;
mod feed;
mod framing;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod head;
mod pool;
mod send;

pub(crate) use choose::{Endpoint, Endpoints};
pub(crate) use exchange::{Exchange, ExchangeError};
pub(crate) use feed::Source;
#[cfg(feature = "fuzzing")]
pub use fuzzing::{Answer, answer};
pub(crate) use pool::sweep_thread;
pub(crate) use send::{Outbound, Payload, SendFailure, Sent, send};
