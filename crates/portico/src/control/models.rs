//! The models of a configuration, brought to life and kept in step with what is known about them.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use ::http::StatusCode;
use tokio::sync::watch;

use crate::config::{Config, EndpointAddress, Engine, Model};
use crate::front::{Registry, Served};
use crate::supervise::{self, AskError, ModelStatus, Probe, Spec, Supervised};
use crate::sys::http::{self, FetchError};
use crate::types::{ModelState, Text, text};
use crate::upstream::Endpoint;

/// One model, and its process where Portico runs it.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) served: Arc<Served>,
    pub(crate) supervised: Option<Supervised>,
}

/// What stands between the old models and the new ones, worked out before anything is touched.
pub(crate) struct Plan {
    next: Vec<Planned>,
    /// Processes that no model of the new configuration uses.
    gone: Vec<Live>,
}

enum Planned {
    /// Unchanged: goes on with its line, its connections and its process.
    Keep(Live),
    Fresh(Arc<Served>),
    /// Another configuration for a process that goes on, or is started anew, by the supervisor's judgement.
    Change(Arc<Served>, Supervised, Box<Spec>),
}

/// A model's key could not be read.
#[derive(Debug)]
pub(crate) struct KeyFileError {
    pub(crate) model: String,
    pub(crate) source: io::Error,
}

impl KeyFileError {
    pub(crate) fn text(&self) -> Text {
        let Self { model, source } = self;
        text!(
            "the api_key_file of model {model} can't be read: {source}. Correct the path or its permissions.",
            "无法读取模型 {model} 的 api_key_file:{source}。请更正路径或权限。"
        )
    }
}

impl Plan {
    /// Reads key files; starts and stops nothing.
    pub(crate) fn new(config: &Config, current: &[Live]) -> Result<Self, KeyFileError> {
        let mut left: Vec<Live> = current.to_vec();
        let mut next = Vec::new();
        for model in &config.models {
            let same = left.iter().position(|live| live.served.config.name == model.name);
            let old = same.map(|index| left.swap_remove(index));
            next.push(match old {
                Some(live) if live.served.config == *model => Planned::Keep(live),
                old => {
                    let served = Served::new(model.clone(), &config.queue);
                    served.set_api_key(read_key(model)?.as_deref());
                    match (old, model.engine) {
                        (Some(Live { supervised: Some(supervised), .. }), engine)
                            if engine != Engine::External =>
                        {
                            Planned::Change(served, supervised, Box::new(spec(model, config)))
                        }
                        (old, _) => {
                            left.extend(old);
                            Planned::Fresh(served)
                        }
                    }
                }
            });
        }
        Ok(Self { next, gone: left })
    }

    /// Carries the plan out on the current runtime. Processes that are gone are ended in the background.
    pub(crate) async fn carry_out(self, config: &Config) -> Vec<Live> {
        for live in self.gone {
            if let Some(supervised) = live.supervised {
                live.served.line.set_state(ModelState::Stopped);
                tokio::spawn(async move { supervised.shutdown().await });
            }
        }
        let mut models = Vec::new();
        for planned in self.next {
            models.push(match planned {
                Planned::Keep(live) => {
                    live.served.set_queue(&config.queue);
                    live
                }
                Planned::Change(served, supervised, spec) => {
                    supervised.replace(*spec).await;
                    follow(&served, &supervised);
                    Live { served, supervised: Some(supervised) }
                }
                Planned::Fresh(served) if served.is_supervised() => {
                    let supervised = Supervised::start(spec(&served.config, config));
                    follow(&served, &supervised);
                    Live { served, supervised: Some(supervised) }
                }
                Planned::Fresh(served) => {
                    if let Some(interval) = config.health.interval {
                        probe(&served, interval, config.health.failures);
                    }
                    Live { served, supervised: None }
                }
            });
        }
        models
    }
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
    std::fs::read_to_string(path)
        .map(|key| Some(key.trim().to_owned()))
        .map_err(|source| KeyFileError { model: model.name.clone(), source })
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
    served.line.set_state(status.state);
}

/// After a refused connection: the supervisor either says that the model is gone, or it answers again.
async fn recover(served: &Arc<Served>, status: &mut watch::Receiver<ModelStatus>) {
    loop {
        let pause = tokio::time::sleep(Duration::from_millis(200));
        tokio::select! {
            _ = status.changed() => return,
            () = pause => {}
        }
        let answers = match served.endpoints.all().first() {
            Some(endpoint) => connects(&endpoint.address).await,
            None => false,
        };
        if answers {
            return;
        }
    }
}

async fn connects(address: &EndpointAddress) -> bool {
    let connect = async {
        match address {
            EndpointAddress::Tcp { host, port } => {
                tokio::net::TcpStream::connect((host.as_str(), *port)).await.is_ok()
            }
            EndpointAddress::Unix(path) => tokio::net::UnixStream::connect(path).await.is_ok(),
        }
    };
    tokio::time::timeout(Duration::from_secs(2), connect).await.unwrap_or(false)
}

/// Asks each endpoint of an external model, again and again, who it is.
fn probe(served: &Arc<Served>, interval: Duration, failures: u32) {
    for endpoint in served.endpoints.all() {
        let (weak, endpoint) = (Arc::downgrade(served), endpoint.clone());
        let key = read_key(&served.config).ok().flatten();
        tokio::spawn(async move {
            let mut heard = false;
            while let Some(served) = weak.upgrade() {
                heard |= ask(&served, &endpoint, key.as_deref(), failures).await;
                drop(served);
                // Until it was heard of once its names are not known, so it is asked more often.
                let pause = if heard { interval } else { interval.min(Duration::from_secs(1)) };
                tokio::time::sleep(pause).await;
            }
        });
    }
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
