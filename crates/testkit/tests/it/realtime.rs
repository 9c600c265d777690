//! The scripted server's realtime sessions: their normal course and each fault, seen frame by frame.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{
    image::base64,
    net::Address,
    scripted::{Received, Scripted},
    wait::SOON,
    websocket::{
        KEY, WebSocket, assert_switched,
        frame::{self, BINARY, CLOSE, CONTINUATION, Frame, PING, PONG, TEXT},
        headers,
    },
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const PATH: &str = "/v1/realtime";
const SILENCE: Duration = Duration::from_millis(200);

fn audio(bytes: &[u8]) -> Value {
    json!({ "type": "input_audio_buffer.append", "audio": base64(bytes) })
}

fn update() -> Value {
    json!({ "type": "session.update", "model": "scripted-model" })
}

fn commit() -> Value {
    json!({ "type": "input_audio_buffer.commit", "final": true })
}

/// A session behind its first event, in which the server commits this fault now.
async fn faulty(server: &Scripted, fault: &str) -> WebSocket {
    server.set_fault_for_all(fault).await;
    let mut socket = server.realtime().await;
    assert_eq!(socket.event().await.unwrap()["type"], "session.created");
    socket
}

/// An utterance of four bytes goes its normal course.
async fn works(socket: &mut WebSocket) {
    for event in [update(), audio(b"abcd"), commit()] {
        socket.json(&event).await.unwrap();
    }
    let mut text = String::new();
    loop {
        let event = socket.event().await.unwrap();
        if event["type"] == "transcription.done" {
            assert_eq!(event["text"], text);
            assert_eq!(
                event["usage"],
                json!({ "prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12 })
            );
            break;
        }
        assert_eq!(event["type"], "transcription.delta", "{event}");
        text.push_str(event["delta"].as_str().unwrap());
    }
    assert_eq!(text, "You said: 4 bytes");
}

async fn ended(server: &Scripted) -> Received {
    server.wait_for("the session has ended", |request| request.ended.is_some().then(|| request.clone())).await
}

#[tokio::test]
async fn a_session_goes_its_normal_course_and_is_remembered() {
    let server = Scripted::start().await;
    let mut socket = WebSocket::open(server.address()).await;
    let head = socket.handshake("/v1/realtime?intent=x", &[("X-Odd", "yes")]).await.unwrap();
    assert_switched(&head);
    assert_eq!(
        socket.event().await.unwrap(),
        json!({ "type": "session.created", "id": "sess-1", "created": 1 })
    );
    works(&mut socket).await;
    works(&mut socket).await;
    let parts = ["{\"type\":\"input_audio_buffer.", "commit\",", "\"final\":false}"];
    socket.fragments(&parts).await.unwrap();
    socket.ping(b"are you there").await.unwrap();
    assert_eq!(socket.read_frame().await.unwrap(), Frame::new(PONG, "are you there"));
    socket.close(1000, "bye").await.unwrap();
    assert_eq!(socket.read_close().await.unwrap(), (1000, "bye".to_owned()));
    assert!(socket.is_closed_within(SOON).await);

    let received = ended(&server).await;
    assert_eq!(received.head[0], "GET /v1/realtime?intent=x HTTP/1.1");
    assert_eq!((received.headers("x-odd"), received.headers("sec-websocket-key")), (vec!["yes"], vec![KEY]));
    assert_eq!(received.ended.as_deref(), Some("complete"));
    let messages = received.messages();
    assert_eq!(messages.len(), 7);
    assert_eq!((&messages[0], &messages[6]), (&update().to_string(), &parts.concat()));
    let opcodes: Vec<_> = received.frames[6..].iter().map(|frame| (frame.opcode, frame.fin)).collect();
    assert_eq!(opcodes, [(1, false), (0, false), (0, true), (9, true), (8, true)]);
    assert!(received.frames.iter().all(|frame| frame.masked && frame.mask.len() == 8));
    assert_eq!(received.close_code(), Some(1000));
    assert_eq!(received.frames.last().unwrap().text.as_deref(), Some("bye"));
}

#[tokio::test]
async fn events_that_are_wrong_are_answered_as_by_vllm() {
    let server = Scripted::start().await;
    let mut socket = server.realtime().await;
    socket.event().await.unwrap();
    for (event, code) in [
        (commit(), "model_not_validated"),
        (json!({ "type": "session.update", "model": "x" }), "model_not_found"),
        (json!({ "type": "session.update" }), "processing_error"),
        (json!({ "type": "input_audio_buffer.append", "audio": "?" }), "invalid_audio"),
        (json!({ "type": "input_audio_buffer.append", "audio": "AAAA" }), "invalid_audio"),
        (json!({ "type": "other" }), "unknown_event"),
        (json!("no object"), "unknown_event"),
    ] {
        socket.json(&event).await.unwrap();
        let answer = socket.event().await.unwrap();
        assert_eq!((&answer["type"], &answer["code"]), (&json!("error"), &json!(code)), "{event}");
        assert!(answer["error"].is_string());
    }
    works(&mut socket).await;
}

#[tokio::test]
async fn a_client_must_keep_to_the_standard() {
    let server = Scripted::start().await;
    let text = Frame::new(TEXT, "{}").masked();
    for (bytes, code) in [
        (Frame::new(TEXT, "{}").bytes(), 1002),
        (Frame { rsv: 1, ..text.clone() }.bytes(), 1002),
        (Frame { opcode: 3, ..text.clone() }.bytes(), 1002),
        (Frame { opcode: CONTINUATION, ..text.clone() }.bytes(), 1002),
        (Frame { fin: false, ..text.clone() }.bytes().repeat(2), 1002),
        (Frame { fin: false, ..Frame::new(PING, "").masked() }.bytes(), 1002),
        (Frame::new(PING, [0; 126]).masked().bytes(), 1002),
        (Frame::new(BINARY, "{}").masked().bytes(), 1003),
        (Frame::new(TEXT, [0xff]).masked().bytes(), 1007),
    ] {
        let mut socket = server.realtime().await;
        socket.event().await.unwrap();
        socket.send_raw(&bytes).await.unwrap();
        assert_eq!(socket.read_close().await.unwrap().0, code, "{bytes:?}");
    }
    let refused = [("Connection", "close"), ("Sec-WebSocket-Key", "short"), ("Sec-WebSocket-Version", "8")];
    for wrong in refused {
        let mut socket = WebSocket::open(server.address()).await;
        assert_eq!(socket.refusal(PATH, &[wrong]).await.unwrap().head.status, 400, "{wrong:?}");
    }
    let mut socket = WebSocket::open(server.address()).await;
    assert_eq!(socket.refusal(PATH, &[("Upgrade", "h2c")]).await.unwrap().head.status, 404);
}

#[tokio::test]
async fn handshakes_that_are_wrong() {
    let server = Scripted::start().await;
    let handshake = async |fault: &str| {
        server.set_fault_for_all(fault).await;
        let mut socket = WebSocket::open(server.address()).await;
        socket.set_deadline(SILENCE);
        let head = socket.handshake(PATH, &[]).await;
        (socket, head)
    };
    let (mut socket, head) = handshake("ws-refuse 503").await;
    let answer = socket.body_of(head.unwrap()).await.unwrap();
    assert_eq!((answer.head.status, &answer.json()["error"]["code"]), (503, &json!(503)));
    let (_, head) = handshake("ws-bad-accept").await;
    let head = head.unwrap();
    assert_eq!(head.status, 101);
    assert!(head.header("sec-websocket-accept").is_some_and(|accept| accept != frame::accept(KEY)));
    let (_, head) = handshake("ws-no-upgrade").await;
    let head = head.unwrap();
    assert_eq!(
        (head.status, head.header("upgrade"), head.header("connection")),
        (101, None, Some("Upgrade"))
    );
    let (_, head) = handshake("ws-extension").await;
    let head = head.unwrap();
    assert_switched(&head);
    assert_eq!(head.header("sec-websocket-extensions"), Some("permessage-deflate"));
    let (_, head) = handshake("ws-protocol").await;
    let head = head.unwrap();
    assert_switched(&head);
    assert_eq!(head.header("sec-websocket-protocol"), Some("realtime"));
    let (socket, head) = handshake("ws-silent").await;
    assert_eq!(head.unwrap_err().kind(), ErrorKind::TimedOut);
    drop(socket);
    let left = |request: &Received| (request.fault == "ws-silent").then(|| request.ended.clone())?;
    assert_eq!(server.wait_for("who left is noticed", left).await, "client-closed");
    // Faults of HTTP are for handshakes too.
    let (_, head) = handshake("error 500").await;
    assert_eq!(head.unwrap().status, 500);
    let (_, head) = handshake("silent").await;
    assert_eq!(head.unwrap_err().kind(), ErrorKind::TimedOut);
    // And those of sessions for nothing else.
    server.set_fault_for_all("ws-silent").await;
    assert_eq!(testkit::client::get(server.address(), "/health").await.unwrap().head.status, 200);
}

#[tokio::test]
async fn handshakes_that_are_right_but_early_or_late() {
    let server = Scripted::start().await;
    server.set_fault_for_all("ws-slow 300ms").await;
    let began = Instant::now();
    let mut socket = WebSocket::open(server.address()).await;
    // What comes too early is remembered as well.
    let early = testkit::websocket::request("GET /v1/realtime HTTP/1.1", &headers(&[]));
    let early = [early.as_bytes(), &Frame::new(PING, "early").masked().bytes()].concat();
    socket.send_raw(early).await.unwrap();
    assert_switched(&socket.connection().head().await.unwrap());
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(socket.event().await.unwrap()["type"], "session.created");
    assert_eq!(socket.read_frame().await.unwrap(), Frame::new(PONG, "early"));

    let mut socket = faulty(&server, "ws-early").await;
    works(&mut socket).await;
    // In one write: one read that is large enough brings both.
    let Address::Tcp(address) = server.address() else { panic!("no TCP") };
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let handshake = testkit::websocket::request("GET /v1/realtime HTTP/1.1", &headers(&[]));
    stream.write_all(handshake.as_bytes()).await.unwrap();
    let mut bytes = [0; 4096];
    let read = stream.read(&mut bytes).await.unwrap();
    let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
    assert!(text.starts_with("HTTP/1.1 101 ") && text.ends_with("\"created\":1}"), "{text:?}");
}

#[tokio::test]
async fn frames_that_are_wrong() {
    let server = Scripted::start().await;
    let next = async |fault: &str| {
        let mut socket = faulty(&server, fault).await;
        let frame = socket.read_frame().await.unwrap();
        (socket, frame)
    };
    let (mut socket, frame) = next("ws-masked").await;
    assert!(frame.masked && frame.opcode == TEXT && frame.payload.starts_with(b"{\"type\":"));
    works(&mut socket).await;
    let (_, frame) = next("ws-rsv").await;
    assert_eq!((frame.rsv, frame.masked, frame.opcode), (4, false, TEXT));
    let (_, frame) = next("ws-binary").await;
    assert_eq!((frame.rsv, frame.masked, frame.opcode), (0, false, BINARY));
    let (_, frame) = next("ws-bad-utf8").await;
    assert!(frame.opcode == TEXT && std::str::from_utf8(&frame.payload).is_err());
    let (_, frame) = next("ws-no-json").await;
    assert!(frame.opcode == TEXT && serde_json::from_slice::<Value>(&frame.payload).is_err());
    let (_, frame) = next("ws-long-control").await;
    assert_eq!((frame.opcode, frame.payload.len()), (PING, 126));
    for bytes in [10, 100, 3_000_000] {
        let (mut socket, frame) = next(&format!("ws-huge {bytes}")).await;
        assert_eq!((frame.opcode, frame.payload.len()), (TEXT, bytes));
        assert_eq!(serde_json::from_slice::<Value>(&frame.payload).is_ok(), bytes >= 100);
        works(&mut socket).await;
    }
}

#[tokio::test]
async fn fragments_with_pings_between() {
    let server = Scripted::start().await;
    let mut socket = faulty(&server, "ws-fragments 60").await;
    let (mut joined, mut pings, mut within_a_character) = (Vec::new(), 0, 0);
    loop {
        let frame = socket.read_frame().await.unwrap();
        if frame.opcode == PING {
            pings += 1;
            continue;
        }
        assert_eq!(frame.opcode, if joined.is_empty() { TEXT } else { CONTINUATION });
        joined.extend(frame.payload);
        within_a_character += usize::from(std::str::from_utf8(&joined).is_err());
        if frame.fin {
            break;
        }
    }
    assert!(pings == 59 && within_a_character > 0, "{pings} {within_a_character}");
    let json: Value = serde_json::from_slice(&joined).unwrap();
    assert_eq!(json["delta"], "Grüße 世界 🙂 done");
    works(&mut socket).await;
}

#[tokio::test]
async fn sessions_that_end_badly() {
    let server = Scripted::start().await;
    let mut socket = faulty(&server, "ws-die").await;
    assert_eq!(socket.read_frame().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    assert_eq!(ended(&server).await.ended.as_deref(), Some("server-closed"));
    // The reset may overtake the first event.
    server.set_fault_for_all("ws-reset").await;
    let mut socket = server.realtime().await;
    let mut read = socket.read_frame().await;
    if read.is_ok() {
        read = socket.read_frame().await;
    }
    assert_eq!(read.unwrap_err().kind(), ErrorKind::ConnectionReset);

    let mut socket = faulty(&server, "ws-close 1011").await;
    assert_eq!(socket.read_close().await.unwrap(), (1011, "scripted".to_owned()));
    server.forget_requests().await;
    let mut socket = faulty(&server, "ws-close 1000").await;
    assert_eq!(socket.read_close().await.unwrap().0, 1000);
    socket.close(1000, "").await.unwrap();
    assert!(socket.is_closed_within(SOON).await);
    let received = ended(&server).await;
    assert_eq!((received.ended.as_deref(), received.close_code()), (Some("complete"), Some(1000)));

    let mut socket = faulty(&server, "ws-close-bad 1005").await;
    assert_eq!(socket.read_frame().await.unwrap(), Frame::new(CLOSE, 1005_u16.to_be_bytes()));
    let mut socket = faulty(&server, "ws-close-bad").await;
    assert_eq!(socket.read_frame().await.unwrap(), Frame::new(CLOSE, [3]));
}

#[tokio::test]
async fn silence_and_floods() {
    let server = Scripted::start().await;
    let mut socket = faulty(&server, "ws-hang").await;
    socket.ping(b"anybody").await.unwrap();
    socket.set_deadline(SILENCE);
    assert_eq!(socket.read_frame().await.unwrap_err().kind(), ErrorKind::TimedOut);
    drop(socket);
    let received = ended(&server).await;
    assert_eq!((received.ended.as_deref(), received.frames.len()), (Some("client-closed"), 0));

    let mut socket = faulty(&server, "ws-no-pong").await;
    socket.ping(b"anybody").await.unwrap();
    works(&mut socket).await;

    let mut socket = faulty(&server, "ws-ping-flood").await;
    for _ in 0..20_000 {
        assert_eq!(socket.read_frame().await.unwrap(), Frame::new(PING, "ping"));
    }
    socket.text("still read").await.unwrap();
    let read = |request: &Received| {
        let is_read = request.fault == "ws-ping-flood" && request.messages() == ["still read"];
        is_read.then_some(())
    };
    server.wait_for("what comes is read", read).await;

    let mut socket = faulty(&server, "ws-flood 30 100000").await;
    for _ in 0..30 {
        assert!(socket.event().await.unwrap()["delta"].as_str().unwrap().len() == 100_000);
    }
    works(&mut socket).await;
    let mut socket = faulty(&server, "ws-leaky-error").await;
    let event = socket.event().await.unwrap();
    let text = event["error"].as_str().unwrap();
    assert!(event["type"] == "error" && text.contains("127.0.0.1") && text.contains("/opt/models"));
}

#[tokio::test]
async fn the_fault_may_be_the_first_message() {
    let server = Scripted::start().await;
    for first in [
        "fault:ws-close 1011".to_owned(),
        json!({ "type": "session.update", "model": "fault:ws-close 1011" }).to_string(),
        audio(b"fault:ws-close 1011 ").to_string(),
    ] {
        let mut socket = server.realtime().await;
        socket.event().await.unwrap();
        socket.text(&first).await.unwrap();
        assert_eq!(socket.read_close().await.unwrap().0, 1011, "{first}");
    }
    assert_eq!(server.requests().await[0].fault, "ws-close 1011");
    // What is misspelt, or comes too late to happen, is no normal session.
    for wrong in ["fault:ws-hnag", "fault:ws-refuse 503", "fault:silent"] {
        let mut socket = server.realtime().await;
        socket.event().await.unwrap();
        socket.text(wrong).await.unwrap();
        assert_eq!(socket.event().await.unwrap()["code"], "no_fault", "{wrong}");
    }
    let mut socket = server.realtime().await;
    socket.event().await.unwrap();
    works(&mut socket).await;
    socket.json(&audio(b"fault:ws-close 1011 ")).await.unwrap();
    works_again(&mut socket).await;
}

/// Only the first message may choose: the next one is audio.
async fn works_again(socket: &mut WebSocket) {
    socket.json(&commit()).await.unwrap();
    while socket.event().await.unwrap()["type"] != "transcription.done" {}
}
