//! A real name server for one zone: Knot, from Debian, which takes dynamic updates (RFC 2136) signed by a key
//! (TSIG, RFC 8945).

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
};

use super::question::{Kind, Reply, ask};
use crate::{
    net::free_port,
    process::Process,
    programs,
    temporary::Folder,
    wait::{self, SOON},
};

/// What it needs on this machine; see [`programs::are_here`].
pub const PROGRAMS: &[&str] = &["knotd"];

const KEY_NAME: &str = "update-key";
const KEY_BASE64: &str = "dGhpcyBrZXkgaXMga25vd24gdG8gZXZlcnlib2R5ISE=";

const ATTEMPTS: usize = 5;

/// A running name server on loopback, UDP and TCP; it ends on drop. Its key may change TXT records and nothing else.
pub struct Knot {
    zone: String,
    port: u16,
    // In this order: the process ends before its folder goes.
    process: Process,
    folder: Folder,
}

impl Knot {
    /// For a zone such as `example.test`, in which every name is at 127.0.0.1. A name with a TXT record below it
    /// is there itself, and then has no address (RFC 4592): name those in [`Knot::with`].
    pub async fn start(zone: &str) -> Self {
        Self::with(zone, "").await
    }

    /// With more records, in a zone file's form: `www A 127.0.0.1`. They live for one second.
    pub async fn with(zone: &str, records: &str) -> Self {
        for _ in 0..ATTEMPTS {
            let knot = Self::launch(zone, records);
            if knot.serves().await {
                return knot;
            }
        }
        panic!("knotd found no free port in {ATTEMPTS} attempts");
    }

    fn launch(zone: &str, records: &str) -> Self {
        let (folder, port) = (Folder::new(), free_port());
        let place = folder.path().display();
        let configuration = format!(
            "server:\n  rundir: \"{place}\"\n  listen: \"127.0.0.1@{port}\"\n  udp-workers: 1\n  tcp-workers: 1\n  \
               background-workers: 1\n\
             database:\n  storage: \"{place}/database\"\n\
             log:\n- target: stdout\n  any: debug\n\
             key:\n- id: {KEY_NAME}\n  algorithm: hmac-sha256\n  secret: \"{KEY_BASE64}\"\n\
             acl:\n- id: update\n  key: {KEY_NAME}\n  action: update\n  update-type: [TXT]\n\
             zone:\n- domain: {zone}\n  storage: \"{place}\"\n  file: zone\n  acl: update\n  zonefile-sync: -1\n  \
               zonefile-load: whole\n  journal-content: none\n"
        );
        let text = format!(
            "$ORIGIN {zone}.\n$TTL 1\n@ SOA ns hostmaster 1 3600 600 86400 1\n@ NS ns\n@ A 127.0.0.1\n* A 127.0.0.1\n\
             {records}\n"
        );
        for (name, text) in [("knot.conf", configuration), ("zone", text)] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
        }
        let mut command = Command::new(programs::need("knotd"));
        command.arg("-c").arg(folder.path().join("knot.conf"));
        let process = Process::start(command, "knot", folder.path());
        Self { zone: zone.to_owned(), port, process, folder }
    }

    /// Whether it serves; not where the port was taken.
    async fn serves(&self) -> bool {
        wait::until(SOON, "knotd answers for its zone", async || {
            let output = self.process.output();
            if output.contains("cannot bind") {
                return Some(false);
            }
            assert_eq!(self.process.exited(), None, "{output}");
            let reply = ask(self.address(), &self.zone, Kind::A).await.ok()?;
            (reply.code == 0).then_some(true)
        })
        .await
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Without the dot at its end.
    #[must_use]
    pub fn zone(&self) -> &str {
        &self.zone
    }

    #[must_use]
    pub fn key_name(&self) -> &'static str {
        KEY_NAME
    }

    /// For `hmac-sha256`.
    #[must_use]
    pub fn key_base64(&self) -> &'static str {
        KEY_BASE64
    }

    /// What it answers to a question.
    pub async fn ask(&self, name: &str, kind: Kind) -> Reply {
        match ask(self.address(), name, kind).await {
            Ok(reply) => reply,
            Err(error) => panic!("asked knot for {name}: {error}\n{}", self.process.output()),
        }
    }

    /// The TXT records of a name.
    pub async fn txt(&self, name: &str) -> Vec<String> {
        self.ask(name, Kind::Txt).await.answers
    }

    /// How many updates it has taken, also those that changed nothing.
    #[must_use]
    pub fn updates_taken(&self) -> usize {
        let log = self.process.stdout();
        let batches =
            log.lines().filter_map(|line| line.split_once("DDNS, processing ")?.1.split(' ').next());
        batches.filter_map(|count| count.parse::<usize>().ok()).sum()
    }

    /// How many it has refused: not signed, signed with another key, or not for TXT records.
    #[must_use]
    pub fn updates_refused(&self) -> usize {
        let log = self.process.stdout();
        let refused = |line: &&str| {
            line.contains("ACL, denied, action update")
                || line.contains("TSIG, key") && line.contains("verification failed")
        };
        log.lines().filter(refused).count()
    }

    /// To stop it in the middle of a test, or to make it fall silent (SIGSTOP, SIGCONT).
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// Where its files are, removed on drop.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }
}
