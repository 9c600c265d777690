//! The only door to the clock, randomness, processes, files that must survive a crash, and other programs' HTTP.
//!
//! Nothing here knows a model, a configuration or a text that people read: errors are values, and who calls says
//! what they mean.

pub(crate) mod bucket;
pub(crate) mod clock;
pub(crate) mod deadline;
pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod large_buffers;
pub(crate) mod machine;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod random;
pub(crate) mod read_buffer;
pub(crate) mod terminal;
pub(crate) mod trusted;
pub(crate) mod users;
