//! The driver's patience, on a paused clock: what a real authority can't be made to do in a day.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use tokio::time::advance;

use super::*;
use crate::acme::account::AccountSettings;
use crate::acme::asking::Suggestion;
use crate::acme::dns::DnsSettings;
use crate::acme::schedule::Window;
use crate::certificate::{Challenges, stand_in};
use crate::config::{Challenge, Issuer};

const NAME: &str = "chat.example.com";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Answers what it was told to, and remembers when it was asked.
#[derive(Clone)]
struct Scripted {
    clock: WallClock,
    lifetime: Duration,
    answers: Rc<RefCell<VecDeque<OrderError>>>,
    /// Once `answers` is empty: it fails so for ever, or signs.
    fails: Rc<RefCell<Option<OrderError>>>,
    suggestion: Rc<RefCell<Option<Suggestion>>>,
    asked: Rc<RefCell<Vec<Asked>>>,
}

#[derive(Debug, Clone, PartialEq)]
struct Asked {
    at: SystemTime,
    authority: String,
    proof: &'static str,
    replaces: bool,
}

impl Asking for Scripted {
    async fn order(&self, job: Job<'_>) -> Result<Issued, OrderError> {
        self.asked.borrow_mut().push(Asked {
            at: self.clock.now(),
            authority: job.authority.name.clone(),
            proof: job.proof.word(),
            replaces: job.replaces.is_some(),
        });
        if let Some(error) = self.answers.borrow_mut().pop_front() {
            return Err(error);
        }
        if let Some(error) = self.fails.borrow().clone() {
            return Err(error);
        }
        Ok(issue(self.clock.now(), self.lifetime))
    }

    async fn suggestion(&self, _: &str, _: &Leaf) -> Result<Option<Suggestion>, OrderError> {
        Ok(self.suggestion.borrow().clone())
    }
}

fn issue(now: SystemTime, lifetime: Duration) -> Issued {
    let mut parameters = rcgen::CertificateParams::new([NAME.to_owned()]).unwrap();
    parameters.not_before = now.into();
    parameters.not_after = (now + lifetime).into();
    parameters.use_authority_key_identifier_extension = true;
    let (key, authority) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let issuer = rcgen::Issuer::from_params(&parameters, authority);
    let chain_pem = parameters.signed_by(&key, &issuer).unwrap().pem();
    let key_pem = key.serialize_pem();
    let pair = Pair::from_pem(chain_pem.as_bytes(), key_pem.as_bytes()).unwrap();
    Issued { key_pem, chain_pem, pair }
}

fn unreachable() -> OrderError {
    OrderError { class: Class::Unavailable, kind: "unreachable".to_owned(), ..OrderError::no_proof() }
}

fn limited(retry_after: Duration) -> OrderError {
    OrderError {
        class: Class::RateLimited,
        kind: "rateLimited".to_owned(),
        retry_after: Some(retry_after),
        ..OrderError::no_proof()
    }
}

fn not_proven() -> OrderError {
    OrderError {
        class: Class::NotProven,
        kind: "connection".to_owned(),
        failed_checks: vec![NAME.to_owned()],
        ..OrderError::no_proof()
    }
}

struct Scene {
    folder: tempfile::TempDir,
    settings: Settings,
    clock: WallClock,
    scripted: Scripted,
    resolver: Arc<Resolver>,
    status: watch::Receiver<Status>,
}

impl Scene {
    fn new(issuer: &Issuer, fallback: Option<&Issuer>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = WallClock::starting_at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000));
        let settings = Settings {
            names: vec![NAME.to_owned()],
            data_dir: folder.path().to_owned(),
            issuer: issuer.clone(),
            authority: Authority::of(issuer).unwrap(),
            fallback: fallback.and_then(Authority::of),
            challenge: Challenge::TlsAlpn01,
            profile: String::new(),
            account: AccountSettings { email: String::new(), eab_kid: String::new(), eab_hmac_file: None },
            dns: DnsSettings { provider: String::new(), credentials_file: None },
            ca_file: None,
        };
        let scripted = Scripted {
            clock: clock.clone(),
            lifetime: 90 * DAY,
            answers: Rc::default(),
            fails: Rc::default(),
            suggestion: Rc::default(),
            asked: Rc::default(),
        };
        let resolver = Resolver::new(stand_in(&settings.names).unwrap(), Arc::new(Challenges::default()));
        let store = Store::new(folder.path(), &settings.names);
        let (_, status, _) =
            Driver::with(settings.clone(), store, &resolver, scripted.clone(), clock.clone());
        Self { folder, settings, clock, scripted, resolver, status }
    }

    /// Lets the driver run for so long, as a process does from its start to its end.
    async fn run_for(&mut self, time: Duration) {
        let store = Store::new(self.folder.path(), &self.settings.names);
        let (driver, status, _wish) = Driver::with(
            self.settings.clone(),
            store,
            &self.resolver,
            self.scripted.clone(),
            self.clock.clone(),
        );
        self.status = status;
        tokio::select! {
            () = driver.run() => {}
            () = tokio::time::sleep(time) => {}
        }
    }

    /// When it was asked, counted from the first time, in minutes.
    fn minutes(&self) -> Vec<u64> {
        let asked = self.scripted.asked.borrow();
        let first = asked.first().map_or(SystemTime::UNIX_EPOCH, |asked| asked.at);
        asked.iter().map(|asked| asked.at.duration_since(first).unwrap().as_secs() / 60).collect()
    }

    fn state(&self) -> State {
        self.status.borrow().state
    }
}

fn directory() -> Issuer {
    Issuer::Directory("https://ca.lan/dir".to_owned())
}

#[tokio::test(start_paused = true)]
async fn f15_an_authority_that_is_away_for_a_day_is_asked_five_times_and_then_signs() {
    let mut scene = Scene::new(&directory(), None);
    *scene.scripted.fails.borrow_mut() = Some(unreachable());
    scene.run_for(DAY + Duration::from_secs(3600)).await;
    assert_eq!(scene.minutes(), [0, 1, 11, 111]);
    assert_eq!((scene.state(), scene.status.borrow().failures), (State::StandIn, 4));
    *scene.scripted.fails.borrow_mut() = None;
    scene.run_for(DAY).await;
    assert_eq!(scene.minutes(), [0, 1, 11, 111, 111 + 24 * 60]);
    assert_eq!((scene.state(), scene.status.borrow().failures), (State::Valid, 0));
    assert_eq!(scene.status.borrow().last_error, None);
}

#[tokio::test(start_paused = true)]
async fn the_ladder_and_what_the_authority_asked_for_survive_restarts() {
    let mut scene = Scene::new(&directory(), None);
    scene.scripted.answers.borrow_mut().extend([unreachable(), limited(Duration::from_secs(3 * 3600))]);
    // A process that is restarted every half minute.
    for _ in 0..10 {
        scene.run_for(Duration::from_secs(30)).await;
    }
    assert_eq!(scene.minutes(), [0, 1]);
    scene.run_for(Duration::from_secs(3 * 3600)).await;
    assert_eq!(scene.minutes(), [0, 1, 181]);
    assert_eq!(scene.state(), State::Valid);
}

#[tokio::test(start_paused = true)]
async fn a_renewal_comes_with_a_third_left_and_says_what_it_replaces() {
    let mut scene = Scene::new(&directory(), None);
    scene.run_for(59 * DAY).await;
    assert_eq!(scene.scripted.asked.borrow().len(), 1);
    scene.run_for(2 * DAY).await;
    let asked = scene.scripted.asked.borrow().clone();
    assert_eq!((asked.len(), asked[0].replaces, asked[1].replaces), (2, false, true));
    let days = asked[1].at.duration_since(asked[0].at).unwrap().as_secs_f64() / 86_400.0;
    assert!((60.0..60.05).contains(&days), "{days}");
    // Renewal is tried again long before the old one ends, which is served meanwhile.
    *scene.scripted.fails.borrow_mut() = Some(unreachable());
    scene.run_for(75 * DAY).await;
    let tries = scene.scripted.asked.borrow().len() - 2;
    assert!((15..=20).contains(&tries), "daily for fifteen days: {tries}");
    assert_eq!(scene.state(), State::Valid);
    scene.run_for(20 * DAY).await;
    assert_eq!(scene.state(), State::Expired, "it is served still");
    *scene.scripted.fails.borrow_mut() = None;
    scene.run_for(DAY).await;
    assert_eq!(scene.state(), State::Valid);
}

#[tokio::test(start_paused = true)]
async fn the_window_of_the_authority_goes_before_the_lifetime() {
    let mut scene = Scene::new(&directory(), None);
    scene.run_for(DAY).await;
    // Something has happened at the authority: all certificates are to be renewed now.
    let now = scene.clock.now();
    let window = Window { start: now - DAY, end: now - DAY / 2 };
    *scene.scripted.suggestion.borrow_mut() =
        Some(Suggestion { window, explanation_url: None, ask_again: None });
    scene.run_for(DAY / 2).await;
    assert_eq!(scene.scripted.asked.borrow().len(), 2, "asked twice a day, and renewed at once");
    // It says so of every certificate: then each is left alone for a day.
    scene.run_for(4 * DAY).await;
    assert_eq!(scene.scripted.asked.borrow().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn the_second_authority_is_asked_from_the_third_attempt_on() {
    let mut scene = Scene::new(&directory(), Some(&Issuer::ZeroSsl));
    scene.scripted.answers.borrow_mut().extend([unreachable(), unreachable(), unreachable()]);
    scene.run_for(Duration::from_secs(15 * 60)).await;
    let authorities: Vec<_> =
        scene.scripted.asked.borrow().iter().map(|asked| asked.authority.clone()).collect();
    assert_eq!(authorities, ["https://ca.lan/dir", "https://ca.lan/dir", "https://ca.lan/dir", "zerossl"]);
    assert_eq!(scene.state(), State::Valid);
    scene.run_for(61 * DAY).await;
    let asked = scene.scripted.asked.borrow();
    let last = asked.last().unwrap();
    assert_eq!((last.authority.as_str(), last.replaces), ("https://ca.lan/dir", false), "the first is back");
}

#[tokio::test(start_paused = true)]
async fn own_counters_stay_under_half_of_let_s_encrypt_s_limits() {
    let mut scene = Scene::new(&Issuer::LetsEncrypt, None);
    scene.settings.challenge = Challenge::Auto;
    *scene.scripted.fails.borrow_mut() = Some(not_proven());
    scene.run_for(3 * DAY).await;
    let asked = scene.scripted.asked.borrow();
    for asked_then in asked.iter() {
        let hour = asked_then.at..asked_then.at + Duration::from_secs(3600);
        let within = asked.iter().filter(|other| hour.contains(&other.at)).count();
        assert!(within <= 2, "{within} failed checks in an hour: {asked:#?}");
    }
    assert!(asked.len() >= 6, "it goes on trying: {asked:#?}");
}

#[tokio::test(start_paused = true)]
async fn f22_clocks_that_jump() {
    let mut scene = Scene::new(&directory(), None);
    scene.run_for(DAY).await;
    let right = scene.clock.now();
    // A dead battery: it is 1970, nothing is renewed, and it is said.
    scene.clock.jump_to(SystemTime::UNIX_EPOCH + DAY);
    scene.run_for(DAY).await;
    assert_eq!((scene.state(), scene.scripted.asked.borrow().len()), (State::NotYetValid, 1));
    // A year ahead: it looks expired, and the authority refuses to talk to such a client.
    *scene.scripted.fails.borrow_mut() = Some(unreachable());
    scene.clock.jump_to(right + 365 * DAY);
    scene.run_for(DAY / 2).await;
    let tries = scene.scripted.asked.borrow().len();
    assert_eq!((scene.state(), tries), (State::Expired, 5));
    // Put right: what was written down in the wrong year holds nobody back.
    scene.clock.jump_to(right + DAY);
    scene.run_for(DAY / 2).await;
    assert_eq!((scene.state(), scene.scripted.asked.borrow().len()), (State::Valid, tries));
    *scene.scripted.fails.borrow_mut() = None;
    scene.clock.jump_to(right + 60 * DAY);
    scene.run_for(DAY).await;
    assert_eq!(scene.scripted.asked.borrow().len(), tries + 1, "renewed in its time");
    advance(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn f26_where_nothing_can_be_written_the_authority_is_not_troubled() {
    let mut scene = Scene::new(&directory(), None);
    // A file where the folder of certificates would be: nothing can be written, for root either.
    let in_the_way = scene.folder.path().join("certificates");
    std::fs::write(&in_the_way, "").unwrap();
    scene.run_for(Duration::from_secs(30 * 60)).await;
    assert_eq!(scene.minutes(), [] as [u64; 0]);
    let error = scene.status.borrow().last_error.clone().expect("it is said");
    assert_eq!(error.kind, "disk");
    std::fs::remove_file(&in_the_way).unwrap();
    scene.run_for(DAY).await;
    assert_eq!(scene.state(), State::Valid);
}
