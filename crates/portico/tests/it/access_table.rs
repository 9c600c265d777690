//! Who may come in, as a table: networks, `satisfy`, `scope`, credentials and paths in all their combinations, each asked of
//! one running Portico and compared with `access_model`.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::json;
use testkit::client::{Answer, Connection};
use testkit::net::Address;
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::{temporary, wait};

use crate::access_model::{Asks, Comes, House, Satisfy, Scope, Shows, houses};
use crate::command::ask;
use crate::identity::{basic, key};
use crate::setup::{Setup, chat};
use crate::support::binary;

/// `ada` with the password `secret`: quick to verify, so that thousands of wrong ones are.
const HTPASSWD: &str = "ada:$apr1$s.KKgiaY$57t1yOgZ8Cl5nyRicwuSk1\n";
const ORIGIN: &str = "https://admin.example.com";

/// One Portico, whose `[access]` is written anew for each house.
pub(crate) struct Door {
    pub(crate) portico: Portico,
    pub(crate) scripted: Scripted,
    credentials: Credentials,
    connections: Connections,
    folder: temporary::Folder,
}

struct Credentials {
    key: String,
    of_a_network: String,
    revoked: String,
    expired: String,
    session: String,
    ended: String,
}

impl Door {
    pub(crate) async fn open() -> Self {
        let folder = temporary::Folder::new();
        let htpasswd = folder.path().join("htpasswd");
        std::fs::write(&htpasswd, HTPASSWD).expect("written");
        let scripted = Scripted::start().await;
        let portico = Portico::start(binary(), &configuration(&scripted, &htpasswd, "")).await;
        let credentials = Credentials::collect(&portico).await;
        let connections = Connections::to(portico.port(""));
        Self { portico, scripted, credentials, connections, folder }
    }

    pub(crate) fn htpasswd(&self) -> std::path::PathBuf {
        self.folder.path().join("htpasswd")
    }

    pub(crate) async fn become_house(&mut self, house: &House) {
        let text = configuration(&self.scripted, &self.htpasswd(), &house.toml());
        self.portico.rewrite_configuration(&text);
        ask(&self.portico, &["reload"]).await.expect(0);
    }

    pub(crate) async fn asks(&mut self, comes: Comes, shows: Shows, asks: Asks) -> Answer {
        let (headers, body) = request(comes, asks);
        let headers = [headers, self.credentials.headers(shows)].concat();
        self.connections.ask(comes, asks, &headers, &body).await
    }
}

/// Only the first proxy is trusted, so an address of loopback may be a client as well. Nobody is locked out: that is another
/// test's.
fn configuration(scripted: &Scripted, htpasswd: &Path, access: &str) -> String {
    let text = Setup::before(scripted)
        .listen("trusted_proxies = [\"127.0.0.1\"]")
        .with(&format!("[cors]\norigins = [{ORIGIN:?}]"))
        .with(&format!(
            "[access]\nhtpasswd = {htpasswd:?}\nlockout = {{ failures = 1000, window = \"1s\", ban = \"1s\" }}\n{access}"
        ))
        .text();
    text.replace("[\"127.0.0.1:{port}\"]", "[\"127.0.0.1:{port}\", \"[::1]:{port}\"]")
}

impl Credentials {
    async fn collect(portico: &Portico) -> Self {
        let made = async |more: &[&str]| key(portico, &[&["--user", "ada"], more].concat()).await;
        let (_, key) = made(&[]).await;
        let (_, of_a_network) = made(&["--networks", "10.0.0.0/8"]).await;
        let (id, revoked) = made(&[]).await;
        ask(portico, &["key", "revoke", &id]).await.expect(0);
        let (_, expired) = made(&["--expires", "1s"]).await;
        let (session, ended) = (log_in(portico).await, log_in(portico).await);
        let json = ("Content-Type", "application/json");
        let out = portico.once("POST", "/account/api/logout", &[json, ("Cookie", &ended)], b"{}").await;
        assert_eq!(out.head.status, 204, "{}", out.text());
        wait::until(Duration::from_secs(3), "the key expires", async || {
            let answer = portico.once("GET", "/v1/models", &[("X-Api-Key", &expired)], &[]).await;
            (answer.head.status == 401).then_some(())
        })
        .await;
        Self { key, of_a_network, revoked, expired, session, ended }
    }

    fn headers(&self, shows: Shows) -> Vec<(&'static str, String)> {
        let authorization = |value: String| ("Authorization", value);
        let bearer = |key: &str| authorization(format!("Bearer {key}"));
        let own = |key: &str| ("X-Api-Key", key.to_owned());
        let cookie = |cookie: &str| ("Cookie", cookie.to_owned());
        let (right, wrong) = (basic("ada", "secret"), basic("ada", "wrong"));
        match shows {
            Shows::Nothing => vec![],
            Shows::Password => vec![authorization(right)],
            Shows::WrongPassword => vec![authorization(wrong)],
            Shows::UnknownName => vec![authorization(basic("eve", "secret"))],
            Shows::NotBase64 => vec![authorization("Basic ada:secret".to_owned())],
            Shows::OtherScheme => vec![authorization("Digest username=\"ada\"".to_owned())],
            Shows::Key => vec![bearer(&self.key)],
            Shows::KeyInItsOwnHeader => vec![own(&self.key)],
            Shows::KeyOfANetwork => vec![bearer(&self.of_a_network)],
            Shows::RevokedKey => vec![bearer(&self.revoked)],
            Shows::ExpiredKey => vec![own(&self.expired)],
            Shows::GarbageKey => vec![bearer("pk-garbage")],
            Shows::Session => vec![cookie(&self.session)],
            Shows::EndedSession => vec![cookie(&self.ended)],
            Shows::GarbageSession => vec![cookie("portico=garbage")],
            Shows::KeyAndPassword => vec![authorization(right), own(&self.key)],
            Shows::TwoKeys => vec![bearer(&self.key), own(&self.key)],
            Shows::SessionAndWrongKey => vec![own("pk-garbage"), cookie(&self.session)],
            Shows::SessionAndWrongPassword => vec![authorization(wrong), cookie(&self.session)],
            Shows::KeyAndGarbageSession => vec![bearer(&self.key), cookie("portico=garbage")],
        }
    }
}

async fn log_in(portico: &Portico) -> String {
    let body = json!({"name": "ada", "password": "secret"});
    let answer = portico.post_json("/account/api/login", &body).await;
    let line = answer.head.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {}", answer.text()));
    line.split(';').next().unwrap_or_default().to_owned()
}

/// Everything of a request but its credentials.
pub(crate) fn request(comes: Comes, asks: Asks) -> (Vec<(&'static str, String)>, Vec<u8>) {
    let mut headers = Vec::new();
    match comes {
        Comes::Forwarded(chain, _) => headers.push(("X-Forwarded-For", chain.to_owned())),
        Comes::Directly(_) => {}
        Comes::Lying(_) => headers.push(("X-Forwarded-For", "10.1.2.3".to_owned())),
    }
    let mut body = Vec::new();
    match asks {
        Asks::PageOfABrowser => headers.push(("Accept", "text/html,*/*".to_owned())),
        Asks::Chat => {
            headers.push(("Content-Type", "application/json".to_owned()));
            body = chat("hello").to_string().into_bytes();
        }
        Asks::Preflight | Asks::ForeignPreflight => {
            let origin = if asks == Asks::Preflight { ORIGIN } else { "https://evil.example" };
            headers.push(("Origin", origin.to_owned()));
            headers.push(("Access-Control-Request-Method", "POST".to_owned()));
        }
        _ => {}
    }
    (headers, body)
}

/// Kept connections to one server, one from each address.
pub(crate) struct Connections {
    port: u16,
    open: BTreeMap<IpAddr, Connection>,
}

impl Connections {
    /// To a server that listens on 127.0.0.1 and on ::1.
    pub(crate) const fn to(port: u16) -> Self {
        Self { port, open: BTreeMap::new() }
    }

    pub(crate) async fn ask(
        &mut self,
        comes: Comes,
        asks: Asks,
        headers: &[(&str, String)],
        body: &[u8],
    ) -> Answer {
        let source: IpAddr = match comes {
            Comes::Forwarded(..) => IpAddr::from([127, 0, 0, 1]),
            Comes::Directly(_) | Comes::Lying(_) => comes.client(),
        };
        let loopback = if source.is_ipv4() { "127.0.0.1" } else { "::1" };
        let target = Address::Tcp((loopback.parse::<IpAddr>().expect("an address"), self.port).into());
        let mut connection = match self.open.remove(&source) {
            Some(connection) => connection,
            None => Connection::open_from(source, &target).await,
        };
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let (method, path) = asks.line();
        connection.request(method, path, &headers, body).await.expect("sent");
        let answer = connection.answer().await;
        let answer = answer.unwrap_or_else(|error| panic!("{comes:?} {asks:?} {headers:?}: {error}"));
        if !answer.head.headers("connection").iter().any(|value| value.eq_ignore_ascii_case("close")) {
            self.open.insert(source, connection);
        }
        answer
    }
}

/// What is wrong with an answer.
fn wrongs(house: &House, comes: Comes, shows: Shows, asks: Asks, answer: &Answer) -> Vec<String> {
    let client = comes.client();
    let mut expected = house.expects(client, shows, asks);
    if asks == Asks::Login && expected.status == 200 && !is_login_page_built() {
        expected.status = 404;
    }
    let mut wrongs = Vec::new();
    let mut check = |what: &str, got: String, wanted: String| {
        if got != wanted {
            wrongs.push(format!("{what} is {got} and not {wanted}"));
        }
    };
    check("the status", answer.head.status.to_string(), expected.status.to_string());
    let code = (asks.is_api() && answer.head.status >= 400).then(|| answer.json()["error"]["code"].clone());
    check(
        "the code",
        format!("{:?}", code.as_ref().and_then(|code| code.as_str())),
        format!("{:?}", expected.code),
    );
    if asks == Asks::Ready {
        let names = answer.json()["models"].is_object();
        check("that it names models", names.to_string(), house.names_models(client, shows).to_string());
    }
    // Programs are told how to say who they are; a page would only make the browser show its own box.
    let offers = answer.head.header("www-authenticate").is_some_and(|value| value.starts_with("Basic "));
    check("the offer of Basic", offers.to_string(), (expected.status == 401 && asks.is_api()).to_string());
    wrongs
}

fn is_login_page_built() -> bool {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../ui/dist/account.html").exists()
}

/// Every `step`th row of the product of everything. Where the step has no factor in common with the sizes, every
/// pair of values occurs.
pub(crate) struct Thinned {
    step: usize,
    row: usize,
}

impl Thinned {
    pub(crate) const fn every(step: usize) -> Self {
        Self { step, row: 0 }
    }

    pub(crate) fn takes(&mut self) -> bool {
        self.row += 1;
        self.row.is_multiple_of(self.step)
    }
}

/// Houses with another rule each: where the answers would suit them as well, the table would prove nothing.
fn other_houses(house: &House) -> [House; 4] {
    let scope = if house.scope == Scope::Site { Scope::Api } else { Scope::Site };
    let satisfy = if house.satisfy == Satisfy::All { Satisfy::Any } else { Satisfy::All };
    [
        House { scope, ..*house },
        House { satisfy, ..*house },
        House { allow: &[], ..*house },
        House { deny: &[], ..*house },
    ]
}

async fn compare(mut thinned: Thinned, at_least: usize) {
    let mut door = Door::open().await;
    let (mut rows, mut refused, mut failures, mut told) = (0, 0, Vec::new(), [0; 4]);
    for house in houses() {
        door.become_house(&house).await;
        for comes in Comes::ALL {
            for shows in Shows::ALL {
                for asks in Asks::ALL {
                    if !thinned.takes() {
                        continue;
                    }
                    let answer = door.asks(comes, shows, asks).await;
                    rows += 1;
                    refused += usize::from(matches!(answer.head.status, 400..404));
                    for (told, other) in told.iter_mut().zip(other_houses(&house)) {
                        *told += usize::from(!wrongs(&other, comes, shows, asks, &answer).is_empty());
                    }
                    for wrong in wrongs(&house, comes, shows, asks, &answer) {
                        failures.push(format!("{house:?} {comes:?} {shows:?} {asks:?}: {wrong}"));
                    }
                }
            }
        }
    }
    eprintln!("{rows} rows, {refused} of them refused; of other rules {told:?} would differ");
    let shown = failures.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    assert!(failures.is_empty(), "{} of {rows} rows differ:\n{shown}", failures.len());
    assert!(
        rows >= at_least && refused > rows / 4 && refused < rows * 3 / 4,
        "{rows} rows, {refused} refused"
    );
    assert!(told.iter().all(|told| *told > rows / 50), "the rows tell no rule from another: {told:?}");
}

#[tokio::test]
async fn everybody_gets_the_answer_that_the_rules_say() {
    compare(Thinned::every(13), 4000).await;
}

/// The same, without leaving anything out.
#[tokio::test]
#[ignore = "a minute; the thinned table holds every pair of values"]
async fn everybody_gets_the_answer_that_the_rules_say_in_every_row() {
    compare(Thinned::every(1), 54_000).await;
}
