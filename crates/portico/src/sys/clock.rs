//! The time: monotonic for everything that is measured, wall clock only for what people read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// tokio's monotonic instant, so that tests can pause it.
pub(crate) use tokio::time::Instant;

pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
