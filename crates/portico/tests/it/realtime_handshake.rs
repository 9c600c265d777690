//! How a session begins: the handshakes of clients, and the one that the model server gets.

use serde_json::json;
use testkit::client::Answer;
use testkit::frames::{Block, END_STREAM, Http2};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};
use testkit::websocket::{self, KEY, WebSocket, frame::Frame};

use crate::realtime::{PATH, UPDATE, ended, reached_nobody, refusal, setup, stranger, switches};
use crate::setup::assert_error;

#[tokio::test]
async fn handshakes_are_taken_only_in_their_one_form() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    for headers in [
        &[("Upgrade", "WebSocket")][..],
        &[("Connection", "keep-alive, upgrade")],
        &[("Connection", "keep-alive"), ("Connection", "Upgrade")],
        &[("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits")],
        &[("User-Agent", "somebody/1"), ("OpenAI-Beta", "realtime=v1"), ("Authorization", "Bearer x")],
    ] {
        let head = switches(&portico, PATH, headers).await;
        let chosen = ["sec-websocket-extensions", "sec-websocket-protocol", "content-length", "server"];
        assert!(chosen.into_iter().all(|name| head.header(name).is_none()), "{:?}", head.lines);
    }
    scripted.forget_requests().await;
    let connections = scripted.connections().await.total;
    for headers in [
        &[("Upgrade", "h2c")][..],
        &[("Upgrade", "h2c, websocket")],
        &[("Upgrade", "websocket/13")],
        &[("Connection", "close")],
        &[("Connection", "keep-alive")],
        &[("Sec-WebSocket-Version", "8")],
        &[("Sec-WebSocket-Version", "013")],
        &[("Sec-WebSocket-Version", "13, 8")],
    ] {
        wants_upgrade(&refusal(&portico, PATH, headers).await, headers);
    }
    for missing in ["Upgrade", "Connection", "Sec-WebSocket-Version"] {
        wants_upgrade(&without(&portico, missing).await, &[(missing, "")]);
    }
    wants_upgrade(&portico.get(PATH).await, &[]);
    let plain = "dGhlIHNhbXBsZSBub25jZR==";
    for headers in [
        &[("Sec-WebSocket-Key", "")][..],
        &[("Sec-WebSocket-Key", "c2hvcnQ=")],
        &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ")],
        &[("Sec-WebSocket-Key", plain)],
        &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25-_w==")],
        &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZWFhYWE=")],
        &[("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)],
        &[("Upgrade", "websocket"), ("Upgrade", "websocket")],
        &[("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Version", "13")],
        &[("Content-Length", "0")],
    ] {
        let answer = refusal(&portico, PATH, headers).await;
        assert_eq!((answer.head.status, &answer.json()["error"]["code"]), (400, &json!("malformed_request")));
    }
    let answer = without(&portico, "Sec-WebSocket-Key").await;
    assert_eq!((answer.head.status, &answer.json()["error"]["code"]), (400, &json!("malformed_request")));
    // With a body, also one that comes in the same write.
    for (headers, body) in [("Content-Length: 4", "abcd"), ("Transfer-Encoding: chunked", "0\r\n\r\n")] {
        let mut socket = WebSocket::open(&portico.address()).await;
        let head = websocket::request(&format!("GET {PATH} HTTP/1.1"), &websocket::headers(&[]));
        let head = head.replace("\r\n\r\n", &format!("\r\n{headers}\r\n\r\n{body}"));
        socket.send_raw(head).await.expect("sent");
        assert_eq!(socket.connection().answer().await.expect("an answer").head.status, 400, "{headers}");
    }
    assert_eq!(scripted.connections().await.total, connections, "nobody reached the model server");
    stranger(&portico).await;
}

/// What a client has to do is in the head, and the connection may go on.
fn wants_upgrade(answer: &Answer, of: &[(&str, &str)]) {
    assert_eq!(answer.head.status, 426, "{of:?}: {}", answer.text());
    assert_eq!(answer.json()["error"]["code"], "upgrade_required");
    assert_eq!(answer.head.headers("upgrade"), ["websocket"], "{of:?}");
    assert_eq!(answer.head.headers("sec-websocket-version"), ["13"], "{of:?}");
    let connection = answer.head.header("connection").unwrap_or_default().to_ascii_lowercase();
    assert!(connection.contains("upgrade"), "a field of one hop is named in Connection: {:?}", answer.head);
}

/// The answer to a handshake that lacks a header.
async fn without(portico: &Portico, name: &str) -> Answer {
    let headers: Vec<_> = websocket::HANDSHAKE.into_iter().filter(|(key, _)| *key != name).collect();
    let mut socket = WebSocket::open(&portico.address()).await;
    let head = socket.handshake_of(&format!("GET {PATH} HTTP/1.1"), &headers).await.expect("a head");
    socket.body_of(head).await.expect("a body")
}

#[tokio::test]
async fn older_and_newer_http_has_no_sessions() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let mut socket = WebSocket::open(&portico.address()).await;
    let line = format!("GET {PATH} HTTP/1.0");
    let head = socket.handshake_of(&line, &websocket::HANDSHAKE).await.expect("a head");
    assert!(matches!(head.status, 400 | 426 | 505), "{:?}", head.lines);
    let mut client = Http2::open(&portico.address()).await;
    client.send(&Block::request("GET", PATH).headers(1, END_STREAM)).await;
    assert_eq!(client.answer(1).await.status, Some(426));
    let mut client = crate::h2::Http2::open(&portico).await;
    let answer = client.get(PATH).await;
    assert_eq!((answer.status, answer.headers.get("upgrade")), (426, None), "HTTP/2 has no such field");
    client.close().await;
    reached_nobody(&scripted).await;
}

#[tokio::test]
async fn pages_of_other_sites_stay_out() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let own = format!("localhost:{}", portico.port(""));
    let own_page = format!("http://{own}");
    switches(&portico, PATH, &[("Host", &own), ("Origin", &own_page)]).await;
    let page = [("Host", own.as_str()), ("Origin", "http://localhost:1")];
    assert_error(&refusal(&portico, PATH, &page).await, 403, "permission_error", "origin_refused");
    let page = [("Origin", "https://evil.example")];
    assert_error(&refusal(&portico, PATH, &page).await, 403, "permission_error", "not_local");

    let portico = setup(&scripted)
        .site("names = [\"chat.example.com\"]")
        .with("[tls]\nissuer = \"off\"\n[access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\"]")
        .start()
        .await;
    let host = ("Host", "chat.example.com");
    for origin in ["http://chat.example.com", "http://CHAT.example.com:80"] {
        switches(&portico, PATH, &[host, ("Origin", origin)]).await;
    }
    switches(&portico, PATH, &[host]).await;
    scripted.forget_requests().await;
    for origins in [
        &["https://evil.example"][..],
        &["http://chat.example.com.evil.example"],
        &["http://evil.example#chat.example.com"],
        &["http://chat.example.com@evil.example"],
        &["http://chat.example.com:8080"],
        &["http://chat.example.com/"],
        &["null"],
        &[""],
        &["chat.example.com"],
        &["file://"],
        &["ftp://chat.example.com"],
        &["http://chat.example.com", "http://chat.example.com"],
        &["http://chat.example.com http://evil.example"],
    ] {
        let headers: Vec<_> =
            std::iter::once(host).chain(origins.iter().map(|origin| ("Origin", *origin))).collect();
        let answer = refusal(&portico, PATH, &headers).await;
        assert_error(&answer, 403, "permission_error", "origin_refused");
    }
    assert!(scripted.requests().await.is_empty());
}

#[tokio::test]
async fn the_address_names_the_model() {
    let scripted = Scripted::start().await;
    let endpoint = scripted.endpoint();
    let portico = setup(&scripted).start().await;
    for query in ["", "?model=scripted", "?model=script%65d&intent=transcription", "?intent=x"] {
        switches(&portico, &format!("{PATH}{query}"), &[]).await;
    }
    for received in scripted.requests_to(PATH).await {
        assert_eq!(received.head[0], "GET /v1/realtime HTTP/1.1");
    }
    let portico =
        setup(&scripted).model("a/b", &[&endpoint], "upstream_name = \"scripted-model\"").start().await;
    switches(&portico, &format!("{PATH}?model=a%2Fb"), &[]).await;
    scripted.forget_requests().await;
    let answer = refusal(&portico, PATH, &[]).await;
    assert_error(&answer, 400, "invalid_request_error", "invalid_value");
    assert_eq!(answer.json()["error"]["param"], "model");
    for (query, status, code) in [
        ("?model=nobody", 404, "model_not_found"),
        ("?model=SCRIPTED", 404, "model_not_found"),
        ("?model=scripted&model=scripted", 400, "invalid_value"),
        ("?model=scripted&model=a%2Fb", 400, "invalid_value"),
        ("?model=scripted&key=secret", 400, "invalid_value"),
        ("?model=scripted&call_id=1", 400, "invalid_value"),
        ("?model=%ff", 400, "invalid_value"),
    ] {
        let answer = refusal(&portico, &format!("{PATH}{query}"), &[]).await;
        assert_eq!((answer.head.status, &answer.json()["error"]["code"]), (status, &json!(code)), "{query}");
        assert!(!answer.text().contains("secret"), "{}", answer.text());
    }
    assert!(scripted.requests().await.is_empty());
}

#[tokio::test]
async fn a_subprotocol_is_chosen_only_where_it_is_realtime() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    for (offered, chosen) in [
        (&["realtime"][..], &["realtime"][..]),
        (&["openai-insecure-api-key.sk-secret, realtime"], &["realtime"]),
        (&["x", "realtime"], &["realtime"]),
        (&["chat"], &[]),
        (&["realtime2, Realtime"], &[]),
    ] {
        let headers: Vec<_> = offered.iter().map(|offer| ("Sec-WebSocket-Protocol", *offer)).collect();
        let head = switches(&portico, PATH, &headers).await;
        assert_eq!(head.headers("sec-websocket-protocol"), chosen, "{offered:?}");
    }
}

#[tokio::test]
async fn the_model_server_gets_a_handshake_of_portico_s_own() {
    let scripted = Scripted::start().await;
    let portico = setup(&scripted).start().await;
    let own = format!("localhost:{}", portico.port(""));
    let page = format!("http://{own}");
    let headers = [
        ("Host", own.as_str()),
        ("Origin", &page),
        ("Cookie", "session=secret"),
        ("Authorization", "Bearer secret"),
        ("Sec-WebSocket-Protocol", "realtime, secret"),
        ("Sec-WebSocket-Extensions", "permessage-deflate"),
        ("OpenAI-Beta", "realtime=v1"),
        ("X-Odd", "secret"),
    ];
    switches(&portico, &format!("{PATH}?model=scripted&intent=secret"), &headers).await;
    let received = ended(&scripted).await;
    assert_eq!(received.head[0], "GET /v1/realtime HTTP/1.1");
    assert_eq!(received.headers("host"), [scripted.endpoint().trim_start_matches("http://")]);
    assert_eq!(received.headers("upgrade"), ["websocket"]);
    let connection = received.headers("connection");
    assert!(connection.len() == 1 && connection[0].eq_ignore_ascii_case("upgrade"), "{connection:?}");
    assert_eq!(received.headers("sec-websocket-version"), ["13"]);
    let keys = received.headers("sec-websocket-key");
    assert!(keys.len() == 1 && keys[0].len() == 24 && keys[0] != KEY, "{keys:?}");
    assert_eq!(received.headers("x-request-id").len(), 1);
    let all = received.head.join("\n").to_ascii_lowercase();
    for absent in ["secret", "origin:", "cookie:", "protocol:", "extensions:", "content-length:", "beta"] {
        assert!(!all.contains(absent), "{absent}: {all}");
    }
    // Another one for each session.
    let key = keys[0].to_owned();
    scripted.forget_requests().await;
    stranger(&portico).await;
    assert_ne!(ended(&scripted).await.headers("sec-websocket-key"), [key]);
}

#[tokio::test]
async fn bytes_before_the_answer_belong_to_nobody() {
    let scripted = Scripted::start().await;
    scripted.set_fault_for_all("ws-slow 500ms").await;
    let portico = setup(&scripted).start().await;
    let handshake = websocket::request(&format!("GET {PATH} HTTP/1.1"), &websocket::headers(&[]));
    let early = Frame::new(1, UPDATE).masked().bytes();
    for in_one_write in [true, false] {
        let mut socket = WebSocket::open(&portico.address()).await;
        socket.send_raw(&handshake).await.expect("sent");
        if !in_one_write {
            until(SOON, "the model server has been asked", async || {
                (!scripted.requests_to(PATH).await.is_empty()).then_some(())
            })
            .await;
        }
        socket.send_raw(&early).await.expect("sent");
        let answer = socket.connection().answer().await.expect("an answer");
        assert_eq!((answer.head.status, &answer.json()["error"]["code"]), (400, &json!("malformed_request")));
        assert!(socket.is_closed_within(SOON).await);
        until(SOON, "the model server's connection is closed", async || {
            (scripted.connections().await.open == 0).then_some(())
        })
        .await;
        assert!(scripted.requests_to(PATH).await.iter().all(|request| request.messages().is_empty()));
        scripted.forget_requests().await;
    }
    scripted.set_fault_for_all("").await;
    stranger(&portico).await;
}
