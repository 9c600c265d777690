//! All processes of one child, and their end.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use crate::sys::process;
use crate::sys::procfs::{self, Identity};

/// Between two looks at processes that are known.
const LOOK: Duration = Duration::from_millis(20);
/// Between two searches for all that belong to it.
const SEARCH: Duration = Duration::from_millis(250);
/// After SIGKILL: a process that hangs in the kernel (a stuck driver or disk) can't be waited for, for ever.
const KILL_PATIENCE: Duration = Duration::from_secs(30);

/// One start of a model server: its leader, its process group, and all that they started.
#[derive(Debug, Clone)]
pub(super) struct Group {
    leader: Identity,
    /// `NAME=value` in the environment of them all.
    marker: String,
    /// The group number is known to be ours. It is while we hold the child; of a record it is only if its leader
    /// still lives, because a number that nobody holds is given out again.
    own_number: bool,
    /// Seen while its leader lived.
    seen: Vec<Identity>,
}

/// Processes that SIGKILL did not end.
#[derive(Debug)]
pub(super) struct Unkillable;

impl Group {
    /// Of a child that this Portico has just started.
    pub(super) fn started(leader: Identity, marker: String) -> Self {
        Self { leader, marker, own_number: true, seen: Vec::new() }
    }

    /// Of a child that an earlier Portico has started.
    pub(super) fn recorded(leader: Identity, marker: String) -> Self {
        let own_number = procfs::stat(leader.pid).is_some_and(|stat| stat.identity == leader);
        Self { leader, marker, own_number, seen: Vec::new() }
    }

    pub(super) fn leader(&self) -> Identity {
        self.leader
    }

    /// Those that live.
    pub(super) fn members(&self) -> Vec<Identity> {
        let mut members = procfs::members(self.leader, self.own_number, &self.marker);
        let others: Vec<Identity> =
            self.seen.iter().filter(|seen| is_alive(seen) && !members.contains(seen)).copied().collect();
        members.extend(others);
        members
    }

    /// Notes who belongs to it now, for the time when its leader is dead and can't be asked for its descendants.
    pub(super) fn remember(&mut self) {
        self.seen = self.members();
    }

    /// SIGTERM to all, `grace`, SIGKILL to all, and return when none is left. Also finds children that made process
    /// groups of their own. Dropping it leaves things as they are.
    pub(super) async fn end(&self, grace: Duration) -> Result<(), Unkillable> {
        let mut known = self.members();
        self.signal(&known, Signal::TERM);
        if self.gone(&mut known, Instant::now() + grace).await {
            return Ok(());
        }
        let give_up = Instant::now() + KILL_PATIENCE;
        while Instant::now() < give_up {
            self.signal(&known, Signal::KILL);
            if self.gone(&mut known, Instant::now() + SEARCH).await {
                return Ok(());
            }
        }
        Err(Unkillable)
    }

    fn signal(&self, members: &[Identity], signal: Signal) {
        if members.is_empty() {
            return;
        }
        if self.own_number {
            log_failure(process::signal_group(self.leader.pid, signal));
        }
        let outside_of_group = |member: &&Identity| {
            !self.own_number || procfs::stat(member.pid).is_none_or(|stat| stat.group != self.leader.pid)
        };
        for member in members.iter().filter(outside_of_group) {
            log_failure(process::signal(*member, signal));
        }
    }

    /// Waits until nobody is left, `known` being refreshed on the way: looking at known processes is cheap and often,
    /// searching all of `/proc` is not.
    async fn gone(&self, known: &mut Vec<Identity>, until: Instant) -> bool {
        let mut searched = Instant::now();
        loop {
            known.retain(is_alive);
            if known.is_empty() || searched.elapsed() >= SEARCH {
                // Added to, never replaced: once the leader is dead, a descendant with a session and an environment
                // of its own can't be found any more, only remembered.
                let found = self.members().into_iter().filter(|member| !known.contains(member));
                let found: Vec<Identity> = found.collect();
                known.extend(found);
                searched = Instant::now();
                if known.is_empty() {
                    return true;
                }
            }
            if Instant::now() >= until {
                return false;
            }
            sleep(LOOK).await;
        }
    }
}

fn is_alive(member: &Identity) -> bool {
    procfs::stat(member.pid).is_some_and(|stat| stat.identity == *member && !stat.zombie)
}

fn log_failure(result: std::io::Result<()>) {
    if let Err(error) = result {
        tracing::warn!("can't signal a model process: {error}");
    }
}
