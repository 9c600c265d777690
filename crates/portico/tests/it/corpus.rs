//! Raw HTTP/1 against the real binary, with a model server that records what reaches it. After every case a stranger's
//! request, and the next one where the connection is open, gets its own answer.

use std::time::Duration;

use testkit::client::{Answer, Connection};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::SOON;

use crate::corpus_file::{Case, Step, cases, message};
use crate::setup::{CHAT, Setup, chat};

/// Long enough for what was sent to be read alone, where nothing is late.
const PAUSE: Duration = Duration::from_millis(15);

#[tokio::test]
async fn f42_heads_bodies_and_connections_have_an_end() {
    play(&["connection"]).await;
}

#[tokio::test]
async fn f43_a_body_has_one_length() {
    play(&["length", "transfer-encoding", "chunks"]).await;
}

#[tokio::test]
async fn f44_a_request_line_has_one_form() {
    play(&["request-line", "target"]).await;
}

#[tokio::test]
async fn f45_a_request_has_one_host() {
    play(&["host"]).await;
}

#[tokio::test]
async fn f49_fields_have_one_form_and_a_measure() {
    play(&["fields"]).await;
}

#[test]
fn every_file_is_played() {
    let mut names: Vec<String> =
        cases("http1").iter().filter_map(|case| Some(case.title.split_once(':')?.0.to_owned())).collect();
    assert!(names.len() + cases("http2").len() >= 500, "{} cases of HTTP/1", names.len());
    names.dedup();
    let played =
        ["chunks", "connection", "fields", "host", "length", "request-line", "target", "transfer-encoding"];
    assert_eq!(names, played);
}

/// Raw requests are answered as these files say, and nothing else reaches the model server.
async fn play(files: &[&str]) {
    let scripted = Scripted::start().await;
    let portico = before(&scripted).await;
    let mut failures = Vec::new();
    let mut played = 0;
    for case in cases("http1").iter().filter(|case| files.iter().any(|file| case.title.starts_with(file))) {
        played += 1;
        if let Err(failure) = run(&portico, &scripted, case).await {
            failures.push(format!("{}: {failure}", case.title));
        }
    }
    assert!(failures.is_empty(), "{} of {played} cases:\n{}", failures.len(), failures.join("\n"));
}

/// Small limits, and a log that tells which rule was broken.
pub(crate) async fn before(scripted: &Scripted) -> Portico {
    Setup::before(scripted)
        .log("level = \"debug\"")
        .with("[limits]\nheader_bytes = \"4KiB\"\nheader_count = 20\ntarget_bytes = \"1KiB\"")
        .with("[timeouts]\nrequest_headers = \"1s\"\nrequest_body_idle = \"1s\"")
        .start()
        .await
}

async fn run(portico: &Portico, scripted: &Scripted, case: &Case) -> Result<(), String> {
    let number = case.number;
    let mut connection = portico.connect().await;
    let mut sends = 0;
    for step in &case.steps {
        match step {
            Step::Send(bytes) => {
                sends += 1;
                let sent = connection.send(bytes).await;
                if sends == 1 {
                    sent.map_err(|error| format!("it can't be sent: {error}"))?;
                }
            }
            Step::Pause => tokio::time::sleep(PAUSE).await,
            Step::EndOfFile => connection.shutdown_write().await.map_err(|error| error.to_string())?,
            Step::Frame(_) => panic!("{}: no frames in HTTP/1", case.title),
        }
    }
    let mut reached = Vec::new();
    for wanted in &case.wanted {
        match wanted.as_str() {
            "closed" => {
                if !connection.is_closed_within(SOON).await {
                    let more = connection.read().await.unwrap_or_default();
                    return Err(format!("it is not closed: {:?}", String::from_utf8_lossy(&more)));
                }
            }
            "open" => {
                let next = message("next", number);
                connection.post_json(CHAT, &chat(&next)).await.map_err(|error| error.to_string())?;
                answered(
                    &connection.answer().await.map_err(|error| format!("the next request: {error}"))?,
                    &next,
                )?;
                reached.push(next);
            }
            wanted => {
                let answer = connection.answer().await.map_err(|error| format!("{wanted}: {error}"))?;
                if let Some(name) = judged(&answer, wanted)? {
                    reached.push(message(name, number));
                    answered(&answer, &message(name, number))?;
                } else if let Some(rule) = case.rule.as_ref().filter(|_| answer.head.status >= 400) {
                    logged(portico, &answer, rule).await?;
                }
            }
        }
    }
    stranger(portico, scripted, reached, number).await
}

/// Somebody else is answered as if nothing had happened, and the model server has seen what was answered and nothing
/// more.
pub(crate) async fn stranger(
    portico: &Portico,
    scripted: &Scripted,
    mut reached: Vec<String>,
    number: usize,
) -> Result<(), String> {
    let stranger = message("stranger", number);
    answered(&portico.post_json(CHAT, &chat(&stranger)).await, &stranger)?;
    reached.push(stranger);
    let requests = scripted.requests().await;
    let seen: Vec<_> = requests
        .iter()
        .map(|request| request.json()["messages"][0]["content"].as_str().unwrap_or("no call").to_owned())
        .collect();
    let clean = requests.iter().all(|request| {
        request.head[0] == format!("POST {CHAT} HTTP/1.1")
            && request.headers("content-length") == [request.body_length.to_string()]
            && request.headers("transfer-encoding").is_empty()
    });
    scripted.forget_requests().await;
    if seen != reached || !clean {
        return Err(format!("the model server saw {seen:?}, not {reached:?}: {requests:?}"));
    }
    Ok(())
}

/// The status, and in an error the code that belongs to it. Gives the name of the call that was to be answered.
fn judged<'a>(answer: &Answer, wanted: &'a str) -> Result<Option<&'a str>, String> {
    let (status, what) = wanted.split_once(' ').unwrap_or((wanted, ""));
    if answer.head.status.to_string() != status {
        return Err(format!("{} instead of {wanted}: {}", answer.head.status, answer.text()));
    }
    let code = match (status, what) {
        ("200", "models") => return listed(answer),
        ("200", "OK") => return if answer.text() == "OK" { Ok(None) } else { Err(answer.text()) },
        ("200", name) => return Ok(Some(name)),
        ("400", "") => "malformed_request",
        ("408", "") => "headers_timeout",
        ("414", "") => "target_too_long",
        ("417", "") => "expectation_failed",
        ("431", "") => "headers_too_large",
        (_, code) => code,
    };
    let is_api = answer.head.header("content-type") == Some("application/json");
    if is_api && answer.json()["error"]["code"] != code {
        return Err(format!("not {code}: {}", answer.text()));
    }
    let closes = answer.head.header("connection") == Some("close");
    if matches!(status, "400" | "408" | "414" | "417" | "431") && code != "invalid_json" && !closes {
        return Err(format!("it does not close: {:?}", answer.head));
    }
    Ok(None)
}

fn listed(answer: &Answer) -> Result<Option<&'static str>, String> {
    if answer.json()["object"] == "list" { Ok(None) } else { Err(answer.text()) }
}

fn answered(answer: &Answer, message: &str) -> Result<(), String> {
    let content = (answer.head.status == 200)
        .then(|| answer.json()["choices"][0]["message"]["content"].as_str().map(str::to_owned));
    if content.flatten() == Some(format!("You said: {message}")) {
        return Ok(());
    }
    Err(format!("{message:?} was answered with {} {}", answer.head.status, answer.text()))
}

/// It was refused for this rule and no other.
async fn logged(portico: &Portico, answer: &Answer, rule: &str) -> Result<(), String> {
    let id = answer.head.header("x-request-id").ok_or("no id")?;
    for _ in 0..100 {
        let lines = portico.log_lines("stderr");
        if let Some(line) = lines.iter().rev().find(|line| line.contains(id)) {
            let says = line.contains(rule);
            return if says { Ok(()) } else { Err(format!("another rule: {line}")) };
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err(format!("no word of {id} in the log"))
}

/// The whole of a connection's state is in its bytes: nothing may depend on how they were cut into packets.
#[tokio::test]
async fn a_byte_at_a_time_makes_no_difference() {
    let scripted = Scripted::start().await;
    let portico = before(&scripted).await;
    let mut connection: Connection = portico.connect().await;
    let body = chat("slowly").to_string();
    let call = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         5\r\n{}\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        &body[..5],
        body.len() - 5,
        &body[5..]
    );
    for byte in (call.clone() + &call).bytes() {
        connection.send([byte]).await.expect("sent");
        tokio::task::yield_now().await;
    }
    for _ in 0..2 {
        answered(&connection.answer().await.expect("an answer"), "slowly").expect("its own");
    }
    assert_eq!(scripted.requests_to(CHAT).await.len(), 2);
}
