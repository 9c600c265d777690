//! `tls.issuer = "files"`: the operator's own certificate, taken over whenever its files change.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::certificate::{Certificate, LastError, Pair, Resolver, State, Status, timestamp};
use crate::config::Config;
use crate::sys::files::{Stamp, stamp};
use crate::types::{Text, text};

/// That also sees renames and links that are swapped, on every file system.
const EVERY: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files {
    names: Vec<String>,
    certificate: PathBuf,
    key: PathBuf,
}

/// Two versions of the pair are told apart by it.
type Stamps = (Option<Stamp>, Option<Stamp>);

impl Files {
    /// Both paths are there: the configuration was refused otherwise.
    pub(super) fn of(config: &Config) -> Option<Self> {
        let names = config.site.names.iter().map(|name| name.host.clone()).collect();
        let (certificate, key) = config.tls.certificate.clone().zip(config.tls.key.clone())?;
        Some(Self { names, certificate, key })
    }

    fn stamps(&self) -> Stamps {
        (stamp(&self.certificate), stamp(&self.key))
    }

    /// Takes over what the files hold, or keeps what is served and says why.
    pub(super) fn serve(&self, resolver: &Resolver) -> Status {
        let now = SystemTime::now();
        let error = match self.read() {
            Ok(pair) => {
                self.judge(&pair, now);
                resolver.serve(pair);
                None
            }
            Err((kind, said)) => {
                let served = if resolver.served().is_stand_in {
                    "a self-signed one stands in"
                } else {
                    "the one before goes on being served"
                };
                tracing::error!(
                    "the certificate of tls.certificate and tls.key is not taken, and {served}: {}",
                    said.en
                );
                Some(self.told(kind, said, now))
            }
        };
        self.status(&resolver.served(), error, now)
    }

    pub(super) async fn look_after(
        self,
        resolver: Arc<Resolver>,
        known: Stamps,
        status: watch::Sender<Status>,
    ) {
        let mut known = known;
        let mut pending = None;
        loop {
            tokio::time::sleep(EVERY).await;
            let found = self.stamps();
            if found == known {
                pending = None;
            } else if pending == Some(found) {
                // Left alone for a moment: whoever writes them has written both.
                (known, pending) = (found, None);
                status.send_replace(self.serve(&resolver));
            } else {
                pending = Some(found);
            }
        }
    }

    pub(super) fn begin(&self, resolver: &Resolver) -> (Stamps, Status) {
        (self.stamps(), self.serve(resolver))
    }

    /// As the files are now, whoever runs.
    pub(super) fn kept(&self) -> Option<Status> {
        let now = SystemTime::now();
        self.read().ok().map(|pair| self.status(&pair, None, now))
    }

    fn read(&self) -> Result<Pair, (&'static str, Text)> {
        let chain = read(&self.certificate)?;
        let key = read(&self.key)?;
        let file = self.key.display();
        let mode = std::fs::metadata(&self.key).map_err(|error| unreadable(&self.key, &error))?.mode();
        // Whoever can read it can be this site.
        if mode & 0o007 != 0 {
            return Err((
                "readable",
                text!(
                    "the private key {file} can be read by every user of this machine. Type: chmod 600 '{file}'",
                    "私钥 {file} 可被本机任何用户读取。请执行:chmod 600 '{file}'"
                ),
            ));
        }
        Pair::from_pem(&chain, &key).map_err(|error| {
            let (certificate, why) = (self.certificate.display(), error.text());
            let (en, zh) = (why.en, why.zh);
            ("unusable", text!("{certificate} with {file}: {en}", "{certificate} 与 {file}:{zh}"))
        })
    }

    /// What is served, and should not stay so.
    fn judge(&self, pair: &Pair, now: SystemTime) {
        let file = self.certificate.display();
        let until = timestamp(pair.leaf.not_after);
        match State::of(&pair.leaf, now) {
            State::Expired => {
                tracing::error!(%file, %until, "THE CERTIFICATE HAS EXPIRED, and is served: replace tls.certificate and tls.key")
            }
            State::NotYetValid => {
                tracing::error!(%file, "the certificate's time has not come: is this machine's clock right?")
            }
            State::Valid | State::StandIn => tracing::info!(%file, %until, "the certificate is served"),
        }
        if let Some(name) = self.names.iter().find(|name| !pair.leaf.covers(name)) {
            tracing::error!(%file, "the certificate is not for {name}, which is one of site.names: browsers will refuse it");
        }
    }

    fn told(&self, kind: &str, said: Text, now: SystemTime) -> LastError {
        LastError {
            at: timestamp(now),
            authority: "files".to_owned(),
            kind: kind.to_owned(),
            said,
            explanation: None,
        }
    }

    fn status(&self, pair: &Pair, last_error: Option<LastError>, now: SystemTime) -> Status {
        Status {
            names: self.names.clone(),
            issuer: "files".to_owned(),
            state: if pair.is_stand_in { State::StandIn } else { State::of(&pair.leaf, now) },
            certificate: Certificate::of(&pair.leaf, now),
            path: Some(self.certificate.display().to_string()),
            challenge: None,
            next: None,
            failures: u32::from(last_error.is_some()),
            last_error,
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, (&'static str, Text)> {
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> (&'static str, Text) {
    let file = path.display();
    ("unreadable", text!("{file} can't be read: {error}", "无法读取 {file}:{error}"))
}
