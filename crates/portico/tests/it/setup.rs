//! A Portico made of parts: the configuration of a test says only what the test is about.

use std::time::Duration;

use serde_json::{Value, json};
use testkit::client::{Answer, Connection, Head};
use testkit::net::Address;
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait;

use crate::support::binary;

pub(crate) const CHAT: &str = "/v1/chat/completions";

/// Those that have to be asked for, too.
pub(crate) fn all_endpoints() -> String {
    let names = ["models", "chat", "completions", "embeddings", "responses", "messages", "rerank", "score"];
    format!("[policy]\nendpoints = {names:?}\n")
}

/// What a configuration holds besides the folder and the ports of the test.
pub(crate) struct Setup {
    site: String,
    listen: String,
    log: String,
    models: String,
    rest: String,
}

impl Setup {
    /// Without `[[model]]`: the one implicit model.
    pub(crate) fn new() -> Self {
        Self {
            site: String::new(),
            listen: String::new(),
            log: String::new(),
            models: String::new(),
            rest: "[health]\ninterval = \"0s\"\n".to_owned(),
        }
    }

    /// One external model called `scripted`, which its server calls so too. Nothing but the test's own requests
    /// reaches it.
    pub(crate) fn before(scripted: &Scripted) -> Self {
        Self::new().model("scripted", &[&scripted.endpoint()], "upstream_name = \"scripted-model\"")
    }

    pub(crate) fn model(mut self, name: &str, endpoints: &[&str], more: &str) -> Self {
        self.models += &format!(
            "[[model]]\nname = \"{name}\"\nengine = \"external\"\nendpoints = {endpoints:?}\n{more}\n"
        );
        self
    }

    /// More keys of `[site]`.
    pub(crate) fn site(mut self, keys: &str) -> Self {
        self.site += &format!("{keys}\n");
        self
    }

    /// More keys of `[listen]`.
    pub(crate) fn listen(mut self, keys: &str) -> Self {
        self.listen += &format!("{keys}\n");
        self
    }

    /// More keys of `[log]`.
    pub(crate) fn log(mut self, keys: &str) -> Self {
        self.log += &format!("{keys}\n");
        self
    }

    /// Whole sections.
    pub(crate) fn with(mut self, sections: &str) -> Self {
        self.rest += &format!("{sections}\n");
        self
    }

    /// Model servers are asked who they are.
    pub(crate) fn probing(mut self) -> Self {
        self.rest = self.rest.replace("interval = \"0s\"", "interval = \"15s\"");
        self
    }

    pub(crate) fn text(&self) -> String {
        let Self { site, listen, log, models, rest } = self;
        // Nobody fights over the default port.
        let https = if listen.contains("https =") { "" } else { "https = []\n" };
        format!(
            "[site]\ndata_dir = \"{{folder}}/data\"\n{site}\
             [listen]\nhttp = [\"127.0.0.1:{{port}}\"]\nadmin = \"unix:{{folder}}/admin.sock\"\n{https}{listen}\
             [log]\naccess = \"{{folder}}/access.log\"\n{log}\
             {rest}{models}"
        )
    }

    pub(crate) async fn start(&self) -> Portico {
        Portico::start(binary(), &self.text()).await
    }
}

/// A chat call whose only message is `text`; `fault:…` makes the scripted server misbehave.
pub(crate) fn chat(text: &str) -> Value {
    json!({ "model": "scripted", "messages": [{ "role": "user", "content": text }] })
}

/// The same as a stream.
pub(crate) fn stream(text: &str) -> Value {
    let mut call = chat(text);
    call["stream"] = json!(true);
    call
}

/// Sends a chat call on a connection of its own, and leaves the answer to be read.
pub(crate) async fn asked(portico: &Portico, call: &Value) -> Connection {
    let mut connection = portico.connect().await;
    connection.post_json(CHAT, call).await.expect("the call is sent");
    connection
}

/// Every event up to the end of the body.
pub(crate) async fn events(connection: &mut Connection) -> Vec<String> {
    let mut events = Vec::new();
    while let Some(event) = connection.event().await.expect("a whole event") {
        events.push(event);
    }
    events
}

/// The JSON of an event's data.
pub(crate) fn data(event: &str) -> Value {
    let json = event.strip_prefix("data: ").and_then(|rest| rest.strip_suffix("\n\n"));
    json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_else(|| panic!("no data: {event:?}"))
}

/// The final event of a stream that failed: an error in OpenAI's shape, with this type and code.
pub(crate) fn assert_error_event(event: &str, kind: &str, code: &str) {
    let json = data(event);
    assert_shape(&json, kind, code);
}

/// An error of the API: status, OpenAI's shape with exactly its four keys, an id, and when to come again.
pub(crate) fn assert_error(answer: &Answer, status: u16, kind: &str, code: &str) {
    assert_eq!(answer.head.status, status, "{:?} {}", answer.head, answer.text());
    assert_eq!(answer.head.header("content-type"), Some("application/json"));
    assert_shape(&answer.json(), kind, code);
    let id = answer.head.header("x-request-id").unwrap_or_default();
    assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}");
    let retry = answer.head.header("retry-after").and_then(|after| after.parse::<u64>().ok());
    assert_eq!(retry.is_some(), matches!(status, 429 | 503), "Retry-After: {:?}", answer.head);
}

fn assert_shape(json: &Value, kind: &str, code: &str) {
    let keys = |value: &Value| {
        let mut keys: Vec<_> = value.as_object().into_iter().flatten().map(|(key, _)| key.clone()).collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(json), ["error"], "{json}");
    assert_eq!(keys(&json["error"]), ["code", "message", "param", "type"], "{json}");
    assert_eq!((&json["error"]["type"], &json["error"]["code"]), (&json!(kind), &json!(code)), "{json}");
    assert!(json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
}

/// The record of the request that was answered with this head.
pub(crate) async fn record(portico: &Portico, head: &Head) -> Value {
    let id = head.header("x-request-id").expect("an API answer has an id").to_owned();
    portico.wait_for_record("access.log", "the record of an answer", |line| line["id"] == *id).await
}

/// The record that ended for this reason.
pub(crate) async fn record_because(portico: &Portico, reason: &str) -> Value {
    portico.wait_for_record("access.log", reason, |line| line["reason"] == reason).await
}

/// Records of everything but the `/health` that waited for the start, once there are so many; more are an error.
pub(crate) async fn records(portico: &Portico, count: usize) -> Vec<Value> {
    let ours = || {
        let mut records = portico.records("access.log");
        records.retain(|record| record["path"] != "/health");
        records
    };
    wait::until(wait::SOON, &format!("there are {count} records"), async || {
        (ours().len() >= count).then_some(())
    })
    .await;
    // Lines are handed over every 200 ms: one that should not be there would come within two of these.
    tokio::time::sleep(Duration::from_millis(450)).await;
    let records = ours();
    assert_eq!(records.len(), count, "{records:#?}");
    records
}

/// What the admin socket says of the first model: `running`, `waiting`, `endpoints`.
pub(crate) async fn model_status(portico: &Portico) -> Value {
    status(portico).await["models"][0].clone()
}

/// What the admin socket says.
pub(crate) async fn status(portico: &Portico) -> Value {
    let socket = Address::Unix(portico.folder().join("admin.sock"));
    testkit::client::get(&socket, "/status").await.expect("the admin socket answers").json()
}
