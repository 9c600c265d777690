//! Promises at the edge, through the real path: the product's binary, over sockets, against real and scripted model
//! servers.

mod breaking;
mod errors;
mod h2;
mod leaving;
mod serving;
mod setup;
mod streams;
mod support;
mod surface;
