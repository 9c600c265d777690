//! `/v1/audio/transcriptions`: a form that is sent on while it comes.

use std::time::{Duration, Instant};

use testkit::client::Connection;
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::setup::{CHAT, Setup, assert_error, chat, record};

const PATH: &str = "/v1/audio/transcriptions";
const FORM: (&str, &str) = ("Content-Type", "multipart/form-data; boundary=b");
const MIB: usize = 1 << 20;

fn part(head: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Disposition: form-data; name={head}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn model() -> Vec<u8> {
    part("model", b"scripted")
}

fn file(bytes: usize) -> Vec<u8> {
    let mut sound = b"OggS\0".to_vec();
    sound.resize(bytes, b'x');
    part("file; filename=\"a.ogg\"", &sound)
}

fn form(parts: &[Vec<u8>]) -> Vec<u8> {
    [&parts.concat(), &b"--b--\r\n"[..]].concat()
}

fn setup(scripted: &Scripted) -> Setup {
    Setup::before(scripted).with("[policy]\nendpoints = [\"chat\", \"transcriptions\"]")
}

#[tokio::test]
async fn it_exists_only_where_the_configuration_names_it() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let answer = portico.once("POST", PATH, &[FORM], &form(&[model(), file(10)])).await;
    assert_error(&answer, 404, "not_found_error", "not_found");
    let portico = setup(&scripted).start().await;
    for (method, path) in [("GET", PATH), ("POST", "/v1/audio/translations"), ("POST", "/v1/audio/speech")] {
        assert_eq!(portico.once(method, path, &[], b"").await.head.status, 404, "{method} {path}");
    }
}

#[tokio::test]
async fn answers_come_in_the_format_that_was_asked_for() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    for (format, kind, wanted) in [
        ("", "application/json", "{\"text\":\"You said: 10 bytes\""),
        ("json", "application/json", "{\"text\":\"You said: 10 bytes\""),
        ("verbose_json", "application/json", "{\"text\":\"You said: 10 bytes\""),
        ("text", "text/plain; charset=utf-8", "You said: 10 bytes"),
        ("srt", "text/plain; charset=utf-8", "1\n00:00:00,000 --> "),
        ("vtt", "text/plain; charset=utf-8", "WEBVTT\n"),
    ] {
        let mut parts = vec![model(), file(10)];
        if !format.is_empty() {
            parts.push(part("response_format", format.as_bytes()));
        }
        let body = form(&parts);
        let answer = portico.once("POST", PATH, &[FORM], &body).await;
        assert_eq!((answer.head.status, answer.head.header("content-type")), (200, Some(kind)), "{format}");
        assert!(answer.text().starts_with(wanted), "{format}: {}", answer.text());
        let record = record(&portico, &answer.head).await;
        assert_eq!((&record["reason"], &record["model"]), (&"completed".into(), &"scripted".into()));
        assert_eq!(record["bytes_in"], body.len());
    }
}

#[tokio::test]
async fn errors_are_those_of_every_call() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[limits]\nbody = \"2MiB\"").start().await;
    let send = async |parts: &[Vec<u8>]| portico.once("POST", PATH, &[FORM], &form(parts)).await;
    let unknown = send(&[part("model", b"nobody"), file(10)]).await;
    assert_error(&unknown, 404, "not_found_error", "model_not_found");
    assert_error(&send(&[model(), file(3 * MIB)]).await, 413, "invalid_request_error", "body_too_large");
    let packed = [FORM, ("Content-Encoding", "gzip")];
    let packed = portico.once("POST", PATH, &packed, &form(&[model(), file(10)])).await;
    assert_error(&packed, 415, "invalid_request_error", "unsupported_media_type");
    assert!(scripted.requests_to(PATH).await.is_empty());
    for (fault, status, kind, code) in [
        ("html", 502, "upstream_error", "upstream_failed"),
        ("leaky-error", 502, "upstream_error", "upstream_failed"),
        ("short-body", 502, "upstream_error", "upstream_failed"),
        ("error 400", 400, "invalid_request_error", "upstream_rejected"),
        ("error 429", 503, "overloaded_error", "upstream_busy"),
    ] {
        scripted.set_fault(fault).await;
        let answer = send(&[model(), file(10)]).await;
        assert_error(&answer, status, kind, code);
        assert!(!answer.text().contains("127.0.0.1"));
    }
}

/// Sends the head of a chunked upload, and these bytes of its body.
async fn begun(portico: &Portico, body: &[u8]) -> Connection {
    let mut connection = portico.connect().await;
    let chunked = ("Transfer-Encoding", "chunked");
    connection.request("POST", PATH, &[FORM, chunked], b"").await.expect("sent");
    chunk(&mut connection, body).await;
    connection
}

async fn chunk(connection: &mut Connection, bytes: &[u8]) {
    let chunk = [format!("{:x}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    connection.send(chunk).await.expect("sent");
}

/// A large upload reaches the model server before it has ended, and a small one only when it has.
#[tokio::test]
async fn a_large_upload_is_sent_on_while_it_comes() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let whole = form(&[model(), file(3 * MIB)]);
    let mut small = begun(&portico, &whole[..MIB / 2]).await;
    let mut large = begun(&portico, &whole[..2 * MIB]).await;
    scripted
        .wait_for("the beginning of the large one", |request| (request.path() == PATH).then_some(()))
        .await;
    assert_eq!(scripted.requests_to(PATH).await.len(), 1, "the small one waits");
    for (connection, there) in [(&mut large, 2 * MIB), (&mut small, MIB / 2)] {
        chunk(connection, &whole[there..]).await;
        connection.send("0\r\n\r\n").await.expect("sent");
        let answer = connection.answer().await.expect("an answer");
        assert_eq!(answer.json()["text"], format!("You said: {} bytes", 3 * MIB));
    }
    let received = scripted.requests_to(PATH).await;
    assert_eq!(received[0].headers("transfer-encoding"), ["chunked"]);
    assert!(received.iter().all(|request| request.body_complete && request.body_length > 3 << 20));
    // With the whole there before it was sent, it goes with its length.
    let answer = portico.once("POST", PATH, &[FORM], &form(&[model(), file(10)])).await;
    assert_eq!(answer.head.status, 200);
    let last = scripted.requests_to(PATH).await.pop().expect("a request");
    assert_eq!(last.headers("content-length"), [last.body_length.to_string()]);
}

/// What is found in the middle of an upload ends it on both sides: the model server never sees a whole form.
#[tokio::test]
async fn a_fault_in_the_middle_leaves_a_torn_form() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).with("[queue]\nmax_running = 1").start().await;
    let large = [model(), file(3 * MIB)].concat();
    for (name, rest, code) in [
        ("an unknown field", form(&[part("url", b"x")]), "invalid_value"),
        ("a second file", form(&[file(10)]), "invalid_value"),
        ("a second form", [form(&[]), form(&[model(), file(10)])].concat(), "invalid_form"),
        ("no last boundary", Vec::new(), "invalid_form"),
    ] {
        let body = [&large[..], &rest].concat();
        let answer = portico.once("POST", PATH, &[FORM], &body).await;
        assert_error(&answer, 400, "invalid_request_error", code);
        let ended = |request: &testkit::scripted::Received| request.ended.clone();
        assert_eq!(scripted.wait_for("its end", ended).await, "client-closed", "{name}");
        assert!(!scripted.requests_to(PATH).await[0].body_complete, "{name}");
        scripted.forget_requests().await;
    }
    // Who leaves in the middle takes the request with him, and gives the only permit back.
    let left = begun(&portico, &large[..2 * MIB]).await;
    scripted.wait_for("the upload", |request| (request.path() == PATH).then_some(())).await;
    drop(left);
    scripted.wait_for("its end", |request| request.ended.clone()).await;
    assert_eq!(portico.post_json(CHAT, &chat("free?")).await.head.status, 200);
}

#[tokio::test]
async fn an_answer_before_the_end_of_the_upload_is_no_transcription() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    scripted.set_fault("early 400").await;
    let mut connection = begun(&portico, &[model(), file(2 * MIB)].concat()).await;
    let answer = connection.answer().await.expect("an answer");
    assert_error(&answer, 400, "invalid_request_error", "upstream_rejected");
    scripted.set_fault("").await;
    let answer = portico.once("POST", PATH, &[FORM], &form(&[model(), file(2 * MIB)])).await;
    assert_eq!(answer.head.status, 200);
}

#[tokio::test]
async fn f42_an_upload_that_stops_gives_its_permit_back() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted)
        .with("[queue]\nmax_running = 1\n[timeouts]\nrequest_body_idle = \"1s\"")
        .start()
        .await;
    let mut stopped = begun(&portico, &[model(), file(2 * MIB)].concat()).await;
    let began = Instant::now();
    let answer = stopped.answer().await.expect("an answer");
    assert_error(&answer, 408, "timeout_error", "body_timeout");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    until(SOON, "the permit", async || {
        (portico.post_json(CHAT, &chat("free?")).await.head.status == 200).then_some(())
    })
    .await;
}
