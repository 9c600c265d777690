//! What was counted, and the report made of it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};

use crate::exchange::Failure;
use crate::modes::Plan;
use crate::window::Measured;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    #[default]
    WarmUp,
    Window,
    Over,
}

/// One thread, so cells do.
#[derive(Debug, Default)]
pub struct Shared {
    pub phase: Cell<Phase>,
    /// Requests sent so far, also before and after the window.
    pub sent: Cell<u64>,
    tally: RefCell<Tally>,
}

#[derive(Debug, Default)]
struct Tally {
    /// In the window: answers, events or mebibytes, whatever the mode counts.
    units: u64,
    /// All answers that were complete and right.
    right: u64,
    /// Kept connections that the server ended, announced with an answer; anything else is an error.
    reconnects: u64,
    latency_micros: Vec<u32>,
    first_event_micros: Vec<u32>,
    transit_micros: Vec<u32>,
    /// What TLS was agreed on, the same for all connections.
    agreed: Option<String>,
    errors: BTreeMap<&'static str, u64>,
    first_error: Option<String>,
}

impl Shared {
    pub fn over(&self) -> bool {
        self.phase.get() == Phase::Over
    }

    fn in_window(&self) -> bool {
        self.phase.get() == Phase::Window
    }

    pub fn next_request(&self) -> u64 {
        self.sent.replace(self.sent.get() + 1)
    }

    pub fn right_answer(&self, units: u64, took: Duration) {
        let mut tally = self.tally.borrow_mut();
        tally.right += 1;
        if self.in_window() {
            tally.units += units;
            tally.latency_micros.push(micros(took));
        }
    }

    pub fn right_stream(&self) {
        self.tally.borrow_mut().right += 1;
    }

    /// Times to the first event count whenever they are taken: the paced streams all begin before the window.
    pub fn first_event(&self, took: Duration) {
        self.tally.borrow_mut().first_event_micros.push(micros(took));
    }

    /// Streams that have had their first event.
    pub fn begun(&self) -> usize {
        self.tally.borrow().first_event_micros.len()
    }

    pub fn events(&self, transits: &[u64]) {
        if self.in_window() {
            let mut tally = self.tally.borrow_mut();
            tally.units += transits.len() as u64;
            tally
                .transit_micros
                .extend(transits.iter().map(|micros| u32::try_from(*micros).unwrap_or(u32::MAX)));
        }
    }

    pub fn reconnect(&self) {
        self.tally.borrow_mut().reconnects += 1;
    }

    /// A server that agrees on now this and now that is not one that can be compared.
    pub fn agreed(&self, what: String) -> Result<(), Failure> {
        let mut tally = self.tally.borrow_mut();
        match &tally.agreed {
            Some(before) if *before != what => {
                Err(Failure::new("tls", format!("{what} where it was {before} before")))
            }
            _ => {
                tally.agreed = Some(what);
                Ok(())
            }
        }
    }

    #[cfg(test)]
    pub fn agreement(&self) -> Option<String> {
        self.tally.borrow().agreed.clone()
    }

    pub fn error(&self, failure: &Failure) {
        let mut tally = self.tally.borrow_mut();
        *tally.errors.entry(failure.kind).or_default() += 1;
        tally.first_error.get_or_insert_with(|| failure.to_string());
    }

    /// So many that more would tell nothing new, and going on would only heat the machine.
    pub fn hopeless(&self) -> bool {
        self.tally.borrow().errors.values().sum::<u64>() >= 200
    }

    pub fn report(&self, plan: &Plan, measured: &Measured) -> (Value, bool) {
        let mut tally = self.tally.borrow_mut();
        let tally = &mut *tally;
        let errors: u64 = tally.errors.values().sum();
        let cost = measured.spent.map(|spent| spent.seconds * 1e6 / (tally.units.max(1) as f64));
        let report = json!({
            "mode": plan.mode.name(),
            "unit": plan.mode.unit(),
            "connections": plan.connections,
            "window_seconds": measured.seconds,
            "units": tally.units,
            "units_per_second": tally.units as f64 / measured.seconds,
            "cpu_micros_per_unit": cost,
            "cpu_seconds": measured.spent.map(|spent| spent.seconds),
            "cpu_source": measured.spent.map(|spent| spent.source),
            "beside_cpu_seconds": measured.beside.map(|spent| spent.seconds),
            "load_cpu_seconds": measured.own.map(|spent| spent.seconds),
            "late_streams": measured.late_streams,
            "foreign_cpu_seconds": measured.foreign_seconds,
            "rss_bytes": measured.memory.map(|memory| memory.rss_bytes),
            "pss_bytes": measured.memory.map(|memory| memory.pss_bytes),
            "rss_bytes_before": measured.memory_before.map(|memory| memory.rss_bytes),
            "pss_bytes_before": measured.memory_before.map(|memory| memory.pss_bytes),
            "tls": tally.agreed,
            "latency_ms": percentiles(&mut tally.latency_micros),
            "first_event_ms": percentiles(&mut tally.first_event_micros),
            "transit_ms": percentiles(&mut tally.transit_micros),
            "requests": self.sent.get(),
            "right": tally.right,
            "reconnects": tally.reconnects,
            "errors": errors,
            "errors_by_kind": tally.errors,
            "first_error": tally.first_error,
        });
        // Each request ends right or as an error, and a window in which nothing finished proves nothing.
        let complete = tally.right + errors == self.sent.get();
        (report, errors == 0 && tally.units > 0 && complete)
    }
}

fn micros(took: Duration) -> u32 {
    u32::try_from(took.as_micros()).unwrap_or(u32::MAX)
}

fn percentiles(samples: &mut [u32]) -> Value {
    if samples.is_empty() {
        return Value::Null;
    }
    samples.sort_unstable();
    // Nearest rank: always a value that was really seen.
    let at = |share: f64| {
        let rank = (share * samples.len() as f64).ceil() as usize;
        f64::from(samples[rank.clamp(1, samples.len()) - 1]) / 1000.0
    };
    json!({ "samples": samples.len(), "p50": at(0.50), "p90": at(0.90), "p99": at(0.99), "max": at(1.0) })
}

#[cfg(test)]
mod tests {
    use super::{Shared, percentiles};

    #[test]
    fn all_connections_agree_on_the_same() {
        let shared = Shared::default();
        assert!(shared.agreed("X25519".to_owned()).is_ok());
        assert!(shared.agreed("X25519".to_owned()).is_ok());
        assert!(shared.agreed("secp256r1".to_owned()).is_err());
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let mut samples: Vec<u32> = (1..=200).rev().map(|value| value * 1000).collect();
        let found = percentiles(&mut samples);
        assert_eq!((found["p50"].as_f64(), found["p99"].as_f64()), (Some(100.0), Some(198.0)));
        assert_eq!(percentiles(&mut [7000])["p99"].as_f64(), Some(7.0));
        assert!(percentiles(&mut []).is_null());
    }
}
