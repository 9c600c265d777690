//! The models of a configuration, brought to life and kept in step with what is known about them.

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use ::http::StatusCode;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::config::{Config, Engine, Model};
use crate::front::{Registry, Served};
use crate::queue::Line;
use crate::supervise::{self, AskError, Command, ModelStatus, Probe, Spec, Supervised};
use crate::sys::http::reach;
use crate::sys::http::{self, FetchError};
use crate::types::{ModelState, Text, text};
use crate::upstream::Endpoint;

/// Between two looks at whether answers still run.
const LOOK: Duration = Duration::from_millis(50);

/// A model that was not reached gets so long to accept a connection again.
const RECOVERY_CONNECT: Duration = Duration::from_secs(2);

/// One model, and its process where Portico runs it.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) served: Arc<Served>,
    pub(crate) supervised: Option<Supervised>,
    /// Of an external server: one task per endpoint.
    probes: Vec<AbortHandle>,
    /// The same process under earlier configurations: their answers may still run.
    before: Vec<Weak<Served>>,
    /// Counts the changes of this model's process, so that one that still waits gives way to the next.
    change: Arc<AtomicU64>,
}

/// What stands between the old models and the new ones, worked out before anything is touched.
pub(crate) struct Plan {
    next: Vec<Planned>,
    /// Processes that no model of the new configuration uses.
    gone: Vec<Live>,
}

enum Planned {
    /// Unchanged: goes on with its line, its connections and its process. Its key may be another one by now.
    Keep {
        live: Live,
        api_key: Option<String>,
        probe_anew: bool,
    },
    Fresh(Arc<Served>, Option<String>),
    /// Another configuration of a process that goes on, or that has to be started anew.
    Change {
        served: Arc<Served>,
        old: Live,
        spec: Box<Spec>,
        start_anew: bool,
    },
}

/// A model's key could not be read.
#[derive(Debug)]
pub(crate) struct KeyFileError {
    pub(crate) model: String,
    pub(crate) path: PathBuf,
    pub(crate) source: io::Error,
}

impl KeyFileError {
    pub(crate) fn text(&self) -> Text {
        let Self { model, path, source } = self;
        let (path, why) = (path.display(), http::plain(source));
        text!(
            "the api_key_file {path} of model {model} can't be read: {why}. Correct the path or its permissions.",
            "无法读取模型 {model} 的 api_key_file {path}:{why}。请更正路径或权限。"
        )
    }
}

impl Plan {
    /// Reads key files; starts and stops nothing. `old` is what `current` came from.
    pub(crate) fn new(config: &Config, current: &[Live], old: Option<&Config>) -> Result<Self, KeyFileError> {
        let mut left: Vec<Live> = current.to_vec();
        let mut next = Vec::new();
        for model in &config.models {
            let same = left.iter().position(|live| live.served.config.name == model.name);
            let live = same.map(|index| left.swap_remove(index));
            let api_key = read_key(model)?;
            let Some((live, old)) = live.zip(old) else {
                next.push(Planned::Fresh(fresh(model, config, api_key.as_deref()), api_key));
                continue;
            };
            let was = &live.served.config;
            let probe_anew = old.health != config.health || model.api_key_file.is_some();
            let same_spec = model.engine == Engine::External || spec(was, old) == spec(model, config);
            if was == model && same_spec {
                next.push(Planned::Keep { live, api_key, probe_anew });
                continue;
            }
            let served = fresh(model, config, api_key.as_deref());
            // Until it is asked again, it is what it was.
            served.set_facts(live.served.facts());
            if live.supervised.is_some() && model.engine != Engine::External {
                let spec = Box::new(spec(model, config));
                let start_anew = spec.needs_another_process_than(&self::spec(was, old));
                next.push(Planned::Change { served, old: live, spec, start_anew });
            } else {
                left.push(live);
                next.push(Planned::Fresh(served, api_key));
            }
        }
        Ok(Self { next, gone: left })
    }

    /// Carries the plan out on the current runtime. Processes that are gone end in the background, and are given back
    /// so that a stop of Portico waits for them too.
    pub(crate) fn carry_out(self, config: &Config) -> (Vec<Live>, Vec<Supervised>) {
        let drain = config.timeouts.drain;
        let gone = self.gone.into_iter().filter_map(|live| end(live, drain)).collect();
        let mut models = Vec::new();
        for planned in self.next {
            models.push(match planned {
                Planned::Keep { mut live, api_key, probe_anew } => {
                    live.served.set_queue(&config.queue);
                    if live.supervised.is_none() {
                        live.served.set_api_key(api_key.as_deref());
                        if probe_anew {
                            live.probes.iter().for_each(AbortHandle::abort);
                            live.probes = probe(&live.served, config, api_key.as_deref());
                        }
                    }
                    live
                }
                Planned::Change { served, old, spec, start_anew } => {
                    change(served, old, spec, start_anew.then_some(drain))
                }
                Planned::Fresh(served, _) if served.is_supervised() => {
                    let supervised = Supervised::start(spec(&served.config, config));
                    follow(&served, &supervised);
                    Live::new(served, Some(supervised), Vec::new())
                }
                Planned::Fresh(served, api_key) => {
                    let probes = probe(&served, config, api_key.as_deref());
                    Live::new(served, None, probes)
                }
            });
        }
        (models, gone)
    }
}

impl Live {
    /// Passes on what the operator wants. When it returns, requests are treated accordingly. False: the model is
    /// external.
    pub(crate) async fn command(&self, command: Command) -> bool {
        let Some(supervised) = &self.supervised else { return false };
        supervised.command(command).await;
        apply(&self.served, &supervised.status().borrow());
        true
    }

    fn new(served: Arc<Served>, supervised: Option<Supervised>, probes: Vec<AbortHandle>) -> Self {
        Self { served, supervised, probes, before: Vec::new(), change: Arc::default() }
    }

    /// What may still be answering: this, and what the process served before.
    fn answering(&self) -> Vec<Weak<Served>> {
        let before = self.before.iter().filter(|served| served.strong_count() > 0).cloned();
        before.chain([Arc::downgrade(&self.served)]).collect()
    }
}

fn fresh(model: &Model, config: &Config, api_key: Option<&str>) -> Arc<Served> {
    let served = Served::new(model.clone(), &config.queue);
    served.set_api_key(api_key);
    served
}

/// Lets the answers of a model that is no more come to their end, then ends its process.
fn end(live: Live, drain: Duration) -> Option<Supervised> {
    live.probes.iter().for_each(AbortHandle::abort);
    let supervised = live.supervised.clone()?;
    live.change.fetch_add(1, Relaxed);
    let ending = supervised.clone();
    tokio::spawn(async move {
        // Who waits was let in while there was such a model.
        idle(live.answering(), |line| line.running() + line.waiting(), drain).await;
        live.served.line.set_state(ModelState::Stopped);
        ending.shutdown().await;
    });
    Some(supervised)
}

/// Another configuration for a process. With `drain` it has to be started anew: new requests wait, answers that run
/// have so long to end.
fn change(served: Arc<Served>, old: Live, spec: Box<Spec>, drain: Option<Duration>) -> Live {
    let before = old.answering();
    let Live { supervised, change, .. } = old;
    let number = change.fetch_add(1, Relaxed) + 1;
    let live = Live { served, supervised, probes: Vec::new(), before: before.clone(), change };
    let Live { served, supervised: Some(supervised), change, .. } = live.clone() else { return live };
    if drain.is_some() {
        served.set_detail(Some(text!(
            "It is started anew with the changed configuration as soon as the answers that still run have ended.",
            "配置已更改:等仍在进行的回答结束后重新启动。"
        )));
    }
    tokio::spawn(async move {
        if let Some(drain) = drain {
            // Who waits can as well be answered by the new process; a broken one must not be kept for their sake.
            idle(before, Line::running, drain).await;
        }
        // A later change waits for the same answers and knows better.
        if change.load(Relaxed) == number {
            supervised.replace(*spec).await;
            follow(&served, &supervised);
        }
    });
    live
}

/// Until nothing is left of what `count` counts, `patience` at the most: what lasts longer is cut, as at a stop.
async fn idle(served: Vec<Weak<Served>>, count: impl Fn(&Line) -> u32, patience: Duration) {
    let is_busy = |served: &Weak<Served>| served.upgrade().is_some_and(|served| count(&served.line) > 0);
    let all = async {
        while served.iter().any(is_busy) {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _ = tokio::time::timeout(patience, all).await;
}

pub(crate) fn registry(models: &[Live]) -> Registry {
    Registry::new(models.iter().map(|live| live.served.clone()).collect())
}

fn spec(model: &Model, config: &Config) -> Spec {
    Spec {
        model: model.clone(),
        data_dir: config.site.data_dir.clone(),
        max_choices: config.policy.max_choices,
        probe: if config.health.interval.is_some() { Probe::Generate } else { Probe::ConnectOnly },
    }
}

fn read_key(model: &Model) -> Result<Option<String>, KeyFileError> {
    let Some(path) = &model.api_key_file else { return Ok(None) };
    std::fs::read_to_string(path).map(|key| Some(key.trim().to_owned())).map_err(|source| KeyFileError {
        model: model.name.clone(),
        path: path.clone(),
        source,
    })
}

/// Keeps the request path's view of a supervised model in step with its supervisor, as long as both exist.
fn follow(served: &Arc<Served>, supervised: &Supervised) {
    let weak = Arc::downgrade(served);
    let supervised = supervised.clone();
    let mut status = supervised.status();
    tokio::spawn(async move {
        loop {
            let Some(served) = weak.upgrade() else { return };
            apply(&served, &status.borrow_and_update());
            tokio::select! {
                changed = status.changed() => if changed.is_err() {
                    served.line.set_state(ModelState::Stopped);
                    return;
                },
                () = served.suspected() => {
                    supervised.report_unreachable();
                    recover(&served, &mut status).await;
                }
                // Now and then, to notice that nobody uses this view any more.
                () = tokio::time::sleep(Duration::from_secs(30)) => {}
            }
        }
    });
}

fn apply(served: &Arc<Served>, status: &ModelStatus) {
    served.set_facts((*status.facts).clone());
    served.set_api_key(status.api_key.as_deref());
    served.set_detail(status.detail.clone());
    if status.state == ModelState::Ready {
        // It has answered since: of those who have waited only one would try what still counts as down.
        served.endpoints.all().iter().for_each(|endpoint| endpoint.mark_up());
    }
    served.line.set_state(status.state);
}

/// After a refused connection: the supervisor either says that the model is gone, or it answers again.
async fn recover(served: &Arc<Served>, status: &mut watch::Receiver<ModelStatus>) {
    // What was stopped meanwhile never answers again.
    while status.borrow().state == ModelState::Ready {
        let pause = tokio::time::sleep(Duration::from_millis(200));
        tokio::select! {
            _ = status.changed() => return,
            () = pause => {}
        }
        let answers = match served.endpoints.all().first() {
            Some(endpoint) => reach(&supervise::target(&endpoint.address), RECOVERY_CONNECT).await.is_ok(),
            None => false,
        };
        if answers {
            return;
        }
    }
}

/// Asks each endpoint of an external model, again and again, who it is.
fn probe(served: &Arc<Served>, config: &Config, key: Option<&str>) -> Vec<AbortHandle> {
    let Some(interval) = config.health.interval else { return Vec::new() };
    let failures = config.health.failures;
    let each = served.endpoints.all().iter().map(|endpoint| {
        let (weak, endpoint) = (Arc::downgrade(served), endpoint.clone());
        let key = key.map(str::to_owned);
        let task = tokio::spawn(async move {
            let mut heard = false;
            while let Some(served) = weak.upgrade() {
                heard |= ask(&served, &endpoint, key.as_deref(), failures).await;
                drop(served);
                // Until it was heard of once its names are not known, so it is asked more often.
                let pause = if heard { interval } else { interval.min(Duration::from_secs(1)) };
                tokio::time::sleep(pause).await;
            }
        });
        task.abort_handle()
    });
    each.collect()
}

async fn ask(served: &Served, endpoint: &Endpoint, key: Option<&str>, failures: u32) -> bool {
    match supervise::ask(&supervise::target(&endpoint.address), key).await {
        Ok(facts) => {
            endpoint.mark_up();
            served.set_facts(facts);
            served.set_detail(None);
            true
        }
        Err(error) => {
            let (how, fix) = no_answer(&served.config, &error);
            let (address, en, zh) = (&endpoint.address, &fix.en, &fix.zh);
            endpoint.probe_failed(failures, &format_args!("{how}. {en}"));
            served.set_detail(Some(text!(
                "no model server answers at {address}: {how}. {en}",
                "{address} 没有模型服务应答:{how}。{zh}"
            )));
            false
        }
    }
}

/// Why an external server does not answer, and what to do about it.
fn no_answer(model: &Model, error: &AskError) -> (String, Text) {
    let how = match error {
        AskError::Fetch(FetchError::Connect { source, .. }) => http::plain(source),
        error => error.to_string(),
    };
    let refused = matches!(error, AskError::Status(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN));
    let fix = match (refused, model.name.is_empty()) {
        (true, _) => text!(
            "It wants a key: write it into a file and name that in `api_key_file`.",
            "它需要密钥:请把密钥写入文件,并在 api_key_file 中指明。"
        ),
        // No [[model]] is written: most likely the first start.
        (false, true) => text!(
            "Start your model server there, or write a [[model]] in portico.toml that says where it is or what Portico should start (`portico config explain model`).",
            "请在该地址启动模型服务,或在 portico.toml 中用 [[model]] 写明它的地址或要由 Portico 启动的模型(`portico config explain model`)。"
        ),
        (false, false) => text!("Start it, or correct `endpoints`.", "请启动它,或更正 endpoints。"),
    };
    (how, fix)
}
