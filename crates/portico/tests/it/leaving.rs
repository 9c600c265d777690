//! A client that leaves ends the generation, streaming or not, within 100 ms.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::json;
use testkit::client::Connection;
use testkit::portico::Portico;
use testkit::scripted::Scripted;

use crate::h2::Http2;
use crate::setup::{CHAT, Setup, asked, chat, record_because, stream};
use crate::streams::{begun, running};

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is past 1970");
    u64::try_from(since.as_millis()).expect("milliseconds fit")
}

/// The model server sees its connection closed within 100 ms of `left_ms`, and the record says why.
async fn ends_soon(scripted: &Scripted, portico: &Portico, left_ms: u64) {
    let closed = scripted.wait_for("the model server's connection closes", |r| r.peer_closed_ms).await;
    assert!(closed <= left_ms + 100, "{} ms after the client left", closed.saturating_sub(left_ms));
    let line = record_because(portico, "client_left").await;
    assert_eq!(line["path"], CHAT);
    let received = scripted.requests_to(CHAT).await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0].ended.as_deref(), Some("client-closed"));
}

enum Leave {
    Close,
    Reset,
}

async fn leave(connection: Connection, how: Leave) -> u64 {
    let now = now_ms();
    match how {
        Leave::Close => drop(connection),
        Leave::Reset => connection.reset().expect("a reset"),
    }
    now
}

#[tokio::test]
async fn a_stream_ends_with_its_client() {
    for how in [Leave::Close, Leave::Reset] {
        let scripted = Scripted::start().await;
        let portico = Setup::before(&scripted).start().await;
        let mut connection = asked(&portico, &stream("fault:slow-stream 1000 20ms")).await;
        begun(&mut connection).await;
        let left = leave(connection, how).await;
        ends_soon(&scripted, &portico, left).await;
    }
}

/// The model server is silent: there is nothing to write, so only watching the client's side can notice.
#[tokio::test]
async fn a_silent_stream_ends_with_its_client() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut connection = asked(&portico, &stream("fault:hang-mid-stream 2")).await;
    begun(&mut connection).await;
    let left = leave(connection, Leave::Close).await;
    ends_soon(&scripted, &portico, left).await;
    assert_eq!(record_because(&portico, "client_left").await["status"], 200);
}

#[tokio::test]
async fn a_call_without_a_stream_ends_with_its_client() {
    for call in [chat("fault:silent"), stream("fault:silent"), chat("fault:hang-mid-stream 5")] {
        let scripted = Scripted::start().await;
        let portico = Setup::before(&scripted).start().await;
        let connection = asked(&portico, &call).await;
        running(&scripted, 1).await;
        let left = leave(connection, Leave::Close).await;
        ends_soon(&scripted, &portico, left).await;
        let line = record_because(&portico, "client_left").await;
        assert_eq!((&line["status"], &line["model"]), (&json!(499), &json!("scripted")));
    }
}

/// Bytes that wait for their turn must not hide the end behind them.
#[tokio::test]
async fn a_client_that_has_sent_its_next_request_ends_with_itself_too() {
    for call in [chat("fault:silent"), stream("fault:hang-mid-stream 2")] {
        let scripted = Scripted::start().await;
        let portico = Setup::before(&scripted).start().await;
        let mut connection = asked(&portico, &call).await;
        connection.request("GET", "/v1/models", &[], b"").await.expect("sent");
        running(&scripted, 1).await;
        let left = leave(connection, Leave::Close).await;
        ends_soon(&scripted, &portico, left).await;
    }
}

#[tokio::test]
async fn a_reset_stream_of_http_2_ends_alone() {
    for call in
        [chat("fault:silent"), stream("fault:hang-mid-stream 2"), stream("fault:slow-stream 1000 20ms")]
    {
        let scripted = Scripted::start().await;
        let portico = Setup::before(&scripted).start().await;
        let mut client = Http2::open(&portico).await;
        let answer = client.post(CHAT, &call);
        running(&scripted, 1).await;
        let left = now_ms();
        answer.abort();
        ends_soon(&scripted, &portico, left).await;
        let health = client.get("/health").await;
        assert_eq!(health.status, 200, "the connection goes on");
        client.close().await;
    }
}

#[tokio::test]
async fn a_lost_connection_of_http_2_ends_all_its_streams() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut client = Http2::open(&portico).await;
    let answers: Vec<_> = (0..5).map(|_| client.post(CHAT, &stream("fault:hang-mid-stream 2"))).collect();
    running(&scripted, 5).await;
    client.close().await;
    for received in scripted.requests_to(CHAT).await {
        scripted
            .wait_for("each ends", |r| (r.connection == received.connection).then_some(r.peer_closed_ms)?)
            .await;
    }
    testkit::wait::until(Duration::from_secs(5), "five records", async || {
        let lines = portico.records("access.log");
        (lines.iter().filter(|line| line["reason"] == "client_left").count() == 5).then_some(())
    })
    .await;
    drop(answers);
}
