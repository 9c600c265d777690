//! Promises at the edge, through the real path: the product's binary, over sockets, against real and scripted model
//! servers.

mod cli;
mod command;
mod engine;
mod files;
mod process;
mod reload;
mod serving;
mod startup;
mod support;
