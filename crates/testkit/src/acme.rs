//! A real certificate authority that speaks ACME (RFC 8555): Pebble, from Debian, with the name server of its own
//! ([`Names`]). A new one has no account, order or authorization, and keeps everything in memory.
//!
//! It validates for real: HTTP-01 and TLS-ALPN-01 by connecting to the port it was told, DNS-01 by asking the name
//! server. Debian's version (2.4) knows neither renewal information (RFC 9773) nor profiles, and does not look at CAA
//! records. [`Shim`] stands in front of it, adds both, and fails on purpose.

mod names;
mod shim;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

pub use self::{
    names::{Caa, Names},
    shim::{Fault, Renewal, Request, Resource, RetryAfter, Shim},
};
use crate::{
    net::free_port,
    process::Process,
    programs,
    temporary::Folder,
    tls::{self, Authority},
    wait,
};

/// What an ordinary start needs on this machine; see [`programs::are_here`].
pub const PROGRAMS: &[&str] = &["pebble", "pebble-challtestsrv"];

/// Pebble makes RSA keys for its chain at every start, which takes a while on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(30);

/// How often other ports are tried, when somebody else took one in between.
const ATTEMPTS: usize = 5;

const EAB_KEY_IDENTIFIER: &str = "kid-1";
/// As Pebble's own example has it.
const EAB_HMAC_BASE64URL: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

/// What it is to be like. By default nothing goes wrong by chance.
#[derive(Clone, Debug, Default)]
pub struct PebbleOptions {
    /// Where HTTP-01 is validated, in place of port 80.
    pub http_port: u16,
    /// Where TLS-ALPN-01 is validated, in place of port 443.
    pub tls_port: u16,
    /// How many of a hundred good nonces are refused (`badNonce`).
    pub nonce_reject_percent: u8,
    /// How many of a hundred new orders get an authorization that is valid already, if there is one.
    pub authz_reuse_percent: u8,
    /// Of certificates; five years otherwise.
    pub validity_seconds: Option<u64>,
    /// Accounts need an external account binding, which is [`Pebble::eab_kid`] and [`Pebble::eab_hmac_base64url`].
    pub eab: bool,
    /// Each validation first sleeps for a random time below this. 0: it does not sleep.
    pub sleep_seconds: u32,
    /// For these, and names below them, it refuses orders (`rejectedIdentifier`).
    pub blocked_names: Vec<String>,
    /// Another name server, such as [`crate::dns::Knot`], in place of [`Names`].
    pub dns: Option<SocketAddr>,
    /// `-strict`: what the next version of Pebble will refuse.
    pub strict: bool,
    /// How many chains there are beside the first.
    pub alternate_chains: u8,
}

/// A running Pebble; it ends on drop, and its name server with it.
pub struct Pebble {
    options: PebbleOptions,
    port: u16,
    management_port: u16,
    authority: Authority,
    authority_pem: String,
    // In this order: the processes end before their folder goes.
    process: Option<Process>,
    names: Option<Names>,
    folder: Folder,
}

impl Pebble {
    /// On free loopback ports. Panics where it is not installed: ask [`programs::are_here`] for [`PROGRAMS`] first.
    pub async fn start(options: PebbleOptions) -> Self {
        let folder = Folder::new();
        let authority = Authority::new("pebble's own address");
        let issued = authority.issue(&["localhost", "127.0.0.1"]);
        write(&folder, "ca.pem", &authority.pem());
        write(&folder, "certificate.pem", &issued.certificate_pem);
        write(&folder, "key.pem", &issued.key_pem);
        let names = match options.dns {
            Some(_) => None,
            // In a folder of its own: what ends takes everything with it that was started under its folder.
            None => Some(Names::start().await),
        };
        let authority_pem = authority.pem();
        let (port, management_port, process) = (free_port(), free_port(), None);
        let mut pebble =
            Self { options, port, management_port, authority, authority_pem, process, names, folder };
        for _ in 0..ATTEMPTS {
            if pebble.launch().await {
                return pebble;
            }
            (pebble.port, pebble.management_port) = (free_port(), free_port());
        }
        panic!("pebble found no free ports in {ATTEMPTS} attempts");
    }

    /// Stops it: nobody listens at the directory's address.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Stops it, if it runs, and starts it at the same addresses with nothing in its memory: every account, order and
    /// certificate is gone, and it signs with other roots.
    pub async fn restart(&mut self) {
        self.stop();
        assert!(self.launch().await, "somebody took pebble's port while it was away");
    }

    /// Whether it serves; not where a port was taken.
    async fn launch(&mut self) -> bool {
        let configuration = write(&self.folder, "pebble.json", &self.configuration().to_string());
        let mut command = Command::new(programs::need("pebble"));
        command.arg("-config").arg(configuration).arg("-dnsserver").arg(self.name_server().to_string());
        if self.options.strict {
            command.arg("-strict");
        }
        command.env("PEBBLE_WFE_NONCEREJECT", self.options.nonce_reject_percent.to_string());
        command.env("PEBBLE_AUTHZREUSE", self.options.authz_reuse_percent.to_string());
        command.env("PEBBLE_ALTERNATE_ROOTS", self.options.alternate_chains.to_string());
        match self.options.sleep_seconds {
            0 => command.env("PEBBLE_VA_NOSLEEP", "1"),
            seconds => command.env("PEBBLE_VA_SLEEPTIME", seconds.to_string()),
        };
        let process = Process::start(command, "pebble", self.folder.path());
        let served = wait::until(START_DEADLINE, "pebble answers", async || {
            if let Some(exit) = process.exited() {
                let output = process.output();
                assert!(output.contains("address already in use"), "pebble ended ({exit:?})\n{output}");
                return Some(false);
            }
            let both = (self.get(self.port, "/dir").await, self.get(self.management_port, "/roots/0").await);
            matches!(both, (Some(_), Some(_))).then_some(true)
        })
        .await;
        self.process = Some(process);
        served
    }

    fn configuration(&self) -> Value {
        let file = |name: &str| self.folder.path().join(name);
        let mut pebble = json!({
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management_port),
            "certificate": file("certificate.pem"),
            "privateKey": file("key.pem"),
            "httpPort": self.options.http_port,
            "tlsPort": self.options.tls_port,
            "ocspResponderURL": "",
            "domainBlocklist": self.options.blocked_names,
        });
        if let Some(seconds) = self.options.validity_seconds {
            pebble["certificateValidityPeriod"] = seconds.into();
        }
        if self.options.eab {
            pebble["externalAccountBindingRequired"] = true.into();
            pebble["externalAccountMACKeys"] = json!({ EAB_KEY_IDENTIFIER: EAB_HMAC_BASE64URL });
        }
        json!({ "pebble": pebble })
    }

    fn name_server(&self) -> SocketAddr {
        let own = || self.names().address();
        self.options.dns.unwrap_or_else(own)
    }

    /// The URL that clients are told.
    #[must_use]
    pub fn directory(&self) -> String {
        format!("https://localhost:{}/dir", self.port)
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The root behind the certificate of [`Pebble::directory`]'s own address. Not what it signs with.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// What [`Pebble::ca_file`] holds.
    #[must_use]
    pub fn ca_pem(&self) -> &str {
        &self.authority_pem
    }

    /// The root that it signs with, another one after each start.
    pub async fn root_pem(&self) -> String {
        self.managed("/roots/0").await
    }

    /// The intermediate that it signs with.
    pub async fn intermediate_pem(&self) -> String {
        self.managed("/intermediates/0").await
    }

    /// `Valid` or `Revoked`, by the serial number in hexadecimal digits; `None`: it issued no such certificate.
    pub async fn certificate_status(&self, serial: &str) -> Option<String> {
        let body = self.get(self.management_port, &format!("/cert-status-by-serial/{serial}")).await?;
        let status: Value = serde_json::from_str(&body).ok()?;
        status["Status"].as_str().map(str::to_owned)
    }

    /// The key identifier of the external account binding.
    #[must_use]
    pub fn eab_kid(&self) -> &'static str {
        EAB_KEY_IDENTIFIER
    }

    /// The key of the external account binding, in base64url without padding.
    #[must_use]
    pub fn eab_hmac_base64url(&self) -> &'static str {
        EAB_HMAC_BASE64URL
    }

    /// Its name server. Panics where [`PebbleOptions::dns`] is another one.
    #[must_use]
    pub fn names(&self) -> &Names {
        match &self.names {
            Some(names) => names,
            None => panic!("this pebble asks another name server"),
        }
    }

    /// What it has written: each request and each validation. Empty while it is stopped.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.as_ref().map(Process::stdout).unwrap_or_default()
    }

    /// Where its files are, removed on drop.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    async fn managed(&self, target: &str) -> String {
        let body = self.get(self.management_port, target).await;
        body.unwrap_or_else(|| panic!("pebble's management address does not answer {target}"))
    }

    async fn get(&self, port: u16, target: &str) -> Option<String> {
        let answer = tls::get(port, target, &self.authority_pem).await.ok()?;
        (answer.head.status == 200).then(|| answer.text())
    }
}

fn write(folder: &Folder, name: &str, text: &str) -> PathBuf {
    let path = folder.path().join(name);
    fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    path
}
