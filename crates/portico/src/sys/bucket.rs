//! A rate that may be passed for a moment: a token bucket. The time is given.

use std::time::Duration;

use super::clock::Instant;

#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    pub(crate) at_once: f32,
    pub(crate) per_second: f32,
}

#[derive(Debug)]
pub(crate) struct Bucket {
    rate: Rate,
    left: f32,
    since: Instant,
}

impl Bucket {
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        Self { rate, left: rate.at_once, since: now }
    }

    /// Whether there is one more to take.
    pub(crate) fn take(&mut self, now: Instant) -> bool {
        self.take_some(1.0, now)
    }

    /// Whether there is so much more to take.
    pub(crate) fn take_some(&mut self, amount: f32, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since);
        // The clock is read once a packet; below a millisecond nothing is worth a sum.
        if passed > Duration::from_millis(1) {
            self.left = (self.left + passed.as_secs_f32() * self.rate.per_second).min(self.rate.at_once);
            self.since = now;
        }
        if self.left < amount {
            return false;
        }
        self.left -= amount;
        true
    }
}
