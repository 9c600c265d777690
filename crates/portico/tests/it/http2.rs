//! HTTP/2 with prior knowledge: the same answers, many at once over one connection.

use bytes::Bytes;
use http_body_util::Full;
use serde_json::{Value, json};
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::h2::Http2;
use crate::setup::{CHAT, Setup, chat, stream};

#[tokio::test]
async fn many_streams_share_one_connection() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut client = Http2::open(&portico).await;
    let mut answers = Vec::new();
    for number in 0..90 {
        let text = format!("this is number {number}");
        let call = if number % 2 == 0 { stream(&text) } else { chat(&text) };
        answers.push((number, client.post(CHAT, &call)));
    }
    for (number, answer) in answers {
        let answer = tokio::time::timeout(SOON, answer).await.expect("in time").expect("an answer");
        assert_eq!((answer.status, answer.cut), (200, false));
        assert!(answer.headers.contains_key("x-request-id") && !answer.headers.contains_key("connection"));
        if number % 2 == 0 {
            assert!(answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
            let last = answer.text.split("\n\n").nth(6).unwrap_or_default();
            assert!(last.contains(&format!("\"content\":\"{number}\"")), "{}", answer.text);
        } else {
            let json: Value = serde_json::from_str(&answer.text).expect("JSON");
            assert_eq!(
                json["choices"][0]["message"]["content"],
                format!("You said: this is number {number}")
            );
        }
    }
    until(SOON, "90 records of HTTP/2", async || {
        let lines = portico.records("access.log");
        (lines.iter().filter(|line| line["protocol"] == "HTTP/2.0").count() == 90).then_some(())
    })
    .await;
    client.close().await;
}

#[tokio::test]
async fn refusals_leave_the_connection_and_its_other_streams() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .with("[limits]\nbody = \"100KiB\"\nheader_bytes = \"4KiB\"\ntarget_bytes = \"1KiB\"")
        .start()
        .await;
    let mut client = Http2::open(&portico).await;
    let slow = client.post(CHAT, &stream("fault:slow-stream 10 100ms"));
    let post = |client: &Http2, path: &str, body: Vec<u8>| {
        let request = client.request("POST", path).header("content-type", "application/json");
        request.body(Full::new(Bytes::from(body))).expect("a request")
    };
    let get = |client: &Http2, path: &str| client.request("GET", path);
    let requests = [
        (post(&client, CHAT, vec![b' '; 3 << 20]), 413, "body_too_large"),
        (post(&client, "/v1/nothing", vec![b' '; 3 << 20]), 404, "not_found"),
        (post(&client, CHAT, b"{".to_vec()), 400, "invalid_json"),
        (
            get(&client, &format!("/v1/models?{}", "x".repeat(2000)))
                .body(Full::default())
                .expect("a request"),
            414,
            "target_too_long",
        ),
        (
            get(&client, "/v1/models")
                .header("x-long", "y".repeat(5000))
                .body(Full::default())
                .expect("a request"),
            431,
            "headers_too_large",
        ),
        (
            get(&client, "/v1/models")
                .header("x-forwarded-for", "1.2.3.4")
                .body(Full::default())
                .expect("a request"),
            403,
            "not_local",
        ),
        (
            get(&client, "/v1/models")
                .header("host", "evil.example")
                .body(Full::default())
                .expect("a request"),
            400,
            "malformed_request",
        ),
    ];
    for (request, status, code) in requests {
        let answer = client.send(request).await.unwrap_or_else(|error| panic!("{status} {code}: {error:?}"));
        assert_eq!(answer.status, status, "{}", answer.text);
        let json: Value = serde_json::from_str(&answer.text).expect("JSON");
        assert_eq!(json["error"]["code"], code);
        assert!(!answer.cut);
    }
    let slow = slow.await.expect("an answer");
    assert!(slow.text.ends_with("data: [DONE]\n\n"), "{}", slow.text);
    assert_eq!(client.get("/health").await.text, "OK");
    client.close().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_even_if_its_client_is_silent() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nkeep_alive = \"1s\"").start().await;
    let mut client = Http2::open(&portico).await;
    assert_eq!(client.get("/health").await.status, 200);
    until(SOON, "the server ends an idle connection", async || client.is_closed().then_some(())).await;

    // A preface and nothing more: this client never answers a ping.
    let mut silent = portico.connect().await;
    silent.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("sent");
    silent.rest().await.expect("the server closes");
    until(SOON, "nobody is connected", async || {
        (crate::setup::status(&portico).await["connections"] == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_head_reaches_the_model_server_as_over_http_1() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut client = Http2::open(&portico).await;
    let request = client
        .request("POST", &format!("{CHAT}?key=secret"))
        .header("content-type", "application/json")
        .header("authorization", "Bearer secret")
        .header("cookie", "a=secret")
        .body(Full::from(chat("hi").to_string()))
        .expect("a request");
    assert_eq!(client.send(request).await.expect("an answer").status, 200);
    let received = &scripted.requests_to(CHAT).await[0];
    assert_eq!(received.head[0], format!("POST {CHAT} HTTP/1.1"));
    assert_eq!(received.headers("host"), [scripted.endpoint().trim_start_matches("http://")]);
    assert!(!received.head.join("\n").contains("secret"));
    assert_eq!(received.json()["messages"], json!([{ "role": "user", "content": "hi" }]));
    client.close().await;
}
