//! `/v1/realtime`: what a session is, and what the tests of it share. How it begins stands in `realtime_handshake.rs`,
//! what may be said in it in `realtime_events.rs` and `realtime_frames.rs`, how it ends in `realtime_faults.rs` and
//! `realtime_endings.rs`.

use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::image::base64;
use testkit::portico::Portico;
use testkit::scripted::{Received, Scripted};
use testkit::wait::{SOON, until};
use testkit::websocket::{self, WebSocket, assert_switched, frame::Frame};

use crate::setup::{CHAT, Setup, assert_error, chat, record_because, records};

pub(crate) const PATH: &str = "/v1/realtime";
pub(crate) const UPDATE: &str = r#"{"type":"session.update","model":"scripted-model"}"#;

pub(crate) fn setup(scripted: &Scripted) -> Setup {
    Setup::before(scripted).with("[policy]\nendpoints = [\"models\", \"chat\", \"realtime\"]")
}

pub(crate) fn update() -> Value {
    json!({ "type": "session.update", "model": "scripted" })
}

pub(crate) fn audio(bytes: &[u8]) -> Value {
    json!({ "type": "input_audio_buffer.append", "audio": base64(bytes) })
}

pub(crate) fn commit() -> Value {
    json!({ "type": "input_audio_buffer.commit", "final": true })
}

/// A session behind its first event.
pub(crate) async fn session(portico: &Portico) -> WebSocket {
    let mut socket = WebSocket::connect(&portico.address(), PATH).await;
    let created = socket.event().await.expect("the first event");
    assert_eq!(created["type"], "session.created", "{created}");
    socket
}

/// A session in which the model server commits this fault when it has got the first event.
pub(crate) async fn faulty(portico: &Portico, fault: &str) -> WebSocket {
    let mut socket = session(portico).await;
    // An even number of bytes is what samples need.
    let wish = format!("fault:{fault}{}", " ".repeat(fault.len() % 2));
    socket.json(&audio(wish.as_bytes())).await.expect("sent");
    socket
}

/// An utterance of four bytes, from the name of the model to the whole text.
pub(crate) async fn utterance(socket: &mut WebSocket) {
    for event in [update(), audio(b"abcd"), commit()] {
        socket.json(&event).await.expect("sent");
    }
    let mut text = String::new();
    loop {
        let event = socket.event().await.expect("an event");
        if event["type"] == "transcription.done" {
            assert_eq!((&event["text"], text.as_str()), (&json!("You said: 4 bytes"), "You said: 4 bytes"));
            assert_eq!(event["usage"]["total_tokens"], 12);
            return;
        }
        assert_eq!(event["type"], "transcription.delta", "{event}");
        text.push_str(event["delta"].as_str().expect("a text"));
    }
}

/// Says farewell, and sees it answered.
pub(crate) async fn leave(mut socket: WebSocket) {
    socket.close(1000, "").await.expect("sent");
    assert_eq!(socket.read_close().await.expect("a close").0, 1000);
    assert!(socket.is_closed_within(SOON).await);
}

/// Somebody else has a session as if nothing had happened, and `/health` is answered.
pub(crate) async fn stranger(portico: &Portico) {
    assert_eq!(portico.get("/health").await.head.status, 200);
    let mut socket = session(portico).await;
    utterance(&mut socket).await;
    leave(socket).await;
}

/// The only session that reached the model server, when it has ended.
pub(crate) async fn ended(scripted: &Scripted) -> Received {
    let received = scripted
        .wait_for("the model server's session has ended", |request| {
            (request.path() == PATH && request.ended.is_some()).then(|| request.clone())
        })
        .await;
    assert_eq!(scripted.requests_to(PATH).await.len(), 1);
    received
}

/// Nobody has connected to the model server for a session.
pub(crate) async fn reached_nobody(scripted: &Scripted) {
    assert_eq!(scripted.requests().await.len(), 0);
    assert_eq!(scripted.connections().await.total, 0);
}

/// The whole answer to a handshake that is refused.
pub(crate) async fn refusal(portico: &Portico, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut socket = WebSocket::open(&portico.address()).await;
    socket.refusal(path, headers).await.unwrap_or_else(|error| panic!("{path} {headers:?}: {error}"))
}

/// The head that begins a session, which then ends as it should.
pub(crate) async fn switches(
    portico: &Portico,
    path: &str,
    headers: &[(&str, &str)],
) -> testkit::client::Head {
    let mut socket = WebSocket::open(&portico.address()).await;
    let head = socket.handshake(path, headers).await.expect("a head");
    assert_switched(&head);
    assert_eq!(socket.event().await.expect("the first event")["type"], "session.created");
    leave(socket).await;
    head
}

#[tokio::test]
async fn it_exists_only_where_the_configuration_names_it() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    assert_error(&refusal(&portico, PATH, &[]).await, 404, "not_found_error", "not_found");
    assert_error(&portico.get(PATH).await, 404, "not_found_error", "not_found");
    let portico = setup(&scripted).start().await;
    for (method, path) in [("POST", PATH), ("PUT", PATH), ("GET", "/v1/realtime/"), ("GET", "/v1/realtime/x")]
    {
        assert_eq!(portico.once(method, path, &[], b"").await.head.status, 404, "{method} {path}");
    }
    reached_nobody(&scripted).await;
}

#[tokio::test]
async fn sound_goes_in_and_text_comes_out() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = session(&portico).await;
    utterance(&mut socket).await;
    utterance(&mut socket).await;
    socket.ping(b"are you there").await.expect("sent");
    assert_eq!(socket.read_frame().await.expect("a pong"), Frame::new(10, "are you there"));
    leave(socket).await;

    let received = ended(&scripted).await;
    let append = format!(r#"{{"type":"input_audio_buffer.append","audio":"{}"}}"#, base64(b"abcd"));
    let once = [UPDATE, &append, r#"{"type":"input_audio_buffer.commit","final":true}"#];
    assert_eq!(received.messages(), once.repeat(2));
    assert!(received.frames.iter().all(|frame| frame.masked && frame.fin && frame.rsv == 0));
    let mut masks: Vec<_> = received.frames.iter().map(|frame| &frame.mask).collect();
    masks.sort();
    masks.dedup();
    assert_eq!(masks.len(), received.frames.len(), "a key of its own for each frame");
    let pings = received.frames.iter().filter(|frame| matches!(frame.opcode, 9 | 10)).count();
    assert_eq!(pings, 0, "control frames are not passed on");

    let lines = records(&portico, 1).await;
    let line = &lines[0];
    assert_eq!(
        (&line["status"], &line["reason"], &line["path"], &line["model"], &line["method"]),
        (&json!(101), &json!("completed"), &json!(PATH), &json!("scripted"), &json!("GET"))
    );
    assert_eq!((&line["tokens_in"], &line["tokens_out"]), (&json!(10), &json!(14)), "of both utterances");
    assert!(line["bytes_in"].as_u64() > Some(300) && line["bytes_out"].as_u64() > Some(300), "{line}");
}

#[tokio::test]
async fn a_session_has_a_place_at_the_model() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[queue]\nmax_running = 1\nmax_waiting = 1").start().await;
    let first = session(&portico).await;
    let mut second = WebSocket::open(&portico.address()).await;
    let handshake = websocket::request(&format!("GET {PATH} HTTP/1.1"), &websocket::headers(&[]));
    second.send_raw(handshake).await.expect("sent");
    until(SOON, "it waits", async || {
        (crate::setup::model_status(&portico).await["waiting"] == 1).then_some(())
    })
    .await;
    let third = refusal(&portico, PATH, &[]).await;
    assert_error(&third, 503, "overloaded_error", "queue_full");
    let third = portico.post_json(CHAT, &chat("hello")).await;
    assert_error(&third, 503, "overloaded_error", "queue_full");
    leave(first).await;
    assert_switched(&second.connection().head().await.expect("a head"));
    assert_eq!(second.event().await.expect("an event")["type"], "session.created");
    // A client that vanishes gives its place back, too.
    drop(second);
    until(SOON, "the place", async || {
        (portico.post_json(CHAT, &chat("free?")).await.head.status == 200).then_some(())
    })
    .await;
    assert_eq!(record_because(&portico, "client_left").await["path"], PATH);
}
