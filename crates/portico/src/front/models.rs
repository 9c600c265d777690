//! The models behind the door, as the request path knows them.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use http::HeaderValue;
use tokio::sync::Notify;

use super::snapshot::Snapshot;
use crate::access::Caller;
use crate::api::Call;
use crate::config::{Engine, Modality, Model, Policy, Queue};
use crate::queue::{Limits, Line};
use crate::reason::{Reason, Refusal};
use crate::types::{ModelFacts, ModelState, ServerKind, Text, text};
use crate::upstream::Endpoints;

/// So many requests of one model run at once where neither the file nor the model server tells.
const DEFAULT_MAX_RUNNING: u32 = 64;

/// One model: its line, its endpoints, and what is known about it. Lives on across reloads that do not change it.
pub(crate) struct Served {
    pub(crate) config: Model,
    name: Arc<str>,
    upstream_name: Option<Arc<str>>,
    pub(crate) line: Arc<Line>,
    pub(crate) endpoints: Endpoints,
    facts: ArcSwap<ModelFacts>,
    api_key: ArcSwapOption<HeaderValue>,
    /// Why it is not ready, for people.
    detail: ArcSwapOption<Text>,
    /// The request path could not reach a model that counted as ready; whoever watches it should look.
    suspected: Notify,
}

pub(crate) struct Registry {
    list: Vec<Arc<Served>>,
    by_name: HashMap<String, usize>,
}

impl Served {
    pub(crate) fn new(config: Model, queue: &Queue) -> Arc<Self> {
        // A child is loading until it has answered; an external server is up until something fails.
        let state = if config.engine == Engine::External { ModelState::Ready } else { ModelState::Loading };
        let limits = limits(queue);
        Arc::new(Self {
            line: Line::new(state, limits),
            endpoints: Endpoints::new(&config.endpoints),
            facts: ArcSwap::default(),
            api_key: ArcSwapOption::default(),
            detail: ArcSwapOption::default(),
            suspected: Notify::new(),
            name: config.name.as_str().into(),
            upstream_name: config.upstream_name.as_deref().map(Arc::from),
            config,
        })
    }

    pub(crate) fn set_queue(&self, queue: &Queue) {
        self.line.set_limits(limits(queue));
    }

    pub(crate) fn set_facts(&self, facts: ModelFacts) {
        self.facts.store(Arc::new(facts));
    }

    pub(crate) fn facts(&self) -> ModelFacts {
        self.facts.load().as_ref().clone()
    }

    pub(crate) fn set_api_key(&self, key: Option<&str>) {
        let bearer = key.and_then(|key| {
            let mut value = HeaderValue::from_str(&format!("Bearer {key}")).ok()?;
            value.set_sensitive(true);
            Some(Arc::new(value))
        });
        self.api_key.store(bearer);
    }

    pub(super) fn api_key(&self) -> Option<HeaderValue> {
        self.api_key.load().as_deref().cloned()
    }

    pub(crate) fn set_detail(&self, detail: Option<Text>) {
        self.detail.store(detail.map(Arc::new));
    }

    pub(crate) fn detail(&self) -> Option<Arc<Text>> {
        self.detail.load_full()
    }

    pub(crate) fn is_supervised(&self) -> bool {
        self.config.engine != Engine::External
    }

    /// The state that people see.
    pub(crate) fn state(&self) -> ModelState {
        match self.line.state() {
            ModelState::Ready if !self.is_supervised() && !self.endpoints.any_up() => ModelState::Down,
            state => state,
        }
    }

    /// A child that counted as ready can't be reached: requests wait again until it has been looked at.
    pub(super) fn suspect(&self) {
        if self.line.suspect() {
            self.suspected.notify_one();
        }
    }

    pub(crate) async fn suspected(&self) {
        self.suspected.notified().await;
    }

    /// The names that clients may ask for.
    pub(crate) fn names(&self) -> Vec<Arc<str>> {
        if self.config.name.is_empty() {
            return self.facts.load().names.clone();
        }
        std::iter::once(&self.config.name)
            .chain(&self.config.aliases)
            .map(|name| name.as_str().into())
            .collect()
    }

    fn is_named(&self, name: &str) -> bool {
        let facts = self.facts.load();
        if self.config.name.is_empty() {
            return facts.names.iter().any(|known| **known == *name);
        }
        self.config.name == name || self.config.aliases.iter().any(|alias| alias == name)
    }

    /// What the model server calls it.
    pub(super) fn upstream_name(&self, asked: &Arc<str>) -> Arc<str> {
        if let Some(name) = &self.upstream_name {
            return name.clone();
        }
        if self.name.is_empty() {
            return asked.clone();
        }
        let facts = self.facts.load();
        let own = facts.names.iter().find(|name| ***name == *self.config.name);
        match own.or(facts.names.first()) {
            Some(name) if !self.is_supervised() => name.clone(),
            _ => self.name.clone(),
        }
    }

    pub(crate) fn context_tokens(&self) -> Option<u32> {
        self.config.context.or(self.facts.load().context_tokens)
    }

    pub(crate) fn modalities(&self) -> Vec<Modality> {
        match (&self.config.modalities, self.facts.load().takes_images) {
            (Some(modalities), _) => modalities.clone(),
            (None, Some(false)) => vec![Modality::Text],
            (None, Some(true) | None) => vec![Modality::Text, Modality::Image],
        }
    }

    /// What program answers: known where Portico starts it, else asked.
    pub(crate) fn server(&self) -> Option<ServerKind> {
        match self.config.engine {
            Engine::Vllm => Some(ServerKind::Vllm),
            Engine::LlamaCpp => Some(ServerKind::LlamaCpp),
            Engine::External => self.facts.load().server,
        }
    }

    /// Whether a prompt and a limit that are too long together are no error to it.
    pub(super) fn stops_at_context(&self) -> bool {
        self.config.engine == Engine::LlamaCpp || self.facts.load().stops_at_context
    }

    /// What can be said about a call before it waits.
    pub(super) fn check(&self, call: &Call, policy: &Policy) -> Result<(), Refusal> {
        let takes_images = self.modalities().contains(&Modality::Image);
        let Call { operation, facts: call, .. } = call;
        let model = &call.model;
        if call.token_ids && takes_images && policy.enabled {
            return Err(Refusal::new(Reason::InvalidValue).param(operation.prompt_key()).saying(text!(
                "The model {model} takes images, so its prompts are taken as text only: token ids could stand for a picture that is not there.",
                "模型 {model} 支持图片,因此其提示词只接受文本:token 编号可能冒充并不存在的图片。"
            )));
        }
        if call.images > 0 && !takes_images {
            return Err(Refusal::new(Reason::ImagesNotSupported)
                .param(operation.prompt_key())
                .saying(text!("The model {model} does not take images.", "模型 {model} 不支持图片。")));
        }
        Ok(())
    }
}

/// Whether this caller's plan and key allow the model, under whichever of its names.
pub(super) fn may_use(snapshot: &Snapshot, caller: &Caller, served: &Served) -> Result<(), Refusal> {
    let plan = snapshot.plan_of(caller);
    let plan_allows =
        plan.is_none_or(|plan| plan.models.iter().any(|model| model == "*" || served.is_named(model)));
    let key = caller.key().filter(|key| !key.models.is_empty());
    let key_allows = key.is_none_or(|key| key.models.iter().any(|model| served.is_named(model)));
    if plan_allows && key_allows {
        return Ok(());
    }
    let private = match (plan_allows, plan, key) {
        (false, Some(plan), _) => format!("plan.{}.models does not name it", plan.name),
        (_, _, Some(key)) => format!("key {} does not name it", key.id),
        _ => String::new(),
    };
    Err(Refusal::new(Reason::ModelNotAllowed).param("model").because(private))
}

fn limits(queue: &Queue) -> Limits {
    Limits { max_running: queue.max_running.unwrap_or(DEFAULT_MAX_RUNNING), max_waiting: queue.max_waiting }
}

impl Registry {
    pub(crate) fn new(list: Vec<Arc<Served>>) -> Self {
        let mut by_name = HashMap::new();
        for (index, served) in list.iter().enumerate() {
            for name in std::iter::once(&served.config.name).chain(&served.config.aliases) {
                by_name.entry(name.clone()).or_insert(index);
            }
        }
        Self { list, by_name }
    }

    pub(crate) fn all(&self) -> &[Arc<Served>] {
        &self.list
    }

    /// Exact names only. The implicit model takes the names its server gives itself, and any as long as it has not
    /// been heard of.
    pub(crate) fn find(&self, name: &str) -> Result<&Arc<Served>, Refusal> {
        if let Some(index) = self.by_name.get(name).filter(|_| !name.is_empty()) {
            return Ok(&self.list[*index]);
        }
        if let Some(implicit) = self.by_name.get("").map(|index| &self.list[*index]) {
            let facts = implicit.facts.load();
            if facts.names.is_empty() || facts.names.iter().any(|known| **known == *name) {
                return Ok(implicit);
            }
        }
        let name: String = name.chars().filter(|c| !c.is_control()).take(100).collect();
        Err(Refusal::new(Reason::ModelNotFound).param("model").saying(text!(
            "There is no model named {name} here. GET /v1/models lists the models.",
            "这里没有名为 {name} 的模型。GET /v1/models 会列出可用的模型。"
        )))
    }
}
