//! Frames of HTTP/2 against the real binary, as the files of `tests/corpus/http2` say them.

use std::time::Duration;

use serde_json::Value;
use testkit::frames::{Block, END_HEADERS, END_STREAM, Http2, Stream, frame, settings};
use testkit::portico::Portico;
use testkit::scripted::Scripted;

use crate::corpus::{before, stranger};
use crate::corpus_file::{Case, Step, cases, message, written_out};
use crate::setup::{CHAT, chat};

const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(15);
/// Of the request behind a case.
const NEXT_STREAM: u32 = 9001;

/// What a line of a corpus file says, and how HTTP/2 numbers it.
const CODES: [(&str, u32); 14] = [
    ("NO_ERROR", 0),
    ("PROTOCOL_ERROR", 1),
    ("INTERNAL_ERROR", 2),
    ("FLOW_CONTROL_ERROR", 3),
    ("SETTINGS_TIMEOUT", 4),
    ("STREAM_CLOSED", 5),
    ("FRAME_SIZE_ERROR", 6),
    ("REFUSED_STREAM", 7),
    ("CANCEL", 8),
    ("COMPRESSION_ERROR", 9),
    ("CONNECT_ERROR", 10),
    ("ENHANCE_YOUR_CALM", 11),
    ("INADEQUATE_SECURITY", 12),
    ("HTTP_1_1_REQUIRED", 13),
];

#[tokio::test]
async fn f53_frames_are_answered_as_the_corpus_says_and_nothing_else_reaches_the_model_server() {
    let scripted = Scripted::start().await;
    let portico = before(&scripted).await;
    let cases = cases("http2");
    let mut failures = Vec::new();
    for case in &cases {
        if let Err(failure) = run(&portico, &scripted, case).await {
            failures.push(format!("{}: {failure}", case.title));
        }
    }
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

async fn run(portico: &Portico, scripted: &Scripted, case: &Case) -> Result<(), String> {
    let number = case.number;
    let mut client = match case.steps.first() {
        Some(Step::Send(_)) => Http2::without_hello(&portico.address()).await,
        _ => Http2::open(&portico.address()).await,
    };
    let mut block = Block::default();
    for step in &case.steps {
        match step {
            Step::Send(bytes) => client.send(bytes).await,
            Step::Pause => tokio::time::sleep(PAUSE).await,
            Step::EndOfFile => client.shutdown_write().await.map_err(|error| error.to_string())?,
            Step::Frame(line) => {
                let bytes = frame_line(line, &mut block, number);
                client.send(&bytes).await;
            }
        }
    }
    let mut reached = Vec::new();
    for wanted in &case.wanted {
        expect(&mut client, wanted, number, &mut reached).await?;
    }
    stranger(portico, scripted, reached, number).await
}

/// `+ NAME: VALUE`, `+ request METHOD PATH`, `+ hex BYTES` add to the head that the next `headers` sends.
/// `headers STREAM [end] [open [BYTES]]`: `end` closes the stream, `open` leaves the head open, having sent so many
/// bytes of it. `continuation STREAM [open [BYTES]]`. `data STREAM [end] TEXT`. `reset STREAM CODE`. `ping`.
/// `settings ID VALUE …`. `window STREAM INCREMENT`. `frame KIND FLAGS STREAM HEX`. `call STREAM NAME`: a whole call.
/// `times N LINE` is that line so often.
fn frame_line(line: &str, block: &mut Block, case: usize) -> Vec<u8> {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let words: Vec<&str> = rest.split(' ').collect();
    let number = |at: usize| words[at].parse::<u32>().unwrap_or_else(|_| panic!("{line:?} wants a number"));
    match word {
        "+" => {
            *block = add(std::mem::take(block), rest, case);
            Vec::new()
        }
        "headers" | "continuation" => {
            let end = if words.contains(&"end") { END_STREAM } else { 0 };
            let open = words.iter().position(|word| *word == "open");
            let bytes = match open {
                Some(at) => words.get(at + 1).map_or(block.0.len(), |bytes| bytes.parse().expect("a number")),
                None => block.0.len(),
            };
            let flags = if open.is_some() { end } else { end | END_HEADERS };
            let payload: Vec<u8> = block.0.drain(..bytes).collect();
            frame(if word == "headers" { 1 } else { 9 }, flags, number(0), &payload)
        }
        "data" => {
            let text = rest.split_once(' ').map_or("", |(_, text)| text);
            let (flags, text) = match text.strip_prefix("end") {
                Some(text) => (END_STREAM, text.trim_start()),
                None => (0, text),
            };
            let payload = written_out(text, case);
            payload.chunks(16_384).next().map_or_else(
                || frame(0, flags, number(0), &[]),
                |payload| frame(0, flags, number(0), payload),
            )
        }
        "call" => {
            let body = chat(&message(words[1], case)).to_string();
            let head = Block::request("POST", CHAT).field("content-type", "application/json");
            [head.headers(number(0), 0), frame(0, END_STREAM, number(0), body.as_bytes())].concat()
        }
        "reset" => frame(3, 0, number(0), &code(words[1]).to_be_bytes()),
        "ping" => frame(6, 0, 0, b"anything"),
        "settings" => {
            let values: Vec<_> = rest
                .split(' ')
                .filter(|word| !word.is_empty())
                .map(|word| word.parse::<u32>().expect("a number"))
                .collect();
            settings(&values.chunks(2).map(|pair| (pair[0] as u16, pair[1])).collect::<Vec<_>>())
        }
        "window" => frame(8, 0, number(0), &number(1).to_be_bytes()),
        "frame" => frame(
            u8::try_from(number(0)).expect("a kind"),
            u8::try_from(number(1)).expect("flags"),
            number(2),
            &hex(words.get(3).unwrap_or(&"")),
        ),
        "times" => {
            let (count, line) = rest.split_once(' ').expect("a count and a line");
            let count: usize = count.parse().expect("a count");
            (0..count).flat_map(|_| frame_line(line, block, case)).collect()
        }
        _ => panic!("what is the frame {line:?}?"),
    }
}

fn add(block: Block, field: &str, case: usize) -> Block {
    if let Some(bytes) = field.strip_prefix("hex ") {
        return Block([block.0, hex(bytes)].concat());
    }
    if let Some((method, path)) = field.strip_prefix("request ").and_then(|rest| rest.split_once(' ')) {
        return Block([block.0, Block::request(method, path).0].concat());
    }
    // The colon of a pseudo field is its first byte.
    let colon = field[1..].find(':').map_or(field.len(), |at| at + 1);
    let value = field.get(colon + 1..).unwrap_or_default();
    let value = value.strip_prefix(' ').unwrap_or(value);
    block.field(written_out(&field[..colon], case), written_out(value, case))
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let text = |pair: &[u8]| String::from_utf8_lossy(pair).into_owned();
    digits.chunks(2).map(|pair| u8::from_str_radix(&text(pair), 16).expect("hexadecimal digits")).collect()
}

fn code(name: &str) -> u32 {
    CODES.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no code {name}")).1
}

async fn expect(
    client: &mut Http2,
    wanted: &str,
    case: usize,
    reached: &mut Vec<String>,
) -> Result<(), String> {
    let (first, rest) = wanted.split_once(' ').unwrap_or((wanted, ""));
    match first {
        "closed" => {
            if client.read_until(PATIENCE, |client| client.closed).await {
                return Ok(());
            }
            Err("it is not closed".to_owned())
        }
        "goaway" => {
            client.read_until(PATIENCE, |client| client.goaway.is_some()).await;
            if client.goaway == Some(code(rest)) {
                Ok(())
            } else {
                Err(format!("GOAWAY {:?}", client.goaway))
            }
        }
        "open" => {
            let next = message("next", case);
            let body = chat(&next).to_string();
            let head = Block::request("POST", CHAT).field("content-type", "application/json");
            client.send(&head.headers(NEXT_STREAM, 0)).await;
            client.send(&frame(0, END_STREAM, NEXT_STREAM, body.as_bytes())).await;
            answered(&client.answer(NEXT_STREAM).await, &next)
                .map_err(|error| format!("the next: {error}"))?;
            reached.push(next);
            Ok(())
        }
        stream => {
            let stream = client.answer(stream.parse().expect("a stream")).await;
            judged(&stream, rest, case, reached)
        }
    }
}

fn judged(stream: &Stream, wanted: &str, case: usize, reached: &mut Vec<String>) -> Result<(), String> {
    let (first, what) = wanted.split_once(' ').unwrap_or((wanted, ""));
    if first == "reset" {
        let is_right = stream.reset == Some(code(what)) && stream.status.is_none();
        return if is_right { Ok(()) } else { Err(format!("not {wanted}: {stream:?}")) };
    }
    if stream.status.map(|status| status.to_string()).as_deref() != Some(first) {
        return Err(format!("not {wanted}: {:?} {:?} {}", stream.status, stream.reset, text(stream)));
    }
    if first == "200" && what == "models" {
        return if text(stream).contains("\"list\"") { Ok(()) } else { Err(text(stream)) };
    }
    if first == "200" {
        answered(stream, &message(what, case))?;
        reached.push(message(what, case));
        return Ok(());
    }
    let json: Value = serde_json::from_slice(&stream.body).unwrap_or_default();
    if what.is_empty() || what == "bare" && stream.body.is_empty() || json["error"]["code"] == what {
        return Ok(());
    }
    Err(format!("not {wanted}: {}", text(stream)))
}

fn answered(stream: &Stream, message: &str) -> Result<(), String> {
    let json: Value = serde_json::from_slice(&stream.body).unwrap_or_default();
    if stream.status == Some(200)
        && json["choices"][0]["message"]["content"] == format!("You said: {message}")
    {
        return Ok(());
    }
    Err(format!("{message:?} was answered with {:?} {:?} {}", stream.status, stream.reset, text(stream)))
}

fn text(stream: &Stream) -> String {
    String::from_utf8_lossy(&stream.body).into_owned()
}
