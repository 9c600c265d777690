//! Responses and Messages: streams in the dialect of each, with the name put back, the tokens counted, and an end that
//! says what went wrong.

use std::io::ErrorKind;

use serde_json::{Value, json};
use testkit::client::{Answer, Connection};
use testkit::portico::Portico;
use testkit::scripted::Scripted;

use crate::setup::{CHAT, Setup, all_endpoints, assert_error, chat, events, record, stream};
use crate::streams::{begun, running};

const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";
const BOTH: [&str; 2] = [RESPONSES, MESSAGES];

fn call(path: &str, text: &str, streaming: bool) -> Value {
    match path {
        RESPONSES => json!({ "model": "scripted", "input": text, "stream": streaming }),
        _ => {
            json!({ "model": "scripted", "max_tokens": 100, "stream": streaming, "messages": [{ "role": "user", "content": text }] })
        }
    }
}

async fn start(scripted: &Scripted, more: &str) -> Portico {
    Setup::before(scripted).with(&all_endpoints()).with(more).start().await
}

async fn ask(portico: &Portico, path: &str, text: &str) -> Connection {
    let mut connection = portico.connect().await;
    connection.post_json(path, &call(path, text, true)).await.expect("the call is sent");
    connection
}

/// Name and JSON of an event.
fn named(event: &str) -> (String, Value) {
    let (name, data) = event
        .strip_prefix("event: ")
        .and_then(|rest| rest.strip_suffix("\n\n")?.split_once("\ndata: "))
        .unwrap_or_else(|| panic!("no named event: {event:?}"));
    (name.to_owned(), serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {event:?}")))
}

/// What the model server itself answers.
async fn direct(scripted: &Scripted, path: &str, text: &str, streaming: bool) -> String {
    let mut call = call(path, text, streaming);
    call["model"] = json!("scripted-model");
    let mut connection = scripted.connect().await;
    connection.post_json(path, &call).await.expect("the call is sent");
    connection.head().await.expect("a head");
    let body = connection.body().await.expect("a body");
    String::from_utf8(body).expect("UTF-8").replace("\"scripted-model\"", "\"scripted\"")
}

/// Status and type of an error in Anthropic's shape.
fn assert_anthropic(answer: &Answer, status: u16, kind: &str) {
    assert_eq!(answer.head.status, status, "{}", answer.text());
    assert_eq!(answer.head.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!(json["type"], "error", "{json}");
    assert_eq!(json["error"]["type"], kind, "{json}");
    assert!(json["error"]["message"].as_str().is_some_and(|message| !message.is_empty()), "{json}");
    let keys = |value: &Value| value.as_object().map(serde_json::Map::len);
    assert_eq!((keys(&json), keys(&json["error"])), (Some(2), Some(2)), "{json}");
}

#[tokio::test]
async fn events_pass_as_they_are_with_the_name_put_back() {
    let scripted = Scripted::start().await;
    let portico = start(&scripted, "").await;
    for path in BOTH {
        for text in
            ["hello there, world", "fault:split-events", "fault:slow-stream 3 5ms", "fault:flood 3 200000"]
        {
            let mut connection = ask(&portico, path, text).await;
            let head = connection.head().await.expect("a head");
            assert_eq!(head.status, 200);
            assert_eq!(head.headers("content-type"), ["text/event-stream; charset=utf-8"]);
            let got = events(&mut connection).await.concat();
            assert_eq!(got, direct(&scripted, path, text, true).await, "{path} {text}");
            assert!(!got.contains("scripted-model") && !got.contains("[DONE]"), "{got}");
            let line = record(&portico, &head).await;
            assert_eq!((&line["reason"], &line["path"]), (&json!("completed"), &json!(path)));
            assert!(line["tokens_in"].as_u64() > Some(0) && line["tokens_out"].as_u64() > Some(0), "{line}");
            let received = scripted.requests_to(path).await;
            let sent = received[received.len() - 2].json();
            assert!(sent["stream_options"].is_null(), "only chats are asked so: {sent}");
        }
    }
}

#[tokio::test]
async fn whole_answers_pass_with_the_name_put_back() {
    let scripted = Scripted::start().await;
    let portico = start(&scripted, "").await;
    for path in BOTH {
        let answer = portico.post_json(path, &call(path, "one two three", false)).await;
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        assert_eq!(answer.text(), direct(&scripted, path, "one two three", false).await);
        let line = record(&portico, &answer.head).await;
        assert_eq!((&line["tokens_in"], &line["tokens_out"]), (&json!(3), &json!(5)));
    }
    let asked = json!({ "model": "scripted", "messages": [{ "role": "user", "content": "one two" }] });
    let counted = portico.post_json("/v1/messages/count_tokens", &asked).await;
    assert_eq!(counted.json(), json!({ "input_tokens": 2 }));
}

/// fault, events that the client gets whole, codes and types of the last one
const FAULTS: &[(&str, usize, &str)] = &[
    ("die-mid-stream 4", 4, "upstream_died"),
    ("die-mid-stream 4 reset", 4, "upstream_died"),
    ("die-mid-event", 2, "upstream_died"),
    ("bad-chunk", 2, "upstream_died"),
    ("end-early 3", 3, "upstream_died"),
    ("engine-dead 3", 3, "upstream_died"),
    ("hang-mid-stream 3", 3, "upstream_timeout"),
];

/// All events of a stream that is torn down: the body's end never comes.
async fn torn(connection: &mut Connection) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        match connection.event().await {
            Ok(Some(event)) => events.push(event),
            Ok(None) => panic!("the body came to a proper end after {events:?}"),
            Err(error) => {
                let is_cut = matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset);
                assert!(is_cut, "{error}");
                return events;
            }
        }
    }
}

fn assert_last(path: &str, event: &str, code: &str) {
    let (name, json) = named(event);
    assert_eq!((&*name, &json["type"]), ("error", &json!("error")), "{event}");
    match path {
        RESPONSES => {
            assert_eq!((&json["code"], &json["error"]["code"]), (&json!(code), &json!(code)), "{event}");
            assert!(json["sequence_number"].is_u64() && json["message"].is_string(), "{event}");
        }
        _ => {
            let kind = match code {
                "upstream_timeout" => "timeout_error",
                "upstream_died" => "api_error",
                _ => "overloaded_error",
            };
            assert_eq!(json["error"]["type"], kind, "{event}");
            assert!(json["error"]["message"].is_string(), "{event}");
        }
    }
}

#[tokio::test]
async fn the_client_is_told_in_its_own_dialect_and_the_connection_is_torn_down() {
    let scripted = Scripted::start().await;
    let portico = start(&scripted, "[timeouts]\nstream_idle = \"1s\"").await;
    for path in BOTH {
        for (fault, whole, code) in FAULTS {
            let mut connection = ask(&portico, path, &format!("fault:{fault}")).await;
            let head = connection.head().await.expect("a head");
            assert_eq!(head.status, 200);
            let events = torn(&mut connection).await;
            let (last, before) = events.split_last().expect("events");
            assert_last(path, last, code);
            let all = events.concat();
            for word in ["EngineCore", "127.0.0.1", "response.failed", "message_stop", "response.completed"] {
                assert!(!all.contains(word), "{path} {fault}: {all}");
            }
            assert!(before.len() <= *whole, "{path} {fault}: {events:#?}");
            assert!(fault.ends_with("reset") || before.len() == *whole, "{path} {fault}: {events:#?}");
            let line = record(&portico, &head).await;
            assert_eq!((&line["status"], &line["reason"]), (&json!(200), &json!(code)), "{path} {fault}");
        }
    }
}

#[tokio::test]
async fn whole_answers_that_fail_are_a_status_in_the_caller_s_shape() {
    let scripted = Scripted::start().await;
    let portico = start(&scripted, "[timeouts]\nupstream_first_byte = \"1s\"").await;
    for (fault, status, openai, anthropic, code) in [
        ("garbage", 502, "upstream_error", "api_error", "upstream_failed"),
        ("html", 502, "upstream_error", "api_error", "upstream_failed"),
        ("leaky-error", 502, "upstream_error", "api_error", "upstream_failed"),
        ("two-lengths", 502, "upstream_error", "api_error", "upstream_failed"),
        ("die-mid-stream 2", 502, "upstream_error", "api_error", "upstream_failed"),
        ("error 400", 400, "invalid_request_error", "invalid_request_error", "upstream_rejected"),
        ("error 429", 503, "overloaded_error", "overloaded_error", "upstream_busy"),
        ("silent", 504, "timeout_error", "timeout_error", "upstream_timeout"),
    ] {
        let text = format!("fault:{fault}");
        let answer = portico.post_json(RESPONSES, &call(RESPONSES, &text, false)).await;
        assert_error(&answer, status, openai, code);
        let answer = portico.post_json(MESSAGES, &call(MESSAGES, &text, false)).await;
        assert_anthropic(&answer, status, anthropic);
        for leak in ["127.0.0.1", "/opt/models"] {
            assert!(!answer.text().contains(leak), "{}", answer.text());
        }
        assert_eq!(record(&portico, &answer.head).await["reason"], code);
    }
}

#[tokio::test]
async fn who_waits_hears_comments_and_then_an_error_of_the_own_kind() {
    let scripted = Scripted::start().await;
    let queue = "[queue]\nmax_running = 1\nmax_waiting = 5\nmax_wait = \"2500ms\"\nkeepalive = \"1s\"";
    let portico = start(&scripted, queue).await;
    let mut busy = portico.connect().await;
    busy.post_json(CHAT, &stream("fault:hang-mid-stream 2")).await.expect("sent");
    begun(&mut busy).await;
    running(&scripted, 1).await;
    for path in BOTH {
        let mut late = ask(&portico, path, "late").await;
        assert_eq!(late.head().await.expect("a head").status, 200);
        let seen = torn(&mut late).await;
        let (last, comments) = seen.split_last().expect("events");
        assert_last(path, last, "queue_timeout");
        assert!(comments.iter().all(|event| event.starts_with(": queued position=")), "{seen:?}");
    }
}

/// Anthropic's clients send their key and their version: neither reaches the model server.
#[tokio::test]
async fn headers_of_anthropic_s_clients_stay_here() {
    let scripted = Scripted::start().await;
    let portico = start(&scripted, "").await;
    let headers = [
        ("Content-Type", "application/json"),
        ("X-Api-Key", "pk-secret"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "interleaved-thinking-2025-05-14"),
        ("anthropic-dangerous-direct-browser-access", "true"),
    ];
    let body = call(MESSAGES, "hi", false).to_string();
    let answer = portico.once("POST", MESSAGES, &headers, body.as_bytes()).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let received = &scripted.requests_to(MESSAGES).await[0];
    for (name, _) in &headers[1..] {
        assert!(received.headers(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn errors_of_messages_are_anthropic_s_and_name_the_field() {
    let scripted = Scripted::start().await;
    let portico = start(&scripted, "[limits]\nbody = \"64KiB\"").await;
    let mut other = call(MESSAGES, "hi", false);
    other["model"] = json!("nobody");
    assert_anthropic(&portico.post_json(MESSAGES, &other).await, 404, "not_found_error");
    other = call(MESSAGES, "hi", false);
    other["messages"][0]["content"] = json!([{ "text": "x" }]);
    let answer = portico.post_json(MESSAGES, &other).await;
    assert_anthropic(&answer, 400, "invalid_request_error");
    assert!(answer.text().contains("messages[0].content[0].type"), "{}", answer.text());
    let large = call(MESSAGES, &"x".repeat(100_000), false);
    assert_anthropic(&portico.post_json(MESSAGES, &large).await, 413, "request_too_large");
    assert!(scripted.requests_to(MESSAGES).await.is_empty());
}

/// Off until it is asked for, and only the exact paths.
#[tokio::test]
async fn what_policy_does_not_name_does_not_exist() {
    let scripted = Scripted::start().await;
    let closed = Setup::before(&scripted).start().await;
    for path in BOTH {
        let answer = closed.post_json(path, &call(path, "hi", false)).await;
        assert_eq!(answer.head.status, 404, "{path}");
    }
    for path in ["/v1/messages/count_tokens", "/v1/rerank", "/v1/score"] {
        assert_eq!(closed.post_json(path, &chat("hi")).await.head.status, 404, "{path}");
    }
    let open = start(&scripted, "").await;
    for (method, path) in [
        ("GET", "/v1/responses/resp_scripted"),
        ("DELETE", "/v1/responses/resp_scripted"),
        ("POST", "/v1/responses/resp_scripted/cancel"),
        ("GET", "/v1/responses/resp_scripted/input_items"),
        ("POST", "/v1/responses/compact"),
        ("POST", "/v1/messages/batches"),
        ("POST", "/v1/messages/"),
        ("POST", "/rerank"),
        ("POST", "/v2/rerank"),
        ("POST", "/score"),
        ("POST", "/v1/rerank/"),
    ] {
        let answer = open.once(method, path, &[("Content-Type", "application/json")], b"{}").await;
        // Outside /v1/ it is a page that takes no POST.
        let is_refused = match answer.head.status {
            405 => !path.starts_with("/v1/"),
            status => status == 404,
        };
        assert!(is_refused, "{method} {path}: {}", answer.head.status);
    }
    let posts = scripted.requests().await.iter().filter(|request| request.body.is_some()).count();
    assert_eq!(posts, 0);
}

#[tokio::test]
async fn rankers_answer_with_the_name_put_back_and_the_tokens_counted() {
    let scripted = Scripted::start().await;
    let portico = start(&scripted, "").await;
    let rerank = json!({ "model": "scripted", "query": "one two", "documents": ["a", { "text": "b" }] });
    let answer = portico.post_json("/v1/rerank", &rerank).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let json = answer.json();
    assert_eq!((&json["model"], json["results"].as_array().map(Vec::len)), (&json!("scripted"), Some(2)));
    assert_eq!(record(&portico, &answer.head).await["tokens_in"], 2);
    let score = json!({ "model": "scripted", "text_1": "one two three", "text_2": ["a", "b", "c"] });
    let answer = portico.post_json("/v1/score", &score).await;
    let json = answer.json();
    assert_eq!((&json["model"], json["data"].as_array().map(Vec::len)), (&json!("scripted"), Some(3)));
    assert_eq!(record(&portico, &answer.head).await["tokens_in"], 3);
    let failing = json!({ "model": "scripted", "query": "fault:leaky-error", "documents": ["a"] });
    let answer = portico.post_json("/v1/rerank", &failing).await;
    assert_error(&answer, 502, "upstream_error", "upstream_failed");
}

#[tokio::test]
async fn pictures_are_counted_wherever_they_stand() {
    let scripted = Scripted::start().await;
    let portico = start(&scripted, "").await;
    let png = testkit::image::png([1, 2, 3], 64, 64);
    let input = json!([{ "role": "user", "content": [
        { "type": "input_text", "text": "what is this" },
        { "type": "input_image", "image_url": testkit::image::data_url(&png) },
    ] }]);
    let mut call = call(RESPONSES, "", false);
    call["input"] = input.clone();
    let answer = portico.post_json(RESPONSES, &call).await;
    assert!(answer.text().contains("(1 image)"), "{}", answer.text());
    assert_eq!(record(&portico, &answer.head).await["images"], 1);
    assert_eq!(scripted.requests_to(RESPONSES).await[0].json()["input"], input);
    let source = json!({ "type": "base64", "media_type": "image/png", "data": testkit::image::base64(&png) });
    let picture = json!({ "type": "image", "source": source });
    let messages = json!([
        { "role": "user", "content": [{ "type": "text", "text": "what is this" }, picture] },
        { "role": "assistant", "content": [{ "type": "tool_use", "id": "t", "name": "look", "input": {} }] },
        { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "t", "content": [picture] }] },
    ]);
    let body = json!({ "model": "scripted", "max_tokens": 9, "messages": messages });
    let answer = portico.post_json(MESSAGES, &body).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(record(&portico, &answer.head).await["images"], 2);
    assert_eq!(scripted.requests_to(MESSAGES).await[0].json()["messages"], messages);
}
