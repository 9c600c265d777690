//! Admission: how many requests of one model run at once, and who waits for what.
//!
//! A line belongs to one model. A request takes a [`Permit`] at once when the model is ready and has room; otherwise
//! it waits, first come first served, with a position. What is taken is given back by `Drop`, on whatever thread.
//! The fair order between people comes later and belongs in [`line::Line`], behind the same two types.

mod line;

pub(crate) use line::{Admission, Limits, Line, Permit, Place, Ticket};
