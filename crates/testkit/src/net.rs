//! Addresses.

use std::{
    fmt,
    fs::{self, File},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
};

use rustix::fs::{FlockOperation, flock};

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    /// As `listening …` lines say it: an address, a URL, or the path of a socket.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.starts_with('/') {
            return Some(Self::Unix(text.into()));
        }
        text.trim_start_matches("http://").trim_end_matches('/').parse().ok().map(Self::Tcp)
    }

    /// The port on loopback.
    #[must_use]
    pub fn loopback(port: u16) -> Self {
        Self::Tcp((Ipv4Addr::LOCALHOST, port).into())
    }

    /// As `model.endpoints` wants it: `http://127.0.0.1:3001` or `unix:/path`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        match self {
            Self::Tcp(address) => format!("http://{address}"),
            Self::Unix(path) => format!("unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.endpoint())
    }
}

/// A TCP port on loopback that is free, and stays so for this process: other processes of these tests leave it alone, and
/// below 32768 the kernel gives it to no outgoing connection (`ip_local_port_range`), so that a server may be started
/// on it again and again.
#[must_use]
pub fn free_port() -> u16 {
    const PORTS: std::ops::Range<u16> = 10_000..32_000;
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let folder =
        std::env::temp_dir().join(format!("portico-test-ports-{}", rustix::process::getuid().as_raw()));
    fs::create_dir_all(&folder).unwrap_or_else(|error| panic!("cannot create {}: {error}", folder.display()));
    // Processes begin far from each other.
    let start = std::process::id().wrapping_mul(97);
    for _ in PORTS {
        let step = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = PORTS.start + (start.wrapping_add(step) % u32::from(PORTS.end - PORTS.start)) as u16;
        let Ok(lock) = File::create(folder.join(port.to_string())) else { continue };
        if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
            continue;
        }
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            // Held until the process ends.
            std::mem::forget(lock);
            return port;
        }
    }
    panic!("no free port on loopback between {} and {}", PORTS.start, PORTS.end);
}
