//! What `mock` and `load` share: both ends of the same conversation, so that neither can drift from the other.
//! Nothing here knows a proxy; what stands between the two must leave no trace but the ones HTTP allows.

pub mod args;
pub mod process;
pub mod shape;
pub mod wire;
