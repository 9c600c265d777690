//! What the scripted server remembers.

use std::time::Duration;

use serde_json::json;
use testkit::{
    scripted::{Connections, Scripted},
    wait::{SOON, until},
};

use crate::{asked, chat};

#[tokio::test]
async fn requests_are_kept_as_received() {
    let server = Scripted::start().await;
    let mut connection = server.connect().await;
    connection.send("POST /v1/chat/completions?a=b HTTP/1.1\r\nHOST: x\r\nX-Odd:  two  \r\nX-Odd: three\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"a\":\r\n2;ext\r\n1}\r\n0\r\n\r\n").await.unwrap();
    connection.answer().await.unwrap();
    connection.request("GET", "/health", &[], &[]).await.unwrap();
    connection.answer().await.unwrap();

    let requests = server.requests().await;
    assert_eq!(requests[0].head[0], "POST /v1/chat/completions?a=b HTTP/1.1");
    assert_eq!(requests[0].head[2], "X-Odd:  two  ");
    assert_eq!(requests[0].headers("x-odd"), ["two", "three"]);
    assert_eq!(requests[0].body.as_deref(), Some("{\"a\":1}"));
    assert_eq!(requests[0].json(), json!({ "a": 1 }));
    assert!(requests[0].body_complete);
    assert_eq!(requests[0].ended.as_deref(), Some("complete"));
    assert_eq!((requests[0].connection, requests[0].number), (requests[1].connection, 1));
    assert_eq!(requests[1].number, 2);
    assert_eq!(requests[0].peer_closed_ms, None);

    drop(connection);
    let closed = server.wait_for("the close is seen", |request| request.peer_closed_ms).await;
    assert!(closed >= requests[1].received_ms);
    server.forget_requests().await;
    assert!(server.requests().await.is_empty());
}

#[tokio::test]
async fn a_big_body_is_kept_as_its_hash() {
    let server = Scripted::start().await;
    let mut connection = server.connect().await;
    connection.request("POST", "/v1/chat/completions", &[], &[b'a'; 1_000_000]).await.unwrap();
    connection.answer().await.unwrap();
    let request = server.requests().await.remove(0);
    assert_eq!((request.body, request.body_length), (None, 1_000_000));
    // sha256sum of a million times `a`: one of the examples of FIPS 180-2.
    assert_eq!(request.body_sha256, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

#[tokio::test]
async fn a_client_that_leaves_is_seen_at_once() {
    let server = Scripted::start().await;
    for (fault, reset) in [("silent", false), ("hang-mid-stream 2", true), ("slow-stream 1000 10ms", false)] {
        let connection = asked(&server, &format!("fault:{fault}"), true).await;
        server.wait_for("it is there", |request| (request.fault == fault).then_some(())).await;
        let before = server.requests().await;
        assert_eq!(before.last().unwrap().ended, None, "it runs");
        if reset {
            connection.reset().unwrap();
        } else {
            drop(connection);
        }
        let left = std::time::Instant::now();
        let ended = server
            .wait_for("its end is seen", |request| (request.fault == fault).then(|| request.ended.clone())?)
            .await;
        assert_eq!(ended, "client-closed", "{fault}");
        assert!(left.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn a_body_that_never_ends_is_not_complete() {
    let server = Scripted::start().await;
    let mut connection = server.connect().await;
    connection
        .send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        .await
        .unwrap();
    server.wait_for("the head is there", |request| (!request.head.is_empty()).then_some(())).await;
    drop(connection);
    let wanted =
        |request: &testkit::scripted::Received| request.ended.clone().map(|ended| (ended, request.clone()));
    let (ended, request) = server.wait_for("the end is seen", wanted).await;
    assert_eq!((ended.as_str(), request.body_complete, request.body_length), ("client-closed", false, 3));
}

#[tokio::test]
async fn connections_are_counted_without_the_test_s_own() {
    let server = Scripted::start().await;
    assert_eq!(server.connections().await, Connections { open: 0, total: 0 });
    let mut first = server.connect().await;
    let second = server.connect().await;
    until(SOON, "both are counted", async || {
        (server.connections().await == Connections { open: 2, total: 2 }).then_some(())
    })
    .await;
    first.post_json("/v1/chat/completions", &chat("hi", false)).await.unwrap();
    first.answer().await.unwrap();
    drop(second);
    until(SOON, "one is closed", async || {
        (server.connections().await == Connections { open: 1, total: 2 }).then_some(())
    })
    .await;
}

#[tokio::test]
async fn two_requests_sent_at_once_are_answered_in_turn() {
    let server = Scripted::start().await;
    let mut connection = server.connect().await;
    let one = "GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n";
    connection.send(one.repeat(2)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(connection.answer().await.unwrap().head.status, 200);
    }
    assert_eq!(server.requests().await.len(), 2);
}
