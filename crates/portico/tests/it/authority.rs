//! A Portico that gets its certificate from a real authority: Pebble, with a shim in front of it where something has
//! to go wrong.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use testkit::acme::{PROGRAMS, Pebble, PebbleOptions, Shim};
use testkit::client::{Answer, Connection};
use testkit::net::free_port;
use testkit::portico::Portico;
use testkit::{programs, tls, wait};

use crate::command::{Ended, ask};
use crate::support::binary;

/// What an order may take on a machine full of tests; alone it takes less than a second.
pub(crate) const ISSUED: Duration = Duration::from_secs(30);

pub(crate) const NAME: &str = "chat.test";

/// Ports that both sides know, and what stands in the configuration.
pub(crate) struct Site {
    pub(crate) http: u16,
    pub(crate) https: u16,
    pub(crate) pebble: Pebble,
    pub(crate) shim: Shim,
}

impl Site {
    /// `None`: this is an ordinary user's machine without the authority, and the test is skipped.
    pub(crate) async fn new(adjust: impl FnOnce(&mut PebbleOptions)) -> Option<Self> {
        if !programs::are_here(PROGRAMS) {
            return None;
        }
        let (http, https) = (free_port(), free_port());
        let mut options = PebbleOptions { http_port: http, tls_port: https, ..PebbleOptions::default() };
        adjust(&mut options);
        let pebble = Pebble::start(options).await;
        let shim = Shim::start(&pebble);
        Some(Self { http, https, pebble, shim })
    }

    /// `tls`: more keys of `[tls]`; `rest`: whole sections.
    pub(crate) fn configuration(&self, names: &[&str], tls: &str, rest: &str) -> String {
        let (directory, ca_file) = (self.shim.directory(), self.shim.ca_file().display().to_string());
        format!(
            "[site]\nnames = {names:?}\ndata_dir = \"{{folder}}/data\"\n\
             [listen]\nhttp = [\"127.0.0.1:{{port}}\"]\nhttps = [\"127.0.0.1:{{port:https}}\"]\n\
             admin = \"unix:{{folder}}/admin.sock\"\n\
             [tls]\nissuer = \"{directory}\"\nca_file = \"{ca_file}\"\n{tls}\n\
             [access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\"]\n\
             [log]\naccess = \"{{folder}}/access.log\"\n\
             [health]\ninterval = \"0s\"\n{rest}"
        )
    }

    pub(crate) fn ports(&self) -> [(&str, u16); 2] {
        [("", self.http), ("https", self.https)]
    }

    pub(crate) async fn start(&self, configuration: &str) -> Portico {
        let portico = Portico::launch_at(binary(), configuration, &self.ports(), |_| {});
        portico.serves().await;
        portico
    }

    /// The usual one: one name, no more keys.
    pub(crate) async fn portico(&self, tls: &str) -> Portico {
        self.start(&self.configuration(&[NAME], tls, "")).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.https))
    }

    /// A connection to the site by its name, trusting what the authority signs with now.
    pub(crate) async fn connect(&self, name: &str) -> std::io::Result<Connection> {
        tls::connect(self.address(), name, &self.pebble.root_pem().await).await
    }

    pub(crate) async fn get(&self, target: &str) -> std::io::Result<Answer> {
        let mut connection = self.connect(NAME).await?;
        connection.request("GET", target, &[("Host", NAME)], &[]).await?;
        connection.answer().await
    }

    /// Until clients accept the certificate.
    pub(crate) async fn serves_signed(&self, portico: &Portico) {
        wait::until(ISSUED, "the authority's certificate is served", async || {
            if portico.process().exited().is_some() {
                panic!("portico ended\n{}", portico.process().output());
            }
            self.get("/health").await.ok().filter(|answer| answer.head.status == 200)
        })
        .await;
    }
}

/// `portico cert status --json`, of the one certificate.
pub(crate) async fn status(portico: &Portico) -> Value {
    ask(portico, &["cert", "status", "--json"]).await.json()["certificates"][0].clone()
}

/// The serial number of what is served.
pub(crate) async fn serial(portico: &Portico) -> String {
    status(portico).await["certificate"]["serial"].as_str().unwrap_or_default().to_owned()
}

pub(crate) async fn renew(portico: &Portico, more: &[&str]) -> Ended {
    ask(portico, &[&["cert", "renew"], more].concat()).await
}

/// Every file below a folder with its content.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.insert(path.display().to_string(), std::fs::read(&path).unwrap_or_default());
        }
    }
    found
}
