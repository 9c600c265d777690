//! What has to be known of one set of names after a restart: what worked, what failed, when to try again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::schedule::{self, Window};
use crate::certificate::{LastError, Leaf, system_time, timestamp};
use crate::config::Challenge;

/// One per set of names, beside its certificate.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Journal {
    /// The challenge that worked last; `auto` begins with it.
    pub(crate) challenge: Option<Proof>,
    /// Failed orders in a row.
    pub(crate) failures: u32,
    /// When the last order was begun, failed or not.
    pub(crate) tried: Option<Timestamp>,
    /// Not before this is another order made by itself.
    pub(crate) not_before: Option<Timestamp>,
    pub(crate) last_error: Option<LastError>,
    /// The directory of the CA that has signed the kept certificate.
    pub(crate) issued_by: Option<String>,
    pub(crate) renewal: Option<Renewal>,
}

/// How a name is proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Proof {
    #[serde(rename = "tls-alpn-01")]
    TlsAlpn01,
    #[serde(rename = "http-01")]
    Http01,
    #[serde(rename = "dns-01")]
    Dns01,
}

/// When a certificate is to be renewed, as it was decided for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Renewal {
    /// Of the certificate that this is about.
    pub(crate) serial: String,
    pub(crate) at: Timestamp,
    /// As the CA has suggested it; `None`: by its lifetime.
    pub(crate) window: Option<(Timestamp, Timestamp)>,
    /// The CA's page that says why.
    pub(crate) explanation_url: Option<String>,
    pub(crate) asked: Option<Timestamp>,
    pub(crate) ask_again: Option<Timestamp>,
}

impl Renewal {
    /// When its lifetime says, with a random second.
    pub(crate) fn by_lifetime(leaf: &Leaf, fraction: f64) -> Self {
        Self {
            serial: leaf.serial.clone(),
            at: timestamp(schedule::due(leaf, fraction)),
            window: None,
            explanation_url: None,
            asked: None,
            ask_again: None,
        }
    }

    pub(crate) fn window(&self) -> Option<Window> {
        self.window.map(|(start, end)| Window { start: system_time(start), end: system_time(end) })
    }
}

impl Proof {
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Proof::TlsAlpn01 => "tls-alpn-01",
            Proof::Http01 => "http-01",
            Proof::Dns01 => "dns-01",
        }
    }
}

impl Journal {
    /// Which ways to prove the names are tried in one attempt, in order.
    pub(crate) fn proofs(&self, challenge: Challenge, for_addresses: bool) -> Vec<Proof> {
        match challenge {
            Challenge::TlsAlpn01 => vec![Proof::TlsAlpn01],
            Challenge::Http01 => vec![Proof::Http01],
            Challenge::Dns01 => vec![Proof::Dns01],
            // Browsers' CAs offer both for addresses, Let's Encrypt names HTTP-01 first.
            Challenge::Auto
                if self.challenge == Some(Proof::Http01) || (for_addresses && self.challenge.is_none()) =>
            {
                vec![Proof::Http01, Proof::TlsAlpn01]
            }
            Challenge::Auto => vec![Proof::TlsAlpn01, Proof::Http01],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_begins_with_what_worked() {
        let mut journal = Journal::default();
        let words = |journal: &Journal, challenge, addresses| -> Vec<&str> {
            journal.proofs(challenge, addresses).into_iter().map(Proof::word).collect()
        };
        assert_eq!(words(&journal, Challenge::Auto, false), ["tls-alpn-01", "http-01"]);
        assert_eq!(words(&journal, Challenge::Auto, true), ["http-01", "tls-alpn-01"]);
        assert_eq!(words(&journal, Challenge::Dns01, false), ["dns-01"]);
        journal.challenge = Some(Proof::Http01);
        assert_eq!(words(&journal, Challenge::Auto, false), ["http-01", "tls-alpn-01"]);
        assert_eq!(words(&journal, Challenge::TlsAlpn01, false), ["tls-alpn-01"]);
        journal.challenge = Some(Proof::Dns01);
        assert_eq!(words(&journal, Challenge::Auto, false), ["tls-alpn-01", "http-01"]);
    }

    #[test]
    fn an_old_or_a_foreign_journal_is_read_as_far_as_it_goes() {
        let old: Journal = serde_json::from_str(r#"{"failures":2,"later":{"a":1}}"#).unwrap();
        assert_eq!(old.failures, 2);
    }
}
