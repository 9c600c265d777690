//! Promises at the edge, through the real path: the product's binary, over sockets, against real and scripted model
//! servers.

mod command_line;
mod breaking;
mod endpoints;
mod errors;
mod h2;
mod leaving;
mod models_list;
mod serving;
mod setup;
mod streams;
mod support;
mod surface;
