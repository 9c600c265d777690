//! `tls.issuer = "local"`: this machine's own authority, and a certificate for whatever this machine is called now.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::certificate::local::{Authority, LEAF_FILE, LocalError, Wanted};
use crate::certificate::{Certificate, Next, Pair, Resolver, State, Status, timestamp};
use crate::config::Config;
use crate::types::{Text, text};

/// Names and addresses of a machine change, and its certificate is renewed, without anybody saying so.
const EVERY: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Local {
    data_dir: PathBuf,
    names: Vec<String>,
    listeners: Vec<SocketAddr>,
}

impl Local {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            data_dir: config.site.data_dir.clone(),
            names: config.site.names.iter().map(|name| name.host.clone()).collect(),
            listeners: config.listen.https.clone(),
        }
    }

    /// Once; the pair is served from then on.
    pub(super) fn serve(&self, resolver: &Resolver) -> Status {
        let now = SystemTime::now();
        match self.pair(now) {
            Ok(pair) => {
                if resolver.served().leaf.serial != pair.leaf.serial {
                    resolver.serve(pair);
                }
            }
            Err(error) => tracing::error!("there is no local certificate: {}", error.text().en),
        }
        self.status(&resolver.served(), now)
    }

    pub(super) async fn look_after(self, resolver: Arc<Resolver>, status: watch::Sender<Status>) {
        loop {
            tokio::time::sleep(EVERY).await;
            status.send_replace(self.serve(&resolver));
        }
    }

    fn pair(&self, now: SystemTime) -> Result<Pair, LocalError> {
        let wanted = Wanted::of_this_machine(&self.names, &self.listeners);
        let authority = Authority::open_or_make(&self.data_dir, &wanted, now)?;
        for notice in authority.notices() {
            tracing::info!("{}", notice.text().en);
        }
        authority.pair(&wanted, now)
    }

    /// What lies in the data folder; nothing is made.
    pub(super) fn kept(&self) -> Option<Status> {
        let pem = std::fs::read(self.leaf_file()).ok()?;
        let pair = Pair::from_pem(&pem, &pem).ok()?;
        Some(self.status(&pair, SystemTime::now()))
    }

    fn leaf_file(&self) -> PathBuf {
        self.data_dir.join("certificates/local").join(LEAF_FILE)
    }

    fn status(&self, pair: &Pair, now: SystemTime) -> Status {
        let leaf = &pair.leaf;
        let next = (!pair.is_stand_in)
            .then(|| Next { at: timestamp(leaf.not_after - leaf.lifetime() / 3), why: why() });
        Status {
            names: leaf.names.clone(),
            issuer: "local".to_owned(),
            state: if pair.is_stand_in { State::StandIn } else { State::of(leaf, now) },
            certificate: Certificate::of(leaf, now),
            path: (!pair.is_stand_in).then(|| self.leaf_file().display().to_string()),
            challenge: None,
            next,
            failures: 0,
            last_error: None,
        }
    }
}

fn why() -> Text {
    text!(
        "a third of its lifetime will be left; sooner, when this machine gets another name or address",
        "届时剩余三分之一有效期;本机名称或地址变化时会提前"
    )
}
