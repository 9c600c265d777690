//! The record of a running child, so that a Portico that was killed leaves nothing behind for ever.
//!
//! A leftover is recognised by process number, start time and boot, and by a random marker in the environment of all
//! its processes: never by name. A number alone may belong to somebody else by now.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::engine::MARKER_NAME;
use super::group::Group;
use super::surroundings::file_stem;
use crate::sys::files;
use crate::sys::procfs::{self, Identity};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pid: u32,
    start_ticks: u64,
    boot: String,
    marker: String,
    /// The Portico that started it.
    portico_pid: u32,
    portico_start_ticks: u64,
}

/// What was found of an earlier start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leftover {
    None,
    /// It was ended.
    Ended,
    /// The Portico that started it still runs: it is not left over.
    Owned {
        portico_pid: u32,
    },
    /// It could not be ended.
    Stays {
        pid: u32,
    },
}

pub(super) fn path(data_dir: &Path, model_name: &str) -> PathBuf {
    data_dir.join("models").join(format!("{}.pid", file_stem(model_name)))
}

/// On disk before this returns.
pub(super) fn write(path: &Path, leader: Identity, marker: &str) -> io::Result<()> {
    let own = own_identity().ok_or_else(|| io::Error::other("/proc is not readable"))?;
    let record = Record {
        pid: leader.pid,
        start_ticks: leader.start_ticks,
        boot: procfs::boot_id().unwrap_or_default(),
        marker: marker.to_owned(),
        portico_pid: own.pid,
        portico_start_ticks: own.start_ticks,
    };
    files::replace(path, serde_json::to_string(&record)?.as_bytes(), 0o600)
}

/// Ends what an earlier Portico left behind under this record, with grace, and forgets the record.
pub(super) async fn end_leftover(path: &Path, grace: Duration) -> Leftover {
    let Some(record) = read(path) else { return Leftover::None };
    let owner = Identity { pid: record.portico_pid, start_ticks: record.portico_start_ticks };
    if Some(owner) != own_identity() && is_alive(owner) {
        return Leftover::Owned { portico_pid: owner.pid };
    }
    let leader = Identity { pid: record.pid, start_ticks: record.start_ticks };
    let group = Group::recorded(leader, format!("{MARKER_NAME}={}", record.marker));
    let was_there = !group.members().is_empty();
    if was_there {
        tracing::warn!(pid = leader.pid, "a model process of an earlier Portico is still there: ending it");
        if group.end(grace).await.is_err() {
            return Leftover::Stays { pid: leader.pid };
        }
    }
    forget(path);
    if was_there { Leftover::Ended } else { Leftover::None }
}

/// The record of this boot; one of an earlier boot says nothing about now.
fn read(path: &Path) -> Option<Record> {
    let record: Record = serde_json::from_slice(&std::fs::read(path).ok()?).ok()?;
    (Some(&record.boot) == procfs::boot_id().as_ref() && !record.marker.is_empty()).then_some(record)
}

/// Best effort: a record that stays is checked, and found to name nobody, at the next start.
pub(super) fn forget(path: &Path) {
    if let Err(error) = files::remove(path) {
        tracing::warn!("can't remove {}: {error}", path.display());
    }
}

fn is_alive(identity: Identity) -> bool {
    procfs::stat(identity.pid).is_some_and(|stat| stat.identity == identity && !stat.zombie)
}

fn own_identity() -> Option<Identity> {
    procfs::stat(std::process::id()).map(|stat| stat.identity)
}
