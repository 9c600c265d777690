//! Responses: heads, the few answers that are made here, and refusals in the shape their reader expects.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{
    ACCEPT_LANGUAGE, ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, EXPECT, HeaderName, RETRY_AFTER,
    SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, STRICT_TRANSPORT_SECURITY, UPGRADE,
    WWW_AUTHENTICATE,
};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, Version};
use serde::Serialize;

use super::body::{Body, Ending};
use super::headers::X_REQUEST_ID;
use super::models::{Served, may_use};
use super::snapshot::{Door, Snapshot};
use super::{Answer, Connection};
use super::{route, scheme};
use crate::access::Caller;
use crate::api::body::{Incoming, Pace, next_piece};
use crate::certificate::Challenges;
use crate::config::{Access, Modality};
use crate::observe::Record;
use crate::reason::{ErrorKind, Reason, Refusal, Shape};
use crate::types::{ModelState, Tongue};

const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
const X_PORTICO_PAGE: HeaderName = HeaderName::from_static("x-portico-page");
const X_PORTICO_QUEUE_POSITION: HeaderName = HeaderName::from_static("x-portico-queue-position");

const WEBSOCKET: HeaderValue = HeaderValue::from_static("websocket");

/// A locally answered request whose body is not longer than this is read to its end, so that its connection can
/// be used again; any other is closed.
const DRAIN_BYTES: usize = 64 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(1);

/// How this request wants to be spoken to.
pub(super) struct Context {
    pub(super) id: HeaderValue,
    pub(super) tongue: Tongue,
    shape: Shape,
    headless: bool,
    version: Version,
    connection: Rc<dyn Connection>,
    hsts: Option<HeaderValue>,
    /// On answers of the API, where pages of other sites may use it; the origin, if it is one of theirs.
    cors: Option<(Arc<Snapshot>, Option<HeaderValue>)>,
    /// Portico's own page asks, which says itself who it is.
    is_own_page: bool,
}

impl Context {
    pub(super) fn new(
        parts: &Parts,
        id: [u8; 32],
        connection: &Rc<dyn Connection>,
        snapshot: &Arc<Snapshot>,
    ) -> Self {
        let hsts = snapshot.hsts.as_ref().filter(|_| {
            connection.tls().is_some()
                && scheme::is_for_a_name(&snapshot.config.site.names, &parts.headers, &parts.uri)
        });
        let language = parts.headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        Self {
            id: HeaderValue::from_bytes(&id).unwrap_or_else(|_| HeaderValue::from_static("")),
            tongue: language.map_or(Tongue::English, Tongue::from_accept_language),
            shape: shape(parts.uri.path()),
            headless: parts.method == Method::HEAD,
            version: parts.version,
            connection: connection.clone(),
            hsts: hsts.cloned(),
            cors: (snapshot.cors.is_on() && route::is_api(parts.uri.path()))
                .then(|| (snapshot.clone(), snapshot.cors.granted(&parts.headers))),
            is_own_page: parts.headers.contains_key(X_PORTICO_PAGE),
        }
    }

    /// What every answer carries.
    fn sign(&self, headers: &mut HeaderMap) {
        headers.insert(X_REQUEST_ID, self.id.clone());
        if let Some(hsts) = &self.hsts {
            headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        if let Some((snapshot, granted)) = &self.cors {
            snapshot.cors.sign(granted.as_ref(), headers);
        }
    }

    fn ending(&self) -> Ending {
        Ending { headless: self.headless, connection: self.connection.clone() }
    }
}

fn shape(path: &str) -> Shape {
    match path {
        _ if path.starts_with("/account/api/") => Shape::OpenAi,
        "/v1/messages" | "/v1/messages/count_tokens" => Shape::Anthropic,
        path if route::is_api(path) => Shape::OpenAi,
        _ => Shape::Plain,
    }
}

pub(super) fn answer(answer: Answer, mut record: Record, context: &Context) -> Response<Body> {
    let mut response = match answer {
        Answer::Local(response) => {
            let (head, bytes) = response.into_parts();
            record.set_status(head.status.as_u16());
            Response::from_parts(head, Body::bytes(bytes, record, Reason::Completed, context.ending()))
        }
        Answer::Page(response) => {
            let (mut head, page) = response.into_parts();
            record.set_status(head.status.as_u16());
            let mut ending = context.ending();
            ending.headless |= head.status == StatusCode::NOT_MODIFIED;
            // 405 and 416 of a page are written there and bring their reason along.
            let reason = head.extensions.remove().unwrap_or(Reason::Completed);
            if let Some(hsts) = &context.hsts {
                head.headers.insert(STRICT_TRANSPORT_SECURITY, hsts.clone());
            }
            return Response::from_parts(head, Body::page(page, record, reason, ending));
        }
        Answer::Whole(whole) => {
            record.set_status(200);
            record.first_byte_out();
            let mut response =
                Response::new(Body::bytes(whole.body, record, Reason::Completed, context.ending()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(whole.content_type));
            queued(&mut response, whole.position);
            response
        }
        Answer::Stream(stream, position) => {
            record.set_status(200);
            let mut response = Response::new(Body::stream(stream, record, context.ending()));
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert(X_ACCEL_BUFFERING, HeaderValue::from_static("no"));
            queued(&mut response, position);
            response
        }
        Answer::Tunnel(tunnel, handshake) => {
            record.set_status(101);
            let mut response = Response::new(Body::tunnel(tunnel, record, context.ending()));
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(UPGRADE, WEBSOCKET);
            if let Ok(accept) = HeaderValue::from_str(&handshake.accept) {
                headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            }
            if let Some(protocol) = handshake.protocol {
                headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(protocol));
            }
            response
        }
    };
    context.sign(response.headers_mut());
    response
}

fn queued(response: &mut Response<Body>, position: usize) {
    if position > 0 {
        response.headers_mut().insert(X_PORTICO_QUEUE_POSITION, HeaderValue::from(position));
    }
}

/// Reads what is left of a refused request's body, a little. False: the connection has to be closed.
pub(super) async fn drain(parts: &Parts, incoming: &mut dyn Incoming) -> bool {
    if incoming.is_ended() {
        return true;
    }
    // Asking for the rest of a body that the client holds back would make it send all of it.
    if parts.version >= Version::HTTP_2 || parts.headers.contains_key(EXPECT) {
        return false;
    }
    if incoming.announced_bytes() > DRAIN_BYTES as u64 {
        return false;
    }
    let read = async {
        let mut scratch = BytesMut::new();
        while scratch.len() <= DRAIN_BYTES {
            match next_piece(incoming, &mut scratch, DRAIN_TIME, &mut Pace::default()).await {
                Ok(true) => {}
                Ok(false) => return true,
                Err(_) => return false,
            }
        }
        false
    };
    tokio::time::timeout(DRAIN_TIME, read).await.unwrap_or(false)
}

pub(super) fn refusal(
    refusal: Refusal,
    drained: bool,
    mut record: Record,
    context: &Context,
    access: &Access,
) -> Response<Body> {
    let (bytes, content_type) = refusal.body(context.shape, context.tongue);
    let reason = refusal.reason;
    record.set_status(reason.status().as_u16());
    if !refusal.private.is_empty() {
        record.private = Some(refusal.private.as_ref().into());
    }
    let mut response = Response::new(Body::bytes(bytes, record, reason, context.ending()));
    *response.status_mut() = reason.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    context.sign(headers);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(after) = refusal.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
    }
    // Programs are told how to say who they are. Portico's own pages know, and a browser would show its own box.
    let is_asked = reason.kind() == ErrorKind::Authentication && !context.is_own_page;
    if is_asked
        && (context.shape != Shape::Plain || !access.login_page)
        && let Ok(challenge) = HeaderValue::from_str(&basic(&access.realm))
    {
        headers.insert(WWW_AUTHENTICATE, challenge);
    }
    if reason == Reason::UpgradeRequired {
        headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        if context.version < Version::HTTP_2 {
            headers.insert(UPGRADE, WEBSOCKET);
        }
    }
    if reason == Reason::MethodNotAllowed {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    let unframed = matches!(
        reason,
        Reason::MalformedRequest
            | Reason::BodyTooLarge
            | Reason::BodyTimeout
            | Reason::TargetTooLong
            | Reason::HeadersTooLarge
    );
    if (unframed || !drained) && context.version < Version::HTTP_2 {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// RFC 7617, with the realm as a quoted string.
fn basic(realm: &str) -> String {
    let realm = realm.replace('\\', "\\\\").replace('"', "\\\"");
    format!("Basic realm=\"{realm}\", charset=\"UTF-8\"")
}

/// What a client of HTTP/1 gets whose bytes never became a request: the whole answer, to be written as it is, and its record.
/// `line`: its first line, as far as it was there. The path tells in whose shape to speak.
pub(crate) fn unread(line: &[u8], peer: IpAddr, refusal: &Refusal) -> Vec<u8> {
    let mut words = line.split(|byte| *byte == b' ').filter(|word| !word.is_empty());
    let method = words.next().unwrap_or_default();
    let target = words.next().unwrap_or_default();
    let path = target.split(|byte| *byte == b'?').next().unwrap_or_default();
    let line = http::Method::from_bytes(method)
        .ok()
        .zip(http::Uri::try_from(path).ok().filter(|uri| uri.path().as_bytes() == path));
    let path = String::from_utf8_lossy(path);
    let (body, content_type) = refusal.body(shape(&path), Tongue::English);
    // A client that asked for a head would take a body for the next answer.
    let sent = if method == b"HEAD" { &body[..0] } else { &body[..] };
    let id = Record::unread(peer, Version::HTTP_11, refusal, line, sent.len() as u64);
    let (status, id) = (refusal.reason.status(), String::from_utf8_lossy(&id));
    let mut answer = format!(
        "HTTP/1.1 {} {}\r\ncontent-type: {content_type}\r\nx-request-id: {id}\r\ncache-control: no-store\r\n\
         connection: close\r\ncontent-length: {}\r\n\r\n",
        status.as_u16(),
        status.canonical_reason().unwrap_or_default(),
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(sent);
    answer
}

pub(super) fn health(method: &Method) -> Result<Response<Bytes>, Refusal> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Err(Reason::MethodNotAllowed.into());
    }
    Ok(plain(Bytes::from_static(b"OK"), "text/plain"))
}

/// HTTP-01 (RFC 8555, 8.3).
pub(super) fn challenge(challenges: &Challenges, path: &str) -> Result<Response<Bytes>, Refusal> {
    let answer = challenges.http(path).ok_or(Reason::NotFound)?;
    Ok(plain(answer.into(), "application/octet-stream"))
}

#[derive(Serialize)]
struct Ready {
    ready: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<serde_json::Map<String, serde_json::Value>>,
}

/// Ready means that every model that should run does, and that no stop is under way.
pub(super) fn ready(snapshot: &Snapshot, door: &Door, known: bool) -> Response<Bytes> {
    let states: Vec<_> = snapshot.models.all().iter().map(|served| served.state()).collect();
    let wanted = states.iter().filter(|state| **state != ModelState::Stopped).count();
    let serving = states.iter().filter(|state| **state == ModelState::Ready).count();
    let draining = door.draining.load(std::sync::atomic::Ordering::Relaxed);
    let ready = serving > 0 && serving == wanted && !draining;
    let models = known.then(|| {
        let all = snapshot.models.all().iter();
        all.flat_map(|served| {
            served.names().into_iter().map(|name| (name.to_string(), served.state().word().into()))
        })
        .collect()
    });
    let mut response = json(&Ready { ready, models });
    if !ready {
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    }
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[derive(Serialize)]
struct ModelList<'a> {
    object: &'static str,
    data: Vec<ModelEntry<'a>>,
}

#[derive(Serialize)]
struct ModelEntry<'a> {
    id: std::sync::Arc<str>,
    object: &'static str,
    created: u64,
    owned_by: &'static str,
    modalities: Vec<&'static str>,
    max_model_len: Option<u32>,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    alias_of: Option<&'a str>,
}

pub(super) fn models(snapshot: &Snapshot, caller: &Caller) -> Response<Bytes> {
    let usable = snapshot.models.all().iter().filter(|served| may_use(snapshot, caller, served).is_ok());
    let data = usable.flat_map(entries).collect();
    json(&ModelList { object: "list", data })
}

/// `GET /v1/models/{id}`; clients encode what they like of an id, and slashes in it or not. Answered here, so that
/// no reader behind Portico could read the path differently.
pub(super) fn model(snapshot: &Snapshot, caller: &Caller, path: &str) -> Result<Response<Bytes>, Refusal> {
    let unknown = || Refusal::new(Reason::ModelNotFound).param("model");
    let id = path.strip_prefix("/v1/models/").and_then(route::decoded).ok_or_else(unknown)?;
    let served = snapshot.models.find(&id)?;
    may_use(snapshot, caller, served)?;
    entries(served).find(|entry| *entry.id == *id).map(|entry| json(&entry)).ok_or_else(unknown)
}

fn entries(served: &std::sync::Arc<Served>) -> impl Iterator<Item = ModelEntry<'_>> {
    let main = served.config.name.as_str();
    served.names().into_iter().map(move |id| ModelEntry {
        alias_of: (!main.is_empty() && *id != *main).then_some(main),
        id,
        object: "model",
        created: 0,
        owned_by: "portico",
        modalities: served.modalities().into_iter().map(modality).collect(),
        max_model_len: served.context_tokens(),
        state: served.state().word(),
    })
}

const fn modality(modality: Modality) -> &'static str {
    match modality {
        Modality::Text => "text",
        Modality::Image => "image",
    }
}

fn json(value: &impl Serialize) -> Response<Bytes> {
    plain(
        Bytes::from(serde_json::to_vec(value).expect("strings and numbers always serialise")),
        "application/json",
    )
}

fn plain(body: Bytes, content_type: &'static str) -> Response<Bytes> {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
