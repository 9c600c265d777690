//! Portico: the front door for a self-hosted vision-language model.
//!
//! Start reading at `front/mod.rs`, the request path. Rooms and who may import whom: `ARCHITECTURE.md`.

mod cli;
mod config;
mod reason;
mod supervise;
mod sys;
mod types;
