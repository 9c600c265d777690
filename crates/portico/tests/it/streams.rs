//! Streams are exact: each event at once, unchanged but for the name and the usage event that was Portico's own wish.

use std::time::Duration;

use serde_json::json;
use testkit::client::{self, Connection};
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::setup::{CHAT, Setup, asked, data, events, record, stream};

/// What the model server itself answers to the call that Portico makes of `call`.
async fn direct(scripted: &Scripted, call: &serde_json::Value, usage: bool) -> Vec<String> {
    let mut call = call.clone();
    call["model"] = json!("scripted-model");
    call["stream_options"] = json!({ "include_usage": usage });
    let mut connection = scripted.connect().await;
    connection.post_json(CHAT, &call).await.expect("the call is sent");
    connection.head().await.expect("a head");
    let mut text = String::from_utf8(connection.body().await.expect("a body")).expect("UTF-8");
    text = text.replace("scripted-model", "scripted");
    text.split_inclusive("\n\n").map(str::to_owned).collect()
}

#[tokio::test]
async fn each_event_leaves_before_the_model_server_sends_the_next() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut connection = asked(&portico, &stream("fault:slow-stream 8 60ms")).await;
    connection.head().await.expect("a head");
    let mut seen = 0;
    while let Some(event) = connection.event().await.expect("an event") {
        if event.contains("word") {
            seen += 1;
            // The server counts an event as it sends it; the role event is one of them.
            let sent = scripted.requests_to(CHAT).await[0].events_sent;
            // Behind the last one comes the end at once.
            assert!(sent <= seen + 1 || seen == 8, "event {seen} came when {sent} had been sent");
        }
    }
    assert_eq!(seen, 8);
}

#[tokio::test]
async fn events_pass_as_they_are_with_the_name_put_back() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for text in
        ["hello there, world", "fault:split-events", "fault:slow-stream 3 5ms", "fault:flood 3 200000"]
    {
        let call = stream(text);
        let mut connection = asked(&portico, &call).await;
        let head = connection.head().await.expect("a head");
        assert_eq!(head.status, 200);
        assert_eq!(head.headers("content-type"), ["text/event-stream; charset=utf-8"]);
        assert_eq!(head.headers("x-accel-buffering"), ["no"]);
        assert_eq!(head.headers("cache-control"), ["no-cache"]);
        let got = events(&mut connection).await;
        assert_eq!(got, direct(&scripted, &call, false).await, "{text}");
        let received = scripted.requests_to(CHAT).await;
        assert_eq!(received[received.len() - 2].json()["stream_options"], json!({ "include_usage": true }));
        let line = record(&portico, &head).await;
        assert!(line["tokens_in"].as_u64() > Some(0) && line["tokens_out"].as_u64() > Some(0), "{line}");
    }
}

#[tokio::test]
async fn the_usage_event_stays_for_who_asked() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for (options, wanted) in [
        (json!({ "include_usage": true }), true),
        (json!({ "include_usage": false }), false),
        (json!(null), false),
    ] {
        let mut call = stream("one two three");
        call["stream_options"] = options;
        let mut connection = asked(&portico, &call).await;
        connection.head().await.expect("a head");
        let got = events(&mut connection).await;
        assert_eq!(got, direct(&scripted, &call, wanted).await);
        let usage: Vec<_> = got.iter().filter(|event| event.contains("\"usage\"")).collect();
        assert_eq!(usage.len(), usize::from(wanted));
        if wanted {
            assert_eq!(data(usage[0])["usage"]["prompt_tokens"], 3);
        }
    }
}

#[tokio::test]
async fn line_ends_of_carriage_return_and_comments_pass() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut connection = asked(&portico, &stream("fault:crlf-events")).await;
    let head = connection.head().await.expect("a head");
    let got = events(&mut connection).await;
    assert_eq!(got.last().map(String::as_str), Some("data:[DONE]\r\n\r\n"));
    for event in &got[..got.len() - 1] {
        assert!(event.starts_with(": a comment\r\nevent: message\r\ndata:{") && event.ends_with("}\r\n\r\n"));
        assert!(event.contains(r#""model":"scripted""#), "{event}");
        assert!(!event.contains("\"usage\""), "{event}");
    }
    assert!(record(&portico, &head).await["tokens_in"].as_u64() > Some(0));
}

#[tokio::test]
async fn nothing_is_compressed_whatever_the_client_takes() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for streaming in [false, true] {
        let mut call = stream("hello hello hello hello");
        call["stream"] = json!(streaming);
        let headers = [("Content-Type", "application/json"), ("Accept-Encoding", "gzip, br, zstd")];
        let answer = portico.once("POST", CHAT, &headers, call.to_string().as_bytes()).await;
        assert_eq!(answer.head.header("content-encoding"), None);
        assert!(answer.text().contains("hello"));
    }
    for received in scripted.requests_to(CHAT).await {
        assert_eq!(received.headers("accept-encoding"), ["identity"]);
    }
}

/// Whole bytes, as one write brought them: two events that arrive together leave together, and one that arrives in
/// pieces leaves when it is whole.
#[tokio::test]
async fn completions_stream_like_chats() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let call = json!({ "model": "scripted", "prompt": "a b c", "stream": true });
    let mut connection = portico.connect().await;
    connection.post_json("/v1/completions", &call).await.expect("the call is sent");
    connection.head().await.expect("a head");
    let got = events(&mut connection).await;
    assert_eq!(got.last().map(String::as_str), Some("data: [DONE]\n\n"));
    let text: String = got[..got.len() - 1]
        .iter()
        .filter_map(|e| data(e)["choices"][0]["text"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "You said: a b c");
    assert!(got.iter().all(|event| !event.contains("scripted-model") && !event.contains("\"usage\"")));
}

/// The client has the last event, and its end, although the model server keeps its connection.
#[tokio::test]
async fn a_finished_stream_leaves_both_connections_usable() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut connection = portico.connect().await;
    for _ in 0..3 {
        connection.post_json(CHAT, &stream("again")).await.expect("the call is sent");
        connection.head().await.expect("a head");
        let got = events(&mut connection).await;
        assert_eq!(got.last().map(String::as_str), Some("data: [DONE]\n\n"));
    }
    assert_eq!(scripted.connections().await.total, 1);
}

#[tokio::test]
async fn a_picture_reaches_the_model_server_as_it_was_sent() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let url = testkit::image::data_url(&testkit::image::png([1, 2, 3], 64, 64));
    let mut call = stream("");
    call["messages"][0]["content"] = json!([
        { "type": "text", "text": "what is this" },
        { "type": "image_url", "image_url": { "url": url } },
    ]);
    let answer = client::post_json(&portico.address(), CHAT, &call).await.expect("an answer");
    assert!(answer.text().contains("(1 "), "{}", answer.text());
    let received = &scripted.requests_to(CHAT).await[0];
    assert_eq!(received.json()["messages"], call["messages"]);
    assert_eq!(record(&portico, &answer.head).await["images"], 1);
}

/// Waits until the request is under way, so that what follows meets it there.
pub(crate) async fn running(scripted: &Scripted, requests: usize) {
    until(SOON, "the model server has the request", async || {
        (scripted.requests_to(CHAT).await.len() >= requests).then_some(())
    })
    .await;
}

/// Reads the head and the first event.
pub(crate) async fn begun(connection: &mut Connection) {
    connection.set_deadline(Duration::from_secs(10));
    assert_eq!(connection.head().await.expect("a head").status, 200);
    connection.event().await.expect("an event").expect("an event, not the end");
}
