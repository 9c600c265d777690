//! Promises at the edge, through the real path: the product's binary, over sockets, against real and scripted model
//! servers.

mod command_line;
mod serving;
mod support;
