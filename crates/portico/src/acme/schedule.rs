//! When a certificate is renewed, and when a failed order is tried again. Pure: the time is an argument.

use std::time::{Duration, SystemTime};

use crate::certificate::Leaf;

/// Certificates of less than this are renewed at half of their time, not at two thirds: a third of six days would
/// leave two for a CA that is down.
pub(super) const SHORT: Duration = Duration::from_secs(10 * 24 * 3600);
/// Behind the moment that is due, at random, so that not everybody in the world renews on the hour.
const MOST_SPREAD: Duration = Duration::from_secs(3600);
/// The waits after the first, second and third failure in a row; then daily (letsencrypt.org/docs/integration-guide).
const LADDER: [Duration; 4] = [
    Duration::from_secs(60),
    Duration::from_secs(10 * 60),
    Duration::from_secs(100 * 60),
    Duration::from_secs(24 * 3600),
];
/// So long a new certificate is left alone.
const MOST_YOUTH: Duration = Duration::from_secs(24 * 3600);
/// Whatever a CA asks for.
const LONGEST_WAIT: Duration = Duration::from_secs(30 * 24 * 3600);
/// How often a CA is asked for its window where it says nothing else: at least twice a day (RFC 9773, 4.3.3).
const ASK_EVERY: Duration = Duration::from_secs(6 * 3600);
const ASK_AT_LEAST_EVERY: Duration = Duration::from_secs(11 * 3600);
const ASK_AT_MOST_EVERY: Duration = Duration::from_secs(60);

/// When the CA wants a certificate to be renewed (RFC 9773).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: SystemTime,
    pub(crate) end: SystemTime,
}

/// Without a word of the CA: with a third of the lifetime left, half of it for short ones.
///
/// `random`: a draw from 0 up to 1.
pub(crate) fn due(leaf: &Leaf, random: f64) -> SystemTime {
    let lifetime = leaf.lifetime();
    let left = if lifetime < SHORT { lifetime / 2 } else { lifetime / 3 };
    leaf.not_after - left + MOST_SPREAD.min(lifetime / 60).mul_f64(random)
}

/// A moment within the CA's window, but never so late that a day's outage would cost the certificate, and never so early
/// that a CA which says "now" of every certificate would be asked all day.
pub(crate) fn within(window: Window, leaf: &Leaf, random: f64) -> SystemTime {
    let length = window.end.duration_since(window.start).unwrap_or_default();
    let chosen = window.start + length.mul_f64(random);
    let lifetime = leaf.lifetime();
    let (first, last) = (leaf.not_before + MOST_YOUTH.min(lifetime / 10), leaf.not_after - lifetime / 10);
    chosen.clamp(first, last)
}

/// How long until the CA is asked for its window again.
pub(crate) fn ask_again(leaf: &Leaf, retry_after: Option<Duration>) -> Duration {
    retry_after.unwrap_or(ASK_EVERY).min(ASK_AT_LEAST_EVERY).min(leaf.lifetime() / 12).max(ASK_AT_MOST_EVERY)
}

/// How long to wait after so many failures in a row, and what the CA has asked for on top.
pub(crate) fn wait_after(failures: u32, retry_after: Option<Duration>) -> Duration {
    let step = usize::try_from(failures.max(1) - 1).unwrap_or(usize::MAX).min(LADDER.len() - 1);
    LADDER[step].max(retry_after.unwrap_or_default().min(LONGEST_WAIT))
}

/// A moment that was written down before may lie ahead only because the clock went back since: then it is forgotten.
/// `written`: when it was written down.
pub(crate) fn still_holds(written: SystemTime, now: SystemTime) -> bool {
    written <= now
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DAY: u64 = 24 * 3600;

    fn leaf(seconds: u64) -> Leaf {
        let not_before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        Leaf {
            names: vec!["a.example".to_owned()],
            not_before,
            not_after: not_before + Duration::from_secs(seconds),
            issuer: String::new(),
            serial: String::new(),
            renewal_id: None,
        }
    }

    fn age(leaf: &Leaf, at: SystemTime) -> f64 {
        at.duration_since(leaf.not_before).unwrap().as_secs_f64() / leaf.lifetime().as_secs_f64()
    }

    #[test]
    fn certificates_of_every_lifetime_have_their_day() {
        for (seconds, wanted) in [
            (90 * DAY, 0.667),
            (64 * DAY, 0.667),
            (47 * DAY, 0.667),
            (45 * DAY, 0.667),
            (6 * DAY, 0.5),
            (600, 0.5),
            (120, 0.5),
        ] {
            let leaf = leaf(seconds);
            let share = age(&leaf, due(&leaf, 0.0));
            assert!((share - wanted).abs() < 0.001, "{seconds} s: {share}");
            let latest = age(&leaf, due(&leaf, 1.0));
            assert!(latest - share < 0.017 && latest > share, "{seconds} s: {latest}");
        }
    }

    #[test]
    fn failures_wait_longer_and_a_ca_that_asks_for_more_gets_it() {
        let seconds =
            |failures, after: Option<u64>| wait_after(failures, after.map(Duration::from_secs)).as_secs();
        assert_eq!([0, 1, 2, 3, 4, 5, 1000].map(|n| seconds(n, None)), [60, 60, 600, 6000, DAY, DAY, DAY]);
        assert_eq!(seconds(1, Some(3600)), 3600);
        assert_eq!(seconds(3, Some(3600)), 6000);
        assert_eq!(seconds(1, Some(7 * DAY)), 7 * DAY);
        assert_eq!(seconds(1, Some(u64::MAX)), 30 * DAY);
    }

    #[test]
    fn the_window_is_asked_for_at_least_twice_a_day() {
        let seconds = |lifetime, after: Option<u64>| {
            ask_again(&leaf(lifetime), after.map(Duration::from_secs)).as_secs()
        };
        assert_eq!(seconds(90 * DAY, None), 6 * 3600);
        assert_eq!(seconds(90 * DAY, Some(21_600)), 21_600);
        assert_eq!(seconds(90 * DAY, Some(30 * DAY)), 11 * 3600);
        assert_eq!(seconds(90 * DAY, Some(0)), 60);
        assert_eq!(seconds(6 * DAY, None), 6 * 3600);
        assert_eq!(seconds(DAY, None), 7200);
        assert_eq!(seconds(120, None), 60);
    }

    proptest! {
        #[test]
        fn a_moment_of_the_window_is_in_it_and_in_time(start in -100_i64..200, length in 0_u64..200, random in 0.0..1.0_f64) {
            let leaf = leaf(90 * DAY);
            let start = if start < 0 {
                leaf.not_before - Duration::from_secs(start.unsigned_abs() * DAY)
            } else {
                leaf.not_before + Duration::from_secs(start.unsigned_abs() * DAY)
            };
            let window = Window { start, end: start + Duration::from_secs(length * DAY) };
            let chosen = within(window, &leaf, random);
            let (first, last) = (leaf.not_before + Duration::from_secs(DAY), leaf.not_after - leaf.lifetime() / 10);
            prop_assert!(chosen >= first && chosen <= last);
            prop_assert!(chosen >= window.start.min(last) && chosen <= window.end.max(first));
        }
    }
}
