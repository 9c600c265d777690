//! The pure readers of foreign bytes, for the targets in `fuzz/`, which is a workspace of its own. Behind the feature
//! `fuzzing`, and no part of the product.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::access::Credential;
use crate::api::call::{Call, Recipient, Rules};
use crate::api::transcription::Upload;
use crate::api::{EventFilter, Operation, realtime, vision};
use crate::config::{Endpoint, ImageUrls, Limits, Policy};
use crate::front;
use crate::listen::{Bounds, Course};
use crate::types::Dialect;
use crate::types::websocket::{Message, Reader, Sender};
pub use crate::upstream::{Answer, answer};

const LIMITS: Limits = Limits {
    body_bytes: 64 << 20,
    body_total_bytes: 1 << 30,
    header_bytes: 2048,
    header_count: 20,
    target_bytes: 512,
    json_depth: 64,
};

/// What the gate in front of HTTP/1 makes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gated {
    Refused,
    Unfinished,
    /// So many bytes are one request, or as much of it as is there.
    Passed {
        bytes: usize,
        is_whole: bool,
    },
}

/// The first request of `bytes`, read in pieces of so many bytes.
#[must_use]
pub fn gate(bytes: &[u8], piece_bytes: usize) -> Gated {
    let mut course = Course::new(Bounds::new(&LIMITS));
    let (mut judged_to, mut read_to) = (0, 0);
    while read_to < bytes.len() && !course.is_behind() {
        read_to = (read_to + piece_bytes.max(1)).min(bytes.len());
        if course.is_in_head() {
            match course.judge(&bytes[..read_to]) {
                Ok(None) => continue,
                Ok(Some(head_bytes)) => judged_to = head_bytes,
                Err(_) => return Gated::Refused,
            }
        }
        match course.decode(&mut bytes[judged_to..read_to].to_vec()) {
            Ok(passed) => judged_to += passed.used,
            Err(_) => return Gated::Refused,
        }
    }
    match course.is_in_head() {
        true => Gated::Unfinished,
        false => Gated::Passed { bytes: judged_to, is_whole: course.is_behind() },
    }
}

/// The path and the host, without its port, that a request is for; nothing where it is refused.
#[must_use]
pub fn target(request: http::Request<()>) -> Option<(String, Option<String>)> {
    let (parts, ()) = request.into_parts();
    let target = front::target(&parts, &LIMITS)?;
    Some((target.0.to_owned(), target.1.map(str::to_owned)))
}

fn policy() -> Policy {
    Policy {
        enabled: true,
        endpoints: vec![Endpoint::Chat],
        max_choices: 4,
        max_images: 4,
        max_image_bytes: 1 << 20,
        max_image_pixels: 1 << 26,
        image_urls: ImageUrls::Refuse,
        image_url_hosts: Vec::new(),
        // What is sent is then what was asked, also of pictures.
        strip_metadata: false,
        allow_keys: vec!["extra".to_owned()],
        deny_keys: Vec::new(),
    }
}

/// What a model server gets for a call; nothing where it is refused.
#[must_use]
pub fn body(operation: u8, body: &[u8]) -> Option<Vec<u8>> {
    let operation = Operation::JUDGED[usize::from(operation) % Operation::JUDGED.len()];
    let policy = policy();
    let rules = Rules { limits: &LIMITS, policy: &policy, max_output_tokens: Some(8192) };
    let call = Call::judge(operation, &Bytes::copy_from_slice(body).into(), rules).ok()?;
    let recipient = Recipient {
        name: "upstream",
        context_tokens: Some(4096),
        server: None,
        stops_at_context: false,
        cache_salt: "salt",
    };
    Some(call.body(recipient).to_vec())
}

/// Width, height and frames of a picture, and its URL with the metadata taken out.
#[must_use]
pub fn picture(url: &str) -> Option<(u32, u32, u32, String)> {
    let bounds =
        vision::Bounds { max_bytes: 1 << 20, max_pixels: 1 << 26, metadata: vision::Metadata::Strip };
    let picture = vision::inspect_url(url.as_bytes(), 0..0, bounds).ok()?;
    let stripped = picture.url(&Bytes::copy_from_slice(url.as_bytes())).to_vec();
    let stripped = String::from_utf8_lossy(&stripped).into_owned();
    Some((picture.width, picture.height, picture.frames, stripped))
}

/// What a client gets of a stream that arrives in pieces of so many bytes: the bytes, whether it was done, the error of
/// the model server's own, and the tokens of its usage event.
#[must_use]
pub fn events(
    dialect: u8,
    stream: &[u8],
    piece_bytes: usize,
    wants_usage: bool,
) -> (Vec<u8>, bool, Option<Bytes>, Option<u64>) {
    let dialect = match dialect % 3 {
        0 => Dialect::Chat,
        1 => Dialect::Responses,
        _ => Dialect::Messages,
    };
    let mut filter = EventFilter::new(dialect, "asked".into(), wants_usage);
    let mut out = VecDeque::new();
    for piece in stream.chunks(piece_bytes.max(1)) {
        filter.push(Bytes::copy_from_slice(piece), &mut out);
    }
    let tokens = filter.usage().map(|usage| usage.completion_tokens);
    (out.iter().flatten().copied().collect(), filter.done(), filter.failed().cloned(), tokens)
}

/// What is sent of a form for a transcription that arrives in pieces; nothing where it is refused. `boundary`: of the form
/// that comes.
#[must_use]
pub fn form(boundary: &str, form: &[u8], piece_bytes: usize) -> Option<Vec<u8>> {
    let policy = policy();
    let mut upload = Upload::new(boundary, "ours", &policy);
    let mut sent = Vec::new();
    for piece in form.chunks(piece_bytes.max(1)) {
        upload.input().extend_from_slice(piece);
        upload.judge().ok()?;
        while let Some(piece) = upload.take() {
            sent.extend_from_slice(&piece);
        }
    }
    upload.end().ok()?;
    sent.extend_from_slice(&upload.take()?);
    let model = upload.model()?.clone();
    Some([&upload.opening(&model)[..], &sent].concat())
}

/// Whose connection a proxy's header says that it is, and how many bytes it took; nothing where it is refused or not whole.
#[must_use]
pub fn proxy(bytes: &[u8]) -> Option<(Option<std::net::IpAddr>, usize)> {
    let mut rest = bytes;
    let read = {
        let reading = std::pin::pin!(crate::listen::proxy_header(&mut rest));
        // Bytes that are there are never waited for.
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        std::future::Future::poll(reading, &mut context)
    };
    match read {
        std::task::Poll::Ready(Ok(address)) => Some((address, bytes.len() - rest.len())),
        _ => None,
    }
}

/// What headers say about who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    Nothing,
    Key(String),
    Basic(String, Vec<u8>),
    Session(String),
    Unusable,
}

/// `None`: there is more than one credential.
#[must_use]
pub fn credential(headers: &http::HeaderMap, is_secure: bool) -> Option<Shown> {
    Some(match crate::access::credential(headers, is_secure).ok()? {
        Credential::None => Shown::Nothing,
        Credential::Key(key) => Shown::Key(key.to_owned()),
        Credential::Basic { name, password } => Shown::Basic(name, password),
        Credential::Session(token) => Shown::Session(token.to_owned()),
        Credential::Unusable(_) => Shown::Unusable,
    })
}

/// The names and hashes that are taken from an htpasswd file, by name.
#[must_use]
pub fn htpasswd(content: &str) -> Vec<(String, String)> {
    let users = crate::access::parse_htpasswd(content).users;
    let mut users: Vec<_> =
        users.into_iter().map(|(name, hash)| (name.into_string(), hash.as_str().to_owned())).collect();
    users.sort();
    users
}

/// What came over a WebSocket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framed {
    Text(Vec<u8>),
    Ping(Vec<u8>),
    Pong,
    Close(Option<u16>),
}

/// The messages in `bytes`, read in pieces of so many bytes, and whether all of them were to the letter.
#[must_use]
pub fn frames(bytes: &[u8], piece_bytes: usize, from_client: bool) -> (Vec<Framed>, bool) {
    let sender = if from_client { Sender::Client } else { Sender::Server };
    let mut reader = Reader::new(sender, 1 << 16);
    let (mut input, mut messages) = (BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece_bytes.max(1)) {
        input.extend_from_slice(piece);
        loop {
            messages.push(match reader.next(&mut input) {
                Ok(Some(Message::Text(text))) => Framed::Text(text.to_vec()),
                Ok(Some(Message::Ping(payload))) => Framed::Ping(payload.to_vec()),
                Ok(Some(Message::Pong)) => Framed::Pong,
                Ok(Some(Message::Close(code))) => Framed::Close(code),
                Ok(None) => break,
                Err(_) => return (messages, false),
            });
        }
    }
    (messages, true)
}

/// A client's event as the model server would get it, or nothing.
#[must_use]
pub fn realtime_event(message: &[u8]) -> Option<Vec<u8>> {
    let rules = realtime::Rules {
        policy: &policy(),
        json_depth: 16,
        is_model: &|name| name == "model",
        upstream_name: "upstream",
    };
    realtime::event(&Bytes::copy_from_slice(message), &rules).ok().map(|event| event.written)
}
