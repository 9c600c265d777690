//! What a reload would change.

use super::checked::Config;

pub(crate) fn diff(_old: &Config, _new: &Config) {}
