//! Whatever the gate in front of HTTP/1 lets pass, httparse and hyper read as the same request, and as one.

#![no_main]

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use libfuzzer_sys::fuzz_target;
use portico::fuzzing::{Gated, gate};
use tokio::io::AsyncWriteExt as _;

fuzz_target!(|data: &[u8]| {
    let Some((piece_bytes, data)) = data.split_first() else { return };
    let at_once = gate(data, data.len());
    let in_pieces = gate(data, usize::from(*piece_bytes) % 40 + 1);
    assert_eq!(at_once, in_pieces, "the cut makes a difference");
    if let Gated::Passed { bytes, is_whole } = at_once {
        let request = &data[..bytes];
        let head = parse(request);
        if is_whole {
            serve(request, &head);
        }
    }
});

/// A head as httparse reads it.
struct Head {
    method: String,
    target: String,
    fields: Vec<(String, Vec<u8>)>,
    body: Body,
}

#[derive(Debug, PartialEq)]
enum Body {
    Length(usize),
    Chunked,
}

fn parse(request: &[u8]) -> Head {
    let mut fields = [httparse::EMPTY_HEADER; 20];
    let mut parsed = httparse::Request::new(&mut fields);
    let head_bytes = match parsed.parse(request) {
        Ok(httparse::Status::Complete(bytes)) => bytes,
        other => panic!("httparse: {other:?}"),
    };
    // The simplest reader there could be.
    let text = request.strip_prefix(b"\r\n").unwrap_or(request);
    let text = &text[..text.windows(4).position(|end| end == b"\r\n\r\n").expect("an end")];
    assert_eq!(
        head_bytes,
        request.len() - request.strip_prefix(b"\r\n").unwrap_or(request).len() + text.len() + 4
    );
    let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    let words: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
    let (method, target) = (parsed.method.expect("a method"), parsed.path.expect("a target"));
    let version = parsed.version.expect("a version");
    let wanted = [method.as_bytes(), target.as_bytes(), &format!("HTTP/1.{version}\r").into_bytes()];
    assert!(words == wanted || (lines.len() == 1 && words[2] == format!("HTTP/1.{version}").as_bytes()));
    assert_eq!(lines.len() - 1, parsed.headers.len());
    let mut head = Head {
        method: method.to_owned(),
        target: target.to_owned(),
        fields: Vec::new(),
        body: Body::Length(0),
    };
    let (mut hosts, mut lengths, mut codings) = (0, 0, 0);
    for (line, field) in lines[1..].iter().zip(parsed.headers.iter()) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
        assert_eq!(&line[..colon], field.name.as_bytes());
        assert_eq!(line[colon + 1..].trim_ascii(), field.value.trim_ascii());
        let value = std::str::from_utf8(field.value).unwrap_or_default();
        match field.name.to_ascii_lowercase().as_str() {
            "host" => hosts += 1,
            "content-length" => {
                lengths += 1;
                head.body = Body::Length(value.parse().expect("a number"));
            }
            "transfer-encoding" => {
                codings += 1;
                assert!(value.eq_ignore_ascii_case("chunked"));
                head.body = Body::Chunked;
            }
            _ => {}
        }
        head.fields.push((field.name.to_ascii_lowercase(), field.value.to_vec()));
    }
    assert!(
        lengths + codings <= 1
            && hosts <= 1
            && (hosts == 1 || version == 0)
            && (codings == 0 || version == 1)
    );
    head
}

/// hyper makes one request of it, with that body, and wants nothing more.
fn serve(request: &[u8], head: &Head) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = hyper::service::service_fn(|request: http::Request<hyper::body::Incoming>| {
        let seen = seen.clone();
        async move {
            let (parts, body) = request.into_parts();
            let body = body.collect().await.expect("a whole body").to_bytes();
            seen.lock().expect("one thread").push((parts, body));
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(request.len() + (1 << 16));
        client.write_all(request).await.expect("room for it");
        let connection = hyper::server::conn::http1::Builder::new()
            .half_close(true)
            .serve_connection(hyper_util::rt::TokioIo::new(server), service);
        client.shutdown().await.expect("an end");
        let _ = connection.await;
    });
    let seen = seen.lock().expect("one thread");
    let [(parts, body)] = &seen[..] else { panic!("{} requests", seen.len()) };
    assert_eq!(parts.method.as_str(), head.method);
    assert_eq!(parts.uri.path_and_query().map(http::uri::PathAndQuery::as_str), Some(head.target.as_str()));
    assert!(parts.uri.host().is_none());
    assert_eq!(parts.headers.len(), head.fields.len());
    for (name, value) in &head.fields {
        assert!(parts.headers.get_all(name).iter().any(|field| field.as_bytes() == value));
    }
    match head.body {
        Body::Length(length) => assert_eq!(body.len(), length),
        Body::Chunked => assert_eq!(&body[..], dechunked(request)),
    }
}

/// Chunks as the gate lets them pass: sizes and line ends, nothing else.
fn dechunked(request: &[u8]) -> Vec<u8> {
    let start = request.windows(4).position(|end| end == b"\r\n\r\n").expect("an end") + 4;
    let mut rest = &request[start..];
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|end| end == b"\r\n").expect("a line");
        let size = std::str::from_utf8(&rest[..end]).expect("digits");
        let size = usize::from_str_radix(size, 16).expect("hexadecimal");
        rest = &rest[end + 2..];
        if size == 0 {
            assert_eq!(rest, b"\r\n");
            return body;
        }
        body.extend(&rest[..size]);
        assert_eq!(&rest[size..size + 2], b"\r\n");
        rest = &rest[size + 2..];
    }
}
