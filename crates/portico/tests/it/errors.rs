//! The errors of the contract, one by one: status, type, code, shape, language.

use serde_json::{Value, json};
use testkit::scripted::Scripted;

use crate::setup::{CHAT, Setup, assert_error, chat, record, stream};

#[tokio::test]
async fn what_the_model_server_does_wrong_becomes_a_status_of_ours() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nupstream_first_byte = \"1s\"").start().await;
    let (upstream, overloaded) = ("upstream_error", "overloaded_error");
    let mut answers = Vec::new();
    for (fault, status, kind, code) in [
        ("close-early", 502, upstream, "upstream_failed"),
        ("reset", 502, upstream, "upstream_failed"),
        ("garbage", 502, upstream, "upstream_failed"),
        ("status HTTP/1.1 999 Odd", 502, upstream, "upstream_failed"),
        ("status HTTP/9.9 200 OK", 502, upstream, "upstream_failed"),
        ("status HTTP/1.1 302 Found", 502, upstream, "upstream_failed"),
        ("two-lengths", 502, upstream, "upstream_failed"),
        ("huge-headers", 502, upstream, "upstream_failed"),
        ("many-headers", 502, upstream, "upstream_failed"),
        ("switch", 502, upstream, "upstream_failed"),
        ("html", 502, upstream, "upstream_failed"),
        ("short-body", 502, upstream, "upstream_failed"),
        ("die-mid-stream 2", 502, upstream, "upstream_failed"),
        ("error-500", 502, upstream, "upstream_failed"),
        ("error 401", 502, upstream, "upstream_failed"),
        ("error 404", 502, upstream, "upstream_failed"),
        ("leaky-error", 502, upstream, "upstream_failed"),
        ("error 429", 503, overloaded, "upstream_busy"),
        ("error 503", 503, overloaded, "upstream_busy"),
        ("error 504", 504, "timeout_error", "upstream_timeout"),
        ("silent", 504, "timeout_error", "upstream_timeout"),
        ("endless-1xx", 502, upstream, "upstream_failed"),
        ("te-and-length", 502, upstream, "upstream_failed"),
        ("error 400", 400, "invalid_request_error", "upstream_rejected"),
        ("error 413", 413, "invalid_request_error", "body_too_large"),
    ] {
        scripted.forget_requests().await;
        let answer = portico.post_json(CHAT, &chat(&format!("fault:{fault}"))).await;
        assert_error(&answer, status, kind, code);
        for leak in ["127.0.0.1", "3001", "/opt/", "engine.py", "SSH", "hyper", "mmmm", "Welcome"] {
            assert!(!answer.text().contains(leak), "{fault} leaks {leak}: {}", answer.text());
        }
        assert_eq!(scripted.requests_to(CHAT).await.len(), 1, "{fault}: a POST is never sent twice");
        answers.push((answer.head, status, code));
    }
    for (head, status, code) in answers {
        let line = record(&portico, &head).await;
        assert_eq!((&line["status"], &line["reason"]), (&json!(status), &json!(code)));
    }
    // And it still serves.
    assert_eq!(portico.post_json(CHAT, &chat("hello")).await.head.status, 200);
}

#[tokio::test]
async fn a_stream_that_is_refused_before_it_began_is_a_status() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for (fault, status, kind, code) in [
        ("leaky-error", 502, "upstream_error", "upstream_failed"),
        ("garbage", 502, "upstream_error", "upstream_failed"),
        ("error 503", 503, "overloaded_error", "upstream_busy"),
    ] {
        assert_error(&portico.post_json(CHAT, &stream(&format!("fault:{fault}"))).await, status, kind, code);
    }
}

#[tokio::test]
async fn bodies_that_are_not_a_call_are_400_and_name_the_field() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let message = json!([{ "role": "user", "content": "x" }]);
    let part = |part: Value| {
        json!({ "model": "scripted", "messages": [{ "role": "user", "content": [part] }] }).to_string()
    };
    let picture = |url: &str| part(json!({ "type": "image_url", "image_url": { "url": url } }));
    let deep = format!(r#"{{"model":"scripted","messages":{}1{}}}"#, "[".repeat(80), "]".repeat(80));
    for (body, code, param) in [
        (String::new(), "invalid_json", None),
        ("{".to_owned(), "invalid_json", None),
        ("[1,2".to_owned(), "invalid_json", None),
        (r#"{"model":"scripted","model":"b","messages":[]}"#.to_owned(), "invalid_json", None),
        (r#"{"model":"scripted"} {}"#.to_owned(), "invalid_json", None),
        (r#"{"model":NaN}"#.to_owned(), "invalid_json", None),
        (deep, "invalid_json", None),
        ("[]".to_owned(), "invalid_value", Some("body")),
        (json!({ "messages": message }).to_string(), "invalid_value", Some("model")),
        (json!({ "model": 5, "messages": message }).to_string(), "invalid_value", Some("model")),
        (json!({ "model": "scripted" }).to_string(), "invalid_value", Some("messages")),
        (json!({ "model": "scripted", "messages": [] }).to_string(), "invalid_value", Some("messages")),
        (
            json!({ "model": "scripted", "messages": message, "stream": "yes" }).to_string(),
            "invalid_value",
            Some("stream"),
        ),
        (json!({ "model": "scripted", "messages": message, "n": 2 }).to_string(), "invalid_value", Some("n")),
        (picture("http://127.0.0.1/x.png"), "invalid_value", Some("messages[0].content[0].image_url.url")),
        (picture("file:///etc/passwd"), "invalid_value", Some("messages[0].content[0].image_url.url")),
        (
            part(json!({ "type": "video_url", "video_url": { "url": "x" } })),
            "invalid_value",
            Some("messages[0].content[0].type"),
        ),
    ] {
        let headers = [("Content-Type", "application/json")];
        let answer = portico.once("POST", CHAT, &headers, body.as_bytes()).await;
        assert_error(&answer, 400, "invalid_request_error", code);
        assert_eq!(answer.json()["error"]["param"], json!(param), "{body}");
    }
    let body = chat("x").to_string();
    for headers in [
        &[][..],
        &[("Content-Type", "text/plain")],
        &[("Content-Type", "application/json"), ("Content-Encoding", "gzip")],
    ] {
        let answer = portico.once("POST", CHAT, headers, body.as_bytes()).await;
        assert_error(&answer, 415, "invalid_request_error", "unsupported_media_type");
    }
    assert!(scripted.requests().await.is_empty(), "nothing was passed on");
}

#[tokio::test]
async fn refusals_speak_the_language_that_was_asked_for() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for (language, wanted) in [
        ("zh-CN,zh;q=0.9,en;q=0.8", "没有名为 nobody 的模型"),
        ("zh", "没有名为 nobody 的模型"),
        ("en-GB,zh;q=0.5", "There is no model named nobody here"),
        ("de", "There is no model named nobody here"),
    ] {
        let mut call = chat("hi");
        call["model"] = json!("nobody");
        let headers = [("Content-Type", "application/json"), ("Accept-Language", language)];
        let answer = portico.once("POST", CHAT, &headers, call.to_string().as_bytes()).await;
        assert_error(&answer, 404, "not_found_error", "model_not_found");
        assert_eq!(answer.json()["error"]["param"], "model");
        let message = answer.json()["error"]["message"].as_str().unwrap_or_default().to_owned();
        assert!(message.contains(wanted), "{language}: {message}");
    }
    let page = portico.once("GET", "/nothing.js", &[("Accept-Language", "zh-CN")], &[]).await;
    assert_eq!((page.head.status, page.text().as_str()), (404, "这个地址没有内容。\n"));
}
