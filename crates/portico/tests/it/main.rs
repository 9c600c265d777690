//! Promises at the edge, through the real path: the product's binary, over sockets, against real and scripted model
//! servers.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that meets the unexpected stops there, also in what several tests share"
)]

mod accept_endings;
mod accept_records;
mod access_model;
mod access_nginx;
mod access_table;
mod authority;
mod breaking;
mod cert_trust;
mod certificates;
mod cli;
mod command;
mod command_line;
mod corpus;
mod corpus_bodies;
mod corpus_file;
mod corpus_forms;
mod corpus_frames;
mod crashes;
mod dialects;
mod dns01;
mod drain;
mod endpoints;
mod engine;
mod engines;
mod errors;
mod fetching;
mod files;
mod floods;
mod guessing;
mod h2;
mod hostile_pictures;
mod http2;
mod https;
mod identity;
mod leaving;
mod limits;
mod malformed;
mod manners;
mod memory;
mod models_list;
mod pictures;
mod pictures_elsewhere;
mod process;
mod public_web;
mod queue;
mod real;
mod real_dialects;
mod real_vllm;
mod realtime;
mod realtime_endings;
mod realtime_events;
mod realtime_faults;
mod realtime_frames;
mod realtime_handshake;
mod records;
mod reload;
mod serving;
mod setup;
mod slow_reader;
mod startup;
mod stopping;
mod streams;
mod support;
mod surface;
mod transcriptions;
mod who;
