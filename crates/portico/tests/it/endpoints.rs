//! Several endpoints of one model, connections that are used again, and calls that are never sent twice.

use std::time::{Duration, Instant};

use serde_json::json;
use testkit::client::Connection;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::setup::{CHAT, Setup, asked, assert_error, chat, stream};
use crate::streams::{begun, running};

async fn ask(connection: &mut Connection, text: &str) -> u16 {
    connection.post_json(CHAT, &chat(text)).await.expect("the call is sent");
    connection.answer().await.expect("an answer").head.status
}

#[tokio::test]
async fn the_endpoint_with_the_fewest_in_flight_is_taken() {
    let (one, two) = (Scripted::start().await, Scripted::on_unix_socket().await);
    let portico = Setup::new().model("scripted", &[&one.endpoint(), &two.endpoint()], "").start().await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut connection = asked(&portico, &stream("fault:hang-mid-stream 2")).await;
        begun(&mut connection).await;
        streams.push(connection);
    }
    assert_eq!((one.requests_to(CHAT).await.len(), two.requests_to(CHAT).await.len()), (2, 2));
}

/// A port whose kernel queue is full: connecting to it takes until the deadline, so a request shows by its time
/// that it has tried.
struct Full {
    listener: socket2::Socket,
    _waiting: Vec<tokio::net::TcpStream>,
}

impl Full {
    async fn new() -> Self {
        let listener =
            socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
        listener.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a port");
        listener.listen(0).expect("a listener");
        let mut full = Self { listener, _waiting: Vec::new() };
        let connect = |port| tokio::net::TcpStream::connect(("127.0.0.1", port));
        while let Ok(stream) = tokio::time::timeout(Duration::from_millis(200), connect(full.port())).await {
            full._waiting.push(stream.expect("a connection"));
        }
        full
    }

    fn port(&self) -> u16 {
        let address = self.listener.local_addr().ok().and_then(|address| address.as_socket());
        address.expect("an address").port()
    }
}

#[tokio::test]
async fn an_endpoint_that_is_down_is_left_out_and_tried_once_a_second() {
    let (full, good) = (Full::new().await, Scripted::start().await);
    let down = format!("http://127.0.0.1:{}", full.port());
    let portico = Setup::new()
        .model("scripted", &[&down, &good.endpoint()], "")
        .with("[timeouts]\nupstream_connect = \"200ms\"")
        .start()
        .await;
    let mut connection = portico.connect().await;
    let began = Instant::now();
    let mut tries = Vec::new();
    let mut asked = 0;
    while began.elapsed() < Duration::from_millis(3500) {
        let started = Instant::now();
        assert_eq!(ask(&mut connection, "hello").await, 200, "an endpoint that is down costs no request");
        asked += 1;
        if started.elapsed() >= Duration::from_millis(200) {
            tries.push(Instant::now());
        }
    }
    assert_eq!(good.requests_to(CHAT).await.len(), asked);
    assert!((3..=4).contains(&tries.len()), "{} tries in 3.5 s, of {asked} requests", tries.len());
    assert!(tries.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)), "{tries:?}");
}

#[tokio::test]
async fn a_lone_endpoint_that_is_down_gets_one_connection_a_second() {
    let server = Scripted::start().await;
    let address = server.endpoint();
    let portico = Setup::before(&server).start().await;
    drop(server);
    let refused = async || {
        let started = Instant::now();
        let answer = portico.post_json(CHAT, &chat("hello")).await;
        assert_error(&answer, 503, "overloaded_error", "model_unavailable");
        assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
        started.elapsed()
    };
    refused().await;
    for _ in 0..10 {
        let took = refused().await;
        assert!(took < Duration::from_millis(50), "{took:?}");
    }
    assert_eq!(portico.get("/v1/models").await.json()["data"][0]["state"], "down");
    assert_eq!(portico.get("/health/ready").await.head.status, 503);
    assert_eq!(portico.get("/").await.head.status, 200, "the page is still served");

    // Back on the same port, it is used again by traffic alone.
    let listen = address.trim_start_matches("http://");
    let _back = Scripted::with(&["--listen", listen]).await;
    let started = Instant::now();
    until(SOON, "it is used again", async || {
        (portico.post_json(CHAT, &chat("hello")).await.head.status == 200).then_some(())
    })
    .await;
    assert!(started.elapsed() < Duration::from_millis(1500), "{:?}", started.elapsed());
}

#[tokio::test]
async fn connections_to_the_model_server_are_used_again() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut connection = portico.connect().await;
    for _ in 0..5 {
        assert_eq!(ask(&mut connection, "hello").await, 200);
    }
    let numbers: Vec<_> = scripted.requests_to(CHAT).await.iter().map(|r| (r.connection, r.number)).collect();
    assert!(numbers.windows(2).all(|pair| pair[0].0 == pair[1].0), "{numbers:?}");
    // Idle, it is closed before uvicorn's 5 s.
    let idle = Instant::now();
    until(SOON, "the idle connection is closed", async || {
        (scripted.connections().await.open == 0).then_some(())
    })
    .await;
    let lasted = idle.elapsed();
    assert!(lasted > Duration::from_secs(1) && lasted < Duration::from_millis(4500), "{lasted:?}");
    assert_eq!(ask(&mut connection, "hello").await, 200);
    assert_eq!(scripted.connections().await.total, 2);
}

/// What is not a clean, complete exchange ends its connection, and what came after an answer is nobody's.
#[tokio::test]
async fn only_a_clean_exchange_leaves_a_connection_to_use_again() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut connection = portico.connect().await;
    let mut before = 0;
    // uvicorn closes a connection behind a failure of its program, a moment later and without a word.
    for fault in [
        "more-body",
        "more-body 100000",
        "te-and-length",
        "huge-headers",
        "two-lengths",
        "garbage",
        "error 500",
    ] {
        let status = ask(&mut connection, &format!("fault:{fault}")).await;
        assert!(status == 200 || status == 502, "{fault}: {status}");
        connection.post_json(CHAT, &chat("next")).await.expect("the call is sent");
        let next = connection.answer().await.expect("an answer");
        assert_eq!(next.json()["choices"][0]["message"]["content"], "You said: next", "after {fault}");
        let received = scripted.requests_to(CHAT).await;
        let (bad, good) = (&received[before], &received[before + 1]);
        assert_ne!(bad.connection, good.connection, "{fault}");
        assert_eq!(received.len(), before + 2, "{fault}: nothing twice");
        before += 2;
    }
}

/// llama.cpp says that it keeps a connection behind a stream of events, and closes it a moment later: the call of a
/// person who answers at once would be lost on it. Behind any other answer it is as good as its word.
#[tokio::test]
async fn a_call_behind_llama_cpp_s_stream_is_not_lost() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    scripted.set_fault("llama-stream").await;
    let mut connection = portico.connect().await;
    for round in 0..5 {
        connection.post_json(CHAT, &stream("hello")).await.expect("the call is sent");
        let answer = connection.answer().await.expect("a stream");
        assert!(answer.text().ends_with("data: [DONE]\n\n"), "{}", answer.text());
        assert_eq!(ask(&mut connection, "hello").await, 200, "round {round}");
        assert_eq!(ask(&mut connection, "hello").await, 200, "round {round}");
    }
    let used: Vec<_> = scripted.requests_to(CHAT).await.iter().map(|received| received.connection).collect();
    for round in used.chunks(3) {
        assert_ne!(round[0], round[1], "{used:?}");
        assert_eq!(round[1], round[2], "{used:?}");
    }
}

/// The server closes kept connections at once: the next call finds out before it writes, and takes another.
#[tokio::test]
async fn a_connection_that_the_server_closed_costs_no_request() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for pause in ["0ms", "1ms", "5ms", "20ms"] {
        scripted.set_fault(&format!("close-idle {pause}")).await;
        let mut connection = portico.connect().await;
        for round in 0..15 {
            let before = scripted.requests_to(CHAT).await.len();
            assert_eq!(ask(&mut connection, "hello").await, 200, "{pause}, round {round}");
            assert_eq!(scripted.requests_to(CHAT).await.len(), before + 1, "a POST is never received twice");
            // A close and a request that cross on the way are nobody's fault; one that was there before is seen.
            until(SOON, "the server has closed", async || {
                (scripted.connections().await.open == 0).then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn early_answers_and_unread_bodies_end_the_call_only() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[timeouts]\nupstream_send = \"1s\"").start().await;
    let big = "x".repeat(8 << 20);
    scripted.set_fault("early 503").await;
    let answer = portico.post_json(CHAT, &chat(&big)).await;
    assert!(matches!(answer.head.status, 502 | 503), "{}", answer.text());
    scripted.set_fault("unread").await;
    let started = Instant::now();
    let answer = portico.post_json(CHAT, &chat(&big)).await;
    assert_error(&answer, 504, "timeout_error", "upstream_timeout");
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    scripted.set_fault("").await;
    let answer = portico.post_json(CHAT, &chat(&big)).await;
    assert_eq!(answer.head.status, 200);
    let received = scripted.requests_to(CHAT).await;
    assert_eq!(received.len(), 3, "{:?}", received.iter().map(|r| &r.fault).collect::<Vec<_>>());
    assert_eq!(
        received[2].body_length,
        json!({ "model": "scripted-model", "max_tokens": 8192, "messages": chat(&big)["messages"] })
            .to_string()
            .len() as u64
    );
}

/// A permit goes back whatever became of the call.
#[tokio::test]
async fn a_permit_comes_back_from_every_fault() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .with("[queue]\nmax_running = 1\nmax_waiting = 0\n[timeouts]\nupstream_first_byte = \"1s\"\nstream_idle = \"1s\"")
        .start()
        .await;
    for fault in
        ["reset", "silent", "short-body", "html", "hang-mid-stream 2", "die-mid-stream 2", "error 500"]
    {
        for streaming in [false, true] {
            let mut call = chat(&format!("fault:{fault}"));
            call["stream"] = json!(streaming);
            let mut connection = asked(&portico, &call).await;
            connection.head().await.expect("a head");
            while connection.piece().await.is_ok_and(|piece| piece.is_some()) {}
            drop(connection);
            until(SOON, fault, async || {
                (portico.post_json(CHAT, &chat("free?")).await.head.status == 200).then_some(())
            })
            .await;
        }
    }
    let mut left = asked(&portico, &stream("fault:hang-mid-stream 2")).await;
    begun(&mut left).await;
    running(&scripted, 1).await;
    drop(left);
    until(SOON, "the permit of who left", async || {
        (portico.post_json(CHAT, &chat("free?")).await.head.status == 200).then_some(())
    })
    .await;
}
