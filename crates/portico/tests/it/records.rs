//! One line a request, whatever happens to it, with exactly the contract's keys.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::{Value, json};
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::h2::Http2;
use crate::setup::{CHAT, Setup, asked, chat, record, records, stream};
use crate::streams::begun;

const KEYS: [&str; 22] = [
    "bytes_in",
    "bytes_out",
    "id",
    "images",
    "key",
    "method",
    "model",
    "path",
    "protocol",
    "queue_seconds",
    "reason",
    "remote",
    "seconds",
    "status",
    "stream",
    "time",
    "tls",
    "tokens_in",
    "tokens_out",
    "ttft_seconds",
    "user",
    "user_agent",
];

#[tokio::test]
async fn every_request_leaves_one_line_and_no_secret() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nupstream_first_byte = \"1s\"").start().await;
    let mut count = 0;
    for fault in
        ["", "error 500", "garbage", "close-early", "html", "silent", "die-mid-stream 2", "more-body"]
    {
        for streaming in [false, true] {
            let mut call = chat(&format!("fault:{fault}"));
            call["stream"] = json!(streaming);
            let mut connection = asked(&portico, &call).await;
            connection.head().await.expect("a head");
            while connection.piece().await.is_ok_and(|piece| piece.is_some()) {}
            count += 1;
        }
    }
    for path in
        ["/", "/v1/models?key=secret", "/v1/nothing", "/nothing", "/health/ready", "/v1/models/scripted"]
    {
        let headers = [("Authorization", "Bearer secret"), ("Cookie", "s=secret"), ("User-Agent", "test/1")];
        portico.once("GET", path, &headers, &[]).await;
        count += 1;
    }
    // Clients that leave, and bytes that are no request.
    let mut left = asked(&portico, &stream("fault:hang-mid-stream 2")).await;
    begun(&mut left).await;
    drop(left);
    for text in [
        "NONSENSE\r\n\r\n",
        "GET / HTTP/1.1\r\nbad header\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\x7c\x03\x03",
    ] {
        let mut connection = portico.connect().await;
        connection.send(text).await.expect("sent");
        connection.rest().await.expect("the close");
    }
    count += 4;
    // Several over one connection, one after the other and all at once.
    let mut connection = portico.connect().await;
    for _ in 0..5 {
        connection.post_json(CHAT, &chat("again")).await.expect("sent");
        connection.answer().await.expect("an answer");
    }
    let mut client = Http2::open(&portico).await;
    let answers: Vec<_> = (0..5).map(|_| client.post(CHAT, &stream("at once"))).collect();
    for answer in answers {
        answer.await.expect("an answer");
    }
    client.close().await;
    count += 10;

    let records = records(&portico, count).await;
    let mut ids = std::collections::HashSet::new();
    for record in &records {
        let mut keys: Vec<_> = record.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, KEYS, "{record}");
        assert!(ids.insert(record["id"].as_str().expect("an id").to_owned()), "{record}");
        assert!(
            record["time"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z')),
            "{record}"
        );
        assert_eq!(
            (&record["remote"], &record["user"], &record["tls"]),
            (&json!("127.0.0.1"), &json!(null), &json!(null))
        );
        assert!(record["seconds"].as_f64() >= record["ttft_seconds"].as_f64(), "{record}");
        let text = record.to_string();
        assert!(!text.contains("secret") && !text.contains("fault:") && !text.contains('?'), "{text}");
    }
    let of = |reason: &str| records.iter().filter(|record| record["reason"] == reason).count();
    assert_eq!((of("malformed_request"), of("client_left"), of("upstream_timeout")), (3, 1, 2));
    assert_eq!(portico.log_lines("access.log").len(), portico.records("access.log").len(), "no torn line");
    // One of the malformed requests names "/" too, and lines of two threads come in any order.
    let is_page = |record: &&Value| record["path"] == "/" && record["user_agent"] == "test/1";
    let page = records.iter().find(is_page).expect("the page");
    assert_eq!(page["status"], json!(200));
    assert!(page["bytes_out"].as_u64() > Some(100));
}

#[tokio::test]
async fn a_page_that_is_refused_is_not_completed() {
    let portico = Setup::before(&Scripted::start().await).start().await;
    portico.once("POST", "/", &[], &[]).await;
    portico.once("GET", "/", &[("Range", "bytes=99999999-")], &[]).await;
    let said = |record: &Value| (record["status"].clone(), record["reason"].clone());
    let mut said: Vec<_> = records(&portico, 2).await.iter().map(said).collect();
    said.sort_by_key(|(status, _)| status.as_u64());
    let wanted = [(405, "method_not_allowed"), (416, "range_not_satisfiable")];
    assert_eq!(said, wanted.map(|(status, reason)| (json!(status), json!(reason))));
}

#[tokio::test]
async fn a_line_says_what_was_asked_and_what_it_took() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let call = stream("fault:slow-stream 4 50ms");
    let mut connection = asked(&portico, &call).await;
    let head = connection.head().await.expect("a head");
    let body = connection.body().await.expect("a body");
    let line = record(&portico, &head).await;
    assert_eq!(
        (&line["method"], &line["path"], &line["status"], &line["reason"], &line["protocol"], &line["model"]),
        (
            &json!("POST"),
            &json!(CHAT),
            &json!(200),
            &json!("completed"),
            &json!("HTTP/1.1"),
            &json!("scripted")
        )
    );
    assert_eq!(
        (line["bytes_in"].as_u64(), line["bytes_out"].as_u64()),
        (Some(call.to_string().len() as u64), Some(body.len() as u64))
    );
    assert_eq!((&line["tokens_out"], &line["stream"], &line["images"]), (&json!(4), &json!(true), &json!(0)));
    assert!(line["tokens_in"].as_u64() > Some(0), "{line}");
    assert!(line["seconds"].as_f64() > Some(0.2) && line["ttft_seconds"].as_f64() < Some(0.19), "{line}");
    assert_eq!(line["queue_seconds"].as_f64(), Some(0.0));
}

#[tokio::test]
async fn a_line_is_on_disk_within_a_second_and_the_file_is_opened_anew() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let log = portico.folder().join("access.log");
    let head = portico.post_json(CHAT, &chat("first")).await.head;
    let answered = Instant::now();
    record(&portico, &head).await;
    assert!(answered.elapsed() < Duration::from_secs(1), "{:?}", answered.elapsed());

    std::fs::rename(&log, portico.folder().join("access.log.1")).expect("moved away");
    portico.process().signal(Signal::USR1);
    until(SOON, "the new file exists", async || log.exists().then_some(())).await;
    let head = portico.post_json(CHAT, &chat("second")).await.head;
    record(&portico, &head).await;
    let old = portico.records("access.log.1");
    assert!(old.iter().all(|line| line["id"] != head.header("x-request-id").expect("an id")));
    assert_eq!(old.iter().filter(|line| line["path"] == CHAT).count(), 1);
}

/// `rt=0.123`, `uct="0.000"` or `uct="-"`: the value of one of the recipe's times.
fn time(line: &str, name: &str) -> Option<f64> {
    let start = line.find(&format!(" {name}="))? + name.len() + 2;
    let value = line[start..].split(' ').next()?.trim_matches('"');
    if value == "-" {
        return None;
    }
    let (whole, thousandths) = value.split_once('.').expect("seconds with milliseconds");
    assert!(whole.bytes().all(|b| b.is_ascii_digit()) && thousandths.len() == 3, "{line}");
    Some(value.parse().expect("a number"))
}

/// The fixed part of the recipe's format, taken apart as a log reader would: address, stamp, request, status, bytes,
/// referer, agent.
fn fields(line: &str) -> Vec<String> {
    let (address, rest) = line.split_once(" - - [").unwrap_or_else(|| panic!("{line}"));
    let (stamp, rest) = rest.split_once("] \"").unwrap_or_else(|| panic!("{line}"));
    let (request, rest) = rest.split_once("\" ").unwrap_or_else(|| panic!("{line}"));
    let (numbers, rest) = rest.split_once(" \"").unwrap_or_else(|| panic!("{line}"));
    let (status, bytes) = numbers.split_once(' ').unwrap_or_else(|| panic!("{line}"));
    let (referer, rest) = rest.split_once("\" \"").unwrap_or_else(|| panic!("{line}"));
    let (agent, times) = rest.split_once("\" rt=").unwrap_or_else(|| panic!("{line}"));
    let shape: Vec<_> = times.split(' ').map(|part| part.split('=').next().unwrap_or_default()).collect();
    assert_eq!(shape[1..], ["uct", "uht", "urt"], "{line}");
    // 23/Nov/2026:15:52:29 +0000
    let digits: String = stamp.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let month = digits.get(3..6).unwrap_or_default().to_owned();
    assert!(month.chars().all(char::is_alphabetic), "{line}");
    assert_eq!(digits.replace(&month, "Mon").replace('-', "+"), "00/Mon/0000:00:00:00 +0000", "{line}");
    [address, request, status, bytes, referer, agent].map(str::to_owned).to_vec()
}

#[tokio::test]
async fn the_recipe_s_format_is_nginx_s() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).log("format = \"recipe\"").start().await;
    let headers =
        [("Content-Type", "application/json"), ("User-Agent", "a\"b\\c"), ("Referer", "http://localhost/x")];
    let whole = portico
        .once("POST", &format!("{CHAT}?key=secret"), &headers, chat("hi").to_string().as_bytes())
        .await;
    let streamed = portico.post_json(CHAT, &stream("fault:slow-stream 3 50ms")).await;
    let refused = portico.post_json(CHAT, &chat("fault:error 500")).await;
    let mut left = asked(&portico, &chat("fault:silent")).await;
    crate::streams::running(&scripted, 4).await;
    left.set_deadline(SOON);
    drop(left);
    let mut bad = portico.connect().await;
    bad.send("NONSENSE\r\n\r\n").await.expect("sent");
    bad.rest().await.expect("the close");

    let lines = until(SOON, "five lines", async || {
        let mut lines = portico.log_lines("access.log");
        lines.retain(|line| !line.contains("GET /health "));
        (lines.len() >= 5).then_some(lines)
    })
    .await;
    assert_eq!(lines.len(), 5, "{lines:#?}");
    // Threads hand their lines over one after the other, so the order between connections is open.
    let line = |part: &str| {
        lines.iter().find(|line| line.contains(part)).unwrap_or_else(|| panic!("{part}: {lines:#?}"))
    };
    let request = format!("POST {CHAT} HTTP/1.1");
    let first = line("http://localhost/x");
    let bytes = |answer: &testkit::client::Answer| answer.body.len().to_string();
    assert_eq!(
        fields(first),
        ["127.0.0.1", &request, "200", &bytes(&whole), "http://localhost/x", "a\\x22b\\x5Cc"]
    );
    for name in ["rt", "uct", "uht", "urt"] {
        assert!(time(first, name).is_some(), "{name}: {first}");
    }
    let second = line(&format!(" 200 {} \"-\" \"-\"", bytes(&streamed)));
    assert_eq!(fields(second)[1..], [&request, "200", &bytes(&streamed), "-", "-"]);
    assert!(time(second, "urt") >= Some(0.15) && time(second, "rt") >= time(second, "urt"), "{second}");
    assert!(time(second, "uht") < time(second, "urt"), "{second}");
    let third = line(" 502 ");
    assert_eq!(fields(third)[3], bytes(&refused));
    assert_eq!(fields(line(" 499 "))[1..4], [&request, "499", "0"]);
    let last = line(" 400 ");
    assert_eq!(fields(last)[1], "");
    assert!(last.ends_with(" uct=\"-\" uht=\"-\" urt=\"-\""), "{last}");
    assert!(!lines.concat().contains("secret"));
}

#[tokio::test]
async fn a_log_that_is_off_stays_off() {
    let scripted = Scripted::start().await;
    let text =
        Setup::before(&scripted).text().replace("access = \"{folder}/access.log\"", "access = \"off\"");
    let portico = testkit::portico::Portico::start(crate::support::binary(), &text).await;
    assert_eq!(portico.post_json(CHAT, &chat("hi")).await.head.status, 200);
    let value: Value = portico.get("/health/ready").await.json();
    assert_eq!(value["ready"], true);
    assert!(portico.log_lines("access.log").is_empty() && portico.records("stdout").is_empty());
}

/// A log that nobody reads any more, such as a terminal that was stopped with Ctrl-S.
#[tokio::test]
async fn an_error_log_that_hangs_costs_lines_and_no_traffic() {
    let folder = testkit::temporary::Folder::new();
    let path = folder.path().join("error.log");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    // Read and write at once, or opening one end would wait for the other.
    let mut pipe = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let setup = Setup::new().log(&format!("level = \"debug\"\nerror = {path:?}"));
    let portico = setup.start().await;
    // Each leaves a line of more than a hundred bytes: far more than a pipe holds and than may wait.
    for _ in 0..60 {
        let mut connection = portico.connect().await;
        for _ in 0..100 {
            connection.request("GET", "/", &[("Origin", "http://evil.example")], b"").await.expect("sent");
            assert_eq!(connection.answer().await.expect("an answer").head.status, 403);
        }
    }
    portico.process().signal(Signal::TERM);
    let mut said = Vec::new();
    let reading = std::thread::spawn(move || {
        let mut piece = vec![0; 1 << 16];
        while let Ok(bytes @ 1..) = std::io::Read::read(&mut pipe, &mut piece) {
            said.extend_from_slice(&piece[..bytes]);
            if String::from_utf8_lossy(&said).contains("lines of this log were lost") {
                return said;
            }
        }
        said
    });
    portico.process().wait(SOON).await;
    until(SOON, "what was lost is said", async || reading.is_finished().then_some(())).await;
    let said = String::from_utf8_lossy(&reading.join().unwrap()).into_owned();
    assert!(said.contains("evil.example"), "{}", &said[..said.len().min(2000)]);
}
