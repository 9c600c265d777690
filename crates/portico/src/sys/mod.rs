//! The only door to the clock, randomness, processes and files.
//!
//! Nothing here decides anything: it reads the world or changes it, and says what happened.

pub(crate) mod clock;
//! The only door to processes, files that must survive a crash, randomness, and to other programs' HTTP.
//!
//! Nothing here knows a model, a configuration or a text that people read: errors are values, and who calls says
//! what they mean.

pub(crate) mod files;
pub(crate) mod http;
pub(crate) mod process;
pub(crate) mod procfs;
pub(crate) mod random;
