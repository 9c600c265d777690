//! What `/proc` tells about other processes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;

/// A process that can't be mistaken for a later one with the same number: its number and the time it started, in
/// clock ticks since boot (field 22 of `/proc/PID/stat`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    pub(crate) pid: u32,
    pub(crate) start_ticks: u64,
}

/// The fields of `/proc/PID/stat` that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) identity: Identity,
    pub(crate) parent: u32,
    pub(crate) group: u32,
    /// Ended, waiting only for its parent to look.
    pub(crate) zombie: bool,
}

/// The process with this number, `None` when there is none.
pub(crate) fn stat(pid: u32) -> Option<Stat> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in the middle may hold spaces and parentheses, so the fields are counted from the last `)`.
fn parse_stat(line: &str) -> Option<Stat> {
    let pid = line.split(' ').next()?.parse().ok()?;
    let rest = line.get(line.rfind(')')? + 1..)?;
    let mut fields = rest.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    // `starttime` is field 22 of the line; `session`, field 6, comes next here.
    let start_ticks = fields.nth(22 - 6)?.parse().ok()?;
    Some(Stat {
        identity: Identity { pid, start_ticks },
        parent,
        group,
        zombie: matches!(state, "Z" | "X" | "x"),
    })
}

/// Changes at every boot: start times before and after a reboot must not be compared.
pub(crate) fn boot_id() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}

/// Every process that this process may see.
pub(crate) fn all() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter_map(stat).collect()
}

/// The living processes that belong to one child, found in three ways because none suffices alone: its group;
/// its descendants (they may have made groups of their own); and everything started since that carries `marker` in
/// its environment (`NAME=value`; descendants whose parent has died and that left the group as well).
///
/// `own_number` says that the leader's number is known not to have been given to somebody else since; without that
/// only the marker counts.
///
/// Zombies don't count: a dead process holds no memory, and where PID 1 does not reap (containers) it stays for ever.
pub(crate) fn members(leader: Identity, own_number: bool, marker: &str) -> Vec<Identity> {
    let all = all();
    let parents: HashMap<u32, u32> = all.iter().map(|stat| (stat.identity.pid, stat.parent)).collect();
    let leader_is_there = all.iter().any(|stat| stat.identity == leader);
    all.iter()
        .filter(|stat| !stat.zombie && stat.identity.start_ticks >= leader.start_ticks)
        .filter(|stat| {
            (own_number && stat.group == leader.pid)
                || (leader_is_there && descends(stat.identity.pid, leader.pid, &parents))
                || carries(stat.identity.pid, marker)
        })
        .map(|stat| stat.identity)
        .collect()
}

fn descends(pid: u32, ancestor: u32, parents: &HashMap<u32, u32>) -> bool {
    let mut seen = HashSet::new();
    let mut current = pid;
    while seen.insert(current) {
        if current == ancestor {
            return true;
        }
        match parents.get(&current) {
            Some(&parent) if parent != 0 => current = parent,
            _ => return false,
        }
    }
    false
}

fn carries(pid: u32, marker: &str) -> bool {
    if marker.is_empty() {
        return false;
    }
    fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == marker.as_bytes()))
}

/// How many processes the kernel has killed for want of memory since boot; 0 where it does not tell.
pub(crate) fn out_of_memory_kills() -> u64 {
    let counters = fs::read_to_string("/proc/vmstat").unwrap_or_default();
    counters.lines().find_map(|line| line.strip_prefix("oom_kill ")?.trim().parse().ok()).unwrap_or(0)
}

/// The words of a command line, for people to recognise a process.
pub(crate) fn command(pid: u32) -> Option<String> {
    let raw = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words: Vec<_> = raw.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let line = words.join(" ").trim().to_owned();
    if line.is_empty() {
        Some(fs::read_to_string(format!("/proc/{pid}/comm")).ok()?.trim().to_owned())
    } else {
        Some(line)
    }
}

/// Who listens on a TCP port of this machine, as far as `/proc` shows it to us (sockets of other users need root).
pub(crate) fn listener_of(port: u16) -> Option<u32> {
    let wanted: HashSet<String> = listeners()
        .into_iter()
        .filter(|(address, _)| address.port() == port)
        .map(|(_, socket)| socket)
        .collect();
    if wanted.is_empty() {
        return None;
    }
    all().iter().map(|stat| stat.identity.pid).find(|pid| !wanted.is_disjoint(&sockets(*pid)))
}

/// TCP addresses beyond loopback that these processes listen on.
pub(crate) fn public_listeners(processes: &[Identity]) -> Vec<SocketAddr> {
    let theirs: HashSet<String> = processes.iter().flat_map(|process| sockets(process.pid)).collect();
    listeners()
        .into_iter()
        .filter(|(address, socket)| !address.ip().to_canonical().is_loopback() && theirs.contains(socket))
        .map(|(address, _)| address)
        .collect()
}

/// The sockets that a process holds, as the links in `/proc/PID/fd` name them.
fn sockets(pid: u32) -> HashSet<String> {
    let Ok(entries) = fs::read_dir(format!("/proc/{pid}/fd")) else { return HashSet::new() };
    entries
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok()?.into_os_string().into_string().ok())
        .filter(|link| link.starts_with("socket:"))
        .collect()
}

/// Every listening TCP socket of this machine: its address, and its name in `/proc/PID/fd`.
fn listeners() -> Vec<(SocketAddr, String)> {
    ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| parse_listeners(&table))
        .collect()
}

fn parse_listeners(table: &str) -> Vec<(SocketAddr, String)> {
    const LISTEN: &str = "0A";
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            if *fields.get(3)? != LISTEN {
                return None;
            }
            Some((parse_address(fields.get(1)?)?, format!("socket:[{}]", fields.get(9)?)))
        })
        .collect()
}

/// `0100007F:0BB9`: groups of four bytes, each in the byte order of this machine.
fn parse_address(text: &str) -> Option<SocketAddr> {
    let (address, port) = text.split_once(':')?;
    let mut bytes = Vec::new();
    for group in address.as_bytes().chunks(8) {
        if group.len() != 8 {
            return None;
        }
        let word = u32::from_str_radix(std::str::from_utf8(group).ok()?, 16).ok()?;
        bytes.extend_from_slice(&word.to_ne_bytes());
    }
    let ip = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        16 => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}

/// Whether a program with this name is on the search path, and where.
pub(crate) fn find_program(name: &str, search_path: &std::ffi::OsStr) -> Option<std::path::PathBuf> {
    std::env::split_paths(search_path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_executable(path))
}

/// A regular file that this process may execute.
pub(crate) fn is_executable(path: &Path) -> bool {
    path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_process_name_does_not_shift_the_fields() {
        let line = "4711 (a) b (c)) S 1 4700 4700 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1000 200 18446744073709551615";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat.identity, Identity { pid: 4711, start_ticks: 987_654 });
        assert_eq!((stat.parent, stat.group, stat.zombie), (1, 4700, false));
        assert!(parse_stat("4711 (x) Z 1 2 3 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 5 0 0").unwrap().zombie);
        for broken in ["", "4711", "x (y) S", "4711 (x) S 1 2"] {
            assert_eq!(parse_stat(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn this_process_is_found_with_its_parent() {
        let me = stat(std::process::id()).unwrap();
        assert_eq!(me.identity.pid, std::process::id());
        assert!(all().iter().any(|other| other.identity == me.identity));
        assert!(members(me.identity, true, "").contains(&me.identity));
    }

    #[test]
    fn a_listener_is_found_by_its_port() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert_eq!(listener_of(port), Some(std::process::id()));
    }

    #[test]
    fn addresses_are_read_as_the_kernel_writes_them() {
        let own = std::net::TcpListener::bind("[::1]:0").unwrap();
        let address = own.local_addr().unwrap();
        assert!(listeners().iter().any(|(listener, _)| *listener == address), "{address}");
        if cfg!(target_endian = "little") {
            assert_eq!(parse_address("0100007F:0BB9"), "127.0.0.1:3001".parse().ok());
            assert_eq!(parse_address("00000000000000000000000001000000:1F90"), "[::1]:8080".parse().ok());
            assert_eq!(parse_address("00000000:0016"), "0.0.0.0:22".parse().ok());
        }
        for broken in ["", "0100007F", "01:02", "zz00007F:0BB9", "0100007F:10000"] {
            assert_eq!(parse_address(broken), None, "{broken}");
        }
    }

    #[test]
    fn only_listeners_beyond_loopback_are_public() {
        // Not connectable for long, and on a port that nobody knows.
        let public = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
        let local = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let found = public_listeners(&[stat(std::process::id()).unwrap().identity]);
        assert!(found.contains(&public.local_addr().unwrap()), "{found:?}");
        assert!(!found.contains(&local.local_addr().unwrap()), "{found:?}");
    }
}
