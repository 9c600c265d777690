//! Limits of a request: refused with their own status, and the connection closes after the client could read it.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client::{Answer, Connection};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::SOON;

use crate::setup::{CHAT, Setup, assert_error, chat, record_because};

const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn small_limits(scripted: &Scripted) -> Portico {
    let limits =
        "[limits]\nbody = \"1MiB\"\nheader_bytes = \"4KiB\"\nheader_count = 20\ntarget_bytes = \"1KiB\"";
    Setup::before(scripted).with(limits).start().await
}

/// The connection is closed behind the answer, and says so.
async fn closes(connection: &mut Connection, answer: &Answer) {
    assert_eq!(answer.head.header("connection"), Some("close"), "{:?}", answer.head);
    assert!(connection.is_closed_within(SOON).await, "{:?}", answer.head);
}

#[tokio::test]
async fn a_large_body_is_413_announced_or_not() {
    let scripted = Scripted::start().await;
    let portico = small_limits(&scripted).await;
    let body = chat(&"x".repeat(1 << 20)).to_string();

    let mut connection = portico.connect().await;
    connection.request("POST", CHAT, &[JSON], body.as_bytes()).await.expect("sent");
    let answer = connection.answer().await.expect("an answer");
    assert_error(&answer, 413, "invalid_request_error", "body_too_large");
    closes(&mut connection, &answer).await;

    let mut connection = portico.connect().await;
    connection.request("POST", CHAT, &[JSON, ("Transfer-Encoding", "chunked")], b"").await.expect("sent");
    for piece in body.as_bytes().chunks(50_000) {
        let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
        connection.send(chunk).await.expect("sent");
    }
    let answer = connection.answer().await.expect("an answer");
    assert_error(&answer, 413, "invalid_request_error", "body_too_large");
    closes(&mut connection, &answer).await;
    assert!(scripted.requests().await.is_empty());

    let exact = "x".repeat((1 << 20) - chat("").to_string().len());
    let answer = portico.post_json(CHAT, &chat(&exact)).await;
    assert_eq!(answer.head.status, 200, "the limit itself is allowed");
}

/// Clients that write all they have before they read would lose the answer to a reset.
#[tokio::test]
async fn who_is_still_sending_can_read_the_refusal() {
    let scripted = Scripted::start().await;
    let portico = small_limits(&scripted).await;
    let rest = vec![b'x'; 20 << 20];
    for (path, headers) in [
        (CHAT, &[JSON, ("Content-Length", "20971520")][..]),
        ("/v1/nothing", &[("Content-Length", "20971520")]),
    ] {
        let mut connection = portico.connect().await;
        connection.request("POST", path, headers, b"").await.expect("sent");
        tokio::time::timeout(SOON, connection.send(&rest)).await.expect("it is taken in").expect("no reset");
        let answer = connection.answer().await.expect("an answer that can be read");
        assert!(matches!(answer.head.status, 413 | 404));
        closes(&mut connection, &answer).await;
    }
}

#[tokio::test]
async fn who_asks_first_is_told_before_it_sends() {
    let scripted = Scripted::start().await;
    let portico = small_limits(&scripted).await;
    let body = chat("hello").to_string();
    let length = body.len().to_string();
    let expect = ("Expect", "100-continue");
    let mut connection = portico.connect().await;
    connection.request("POST", CHAT, &[JSON, expect, ("Content-Length", &length)], b"").await.expect("sent");
    assert_eq!(connection.head().await.expect("a head").status, 100);
    connection.send(&body).await.expect("sent");
    assert_eq!(connection.answer().await.expect("an answer").head.status, 200);
    for (path, status) in [(CHAT, 413), ("/v1/nothing", 404)] {
        let mut connection = portico.connect().await;
        let headers = [JSON, expect, ("Content-Length", "20971520")];
        connection.request("POST", path, &headers, b"").await.expect("sent");
        let head = connection.head().await.expect("a head");
        assert_eq!(head.status, status, "no 100 first: {head:?}");
        let body = connection.body().await.expect("a body");
        closes(&mut connection, &Answer { head, body }).await;
    }
}

#[tokio::test]
async fn large_heads_have_their_own_statuses() {
    let scripted = Scripted::start().await;
    let portico = small_limits(&scripted).await;
    let long = |length: usize| format!("/v1/models?{}", "x".repeat(length));
    for (target, length, count, status, code) in [
        (long(1100), 0, 0, 414, "target_too_long"),
        (long(60_000), 0, 0, 414, "target_too_long"),
        (long(70_000), 0, 0, 414, "target_too_long"),
        ("/v1/models".to_owned(), 5000, 0, 431, "headers_too_large"),
        ("/v1/models".to_owned(), 100_000, 0, 431, "headers_too_large"),
        ("/v1/models".to_owned(), 1_000_000, 0, 431, "headers_too_large"),
        ("/v1/models".to_owned(), 0, 30, 431, "headers_too_large"),
        ("/v1/models".to_owned(), 0, 300, 431, "headers_too_large"),
    ] {
        let mut text = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n");
        if length > 0 {
            text.push_str(&format!("X-Long: {}\r\n", "y".repeat(length)));
        }
        for number in 0..count {
            text.push_str(&format!("X-{number}: z\r\n"));
        }
        text.push_str("\r\n");
        let what = format!("{} bytes of target, {length} of header, {count} headers", target.len());
        let mut connection = portico.connect().await;
        connection.send(&text).await.expect("sent");
        let answer = connection.answer().await.unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(answer.head.status, status, "{what}");
        assert_error(&answer, status, "invalid_request_error", code);
        closes(&mut connection, &answer).await;
        let id = answer.head.header("x-request-id").expect("an id").to_owned();
        let line = portico.wait_for_record("access.log", &what, |line| line["id"] == id).await;
        assert_eq!((&line["status"], &line["reason"]), (&json!(status), &json!(code)), "{what}");
    }
}

#[tokio::test]
async fn all_bodies_together_have_a_limit() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .with("[limits]\nbody = \"900KiB\"\nbody_total = \"1MiB\"\n[timeouts]\nrequest_body_idle = \"20s\"")
        .start()
        .await;
    let body = chat(&"x".repeat(800_000)).to_string();
    let length = body.len().to_string();
    // Which of two that are read at once is refused is chance, and both may be: until it is the second alone, it is tried
    // again.
    testkit::wait::until(SOON, "the second body is refused, and the first is not", async || {
        let mut first = portico.connect().await;
        first.request("POST", CHAT, &[JSON, ("Content-Length", &length)], b"").await.expect("sent");
        first.send(&body[..body.len() - 1]).await.expect("sent");
        let answer = portico.once("POST", CHAT, &[JSON], body.as_bytes()).await;
        if answer.head.status == 200 {
            return None;
        }
        assert_error(&answer, 503, "overloaded_error", "server_busy");
        assert_eq!(portico.post_json(CHAT, &chat("small")).await.head.status, 200);
        // Refused, its connection may be closed already.
        first.send(&body[body.len() - 1..]).await.ok()?;
        let answer = first.answer().await.ok()?;
        if answer.head.status == 200 {
            return Some(());
        }
        assert_error(&answer, 503, "overloaded_error", "server_busy");
        None
    })
    .await;
    let again = portico.once("POST", CHAT, &[JSON], body.as_bytes()).await;
    assert_eq!(again.head.status, 200, "the share was given back");
}

#[tokio::test]
async fn slow_heads_and_bodies_end_at_their_deadlines() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .with("[timeouts]\nrequest_headers = \"1s\"\nrequest_body_idle = \"1s\"\nkeep_alive = \"1s\"")
        .start()
        .await;
    let soon = |started: Instant| {
        let took = started.elapsed();
        assert!(took >= Duration::from_millis(950) && took < Duration::from_secs(4), "{took:?}");
    };
    // A head that comes byte by byte does not earn more time.
    let started = Instant::now();
    let mut head = portico.connect().await;
    head.send("GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").await.expect("sent");
    let answer = loop {
        // Its client may still be writing when the answer comes.
        let _ = head.send(b"a").await;
        head.set_deadline(Duration::from_millis(50));
        match head.answer().await {
            Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {}
            answer => break answer.expect("an answer"),
        }
    };
    assert_error(&answer, 408, "timeout_error", "headers_timeout");
    soon(started);
    let line = record_because(&portico, "headers_timeout").await;
    assert_eq!(line["status"], 408);

    // One that came in one piece and never ends, too.
    let started = Instant::now();
    let mut head = portico.connect().await;
    head.send("GET /v1/models HTTP/1.1\r\nHost: localhost\r\n").await.expect("sent");
    let answer = head.answer().await.expect("an answer");
    soon(started);
    assert_error(&answer, 408, "timeout_error", "headers_timeout");
    closes(&mut head, &answer).await;
    let both = testkit::wait::until(SOON, "its record", async || {
        let lines = portico.records("access.log");
        Some(lines.iter().filter(|line| line["reason"] == "headers_timeout").count())
            .filter(|count| *count == 2)
    });
    both.await;

    // A connection that says nothing, or nothing more.
    let started = Instant::now();
    let mut mute = portico.connect().await;
    assert!(mute.is_closed_within(SOON).await);
    soon(started);
    let mut idle = portico.connect().await;
    idle.request("GET", "/health", &[], b"").await.expect("sent");
    idle.answer().await.expect("an answer");
    let started = Instant::now();
    assert!(idle.is_closed_within(SOON).await);
    soon(started);

    let started = Instant::now();
    let mut body = portico.connect().await;
    body.request("POST", CHAT, &[JSON, ("Content-Length", "1000")], b"{\"model\":").await.expect("sent");
    let answer = body.answer().await.expect("an answer");
    assert_error(&answer, 408, "timeout_error", "body_timeout");
    soon(started);
    closes(&mut body, &answer).await;
}

/// A body that nobody read must not be taken for the next request.
#[tokio::test]
async fn the_unread_body_of_a_refused_request_is_not_the_next_request() {
    let scripted = Scripted::start().await;
    let portico = small_limits(&scripted).await;
    let smuggled = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n";
    for length in [smuggled.len(), 70_000] {
        let mut connection = portico.connect().await;
        let body = smuggled.to_owned() + &" ".repeat(length - smuggled.len());
        connection.request("POST", "/v1/nothing", &[], body.as_bytes()).await.expect("sent");
        connection.request("GET", "/v1/models", &[], b"").await.expect("sent");
        assert_eq!(connection.answer().await.expect("an answer").head.status, 404);
        match connection.answer().await {
            Ok(next) => assert_eq!(next.json()["object"], "list", "after {length} bytes"),
            Err(_) => assert!(length > 64 * 1024, "a short one is read to its end and the connection kept"),
        }
        let health = portico.records("access.log").iter().filter(|line| line["path"] == "/health").count();
        assert!(health <= 2, "only those that waited for the start");
    }
}

#[tokio::test]
async fn two_requests_at_once_get_two_answers_in_order() {
    let scripted = Scripted::start().await;
    let portico = small_limits(&scripted).await;
    let mut connection = portico.connect().await;
    let mut both = String::new();
    for text in ["fault:slow-headers 200ms", "second"] {
        let body = chat(text).to_string();
        both += &format!(
            "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
    }
    both += "GET /v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n";
    connection.send(&both).await.expect("sent");
    let first = connection.answer().await.expect("an answer").json();
    assert_eq!(first["choices"][0]["message"]["content"], "You said: fault:slow-headers 200ms");
    let second = connection.answer().await.expect("an answer").json();
    assert_eq!(second["choices"][0]["message"]["content"], "You said: second");
    assert_eq!(connection.answer().await.expect("an answer").json()["object"], "list");
}

#[tokio::test]
async fn http_1_0_gets_an_answer_and_a_close() {
    let scripted = Scripted::start().await;
    let portico = small_limits(&scripted).await;
    for (text, wanted) in [
        ("GET /v1/models HTTP/1.0\r\n\r\n".to_owned(), "\"object\":\"list\""),
        (
            {
                let body = crate::setup::stream("hello").to_string();
                format!(
                    "POST {CHAT} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                    body.len()
                )
            },
            "data: [DONE]\n\n",
        ),
    ] {
        let mut connection = portico.connect().await;
        connection.send(&text).await.expect("sent");
        let all = String::from_utf8(connection.rest().await.expect("the end")).expect("text");
        assert!(all.starts_with("HTTP/1.0 200") || all.starts_with("HTTP/1.1 200"), "{all}");
        assert!(!all.to_ascii_lowercase().contains("transfer-encoding"), "{all}");
        assert!(all.contains(wanted), "{all}");
    }
}
