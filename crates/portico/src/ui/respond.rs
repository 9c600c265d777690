//! From what is known of a file and what the client asked to an answer. `choose` decides, the rest writes it down.

use std::borrow::Cow;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderName, LAST_MODIFIED, RANGE, VARY,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use super::body::{Body, Piece};
use super::conditional::{self, HttpTime, Verdict};
use super::negotiate::{Accepted, Encoding};
use super::range::{self, Part, Wanted};
use crate::reason::{Reason, Refusal, Shape};
use crate::types::Tongue;

/// What an answer says of a file, whichever form of it is sent.
pub(super) struct Facts {
    pub(super) media: &'static str,
    /// There are, or could be, encoded forms: the answer varies.
    pub(super) compressible: bool,
    pub(super) immutable: bool,
    /// It stands for a path without a file, which only who asks for a page gets.
    pub(super) instead: bool,
    pub(super) modified: Option<HttpTime>,
    /// Of the plain form.
    pub(super) length_bytes: u64,
    /// Quoted entity tags; `None` where that form can't be had.
    pub(super) plain_tag: Cow<'static, str>,
    pub(super) brotli_tag: Option<Cow<'static, str>>,
    pub(super) gzip_tag: Option<Cow<'static, str>>,
}

/// What is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Choice {
    Whole(Option<Encoding>),
    /// Of the plain form.
    Parts(Vec<Part>),
    NotModified(Option<Encoding>),
    PreconditionFailed,
    NoSuchRange,
}

/// The content of the chosen form.
pub(super) enum Content {
    Bytes(Bytes),
    File { file: Arc<File>, length_bytes: u64 },
}

impl Facts {
    fn tag(&self, encoding: Option<Encoding>) -> Option<&str> {
        match encoding {
            None => Some(&self.plain_tag),
            Some(Encoding::Brotli) => self.brotli_tag.as_deref(),
            Some(Encoding::Gzip) => self.gzip_tag.as_deref(),
        }
    }
}

/// Ranges first, because they decide which form is meant (only the plain one has parts), then the preconditions on
/// that form, which come before a 206 or 416 (RFC 9110, 13.2.2).
pub(super) fn choose(method: &Method, headers: &HeaderMap, facts: &Facts) -> Choice {
    let accepted = Accepted::read(headers);
    let wanted = wanted_range(method, headers, facts, accepted);
    let encoding = match wanted {
        Wanted::Whole => accepted.choose(|encoding| facts.tag(Some(encoding)).is_some()),
        Wanted::Parts(_) | Wanted::Nothing => None,
    };
    let tag = facts.tag(encoding).unwrap_or(&facts.plain_tag);
    match (conditional::judge(headers, tag, facts.modified), wanted) {
        (Verdict::Failed, _) => Choice::PreconditionFailed,
        (Verdict::NotModified, _) => Choice::NotModified(encoding),
        (Verdict::Send, Wanted::Whole) => Choice::Whole(encoding),
        (Verdict::Send, Wanted::Parts(parts)) => Choice::Parts(parts),
        (Verdict::Send, Wanted::Nothing) => Choice::NoSuchRange,
    }
}

fn wanted_range(method: &Method, headers: &HeaderMap, facts: &Facts, accepted: Accepted) -> Wanted {
    let mut lines = headers.get_all(RANGE).iter();
    match (lines.next(), lines.next()) {
        // Defined for GET alone, and meaningless for a client that excludes the only form that has parts.
        (Some(line), None) if method == Method::GET && accepted.takes_plain() => match line.to_str() {
            Ok(line) if conditional::if_range(headers, &facts.plain_tag) => {
                range::read(line, facts.length_bytes)
            }
            _ => Wanted::Whole,
        },
        _ => Wanted::Whole,
    }
}

/// 200, with the body left out for HEAD.
pub(super) fn whole(
    method: &Method,
    facts: &Facts,
    encoding: Option<Encoding>,
    content: Content,
) -> Response<Body> {
    let mut response = described(StatusCode::OK, facts, encoding);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(facts.media));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(content.length()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if let Some(encoding) = encoding {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static(encoding.word()));
    }
    if method != Method::HEAD {
        *response.body_mut() = match content {
            Content::Bytes(bytes) => Body::bytes(bytes),
            Content::File { file, length_bytes } => {
                Body::pieces([Piece::File { file, offset: 0, length: length_bytes }])
            }
        };
    }
    response
}

/// 206 with one part, or several as `multipart/byteranges`. `boundary` must be a token that content can't guess.
pub(super) fn parts(facts: &Facts, content: &Content, parts: &[Part], boundary: &str) -> Response<Body> {
    let mut response = described(StatusCode::PARTIAL_CONTENT, facts, None);
    let total = facts.length_bytes;
    let (media, body) = match parts {
        [part] => {
            let range = format!("bytes {}-{}/{total}", part.first, part.last);
            response.headers_mut().insert(CONTENT_RANGE, ascii(range));
            (HeaderValue::from_static(facts.media), Body::pieces([content.part(*part)]))
        }
        several => {
            let mut pieces = Vec::with_capacity(several.len() * 2 + 1);
            for (at, part) in several.iter().enumerate() {
                let (line, media) = (if at == 0 { "" } else { "\r\n" }, facts.media);
                let (first, last) = (part.first, part.last);
                pieces.push(Piece::Bytes(Bytes::from(format!(
                    "{line}--{boundary}\r\nContent-Type: {media}\r\n\
                     Content-Range: bytes {first}-{last}/{total}\r\n\r\n"
                ))));
                pieces.push(content.part(*part));
            }
            pieces.push(Piece::Bytes(Bytes::from(format!("\r\n--{boundary}--\r\n"))));
            (ascii(format!("multipart/byteranges; boundary={boundary}")), Body::pieces(pieces))
        }
    };
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, media);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.length()));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    *response.body_mut() = body;
    response
}

/// 304: what a cache needs to go on using what it has.
pub(super) fn not_modified(facts: &Facts, encoding: Option<Encoding>) -> Response<Body> {
    described(StatusCode::NOT_MODIFIED, facts, encoding)
}

/// 412, without a body: only programs send such conditions.
pub(super) fn precondition_failed() -> Response<Body> {
    let mut response = Response::new(Body::EMPTY);
    *response.status_mut() = StatusCode::PRECONDITION_FAILED;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
    response
}

/// 416 with the length that there is.
pub(super) fn no_such_range(request: &HeaderMap, facts: &Facts) -> Response<Body> {
    let range = ascii(format!("bytes */{}", facts.length_bytes));
    refused(Reason::RangeNotSatisfiable, CONTENT_RANGE, range, request)
}

/// 405 with what would be allowed.
pub(super) fn method_not_allowed(request: &HeaderMap) -> Response<Body> {
    refused(Reason::MethodNotAllowed, ALLOW, HeaderValue::from_static("GET, HEAD"), request)
}

/// A refusal that has to carry a field of its own, which `Refusal` can't: written out here. The reason rides along as
/// an extension, for the access log.
fn refused(reason: Reason, name: HeaderName, value: HeaderValue, request: &HeaderMap) -> Response<Body> {
    let tongue = request.get(http::header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
    let tongue = tongue.map_or_else(Tongue::default, Tongue::from_accept_language);
    let (text, media) = Refusal::new(reason).body(Shape::Plain, tongue);
    let mut response = Response::new(Body::EMPTY);
    *response.status_mut() = reason.status();
    let headers = response.headers_mut();
    headers.insert(name, value);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(text.len()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.extensions_mut().insert(reason);
    *response.body_mut() = Body::bytes(text);
    response
}

/// What 200, 206 and 304 have in common.
fn described(status: StatusCode, facts: &Facts, encoding: Option<Encoding>) -> Response<Body> {
    let mut response = Response::new(Body::EMPTY);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let tag = facts.tag(encoding).unwrap_or(&facts.plain_tag);
    headers.insert(ETAG, ascii(tag.to_owned()));
    // A page path's answer is the index of today, whatever the index is called.
    let immutable = facts.immutable && !facts.instead;
    let cache = if immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(cache));
    let vary = match (facts.instead, facts.compressible) {
        (true, true) => Some("Accept, Accept-Encoding"),
        (true, false) => Some("Accept"),
        (false, true) => Some("Accept-Encoding"),
        (false, false) => None,
    };
    if let Some(vary) = vary {
        headers.insert(VARY, HeaderValue::from_static(vary));
    }
    if let Some(modified) = facts.modified {
        headers.insert(LAST_MODIFIED, modified.header());
    }
    response
}

impl Content {
    fn length(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::File { length_bytes, .. } => *length_bytes,
        }
    }

    /// `part` is inside the content.
    fn part(&self, part: Part) -> Piece {
        match self {
            Content::Bytes(bytes) => Piece::Bytes(bytes.slice(part.first as usize..=part.last as usize)),
            Content::File { file, .. } => {
                Piece::File { file: Arc::clone(file), offset: part.first, length: part.length() }
            }
        }
    }
}

/// Header values are only ever made of tokens and numbers of our own.
fn ascii(value: String) -> HeaderValue {
    HeaderValue::try_from(value).expect("tokens and numbers are a header value")
}
