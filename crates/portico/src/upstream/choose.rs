//! Which endpoint of a model gets the next request: the one with the fewest in flight among those that are up.
//!
//! One that is down is left out and tried again by traffic at most once a second, whatever the probes do. One that
//! takes connections and gives no answer on them (a port forwarder whose server is gone does that) is left out in the
//! same way, as long as there is another: failing at once, it would always be the one with the fewest in flight.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use http::HeaderValue;

use crate::config::EndpointAddress;
use crate::sys::clock::Instant;

/// How often traffic may try an endpoint that is down.
const RETRY_DOWN_MILLIS: u64 = 1000;

#[derive(Debug)]
pub(crate) struct Endpoint {
    /// Distinguishes endpoints in the threads' connection pools, also across reloads.
    pub(super) id: u64,
    pub(crate) address: EndpointAddress,
    /// The `Host` that the model server sees, whatever the client sent.
    pub(super) host: HeaderValue,
    in_flight: AtomicU32,
    down: AtomicBool,
    /// The last new connection ended without an answer.
    shaky: AtomicBool,
    /// Milliseconds on `started`'s clock when a request last tried it while it was down or shaky.
    tried_millis: AtomicU64,
    failed_probes: AtomicU32,
    started: Instant,
}

#[derive(Debug)]
pub(crate) struct Endpoints {
    list: Vec<Arc<Endpoint>>,
}

/// An endpoint, chosen. Counts as a request in flight until it is dropped.
#[derive(Debug)]
pub(crate) struct Chosen {
    endpoint: Arc<Endpoint>,
}

impl Endpoints {
    pub(crate) fn new(addresses: &[EndpointAddress]) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let endpoint = |address: &EndpointAddress| {
            Arc::new(Endpoint {
                id: NEXT_ID.fetch_add(1, Relaxed),
                host: HeaderValue::from_str(&address.authority())
                    .unwrap_or_else(|_| HeaderValue::from_static("localhost")),
                address: address.clone(),
                in_flight: AtomicU32::new(0),
                down: AtomicBool::new(false),
                shaky: AtomicBool::new(false),
                tried_millis: AtomicU64::new(0),
                failed_probes: AtomicU32::new(0),
                started: Instant::now(),
            })
        };
        Self { list: addresses.iter().map(endpoint).collect() }
    }

    pub(crate) fn all(&self) -> &[Arc<Endpoint>] {
        &self.list
    }

    pub(crate) fn any_up(&self) -> bool {
        self.list.iter().any(|endpoint| endpoint.is_up())
    }

    /// The next to try, leaving out those already tried for this request.
    ///
    /// An endpoint that is due for a new try comes first: the worst case is one refused connection a second, after
    /// which the request goes to the next one.
    pub(super) fn choose(&self, tried: &[u64]) -> Option<Chosen> {
        let candidates = || self.list.iter().filter(|endpoint| !tried.contains(&endpoint.id));
        let fewest = |shaky: bool| {
            candidates()
                .filter(|endpoint| endpoint.is_up() && endpoint.is_shaky() == shaky)
                .min_by_key(|endpoint| endpoint.in_flight.load(Relaxed))
        };
        let due = candidates()
            .find(|endpoint| (!endpoint.is_up() || endpoint.is_shaky()) && endpoint.claim_retry());
        let endpoint = due.or_else(|| fewest(false)).or_else(|| fewest(true))?;
        endpoint.in_flight.fetch_add(1, Relaxed);
        Some(Chosen { endpoint: endpoint.clone() })
    }
}

impl Endpoint {
    pub(crate) fn is_up(&self) -> bool {
        !self.down.load(Relaxed)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// A connection was made: whatever was thought before, it is up.
    pub(crate) fn mark_up(&self) {
        self.failed_probes.store(0, Relaxed);
        if self.down.swap(false, Relaxed) {
            tracing::info!(endpoint = %self.address, "the model server is reachable again");
        }
    }

    /// A connection could not be made.
    pub(crate) fn mark_down(&self, why: &dyn std::fmt::Display) {
        self.tried_millis.store(self.millis(), Relaxed);
        if !self.down.swap(true, Relaxed) {
            tracing::warn!(endpoint = %self.address, "the model server can't be reached: {why}");
        }
    }

    /// A request's new connection ended, or brought garbage, before an answer. One bad request can do that to a good
    /// server, so a server that was up only gives way to others; one that was down has not come back.
    pub(super) fn gave_no_answer(&self, was_up: bool, why: &dyn std::fmt::Display) {
        if was_up {
            self.tried_millis.store(self.millis(), Relaxed);
            self.shaky.store(true, Relaxed);
        } else {
            self.mark_down(why);
        }
    }

    pub(super) fn answered(&self) {
        // Read first: the line is shared by all threads, and nearly always there is nothing to change.
        if self.is_shaky() {
            self.shaky.store(false, Relaxed);
        }
    }

    fn is_shaky(&self) -> bool {
        self.shaky.load(Relaxed)
    }

    /// A probe failed; so many in a row count as down.
    pub(crate) fn probe_failed(&self, failures: u32, why: &dyn std::fmt::Display) {
        if self.failed_probes.fetch_add(1, Relaxed) + 1 >= failures {
            self.mark_down(why);
        }
    }

    /// Takes the one try of this second, if nobody has taken it.
    fn claim_retry(&self) -> bool {
        let now = self.millis();
        let last = self.tried_millis.load(Relaxed);
        now.saturating_sub(last) >= RETRY_DOWN_MILLIS
            && self.tried_millis.compare_exchange(last, now, Relaxed, Relaxed).is_ok()
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.started.elapsed().saturating_add(Duration::from_secs(1)).as_millis())
            .unwrap_or(u64::MAX)
    }
}

impl std::ops::Deref for Chosen {
    type Target = Endpoint;

    fn deref(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(count: u16) -> Endpoints {
        let address = |port| EndpointAddress::Tcp { host: "127.0.0.1".to_owned(), port };
        Endpoints::new(&(1..=count).map(address).collect::<Vec<_>>())
    }

    fn port(chosen: &Chosen) -> u16 {
        match chosen.address {
            EndpointAddress::Tcp { port, .. } => port,
            EndpointAddress::Unix(_) => 0,
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fewest_in_flight_first() {
        let endpoints = endpoints(2);
        let first = endpoints.choose(&[]).unwrap();
        let second = endpoints.choose(&[]).unwrap();
        assert_ne!(port(&first), port(&second));
        let third = endpoints.choose(&[]).unwrap();
        drop(second);
        drop(third);
        assert_ne!(port(&endpoints.choose(&[]).unwrap()), port(&first));
    }

    #[tokio::test(start_paused = true)]
    async fn a_down_endpoint_is_tried_once_a_second() {
        let endpoints = endpoints(2);
        endpoints.all()[0].mark_down(&"refused");
        assert_eq!(port(&endpoints.choose(&[]).unwrap()), 2);
        tokio::time::advance(Duration::from_millis(1001)).await;
        let retry = endpoints.choose(&[]).unwrap();
        assert_eq!(port(&retry), 1);
        assert_eq!(port(&endpoints.choose(&[]).unwrap()), 2, "the try of this second is taken");
        assert_eq!(port(&endpoints.choose(&[retry.id]).unwrap()), 2);
        retry.mark_up();
        assert!(endpoints.all()[0].is_up());
    }

    #[tokio::test(start_paused = true)]
    async fn with_all_down_only_one_request_a_second_is_sacrificed() {
        let endpoints = endpoints(1);
        endpoints.all()[0].mark_down(&"refused");
        assert!(endpoints.choose(&[]).is_none());
        tokio::time::advance(Duration::from_millis(1001)).await;
        assert!(endpoints.choose(&[]).is_some());
        assert!(endpoints.choose(&[]).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_gives_no_answers_gives_way_to_others() {
        let endpoints = endpoints(2);
        let [bad, good] = endpoints.all() else { unreachable!("two were made") };
        bad.gave_no_answer(true, &"closed");
        let chosen: Vec<_> = (0..3).map(|_| endpoints.choose(&[]).unwrap()).collect();
        assert!(chosen.iter().all(|chosen| port(chosen) == 2), "however many it has in flight");
        assert_eq!(port(&endpoints.choose(&[good.id]).unwrap()), 1, "it is better than none");
        tokio::time::advance(Duration::from_millis(1001)).await;
        let retry = endpoints.choose(&[]).unwrap();
        assert_eq!(port(&retry), 1);
        assert_eq!(port(&endpoints.choose(&[]).unwrap()), 2, "the try of this second is taken");
        retry.answered();
        assert_eq!(port(&endpoints.choose(&[]).unwrap()), 1);
        bad.gave_no_answer(false, &"closed");
        assert!(!bad.is_up(), "a connection alone does not bring back one that was down");
    }

    #[tokio::test(start_paused = true)]
    async fn probes_need_to_fail_several_times() {
        let endpoints = endpoints(1);
        let endpoint = &endpoints.all()[0];
        endpoint.probe_failed(2, &"timeout");
        assert!(endpoint.is_up());
        endpoint.probe_failed(2, &"timeout");
        assert!(!endpoint.is_up());
    }
}
