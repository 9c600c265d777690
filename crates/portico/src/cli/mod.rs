//! The command line.

pub(crate) mod model;
