//! What Portico's tests need: model servers, real ([`models`]) and scripted ([`scripted`]), a client that shows every
//! byte ([`client`]), the product's binary in a folder of its own ([`portico`]), a certificate authority
//! ([`acme`]), a name server ([`dns`]).
//!
//! Everything that is started here ends with the value that stands for it, also when a test panics or is killed, and
//! every wait has a deadline. What goes wrong panics, with the logs of what was running: that is how tests fail.
//! This crate never depends on the crate `portico`, so that it can be a development dependency of it.

#![expect(
    clippy::panic,
    clippy::print_stderr,
    reason = "a test fails by panicking, and shows its logs on stderr"
)]

pub mod acme;
pub mod client;
pub mod corpus;
pub mod dns;
pub mod frames;
pub mod image;
pub mod models;
pub mod net;
pub mod portico;
pub mod process;
pub mod programs;
pub mod scripted;
pub mod temporary;
pub mod tls;
pub mod wait;
pub mod websocket;
