//! The certificate that is served, where it comes from, and what becomes of it.

mod addresses;
mod alone;
mod files;
mod local;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::ServerConfig;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use self::alone::{NotTried, renew_alone};
use self::files::Files;
use self::local::Local;
use crate::acme::{self, Driver, Outcome, Settings, Wish};
use crate::certificate::{Challenges, Edge, Resolver, Status, stand_in};
use crate::config::{Config, Issuer};
use crate::types::{Text, text};

/// One for the process, where https is served at all.
pub(crate) struct Certificates {
    edge: Edge,
    source: Mutex<Option<Source>>,
}

/// Whoever looks after the certificate now. Dropped, it stops.
struct Source {
    /// Another configuration with the same settings changes nothing.
    wanted: Wanted,
    status: watch::Receiver<Status>,
    wishes: Option<mpsc::Sender<Wish>>,
    _stop: oneshot::Sender<()>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wanted {
    FromAuthority(Box<Settings>),
    Files(Files),
    Local(Local),
}

impl NotRenewed {
    pub(crate) fn text(&self) -> Text {
        match self {
            NotRenewed::NotOrdered => text!(
                "this certificate does not come from a certificate authority: with tls.issuer = \"files\" replace the files, a local one renews itself",
                "此证书不是由颁发机构签发:tls.issuer = \"files\" 时请替换文件,本地证书会自行续期"
            ),
            NotRenewed::Interrupted => {
                text!("the configuration was reloaded in between; try again", "期间重新加载了配置;请重试")
            }
        }
    }
}

/// Why a certificate is not renewed by hand.
#[derive(Debug)]
pub(crate) enum NotRenewed {
    /// It does not come from a certificate authority.
    NotOrdered,
    /// A reload came in between.
    Interrupted,
}

impl Certificates {
    /// With a stand-in; [`Certificates::change`] brings the real one.
    pub(crate) fn open(config: &Config) -> Result<Self, Text> {
        let names: Vec<String> = config.site.names.iter().map(|name| name.host.clone()).collect();
        let pair = stand_in(&names).map_err(|error| error.text())?;
        let resolver = Resolver::new(pair, Arc::new(Challenges::default()));
        let edge = Edge::new(resolver).map_err(|error| unusable(&error))?;
        Ok(Self { edge, source: Mutex::default() })
    }

    pub(crate) fn challenges(&self) -> Arc<Challenges> {
        self.edge.resolver().challenges().clone()
    }

    pub(crate) fn server_config(&self, config: &Config) -> Result<Arc<ServerConfig>, Text> {
        self.edge.server_config(config.tls.min_version).map_err(|error| unusable(&error))
    }

    /// Goes by this configuration from now on. What is served is served until there is something better.
    pub(crate) fn change(&self, config: &Config) {
        let wanted = Wanted::of(config);
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        if source.as_ref().map(|source| &source.wanted) == wanted.as_ref() {
            return;
        }
        *source = wanted.map(|wanted| wanted.begin(self.edge.resolver()));
    }

    pub(crate) fn status(&self) -> Option<Status> {
        let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let status = source.as_ref().map(|source| source.status.borrow().clone());
        status.map(|status| status.at(SystemTime::now()))
    }

    /// Orders at once, whatever the schedule says.
    pub(crate) async fn renew(&self, dry_run: bool) -> Result<Outcome, NotRenewed> {
        let wishes = {
            let source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
            source.as_ref().and_then(|source| source.wishes.clone())
        };
        let wishes = wishes.ok_or(NotRenewed::NotOrdered)?;
        let (answer, outcome) = oneshot::channel();
        wishes.send(Wish { dry_run, answer }).await.map_err(|_| NotRenewed::Interrupted)?;
        outcome.await.map_err(|_| NotRenewed::Interrupted)
    }
}

impl Wanted {
    fn of(config: &Config) -> Option<Self> {
        match &config.tls.issuer {
            Issuer::LetsEncrypt | Issuer::LetsEncryptStaging | Issuer::ZeroSsl | Issuer::Directory(_) => {
                let addresses = addresses::public(config);
                Settings::of(config, &addresses).map(Box::new).map(Wanted::FromAuthority)
            }
            Issuer::Files => Files::of(config).map(Wanted::Files),
            Issuer::Local => Some(Wanted::Local(Local::of(config))),
            Issuer::Off => None,
        }
    }

    /// What can be served at once is served when this returns.
    fn begin(self, resolver: &Arc<Resolver>) -> Source {
        let resolver = resolver.clone();
        let wanted = self.clone();
        let (status, wishes, stop) = match self {
            Wanted::FromAuthority(settings) => {
                let (driver, status, wishes) = Driver::new(*settings, &resolver);
                (status, Some(wishes), spawn(|| driver.run()))
            }
            Wanted::Files(files) => {
                let (known, first) = files.begin(&resolver);
                let (sender, status) = watch::channel(first);
                (status, None, spawn(move || files.look_after(resolver, known, sender)))
            }
            Wanted::Local(local) => {
                let (sender, status) = watch::channel(local.serve(&resolver));
                (status, None, spawn(move || local.look_after(resolver, sender)))
            }
        };
        Source { wanted, status, wishes, _stop: stop }
    }

    /// What is known without a running process.
    fn kept(&self) -> Option<Status> {
        match self {
            Wanted::FromAuthority(settings) => acme::kept_status(settings),
            Wanted::Files(files) => files.kept(),
            Wanted::Local(local) => local.kept(),
        }
    }
}

/// On a thread of its own: it reads and syncs files, which may take long, and nobody else has to wait for it. It ends
/// when the sender is dropped.
fn spawn<F: Future<Output = ()>>(work: impl FnOnce() -> F + Send + 'static) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("certificates".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        match runtime {
            Ok(runtime) => runtime.block_on(async {
                tokio::select! {
                    () = work() => {}
                    _ = stopped => {}
                }
            }),
            Err(error) => tracing::error!(%error, "certificates are not looked after"),
        }
    });
    if let Err(error) = thread {
        tracing::error!(%error, "certificates are not looked after");
    }
    stop
}

/// What lies in the data folder, for when nobody runs.
pub(crate) fn kept(config: &Config) -> Vec<Status> {
    if !config.has_https() {
        return Vec::new();
    }
    Wanted::of(config).and_then(|wanted| wanted.kept()).into_iter().collect()
}

fn unusable(error: &rustls::Error) -> Text {
    text!("TLS can't be set up: {error}", "无法建立 TLS:{error}")
}
