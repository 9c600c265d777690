//! DNS-01 the whole way: a real CA, a real name server that takes signed updates, and the certificate that is served.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use testkit::acme::{self, Pebble, PebbleOptions};
use testkit::dns::{self, Knot};
use testkit::portico::Portico;
use testkit::temporary::Folder;
use testkit::{programs, tls, wait};

use crate::setup::Setup;

/// From an empty folder to the certificate, on a machine that does other things too.
const ORDER_TIME: Duration = Duration::from_secs(10);

fn can_run() -> bool {
    programs::are_here(acme::PROGRAMS) && programs::are_here(dns::PROGRAMS)
}

/// A name server, a CA that believes it, and a file with the key.
struct Stage {
    knot: Knot,
    pebble: Pebble,
    folder: Folder,
}

impl Stage {
    async fn with(records: &str) -> Self {
        let knot = Knot::with("example.test", records).await;
        let pebble = Pebble::start(PebbleOptions { dns: Some(knot.address()), ..Default::default() }).await;
        Self { knot, pebble, folder: Folder::new() }
    }

    fn own_credentials(&self, transport: &str) -> PathBuf {
        self.credentials(transport, self.knot.key_name(), self.knot.key_base64())
    }

    fn credentials(&self, transport: &str, name: &str, key: &str) -> PathBuf {
        let address = self.knot.address();
        let path = self.folder.path().join("dns.toml");
        let text = format!("server = \"{transport}://{address}\"\nkey_name = \"{name}\"\nkey = \"{key}\"\n");
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        path
    }

    async fn portico(&self, names: &[&str], credentials: &std::path::Path) -> Portico {
        let (directory, ca) = (self.pebble.directory(), self.pebble.ca_file());
        let setup = Setup::new()
            .model("scripted", &["http://127.0.0.1:9"], "")
            .site(&format!("names = {names:?}"))
            .listen("https = [\"127.0.0.1:{port:https}\"]")
            .with("[access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\"]")
            .with(&format!(
                "[tls]\nissuer = \"{directory}\"\nca_file = {ca:?}\nchallenge = \"dns-01\"\n\
                 dns = {{ provider = \"rfc2136\", credentials_file = {credentials:?} }}"
            ));
        setup.start().await
    }

    async fn served(&self, portico: &Portico, name: &str) {
        let address = ([127, 0, 0, 1], portico.port("https")).into();
        let root = self.pebble.root_pem().await;
        wait::until(wait::SOON, &format!("the CA's certificate for {name} is served"), async || {
            tls::connect(address, name, &root).await.ok().map(|_| ())
        })
        .await;
    }
}

#[tokio::test]
async fn names_are_proven_by_a_name_server_that_takes_updates() {
    if !can_run() {
        return;
    }
    let stage = Stage::with("").await;
    let credentials = stage.own_credentials("udp");
    let begun = Instant::now();
    let portico = stage.portico(&["chat.example.test", "www.example.test"], &credentials).await;
    stage.served(&portico, "chat.example.test").await;
    let took = begun.elapsed();
    eprintln!("from nothing to the served certificate by DNS-01: {:.2} s", took.as_secs_f64());
    assert!(took < ORDER_TIME, "{took:?}");
    stage.served(&portico, "www.example.test").await;
    for name in ["chat", "www"] {
        let left = stage.knot.txt(&format!("_acme-challenge.{name}.example.test")).await;
        assert!(left.is_empty(), "the record is taken away again: {left:?}");
    }
    // One that is late over UDP is sent again, and changes nothing then.
    assert!(stage.knot.updates_taken() >= 4);
    assert_eq!(stage.knot.updates_refused(), 0);
}

#[tokio::test]
async fn aliases_are_followed_and_the_records_of_others_stay() {
    if !can_run() {
        return;
    }
    let stage = Stage::with(
        "_acme-challenge.chat CNAME chat.proofs\n\
         chat.proofs TXT \"of somebody else\"\n\
         *.cover CNAME cover.invalid.",
    )
    .await;
    let credentials = stage.own_credentials("tcp");
    // The alias of the second name stands for all names there, and for none that has records of its own.
    let portico = stage.portico(&["chat.example.test", "chat.cover.example.test"], &credentials).await;
    stage.served(&portico, "chat.example.test").await;
    stage.served(&portico, "chat.cover.example.test").await;
    assert_eq!(stage.knot.txt("chat.proofs.example.test").await, ["of somebody else"]);
    assert_eq!((stage.knot.updates_taken(), stage.knot.updates_refused()), (4, 0));
}

#[tokio::test]
async fn a_wrong_key_is_told_and_not_shown() {
    if !can_run() {
        return;
    }
    let stage = Stage::with("").await;
    let (name, wrong) = (stage.knot.key_name(), "YW5vdGhlciBrZXkgdGhhdCBpcyBub3QgdGhlIG9uZSE=");
    for (name, key) in [(name, wrong), ("nobody", stage.knot.key_base64())] {
        let credentials = stage.credentials("udp", name, key);
        let portico = stage.portico(&["chat.example.test"], &credentials).await;
        let line = portico.wait_for_line("stderr", "rfc2136 did not take the record").await;
        for said in
            ["_acme-challenge.chat.example.test.", "zone example.test.", "not signed by this key", "dns.toml"]
        {
            assert!(line.contains(said), "{said}: {line}");
        }
        assert!(!portico.process().output().contains(key));
    }
    assert_eq!(stage.knot.updates_taken(), 0);
}

#[tokio::test]
async fn a_key_that_others_may_read_is_not_used() {
    if !can_run() {
        return;
    }
    let stage = Stage::with("").await;
    let credentials = stage.own_credentials("udp");
    std::fs::set_permissions(&credentials, std::fs::Permissions::from_mode(0o640)).unwrap();
    let portico = stage.portico(&["chat.example.test"], &credentials).await;
    portico.wait_for_line("stderr", &format!("chmod 600 {}", credentials.display())).await;
    assert_eq!(stage.knot.updates_taken() + stage.knot.updates_refused(), 0);
}
