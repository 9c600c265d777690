//! How things stand with a certificate, as it is shown.

use std::time::SystemTime;

use super::journal::{Journal, Renewal};
use super::schedule::{self, Window};
use super::settings::Settings;
use super::store::Store;
use crate::certificate::{Certificate, Leaf, Next, Pair, State, Status, system_time, timestamp};
use crate::sys::clock::WallClock;
use crate::types::{Text, text};

/// What is known without a running process.
pub(crate) fn kept_status(settings: &Settings) -> Option<Status> {
    let store = Store::new(&settings.data_dir, &settings.names);
    let (pair, now) = (store.pair().ok().flatten()?, WallClock::default().now());
    let journal = store.journal();
    let renewal = journal.renewal.as_ref().filter(|renewal| renewal.serial == pair.leaf.serial);
    let next = renewal.map(|renewal| (system_time(renewal.at), why(renewal, &pair.leaf)));
    Some(status(settings, &store, &pair, &journal, Some(&pair), now, next))
}

pub(super) fn status(
    settings: &Settings,
    store: &Store,
    served: &Pair,
    journal: &Journal,
    pair: Option<&Pair>,
    now: SystemTime,
    next: Option<(SystemTime, Text)>,
) -> Status {
    Status {
        names: settings.names.clone(),
        issuer: settings.authority.name.clone(),
        state: if served.is_stand_in { State::StandIn } else { State::of(&served.leaf, now) },
        certificate: Certificate::of(&served.leaf, now),
        path: pair.map(|_| store.pair_file().display().to_string()),
        challenge: journal.challenge.map(|proof| proof.word().to_owned()),
        next: next.map(|(at, why)| Next { at: timestamp(at), why }),
        failures: journal.failures,
        last_error: journal.last_error.clone(),
    }
}

/// Why a certificate is renewed when it is.
pub(super) fn why(renewal: &Renewal, leaf: &Leaf) -> Text {
    match renewal.window() {
        Some(Window { start, end }) => {
            let (start, end) = (timestamp(start), timestamp(end));
            text!(
                "a moment of the window that the certificate authority suggests, {start} to {end}",
                "颁发机构建议的时间窗 {start} 至 {end} 内的某一时刻"
            )
        }
        None if leaf.lifetime() < schedule::SHORT => {
            text!("half of its lifetime will be left", "届时剩余一半有效期")
        }
        None => text!("a third of its lifetime will be left", "届时剩余三分之一有效期"),
    }
}
