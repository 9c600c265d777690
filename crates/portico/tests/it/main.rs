//! Promises at the edge, through the real path: the product's binary, over sockets, against real and scripted model
//! servers.

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
mod manners;
mod models_list;
mod process;
mod queue;
mod records;
mod serving;
mod setup;
mod slow_reader;
mod startup;
mod streams;
mod support;
mod surface;
mod who;
