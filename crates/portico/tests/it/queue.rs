//! The line before a model: who runs, who waits, who is refused, and what a waiting client is told.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client::Connection;
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::setup::{
    CHAT, Setup, asked, assert_error, assert_error_event, chat, events, model_status, record, record_because,
    stream,
};
use crate::streams::{begun, running};

/// One may run, `waiting` may wait.
async fn narrow(scripted: &Scripted, waiting: u32, max_wait: &str) -> Portico {
    let queue = format!(
        "[queue]\nmax_running = 1\nmax_waiting = {waiting}\nmax_wait = \"{max_wait}\"\nkeepalive = \"1s\""
    );
    Setup::before(scripted).with(&queue).start().await
}

/// Occupies the only place until it is dropped.
async fn occupy(scripted: &Scripted, portico: &Portico) -> Connection {
    let mut connection = asked(portico, &stream("fault:hang-mid-stream 2")).await;
    begun(&mut connection).await;
    running(scripted, 1).await;
    connection
}

/// Waits until so many stand in the line.
async fn waiting(portico: &Portico, count: usize) {
    until(SOON, "they wait", async || (model_status(portico).await["waiting"] == count).then_some(())).await;
}

#[tokio::test]
async fn who_waits_is_served_in_turn_and_told_the_position() {
    let scripted = Scripted::start().await;
    let portico = narrow(&scripted, 10, "30s").await;
    let busy = occupy(&scripted, &portico).await;
    let mut second = asked(&portico, &chat("second")).await;
    waiting(&portico, 1).await;
    let mut third = asked(&portico, &stream("third")).await;
    let head = third.head().await.expect("a head while it waits");
    assert_eq!(head.headers("x-portico-queue-position"), ["2"]);
    assert_eq!(scripted.requests_to(CHAT).await.len(), 1, "nobody else reached the model");
    let comment = third.event().await.expect("an event").expect("a comment");
    assert_eq!(comment, ": queued position=2\n\n");
    drop(busy);
    let answer = second.answer().await.expect("an answer");
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.headers("x-portico-queue-position"), ["1"]);
    let rest = events(&mut third).await;
    let model: Vec<_> = rest.iter().filter(|event| !event.starts_with(':')).collect();
    assert!(model[0].contains("\"role\":\"assistant\""), "{rest:?}");
    assert_eq!(rest.last().map(String::as_str), Some("data: [DONE]\n\n"));
    let line = record(&portico, &head).await;
    assert!(line["queue_seconds"].as_f64() >= Some(1.0), "{line}");
    assert!(line["ttft_seconds"].as_f64() >= line["queue_seconds"].as_f64(), "{line}");
    let texts: Vec<_> =
        scripted.requests_to(CHAT).await.iter().map(|r| r.json()["messages"][0]["content"].clone()).collect();
    assert_eq!(texts[1..], [json!("second"), json!("third")]);
}

#[tokio::test]
async fn the_position_moves_with_the_line() {
    let scripted = Scripted::start().await;
    let portico = narrow(&scripted, 10, "30s").await;
    let _busy = occupy(&scripted, &portico).await;
    let first = asked(&portico, &chat("first")).await;
    waiting(&portico, 1).await;
    let mut second = asked(&portico, &stream("second")).await;
    second.head().await.expect("a head while it waits");
    assert_eq!(second.event().await.expect("an event").as_deref(), Some(": queued position=2\n\n"));
    drop(first);
    waiting(&portico, 1).await;
    assert_eq!(second.event().await.expect("an event").as_deref(), Some(": queued position=1\n\n"));
}

#[tokio::test]
async fn a_full_line_refuses_at_once() {
    let scripted = Scripted::start().await;
    let portico = narrow(&scripted, 1, "30s").await;
    let _busy = occupy(&scripted, &portico).await;
    let mut waiter = asked(&portico, &stream("waiter")).await;
    waiter.head().await.expect("a head while it waits");
    for call in [chat("one too many"), stream("one too many")] {
        let started = Instant::now();
        assert_error(&portico.post_json(CHAT, &call).await, 503, "overloaded_error", "queue_full");
        assert!(started.elapsed() < Duration::from_millis(500));
    }
    // Who leaves frees the place.
    drop(waiter);
    waiting(&portico, 0).await;
    let mut next = asked(&portico, &stream("next")).await;
    assert_eq!(next.head().await.expect("a head").headers("x-portico-queue-position"), ["1"]);
    let line = record_because(&portico, "client_left").await;
    assert_eq!((&line["status"], &line["tokens_out"]), (&json!(200), &json!(null)));
}

#[tokio::test]
async fn a_wait_has_an_end_with_a_status_for_calls_and_an_event_for_streams() {
    let scripted = Scripted::start().await;
    let portico = narrow(&scripted, 5, "2500ms").await;
    let _busy = occupy(&scripted, &portico).await;
    let mut late = asked(&portico, &stream("late")).await;
    let started = Instant::now();
    let answer = portico.post_json(CHAT, &chat("late")).await;
    assert_error(&answer, 503, "overloaded_error", "queue_timeout");
    assert!(started.elapsed() >= Duration::from_millis(2400), "{:?}", started.elapsed());
    let head = late.head().await.expect("a head");
    assert_eq!(head.status, 200, "it had begun to wait aloud");
    let mut seen = Vec::new();
    while let Ok(Some(event)) = late.event().await {
        seen.push(event);
    }
    let last = seen.pop().expect("events");
    assert_error_event(&last, "overloaded_error", "queue_timeout");
    assert!(seen.len() >= 2 && seen.iter().all(|event| event.starts_with(": queued position=")), "{seen:?}");
    assert!(late.is_closed_within(SOON).await);
    let line = record(&portico, &head).await;
    assert_eq!((&line["status"], &line["reason"]), (&json!(200), &json!("queue_timeout")));
    assert!(line["queue_seconds"].as_f64() >= Some(2.4), "{line}");
    assert_eq!(scripted.requests_to(CHAT).await.len(), 1);
}

#[tokio::test]
async fn a_stream_refused_before_the_first_comment_is_a_status() {
    let scripted = Scripted::start().await;
    let portico = narrow(&scripted, 5, "300ms").await;
    let _busy = occupy(&scripted, &portico).await;
    assert_error(&portico.post_json(CHAT, &stream("late")).await, 503, "overloaded_error", "queue_timeout");
}

#[tokio::test]
async fn who_waits_and_leaves_never_reaches_the_model() {
    let scripted = Scripted::start().await;
    let portico = narrow(&scripted, 5, "30s").await;
    let busy = occupy(&scripted, &portico).await;
    let call = asked(&portico, &chat("leaves")).await;
    waiting(&portico, 1).await;
    drop(call);
    let line = portico
        .wait_for_record("access.log", "who left", |line| {
            line["stream"] == false && line["reason"] == "client_left"
        })
        .await;
    assert_eq!(line["status"], 499);
    drop(busy);
    assert_eq!(portico.post_json(CHAT, &chat("last")).await.head.status, 200);
    let texts: Vec<_> =
        scripted.requests_to(CHAT).await.iter().map(|r| r.json()["messages"][0]["content"].clone()).collect();
    assert!(!texts.contains(&json!("leaves")), "{texts:?}");
}
