//! How a session ends that nobody ends as they should: silence, clients that leave or stop reading, a stop.

use std::io::ErrorKind;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::client::Connection;
use testkit::portico::Portico;
use testkit::process::Exit;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};
use testkit::websocket::{WebSocket, frame::Frame};

use crate::realtime::{PATH, audio, ended, faulty, leave, session, setup, stranger, utterance};
use crate::realtime_faults::fails;
use crate::setup::{CHAT, chat, model_status, record_because, records};
use crate::slow_reader::resident_bytes;

const MIB: u64 = 1 << 20;
/// Between two events of somebody who speaks.
const PACE: Duration = Duration::from_millis(100);

async fn place_is_free(portico: &Portico) {
    until(SOON, "the place at the model", async || {
        (model_status(portico).await["running"] == 0).then_some(())
    })
    .await;
}

/// The model server's side ends while the client's is still being watched, and its place is free.
async fn ends_for_all(portico: &Portico, scripted: &Scripted, reason: &str) {
    ended(scripted).await;
    let line = record_because(portico, reason).await;
    assert_eq!((&line["status"], &line["path"]), (&json!(101), &json!(PATH)), "{line}");
    place_is_free(portico).await;
    assert_eq!(records(portico, 1).await.len(), 1);
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_session_at_once() {
    for how in ["close", "reset", "end of what it sends"] {
        let scripted = Scripted::start().await;
        let portico = setup(&scripted).start().await;
        let mut socket = session(&portico).await;
        utterance(&mut socket).await;
        let left = Instant::now();
        // Kept, so that only its sending side is closed.
        let mut half = None;
        match how {
            "close" => drop(socket),
            "reset" => socket.reset().expect("a reset"),
            _ => {
                socket.connection().shutdown_write().await.expect("a shutdown");
                half = Some(socket);
            }
        }
        ended(&scripted).await;
        assert!(left.elapsed() < Duration::from_secs(1), "{how}: {:?}", left.elapsed());
        ends_for_all(&portico, &scripted, "client_left").await;
        if let Some(mut half) = half {
            assert!(half.connection().rest().await.is_ok(), "it is closed");
        }
        stranger(&portico).await;
    }
}

/// A client that sends nothing is asked; one that answers stays.
#[tokio::test]
async fn a_client_that_is_gone_without_a_word_is_found_out() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[timeouts]\nkeep_alive = \"2s\"").start().await;
    let mut socket = session(&portico).await;
    let mut heard = Instant::now();
    for round in 0..2 {
        let frame = socket.read_frame().await.expect("a ping");
        assert_eq!((frame.opcode, frame.fin, frame.masked), (9, true, false));
        let waited = heard.elapsed();
        assert!(waited > Duration::from_millis(700) && waited < Duration::from_millis(1900), "{waited:?}");
        if round == 0 {
            socket.send_frame(true, 0, 10, true, frame.payload).await.expect("sent");
            heard = Instant::now();
        }
    }
    // The second ping is not answered.
    let mut rest = Vec::new();
    while let Ok(frame) = socket.read_frame().await {
        rest.push(frame.opcode);
    }
    let waited = heard.elapsed();
    assert!(waited > Duration::from_millis(1700) && waited < Duration::from_secs(5), "{waited:?} {rest:?}");
    ends_for_all(&portico, &scripted, "client_left").await;
    assert!(scripted.requests_to(PATH).await[0].frames.iter().all(|frame| frame.opcode != 10));
    stranger(&portico).await;
}

#[tokio::test]
async fn a_session_in_which_nobody_says_anything_ends() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[timeouts]\nstream_idle = \"2s\"").start().await;
    let mut socket = session(&portico).await;
    // Pings and pongs are not events.
    let began = Instant::now();
    socket.set_deadline(PACE);
    let (code, reason) = loop {
        match socket.read_frame().await {
            Ok(Frame { opcode: 10, .. }) => {}
            Ok(Frame { opcode: 9, payload, .. }) => {
                socket.send_frame(true, 0, 10, true, payload).await.expect("sent");
            }
            Ok(frame) => break frame.close_code(),
            Err(error) if error.kind() == ErrorKind::TimedOut => socket.ping(b"").await.expect("sent"),
            Err(error) => panic!("{error}"),
        }
        assert!(began.elapsed() < SOON, "it goes on for ever");
    };
    assert!(code == 1001 && reason.contains("idle"), "{code} {reason:?}");
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(1700) && waited < Duration::from_secs(5), "{waited:?}");
    socket.set_deadline(SOON);
    assert!(socket.is_closed_within(SOON).await);
    ended(&scripted).await;
    assert_eq!(records(&portico, 1).await[0]["status"], 101);
    place_is_free(&portico).await;
}

/// Speaks until the server says something.
async fn speaks_in_vain(socket: &mut WebSocket) {
    let began = Instant::now();
    socket.set_deadline(PACE);
    let event: Value = loop {
        socket.json(&audio(b"abcd")).await.expect("sent");
        match socket.read_frame().await {
            Err(error) if error.kind() == ErrorKind::TimedOut => {}
            Err(error) => panic!("{error}"),
            Ok(Frame { opcode: 9, payload, .. }) => {
                socket.send_frame(true, 0, 10, true, payload).await.expect("sent");
            }
            Ok(frame) => break serde_json::from_slice(&frame.payload).expect("an event"),
        }
        assert!(began.elapsed() < SOON, "it goes on for ever");
    };
    socket.set_deadline(SOON);
    assert_eq!((&event["type"], &event["error"]["code"]), (&json!("error"), &json!("upstream_timeout")));
}

#[tokio::test]
async fn a_model_server_that_no_longer_answers_is_found_out() {
    for fault in ["ws-hang", "ws-no-pong"] {
        let scripted = Scripted::start().await;
        let portico = setup(&scripted).with("[timeouts]\nstream_idle = \"2s\"").start().await;
        let mut socket = faulty(&portico, fault).await;
        let began = Instant::now();
        speaks_in_vain(&mut socket).await;
        let waited = began.elapsed();
        assert!(waited > Duration::from_millis(1700) && waited < Duration::from_secs(6), "{waited:?}");
        assert_eq!(socket.read_close().await.expect("a close").0, 1011, "{fault}");
        assert!(socket.is_closed_within(SOON).await);
        ends_for_all(&portico, &scripted, "upstream_timeout").await;
        stranger(&portico).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_is_pushed_back_and_ended() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[timeouts]\nwrite_stall = \"2s\"").start().await;
    stranger(&portico).await;
    scripted.forget_requests().await;
    let before = resident_bytes(&portico);
    let mut sockets = Vec::new();
    for _ in 0..4 {
        let mut socket = session(&portico).await;
        socket.connection().shrink_receive_buffer(4096).expect("a small buffer");
        // 200 MB, if they were taken.
        let wish = "fault:ws-flood 20000 10000";
        socket.json(&audio(wish.as_bytes())).await.expect("sent");
        sockets.push(socket);
    }
    let line = record_because(&portico, "client_stalled").await;
    assert_eq!((&line["status"], &line["path"]), (&json!(101), &json!(PATH)));
    assert!(line["seconds"].as_f64() >= Some(1.9) && line["seconds"].as_f64() < Some(8.0), "{line}");
    let grown = resident_bytes(&portico).saturating_sub(before);
    assert!(grown < 8 * MIB, "{grown} bytes for 4 sessions");
    place_is_free(&portico).await;
    until(SOON, "the model server's connections are closed", async || {
        (scripted.connections().await.open == 0).then_some(())
    })
    .await;
    stranger(&portico).await;
}

#[tokio::test]
async fn a_slow_reader_gets_every_event() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[timeouts]\nwrite_stall = \"1s\"").start().await;
    let mut socket = faulty(&portico, "ws-flood 300 100000").await;
    for index in 0..300 {
        if index < 10 {
            // Slower than the model, but never silent for as long as a stall.
            tokio::time::sleep(Duration::from_millis(150)).await;
        }
        let event = socket.event().await.expect("an event");
        assert_eq!(event["delta"].as_str().map(str::len), Some(100_000));
    }
    utterance(&mut socket).await;
    leave(socket).await;
}

/// Who was still busy with what came before is asked first, too.
#[tokio::test]
async fn a_slow_reader_has_time_to_answer_a_ping() {
    let scripted = Scripted::start().await;
    let timeouts = "[timeouts]\nkeep_alive = \"3s\"\nwrite_stall = \"20s\"";
    let portico = setup(&scripted).with(timeouts).start().await;
    let mut socket = session(&portico).await;
    // More than the sockets on the way hold.
    socket.json(&audio(b"fault:ws-flood 20 900000")).await.expect("sent");
    // Longer than `keep_alive`, shorter than a stall.
    tokio::time::sleep(Duration::from_secs(5)).await;
    for _ in 0..20 {
        assert_eq!(socket.event().await.expect("an event")["delta"].as_str().map(str::len), Some(900_000));
    }
    utterance(&mut socket).await;
    leave(socket).await;
}

/// A session holds of `limits.body_total` what is on its way, and no more.
#[tokio::test]
async fn a_message_that_has_left_is_not_held_against_anybody() {
    let scripted = Scripted::start().await;
    let limits = "[limits]\nbody = \"4MiB\"\nbody_total = \"8MiB\"";
    let portico = setup(&scripted).with(limits).start().await;
    let mut socket = session(&portico).await;
    socket.json(&audio(&[0; 2_900_000])).await.expect("sent");
    scripted
        .wait_for("the message", |request| request.frames.iter().any(|frame| frame.opcode == 1).then_some(()))
        .await;
    let call = chat(&"x".repeat(1 << 20));
    until(SOON, "there is place for others", async || {
        (portico.post_json(CHAT, &call).await.head.status == 200).then_some(())
    })
    .await;
    leave(socket).await;
}

/// What the model server does not take is not read from the client.
#[tokio::test]
async fn a_model_server_that_does_not_read_pushes_the_client_back() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[timeouts]\nstream_idle = \"3s\"").start().await;
    stranger(&portico).await;
    scripted.forget_requests().await;
    let before = resident_bytes(&portico);
    let mut socket = faulty(&portico, "ws-hang").await;
    let minute = Frame::new(1, audio(&[0; 1 << 20]).to_string()).masked().bytes();
    let mut taken = 0;
    while tokio::time::timeout(Duration::from_millis(500), socket.send_raw(&minute)).await.is_ok() {
        taken += 1;
        assert!(taken < 100, "it takes everything");
    }
    let grown = resident_bytes(&portico).saturating_sub(before);
    assert!(grown < 24 * MIB, "{grown} bytes for {taken} minutes of sound");
    fails(&mut socket, "timeout_error", "upstream_timeout").await;
    place_is_free(&portico).await;
    stranger(&portico).await;
}

#[tokio::test]
async fn a_session_lives_through_the_drain_and_no_longer() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[timeouts]\ndrain = \"2s\"").start().await;
    let mut socket = session(&portico).await;
    let mut finished = session(&portico).await;
    portico.process().signal(Signal::TERM);
    let asked = Instant::now();
    until(SOON, "nobody is let in any more", async || {
        Connection::try_open(&portico.address()).await.is_err().then_some(())
    })
    .await;
    utterance(&mut socket).await;
    utterance(&mut finished).await;
    leave(finished).await;
    assert_eq!(socket.read_close().await.expect("a close").0, 1001);
    let waited = asked.elapsed();
    assert!(waited > Duration::from_millis(1700) && waited < Duration::from_secs(5), "{waited:?}");
    assert!(socket.is_closed_within(SOON).await);
    assert_eq!(portico.process().wait(SOON).await, Exit::Code(0));
    assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    let mut reasons: Vec<_> = portico
        .records("access.log")
        .iter()
        .filter(|line| line["path"] == PATH)
        .map(|line| line["reason"].as_str().unwrap_or_default().to_owned())
        .collect();
    reasons.sort();
    assert_eq!(reasons, ["completed", "shutting_down"]);
    until(SOON, "the model server's connections are closed", async || {
        (scripted.connections().await.open == 0).then_some(())
    })
    .await;
}

/// A drain ends with its last session.
#[tokio::test]
async fn a_stop_waits_for_no_session_that_has_ended() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[timeouts]\ndrain = \"10m\"").start().await;
    let mut socket = session(&portico).await;
    portico.process().signal(Signal::TERM);
    utterance(&mut socket).await;
    assert!(portico.process().exited().is_none(), "somebody is still heard");
    leave(socket).await;
    assert_eq!(portico.process().wait(SOON).await, Exit::Code(0));
}
