//! A client that does not read: it is pushed back with bounded memory, and ended after `timeouts.write_stall`.

use std::time::{Duration, Instant};

use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::h2::Http2;
use crate::setup::{CHAT, Setup, asked, events, model_status, record_because, stream};

pub(crate) fn resident_bytes(portico: &Portico) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", portico.process().id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

/// Waits until the model server can't send more: what it has sent no longer grows.
async fn pushed_back(scripted: &Scripted) -> u64 {
    let mut last = (0, Instant::now());
    until(SOON, "the model server is pushed back", async || {
        let sent: u64 = scripted.requests_to(CHAT).await.iter().map(|r| r.bytes_sent).sum();
        if sent != last.0 {
            last = (sent, Instant::now());
        }
        (sent > 0 && last.1.elapsed() > Duration::from_millis(300)).then_some(sent)
    })
    .await
}

#[tokio::test]
async fn a_flood_that_nobody_reads_is_held_back() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nwrite_stall = \"2s\"").start().await;
    let before = resident_bytes(&portico);
    let mut connections = Vec::new();
    for _ in 0..8 {
        let connection = portico.connect().await;
        connection.shrink_receive_buffer(4096).expect("a small buffer");
        connections.push(connection);
    }
    for connection in &mut connections {
        // 200 MB each, if they were taken.
        connection.post_json(CHAT, &stream("fault:flood 20000 10000")).await.expect("sent");
    }
    let sent = pushed_back(&scripted).await;
    let grown = resident_bytes(&portico).saturating_sub(before);
    assert!(grown < 8 * (1 << 20), "{grown} bytes for 8 streams, of {sent} sent by the model server");
    assert_eq!(model_status(&portico).await["running"], 8);

    let line = record_because(&portico, "client_stalled").await;
    assert_eq!(line["status"], 200);
    assert!(line["seconds"].as_f64() >= Some(1.9) && line["seconds"].as_f64() < Some(6.0), "{line}");
    until(SOON, "every permit is back", async || {
        (model_status(&portico).await["running"] == 0).then_some(())
    })
    .await;
    until(SOON, "every connection to the model server is closed", async || {
        (scripted.connections().await.open == 0).then_some(())
    })
    .await;
}

/// HTTP/2 has windows of its own: the socket is never blocked, and a client could hold a place at the model for ever.
#[tokio::test]
async fn a_window_of_http_2_that_stays_shut_is_a_stall() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nwrite_stall = \"2s\"").start().await;
    let mut client = Http2::with_window(&portico, 5000).await;
    let response = client.begin(CHAT, &stream("fault:flood 20000 1000")).await;
    assert_eq!(response.status(), 200);
    let line = record_because(&portico, "client_stalled").await;
    assert!(line["seconds"].as_f64() >= Some(1.9) && line["seconds"].as_f64() < Some(6.0), "{line}");
    until(SOON, "the permit is back", async || (model_status(&portico).await["running"] == 0).then_some(()))
        .await;
    drop(response);
    client.close().await;
}

#[tokio::test]
async fn a_slow_reader_gets_everything() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nwrite_stall = \"1s\"").start().await;
    let mut connection = asked(&portico, &stream("fault:flood 300 100000")).await;
    connection.head().await.expect("a head");
    // Slower than the model, but never silent for as long as a stall.
    for _ in 0..10 {
        connection.event().await.expect("an event");
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    let rest = events(&mut connection).await;
    assert_eq!(rest.len(), 1 + 300 + 1 + 1 - 10);
    assert_eq!(rest.last().map(String::as_str), Some("data: [DONE]\n\n"));
    assert_eq!(record_because(&portico, "completed").await["status"], 200);
    let mut fast = asked(&portico, &stream("hello")).await;
    fast.head().await.expect("a head");
    events(&mut fast).await;
}
