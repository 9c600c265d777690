//! What reaches the model server is built from parts; what comes back is too.

use serde_json::json;
use testkit::client::once;
use testkit::net::Address;
use testkit::scripted::Scripted;

use crate::setup::{CHAT, Setup, chat, stream};

fn header_names(lines: &[String]) -> Vec<String> {
    let mut names: Vec<_> =
        lines.iter().skip(1).filter_map(|line| Some(line.split_once(':')?.0.to_ascii_lowercase())).collect();
    names.sort();
    names
}

#[tokio::test]
async fn only_what_is_on_the_list_reaches_the_model_server() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let headers = [
        ("Content-Type", "application/json; charset=utf-8"),
        ("User-Agent", "some-sdk/1.0"),
        ("Authorization", "Bearer pk-secret"),
        ("X-Api-Key", "pk-secret"),
        ("Cookie", "session=secret"),
        ("Proxy-Authorization", "Basic c2VjcmV0"),
        ("X-Real-IP", "6.6.6.6"),
        ("X-Request-Id", "from-the-client"),
        ("X-Portico-Anything", "x"),
        ("X_Forwarded_For", "6.6.6.6"),
        ("X-Data-Parallel-Rank", "3"),
        ("Accept", "text/html"),
        ("Accept-Encoding", "gzip"),
        ("Accept-Language", "zh"),
        ("Connection", "keep-alive, authorization, x-nominated"),
        ("X-Nominated", "secret"),
        ("Keep-Alive", "timeout=100"),
        ("TE", "trailers"),
        ("Upgrade", "h2c"),
        ("Referer", "http://localhost/secret"),
        ("Range", "bytes=0-5"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let answer = portico
        .once("POST", &format!("{CHAT}?key=secret"), &headers, chat("hi").to_string().as_bytes())
        .await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let received = &scripted.requests_to(CHAT).await[0];
    assert_eq!(
        header_names(&received.head),
        [
            "accept",
            "accept-encoding",
            "content-length",
            "content-type",
            "host",
            "traceparent",
            "user-agent",
            "x-forwarded-for",
            "x-forwarded-proto",
            "x-real-ip",
            "x-request-id",
        ]
    );
    let id = answer.head.header("x-request-id").expect("an id");
    for (name, value) in [
        ("host", scripted.endpoint().trim_start_matches("http://")),
        ("user-agent", "some-sdk/1.0"),
        ("x-real-ip", "127.0.0.1"),
        ("x-forwarded-for", "127.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", id),
        ("content-type", "application/json"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ] {
        assert_eq!(received.headers(name), [value], "{name}");
    }
    let all = format!("{:?} {:?}", received.head, received.body);
    assert!(!all.contains("secret") && !all.contains("6.6.6.6") && !all.contains("from-the-client"), "{all}");
}

#[tokio::test]
async fn the_model_server_s_own_key_is_sent_and_the_client_s_is_not() {
    let scripted = Scripted::on_unix_socket().await;
    let folder = testkit::temporary::Folder::new();
    let file = folder.path().join("key");
    std::fs::write(&file, "engine-key\n").expect("a key file");
    let portico = Setup::new()
        .model("scripted", &[&scripted.endpoint()], &format!("api_key_file = \"{}\"", file.display()))
        .start()
        .await;
    let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer pk-secret")];
    let answer = portico.once("POST", CHAT, &headers, chat("hi").to_string().as_bytes()).await;
    assert_eq!(answer.head.status, 200);
    let received = &scripted.requests_to(CHAT).await[0];
    assert_eq!(received.headers("authorization"), ["Bearer engine-key"]);
    assert_eq!(received.headers("host"), ["localhost"]);
    assert!(!answer.text().contains("engine-key"));
}

#[tokio::test]
async fn nothing_of_the_model_server_s_head_comes_back() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for (call, wanted) in [
        (chat("fault:acao"), &["content-length", "content-type", "date", "x-request-id"][..]),
        (
            stream("fault:acao"),
            &[
                "cache-control",
                "content-type",
                "date",
                "transfer-encoding",
                "x-accel-buffering",
                "x-request-id",
            ],
        ),
    ] {
        let answer = portico.post_json(CHAT, &call).await;
        assert_eq!(answer.head.status, 200);
        assert_eq!(header_names(&answer.head.lines), wanted);
        assert_ne!(answer.head.header("x-request-id"), Some("from-the-engine"));
    }
    let refused = portico.post_json(CHAT, &chat("fault:leaky-error")).await;
    assert_eq!(
        header_names(&refused.head.lines),
        ["cache-control", "content-length", "content-type", "date", "x-request-id"]
    );
}

/// What was judged is what is sent: the body is written anew.
#[tokio::test]
async fn the_body_is_written_anew_with_every_field() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let body = r#" { "temperature" : 0.70, "messages":[ {"role":"user","content":"a\u00e9\ud83d\ude42\n\"x\""} ],
        "model" : "scripted" , "seed": 9223372036854775807, "logit_bias": {}, "stop": ["\u0000"], "store": null } "#;
    let answer = portico.once("POST", CHAT, &[("Content-Type", "application/json")], body.as_bytes()).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let received = &scripted.requests_to(CHAT).await[0];
    assert_eq!(
        received.json(),
        json!({
            "model": "scripted-model", "temperature": 0.7, "seed": i64::MAX, "logit_bias": {}, "max_tokens": 8192,
            "stop": ["\u{0}"], "messages": [{ "role": "user", "content": "aé🙂\n\"x\"" }],
        })
    );
    assert!(received.body.as_deref().is_some_and(|body| !body.contains(": ")), "{:?}", received.body);
    assert_eq!(answer.json()["choices"][0]["message"]["content"], "You said: aé🙂\n\"x\"");
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_chain_is_kept_and_the_client_named() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .listen("trusted_proxies = [\"127.0.0.1/32\", \"10.0.0.0/8\"]")
        .with("[access]\nsatisfy = \"any\"\nallow = [\"203.0.113.0/24\"]")
        .start()
        .await;
    let address: Address = portico.address();
    let body = chat("hi").to_string();
    for (forwarded, status, real) in [
        ("203.0.113.9", 200, "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9, 10.1.2.3", 200, "203.0.113.9"),
        ("203.0.113.9, 6.6.6.6", 401, ""),
        ("203.0.113.9, nonsense", 401, ""),
        ("", 401, ""),
    ] {
        scripted.forget_requests().await;
        let headers = [
            ("Content-Type", "application/json"),
            ("X-Forwarded-For", forwarded),
            ("X-Forwarded-Proto", "https"),
            ("Forwarded", "for=6.6.6.6"),
        ];
        let answer = once(&address, "POST", CHAT, &headers, body.as_bytes()).await.expect("an answer");
        assert_eq!(answer.head.status, status, "{forwarded:?}");
        if status == 200 {
            let received = &scripted.requests_to(CHAT).await[0];
            assert_eq!(received.headers("x-real-ip"), [real]);
            assert_eq!(received.headers("x-forwarded-for"), [format!("{forwarded}, 127.0.0.1")]);
            assert_eq!(received.headers("x-forwarded-proto"), ["https"], "TLS ended at the proxy");
            assert!(received.headers("forwarded").is_empty());
            let record = portico.wait_for_record("access.log", real, |line| line["remote"] == real).await;
            assert_eq!(record["status"], 200);
        }
    }
}
