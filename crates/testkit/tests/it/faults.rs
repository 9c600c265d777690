//! One test a fault, or a few where they belong together.

use std::{
    io::ErrorKind,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use testkit::{
    client,
    scripted::Scripted,
    wait::{SOON, until},
};

use crate::{asked, chat, event_json, events};

const SILENCE: Duration = Duration::from_millis(200);

#[tokio::test]
async fn a_normal_answer_is_openai_s() {
    let server = Scripted::with(&["--model", "tiny"]).await;
    let mut connection = server.connect().await;
    connection.post_json("/v1/chat/completions", &chat("hello there", false)).await.unwrap();
    let answer = connection.answer().await.unwrap().json();
    assert_eq!(answer["choices"][0]["message"]["content"], "You said: hello there");
    assert_eq!(answer["model"], "tiny");
    assert_eq!(answer["usage"], json!({ "prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6 }));

    // On the same connection: models, completions, embeddings, health.
    connection.request("GET", "/v1/models", &[], &[]).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().json()["data"][0]["id"], "tiny");
    connection.post_json("/v1/completions", &json!({ "prompt": "a b", "max_tokens": 2 })).await.unwrap();
    let answer = connection.answer().await.unwrap().json();
    assert_eq!(
        (&answer["choices"][0]["text"], &answer["choices"][0]["finish_reason"]),
        (&json!("You said: "), &json!("length"))
    );
    connection.post_json("/v1/embeddings", &json!({ "input": ["a", "b"] })).await.unwrap();
    let answer = connection.answer().await.unwrap().json();
    assert_eq!(answer["data"][1]["embedding"].as_array().unwrap().len(), 8);
    connection.request("GET", "/health", &[], &[]).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().text(), r#"{"status":"ok"}"#);
    connection.request("GET", "/nowhere", &[], &[]).await.unwrap();
    assert_eq!(connection.answer().await.unwrap().head.status, 404);
    assert_eq!(server.connections().await.total, 1);
}

#[tokio::test]
async fn usage_is_streamed_only_when_asked_for() {
    let server = Scripted::on_unix_socket().await;
    for asked_for in [false, true] {
        let mut call = chat("hi", true);
        call["stream_options"] = json!({ "include_usage": asked_for });
        let mut connection = server.connect().await;
        connection.post_json("/v1/chat/completions", &call).await.unwrap();
        let head = connection.head().await.unwrap();
        assert_eq!(head.header("content-type"), Some("text/event-stream"));
        let events = events(&mut connection).await;
        assert_eq!(events.last().unwrap(), "data: [DONE]\n\n");
        let with_usage: Vec<_> = events.iter().filter(|event| event.contains("\"usage\"")).collect();
        assert_eq!(with_usage.len(), usize::from(asked_for));
        if asked_for {
            let last = event_json(with_usage[0]);
            assert_eq!(last["choices"], json!([]));
            assert_eq!(last["usage"]["completion_tokens"], 3);
        }
    }
}

#[tokio::test]
async fn the_fault_is_chosen_by_message_model_prompt_or_preset() {
    let server = Scripted::start().await;
    let address = server.address();
    for call in [
        json!({ "model": "fault:error 503", "messages": [] }),
        json!({ "messages": [{ "role": "user", "content": [{ "type": "text", "text": "fault:error 503" }] }] }),
    ] {
        assert_eq!(client::post_json(address, "/v1/chat/completions", &call).await.unwrap().head.status, 503);
    }
    let call = json!({ "prompt": "fault:error 503" });
    assert_eq!(client::post_json(address, "/v1/completions", &call).await.unwrap().head.status, 503);

    server.set_fault("error 429").await;
    let status =
        async |path: &str, body: &Value| client::post_json(address, path, body).await.unwrap().head.status;
    assert_eq!(status("/v1/chat/completions", &chat("hi", false)).await, 429);
    assert_eq!(
        status("/v1/chat/completions", &chat("fault:error 500", false)).await,
        500,
        "its own word goes first"
    );
    assert_eq!(client::get(address, "/health").await.unwrap().head.status, 200);
    server.set_fault_for_all("error 503").await;
    assert_eq!(client::get(address, "/health").await.unwrap().head.status, 503);
    server.set_fault("").await;
    assert_eq!(status("/v1/chat/completions", &chat("hi", false)).await, 200);

    // What is misspelt is no normal answer.
    assert_eq!(status("/v1/chat/completions", &chat("fault:silnt", false)).await, 400);
    let answer = client::once(address, "PUT", "/_scripted/fault", &[], b"silnt").await.unwrap();
    assert_eq!(answer.head.status, 400);
}

#[tokio::test]
async fn silence_and_slowness() {
    let server = Scripted::start().await;
    let mut silent = asked(&server, "fault:silent", true).await;
    silent.set_deadline(SILENCE);
    assert_eq!(silent.head().await.unwrap_err().kind(), ErrorKind::TimedOut);

    let started = Instant::now();
    let mut slow = asked(&server, "fault:slow-headers 300ms", false).await;
    assert_eq!(slow.answer().await.unwrap().head.status, 200);
    assert!(started.elapsed() >= Duration::from_millis(300));

    let mut paced = asked(&server, "fault:slow-stream 5 40ms", true).await;
    paced.head().await.unwrap();
    let mut times = Vec::new();
    while let Some(event) = paced.event().await.unwrap() {
        if event.contains("word") {
            times.push(Instant::now());
        }
    }
    assert_eq!(times.len(), 5);
    assert!(times[4] - times[0] >= Duration::from_millis(150), "{times:?}");

    let mut hung = asked(&server, "fault:hang-mid-stream 3", true).await;
    hung.head().await.unwrap();
    for _ in 0..3 {
        hung.event().await.unwrap().unwrap();
    }
    hung.set_deadline(SILENCE);
    assert_eq!(hung.event().await.unwrap_err().kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn closing_without_an_answer() {
    let server = Scripted::start().await;
    let mut closed = asked(&server, "fault:close-early", true).await;
    assert_eq!(closed.head().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
    let mut reset = asked(&server, "fault:reset", true).await;
    assert_eq!(reset.head().await.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let ended: Vec<_> = server.requests().await.into_iter().map(|request| request.ended.unwrap()).collect();
    assert_eq!(ended, ["server-closed", "server-closed"]);
}

#[tokio::test]
async fn dying_in_a_stream() {
    let server = Scripted::start().await;
    for (fault, last_error) in [
        ("fault:die-mid-stream 5", ErrorKind::UnexpectedEof),
        ("fault:die-mid-stream 5 reset", ErrorKind::ConnectionReset),
    ] {
        let mut connection = asked(&server, fault, true).await;
        connection.head().await.unwrap();
        for _ in 0..5 {
            connection.event().await.unwrap().unwrap();
        }
        assert_eq!(connection.event().await.unwrap_err().kind(), last_error, "{fault}");
    }

    let mut connection = asked(&server, "fault:die-mid-event", true).await;
    connection.head().await.unwrap();
    connection.event().await.unwrap().unwrap();
    connection.event().await.unwrap().unwrap();
    let half = connection.piece().await.unwrap().unwrap();
    assert!(half.starts_with(b"data: {") && !half.ends_with(b"\n"));
    assert_eq!(connection.piece().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);

    let mut connection = asked(&server, "fault:bad-chunk", true).await;
    connection.head().await.unwrap();
    connection.event().await.unwrap().unwrap();
    connection.event().await.unwrap().unwrap();
    assert_eq!(connection.event().await.unwrap_err().kind(), ErrorKind::InvalidData);

    // Without streaming, the body is cut.
    let mut connection = asked(&server, "fault:die-mid-stream 5", false).await;
    assert_eq!(connection.answer().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn ending_a_stream_in_odd_order() {
    let server = Scripted::start().await;
    let mut early = asked(&server, "fault:end-early 4", true).await;
    early.head().await.unwrap();
    let got = events(&mut early).await;
    assert_eq!(got.len(), 4);
    assert!(!got.iter().any(|event| event.contains("[DONE]")));

    let mut dead = asked(&server, "fault:engine-dead 4", true).await;
    dead.head().await.unwrap();
    let got = events(&mut dead).await;
    assert_eq!(got.len(), 6);
    assert!(event_json(&got[4])["error"]["message"].as_str().unwrap().contains("EngineCore"));
    assert_eq!(got[5], "data: [DONE]\n\n");
}

#[tokio::test]
async fn heads_that_are_wrong() {
    let server = Scripted::start().await;
    let mut garbage = asked(&server, "fault:garbage", false).await;
    assert_eq!(garbage.head().await.unwrap_err().kind(), ErrorKind::InvalidData);

    let mut odd = asked(&server, "fault:status HTTP/1.1 999 Odd", false).await;
    assert_eq!(odd.head().await.unwrap().lines[0], "HTTP/1.1 999 Odd");

    let mut two = asked(&server, "fault:two-lengths", false).await;
    let head = two.head().await.unwrap();
    let lengths = head.headers("content-length");
    assert_eq!(lengths.len(), 2);
    assert_ne!(lengths[0], lengths[1]);

    let mut both = asked(&server, "fault:te-and-length", false).await;
    let answer = both.answer().await.unwrap();
    assert!(
        answer.head.header("content-length").is_some() && answer.head.header("transfer-encoding").is_some()
    );
    assert!(answer.json().is_object());

    for (fault, headers, bytes) in
        [("fault:huge-headers 300000", 3, 300_000), ("fault:many-headers 400", 402, 0)]
    {
        let mut connection = asked(&server, fault, false).await;
        let head = connection.head().await.unwrap();
        assert_eq!(head.lines.len() - 1, headers, "{fault}");
        assert!(head.lines.join("\r\n").len() > bytes);
    }

    let mut switched = asked(&server, "fault:switch", false).await;
    assert_eq!(switched.head().await.unwrap().status, 101);

    let mut html = asked(&server, "fault:html", false).await;
    assert_eq!(html.head().await.unwrap().header("content-type"), Some("text/html"));
}

#[tokio::test]
async fn informational_answers() {
    let server = Scripted::start().await;
    let mut hints = asked(&server, "fault:early-hints", false).await;
    assert_eq!(hints.head().await.unwrap().status, 103);
    assert_eq!(hints.answer().await.unwrap().head.status, 200);

    let mut endless = asked(&server, "fault:endless-1xx", false).await;
    for _ in 0..50 {
        assert_eq!(endless.head().await.unwrap().status, 103);
    }
}

#[tokio::test]
async fn lengths_that_are_wrong() {
    let server = Scripted::start().await;
    let mut more = asked(&server, "fault:more-body 7", false).await;
    assert!(more.answer().await.unwrap().json().is_object());
    assert_eq!(more.read().await.unwrap(), b"mmmmmmm");

    let mut short = asked(&server, "fault:short-body", false).await;
    assert_eq!(short.answer().await.unwrap_err().kind(), ErrorKind::UnexpectedEof);
}

#[tokio::test]
async fn errors() {
    let server = Scripted::start().await;
    for (fault, status) in [("fault:error-500", 500), ("fault:error 422", 422)] {
        let answer = asked(&server, fault, true).await.answer().await.unwrap();
        assert_eq!(answer.head.status, status);
        assert_eq!(answer.json()["error"]["code"], status);
    }
    let answer = asked(&server, "fault:leaky-error", true).await.answer().await.unwrap();
    assert!(answer.text().contains("127.0.0.1") && answer.text().contains("/opt/models"));
}

#[tokio::test]
async fn events_cut_and_written_oddly() {
    let server = Scripted::start().await;
    let mut cut = asked(&server, "fault:split-events", true).await;
    cut.head().await.unwrap();
    let (mut body, mut within_a_character, mut sizes) = (Vec::new(), 0, Vec::new());
    while let Some(piece) = cut.piece().await.unwrap() {
        sizes.push(piece.len());
        body.extend(piece);
        within_a_character += usize::from(std::str::from_utf8(&body).is_err());
    }
    assert_eq!(&sizes[..15], &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 1, 2]);
    assert!(within_a_character > 0, "no cut within a character");
    let body = String::from_utf8(body).unwrap();
    let text: String = body
        .split_terminator("\n\n")
        .filter_map(|event| event_json(event)["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "Grüße 世界 🙂 done");

    let mut crlf = asked(&server, "fault:crlf-events", true).await;
    crlf.head().await.unwrap();
    let events = events(&mut crlf).await;
    assert!(events.iter().all(|event| event.ends_with("\r\n\r\n")), "{events:?}");
    assert!(events[0].starts_with(": a comment\r\nevent: message\r\ndata:{"));
    assert_eq!(events.last().unwrap(), "data:[DONE]\r\n\r\n");
}

#[tokio::test]
async fn a_flood_is_held_back_by_a_reader_that_stops() {
    let server = Scripted::start().await;
    let mut connection = asked(&server, "fault:flood 500 200000", true).await;
    connection.head().await.unwrap();
    let sent = async || server.requests().await[0].bytes_sent;
    // What the sockets hold is sent; then nothing more.
    let held = until(SOON, "the flood stands still", async || {
        let before = sent().await;
        tokio::time::sleep(SILENCE).await;
        (before > 0 && sent().await == before).then_some(before)
    })
    .await;
    assert!(held < 30_000_000, "{held}");
    let mut big = 0;
    while let Some(event) = connection.event().await.unwrap() {
        big += usize::from(event.len() > 200_000);
    }
    assert_eq!(big, 500);
    assert!(sent().await > 100_000_000);
}

#[tokio::test]
async fn a_kept_connection_closes_when_nobody_looks() {
    let server = Scripted::start().await;
    let mut connection = asked(&server, "fault:close-idle 100ms", false).await;
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.head.header("connection"), None);
    assert!(connection.is_closed_within(SOON).await);

    let mut kept = asked(&server, "hi", false).await;
    kept.answer().await.unwrap();
    assert!(!kept.is_closed_within(SILENCE).await);
}

#[tokio::test]
async fn headers_that_must_not_pass() {
    let server = Scripted::start().await;
    for stream in [false, true] {
        let mut connection = asked(&server, "fault:acao", stream).await;
        let head = connection.head().await.unwrap();
        for name in
            ["access-control-allow-origin", "server", "set-cookie", "keep-alive", "x-nominated", "trailer"]
        {
            assert!(head.header(name).is_some(), "{name} is missing in {:?}", head.lines);
        }
        assert!(!connection.body().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn answers_before_the_body() {
    let server = Scripted::start().await;
    server.set_fault("early 413").await;
    let mut connection = server.connect().await;
    connection
        .send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
        .await
        .unwrap();
    let answer = connection.answer().await.unwrap();
    assert_eq!(answer.head.status, 413);
    assert!(connection.is_closed_within(SOON).await);

    server.set_fault("unread").await;
    let mut connection = server.connect().await;
    connection
        .send("POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        .await
        .unwrap();
    // More than the sockets hold cannot be sent.
    let upload = tokio::time::timeout(SILENCE * 2, connection.send(vec![b'a'; 99_999_999])).await;
    assert!(upload.is_err(), "the body was read");
    // A close would wait behind the bytes that nobody reads; a reset overtakes them.
    connection.reset().unwrap();
    let wanted =
        |request: &testkit::scripted::Received| (request.fault == "unread").then(|| request.ended.clone())?;
    assert_eq!(server.wait_for("the client's end is seen", wanted).await, "client-closed");
}
