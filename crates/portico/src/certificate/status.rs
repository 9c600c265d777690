//! What there is to say about the certificate that is served: for `portico cert status`, on screen and in JSON.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::pair::Leaf;
use crate::types::Text;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Status {
    /// What clients ask for.
    pub(crate) names: Vec<String>,
    /// `tls.issuer`, as the configuration has it.
    pub(crate) issuer: String,
    pub(crate) state: State,
    /// The certificate that handshakes get.
    pub(crate) certificate: Certificate,
    /// Where its files are; `None`: in memory only.
    pub(crate) path: Option<String>,
    /// How the names were proven last.
    pub(crate) challenge: Option<String>,
    pub(crate) next: Option<Next>,
    /// Failed orders in a row.
    pub(crate) failures: u32,
    pub(crate) last_error: Option<LastError>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Valid,
    Expired,
    /// Its time has not come: this machine's clock is behind.
    NotYetValid,
    /// Self-signed, because there is no other yet.
    StandIn,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Certificate {
    pub(crate) names: Vec<String>,
    pub(crate) issuer: String,
    pub(crate) serial: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// With one decimal; negative where it has expired.
    pub(crate) days_left: f64,
}

/// What happens next by itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Next {
    pub(crate) at: Timestamp,
    pub(crate) why: Text,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LastError {
    pub(crate) at: Timestamp,
    /// Who has said it: a CA as the configuration names it, or this machine.
    pub(crate) authority: String,
    /// The CA's word for it (`urn:ietf:params:acme:error:…` without its beginning), or one of ours.
    pub(crate) kind: String,
    /// In the CA's own words, or ours where it could not be asked.
    pub(crate) said: Text,
    /// What most likely explains it, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) explanation: Option<Text>,
}

impl Status {
    /// As it is by now: it was written down when something happened last.
    pub(crate) fn at(mut self, now: SystemTime) -> Self {
        let Certificate { not_before, not_after, .. } = self.certificate;
        self.certificate.days_left = tenths_of_days(not_after.as_second() - timestamp(now).as_second());
        if self.state != State::StandIn {
            self.state = State::between(system_time(not_before), system_time(not_after), now);
        }
        self
    }
}

impl Certificate {
    pub(crate) fn of(leaf: &Leaf, now: SystemTime) -> Self {
        let left = timestamp(leaf.not_after).as_second() - timestamp(now).as_second();
        Self {
            names: leaf.names.clone(),
            issuer: leaf.issuer.clone(),
            serial: leaf.serial.clone(),
            not_before: timestamp(leaf.not_before),
            not_after: timestamp(leaf.not_after),
            days_left: tenths_of_days(left),
        }
    }
}

impl State {
    pub(crate) fn of(leaf: &Leaf, now: SystemTime) -> Self {
        Self::between(leaf.not_before, leaf.not_after, now)
    }

    fn between(not_before: SystemTime, not_after: SystemTime, now: SystemTime) -> Self {
        if now < not_before {
            State::NotYetValid
        } else if now >= not_after {
            State::Expired
        } else {
            State::Valid
        }
    }
}

/// Days with one decimal, cut and not rounded: what is left is never overstated.
#[expect(clippy::cast_precision_loss, reason = "tenths of days are far below 2^52")]
fn tenths_of_days(seconds: i64) -> f64 {
    seconds.div_euclid(8640) as f64 / 10.0
}

/// To the second. Times that the calendar does not reach are its ends.
pub(crate) fn timestamp(time: SystemTime) -> Timestamp {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    Timestamp::from_second(seconds).unwrap_or(if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX })
}

/// Back again; what is before 1970 is 1970.
pub(crate) fn system_time(timestamp: Timestamp) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(timestamp.as_second()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_never_overstated() {
        for (seconds, wanted) in
            [(0, 0.0), (8639, 0.0), (8640, 0.1), (86_399, 0.9), (86_400, 1.0), (-1, -0.1)]
        {
            assert!((tenths_of_days(seconds) - wanted).abs() < 1e-9, "{seconds}");
        }
        assert_eq!(timestamp(SystemTime::UNIX_EPOCH).to_string(), "1970-01-01T00:00:00Z");
    }
}
