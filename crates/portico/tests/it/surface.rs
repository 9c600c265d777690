//! What exists under `/v1/`: exact methods and paths, and nothing in any other spelling.

use serde_json::json;
use testkit::scripted::Scripted;

use crate::setup::{CHAT, Setup, assert_error, chat};

#[tokio::test]
async fn what_is_not_an_operation_is_404_and_never_reaches_the_model_server() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[policy]\nendpoints = [\"models\", \"chat\"]").start().await;
    let body = chat("hello").to_string();
    for (method, path) in [
        ("GET", "/v1"),
        ("GET", "/v1/"),
        ("GET", "/v1/models/"),
        ("POST", "/v1/models"),
        ("DELETE", "/v1/models/scripted"),
        ("GET", CHAT),
        ("PUT", CHAT),
        ("OPTIONS", CHAT),
        ("POST", "/v1/chat/completions/"),
        ("POST", "/v1//chat/completions"),
        ("POST", "//v1/chat/completions"),
        ("POST", "/v1/./chat/completions"),
        ("POST", "/v1/../v1/chat/completions"),
        ("POST", "/x/../v1/chat/completions"),
        ("POST", "/%76%31/chat/completions"),
        ("POST", "/v1/%63hat/completions"),
        ("POST", "/v1%2Fchat%2Fcompletions"),
        ("POST", "/V1/chat/completions"),
        ("POST", "/v1/Chat/completions"),
        ("POST", "/v1\\chat\\completions"),
        ("POST", "/v1/chat/completions;x"),
        ("POST", "/v1/chat/completions%00"),
        ("POST", "/v1/chat/completions%20"),
        // Built in, but not among `policy.endpoints` here.
        ("POST", "/v1/completions"),
        ("POST", "/v1/embeddings"),
        // The engine's own, also where some engines serve them under /v1.
        ("POST", "/v1/load_lora_adapter"),
        ("POST", "/v1/tokenize"),
        ("POST", "/v1/responses"),
        ("GET", "/v1/metrics"),
    ] {
        let answer =
            portico.once(method, path, &[("Content-Type", "application/json")], body.as_bytes()).await;
        if path.starts_with("/x/") {
            // A client has resolved this before it sends it; as it stands it is a page that is not there.
            assert!(matches!(answer.head.status, 404 | 405), "{method} {path}: {}", answer.head.status);
            continue;
        }
        assert_error(&answer, 404, "not_found_error", "not_found");
    }
    for path in ["/invocations", "/tokenize", "/metrics", "/pause", "/slots", "/props", "/admin", "/status"] {
        let answer = portico.once("POST", path, &[], body.as_bytes()).await;
        assert!(matches!(answer.head.status, 404 | 405), "{path}: {}", answer.head.status);
    }
    assert_eq!(scripted.connections().await.total, 0, "{:?}", scripted.requests().await);

    let answer = portico.once("POST", "/v1/messages", &[], b"{}").await;
    assert_eq!(answer.head.status, 404);
    assert_eq!(
        answer.json(),
        json!({ "type": "error", "error": { "type": "not_found_error", "message": "There is nothing at this address." } }),
        "Anthropic's shape"
    );
    assert!(answer.head.header("x-request-id").is_some());
}

#[tokio::test]
async fn paths_arrive_unchanged_and_without_their_query() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for (path, body) in [
        (CHAT, chat("hi")),
        ("/v1/completions", json!({ "model": "scripted", "prompt": "hi" })),
        ("/v1/embeddings", json!({ "model": "scripted", "input": ["hi", "ho"] })),
    ] {
        let answer = portico.post_json(&format!("{path}?api-version=1&key=secret"), &body).await;
        assert_eq!(answer.head.status, 200, "{path}: {}", answer.text());
        assert_eq!(answer.json()["model"], "scripted");
        let received = scripted.requests_to(path).await;
        assert_eq!(received.len(), 1, "{path}");
        assert_eq!(received[0].head[0], format!("POST {path} HTTP/1.1"));
        assert_eq!(received[0].json()["model"], "scripted-model");
    }
}

#[tokio::test]
async fn health_is_a_fixed_answer() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let answer = portico.get("/health").await;
    assert_eq!((answer.head.status, answer.text().as_str()), (200, "OK"));
    assert_eq!(answer.head.headers("content-type"), ["text/plain"]);
    assert_eq!(portico.get("/health?probe=1").await.head.status, 200);
    let head = portico.once("HEAD", "/health", &[], &[]).await;
    assert_eq!((head.head.status, head.body.len()), (200, 0));
    assert_eq!(portico.once("POST", "/health", &[], &[]).await.head.status, 405);
    let ready = portico.get("/health/ready").await;
    assert_eq!((ready.head.status, &ready.json()["ready"]), (200, &json!(true)));
    assert_eq!(ready.json()["models"], json!({ "scripted": "ready" }));
}
