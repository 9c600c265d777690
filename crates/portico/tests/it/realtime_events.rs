//! What may be said in a session: each event is judged, and written anew for the model server.

use serde_json::{Value, json};
use testkit::image::base64;
use testkit::scripted::Scripted;
use testkit::wait::SOON;
use testkit::websocket::WebSocket;
use testkit::websocket::frame::{CLOSE, Frame, TEXT};

use crate::realtime::{UPDATE, audio, commit, ended, leave, session, setup, stranger, update, utterance};
use crate::setup::{record_because, records};

const MIB: usize = 1 << 20;

/// What the model server has got by the end of a session with these messages.
async fn written(messages: &[&str]) -> Vec<String> {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = session(&portico).await;
    for message in messages {
        socket.text(message).await.expect("sent");
    }
    // The text of the utterance says that everything before it has arrived.
    said(&mut socket).await;
    leave(socket).await;
    let mut messages = ended(&scripted).await.messages();
    messages.truncate(messages.len() - 2);
    messages
}

#[tokio::test]
async fn events_are_written_anew() {
    let cases = [
        (r#"{"type":"session.update"}"#, UPDATE),
        (r#"{"type":"session.update","model":"scripted"}"#, UPDATE),
        ("\n{ \"model\" : \"scr\\u0069pted\",\t\"type\":\"session.update\" }\r\n", UPDATE),
        (r#"{"event_id":"event_1","type":"session.update"}"#, UPDATE),
        (r#"{"ty\u0070e":"session\u002eupdate"}"#, UPDATE),
        (
            r#"{"audio":"AAA\/A\u0041==","event_id":"","type":"input_audio_buffer.append"}"#,
            r#"{"type":"input_audio_buffer.append","audio":"AAA/AA=="}"#,
        ),
        (
            r#"{"final":false,"type":"input_audio_buffer.commit"}"#,
            r#"{"type":"input_audio_buffer.commit","final":false}"#,
        ),
        (r#"{"type":"input_audio_buffer.commit"}"#, r#"{"type":"input_audio_buffer.commit"}"#),
    ];
    let sent = cases.map(|(sent, _)| sent);
    // The model has to be known before anything is committed.
    assert_eq!(written(&sent).await, cases.map(|(_, written)| written));
}

#[tokio::test]
async fn what_is_refused_gets_an_event_and_the_session_goes_on() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = session(&portico).await;
    let deep = format!(r#"{{"type":"session.update","x":{}{}}}"#, "[".repeat(2000), "]".repeat(2000));
    let odd = format!(r#"{{"type":"input_audio_buffer.append","audio":"{}"}}"#, base64(b"abc"));
    let append = |audio: &str| format!(r#"{{"type":"input_audio_buffer.append","audio":{audio}}}"#);
    let long = format!(r#"{{"type":"session.update","event_id":"{}"}}"#, "x".repeat(100_000));
    let cases = [
        // Not one JSON object.
        (String::new(), "invalid_json", None),
        ("{".into(), "invalid_json", None),
        ("no JSON".into(), "invalid_json", None),
        (format!("{UPDATE} {UPDATE}"), "invalid_json", None),
        (format!("{UPDATE},"), "invalid_json", None),
        (r#"{"type":"session.update","type":"session.update"}"#.into(), "invalid_json", None),
        (r#"{"type":"session.update","ty\u0070e":"x"}"#.into(), "invalid_json", None),
        (r#"{"type":"input_audio_buffer.commit","final":NaN}"#.into(), "invalid_json", None),
        (r#"{'type':'session.update'}"#.into(), "invalid_json", None),
        (r#"{"type":"session.update","model":"\ud800"}"#.into(), "invalid_json", None),
        ("{\"type\":\"session.update\",\"model\":\"a\nb\"}".into(), "invalid_json", None),
        (format!("\u{feff}{UPDATE}"), "invalid_json", None),
        (deep, "invalid_json", None),
        ("[]".into(), "invalid_value", None),
        ("null".into(), "invalid_value", None),
        (format!("[{UPDATE}]"), "invalid_value", None),
        // Not an event of the list.
        ("{}".into(), "invalid_value", Some("type")),
        (r#"{"type":null}"#.into(), "invalid_value", Some("type")),
        (r#"{"type":7}"#.into(), "invalid_value", Some("type")),
        (r#"{"type":"response.create"}"#.into(), "invalid_value", Some("type")),
        (r#"{"type":"SESSION.UPDATE"}"#.into(), "invalid_value", Some("type")),
        (r#"{"type":"input_audio_buffer.clear"}"#.into(), "invalid_value", Some("type")),
        // Not its keys and values.
        (r#"{"type":"session.update","model":"nobody"}"#.into(), "invalid_value", Some("model")),
        (r#"{"type":"session.update","model":"scripted-model"}"#.into(), "invalid_value", Some("model")),
        (r#"{"type":"session.update","model":["scripted"]}"#.into(), "invalid_value", Some("model")),
        (r#"{"type":"session.update","session":{}}"#.into(), "invalid_value", Some("session")),
        (r#"{"type":"session.update","event_id":1}"#.into(), "invalid_value", Some("event_id")),
        (long, "invalid_value", Some("event_id")),
        (r#"{"type":"session.update","audio":"AAA="}"#.into(), "invalid_value", None),
        (r#"{"type":"input_audio_buffer.append"}"#.into(), "invalid_value", Some("audio")),
        (append("null"), "invalid_value", Some("audio")),
        (append("[0,1]"), "invalid_value", Some("audio")),
        (append(r#""""#), "invalid_value", Some("audio")),
        (append(r#""AA==""#), "invalid_value", Some("audio")),
        (append(r#""AAA""#), "invalid_value", Some("audio")),
        (append(r#""AAB=""#), "invalid_value", Some("audio")),
        (append(r#""AAA=AAA=""#), "invalid_value", Some("audio")),
        (append(r#""A A=""#), "invalid_value", Some("audio")),
        (append(r#""A-_=""#), "invalid_value", Some("audio")),
        (append(r#""data:audio/pcm;base64,AAA=""#), "invalid_value", Some("audio")),
        (odd, "invalid_value", Some("audio")),
        (r#"{"type":"input_audio_buffer.commit","final":1}"#.into(), "invalid_value", Some("final")),
        (r#"{"type":"input_audio_buffer.commit","final":"true"}"#.into(), "invalid_value", Some("final")),
        (r#"{"type":"input_audio_buffer.commit","item":"x"}"#.into(), "invalid_value", None),
    ];
    for (message, code, param) in &cases {
        socket.text(message).await.expect("sent");
        let event = socket.event().await.unwrap_or_else(|error| panic!("{message:.80}: {error}"));
        is_refusal(&event, code, *param, message);
    }
    utterance(&mut socket).await;
    leave(socket).await;
    let received = ended(&scripted).await;
    assert_eq!(received.messages().len(), 3, "nothing that was refused reached the model: {received:?}");
    let line = &records(&portico, 1).await[0];
    assert_eq!((&line["status"], &line["reason"]), (&json!(101), &json!("completed")));
}

/// OpenAI's shape of an error event.
fn is_refusal(event: &Value, code: &str, param: Option<&str>, message: &str) {
    let error = &event["error"];
    assert_eq!(
        (&event["type"], &error["type"], &error["code"]),
        (&json!("error"), &json!("invalid_request_error"), &json!(code)),
        "{message:.80}: {event}"
    );
    if let Some(param) = param {
        assert_eq!(error["param"], param, "{message:.80}: {event}");
    }
    assert!(error.as_object().is_some_and(|error| error.contains_key("param")), "{event}");
    assert!(error["message"].as_str().is_some_and(|text| text.len() > 10), "{message:.80}: {event}");
}

#[tokio::test]
async fn a_message_in_fragments_arrives_in_one_frame() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = session(&portico).await;
    socket.fragments(&["{\"type\":", "", "\"session.up", "date\"}"]).await.expect("sent");
    // Within a character, too, and with control frames between.
    let text = "{\"type\":\"session.update\",\"event_id\":\"é\"}".as_bytes();
    let cut = text.iter().position(|byte| *byte == 0xc3).expect("a character of two bytes") + 1;
    socket.send_frame(false, 0, 1, true, &text[..cut]).await.expect("sent");
    socket.ping(b"between").await.expect("sent");
    assert_eq!(socket.read_frame().await.expect("a pong").payload, b"between");
    socket.send_frame(true, 0, 10, true, "unasked").await.expect("sent");
    socket.send_frame(true, 0, 0, true, &text[cut..]).await.expect("sent");
    // Byte by byte, as a slow network brings it.
    let append = audio(b"slow").to_string();
    for byte in testkit::websocket::frame::Frame::new(1, append.as_str()).masked().bytes() {
        socket.send_raw([byte]).await.expect("sent");
    }
    assert_eq!(said(&mut socket).await, "You said: 4 bytes");
    leave(socket).await;
    let received = ended(&scripted).await;
    assert_eq!(received.messages()[..3], [UPDATE, UPDATE, append.as_str()]);
    assert!(received.frames.iter().all(|frame| frame.fin && matches!(frame.opcode, 1 | 8)));
}

/// Ends an utterance whose sound has been sent, and gives its text.
async fn said(socket: &mut WebSocket) -> String {
    socket.json(&update()).await.expect("sent");
    socket.json(&commit()).await.expect("sent");
    loop {
        let event = socket.event().await.expect("an event");
        if event["type"] == "transcription.done" {
            return event["text"].as_str().expect("a text").to_owned();
        }
    }
}

/// 4 MiB are taken, whether in one frame or in many.
#[tokio::test]
async fn the_largest_message_passes_whole() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = session(&portico).await;
    let frame = r#"{"type":"input_audio_buffer.append","audio":""}"#;
    let encoded = (4 * MIB - frame.len()) / 8 * 8;
    let message = frame.replace("\"\"", &format!("\"{}\"", "AAAA".repeat(encoded / 4)));
    let message = message + &" ".repeat(4 * MIB - frame.len() - encoded);
    assert_eq!(message.len(), 4 * MIB);
    let (first, rest) = message.split_at(MIB);
    let sending = async {
        for _ in 0..2 {
            socket.text(&message).await.expect("sent");
            socket.fragments(&[first, "", rest]).await.expect("sent");
        }
    };
    // What was pushed back has to go on by itself, not when somebody is asked whether he is still there.
    tokio::time::timeout(SOON, sending).await.expect("it is taken at once");
    assert_eq!(said(&mut socket).await, format!("You said: {} bytes", 4 * encoded / 4 * 3));
    leave(socket).await;
    assert_eq!(ended(&scripted).await.frames.len(), 1 + 4 + 1 + 1);
}

/// The code that the session is closed with, however many events come before.
async fn closed_with(socket: &mut WebSocket) -> u16 {
    loop {
        let frame = socket.read_frame().await.expect("a frame");
        if frame.opcode == CLOSE {
            return frame.close_code().0;
        }
    }
}

/// A model server keeps what it has not heard yet, without a limit.
#[tokio::test]
async fn sound_comes_no_faster_than_it_can_be_heard() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[limits]\nbody = \"256KiB\"").start().await;
    let mut socket = session(&portico).await;
    for _ in 0..60 {
        // The last may meet a connection that is closed.
        let _ = socket.json(&audio(&[0; 16 * 1024])).await;
    }
    assert_eq!(closed_with(&mut socket).await, 1008);
    let record = record_because(&portico, "malformed_request").await;
    assert_eq!(record["status"], 101);
    let seen = ended(&scripted).await;
    let sounds = seen.frames.iter().filter(|frame| frame.opcode == TEXT).count();
    assert!((16..60).contains(&sounds), "{sounds}");
    stranger(&portico).await;
}

/// Each costs the model server more than the two bytes that are in it.
#[tokio::test]
async fn sound_in_crumbs_is_no_way_around_the_measure() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[limits]\nbody = \"256KiB\"").start().await;
    let mut socket = session(&portico).await;
    let crumb = Frame::new(TEXT, audio(b"ab").to_string()).masked().bytes();
    for _ in 0..20 {
        // The last may meet a connection that is closed.
        let _ = socket.send_raw(crumb.repeat(1000)).await;
    }
    assert_eq!(closed_with(&mut socket).await, 1008);
    record_because(&portico, "malformed_request").await;
    stranger(&portico).await;
}

#[tokio::test]
async fn nobody_is_told_what_is_wrong_for_ever() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = session(&portico).await;
    for _ in 0..1000 {
        let _ = socket.text("{}").await;
    }
    assert_eq!(closed_with(&mut socket).await, 1008);
    record_because(&portico, "malformed_request").await;
    stranger(&portico).await;
}
