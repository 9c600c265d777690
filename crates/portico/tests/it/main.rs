//! Promises at the edge, through the real path: the product's binary, over sockets, against real and scripted model
//! servers.

#![expect(clippy::panic, reason = "a test fails by panicking, also in what tests share")]

mod breaking;
mod cli;
mod command;
mod command_line;
mod drain;
mod endpoints;
mod engine;
mod errors;
mod h2;
mod http2;
mod leaving;
mod limits;
mod malformed;
mod manners;
mod models_list;
mod process;
mod queue;
mod real;
mod records;
mod serving;
mod setup;
mod slow_reader;
mod startup;
mod streams;
mod support;
mod surface;
mod who;
