//! Own counters, so that a CA's limits are never reached: what is left of half of them. Pure.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::authority::{Limits, Rate};

/// What was asked of one CA lately, in seconds since 1970. Kept on disk: a restart is no fresh start for the CA.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counters {
    orders: Vec<u64>,
    /// Set of names → certificates issued for it.
    certificates: BTreeMap<String, Vec<u64>>,
    /// Name → checks that failed.
    failed_checks: BTreeMap<String, Vec<u64>>,
}

/// Which of the CA's limits holds an order back, and until when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HeldBack {
    pub(crate) until: SystemTime,
    pub(crate) limit: &'static str,
    pub(crate) rate: Rate,
}

impl Counters {
    pub(crate) fn note_order(&mut self, now: SystemTime) {
        self.orders.push(seconds(now));
    }

    pub(crate) fn note_certificate(&mut self, set: &str, now: SystemTime) {
        self.certificates.entry(set.to_owned()).or_default().push(seconds(now));
    }

    pub(crate) fn note_failed_check(&mut self, name: &str, now: SystemTime) {
        self.failed_checks.entry(name.to_owned()).or_default().push(seconds(now));
    }

    /// Whether an order for these names stays under half of every limit. `replaces`: the CA knows which certificate it
    /// renews, and does not count it (Let's Encrypt, for orders by RFC 9773).
    pub(crate) fn allow(
        &self,
        limits: Limits,
        set: &str,
        names: &[String],
        replaces: bool,
        now: SystemTime,
    ) -> Result<(), HeldBack> {
        let none = Vec::new();
        let mut counted = Vec::new();
        if !replaces {
            counted.push(("orders", limits.orders, &self.orders));
            counted.push((
                "certificates for the same names",
                limits.same_names,
                self.certificates.get(set).unwrap_or(&none),
            ));
        }
        for name in names {
            let failed = self.failed_checks.get(name).unwrap_or(&none);
            counted.push(("failed checks of a name", limits.failed_checks, failed));
        }
        let held = counted.into_iter().filter_map(|(limit, rate, times)| {
            let rate = rate?;
            let until = free_at(rate, times, now)?;
            Some(HeldBack { until, limit, rate })
        });
        held.max_by_key(|held| held.until).map_or(Ok(()), Err)
    }

    /// Forgets what no limit counts any more.
    pub(crate) fn tidy(&mut self, now: SystemTime) {
        let oldest = seconds(now).saturating_sub(8 * 24 * 3600);
        // What lies ahead was written while the clock was wrong.
        let newest = seconds(now) + 60;
        let keep = |times: &mut Vec<u64>| times.retain(|time| (oldest..=newest).contains(time));
        keep(&mut self.orders);
        for map in [&mut self.certificates, &mut self.failed_checks] {
            map.values_mut().for_each(keep);
            map.retain(|_, times| !times.is_empty());
        }
    }
}

/// When one more would still be within half of the rate; `None`: now.
fn free_at(rate: Rate, times: &[u64], now: SystemTime) -> Option<SystemTime> {
    let half = usize::try_from(rate.most / 2).unwrap_or(usize::MAX).max(1);
    let since = seconds(now).saturating_sub(rate.within.as_secs());
    let mut recent: Vec<u64> =
        times.iter().copied().filter(|time| *time > since && *time <= seconds(now)).collect();
    if recent.len() < half {
        return None;
    }
    recent.sort_unstable();
    let leaves = recent[recent.len() - half];
    Some(SystemTime::UNIX_EPOCH + Duration::from_secs(leaves) + rate.within)
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acme::authority::Authority;
    use crate::config::Issuer;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000 + seconds)
    }

    #[test]
    fn half_of_each_limit_is_left_to_others() {
        let limits = Authority::of(&Issuer::LetsEncrypt).unwrap().limits;
        let names = ["a.example".to_owned(), "b.example".to_owned()];
        let mut counters = Counters::default();
        let until = |counters: &Counters, replaces, now| {
            counters.allow(limits, "set", &names, replaces, at(now)).err().map(|held| held.until)
        };
        assert_eq!(until(&counters, false, 0), None);
        counters.note_failed_check("b.example", at(0));
        counters.note_failed_check("c.example", at(0));
        counters.note_failed_check("c.example", at(0));
        assert_eq!(until(&counters, false, 1), None, "one failed check of ours");
        counters.note_failed_check("b.example", at(600));
        assert_eq!(until(&counters, false, 700), Some(at(3600)), "two, the first of which is out in an hour");
        assert_eq!(until(&counters, true, 700), Some(at(3600)), "a renewal's checks count as well");
        assert_eq!(until(&counters, false, 3600), None);
        for now in [10_000, 20_000] {
            counters.note_order(at(now));
            counters.note_certificate("set", at(now));
        }
        assert_eq!(until(&counters, false, 30_000), Some(at(10_000 + 7 * 24 * 3600)));
        assert_eq!(until(&counters, true, 30_000), None, "a renewal that the CA knows of");
        assert_eq!(Counters::default().allow(Limits::default(), "set", &names, false, at(0)), Ok(()));
    }

    #[test]
    fn a_hundred_and_fifty_orders_in_three_hours_and_no_more() {
        let limits = Authority::of(&Issuer::LetsEncrypt).unwrap().limits;
        let mut counters = Counters::default();
        for now in 0..150 {
            assert_eq!(counters.allow(limits, "set", &[], false, at(now)), Ok(()), "{now}");
            counters.note_order(at(now));
        }
        let held = counters.allow(limits, "set", &[], false, at(150)).unwrap_err();
        assert_eq!((held.limit, held.until), ("orders", at(3 * 3600)));
        counters.tidy(at(9 * 24 * 3600));
        assert_eq!(counters, Counters::default());
        counters.note_order(at(10_000));
        counters.tidy(at(0));
        assert_eq!(counters, Counters::default(), "written while the clock was ahead");
    }
}
