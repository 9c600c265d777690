//! What a session's client gets to see of a model server that does wrong.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};
use testkit::websocket::{WebSocket, assert_switched, frame::Frame};

use crate::realtime::{PATH, ended, faulty, leave, refusal, session, setup, stranger, update, utterance};
use crate::setup::{Setup, assert_error, records};

/// An error event with this code, then a close with 1011, then the end. Gives the event.
pub(crate) async fn fails(socket: &mut WebSocket, kind: &str, code: &str) -> Value {
    let event = socket.event().await.unwrap_or_else(|error| panic!("{code}: {error}"));
    assert_eq!(
        (&event["type"], &event["error"]["type"], &event["error"]["code"]),
        (&json!("error"), &json!(kind), &json!(code)),
        "{event}"
    );
    assert_eq!(socket.read_close().await.expect("a close").0, 1011);
    assert!(socket.is_closed_within(SOON).await);
    event
}

/// Nothing that belongs to the box leaves it.
fn is_public(text: &str) {
    for private in ["127.0.0.1", "3001", "/opt", "engine.py", "Connect call"] {
        assert!(!text.contains(private), "{private}: {text}");
    }
}

/// The session's one line, with its status and reason.
async fn recorded(portico: &Portico, status: u16, reason: &str) {
    let line = &records(portico, 1).await[0];
    assert_eq!(
        (&line["status"], &line["path"], &line["reason"]),
        (&json!(status), &json!(PATH), &json!(reason)),
        "{line}"
    );
}

#[tokio::test]
async fn a_handshake_that_the_model_server_answers_badly_is_an_answer_of_http() {
    for (fault, status, kind, code) in [
        ("ws-bad-accept", 502, "upstream_error", "upstream_failed"),
        ("ws-no-upgrade", 502, "upstream_error", "upstream_failed"),
        ("ws-extension", 502, "upstream_error", "upstream_failed"),
        ("ws-protocol", 502, "upstream_error", "upstream_failed"),
        ("ws-refuse 200", 502, "upstream_error", "upstream_failed"),
        ("ws-refuse 404", 502, "upstream_error", "upstream_failed"),
        ("ws-refuse 500", 502, "upstream_error", "upstream_failed"),
        ("garbage", 502, "upstream_error", "upstream_failed"),
        ("switch", 502, "upstream_error", "upstream_failed"),
        ("html", 502, "upstream_error", "upstream_failed"),
        ("leaky-error", 502, "upstream_error", "upstream_failed"),
        ("two-lengths", 502, "upstream_error", "upstream_failed"),
        ("ws-silent", 504, "timeout_error", "upstream_timeout"),
        ("silent", 504, "timeout_error", "upstream_timeout"),
    ] {
        let scripted = Scripted::start().await;
        scripted.set_fault_for_all(fault).await;
        let portico = setup(&scripted).with("[timeouts]\nupstream_first_byte = \"1s\"").start().await;
        let answer = refusal(&portico, PATH, &[]).await;
        assert_error(&answer, status, kind, code);
        is_public(&answer.text());
        recorded(&portico, status, code).await;
        until(SOON, "the model server's connection is closed", async || {
            (scripted.connections().await.open == 0).then_some(())
        })
        .await;
        scripted.set_fault_for_all("").await;
        stranger(&portico).await;
    }
}

#[tokio::test]
async fn a_model_server_that_is_not_there_is_said_at_once() {
    let endpoint = format!("http://127.0.0.1:{}", testkit::net::free_port());
    let portico = Setup::new()
        .model("scripted", &[&endpoint], "")
        .with("[policy]\nendpoints = [\"models\", \"realtime\"]")
        .start()
        .await;
    let began = Instant::now();
    let answer = refusal(&portico, PATH, &[]).await;
    assert_error(&answer, 503, "overloaded_error", "model_unavailable");
    is_public(&answer.text());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

/// What is written together with the 101 belongs to the session.
#[tokio::test]
async fn an_event_may_come_with_the_answer() {
    let scripted = Scripted::start().await;
    scripted.set_fault_for_all("ws-early").await;
    let portico = setup(&scripted).start().await;
    for _ in 0..20 {
        stranger(&portico).await;
    }
    // And late, the answer is one: the client hears nothing before.
    scripted.set_fault_for_all("ws-slow 500ms").await;
    let mut socket = WebSocket::open(&portico.address()).await;
    let began = Instant::now();
    assert_switched(&socket.handshake(PATH, &[]).await.expect("a head"));
    assert!(began.elapsed() >= Duration::from_millis(500), "{:?}", began.elapsed());
    assert_eq!(socket.event().await.expect("an event")["type"], "session.created");
    utterance(&mut socket).await;
    leave(socket).await;
}

#[tokio::test]
async fn what_is_no_session_of_the_model_server_s_ends_it() {
    for (fault, code) in [
        ("ws-masked", "upstream_failed"),
        ("ws-rsv", "upstream_failed"),
        ("ws-binary", "upstream_failed"),
        ("ws-bad-utf8", "upstream_failed"),
        ("ws-no-json", "upstream_failed"),
        ("ws-huge 1048577", "upstream_failed"),
        ("ws-huge 99999999999", "upstream_failed"),
        ("ws-long-control", "upstream_failed"),
        ("ws-close-bad", "upstream_failed"),
        ("ws-close-bad 1005", "upstream_failed"),
        ("ws-close-bad 1006", "upstream_failed"),
        ("ws-close-bad 5000", "upstream_failed"),
        ("ws-ping-flood", "upstream_failed"),
        ("ws-die", "upstream_died"),
        ("ws-reset", "upstream_died"),
    ] {
        let scripted = Scripted::start().await;
        let portico = setup(&scripted).start().await;
        let mut socket = faulty(&portico, fault).await;
        let event = fails(&mut socket, "upstream_error", code).await;
        is_public(&event.to_string());
        recorded(&portico, 101, code).await;
        let received = ended(&scripted).await;
        assert!(received.messages().len() <= 1, "{fault}: {:?}", received.frames);
        stranger(&portico).await;
    }
}

#[tokio::test]
async fn a_farewell_of_the_model_server_is_passed_on() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = faulty(&portico, "ws-close 1000").await;
    assert_eq!(socket.read_close().await.expect("a close").0, 1000);
    socket.close(1000, "").await.expect("sent");
    assert!(socket.is_closed_within(SOON).await);
    recorded(&portico, 101, "completed").await;
    assert!(matches!(ended(&scripted).await.close_code(), Some(1000 | 1001)), "it is answered");
    // One that says that something is wrong is no farewell.
    let mut socket = faulty(&portico, "ws-close 1011").await;
    let event = socket.event().await.expect("an event");
    assert_eq!(event["type"], "error", "{event}");
    let (code, reason) = socket.read_close().await.expect("a close");
    assert!(code == 1011 && reason != "scripted", "{code} {reason}");
}

#[tokio::test]
async fn fragments_and_large_events_are_passed_on_whole() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    for count in [1, 2, 7, 60] {
        scripted.forget_requests().await;
        let mut socket = faulty(&portico, &format!("ws-fragments {count}")).await;
        let frame = socket.read_frame().await.expect("an event");
        assert!(frame.fin && !frame.masked && frame.opcode == 1, "{frame:?}");
        let json: Value = serde_json::from_slice(&frame.payload).expect("whole JSON");
        assert_eq!(json["delta"], "Grüße 世界 🙂 done");
        utterance(&mut socket).await;
        leave(socket).await;
        // The pings between were Portico's to answer.
        let received = ended(&scripted).await;
        let pongs: Vec<_> = received.frames.iter().filter(|frame| frame.opcode == 10).collect();
        assert_eq!(pongs.len(), count - 1, "{:?}", received.frames);
        for (index, pong) in pongs.iter().enumerate() {
            assert_eq!(pong.text, Some(format!("between {index}")));
            assert!(pong.masked && pong.fin);
        }
    }
    for bytes in [100, 200, 65_535, 65_536, 1 << 20] {
        let mut socket = faulty(&portico, &format!("ws-huge {bytes}")).await;
        let frame = socket.read_frame().await.expect("an event");
        assert_eq!((frame.opcode, frame.payload.len()), (1, bytes));
        utterance(&mut socket).await;
        leave(socket).await;
    }
}

#[tokio::test]
async fn errors_of_the_model_server_are_passed_on_without_its_secrets() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = faulty(&portico, "ws-leaky-error").await;
    let text = socket.message().await.expect("an event");
    is_public(&text);
    let event: Value = serde_json::from_str(&text).expect("JSON");
    assert!(event["type"] == "error" && event["error"]["message"].is_string(), "{event}");
    // It goes on, and what is harmless is told: what was done wrong is the client's to know.
    utterance(&mut socket).await;
    leave(socket).await;
    let mut socket = session(&portico).await;
    socket.json(&json!({ "type": "input_audio_buffer.commit", "final": true })).await.expect("sent");
    let event = socket.event().await.expect("an event");
    let message = event["error"]["message"].as_str().unwrap_or_default();
    assert!(message.contains("Model not validated"), "{event}");
    assert_eq!(event["type"], "error");
    utterance(&mut socket).await;
    leave(socket).await;
}

/// A ping of the client is Portico's to answer, also where the model server answers none.
#[tokio::test]
async fn control_frames_end_at_portico() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = faulty(&portico, "ws-no-pong").await;
    for payload in ["", "one", &"x".repeat(125)] {
        socket.ping(payload.as_bytes()).await.expect("sent");
        assert_eq!(socket.read_frame().await.expect("a pong"), Frame::new(10, payload));
    }
    socket.json(&update()).await.expect("sent");
    utterance(&mut socket).await;
    leave(socket).await;
    assert!(ended(&scripted).await.frames.iter().all(|frame| frame.opcode < 9));
}

#[tokio::test]
async fn tokens_that_nobody_can_add_up_end_no_session() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = faulty(&portico, &format!("ws-usage {}", u64::MAX)).await;
    for _ in 0..2 {
        assert_eq!(socket.event().await.expect("an event")["type"], "transcription.done");
    }
    leave(socket).await;
    let line = &records(&portico, 1).await[0];
    assert_eq!((&line["reason"], &line["tokens_in"]), (&json!("completed"), &json!(u64::MAX)), "{line}");
}

/// `timeouts.upstream_first_byte` is for the handshake; in the session it may be the client that speaks first.
#[tokio::test]
async fn a_model_server_need_not_speak_first() {
    let scripted = Scripted::start().await;
    scripted.set_fault_for_all("ws-mute").await;
    let timeouts = "[timeouts]\nupstream_first_byte = \"1s\"\nstream_idle = \"6s\"";
    let portico = setup(&scripted).with(timeouts).start().await;
    let mut socket = WebSocket::connect(&portico.address(), PATH).await;
    scripted
        .wait_for("the model server is asked whether it is there", |request| {
            request.frames.iter().any(|frame| frame.opcode == 9).then_some(())
        })
        .await;
    utterance(&mut socket).await;
    leave(socket).await;
}
