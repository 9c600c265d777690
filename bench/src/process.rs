//! What a process tree used: CPU time and memory, from `/proc`.
//!
//! `/proc/PID/stat` counts in ticks of 10 ms. `/proc/PID/task/TID/schedstat` has nanoseconds, but a thread that ended
//! takes its share along; it is used where the same threads stood at both ends, and the ticks otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// `USER_HZ`: fixed at 100 in Linux's interface to user space, whatever the kernel's own timer does.
const TICKS_PER_SECOND: f64 = 100.0;
const PAGE_BYTES: u64 = 4096;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pids: Vec<u32>,
}

#[derive(Debug, Clone)]
pub struct Reading {
    ticks: u64,
    /// Nanoseconds on a CPU by thread; empty where the kernel does not tell.
    threads: BTreeMap<u32, u64>,
}

#[derive(Debug, Clone, Copy)]
pub struct Spent {
    pub seconds: f64,
    pub source: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub rss_bytes: u64,
    /// Shared pages divided by those who share them: what a forking server really costs.
    pub pss_bytes: u64,
}

impl Tree {
    /// The process and everything below it, as it is now.
    pub fn of(root: u32) -> io::Result<Self> {
        let mut parents = BTreeMap::new();
        for entry in fs::read_dir("/proc")? {
            let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            if let Some(stat) = Stat::read(pid) {
                parents.insert(pid, stat.parent);
            }
        }
        if !parents.contains_key(&root) {
            return Err(io::Error::other(format!("process {root} does not run")));
        }
        let mut pids = vec![root];
        let mut next = 0;
        while let Some(parent) = pids.get(next).copied() {
            pids.extend(parents.iter().filter(|(_, of)| **of == parent).map(|(pid, _)| *pid));
            next += 1;
        }
        Ok(Self { pids })
    }

    pub fn reading(&self) -> io::Result<Reading> {
        let mut reading = Reading { ticks: 0, threads: BTreeMap::new() };
        for pid in &self.pids {
            let stat = Stat::read(*pid).ok_or_else(|| io::Error::other(format!("process {pid} ended")))?;
            reading.ticks += stat.ticks;
            for entry in fs::read_dir(format!("/proc/{pid}/task"))? {
                let Some(thread) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                if let Some(nanoseconds) = nanoseconds(*pid, thread) {
                    reading.threads.insert(thread, nanoseconds);
                }
            }
        }
        Ok(reading)
    }

    pub fn memory(&self) -> Memory {
        let mut memory = Memory { rss_bytes: 0, pss_bytes: 0 };
        for pid in &self.pids {
            let pages = fs::read_to_string(format!("/proc/{pid}/statm")).ok();
            let pages = pages.and_then(|text| text.split_whitespace().nth(1)?.parse::<u64>().ok());
            memory.rss_bytes += pages.unwrap_or(0) * PAGE_BYTES;
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"));
            let pss = pss.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
            memory.pss_bytes += pss.unwrap_or(0) * 1024;
        }
        memory
    }
}

impl Reading {
    pub fn until(&self, later: &Self) -> Spent {
        let same = !self.threads.is_empty() && self.threads.keys().eq(later.threads.keys());
        if same {
            let sum = |reading: &Self| reading.threads.values().sum::<u64>();
            let nanoseconds = sum(later).saturating_sub(sum(self));
            return Spent { seconds: nanoseconds as f64 / 1e9, source: "schedstat" };
        }
        let ticks = later.ticks.saturating_sub(self.ticks);
        Spent { seconds: ticks as f64 / TICKS_PER_SECOND, source: "stat" }
    }
}

fn nanoseconds(pid: u32, thread: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{thread}/schedstat")).ok()?;
    text.split_whitespace().next()?.parse().ok()
}

struct Stat {
    parent: u32,
    /// User and system time, of the process itself.
    ticks: u64,
}

impl Stat {
    fn read(pid: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The name in parentheses may hold anything, spaces and parentheses too, so the fields count from its end.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.get(text.rfind(')')? + 1..)?.split_whitespace().collect();
        let number = |index: usize| fields.get(index)?.parse::<u64>().ok();
        Some(Self { parent: number(1)?.try_into().ok()?, ticks: number(11)? + number(12)? })
    }
}

/// Busy seconds of all CPUs since boot, by ticks: tells whether anything else ran on the machine.
pub fn machine_busy_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let fields: Vec<u64> =
        text.lines().next()?.split_whitespace().skip(1).filter_map(|f| f.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let busy: u64 = [0, 1, 2, 5, 6, 7].iter().filter_map(|index| fields.get(*index)).sum();
    Some(busy as f64 / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::{Stat, Tree};

    #[test]
    fn reads_a_name_that_tries_to_confuse() {
        let line = "7 (a) R 1 (b) S 3 7 7 0 -1 4194560 1 0 0 0 21 34 0 0 20 0 1 0 100 0 0";
        let stat = Stat::parse(line).expect("a stat line");
        assert_eq!((stat.parent, stat.ticks), (3, 55));
    }

    #[test]
    fn sees_its_own_work_and_its_children() {
        let tree = Tree::of(std::process::id()).expect("this process runs");
        let before = tree.reading().expect("readable");
        let begin = std::time::Instant::now();
        let mut sum = 0_u64;
        let mut spent = before.until(&before);
        while spent.seconds < 0.02 && begin.elapsed() < std::time::Duration::from_secs(20) {
            for _ in 0..100_000 {
                sum = std::hint::black_box(sum.wrapping_mul(31).wrapping_add(1));
            }
            spent = before.until(&tree.reading().expect("readable"));
        }
        assert!(spent.seconds >= 0.02, "{spent:?} after 20 s of work");
        let mut child = std::process::Command::new("sleep").arg("30").spawn().expect("sleep runs");
        let with_child = Tree::of(std::process::id()).expect("this process runs");
        child.kill().expect("the child is ours");
        child.wait().expect("the child is ours");
        assert!(with_child.pids.contains(&child.id()));
    }
}
