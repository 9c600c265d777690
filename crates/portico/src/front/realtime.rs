//! A realtime session from its handshake to the model server's agreement. What is said then goes through `tunnel`.
//!
//! A client's handshake ends here: the model server gets one of Portico's own, with a key of its own, and only when it
//! has agreed does the client hear that it may speak. Browsers let every page open a WebSocket to everywhere, so one that
//! names its page has to name this site's, or one of `cors.origins`.

use std::cell::Cell;
use std::sync::Arc;

use http::header::{
    CONNECTION, CONTENT_LENGTH, HOST, HeaderName, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, StatusCode, Version};

use super::admit::own_origin;
use super::headers::Origin;
use super::models::{Served, may_use};
use super::tunnel::{Session, Tunnel};
use super::turn::Turn;
use super::{Answer, Visit};
use crate::access::Caller;
use crate::api::Operation;
use crate::api::body::{BudgetGuard, Incoming};
use crate::observe::Record;
use crate::queue::Permit;
use crate::reason::{Reason, Refusal};
use crate::types::{has_option, percent_decoded, text, websocket};
use crate::upstream::{Outbound, Payload, Sent};

/// What OpenAI's pages offer; it says nothing more than the path does.
const PROTOCOL: &str = "realtime";

/// A client's handshake, judged.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Handshake {
    pub(super) accept: String,
    pub(super) protocol: Option<&'static str>,
}

pub(super) async fn run(
    visit: &Visit<'_>,
    caller: &Caller,
    incoming: &mut dyn Incoming,
    record: &mut Record,
) -> Result<Answer, Refusal> {
    let parts = visit.parts;
    let origin = Origin::of(visit);
    let handshake = handshake(parts.version, &parts.headers)?;
    if visit.snapshot.cors.granted(&parts.headers).is_none() {
        let host = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        own_origin(&parts.headers, host, origin.is_tls())?;
    }
    let (asked, served) = model(visit, parts.uri.query())?;
    may_use(visit.snapshot, caller, &served)?;
    (record.model, record.stream) = (Some(asked.clone()), true);
    let turn = Turn::new(visit.snapshot, &served);
    let begun = turn.run(None, async |permit| attempt(visit, &turn, &origin, permit).await).await;
    turn.progress.note(record);
    let (sent, permit) = begun?;
    if sent.head.status != StatusCode::SWITCHING_PROTOCOLS {
        return Err(Refusal::new(Reason::UpstreamFailed).because("it did not agree to WebSocket"));
    }
    incoming.open().map_err(|rule| Refusal::new(Reason::MalformedRequest).because(rule))?;
    let session = Session {
        snapshot: visit.snapshot.clone(),
        upstream_name: served.upstream_name(&asked),
        served,
        _permit: permit,
        budget: BudgetGuard::new(visit.door.budget.clone()),
    };
    let tunnel = Tunnel::new(session, sent, visit.context.tongue, visit.connection);
    Ok(Answer::Tunnel(Box::new(tunnel), handshake))
}

async fn attempt(
    visit: &Visit<'_>,
    turn: &Turn,
    origin: &Origin,
    permit: Permit,
) -> Result<Option<(Sent, Permit)>, Refusal> {
    let outbound = Outbound {
        path: Operation::Realtime.path(),
        fields: &|head| origin.write(&turn.served, None, head),
        body: Payload::Switch,
        timeouts: &visit.snapshot.config.timeouts,
        connected: &Cell::new(None),
    };
    turn.attempt(permit, outbound).await
}

/// RFC 6455 section 4.2.1, with each field exactly once.
fn handshake(version: Version, headers: &HeaderMap) -> Result<Handshake, Refusal> {
    let upgrade = once(headers, &UPGRADE)?;
    let asks = upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
        && headers.get_all(CONNECTION).into_iter().any(|value| has_option(value.as_bytes(), "upgrade"));
    if version != Version::HTTP_11 || !asks {
        return Err(Reason::UpgradeRequired.into());
    }
    if once(headers, &SEC_WEBSOCKET_VERSION)?.is_none_or(|version| version != "13") {
        return Err(Refusal::new(Reason::UpgradeRequired).because("Sec-WebSocket-Version is not 13"));
    }
    let key = once(headers, &SEC_WEBSOCKET_KEY)?
        .filter(|key| websocket::is_key(key.as_bytes()))
        .and_then(|key| key.to_str().ok())
        .ok_or_else(|| malformed("Sec-WebSocket-Key is not sixteen bytes in base64"))?;
    if headers.contains_key(CONTENT_LENGTH) || headers.contains_key(TRANSFER_ENCODING) {
        return Err(malformed("a handshake with a body"));
    }
    Ok(Handshake { accept: websocket::accept(key), protocol: protocol(headers) })
}

/// A browser that offers protocols expects one of them.
fn protocol(headers: &HeaderMap) -> Option<&'static str> {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).into_iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).any(|word| word.trim() == PROTOCOL).then_some(PROTOCOL)
}

/// The model is named by the query. Where there is only one, nobody has to name it.
fn model(visit: &Visit<'_>, query: Option<&str>) -> Result<(Arc<str>, Arc<Served>), Refusal> {
    let models = &visit.snapshot.models;
    match asked(query)? {
        Some(name) => Ok((name.as_str().into(), models.find(&name)?.clone())),
        None => match models.all() {
            [only] if !only.names().is_empty() => Ok((only.names()[0].clone(), only.clone())),
            _ => Err(Refusal::new(Reason::InvalidValue).param("model").saying(text!(
                "Which model? Say ?model=NAME. GET /v1/models lists the models.",
                "请用 ?model=名称 指定模型。GET /v1/models 会列出可用的模型。"
            ))),
        },
    }
}

/// `intent` is said by OpenAI's clients, and there is one.
fn asked(query: Option<&str>) -> Result<Option<String>, Refusal> {
    let mut model = None;
    for pair in query.unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let refused = || {
            let key: String = key.chars().take(64).collect();
            Refusal::new(Reason::InvalidValue).param(key.clone()).saying(text!(
                "{key} is not accepted in the address, or not twice. A session takes ?model=NAME.",
                "地址中不接受 {key},或只接受一次。会话接受 ?model=名称。"
            ))
        };
        match key {
            "intent" => {}
            "model" => {
                let name = String::from_utf8(percent_decoded(value)).map_err(|_| refused())?;
                if model.replace(name).is_some() {
                    return Err(refused());
                }
            }
            _ => return Err(refused()),
        }
    }
    Ok(model)
}

fn once<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).into_iter();
    match (values.next(), values.next()) {
        (value, None) => Ok(value),
        _ => Err(malformed("a field of the handshake stands there twice")),
    }
}

fn malformed(rule: &'static str) -> Refusal {
    Refusal::new(Reason::MalformedRequest).because(rule)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    fn headers(changes: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let usual = [
            ("host", "chat.example.com"),
            ("upgrade", "websocket"),
            ("connection", "keep-alive, Upgrade"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", KEY),
        ];
        for (name, value) in
            usual.into_iter().filter(|(name, _)| !changes.iter().any(|(other, _)| other == name))
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        for (name, value) in changes.iter().filter(|(_, value)| !value.is_empty()) {
            headers.append(*name, HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn a_handshake_is_right_to_the_letter() {
        let status = |version, changes: &[(&'static str, &'static str)]| {
            handshake(version, &headers(changes))
                .map_or_else(|refusal| refusal.reason.status().as_u16(), |_| 101)
        };
        for (changes, wanted) in [
            (&[][..], 101),
            (&[("upgrade", "WebSocket")], 101),
            (&[("upgrade", "")], 426),
            (&[("upgrade", "h2c")], 426),
            (&[("upgrade", "h2c, websocket")], 426),
            (&[("upgrade", "websocket"), ("upgrade", "websocket")], 400),
            (&[("connection", "")], 426),
            (&[("connection", "close")], 426),
            (&[("connection", "close"), ("connection", "upgrade")], 101),
            (&[("sec-websocket-version", "")], 426),
            (&[("sec-websocket-version", "8")], 426),
            (&[("sec-websocket-version", "13, 8")], 426),
            (&[("sec-websocket-version", "13"), ("sec-websocket-version", "13")], 400),
            (&[("sec-websocket-key", "")], 400),
            (&[("sec-websocket-key", "short")], 400),
            (&[("sec-websocket-key", KEY), ("sec-websocket-key", KEY)], 400),
            (&[("content-length", "0")], 400),
            (&[("transfer-encoding", "chunked")], 400),
        ] {
            assert_eq!(status(Version::HTTP_11, changes), wanted, "{changes:?}");
        }
        assert_eq!(status(Version::HTTP_10, &[]), 426);
        assert_eq!(status(Version::HTTP_2, &[]), 426);
    }

    #[test]
    fn a_protocol_is_chosen_only_where_it_is_offered() {
        for (offered, wanted) in [
            ("", None),
            ("realtime", Some("realtime")),
            ("openai-insecure-api-key.sk-1, realtime", Some("realtime")),
            ("chat", None),
        ] {
            let handshake =
                handshake(Version::HTTP_11, &headers(&[("sec-websocket-protocol", offered)])).unwrap();
            assert_eq!(handshake.protocol, wanted, "{offered}");
            assert_eq!(handshake.accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        }
    }

    #[test]
    fn the_address_names_the_model() {
        for (query, wanted) in [
            (None, Ok(None)),
            (Some(""), Ok(None)),
            (Some("model=a"), Ok(Some("a"))),
            (Some("model=mistral%2Fvoxtral&intent=transcription"), Ok(Some("mistral/voxtral"))),
            (Some("model="), Ok(Some(""))),
            (Some("model=a&model=a"), Err("model")),
            (Some("model=%ff"), Err("model")),
            (Some("call_id=x"), Err("call_id")),
        ] {
            let found = asked(query);
            let found =
                found.as_ref().map(Option::as_deref).map_err(|refusal| refusal.param.as_deref().unwrap());
            assert_eq!(found, wanted, "{query:?}");
        }
    }
}
