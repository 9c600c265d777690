//! Knocks at scripted doors on loopback.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use socket2::{Domain, SockRef, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::reach::finding::{Door, Heard};
use crate::reach::knock::knock;

const NAME: &str = "chat.example.test";

/// What a door does with everybody who comes.
#[derive(Clone, Copy)]
pub(super) enum Script {
    Answer(&'static str),
    /// Reads the request, then resets.
    Reset,
    Close,
    Hang,
    /// Gives the request's `Host` and path as its body.
    Mirror,
}

pub(super) async fn door(script: Script) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(play(stream, script));
        }
    });
    address
}

async fn play(mut stream: TcpStream, script: Script) {
    match script {
        Script::Reset => {
            let _ = stream.read(&mut [0; 4096]).await;
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        script => serve(&mut stream, script).await,
    }
}

async fn serve(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), script: Script) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return;
        }
    }
    let request = String::from_utf8(request).unwrap();
    let answer = match script {
        Script::Answer(answer) => answer.to_owned(),
        Script::Mirror => {
            let path = request.split(' ').nth(1).unwrap();
            let host = request.lines().find_map(|line| line.strip_prefix("Host: ")).unwrap();
            let body = format!("{host}{path}");
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
        Script::Reset | Script::Close => return,
        Script::Hang => std::future::pending().await,
    };
    let _ = stream.write_all(answer.as_bytes()).await;
    // Whoever answers with a length may keep the connection: the knock must not wait for its end.
    if answer.contains("Content-Length") {
        let () = std::future::pending().await;
    }
}

async fn tls_door(script: Script) -> SocketAddr {
    let made = rcgen::generate_simple_self_signed(vec!["stand.in".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = builder.with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move { serve(&mut acceptor.accept(stream).await.unwrap(), script).await });
        }
    });
    address
}

fn other(status: Option<u16>, server: Option<&str>) -> Heard {
    Heard::Other { status, server: server.map(str::to_owned) }
}

#[tokio::test]
async fn answers_are_told_apart() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK";
    for (script, wanted) in [
        (Script::Answer(OK), Heard::Portico),
        (Script::Answer("HTTP/1.1 200 OK\r\n\r\nOK\n"), Heard::Portico),
        (
            Script::Answer("HTTP/1.1 404 Not Found\r\nServer: nginx\r\n\r\nOK"),
            other(Some(404), Some("nginx")),
        ),
        (Script::Answer("HTTP/1.1 200 OK\r\n\r\nOK then"), other(Some(200), None)),
        (Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: 200000\r\n\r\nOK"), other(Some(200), None)),
        (Script::Answer("SSH-2.0-OpenSSH_9.2\r\n"), other(None, None)),
        (
            Script::Answer(
                "HTTP/1.1 403 Forbidden\r\nServer: Beaver\r\n\r\n<title>Non-compliance ICP Filing</title>",
            ),
            Heard::FilingBlock,
        ),
        (
            Script::Answer(
                "HTTP/1.1 302 Found\r\nLocation: https://dnspod.qcloud.com/static/webblock.html?d=a\r\n\r\n",
            ),
            Heard::FilingBlock,
        ),
        (Script::Reset, Heard::Cut),
        (Script::Close, Heard::Cut),
    ] {
        let Script::Answer(text) = script else {
            assert_eq!(knock(NAME, Door::Http, door(script).await, None).await, wanted);
            continue;
        };
        assert_eq!(knock(NAME, Door::Http, door(script).await, None).await, wanted, "{text}");
        assert_eq!(knock(NAME, Door::Https, tls_door(script).await, None).await, wanted, "over TLS: {text}");
    }
}

#[tokio::test]
async fn a_proof_is_asked_for_by_name_and_path() {
    let body = format!("{NAME}/.well-known/acme-challenge/abc");
    let right = Proof { token: "abc".to_owned(), body };
    let wrong = Proof { token: "abd".to_owned(), ..right.clone() };
    for (at, door) in
        [(door(Script::Mirror).await, Door::Http), (tls_door(Script::Mirror).await, Door::Https)]
    {
        assert_eq!(knock(NAME, door, at, Some(&right)).await, Heard::Portico);
        assert_eq!(knock(NAME, door, at, Some(&wrong)).await, other(Some(200), None));
    }
}

#[tokio::test]
async fn doors_that_do_not_speak_tls() {
    let plain = door(Script::Answer("HTTP/1.1 200 OK\r\n\r\nOK")).await;
    // It waits for the end of a request that never comes.
    assert_eq!(knock(NAME, Door::Https, plain, None).await, Heard::Silent);
    assert_eq!(knock(NAME, Door::Https, door(Script::Reset).await, None).await, Heard::Cut);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let answering = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 4096]).await;
    };
    let (heard, ()) = tokio::join!(knock(NAME, Door::Https, at, None), answering);
    assert_eq!(heard, Heard::NoTls);
}

#[tokio::test]
async fn no_connection_is_told_apart_from_no_answer() {
    let nobody = {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    assert_eq!(knock(NAME, Door::Http, nobody, None).await, Heard::Refused);
    let broadcast = SocketAddr::from((Ipv4Addr::BROADCAST, 80));
    assert_eq!(knock(NAME, Door::Http, broadcast, None).await, Heard::NoRoute);
    let began = tokio::time::Instant::now();
    assert_eq!(knock(NAME, Door::Http, door(Script::Hang).await, None).await, Heard::Silent);
    let (_full, at, _waiting) = full();
    assert_eq!(knock(NAME, Door::Http, at, None).await, Heard::TimedOut);
    let took = began.elapsed();
    assert!(took >= 2 * LOOK && took < 3 * LOOK, "{took:?}");
}

/// A listener whose queue is full: the kernel drops whoever comes next, as a firewall does.
fn full() -> (Socket, SocketAddr, Vec<Socket>) {
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let at = listener.local_addr().unwrap().as_socket().unwrap();
    let waiting = (0..3).map(|_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_nonblocking(true).unwrap();
        let _ = socket.connect(&at.into());
        socket
    });
    let waiting = waiting.collect();
    (listener, at, waiting)
}
