//! The only door to the clock, randomness, processes and files.
//!
//! Nothing here decides anything: it reads the world or changes it, and says what happened.

pub(crate) mod clock;
pub(crate) mod random;
