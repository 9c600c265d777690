//! What all requests share: one immutable snapshot, swapped as a whole by a reload, and a few counters.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use http::HeaderValue;
use rustls::ServerConfig;

use super::models::Registry;
use crate::access::Rules;
use crate::api::CacheSalt;
use crate::api::body::BodyBudget;
use crate::certificate::Challenges;
use crate::config::{Config, Mode};
use crate::fetch::Fetcher;
use crate::ui::Site;

/// Everything that follows from one configuration. A request keeps the one it began with.
pub(crate) struct Snapshot {
    pub(crate) config: Arc<Config>,
    pub(crate) mode: Mode,
    pub(crate) access: Rules,
    /// Strict-Transport-Security, where browsers are to remember that they come by https.
    pub(crate) hsts: Option<HeaderValue>,
    /// How TLS is spoken on new connections; `None`: nowhere.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) models: Registry,
    pub(crate) site: Arc<Site>,
    /// The same one after every reload: what is cached stays of use.
    pub(crate) cache_salt: CacheSalt,
}

/// What outlives reloads.
pub(crate) struct Door {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) budget: Arc<BodyBudget>,
    pub(crate) fetcher: Fetcher,
    /// What a certificate authority may be asking for.
    pub(crate) challenges: Arc<Challenges>,
    /// No new work is wanted: `/health/ready` says so, and connections close after their answer.
    pub(crate) draining: AtomicBool,
}
