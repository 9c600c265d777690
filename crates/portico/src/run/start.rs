//! From a checked configuration to a serving process, and to its end.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex as SyncMutex};
use std::thread::JoinHandle;
use std::time::SystemTime;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, watch};

use super::signals::{Signals, Wish};
use super::{data, lock};
use crate::access::Rules;
use crate::admin;
use crate::config::{Config, Engine, Environment, Loaded, Problems};
use crate::control::{self, Certificates, Control, ErrorLog, Plan};
use crate::fetch::Fetcher;
use crate::front::{Cors, Door, Setup, Snapshot, strict_transport_security};
use crate::listen::{self, BindError, Bound, Connections, Phase, Scheme};
use crate::observe::AccessLog;
use crate::supervise::Supervised;
use crate::sys::random;
use crate::types::{CacheSalt, Text, text};
use crate::ui::Site;

/// Why there was no start. Each says what to do.
#[derive(Debug)]
pub(crate) enum StartError {
    /// Problems with places in the file.
    Config(Box<Problems>),
    Other(Text),
}

/// Told once everything listens.
pub(crate) struct Announce<'a> {
    pub(crate) listeners: &'a [(Scheme, std::net::SocketAddr)],
    pub(crate) config: &'a Config,
    pub(crate) who: Who,
}

/// Who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Who {
    /// Programs and browsers on this machine.
    Local,
    /// Whoever comes from `access.allow`, and whoever is known.
    Networks,
    /// Whoever is known.
    Known,
    /// Nobody yet. The token of the link by which the first user is made; `None` where there are users, none of whom may.
    Nobody { setup: Option<String> },
}

/// Serves until it is told to stop. Returns when every connection, log line and model process is done with.
pub(crate) fn serve(
    loaded: Loaded,
    environment: Environment,
    announce: &mut dyn FnMut(Announce<'_>),
) -> Result<(), StartError> {
    control::startable(&loaded).map_err(|problems| StartError::Config(Box::new(problems)))?;
    let other = StartError::Other;
    let source = loaded.source().cloned();
    let config = Arc::new(loaded.config);
    let error_log = ErrorLog::install(&config.log, environment.colour(environment.terminal))
        .map_err(|error| other(control::unopened::error_log(&config.log, &error)))?;
    let _last_words = error_log.last_words();
    let _lock = prepare_data_dir(&config)?;
    let (accounts, loss) = control::open_accounts(&config).map_err(StartError::Other)?;
    if let Some(loss) = loss {
        tracing::error!("{}", loss.en);
    }
    let site = Arc::new(Site::open(&config.site).map_err(|error| other(error.text()))?);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (listeners, has_https) = bind(&config, threads).map_err(|error| other(error.text()))?;
    let certificates =
        if has_https { Some(Certificates::open(&config).map_err(StartError::Other)?) } else { None };
    let tls = match &certificates {
        Some(certificates) => Some(certificates.server_config(&config).map_err(StartError::Other)?),
        None => None,
    };
    let access_log = AccessLog::start(&config.log.access, config.log.format)
        .map_err(|error| other(control::unopened::access_log(&config.log, &error)))?;
    let mut secret = [0; 32];
    random::fill(&mut secret).map_err(|error| {
        other(text!("the kernel gives no random numbers: {error}", "内核无法提供随机数:{error}"))
    })?;
    let cache_salt = CacheSalt::new(secret);
    let plan = Plan::new(&config, &[], None).map_err(|error| other(error.text()))?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| other(text!("threads can't be started: {error}", "无法启动线程:{error}")))?;
    runtime.block_on(async {
        let admin = admin::bind(&config.listen.admin).map_err(StartError::Other)?;
        let signals = Signals::install().map_err(|error| {
            StartError::Other(text!("signals can't be caught: {error}", "无法接收信号:{error}"))
        })?;
        let (models, _none_before) = plan.carry_out(&config);
        let addresses: Vec<_> = listeners
            .first()
            .into_iter()
            .flatten()
            .filter_map(|(scheme, listener)| Some((*scheme, listener.local_addr().ok()?)))
            .collect();
        let (phase, receiver) = watch::channel(Phase::Serving);
        let control = Arc::new(Control {
            door: Arc::new(Door {
                snapshot: ArcSwap::from_pointee(Snapshot {
                    is_local: config.describes_local_mode(),
                    access: Rules::new(&config),
                    cors: Cors::new(&config.cors),
                    hsts: strict_transport_security(&config),
                    tls,
                    models: control::registry(&models),
                    site,
                    account: Site::account().map(Arc::new),
                    cache_salt,
                    config: config.clone(),
                }),
                budget: Arc::default(),
                fetcher: Fetcher::default(),
                accounts,
                setup: Setup::default(),
                challenges: certificates.as_ref().map(Certificates::challenges).unwrap_or_default(),
                draining: false.into(),
            }),
            connections: Arc::new(Connections::default()),
            started: SystemTime::now(),
            listeners: addresses,
            source,
            environment,
            phase,
            log: Arc::new(ArcSwap::from_pointee(access_log.handle())),
            access_log: SyncMutex::new(access_log),
            error_log,
            certificates,
            models: Mutex::new(models),
            leaving: SyncMutex::default(),
            reloads: AtomicU64::new(0),
            last_reload: SyncMutex::new(None),
            stop: Notify::new(),
        });
        // Before anybody is answered.
        if let Some(certificates) = &control.certificates {
            certificates.change(&config);
        }
        let shared = data::Shared {
            door: control.door.clone(),
            connections: control.connections.clone(),
            phase: receiver,
            log: control.log.clone(),
        };
        let threads = data::start(listeners, &shared).map_err(|error| {
            StartError::Other(text!("threads can't be started: {error}", "无法启动线程:{error}"))
        })?;
        let admin = tokio::spawn(admin::serve(admin, control.clone()));
        let file = tokio::spawn(control::watch_file(control.clone()));
        let people = tokio::spawn(control::watch_accounts(control.clone()));
        let who = who(&control.door, &config).map_err(|error| {
            StartError::Other(text!(
                "the kernel gives no random numbers: {error}",
                "内核无法提供随机数:{error}"
            ))
        })?;
        announce(Announce { listeners: &control.listeners, config: &config, who });
        run(&control, signals, threads).await;
        file.abort();
        people.abort();
        admin.abort();
        let _ = std::fs::remove_file(&config.listen.admin);
        Ok(())
    })
}

/// Who may come in; the link of a first start, where it is one.
fn who(door: &Door, config: &Config) -> std::io::Result<Who> {
    let authenticator = door.accounts.authenticator();
    let directory = authenticator.directory();
    if door.is_local(&door.snapshot.load()) {
        return Ok(Who::Local);
    }
    if config.lets_networks_in() {
        return Ok(Who::Networks);
    }
    if directory.lets_anybody_in(jiff::Timestamp::now()) {
        return Ok(Who::Known);
    }
    let setup = if directory.is_empty() { Some(door.setup.begin()?) } else { None };
    Ok(Who::Nobody { setup })
}

/// The sockets, and whether https is among them. Where nobody has written `listen.https`, and nobody waits for it by a
/// public name, a port that is taken costs https and not the start.
fn bind(config: &Config, threads: usize) -> Result<(Vec<Bound>, bool), BindError> {
    let http = config.listen.http.iter().map(|address| (Scheme::Http, *address));
    let https = config.listen.https.iter().map(|address| (Scheme::Https, *address));
    if !config.has_https() {
        return Ok((listen::bind(&http.collect::<Vec<_>>(), threads)?, false));
    }
    let all: Vec<_> = http.clone().chain(https).collect();
    let is_wish =
        !config.listen.https_written && config.site.names.is_empty() && !config.listen.http.is_empty();
    match listen::bind(&all, threads) {
        Ok(listeners) => Ok((listeners, true)),
        Err(error) if is_wish && error.scheme == Scheme::Https => {
            tracing::warn!("https is not served: {}", error.text().en);
            Ok((listen::bind(&http.collect::<Vec<_>>(), threads)?, false))
        }
        Err(error) => Err(error),
    }
}

/// The folder, and the lock on it where processes are run from it.
fn prepare_data_dir(config: &Config) -> Result<Option<lock::DataDirLock>, StartError> {
    let folder = config.site.data_dir.display();
    let failed = |error: std::io::Error| {
        StartError::Other(text!(
            "the data folder {folder} can't be used: {error}. Choose another in site.data_dir, or correct its owner and permissions.",
            "无法使用数据目录 {folder}:{error}。请在 site.data_dir 中另选一个,或更正其所有者和权限。"
        ))
    };
    lock::make(&config.site.data_dir).map_err(failed)?;
    if config.models.iter().all(|model| model.engine == Engine::External) {
        return Ok(None);
    }
    match lock::take(&config.site.data_dir).map_err(failed)? {
        Some(lock) => Ok(Some(lock)),
        None => Err(StartError::Other(text!(
            "another Portico runs with the data folder {folder}. Stop it with `portico stop`, or give this one its own site.data_dir.",
            "另一个 Portico 正在使用数据目录 {folder}。用 `portico stop` 停止它,或为本实例另设 site.data_dir。"
        ))),
    }
}

/// Until a stop is wanted, then through it.
async fn run(control: &Arc<Control>, mut signals: Signals, threads: Vec<JoinHandle<()>>) {
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Stop => break,
                Wish::Reload => {
                    control.reload().await;
                }
                Wish::ReopenLogs => control.reopen_logs(),
            },
            () = control.stop.notified() => break,
        }
    }
    let drain = control.door.snapshot.load().config.timeouts.drain;
    tracing::info!(?drain, "stopping: no new connections, live answers may finish");
    control.set_phase(Phase::Draining);
    let mut joined = tokio::task::spawn_blocking(move || {
        for thread in threads {
            // A data thread that panicked has said so already.
            let _ = thread.join();
        }
    });
    tokio::select! {
        _ = &mut joined => {}
        () = tokio::time::sleep(drain) => cut(control, joined).await,
        () = second_stop(control, &mut signals) => {
            control.processes().await.iter().for_each(Supervised::hurry);
            cut(control, joined).await;
        }
    }
    let models = control.processes().await;
    let mut stopped = tokio::spawn(stop_models(models.clone()));
    tokio::select! {
        _ = &mut stopped => {}
        () = second_stop(control, &mut signals) => {
            tracing::warn!("model processes are killed");
            models.iter().for_each(Supervised::hurry);
            let _ = stopped.await;
        }
    }
    tracing::info!("stopped");
}

/// Side by side: each may take its whole grace.
async fn stop_models(models: Vec<Supervised>) {
    let stops: Vec<_> = models
        .into_iter()
        .map(|supervised| tokio::spawn(async move { supervised.shutdown().await }))
        .collect();
    for stop in stops {
        let _ = stop.await;
    }
}

async fn cut(control: &Control, joined: tokio::task::JoinHandle<()>) {
    tracing::warn!("answers that are still running are cut");
    control.set_phase(Phase::Cut);
    let _ = joined.await;
}

async fn second_stop(control: &Control, signals: &mut Signals) {
    loop {
        tokio::select! {
            wish = signals.next() => if wish == Wish::Stop { return },
            () = control.stop.notified() => return,
        }
    }
}
