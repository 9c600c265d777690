//! How many connections there are: in all, per address, and per thread. Guards, counted down by `Drop`.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::config::Listen;

/// `listen.max_connections` and `listen.max_connections_per_address`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ConnectionLimits {
    pub(crate) total: u32,
    pub(crate) per_address: u32,
}

impl ConnectionLimits {
    pub(super) fn of(listen: &Listen) -> Self {
        Self { total: listen.max_connections, per_address: listen.max_connections_per_address }
    }
}

/// All connections of the process.
#[derive(Debug, Default)]
pub(crate) struct Connections {
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    total: u32,
    by_address: HashMap<IpAddr, u32>,
    refused: u64,
}

#[derive(Debug)]
pub(super) struct ConnectionGuard {
    connections: Arc<Connections>,
    /// `None`: counted towards the total alone.
    address: Option<IpAddr>,
}

impl Connections {
    /// A place for one more connection from this address, or none. Trusted proxies carry many clients, so they
    /// count only towards the total.
    pub(super) fn enter(
        self: &Arc<Self>,
        peer: IpAddr,
        trusted: bool,
        limits: ConnectionLimits,
    ) -> Option<ConnectionGuard> {
        let address = (!trusted).then(|| network(peer));
        let mut counts = self.lock();
        if counts.total >= limits.total || !counts.count_address(address, limits) {
            counts.refused += 1;
            return None;
        }
        counts.total += 1;
        Some(ConnectionGuard { connections: self.clone(), address })
    }

    /// Closed unheard since the start, because a limit was reached.
    pub(crate) fn refused(&self) -> u64 {
        self.lock().refused
    }

    pub(crate) fn total(&self) -> u32 {
        self.lock().total
    }

    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// False: there are as many of this address as there may be.
    fn count_address(&mut self, address: Option<IpAddr>, limits: ConnectionLimits) -> bool {
        let Some(address) = address else { return true };
        let from_here = self.by_address.entry(address).or_default();
        if *from_here >= limits.per_address {
            return false;
        }
        *from_here += 1;
        true
    }

    fn discount_address(&mut self, address: Option<IpAddr>) {
        let Some(address) = address else { return };
        if let Some(count) = self.by_address.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.by_address.remove(&address);
            }
        }
    }
}

impl ConnectionGuard {
    /// A proxy has said whose connection it is: it counts for that address from now on. False: it may not.
    pub(super) fn belongs_to(&mut self, client: IpAddr, limits: ConnectionLimits) -> bool {
        let address = Some(network(client));
        let mut counts = self.connections.lock();
        if !counts.count_address(address, limits) {
            counts.refused += 1;
            return false;
        }
        counts.discount_address(std::mem::replace(&mut self.address, address));
        true
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        let mut counts = self.connections.lock();
        counts.total -= 1;
        counts.discount_address(self.address);
    }
}

/// One household or host: an IPv4 address, or the /64 that an IPv6 host gets to choose its address from.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

/// The connections of one data thread, so that it knows when it is done.
#[derive(Debug, Default)]
pub(crate) struct LiveThread {
    count: Cell<u32>,
    none: Notify,
}

pub(super) struct LiveGuard(Rc<LiveThread>);

impl LiveThread {
    pub(super) fn enter(self: &Rc<Self>) -> LiveGuard {
        self.count.set(self.count.get() + 1);
        LiveGuard(self.clone())
    }

    /// Resolves when no connection is left.
    pub(crate) async fn none_left(&self) {
        while self.count.get() > 0 {
            self.none.notified().await;
        }
    }
}

impl Drop for LiveGuard {
    fn drop(&mut self) {
        let left = self.0.count.get() - 1;
        self.0.count.set(left);
        if left == 0 {
            self.0.none.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_address_and_ipv6_by_network() {
        let connections = Arc::new(Connections::default());
        let limits = ConnectionLimits { total: 3, per_address: 2 };
        let enter = |address: &str, trusted| connections.enter(address.parse().unwrap(), trusted, limits);
        let first = enter("2001:db8::1", false).unwrap();
        let _second = enter("2001:db8::ffff", false).unwrap();
        assert!(enter("2001:db8::2", false).is_none(), "the same /64");
        let _other = enter("2001:db8:0:1::1", false).unwrap();
        assert!(enter("192.0.2.1", false).is_none(), "the total");
        drop(first);
        let mut proxy = enter("2001:db8::2", true).unwrap();
        assert!(proxy.belongs_to("192.0.2.7".parse().unwrap(), limits));
        assert!(
            !proxy.belongs_to("192.0.2.7".parse().unwrap(), ConnectionLimits { per_address: 1, ..limits })
        );
        drop(proxy);
        assert_eq!((connections.total(), connections.refused()), (2, 3));
        assert!(connections.lock().by_address.len() == 2, "nothing is kept of who has gone");
    }
}
