//! The end: SIGTERM lets live answers finish and takes nothing new; a second one, or the deadline, cuts them.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::client::Connection;
use testkit::portico::Portico;
use testkit::process::Exit;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::h2::Http2;
use crate::setup::{CHAT, Setup, asked, assert_error, assert_error_event, chat, events, stream};
use crate::streams::{begun, running};

/// Waits until nobody listens any more.
async fn refuses(portico: &Portico) {
    until(SOON, "new connections are refused", async || {
        Connection::try_open(&portico.address()).await.is_err().then_some(())
    })
    .await;
}

fn reasons(portico: &Portico) -> Vec<String> {
    let lines = portico.records("access.log");
    let ours = lines.iter().filter(|line| line["path"] == CHAT);
    let mut reasons: Vec<_> =
        ours.map(|line| line["reason"].as_str().unwrap_or_default().to_owned()).collect();
    reasons.sort();
    reasons
}

#[tokio::test]
async fn a_live_stream_finishes_and_then_the_process_ends() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut live = asked(&portico, &stream("fault:slow-stream 10 100ms")).await;
    begun(&mut live).await;
    let mut call = asked(&portico, &chat("fault:slow-headers 700ms")).await;
    running(&scripted, 2).await;
    let mut client = Http2::open(&portico).await;
    let over_http_2 = client.post(CHAT, &stream("fault:slow-stream 5 100ms"));
    running(&scripted, 3).await;
    // Connections that do nothing, before and after a request.
    let idle = portico.connect().await;
    let mut kept = portico.connect().await;
    kept.request("GET", "/health", &[], b"").await.expect("sent");
    kept.answer().await.expect("an answer");

    let asked_to_stop = Instant::now();
    portico.process().signal(Signal::TERM);
    refuses(&portico).await;
    assert!(kept.is_closed_within(SOON).await, "an idle connection is closed");
    let rest = events(&mut live).await;
    assert_eq!(rest.last().map(String::as_str), Some("data: [DONE]\n\n"));
    let answer = call.answer().await.expect("an answer");
    assert_eq!((answer.head.status, answer.head.header("connection")), (200, Some("close")));
    let answer = over_http_2.await.expect("an answer");
    assert!(!answer.cut && answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
    assert_eq!(portico.process().wait(SOON).await, Exit::Code(0));
    let took = asked_to_stop.elapsed();
    assert!(took < Duration::from_secs(6), "as soon as the last one is done: {took:?}");
    assert_eq!(reasons(&portico), ["completed", "completed", "completed"]);
    drop(idle);
}

#[tokio::test]
async fn a_second_signal_cuts_with_a_last_word() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut live = asked(&portico, &stream("fault:slow-stream 1000 20ms")).await;
    begun(&mut live).await;
    let mut silent = asked(&portico, &stream("fault:hang-mid-stream 2")).await;
    begun(&mut silent).await;
    let mut call = asked(&portico, &chat("fault:silent")).await;
    let mut client = Http2::open(&portico).await;
    let over_http_2: Vec<_> = ["fault:hang-mid-stream 2", "fault:slow-stream 1000 20ms"]
        .into_iter()
        .map(|fault| client.post(CHAT, &stream(fault)))
        .collect();
    let call_over_http_2 = client.post(CHAT, &chat("fault:silent"));
    running(&scripted, 6).await;

    portico.process().signal(Signal::TERM);
    refuses(&portico).await;
    assert!(!silent.is_closed_within(Duration::from_millis(100)).await, "it may go on");
    let cut = Instant::now();
    portico.process().signal(Signal::TERM);
    for connection in [&mut live, &mut silent] {
        let mut last = String::new();
        while let Ok(Some(event)) = connection.event().await {
            last = event;
        }
        assert_error_event(&last, "overloaded_error", "shutting_down");
    }
    assert_error(&call.answer().await.expect("an answer"), 503, "overloaded_error", "shutting_down");
    for answer in over_http_2 {
        let answer = answer.await.expect("an answer");
        assert!(answer.cut && !answer.text.contains("[DONE]"));
        assert_error_event(
            answer.text.split_inclusive("\n\n").last().unwrap_or_default(),
            "overloaded_error",
            "shutting_down",
        );
    }
    let answer = call_over_http_2.await.expect("an answer");
    let json: Value = serde_json::from_str(&answer.text).expect("JSON");
    assert_eq!((answer.status, &json["error"]["code"]), (503, &json!("shutting_down")));
    assert_eq!(portico.process().wait(SOON).await, Exit::Code(0));
    assert!(cut.elapsed() < Duration::from_secs(4), "{:?}", cut.elapsed());
    assert_eq!(reasons(&portico), ["shutting_down"; 6]);
}

#[tokio::test]
async fn the_drain_has_a_deadline_and_the_queue_is_told() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .with("[timeouts]\ndrain = \"1s\"\n[queue]\nmax_running = 1\nkeepalive = \"1s\"")
        .start()
        .await;
    let mut live = asked(&portico, &stream("fault:hang-mid-stream 2")).await;
    begun(&mut live).await;
    // Silent, so that it makes no difference whether the place that becomes free on another thread is still taken.
    let mut waiting = asked(&portico, &chat("fault:silent")).await;
    until(SOON, "it waits", async || {
        (crate::setup::model_status(&portico).await["waiting"] == 1).then_some(())
    })
    .await;
    let started = Instant::now();
    portico.process().signal(Signal::TERM);
    assert_error(&waiting.answer().await.expect("an answer"), 503, "overloaded_error", "shutting_down");
    let mut last = String::new();
    while let Ok(Some(event)) = live.event().await {
        last = event;
    }
    assert_error_event(&last, "overloaded_error", "shutting_down");
    assert_eq!(portico.process().wait(SOON).await, Exit::Code(0));
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(reasons(&portico), ["shutting_down", "shutting_down"]);
}

/// Somebody who connected and said nothing, or whose HTTP/2 answers no ping, does not hold up the end.
#[tokio::test]
async fn nobody_s_silence_holds_up_the_end() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let _mute = portico.connect().await;
    let mut half = portico.connect().await;
    half.send("PRI * HTTP").await.expect("sent");
    let mut silent = portico.connect().await;
    silent.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
    assert!(!silent.read().await.expect("settings").is_empty());
    let started = Instant::now();
    assert_eq!(portico.stop(SOON).await, Exit::Code(0));
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
}
