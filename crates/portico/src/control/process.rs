//! What may be asked of a running Portico: by signals, by the admin socket, by a changed file.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify, watch};

use super::certificates::Certificates;
use super::error_log::ErrorLog;
use super::models::Live;
use super::reload;
use crate::config::{Environment, Problems};
use crate::front::Door;
use crate::listen::{Connections, Phase, Scheme};
use crate::observe::{AccessLog, LogHandle};
use crate::store::Entry;
use crate::supervise::Supervised;
use crate::types::Text;

/// The running process, as the control plane sees it.
pub(crate) struct Control {
    pub(crate) door: Arc<Door>,
    pub(crate) connections: Arc<Connections>,
    pub(crate) started: SystemTime,
    pub(crate) listeners: Vec<(Scheme, std::net::SocketAddr)>,
    /// The file that a reload reads; `None`: the built-in defaults.
    pub(crate) source: Option<PathBuf>,
    pub(crate) environment: Environment,
    pub(crate) phase: watch::Sender<Phase>,
    pub(crate) log: Arc<ArcSwap<LogHandle>>,
    pub(crate) access_log: SyncMutex<AccessLog>,
    pub(crate) error_log: ErrorLog,
    /// `None`: https is off, which a reload can't change.
    pub(crate) certificates: Option<Certificates>,
    /// Held during a reload, so that there is one at a time.
    pub(crate) models: Mutex<Vec<Live>>,
    /// Processes of models that a reload has taken out, while they end.
    pub(crate) leaving: SyncMutex<Vec<Supervised>>,
    pub(crate) reloads: AtomicU64,
    pub(crate) last_reload: SyncMutex<Option<LastReload>>,
    pub(crate) stop: Notify,
}

#[derive(Debug, Clone)]
pub(crate) struct LastReload {
    pub(crate) at: SystemTime,
    pub(crate) outcome: ReloadOutcome,
}

#[derive(Debug, Clone)]
pub(crate) enum ReloadOutcome {
    Done {
        /// The keys that changed.
        changed: Vec<String>,
    },
    /// The file can't be used; the old configuration goes on.
    Wrong(Box<Problems>),
    /// It could be used, but not by this process as it runs.
    Refused(Text),
}

impl Control {
    /// All or nothing: the new configuration as a whole, or the old one goes on.
    pub(crate) async fn reload(&self) -> ReloadOutcome {
        let outcome = reload::reload(self).await;
        match &outcome {
            ReloadOutcome::Done { changed } => {
                self.reloads.fetch_add(1, Ordering::Relaxed);
                if changed.is_empty() {
                    tracing::info!("the configuration was reloaded; nothing had changed");
                } else {
                    tracing::info!(changed = changed.join(" "), "the configuration was reloaded");
                }
            }
            ReloadOutcome::Wrong(problems) => {
                let count = problems.list.len();
                tracing::error!(
                    count,
                    "the configuration was not reloaded; `portico check` shows what is wrong"
                );
            }
            ReloadOutcome::Refused(why) => {
                tracing::error!("the configuration was not reloaded: {}", why.en);
            }
        }
        self.door.accounts.note(Entry {
            at: jiff::Timestamp::now(),
            actor: "portico".to_owned(),
            action: "config.reload".to_owned(),
            target: self.source.as_ref().map(|path| path.display().to_string()).unwrap_or_default(),
            address: None,
            detail: match &outcome {
                ReloadOutcome::Done { changed } => changed.join(" "),
                ReloadOutcome::Wrong(_) => "refused: the file can't be used".to_owned(),
                ReloadOutcome::Refused(why) => format!("refused: {}", why.en),
            },
        });
        let last = LastReload { at: SystemTime::now(), outcome: outcome.clone() };
        *self.last_reload.lock().unwrap_or_else(PoisonError::into_inner) = Some(last);
        outcome
    }

    pub(crate) fn last_reload(&self) -> Option<LastReload> {
        self.last_reload.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn reload_count(&self) -> u64 {
        self.reloads.load(Ordering::Relaxed)
    }

    /// What would change with the file as it is now.
    pub(crate) fn compare(&self) -> Result<crate::config::diff::Diff, Box<Problems>> {
        let loaded = crate::config::load(self.source.as_deref(), &self.environment)?;
        Ok(crate::config::diff::diff(&self.door.snapshot.load().config, &loaded.config))
    }

    pub(crate) async fn models(&self) -> Vec<Live> {
        self.models.lock().await.clone()
    }

    /// Every process that has to be gone before Portico is.
    pub(crate) async fn processes(&self) -> Vec<Supervised> {
        let present = self.models().await.into_iter().filter_map(|live| live.supervised);
        let leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner).clone();
        present.chain(leaving).collect()
    }

    pub(crate) fn remember_leaving(&self, gone: Vec<Supervised>) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(Supervised::is_there);
        leaving.extend(gone);
    }

    pub(crate) fn lost_log_lines(&self) -> u64 {
        self.access_log.lock().unwrap_or_else(PoisonError::into_inner).lost()
    }

    /// Begins the stop, as SIGTERM does.
    pub(crate) fn stop(&self) {
        self.stop.notify_one();
    }

    pub(crate) fn reopen_logs(&self) {
        self.access_log.lock().unwrap_or_else(PoisonError::into_inner).reopen();
        if let Err(error) = self.error_log.reopen() {
            tracing::error!(%error, "the error log could not be reopened; the old file goes on");
        }
    }

    /// Goes on with another access log. The old one is kept until every data thread has changed over.
    pub(crate) fn change_access_log(&self, new: AccessLog) {
        self.log.store(Arc::new(new.handle()));
        let old =
            std::mem::replace(&mut *self.access_log.lock().unwrap_or_else(PoisonError::into_inner), new);
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_secs(2));
            drop(old);
        });
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.door.draining.store(phase > Phase::Serving, Ordering::Relaxed);
        self.phase.send_replace(phase);
    }
}
