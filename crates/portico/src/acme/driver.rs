//! As long as the process: one certificate for one set of names, ordered, renewed and ordered again.
//!
//! Whatever fails here, what is served goes on being served. A failure is said once in the log, and again when it has
//! another reason; `portico cert status` always knows the last one.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::{mpsc, watch};

use super::allowance::Counters;
use super::asking::{Asking, Job, Network};
use super::authority::Authority;
use super::error::{Class, OrderError};
use super::journal::{Journal, Proof, Renewal};
use super::order::Issued;
use super::outcome::{Outcome, Wish};
use super::schedule;
use super::settings::Settings;
use super::status::{status, why};
use super::store::Store;
use crate::certificate::{
    Certificate, LastError, Leaf, Pair, Resolver, State, Status, system_time, timestamp,
};
use crate::sys::clock::WallClock;
use crate::sys::random;
use crate::types::{Text, text};

const COUNTERS: &str = "counters";
/// The wall clock can be set while we sleep.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);
/// A certificate that could not be written is tried again this often.
const UNSAVED: Duration = Duration::from_secs(2);
/// How long another process that orders from the same folder is waited for, before it is looked again.
const LOCKED: Duration = Duration::from_secs(2);
/// Between two orders that are made by themselves, whatever the certificate's lifetime.
const LEAST_PAUSE: Duration = Duration::from_secs(10);
/// From this failure on the second CA is asked as well.
const FALLBACK_FROM: u32 = 2;

pub(crate) struct Driver<A = Network> {
    settings: Settings,
    store: Store,
    resolver: Arc<Resolver>,
    asking: A,
    clock: WallClock,
    journal: Journal,
    /// The kept one, for exactly these names; `None`: a stand-in, or one of other names, is served.
    pair: Option<Pair>,
    /// Signed, served, and not yet on disk.
    unsaved: Option<(String, String)>,
    status: watch::Sender<Status>,
    wishes: mpsc::Receiver<Wish>,
    /// The kind of failure that was said last.
    said: Option<String>,
}

/// What is to be done at a moment.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Order,
    /// The CA is to be asked when it wants the certificate renewed.
    Ask,
    Wait {
        until: SystemTime,
        next: Option<(SystemTime, Text)>,
    },
}

impl Driver {
    /// With what is kept for these names, which is served from now on. The receiver tells how it goes.
    pub(crate) fn new(
        settings: Settings,
        resolver: &Arc<Resolver>,
    ) -> (Self, watch::Receiver<Status>, mpsc::Sender<Wish>) {
        let store = Store::new(&settings.data_dir, &settings.names);
        let asking = Network {
            settings: settings.clone(),
            store: store.clone(),
            challenges: resolver.challenges().clone(),
        };
        Self::with(settings, store, resolver, asking, WallClock::default())
    }
}

impl<A: Asking> Driver<A> {
    fn with(
        settings: Settings,
        store: Store,
        resolver: &Arc<Resolver>,
        asking: A,
        clock: WallClock,
    ) -> (Self, watch::Receiver<Status>, mpsc::Sender<Wish>) {
        let (wish, wishes) = mpsc::channel(1);
        let now = clock.now();
        let pair = kept(&store, now);
        let interim = || settings.names.first().and_then(|name| store.other_pair_for(name, now));
        if let Some(pair) = pair.clone().or_else(interim) {
            resolver.serve(pair);
        }
        let journal = store.journal();
        let first = status(&settings, &store, &resolver.served(), &journal, pair.as_ref(), now, None);
        let (status, receiver) = watch::channel(first);
        let driver = Self {
            settings,
            store,
            resolver: resolver.clone(),
            asking,
            clock,
            journal,
            pair,
            unsaved: None,
            status,
            wishes,
            said: None,
        };
        (driver, receiver, wish)
    }

    /// Until it is dropped. An order under way is taken up again by the next one.
    pub(crate) async fn run(mut self) {
        loop {
            self.save();
            match self.step(self.clock.now()) {
                Step::Order => {
                    if let Outcome::Busy = self.order().await {
                        tokio::time::sleep(LOCKED).await;
                    }
                }
                Step::Ask => self.ask().await,
                Step::Wait { until, next } => {
                    self.publish(next);
                    let sleep = until.duration_since(self.clock.now()).unwrap_or_default();
                    let longest = if self.unsaved.is_some() { UNSAVED } else { LONGEST_SLEEP };
                    tokio::select! {
                        () = tokio::time::sleep(sleep.min(longest)) => {}
                        Some(wish) = self.wishes.recv() => self.fulfil(wish).await,
                    }
                }
            }
        }
    }

    /// One order, for when nobody runs.
    pub(crate) async fn once(mut self, dry_run: bool) -> Outcome {
        if dry_run { self.try_out().await } else { self.order().await }
    }

    async fn fulfil(&mut self, wish: Wish) {
        let outcome = if wish.dry_run { self.try_out().await } else { self.order().await };
        self.publish_next();
        // Whoever has asked may have left.
        let _ = wish.answer.send(outcome);
    }

    fn step(&mut self, now: SystemTime) -> Step {
        let Some(pair) = &self.pair else { return self.unless_held_back(now) };
        let leaf = pair.leaf.clone();
        if now >= leaf.not_after {
            return self.unless_held_back(now);
        }
        let renewal = match &self.journal.renewal {
            Some(renewal) if renewal.serial == leaf.serial => renewal,
            _ => self.journal.renewal.insert(Renewal::by_lifetime(&leaf, random::fraction())),
        };
        let is_due = system_time(renewal.at) <= now;
        let asked_in_time = renewal.ask_again.is_some_and(|at| system_time(at) > now)
            && renewal.asked.is_some_and(|asked| schedule::still_holds(system_time(asked), now));
        if leaf.renewal_id.is_some() && !asked_in_time {
            return Step::Ask;
        }
        if is_due {
            return self.unless_held_back(now);
        }
        let next = (system_time(renewal.at), why(renewal, &leaf));
        let until = renewal.ask_again.map_or(next.0, |ask| system_time(ask).min(next.0));
        Step::Wait { until, next: Some(next) }
    }

    /// An order, unless a failure or a CA's limit says to wait.
    fn unless_held_back(&self, now: SystemTime) -> Step {
        let Journal { tried, not_before, failures, .. } = &self.journal;
        let last = tried.map(system_time).filter(|tried| schedule::still_holds(*tried, now));
        if let Some(until) =
            last.map(|last| last + LEAST_PAUSE).filter(|until| *until > now && *failures == 0)
        {
            return Step::Wait { until, next: None };
        }
        match (tried, not_before) {
            (Some(tried), Some(at))
                if schedule::still_holds(system_time(*tried), now) && system_time(*at) > now =>
            {
                let at = system_time(*at);
                let why = text!(
                    "it is ordered again, after {failures} failures in a row",
                    "再次申请;此前已连续失败 {failures} 次"
                );
                Step::Wait { until: at, next: Some((at, why)) }
            }
            _ => Step::Order,
        }
    }

    async fn ask(&mut self) {
        let Some(leaf) = self.pair.as_ref().map(|pair| pair.leaf.clone()) else { return };
        let directory =
            self.journal.issued_by.clone().unwrap_or_else(|| self.settings.authority.directory.clone());
        let suggestion = self.asking.suggestion(&directory, &leaf).await;
        let now = self.clock.now();
        let by_lifetime = || Renewal::by_lifetime(&leaf, random::fraction());
        let mut renewal = self.journal.renewal.take().unwrap_or_else(by_lifetime);
        let mut retry_after = None;
        match suggestion {
            Ok(Some(suggestion)) => {
                let window = suggestion.window;
                let kept = (timestamp(window.start), timestamp(window.end));
                // A moment that was drawn stays, or every question would move it.
                if renewal.window != Some(kept) {
                    renewal.at = timestamp(schedule::within(window, &leaf, random::fraction()));
                    renewal.window = Some(kept);
                }
                renewal.explanation_url = suggestion.explanation_url;
                retry_after = suggestion.ask_again;
            }
            Ok(None) => {}
            Err(error) => tracing::debug!("{}", error.said.en),
        }
        renewal.asked = Some(timestamp(now));
        renewal.ask_again = Some(timestamp(now + schedule::ask_again(&leaf, retry_after)));
        self.journal.renewal = Some(renewal);
        self.keep_journal();
    }

    /// One attempt, with every way there is to come to a certificate.
    async fn order(&mut self) -> Outcome {
        let now = self.clock.now();
        if self.settings.names.is_empty() {
            let nothing = text!(
                "site.names is empty, and this machine has no public address of its own: there is nothing to sign for",
                "site.names 为空,且本机没有公网地址:没有可供签发的域名或地址"
            );
            return self.failed_here(OrderError::here("names", nothing));
        }
        let lock = match self.store.lock() {
            Ok(Some(lock)) => lock,
            Ok(None) => {
                self.take_over(now);
                return Outcome::Busy;
            }
            Err(error) => return self.failed_here(OrderError::disk(&error)),
        };
        // Another process may have done it while we waited for the lock.
        if self.take_over(now) {
            drop(lock);
            return self.outcome_of_kept();
        }
        self.journal.tried = Some(timestamp(now));
        // Where nothing can be written, the CA is not troubled.
        if let Err(error) = self.store.keep_journal(&self.journal) {
            return self.failed_here(OrderError::disk(&error));
        }
        let authorities = self.authorities();
        let mut last = None;
        for authority in authorities {
            match self.order_at(&authority).await {
                Ok((issued, proof)) => return self.install(issued, proof, &authority),
                Err(error) => last = Some((error, authority)),
            }
        }
        match last {
            Some((error, authority)) => self.failed(error, &authority.name),
            None => Outcome::Busy,
        }
    }

    /// The second CA is for when the first has failed again and again.
    fn authorities(&self) -> Vec<Authority> {
        let second = self.settings.fallback.clone().filter(|_| self.journal.failures >= FALLBACK_FROM);
        std::iter::once(self.settings.authority.clone()).chain(second).collect()
    }

    async fn order_at(&mut self, authority: &Authority) -> Result<(Issued, Proof), OrderError> {
        let leaf = self.pair.as_ref().map(|pair| pair.leaf.clone());
        // Only its own CA knows the certificate that is replaced.
        let replaces =
            leaf.filter(|_| self.journal.issued_by.as_deref() == Some(authority.directory.as_str()));
        self.by_any_proof(authority, replaces.as_deref(), true).await
    }

    /// An order for each way to prove the names, until one succeeds. `keep`: as in [`Job`]; what is not kept is not counted.
    async fn by_any_proof(
        &mut self,
        authority: &Authority,
        replaces: Option<&Leaf>,
        keep: bool,
    ) -> Result<(Issued, Proof), OrderError> {
        let mut failed: Option<(OrderError, Proof)> = None;
        for proof in self.journal.proofs(self.settings.challenge, self.settings.are_for_addresses()) {
            let job = Job { authority, proof, replaces, keep };
            let ordered = if keep { self.order_by(job).await } else { self.asking.order(job).await };
            let error = match ordered {
                Ok(issued) => return Ok((issued, proof)),
                Err(error) => error,
            };
            // What the CA itself has said is worth more than that it is not asked again.
            let (error, first) = match failed.take() {
                Some((first, _)) if error.class == Class::Here => return Err(first),
                Some((first, before)) => (first.and_then(before.word(), error, proof.word()), before),
                None => (error, proof),
            };
            if !error.may_be_proven_otherwise() {
                return Err(error);
            }
            failed = Some((error, first));
        }
        Err(failed.map_or_else(OrderError::no_proof, |(error, _)| error))
    }

    /// One order, counted.
    async fn order_by(&self, job: Job<'_>) -> Result<Issued, OrderError> {
        let (now, names, directory) = (self.clock.now(), &self.settings.names, &job.authority.directory);
        let mut counters: Counters = self.store.read_of_authority(COUNTERS, directory).unwrap_or_default();
        counters.tidy(now);
        let limits = job.authority.limits;
        let held = counters.allow(limits, &self.store.id, names, job.replaces.is_some(), now);
        held.map_err(|held| OrderError::held_back(&held, now))?;
        counters.note_order(now);
        let directory = directory.clone();
        let ordered = self.asking.order(job).await;
        match &ordered {
            Ok(_) => counters.note_certificate(&self.store.id, now),
            Err(error) => error.failed_checks.iter().for_each(|name| counters.note_failed_check(name, now)),
        }
        if let Err(error) = self.store.keep_of_authority(COUNTERS, &directory, &counters) {
            tracing::debug!(%error, "the counters of a certificate authority can't be written");
        }
        ordered
    }

    /// Served first, written next: a full disk costs the next start, not this one.
    fn install(&mut self, issued: Issued, proof: Proof, authority: &Authority) -> Outcome {
        let Issued { key_pem, chain_pem, pair } = issued;
        self.unsaved = Some((key_pem, chain_pem));
        let names = self.settings.names.join(" ");
        let until = timestamp(pair.leaf.not_after);
        tracing::info!(%names, authority = authority.name, %until, "a new certificate is served");
        let now = self.clock.now();
        let certificate = Certificate::of(&pair.leaf, now);
        self.journal = Journal {
            challenge: Some(proof),
            failures: 0,
            tried: self.journal.tried,
            not_before: None,
            last_error: None,
            issued_by: Some(authority.directory.clone()),
            renewal: Some(Renewal::by_lifetime(&pair.leaf, random::fraction())),
        };
        self.pair = Some(pair.clone());
        self.said = None;
        self.resolver.serve(pair);
        self.publish_next();
        self.save();
        self.keep_journal();
        Outcome::Done { authority: authority.name.clone(), challenge: proof.word(), certificate }
    }

    /// Before any CA was asked.
    fn failed_here(&mut self, error: OrderError) -> Outcome {
        let authority = self.settings.authority.name.clone();
        self.failed(error, &authority)
    }

    fn failed(&mut self, error: OrderError, authority: &str) -> Outcome {
        let now = self.clock.now();
        self.journal.tried = Some(timestamp(now));
        self.journal.failures = self.journal.failures.saturating_add(1);
        let wait = schedule::wait_after(self.journal.failures, error.retry_after);
        self.journal.not_before = Some(timestamp(now + wait));
        let last_error = error.told(authority, now);
        self.say(&last_error, wait);
        self.journal.last_error = Some(last_error.clone());
        self.keep_journal();
        Outcome::Failed(last_error)
    }

    /// Once for each kind of failure in a row.
    fn say(&mut self, error: &LastError, wait: Duration) {
        let (kind, said) = (&error.kind, &error.said.en);
        if self.said.as_ref() == Some(kind) {
            tracing::debug!(kind, "a certificate was ordered again, in vain: {said}");
            return;
        }
        self.said = Some(kind.clone());
        let explained = error.explanation.as_ref().map(|words| format!(" {}", words.en)).unwrap_or_default();
        let served = match &self.pair {
            Some(pair) if self.clock.now() < pair.leaf.not_after => "the old one is served until it expires",
            Some(_) => "THE ONE THAT IS SERVED HAS EXPIRED",
            None => "a self-signed one stands in",
        };
        tracing::error!(
            names = self.settings.names.join(" "),
            authority = error.authority,
            kind,
            again_in_seconds = wait.as_secs(),
            "no certificate was signed, and {served}: {said}{explained}"
        );
    }

    /// The whole way, with nothing left behind.
    async fn try_out(&mut self) -> Outcome {
        let authority =
            Authority::for_trying(&self.settings.issuer).unwrap_or_else(|| self.settings.authority.clone());
        let outcome = self.by_any_proof(&authority, None, false).await;
        let now = self.clock.now();
        match outcome {
            Ok((issued, proof)) => {
                let certificate = Certificate::of(&issued.pair.leaf, now);
                Outcome::Done { authority: authority.name, challenge: proof.word(), certificate }
            }
            Err(error) => Outcome::Failed(error.told(&authority.name, now)),
        }
    }

    /// Serves what another process has put into the folder. True: there was something new that is good.
    fn take_over(&mut self, now: SystemTime) -> bool {
        let Ok(Some(pair)) = self.store.pair() else { return false };
        let known = self.pair.as_ref().map(|pair| pair.leaf.serial.clone());
        if known.as_ref() == Some(&pair.leaf.serial) || self.unsaved.is_some() || now >= pair.leaf.not_after {
            return false;
        }
        let names = self.settings.names.join(" ");
        tracing::info!(%names, "a new certificate that another process has ordered is served");
        self.pair = Some(pair.clone());
        self.journal = self.store.journal();
        self.resolver.serve(pair);
        self.publish_next();
        true
    }

    fn outcome_of_kept(&self) -> Outcome {
        match &self.pair {
            Some(pair) => Outcome::Done {
                authority: self.settings.authority.name.clone(),
                challenge: self.journal.challenge.map_or("", Proof::word),
                certificate: Certificate::of(&pair.leaf, self.clock.now()),
            },
            None => Outcome::Busy,
        }
    }

    fn save(&mut self) {
        let Some((key, chain)) = &self.unsaved else { return };
        match self.store.keep_pair(key, chain).and_then(|()| self.store.forget_order()) {
            Ok(()) => {
                self.unsaved = None;
                if self.said.as_deref() == Some("unsaved") {
                    self.said = None;
                    tracing::info!("the new certificate is on disk now");
                }
            }
            Err(error) if self.said.as_deref() != Some("unsaved") => {
                self.said = Some("unsaved".to_owned());
                tracing::error!(%error, path = %self.store.pair_file().display(), "the new certificate is served, and can't be written yet");
            }
            Err(_) => {}
        }
    }

    fn keep_journal(&self) {
        if let Err(error) = self.store.keep_journal(&self.journal) {
            tracing::debug!(%error, "the journal of the certificate can't be written");
        }
    }

    fn publish_next(&mut self) {
        let next = match self.step(self.clock.now()) {
            Step::Wait { next, .. } => next,
            Step::Order | Step::Ask => None,
        };
        self.publish(next);
    }

    fn publish(&self, next: Option<(SystemTime, Text)>) {
        let now = self.clock.now();
        let (settings, journal) = (&self.settings, &self.journal);
        self.status.send_replace(status(
            settings,
            &self.store,
            &self.resolver.served(),
            journal,
            self.pair.as_ref(),
            now,
            next,
        ));
    }
}

/// The kept pair, with a loud word where it is not what it should be.
fn kept(store: &Store, now: SystemTime) -> Option<Pair> {
    let path = store.pair_file();
    let path = path.display();
    match store.pair() {
        Ok(pair) => {
            if let Some(pair) = &pair {
                match State::of(&pair.leaf, now) {
                    State::Expired => {
                        let since = timestamp(pair.leaf.not_after);
                        tracing::error!(%path, %since, "THE CERTIFICATE HAS EXPIRED: it is served, and another is ordered at once");
                    }
                    State::NotYetValid => {
                        tracing::error!(%path, "the certificate's time has not come: is this machine's clock right?");
                    }
                    State::Valid | State::StandIn => {}
                }
            }
            pair
        }
        Err(error) => {
            tracing::error!(%path, "the kept certificate can't be used, and another is ordered: {}", error.text().en);
            None
        }
    }
}

#[cfg(test)]
#[path = "driver_tests.rs"]
mod tests;
