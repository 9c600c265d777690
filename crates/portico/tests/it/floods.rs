//! HTTP/2 clients that ask for nothing, take back what they asked for, or open what can't be closed (section 1c, F53),
//! and HTTP/1 clients that open more connections than they may have.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client::Connection;
use testkit::frames::{Block, END_STREAM, Http2, PING, RST_STREAM, WINDOW_UPDATE, frame};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::setup::{CHAT, Setup, record_because, status, stream};

const CANCEL: [u8; 4] = 8_u32.to_be_bytes();
const ENHANCE_YOUR_CALM: u32 = 11;
const PATIENCE: Duration = Duration::from_secs(5);

fn models(stream: u32) -> Vec<u8> {
    Block::request("GET", "/v1/models").headers(stream, END_STREAM)
}

fn resident_bytes(portico: &Portico) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{}/status", portico.process().id())).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    let kilobytes: u64 = line.trim().trim_end_matches(" kB").parse().expect("a number");
    kilobytes * 1024
}

/// CVE-2023-44487, slowly enough that every stream is begun before it is taken back.
#[tokio::test]
async fn f53_rapid_resets_end_the_connection() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut client = Http2::open(&portico.address()).await;
    let mut taken_back = 0;
    let mut number = 1;
    while !client.closed && taken_back < 1000 {
        let body = stream("fault:silent").to_string();
        let head = Block::request("POST", CHAT).field("content-type", "application/json");
        let call = [head.headers(number, 0), frame(0, END_STREAM, number, body.as_bytes())].concat();
        client.send(&call).await;
        client.send(&frame(RST_STREAM, 0, number, &CANCEL)).await;
        client.read_until(Duration::from_millis(2), |client| client.closed).await;
        taken_back += 1;
        number += 2;
    }
    assert!((100..200).contains(&taken_back), "{taken_back} streams were taken back");
    let line = record_because(&portico, "malformed_request").await;
    assert_eq!(line["path"], "");
    until(SOON, "nothing runs at the model server", async || {
        (scripted.connections().await.open == 0).then_some(())
    })
    .await;
}

/// All at once, none of them is even begun.
#[tokio::test]
async fn f53_resets_behind_their_heads_end_the_connection() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut client = Http2::open(&portico.address()).await;
    let pair = |stream| [models(stream), frame(RST_STREAM, 0, stream, &CANCEL)].concat();
    let all: Vec<u8> = (0..60).flat_map(|number| pair(2 * number + 1)).collect();
    client.send(&all).await;
    client.read_until(PATIENCE, |client| client.closed).await;
    assert!(client.closed);
    assert_eq!(portico.get("/health").await.head.status, 200);
}

/// A page with all its streams may be closed.
#[tokio::test]
async fn a_few_resets_do_not() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut client = Http2::open(&portico.address()).await;
    for number in 0..50 {
        let stream = 2 * number + 1;
        client.send(&models(stream)).await;
        client.answer(stream).await;
        client.send(&frame(RST_STREAM, 0, stream, &CANCEL)).await;
    }
    client.send(&models(1001)).await;
    assert_eq!(client.answer(1001).await.status, Some(200));
}

/// CVE-2025-8671, MadeYouReset: it is the server that resets, for what the client did.
#[tokio::test]
async fn f53_a_server_that_is_made_to_reset_ends_the_connection() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut client = Http2::open(&portico.address()).await;
    let mut made = 0;
    while !client.closed && client.goaway.is_none() && made < 1000 {
        let stream = 2 * made + 1;
        let head = Block::request("POST", CHAT).field("content-type", "application/json");
        client.send(&head.headers(stream, 0)).await;
        // A window beyond what is allowed.
        client.send(&frame(WINDOW_UPDATE, 0, stream, &0x7fff_ffff_u32.to_be_bytes())).await;
        client.answer(stream).await;
        made += 1;
    }
    assert!((50..=70).contains(&made), "{made} streams had to be reset");
    client.read_until(PATIENCE, |client| client.closed).await;
    assert_eq!(client.goaway, Some(ENHANCE_YOUR_CALM));
    assert_eq!(portico.get("/health").await.head.status, 200);
}

#[tokio::test]
async fn f53_pings_do_not_keep_an_idle_connection() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nkeep_alive = \"1s\"").start().await;
    let mut client = Http2::open(&portico.address()).await;
    client.send(&models(1)).await;
    assert_eq!(client.answer(1).await.status, Some(200));
    let idle = Instant::now();
    while !client.closed && idle.elapsed() < PATIENCE {
        client.send(&frame(PING, 0, 0, b"anything")).await;
        client.read_until(Duration::from_millis(100), |client| client.closed).await;
    }
    assert!(client.pongs > 3, "{} pongs", client.pongs);
    let took = idle.elapsed();
    assert!(client.closed && took > Duration::from_millis(900) && took < Duration::from_secs(4), "{took:?}");
}

/// CVE-2026-49975: one byte stands for a field of kilobytes, and nobody reads the answers.
#[tokio::test]
async fn f53_a_bomb_of_references_takes_no_memory() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    portico.get("/health").await;
    let before = resident_bytes(&portico);
    let mut bomb = Block::request("GET", "/v1/models").remembered("cookie", &"x".repeat(3900));
    for _ in 0..12_000 {
        bomb = bomb.again();
    }
    let mut clients = Vec::new();
    for _ in 0..50 {
        let mut client = Http2::open(&portico.address()).await;
        client.send(&bomb.headers(1, END_STREAM)).await;
        client.read_until(PATIENCE, |client| client.closed).await;
        assert!(client.closed);
        clients.push(client);
    }
    // 50 times 47 MB, if the fields were made.
    let grown = resident_bytes(&portico).saturating_sub(before);
    assert!(grown < 16 << 20, "{grown} bytes");
    assert_eq!(portico.get("/health").await.head.status, 200);
}

/// Crumbs are fields: many short ones are under the bytes and over the count.
#[tokio::test]
async fn f53_crumbs_of_a_cookie_are_counted() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut client = Http2::open(&portico.address()).await;
    let mut head = Block::request("GET", "/v1/models").remembered("cookie", "a=b");
    for _ in 0..100 {
        head = head.again();
    }
    client.send(&head.headers(1, END_STREAM)).await;
    assert_eq!(client.answer(1).await.status, Some(431));
    assert_eq!(record_because(&portico, "headers_too_large").await["path"], "/v1/models");
}

/// h2 answers by itself what is far too large, and does not say so: the end of the connection does.
#[tokio::test]
async fn what_h2_refuses_by_itself_is_recorded() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .with("[limits]\nheader_bytes = \"4KiB\"\ntarget_bytes = \"8KiB\"")
        .start()
        .await;
    let mut client = Http2::open(&portico.address()).await;
    client
        .send(&Block::request("GET", "/v1/models").field("x", "y".repeat(9000)).headers(1, END_STREAM))
        .await;
    assert_eq!(client.answer(1).await.status, Some(431));
    drop(client);
    let line = record_because(&portico, "malformed_request").await;
    assert_eq!((&line["status"], &line["path"]), (&json!(400), &json!("")));
    assert_eq!(line["protocol"], "HTTP/2.0");
}

#[tokio::test]
async fn f36_one_address_has_only_so_many_connections() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).listen("max_connections_per_address = 3").start().await;
    until(SOON, "the start's own connections are gone", async || {
        (status(&portico).await["connections"] == 0).then_some(())
    })
    .await;
    let mut inside = Vec::new();
    for _ in 0..3 {
        let mut connection = portico.connect().await;
        connection.request("GET", "/health", &[], b"").await.expect("sent");
        assert_eq!(connection.answer().await.expect("an answer").head.status, 200);
        inside.push(connection);
    }
    let mut outside: Connection = portico.connect().await;
    assert!(outside.is_closed_within(SOON).await, "closed unheard");
    inside.pop();
    until(SOON, "a place is free again", async || {
        let mut connection = portico.connect().await;
        connection.request("GET", "/health", &[], b"").await.ok()?;
        connection.answer().await.ok().map(drop)
    })
    .await;
}
