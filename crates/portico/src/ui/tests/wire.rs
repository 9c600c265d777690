//! The same answers through the HTTP implementation that sends them, as bytes.

use std::convert::Infallible;
use std::fs;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Sends `request` on a connection of its own and returns all that comes back until it is closed.
async fn exchange(site: Arc<Site>, request: &str) -> String {
    let (mut client, server) = tokio::io::duplex(4096);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let site = Arc::clone(&site);
        async move {
            let page = PageRequest {
                method: request.method(),
                path: request.uri().path(),
                headers: request.headers(),
            };
            Ok::<_, Infallible>(site.answer(&page).await.expect("an answer"))
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let client = async {
        client.write_all(request.as_bytes()).await.expect("sent");
        let mut all = String::new();
        client.read_to_string(&mut all).await.expect("received");
        all
    };
    // The connection fails where a body breaks off; what the client saw is what counts.
    let (_, all) = tokio::join!(connection, client);
    all
}

fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Arc<Site>) {
    let root = tempfile::tempdir().expect("a folder");
    for (name, content) in files {
        fs::write(root.path().join(name), content).expect("written");
    }
    let folder = Folder::open(root.path(), "chat.html").expect("open");
    (root, Arc::new(Site::of(Pages::Folder(Arc::new(folder), Compressor::new()), "chat.html")))
}

#[tokio::test]
async fn every_kind_of_answer_keeps_the_connection_in_step() {
    let (_root, site) = folder(&[("chat.html", b"the page"), ("a.bin", b"0123456789")]);
    // HEAD, 304, 206 and 416 announce lengths that are not those of what follows; the next answer has to be found.
    let requests = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /a.bin HTTP/1.1\r\nHost: x\r\nIf-None-Match: *\r\n\r\n\
        GET /a.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=3-5\r\n\r\n\
        GET /a.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=1-1,8-9\r\n\r\n\
        GET /a.bin HTTP/1.1\r\nHost: x\r\nRange: bytes=10-\r\n\r\n\
        GET /a.bin HTTP/1.1\r\nHost: x\r\nIf-Match: \"x\"\r\n\r\n\
        GET /a.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let all = exchange(site, requests).await;
    let statuses: Vec<&str> = all.match_indices("HTTP/1.1 ").map(|(at, _)| &all[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "304", "206", "206", "416", "412", "200"], "{all}");
    let head = all.split("HTTP/1.1 ").nth(1).expect("the first answer");
    assert!(head.contains("content-length: 8\r\n") && head.ends_with("\r\n\r\n"), "{head}");
    assert!(all.contains("\r\n\r\n345HTTP/1.1 206"), "{all}");
    assert!(all.ends_with("\r\n\r\n0123456789"), "{all}");
}

#[tokio::test]
async fn a_file_that_shrinks_breaks_the_connection() {
    // More than the connection buffers, so that most of the file is unread when the client starts to read.
    const LENGTH: usize = 8_000_000;
    let (root, site) = folder(&[("chat.html", b"the page"), ("a.bin", &[b'x'; LENGTH])]);
    let (mut client, server) = tokio::io::duplex(4096);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let site = Arc::clone(&site);
        async move {
            let (method, headers) = (request.method(), request.headers());
            let page = PageRequest { method, path: request.uri().path(), headers };
            Ok::<_, Infallible>(site.answer(&page).await.expect("an answer"))
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
    let client = async {
        client.write_all(b"GET /a.bin HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("sent");
        let mut first = [0; 1000];
        client.read_exact(&mut first).await.expect("the beginning");
        let file = fs::File::options().write(true).open(root.path().join("a.bin")).expect("open");
        file.set_len(1000).expect("cut");
        let mut all = first.to_vec();
        client.read_to_end(&mut all).await.expect("received");
        all
    };
    let (outcome, all) = tokio::join!(connection, client);
    assert!(outcome.is_err(), "half a file is no answer");
    let text = String::from_utf8(all).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    assert!(head.contains("content-length: 8000000"));
    assert!(body.len() < LENGTH, "the client can tell");
}
