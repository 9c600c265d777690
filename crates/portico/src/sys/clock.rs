//! The time: monotonic for everything that is measured, wall clock only for what people read.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// tokio's monotonic instant, so that tests can pause it.
pub(crate) use tokio::time::Instant;

pub(crate) fn unix_now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The wall clock of long-lived decisions, which tests can set.
#[derive(Debug, Clone, Default)]
pub(crate) struct WallClock {
    #[cfg(test)]
    set: Option<std::sync::Arc<std::sync::Mutex<(SystemTime, Instant)>>>,
}

impl WallClock {
    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests have one of their own")]
    pub(crate) fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    #[cfg(test)]
    pub(crate) fn now(&self) -> SystemTime {
        match &self.set {
            None => SystemTime::now(),
            Some(set) => {
                let (time, since) = *set.lock().unwrap();
                time + since.elapsed()
            }
        }
    }

    /// Goes on from there with tokio's clock, which tests pause.
    #[cfg(test)]
    pub(crate) fn starting_at(time: SystemTime) -> Self {
        Self { set: Some(std::sync::Arc::new(std::sync::Mutex::new((time, Instant::now())))) }
    }

    /// As when an operator sets the clock.
    #[cfg(test)]
    pub(crate) fn jump_to(&self, time: SystemTime) {
        *self.set.as_ref().expect("a clock of a test").lock().unwrap() = (time, Instant::now());
    }
}
