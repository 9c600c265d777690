//! A model server that breaks off in the middle: a last event that says so, no `[DONE]`, an end that can't be taken
//! for a good one, and a record with the reason.

use std::io::ErrorKind;

use serde_json::json;
use testkit::client::Connection;
use testkit::scripted::Scripted;

use crate::h2::Http2;
use crate::setup::{CHAT, Setup, asked, assert_error_event, chat, record, stream};

/// All events of a stream that is torn down: the body's end never comes.
async fn torn(connection: &mut Connection) -> Vec<String> {
    let mut events = Vec::new();
    loop {
        match connection.event().await {
            Ok(Some(event)) => events.push(event),
            Ok(None) => panic!("the body came to a proper end after {events:?}"),
            Err(error) => {
                assert!(
                    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
                    "{error}"
                );
                return events;
            }
        }
    }
}

/// fault, events that the client gets whole, code of the last one
const FAULTS: &[(&str, usize, &str, &str)] = &[
    ("die-mid-stream 4", 4, "upstream_error", "upstream_died"),
    ("die-mid-stream 4 reset", 4, "upstream_error", "upstream_died"),
    ("die-mid-event", 2, "upstream_error", "upstream_died"),
    ("bad-chunk", 2, "upstream_error", "upstream_died"),
    ("end-early 3", 3, "upstream_error", "upstream_died"),
    ("engine-dead 3", 3, "upstream_error", "upstream_died"),
    // What vLLM finds out when the stream has begun is still the client's doing.
    ("engine-dead 0 400", 0, "invalid_request_error", "context_length_exceeded"),
    ("hang-mid-stream 3", 3, "timeout_error", "upstream_timeout"),
];

#[tokio::test]
async fn the_client_is_told_and_the_connection_is_torn_down() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nstream_idle = \"1s\"").start().await;
    for (fault, whole, kind, code) in FAULTS {
        let mut connection = asked(&portico, &stream(&format!("fault:{fault}"))).await;
        let head = connection.head().await.expect("a head");
        assert_eq!(head.status, 200);
        let events = torn(&mut connection).await;
        let (last, before) = events.split_last().expect("events");
        assert_error_event(last, kind, code);
        assert!(!last.contains("EngineCore") && !last.contains("127.0.0.1"), "{fault}: {last}");
        assert!(!events.iter().any(|event| event.contains("[DONE]")), "{fault}: {events:?}");
        // A reset may take what the kernel has not yet handed over.
        if fault.ends_with("reset") {
            assert!(before.len() <= *whole, "{fault}: {events:#?}");
        } else {
            assert_eq!(before.len(), *whole, "{fault}: {events:#?}");
        }
        let line = record(&portico, &head).await;
        assert_eq!((&line["status"], &line["reason"]), (&json!(200), &json!(code)), "{fault}");
        let counted = if *whole > 0 { json!(before.len()) } else { json!(null) };
        assert_eq!(line["tokens_out"], counted, "{fault}: what was delivered is counted");
        assert!(*whole == 0 || line["ttft_seconds"].as_f64() > Some(0.0), "{fault}: {line}");
    }
    assert_eq!(portico.post_json(CHAT, &chat("still there?")).await.head.status, 200);
}

#[tokio::test]
async fn over_http_2_the_stream_is_reset_and_the_others_go_on() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nstream_idle = \"1s\"").start().await;
    let mut client = Http2::open(&portico).await;
    let slow = client.post(CHAT, &stream("fault:slow-stream 40 50ms"));
    let all: Vec<_> = FAULTS
        .iter()
        .map(|(fault, _, kind, code)| {
            (fault, kind, code, client.post(CHAT, &stream(&format!("fault:{fault}"))))
        })
        .collect();
    for (fault, kind, code, answer) in all {
        let answer = tokio::time::timeout(testkit::wait::SOON, answer).await;
        let answer = answer.unwrap_or_else(|_| panic!("{fault}: the stream never ends")).expect("an answer");
        assert_eq!(answer.status, 200);
        assert!(answer.cut, "{fault}: a reset, not an end");
        let last = answer.text.split_inclusive("\n\n").last().unwrap_or_default();
        assert_error_event(last, kind, code);
        assert!(!answer.text.contains("[DONE]"), "{fault}");
    }
    let slow = slow.await.expect("an answer");
    assert!(!slow.cut && slow.text.ends_with("data: [DONE]\n\n"), "{}", slow.text);
    for code in ["upstream_died", "upstream_timeout", "context_length_exceeded"] {
        let wanted = FAULTS.iter().filter(|(_, _, _, c)| *c == code).count();
        testkit::wait::until(testkit::wait::SOON, code, async || {
            let lines = portico.records("access.log");
            (lines.iter().filter(|line| line["reason"] == code).count() == wanted).then_some(())
        })
        .await;
    }
    client.close().await;
}
