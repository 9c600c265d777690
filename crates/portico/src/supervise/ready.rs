//! Is it ready? It is when it has answered a real request, not when it has been up for a second.
//!
//! A model server accepts connections long before it can generate (llama.cpp loads behind a listening socket), and
//! some list their models before the engine behind them works. So: the list of models, then one token.
//! With `health.interval = "0s"` Portico has promised to send nothing of its own: then a connection that is accepted
//! has to do, facts stay unknown, and the first requests may meet a server that still loads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::{advisories, facts};
use crate::sys::http::{Limits, Target, fetch, reach};
use crate::types::ModelFacts;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
const CONNECT: Duration = Duration::from_secs(5);

/// How readiness is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Probe {
    /// One token is generated.
    Generate,
    /// A connection is made and nothing is sent.
    ConnectOnly,
}

/// What to ask, and as whom.
#[derive(Debug, Clone)]
pub(super) struct Question {
    pub(super) target: Target,
    pub(super) api_key: Arc<str>,
    /// What the server should call the model.
    pub(super) name: String,
    pub(super) probe: Probe,
    /// For one answer. The first token of a cold GPU takes long.
    pub(super) patience: Duration,
}

/// The last thing that stood in the way, for the message when time is up.
#[derive(Debug, Clone, Default)]
pub(super) struct LastProblem(Arc<Mutex<Option<String>>>);

impl LastProblem {
    pub(super) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn note(&self, problem: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(problem);
    }
}

/// Asks until it is ready; whoever waits for this has the deadline. Dropping it sends nothing more.
pub(super) async fn until_ready(question: Question, last_problem: LastProblem) -> ModelFacts {
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt(&question).await {
            Ok(facts) => {
                warn_of_old_engine(&question.name, &facts);
                return facts;
            }
            Err(problem) => last_problem.note(problem),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn warn_of_old_engine(name: &str, facts: &ModelFacts) {
    if let Some(version) = facts.version.as_deref().filter(|version| advisories::is_old_vllm(version)) {
        let floor = advisories::OLDEST_VLLM;
        tracing::warn!(
            "model {name} runs vLLM {version}, which has known holes: update it to {floor} or newer; `portico model list --advisories` names them"
        );
    }
}

async fn attempt(question: &Question) -> Result<ModelFacts, String> {
    if question.probe == Probe::ConnectOnly {
        return match reach(&question.target, CONNECT).await {
            Ok(()) => Ok(ModelFacts::default()),
            Err(error) => Err(error.to_string()),
        };
    }
    let facts =
        facts::ask(&question.target, Some(&question.api_key)).await.map_err(|error| error.to_string())?;
    let name = facts
        .names
        .iter()
        .find(|name| ***name == *question.name)
        .or_else(|| facts.names.first())
        .map_or(question.name.as_str(), |name| &**name);
    generate(question, name).await?;
    Ok(facts)
}

/// One token by chat; where the server says that it can't chat, one by completion; where it can't do that either,
/// one embedding.
async fn generate(question: &Question, name: &str) -> Result<(), String> {
    let requests = [
        (
            "/v1/chat/completions",
            "choices",
            json!({"model": name, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1, "temperature": 0}),
        ),
        (
            "/v1/completions",
            "choices",
            json!({"model": name, "prompt": "Hi", "max_tokens": 1, "temperature": 0}),
        ),
        ("/v1/embeddings", "data", json!({"model": name, "input": "Hi"})),
    ];
    let mut refusals = Vec::new();
    for (path, list, body) in requests {
        match post(question, path, list, &body).await? {
            Answer::Given => return Ok(()),
            Answer::Refused(status) => refusals.push(format!("{path}: {status}")),
        }
    }
    Err(refusals.join(", "))
}

enum Answer {
    Given,
    /// It will never answer this kind of request.
    Refused(StatusCode),
}

async fn post(question: &Question, path: &str, list: &str, body: &Value) -> Result<Answer, String> {
    let limits = Limits { connect: CONNECT, total: question.patience, max_body_bytes: 1 << 20 };
    let mut headers = facts::authorization(Some(&question.api_key)).ok_or("the key is no header value")?;
    headers.push((header::CONTENT_TYPE, HeaderValue::from_static("application/json")));
    let body = Bytes::from(body.to_string());
    let (status, _, answer) = fetch(&question.target, Method::POST, path, &headers, body, limits)
        .await
        .map_err(|error| format!("POST {path}: {error}"))?;
    match status.as_u16() {
        200 => {
            let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
            let given = answer.get(list).and_then(Value::as_array).is_some_and(|items| !items.is_empty());
            if given { Ok(Answer::Given) } else { Err(format!("POST {path}: 200 with an empty answer")) }
        }
        400 | 404 | 405 | 415 | 422 | 501 => Ok(Answer::Refused(status)),
        _ => Err(format!("POST {path} was answered with {status}")),
    }
}
