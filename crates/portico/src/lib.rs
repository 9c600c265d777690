//! Portico: the front door for a self-hosted vision-language model.
//!
//! Start reading at `front/mod.rs`, the request path. Rooms and who may import whom: `ARCHITECTURE.md`.

mod access;
mod acme;
mod admin;
mod api;
mod certificate;
pub mod cli;
mod config;
mod control;
mod fetch;
mod front;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod listen;
mod observe;
mod queue;
mod reach;
mod reason;
mod run;
mod store;
mod supervise;
mod sys;
mod types;
mod ui;
mod upstream;

#[cfg(test)]
mod rooms;
