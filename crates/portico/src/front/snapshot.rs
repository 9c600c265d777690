//! What all requests share: one immutable snapshot, swapped as a whole by a reload, and a few counters.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arc_swap::ArcSwap;
use http::HeaderValue;
use rustls::ServerConfig;

use super::account::Setup;
use super::cors::Cors;
use super::models::Registry;
use crate::access::{Accounts, Caller, Rules};
use crate::api::body::BodyBudget;
use crate::certificate::Challenges;
use crate::config::{Config, Plan};
use crate::fetch::Fetcher;
use crate::types::CacheSalt;
use crate::ui::Site;

/// Everything that follows from one configuration. A request keeps the one it began with.
pub(crate) struct Snapshot {
    pub(crate) config: Arc<Config>,
    /// The configuration describes local mode; it holds as long as there are no users and keys.
    pub(crate) is_local: bool,
    pub(crate) access: Rules,
    pub(crate) cors: Cors,
    /// Strict-Transport-Security, where browsers are to remember that they come by https.
    pub(crate) hsts: Option<HeaderValue>,
    /// How TLS is spoken on new connections; `None`: nowhere.
    pub(crate) tls: Option<Arc<ServerConfig>>,
    pub(crate) models: Registry,
    pub(crate) site: Arc<Site>,
    /// The pages of identity; `None`: a program without built-in pages.
    pub(crate) account: Option<Arc<Site>>,
    /// The same one after every reload: what is cached stays of use.
    pub(crate) cache_salt: CacheSalt,
}

impl Snapshot {
    /// What this caller may use; the default one where his is not in the file any more.
    pub(super) fn plan_of(&self, caller: &Caller) -> Option<&Plan> {
        let plans = &self.config.plans;
        let named = caller.plan().and_then(|name| plans.iter().find(|plan| plan.name == **name));
        named.or(plans.first())
    }
}

impl Door {
    /// Local mode: nobody is asked who he is.
    pub(crate) fn is_local(&self, snapshot: &Snapshot) -> bool {
        snapshot.is_local && !self.accounts.authenticator().has_people()
    }
}

/// What outlives reloads.
pub(crate) struct Door {
    pub(crate) snapshot: ArcSwap<Snapshot>,
    pub(crate) budget: Arc<BodyBudget>,
    pub(crate) fetcher: Fetcher,
    pub(crate) accounts: Accounts,
    pub(crate) setup: Setup,
    /// What a certificate authority may be asking for.
    pub(crate) challenges: Arc<Challenges>,
    /// No new work is wanted: `/health/ready` says so, and connections close after their answer.
    pub(crate) draining: AtomicBool,
}
