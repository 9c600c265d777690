//! Who may come in: the rules of local mode, of networks, and the names of the site.

use testkit::client::{self, Answer};
use testkit::portico::Portico;
use testkit::scripted::Scripted;

use crate::setup::{Setup, assert_error};

async fn get(portico: &Portico, path: &str, headers: &[(&str, &str)]) -> Answer {
    portico.once("GET", path, headers, &[]).await
}

#[tokio::test]
async fn local_mode_answers_only_this_machine_itself() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let port = portico.port("");
    let own = format!("127.0.0.1:{port}");
    for headers in [
        &[][..],
        &[("Host", own.as_str())],
        &[("Host", "LOCALHOST")],
        &[("Host", "[::1]:80")],
        &[("Origin", "http://localhost:3000")],
        &[("Authorization", "Bearer whatever"), ("X-Api-Key", "two")],
        &[("X-Real-IP", "1.2.3.4")],
    ] {
        assert_eq!(get(&portico, "/v1/models", headers).await.head.status, 200, "{headers:?}");
    }
    for headers in [
        [("Forwarded", "for=1.2.3.4")],
        [("Via", "1.1 tunnel")],
        [("X-Forwarded-For", "127.0.0.1")],
        [("x-forwarded-proto", "https")],
        [("X-Forwarded-Host", "localhost")],
        [("X-Forwarded-Whatever", "")],
        [("Host", "chat.example.com")],
        [("Host", "192.168.1.7:8080")],
        [("Host", "localhost.evil.example")],
        [("Origin", "https://evil.example")],
        [("Origin", "null")],
    ] {
        assert_error(&get(&portico, "/v1/models", &headers).await, 403, "permission_error", "not_local");
        assert_eq!(get(&portico, "/", &headers).await.head.status, 403, "{headers:?}");
        assert_eq!(get(&portico, "/health", &headers).await.head.status, 200, "{headers:?}");
        let ready = get(&portico, "/health/ready", &headers).await;
        assert_eq!(ready.text(), r#"{"ready":true}"#, "{headers:?}: names are for who may come in");
    }
    assert!(scripted.requests().await.is_empty());
}

#[tokio::test]
async fn a_host_that_two_readers_could_read_differently_is_400() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for text in [
        "GET /v1/models HTTP/1.1\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: localhost@evil\r\n\r\n",
        "GET /v1/models HTTP/1.1\r\nHost: localhost/v1\r\n\r\n",
        "GET http://localhost/v1/models HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ] {
        let mut connection = portico.connect().await;
        connection.send(text).await.expect("sent");
        let answer = connection.answer().await.expect("an answer");
        assert_eq!(answer.head.status, 400, "{text:?}");
        assert_eq!(answer.head.header("connection"), Some("close"), "{text:?}");
        assert!(connection.is_closed_within(testkit::wait::SOON).await, "{text:?}");
    }
    for (text, status) in [
        ("CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    ] {
        let mut connection = portico.connect().await;
        connection.send(text).await.expect("sent");
        assert_eq!(connection.head().await.expect("a head").status, status, "{text:?}");
    }
}

/// Loopback has a whole network of addresses to come from.
async fn from(portico: &Portico, source: &str, path: &str) -> Answer {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind(format!("{source}:0").parse().expect("an address")).expect("bound");
    let target = format!("127.0.0.1:{}", portico.port("")).parse().expect("an address");
    let mut stream = socket.connect(target).await.expect("connected");
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, request.as_bytes()).await.expect("sent");
    let mut text = String::new();
    let read = tokio::io::AsyncReadExt::read_to_string(&mut stream, &mut text);
    tokio::time::timeout(testkit::wait::SOON, read).await.expect("in time").expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let lines: Vec<_> = head.split("\r\n").map(str::to_owned).collect();
    let status = lines[0].split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { head: client::Head { status, lines }, body: body.as_bytes().to_vec() }
}

#[tokio::test]
async fn networks_decide_and_deny_wins() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .with("[access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/30\"]\ndeny = [\"127.0.0.2\"]")
        .start()
        .await;
    assert_eq!(from(&portico, "127.0.0.1", "/v1/models").await.head.status, 200);
    assert_eq!(from(&portico, "127.0.0.3", "/").await.head.status, 200);
    assert_error(
        &from(&portico, "127.0.0.2", "/v1/models").await,
        403,
        "permission_error",
        "network_refused",
    );
    assert_error(
        &from(&portico, "127.0.0.9", "/v1/models").await,
        401,
        "authentication_error",
        "identity_required",
    );
    assert_error(
        &from(&portico, "127.0.0.9", "/v1/nothing").await,
        401,
        "authentication_error",
        "identity_required",
    );
    // Programs are told how to say who they are; a page would only make the browser show its own box.
    let offered = from(&portico, "127.0.0.9", "/v1/models").await;
    assert_eq!(
        offered.head.header("www-authenticate"),
        Some("Basic realm=\"Qwen3-VL-8B\", charset=\"UTF-8\"")
    );
    for path in ["/", "/chat.html", "/nothing"] {
        let refused = from(&portico, "127.0.0.9", path).await;
        assert_eq!((refused.head.status, refused.head.header("www-authenticate")), (401, None), "{path}");
        assert_eq!(from(&portico, "127.0.0.2", path).await.head.status, 403, "{path}");
    }
    for source in ["127.0.0.1", "127.0.0.2", "127.0.0.9"] {
        assert_eq!(from(&portico, source, "/health").await.head.status, 200, "{source}");
    }
    assert!(from(&portico, "127.0.0.1", "/health/ready").await.json()["models"].is_object());
    assert!(from(&portico, "127.0.0.9", "/health/ready").await.json()["models"].is_null());

    // Nobody is trusted here, so a header changes nothing.
    let headers = [("X-Forwarded-For", "6.6.6.6"), ("Host", "127.0.0.1")];
    assert_eq!(portico.once("GET", "/v1/models", &headers, &[]).await.head.status, 200);
    let refused =
        |line: &serde_json::Value| line["remote"] == "127.0.0.2" && line["reason"] == "network_refused";
    portico.wait_for_record("access.log", "a refusal", refused).await;
}

#[tokio::test]
async fn a_site_with_names_answers_to_no_other() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .site("names = [\"chat.example.com\", \"other.example.com:8443\"]")
        .with("[tls]\nissuer = \"off\"\n[access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\"]")
        .start()
        .await;
    for host in [
        "chat.example.com",
        "CHAT.Example.com",
        "chat.example.com:8080",
        "chat.example.com.",
        "other.example.com",
    ] {
        assert_eq!(get(&portico, "/v1/models", &[("Host", host)]).await.head.status, 200, "{host}");
    }
    for host in
        ["localhost", "127.0.0.1", "example.com", "evil.chat.example.com", "chat.example.com.evil.net"]
    {
        let answer = get(&portico, "/v1/models", &[("Host", host)]).await;
        assert_error(&answer, 421, "invalid_request_error", "unknown_host");
        assert_eq!(get(&portico, "/", &[("Host", host)]).await.head.status, 421, "{host}");
        assert_eq!(get(&portico, "/health", &[("Host", host)]).await.head.status, 200, "{host}");
    }
}

#[tokio::test]
async fn without_names_addresses_and_localhost_are_known() {
    let scripted = Scripted::start().await;
    let portico =
        Setup::before(&scripted).with("[access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\"]").start().await;
    for (host, status) in
        [("localhost", 200), ("192.0.2.7", 200), ("[2001:db8::1]:80", 200), ("chat.example.com", 421)]
    {
        assert_eq!(get(&portico, "/v1/models", &[("Host", host)]).await.head.status, status, "{host}");
    }
}
