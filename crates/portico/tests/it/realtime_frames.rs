//! Frames against the real binary, right and wrong. After each case a stranger has a session of its own, and the model
//! server has seen nothing of what was refused.

use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};
use testkit::websocket::frame::{self, BINARY, CLOSE, CONTINUATION, Frame, NO_CODE, PING, PONG, TEXT};

use crate::realtime::{PATH, UPDATE, session, setup, utterance};
use crate::setup::{record_because, records};

const EVENT: &str = r#"{"type":"session.update"}"#;
const MIB: usize = 1 << 20;

enum Verdict {
    /// Closed with one of these codes, and nothing reaches the model server.
    Closed(&'static [u16]),
    /// Answered with these frames; the model server gets this many messages, each an [`UPDATE`], and the session goes on.
    Passes(Vec<Frame>, usize),
}
use Verdict::{Closed, Passes};

struct Case {
    name: String,
    bytes: Vec<u8>,
    verdict: Verdict,
}

#[derive(Default)]
struct Cases(Vec<Case>);

impl Cases {
    fn raw(&mut self, name: impl Into<String>, bytes: Vec<u8>, verdict: Verdict) {
        self.0.push(Case { name: name.into(), bytes, verdict });
    }

    fn frames(&mut self, name: impl Into<String>, frames: &[Frame], verdict: Verdict) {
        let bytes = frames.iter().flat_map(Frame::bytes).collect();
        self.raw(name, bytes, verdict);
    }
}

fn client(fin: bool, opcode: u8, payload: impl Into<Vec<u8>>) -> Frame {
    Frame { fin, ..Frame::new(opcode, payload).masked() }
}

/// A frame with its length written as it should not be, or announced only.
fn with_head(head: &[u8], payload: &[u8]) -> Vec<u8> {
    // Masked with zeros, which is allowed.
    [head, &[0; 4], payload].concat()
}

/// Bits, opcodes, lengths and masks (RFC 6455 sections 5.1 and 5.2).
fn heads(cases: &mut Cases) {
    let protocol = || Closed(&[1002]);
    let event = || client(true, TEXT, EVENT);
    for (name, opcode) in [("text", TEXT), ("ping", PING), ("pong", PONG), ("close", CLOSE)] {
        cases.frames(format!("a {name} without a mask"), &[Frame::new(opcode, "")], protocol());
    }
    cases.frames("binary without a mask", &[Frame::new(BINARY, EVENT)], Closed(&[1002, 1003]));
    cases.frames("an event without a mask", &[Frame::new(TEXT, EVENT)], protocol());
    for rsv in 1..8 {
        cases.frames(format!("reserved bits {rsv:03b}"), &[Frame { rsv, ..event() }], protocol());
    }
    for opcode in [PING, CLOSE] {
        let frame = Frame { rsv: 4, ..client(true, opcode, "") };
        cases.frames(format!("a reserved bit of opcode {opcode}"), &[frame], protocol());
    }
    let continued = Frame { rsv: 4, ..client(true, CONTINUATION, &EVENT[5..]) };
    let begun = client(false, TEXT, &EVENT[..5]);
    cases.frames("a reserved bit in a continuation", &[begun, continued], protocol());
    for opcode in (3..8).chain(11..16) {
        cases.frames(format!("opcode {opcode}"), &[client(true, opcode, EVENT)], protocol());
    }
    for (name, head) in [
        ("16 bits for 0", &[0x81, 0xfe, 0, 0][..]),
        ("16 bits for 125", &[0x81, 0xfe, 0, 125]),
        ("64 bits for 5", &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 5]),
        ("64 bits for 65535", &[0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        ("64 bits with the top one", &[0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 5]),
        ("64 bits, all of them", &[0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255]),
        ("16 bits in a ping", &[0x89, 0xfe, 0, 5]),
        ("64 bits in a close", &[0x88, 0xff, 0, 0, 0, 0, 0, 0, 0, 2]),
    ] {
        cases.raw(format!("a length of {name}"), with_head(head, &[b' '; 125]), protocol());
    }
    cases.raw("a mask of zeros", with_head(&[0x81, 0x80 | 25], EVENT.as_bytes()), Passes(vec![], 1));
    for length in [126, 65_535, 65_536] {
        let text = format!("{EVENT}{}", " ".repeat(length - EVENT.len()));
        cases.frames(format!("an event of {length} bytes"), &[client(true, TEXT, text)], Passes(vec![], 1));
    }
}

/// Control frames, fragments and kinds of data (sections 5.4 to 5.6).
fn order(cases: &mut Cases) {
    let protocol = || Closed(&[1002]);
    for (name, opcode) in [("ping", PING), ("pong", PONG), ("close", CLOSE)] {
        cases.frames(format!("a {name} in fragments"), &[client(false, opcode, "")], protocol());
        cases.frames(format!("a {name} of 126 bytes"), &[client(true, opcode, [b'p'; 126])], protocol());
    }
    cases.raw("a ping of 1 GiB", with_head(&frame::head(true, 0, PING, true, 1 << 30), &[]), protocol());
    let pong = |payload: &[u8]| Passes(vec![Frame::new(PONG, payload)], 0);
    cases.frames("a ping", &[client(true, PING, "")], pong(b""));
    cases.frames("a ping of 125 bytes", &[client(true, PING, [255; 125])], pong(&[255; 125]));
    cases.frames("a pong that nobody asked for", &[client(true, PONG, "x")], Passes(vec![], 0));
    let (first, rest) = EVENT.split_at(9);
    let (start, end) = (client(false, TEXT, first), client(true, CONTINUATION, rest));
    let between = [start.clone(), client(true, PING, "between"), end.clone()];
    cases.frames("a ping between fragments", &between, Passes(vec![Frame::new(PONG, "between")], 1));
    let empty = client(false, CONTINUATION, "");
    cases.frames("empty fragments", &[client(false, TEXT, ""), empty.clone(), start.clone()], protocol());
    let empty = [client(false, TEXT, ""), client(false, CONTINUATION, first), empty, end.clone()];
    cases.frames("an event in fragments, some of them empty", &empty, Passes(vec![], 1));
    let twice = [start.clone(), end.clone(), start.clone(), end.clone()];
    cases.frames("two events in fragments", &twice, Passes(vec![], 2));
    cases.frames("the end of nothing", std::slice::from_ref(&end), protocol());
    cases.frames("the middle of nothing", &[client(false, CONTINUATION, EVENT)], protocol());
    cases.frames("a text in a text", &[start.clone(), client(true, TEXT, EVENT)], protocol());
    cases.frames("a text begun in a text", &[start.clone(), start.clone()], protocol());
    cases.frames("binary in a text", &[start, client(true, BINARY, EVENT)], Closed(&[1002, 1003]));
    let data = || Closed(&[1003]);
    cases.frames("binary", &[client(true, BINARY, EVENT)], data());
    cases.frames("nothing as binary", &[client(true, BINARY, "")], data());
    cases.frames("binary in fragments", &[client(false, BINARY, "x")], data());
}

/// Texts that are none (section 8.1), and sizes.
fn texts(cases: &mut Cases) {
    for (name, bytes) in [
        ("a byte that begins nothing", &b"\x80"[..]),
        ("a byte that is never there", b"\xff"),
        ("a long form of a slash", b"\xc0\xaf"),
        ("a longer form of zero", b"\xe0\x80\x80"),
        ("half of a pair", b"\xed\xa0\x80"),
        ("more than there is", b"\xf4\x90\x80\x80"),
        ("a character that is cut", b"\xe4\xb8"),
    ] {
        let text = [br#"{"type":"session.update","event_id":""#, bytes, br#""}"#].concat();
        cases.frames(name, &[client(true, TEXT, text)], Closed(&[1007]));
    }
    cases.frames("a character cut by the end", &[client(true, TEXT, b"{}\xc3")], Closed(&[1007]));
    let (start, end) = (client(false, TEXT, b"\"\xf0\x9f"), client(true, CONTINUATION, b"\xff\x82\""));
    cases.frames("a character that goes wrong in the next fragment", &[start, end], Closed(&[1007]));
    let (start, end) = (client(false, TEXT, b"\"\xf0\x9f"), client(true, CONTINUATION, ""));
    cases.frames("a character that ends with its message", &[start, end], Closed(&[1007]));
    let reason = [&1000_u16.to_be_bytes()[..], b"\xff"].concat();
    cases.frames("a reason that is no text", &[client(true, CLOSE, reason)], Closed(&[1007]));

    let announced = |length: u64| with_head(&frame::head(true, 0, TEXT, true, length), &[]);
    let limit = 4 * MIB as u64;
    cases.raw("a byte more than 4 MiB, announced", announced(limit + 1), Closed(&[1009]));
    cases.raw("the most that can be announced", announced(i64::MAX as u64), Closed(&[1009]));
    let part = client(false, TEXT, vec![b' '; MIB]).bytes();
    let rest = with_head(&frame::head(true, 0, CONTINUATION, true, limit - MIB as u64 + 1), &[]);
    cases.raw("fragments that will be more than 4 MiB", [part, rest].concat(), Closed(&[1009]));
}

/// Farewells (section 7.4).
fn closes(cases: &mut Cases) {
    for code in [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999] {
        let same: &'static [u16] = Vec::leak(vec![code]);
        cases.frames(format!("a close with {code}"), &[Frame::close(code, "").masked()], Closed(same));
    }
    let close = |reason: &str| Frame::close(1000, reason).masked();
    cases.frames("a close without a code", &[client(true, CLOSE, "")], Closed(&[NO_CODE, 1000]));
    cases.frames("a close with a reason", &[close("再见")], Closed(&[1000]));
    cases.frames("the longest close", &[close(&"x".repeat(123))], Closed(&[1000]));
    cases.frames("an event behind a close", &[close(""), client(true, TEXT, EVENT)], Closed(&[1000]));
    cases.frames("a wrong frame behind a close", &[close(""), Frame::new(TEXT, "x")], Closed(&[1000]));
    cases.frames("a close in a text", &[client(false, TEXT, EVENT), close("")], Closed(&[1000]));
    cases.frames("a close of one byte", &[client(true, CLOSE, [3])], Closed(&[1002]));
    for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535] {
        let close = Frame::close(code, "").masked();
        cases.frames(format!("a close with {code}"), &[close], Closed(&[1002]));
    }
}

#[tokio::test]
async fn frames_are_taken_or_refused_as_the_standard_says() {
    let mut cases = Cases::default();
    for family in [heads, order, texts, closes] {
        family(&mut cases);
    }
    assert!(cases.0.len() >= 60, "{}", cases.0.len());
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut failures = Vec::new();
    for case in &cases.0 {
        if let Err(failure) = play(&portico, &scripted, case).await {
            failures.push(format!("{}: {failure}", case.name));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.0.len(), failures.join("\n"));
    let lines = records(&portico, 2 * cases.0.len()).await;
    assert!(lines.iter().all(|line| line["status"] == 101 && line["path"] == PATH));
}

async fn play(portico: &Portico, scripted: &Scripted, case: &Case) -> Result<(), String> {
    let said = |error: std::io::Error| error.to_string();
    let mut socket = session(portico).await;
    socket.send_raw(&case.bytes).await.map_err(said)?;
    let mut wanted = 0;
    match &case.verdict {
        Closed(codes) => {
            let (code, _) = socket.read_close().await.map_err(|error| format!("no close: {error}"))?;
            if !codes.contains(&code) {
                return Err(format!("{code} instead of {codes:?}"));
            }
            if !socket.is_closed_within(SOON).await {
                return Err("the connection stays open".into());
            }
        }
        Passes(answers, messages) => {
            wanted = *messages;
            for answer in answers {
                let frame = socket.read_frame().await.map_err(said)?;
                if frame != *answer {
                    return Err(format!("{frame:?} instead of {answer:?}"));
                }
            }
            utterance(&mut socket).await;
            wanted += 3;
            socket.close(1000, "").await.map_err(said)?;
            socket.read_close().await.map_err(said)?;
        }
    }
    let received = scripted
        .wait_for("the model server's session ends", |request| {
            request.ended.is_some().then(|| request.clone())
        })
        .await;
    let messages = received.messages();
    let is_clean = messages.len() == wanted
        && messages.iter().take(wanted.saturating_sub(2)).all(|message| message == UPDATE)
        && received.frames.iter().all(|frame| frame.opcode == TEXT || frame.opcode == CLOSE)
        && received.close_code().is_none_or(|code| code == 1001 || code == 1000);
    if !is_clean {
        return Err(format!("the model server saw {:?}", received.frames));
    }
    scripted.forget_requests().await;
    crate::realtime::stranger(portico).await;
    until(SOON, "the stranger's session ends", async || {
        scripted.requests().await.iter().all(|request| request.ended.is_some()).then_some(())
    })
    .await;
    scripted.forget_requests().await;
    Ok(())
}

/// Without reading it: what is announced never comes, and the answer is there.
#[tokio::test]
async fn a_message_that_grows_too_large_is_cut_off() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = session(&portico).await;
    for index in 0..5 {
        let opcode = if index == 0 { TEXT } else { CONTINUATION };
        // The last of them may not be taken any more.
        let _ = socket.send_raw(client(false, opcode, vec![b' '; MIB]).bytes()).await;
    }
    assert_eq!(socket.read_close().await.expect("a close").0, 1009);
    assert_eq!(record_because(&portico, "body_too_large").await["status"], 101);
    crate::realtime::stranger(&portico).await;
}

#[tokio::test]
async fn frames_that_say_nothing_have_a_measure() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    for (name, frame) in [
        ("pings", client(true, PING, "x")),
        ("pongs", client(true, PONG, "x")),
        ("empty fragments", client(false, CONTINUATION, "")),
    ] {
        let mut socket = session(&portico).await;
        if frame.opcode == CONTINUATION {
            socket.send_frame(false, 0, TEXT, true, "").await.expect("sent");
        }
        // It may be ended before all of them are written.
        let _ = socket.send_raw(frame.bytes().repeat(2000)).await;
        let mut answers = 0;
        let code = loop {
            let frame = socket.read_frame().await.unwrap_or_else(|error| panic!("{name}: {error}"));
            match frame.opcode {
                PONG => answers += 1,
                CLOSE => break frame.close_code().0,
                _ => panic!("{name}: {frame:?}"),
            }
        };
        assert!(code == 1008 && answers < 2000, "{name}: {code} behind {answers} answers");
        assert!(socket.is_closed_within(SOON).await, "{name}");
        crate::realtime::stranger(&portico).await;
    }
}
