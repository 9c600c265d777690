//! Bytes that are no request, or could be read as two different ones: an error in the API's shape, a close, one record.

use serde_json::json;
use testkit::scripted::Scripted;
use testkit::wait::SOON;

use crate::setup::{CHAT, Setup, assert_error, chat, data, events, records, stream};

fn post(headers: &str, body: &str) -> String {
    format!(
        "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n{headers}\r\n{body}"
    )
}

#[tokio::test]
async fn what_is_no_request_is_refused_in_the_api_s_words_and_closed() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let call = chat("hi").to_string();
    let length = call.len();
    let chunked = format!("{length:x}\r\n{call}\r\n0\r\n\r\n");
    let texts = [
        "GET /v1/models HTTP/1.1\r\nHost localhost\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX y: z\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n folded: z\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX: a\0b\r\n\r\n".to_owned(),
        "GET /v1/models HTTP/7.7\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET  /v1/models  HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        "GET /v1/mod\u{1}els HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
        post("Content-Length: x\r\n", &call),
        post("Content-Length: -5\r\n", &call),
        post("Content-Length: +5\r\n", &call),
        post(&format!("Content-Length: {length}\r\nContent-Length: 5\r\n"), &call),
        post(&format!("Content-Length: {length}, 5\r\n"), &call),
        post(&format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n"), &chunked),
        post("Transfer-Encoding: chunked, identity\r\n", &chunked),
        post("Transfer-Encoding: gzip\r\n", &chunked),
        post("Transfer-Encoding: xchunked\r\n", &chunked),
        post("Transfer-Encoding: chunked\r\n", "zz\r\n{}\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "5\r\n{\"a\":1}\r\n0\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n{}\r\n0\r\n\r\n"),
    ];
    for text in &texts {
        let mut connection = portico.connect().await;
        connection.send(text).await.expect("sent");
        let answer = connection.answer().await.unwrap_or_else(|error| panic!("{text:?}: {error}"));
        assert!(
            answer.head.status == 400 && answer.text().starts_with('{'),
            "{text:?}: {:?} {}",
            answer.head,
            answer.text()
        );
        assert_error(&answer, 400, "invalid_request_error", "malformed_request");
        assert_eq!(answer.head.header("connection"), Some("close"), "{text:?}");
        assert!(connection.is_closed_within(SOON).await, "{text:?}");
    }
    let plain = {
        let mut connection = portico.connect().await;
        connection.send("NONSENSE\r\n\r\n").await.expect("sent");
        connection.answer().await.expect("an answer")
    };
    assert_eq!((plain.head.status, plain.text().as_str()), (400, "The request is not valid HTTP.\n"));
    let records = records(&portico, texts.len() + 1).await;
    assert!(records.iter().all(|record| record["status"] == 400 && record["reason"] == "malformed_request"));
    assert!(scripted.requests().await.is_empty());
}

/// Also behind a good one, which is answered first.
#[tokio::test]
async fn a_good_request_before_a_bad_one_is_answered() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut connection = portico.connect().await;
    connection
        .send("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\nGET /v1 /x HTTP/1.1\r\n\r\n")
        .await
        .expect("sent");
    assert_eq!(connection.answer().await.expect("an answer").json()["object"], "list");
    assert_error(
        &connection.answer().await.expect("an answer"),
        400,
        "invalid_request_error",
        "malformed_request",
    );
    assert!(connection.is_closed_within(SOON).await);
    assert_eq!(records(&portico, 2).await.len(), 2);
}

/// A stream is not held back by what its client has sent behind its call.
#[tokio::test]
async fn a_stream_flows_while_the_next_request_waits() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut connection = portico.connect().await;
    let body = stream("fault:slow-stream 4 100ms").to_string();
    let first = post(&format!("Content-Length: {}\r\n", body.len()), &body);
    connection.send(first + "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n").await.expect("sent");
    assert_eq!(connection.head().await.expect("a head").status, 200);
    let event = connection.event().await.expect("in time").expect("an event");
    assert_eq!(data(&event)["model"], json!("scripted"));
    assert!(scripted.requests_to(CHAT).await[0].events_sent <= 2, "it came at once");
    assert_eq!(events(&mut connection).await.last().map(String::as_str), Some("data: [DONE]\n\n"));
    assert_eq!(connection.answer().await.expect("an answer").json()["object"], "list");
}

#[tokio::test]
async fn who_asked_for_a_head_gets_no_body_even_when_refused() {
    let portico = Setup::before(&Scripted::start().await).start().await;
    let mut connection = portico.connect().await;
    connection.send("HEAD /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: b\r\n\r\n").await.expect("sent");
    let all = connection.rest().await.expect("the close");
    let text = String::from_utf8(all).expect("text");
    assert!(text.starts_with("HTTP/1.1 400 ") && text.ends_with("\r\n\r\n"), "{text}");
}
