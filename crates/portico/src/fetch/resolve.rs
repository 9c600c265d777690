//! Names to addresses, once for each connection, by the system's own resolver and its configuration.

use std::net::{IpAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;

use tokio::sync::Semaphore;

use super::Fault;

/// A lookup holds a thread until the system gives up, long after the client may have.
const MOST_LOOKUPS: usize = 16;
const MOST_ADDRESSES: usize = 32;

#[derive(Debug)]
pub(super) struct Resolver {
    lookups: Arc<Semaphore>,
}

impl Default for Resolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(MOST_LOOKUPS)) }
    }
}

impl Resolver {
    /// Every address of a name. When the future is dropped the lookup goes on in its thread, and keeps its place.
    pub(super) async fn addresses(&self, name: &str) -> Result<Vec<IpAddr>, Fault> {
        let place = self.lookups.clone().acquire_owned().await;
        let place = place.map_err(|_| Fault::unreachable("the resolver is closed"))?;
        // The dot at the end: no search list of the box makes another name of it.
        let absolute = format!("{name}.");
        let looking = tokio::task::spawn_blocking(move || {
            let _place = place;
            let found = (absolute.as_str(), 0).to_socket_addrs();
            found.map(|found| found.map(|address| address.ip()).take(MOST_ADDRESSES + 1).collect::<Vec<_>>())
        });
        match looking.await {
            Ok(Ok(found)) if found.is_empty() => Err(Fault::unreachable(format!("{name} has no address"))),
            // Those that were not looked at could be anything.
            Ok(Ok(found)) if found.len() > MOST_ADDRESSES => {
                Err(Fault::unreachable(format!("{name} has more than {MOST_ADDRESSES} addresses")))
            }
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => Err(Fault::unreachable(format!("looking up {name}: {error}"))),
            Err(_) => Err(Fault::unreachable(format!("looking up {name} failed"))),
        }
    }
}

/// Whether an address is one of this machine: only of those can a socket take it. Nothing is sent.
pub(super) fn is_own(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_addresses_are_known() {
        assert!(is_own(IpAddr::from([127, 0, 0, 1])));
        assert!(!is_own(IpAddr::from([8, 8, 8, 8])));
    }
}
