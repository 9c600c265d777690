//! Name servers, and questions to them.

mod knot;
pub mod question;

pub use knot::{Knot, PROGRAMS};
