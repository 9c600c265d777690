//! The configuration funnel: one file in, one checked value out.
//!
//! `raw` mirrors the file as it is written, `check` judges all of it at once, and what other rooms see is only
//! [`Config`] from `checked`: whole, in range, with every default filled in. Nothing here opens a file that the
//! configuration names, asks the network, or starts anything: `portico check` must be safe to run anywhere.

pub(crate) mod checked;

pub(crate) use checked::*;
