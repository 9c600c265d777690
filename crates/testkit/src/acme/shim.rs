//! An authority with moods: everything goes through to a [`Pebble`], and what Pebble lacks is added on the way.
//!
//! Clients see one server. Pebble makes its URLs from the request's `Host`, and checks the signed `url` against the
//! same, so a proxy that leaves `Host` alone is in every URL and breaks no signature. Only answers are changed:
//! the directory says renewal information (RFC 9773) and profiles, an order says again which `replaces` and `profile`
//! it was asked with.

mod exchange;
mod fault;
mod resource;
mod server;
mod state;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use self::state::State;
pub use self::{
    fault::{Fault, RetryAfter},
    resource::Resource,
    state::{Renewal, Request},
};
use super::Pebble;
use crate::tls;

/// It ends on drop, and every connection with it. It does its work on a thread of its own, so that a test may block.
pub struct Shim {
    shared: Arc<Shared>,
    ca_file: PathBuf,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What every connection knows.
struct Shared {
    port: u16,
    pebble_port: u16,
    ca_pem: String,
    state: Mutex<State>,
}

impl Shim {
    /// On a free loopback port. The Pebble may be stopped and started again behind it; while it is away, answers are
    /// 502 with a page.
    #[must_use]
    pub fn start(pebble: &Pebble) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = listener.unwrap_or_else(|error| panic!("no free port for the shim: {error}"));
        let address = listener.local_addr();
        let port = address.unwrap_or_else(|error| panic!("where does the shim listen? {error}")).port();
        let acceptor = tls::acceptor(&pebble.authority.issue(&["localhost", "127.0.0.1"]));
        let shared = Arc::new(Shared {
            port,
            pebble_port: pebble.port(),
            ca_pem: pebble.ca_pem().to_owned(),
            state: Mutex::default(),
        });
        let (stop, stopped) = oneshot::channel();
        let serving = Arc::clone(&shared);
        let thread = std::thread::spawn(move || server::serve(listener, acceptor, serving, stopped));
        Self { shared, ca_file: pebble.ca_file(), stop: Some(stop), thread: Some(thread) }
    }

    /// The URL that clients are told.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("{}/dir", self.shared.origin())
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.shared.port
    }

    /// The root of its own address's certificate, which is also Pebble's.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// What [`Shim::ca_file`] holds.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.shared.ca_pem
    }

    /// From now on every request for these resources meets this fault, in place of an earlier one.
    pub fn fail(&self, resources: &[Resource], fault: Fault) {
        self.state().set_fault(resources, &fault, None);
    }

    /// The next `times` requests for the resource meet this fault; then it is gone.
    pub fn fail_next(&self, resource: Resource, times: u32, fault: Fault) {
        self.state().set_fault(&[resource], &fault, Some(times));
    }

    /// No more faults. What hangs goes on hanging.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Renewal information for every certificate without its own. `None`, which is the default, takes it from the
    /// directory too; clients that read the directory earlier get 404.
    pub fn set_renewal(&self, renewal: Option<Renewal>) {
        self.state().renewal = renewal;
    }

    /// For one certificate, by the identifier that it was asked about with ([`Shim::renewal_queries`]).
    pub fn set_renewal_of(&self, certificate: &str, renewal: Renewal) {
        self.state().renewals.insert(certificate.to_owned(), renewal);
    }

    /// The certificates, by RFC 9773's identifier, whose renewal information was asked for, in order.
    #[must_use]
    pub fn renewal_queries(&self) -> Vec<String> {
        let path = format!("{}/", resource::RENEWAL_INFO);
        let requests = self.requests_for(Resource::RenewalInfo);
        requests.iter().filter_map(|request| request.target.strip_prefix(&path).map(str::to_owned)).collect()
    }

    /// Names and descriptions, said in the directory's `meta.profiles`. Orders with another profile are refused
    /// (`invalidProfile`); without any, which is the default, profiles are not looked at.
    pub fn set_profiles(&self, profiles: &[(&str, &str)]) {
        let owned = |(name, text): &(&str, &str)| ((*name).to_owned(), (*text).to_owned());
        self.state().profiles = profiles.iter().map(owned).collect();
    }

    /// Everything that was asked, also what met a fault, in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.state().requests.clone()
    }

    #[must_use]
    pub fn requests_for(&self, resource: Resource) -> Vec<Request> {
        let state = self.state();
        state.requests.iter().filter(|request| request.resource == resource).cloned().collect()
    }

    /// How often it was asked for.
    #[must_use]
    pub fn count(&self, resource: Resource) -> usize {
        self.requests_for(resource).len()
    }

    /// How often each was asked for.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<Resource, usize> {
        let mut counts = BTreeMap::new();
        for request in &self.state().requests {
            *counts.entry(request.resource).or_default() += 1;
        }
        counts
    }

    /// Forgets what was asked so far.
    pub fn forget_requests(&self) {
        let mut state = self.state();
        state.forgotten += state.requests.len();
        state.requests.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Drop for Shim {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It panicked: the test that waited for its answers has failed already.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn origin(&self) -> String {
        format!("https://localhost:{}", self.port)
    }
}
