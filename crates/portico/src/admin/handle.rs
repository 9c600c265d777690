//! What the admin socket answers.
//!
//! | request | answer |
//! |---|---|
//! | `GET /status` | the state of everything, as JSON |
//! | `GET /models` | the models and their processes |
//! | `POST /models/NAME/start`, `stop`, `restart` | 202 and the model; 404; 409 for a model that Portico does not run |
//! | `POST /reload` | 200 with the changed keys; 409 with what is wrong |
//! | `GET /certificates` | the certificates that are served, and what becomes of them |
//! | `POST /certificates/renew` | 200 when one was signed; 409 with why not. `?dry_run`: nothing is changed |
//! | `GET /config/diff` | what a reload would change |
//! | `POST /stop` | 202, and the process drains |
//!
//! People, keys and the audit trail are in `accounts`.

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::accounts;
use crate::access::Actor;
use crate::certificate::Status;
use crate::config::{Engine, Problems, render};
use crate::control::{Certificates, Control, Live, ReloadOutcome};
use crate::supervise::Command;
use crate::types::{ServerKind, Text, Tongue, percent_decoded, text};

/// A body may be so large: names, a password, a list of networks.
const LARGEST_BODY_BYTES: usize = 64 * 1024;

pub(super) async fn answer(
    request: Request<Incoming>,
    control: &Control,
    actor: Actor,
) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let (status, body) = match Limited::new(body, LARGEST_BODY_BYTES).collect().await {
        Ok(body) => answered(&head, &body.to_bytes(), control, actor).await,
        Err(error) => (StatusCode::BAD_REQUEST, json!({"error": error.to_string()})),
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

async fn answered(head: &Parts, body: &[u8], control: &Control, actor: Actor) -> (StatusCode, Value) {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let about_people = accounts::Request { method: &head.method, target, body, actor };
    let config = control.door.snapshot.load().config.clone();
    if let Some(answer) = accounts::answer(&about_people, &control.door.accounts, &config).await {
        return answer;
    }
    let path = head.uri.path();
    match (&head.method, path) {
        (&Method::GET, "/status") => (StatusCode::OK, status(control).await),
        (&Method::GET, "/models") => (StatusCode::OK, models(control).await),
        (&Method::GET, "/certificates") => (StatusCode::OK, json!({"certificates": certificates(control)})),
        (&Method::POST, "/certificates/renew") => renew(control, head.uri.query() == Some("dry_run")).await,
        (&Method::POST, "/reload") => reload(control).await,
        (&Method::GET, "/config/diff") => compare(control),
        (&Method::POST, "/stop") => {
            control.stop();
            (StatusCode::ACCEPTED, json!({"stopping": true}))
        }
        (&Method::POST, path) => match path.strip_prefix("/models/").and_then(|rest| rest.rsplit_once('/')) {
            Some((name, command)) => model(control, name, command).await,
            None => unknown(),
        },
        _ => unknown(),
    }
}

fn unknown() -> (StatusCode, Value) {
    (StatusCode::NOT_FOUND, json!({"error": "there is no such operation"}))
}

async fn status(control: &Control) -> Value {
    let snapshot = control.door.snapshot.load_full();
    let people = control.door.accounts.authenticator().directory();
    let mode = match () {
        () if control.door.is_local(&snapshot) => "local",
        () if snapshot.config.lets_networks_in() => "networks",
        () if people.lets_anybody_in(jiff::Timestamp::now()) => "identity",
        () => "closed",
    };
    json!({
        "version": env!("CARGO_PKG_VERSION"),
        "pid": std::process::id(),
        "since": seconds(control.started),
        "mode": mode,
        "listeners": control.listeners.iter().map(|(scheme, address)| format!("{}://{address}", scheme.word())).collect::<Vec<_>>(),
        "connections": control.connections.total(),
        "connections_refused": control.connections.refused(),
        "certificates": certificates(control),
        "models": models(control).await,
        "log_lines_lost": control.lost_log_lines(),
        "audit_records_lost": control.door.accounts.lost_records(),
        "config": control.source.as_ref().map(|path| control.environment.directory.join(path).display().to_string()),
        "reloads": control.reload_count(),
        "last_reload": control.last_reload().map(|last| {
            let (ok, detail) = match &last.outcome {
                ReloadOutcome::Done { .. } => (true, None),
                ReloadOutcome::Wrong(problems) => (false, problems.list.first().map(|p| p.message.clone())),
                ReloadOutcome::Refused(why) => (false, Some(why.clone())),
            };
            json!({"at": seconds(last.at), "ok": ok, "detail": detail})
        }),
    })
}

async fn models(control: &Control) -> Value {
    control.models().await.iter().map(describe).collect()
}

fn describe(live: &Live) -> Value {
    let served = &live.served;
    let config = &served.config;
    let process = live.supervised.as_ref().map(|supervised| supervised.status().borrow().clone());
    let names = served.names();
    let name = if config.name.is_empty() {
        names.first().map(ToString::to_string)
    } else {
        Some(config.name.clone())
    };
    let endpoints: Vec<_> = served
        .endpoints
        .all()
        .iter()
        .map(|endpoint| {
            json!({
                "address": endpoint.address.to_string(),
                "up": endpoint.is_up(),
                "in_flight": endpoint.in_flight(),
            })
        })
        .collect();
    json!({
        "name": name,
        "aliases": config.aliases,
        "engine": match config.engine {
            Engine::Vllm => "vllm",
            Engine::LlamaCpp => "llama.cpp",
            Engine::External => "external",
        },
        "server": served.server().map(ServerKind::word),
        "version": served.facts().version,
        "state": served.state().word(),
        "detail": served.detail(),
        "running": served.line.running(),
        "waiting": served.line.waiting(),
        "pid": process.as_ref().and_then(|process| process.pid),
        "restarts": process.as_ref().map(|process| process.restarts),
        "since": process.as_ref().map(|process| seconds(process.since)),
        "endpoints": endpoints,
        "log": process.map(|_| config.log.display().to_string()),
    })
}

async fn model(control: &Control, name: &str, command: &str) -> (StatusCode, Value) {
    let command = match command {
        "start" => Command::Start,
        "stop" => Command::Stop,
        "restart" => Command::Restart,
        _ => return unknown(),
    };
    // Model names may hold slashes, which are encoded in one segment.
    let name = String::from_utf8_lossy(&percent_decoded(name)).into_owned();
    let models = control.models().await;
    let Some(live) = models.iter().find(|live| live.served.names().iter().any(|known| **known == *name))
    else {
        return (StatusCode::NOT_FOUND, json!({"error": format!("there is no model named {name}")}));
    };
    match live.command(command).await {
        true => (StatusCode::ACCEPTED, describe(live)),
        false => {
            let error = "it is an external model, whose process Portico does not run";
            (StatusCode::CONFLICT, json!({"error": error}))
        }
    }
}

async fn reload(control: &Control) -> (StatusCode, Value) {
    match control.reload().await {
        ReloadOutcome::Done { changed } => (StatusCode::OK, json!({"reloaded": true, "changed": changed})),
        ReloadOutcome::Wrong(problems) => (StatusCode::CONFLICT, wrong(&problems)),
        ReloadOutcome::Refused(why) => (StatusCode::CONFLICT, json!({"reloaded": false, "refused": why})),
    }
}

fn certificates(control: &Control) -> Vec<Status> {
    control.certificates.as_ref().and_then(Certificates::status).into_iter().collect()
}

async fn renew(control: &Control, dry_run: bool) -> (StatusCode, Value) {
    let refused = |why: Text| (StatusCode::CONFLICT, json!({"renewed": false, "refused": why}));
    let Some(certificates) = &control.certificates else {
        return refused(text!("https is off: there is no certificate", "https 已关闭:没有证书"));
    };
    match certificates.renew(dry_run).await {
        Ok(outcome) => {
            let status = if outcome.is_done() { StatusCode::OK } else { StatusCode::CONFLICT };
            (status, outcome.json(dry_run))
        }
        Err(not_renewed) => refused(not_renewed.text()),
    }
}

fn compare(control: &Control) -> (StatusCode, Value) {
    match control.compare() {
        Ok(diff) => (StatusCode::OK, json!({"changed": diff.changed, "needs_restart": diff.needs_restart})),
        Err(problems) => (StatusCode::CONFLICT, wrong(&problems)),
    }
}

fn wrong(problems: &Problems) -> Value {
    let json = render::json(&problems.document, &problems.list, Tongue::English);
    json!({"reloaded": false, "problems": serde_json::from_str::<Value>(&json).unwrap_or(Value::Null)})
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
