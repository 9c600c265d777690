//! The record of one request. It is a guard: whoever holds it when the request ends, by whatever way, writes it.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;

use crate::reason::{Reason, Refusal};
use crate::sys::clock::{self, Instant};
use crate::types::Identity;

/// Everything that the log formats need to know about one request.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) started: Instant,
    /// Wall clock at the end, since the Unix epoch.
    pub(crate) time: Duration,
    pub(crate) id: [u8; 32],
    pub(crate) remote: IpAddr,
    /// Where it is known who it is.
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) method: http::Method,
    /// Only its path is ever written. `None`: what came was no request.
    pub(crate) uri: Option<http::Uri>,
    pub(crate) version: http::Version,
    /// As Nginx's `$ssl_protocol` has it; `None`: in the clear.
    pub(crate) tls: Option<&'static str>,
    pub(crate) status: u16,
    pub(crate) reason: Reason,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
    pub(crate) model: Option<Arc<str>>,
    pub(crate) stream: bool,
    pub(crate) queue: Duration,
    /// From the arrival of the head to the first byte of the model's answer leaving.
    pub(crate) ttft: Option<Duration>,
    pub(crate) seconds: Duration,
    pub(crate) tokens_in: Option<u64>,
    pub(crate) tokens_out: Option<u64>,
    pub(crate) images: u32,
    pub(crate) user_agent: Option<HeaderValue>,
    pub(crate) referer: Option<HeaderValue>,
    pub(crate) upstream: UpstreamTimes,
    /// What only the operator may read: which rule, which address, which error.
    pub(crate) private: Option<Box<str>>,
}

impl Outcome {
    pub(super) fn user(&self) -> Option<&str> {
        self.identity.as_ref().map(|identity| &*identity.user)
    }

    pub(super) fn key(&self) -> Option<&str> {
        self.identity.as_ref().and_then(|identity| identity.key.as_deref())
    }

    /// As far as a log line shows it: whoever sends nonsense may send much of it.
    pub(super) fn method(&self) -> &str {
        const LONGEST_BYTES: usize = 32;
        let method = self.method.as_str();
        method.get(..LONGEST_BYTES).unwrap_or(method)
    }

    pub(super) fn path(&self) -> &str {
        self.uri.as_ref().map_or("", http::Uri::path)
    }
}

/// The text of a header field, as far as a log line shows it.
pub(super) fn shown(value: Option<&HeaderValue>) -> Option<std::borrow::Cow<'_, str>> {
    const LONGEST_BYTES: usize = 512;
    let bytes = value?.as_bytes();
    Some(String::from_utf8_lossy(&bytes[..bytes.len().min(LONGEST_BYTES)]))
}

/// Nginx's three upstream times, in its meaning.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct UpstreamTimes {
    pub(crate) connect: Option<Duration>,
    pub(crate) header: Option<Duration>,
    pub(crate) response: Option<Duration>,
}

/// Owns the outcome until the request has ended. Dropped without [`Record::end`], it says that the client left,
/// because the only way to lose a request is that its future or its body is thrown away by the connection.
#[derive(Debug)]
pub(crate) struct Record {
    outcome: Option<Box<Outcome>>,
}

impl Record {
    pub(crate) fn open(id: [u8; 32], remote: IpAddr, request: &http::request::Parts) -> Self {
        // Shared with the request, not copied: a record costs one allocation.
        let field = |name: http::HeaderName| request.headers.get(name).cloned();
        Self {
            outcome: Some(Box::new(Outcome {
                started: Instant::now(),
                time: Duration::ZERO,
                id,
                remote,
                identity: None,
                method: request.method.clone(),
                uri: Some(request.uri.clone()),
                version: request.version,
                tls: None,
                status: 0,
                reason: Reason::ClientLeft,
                bytes_in: 0,
                bytes_out: 0,
                model: None,
                stream: false,
                queue: Duration::ZERO,
                ttft: None,
                seconds: Duration::ZERO,
                tokens_in: None,
                tokens_out: None,
                images: 0,
                user_agent: field(http::header::USER_AGENT),
                referer: field(http::header::REFERER),
                upstream: UpstreamTimes::default(),
                private: None,
            })),
        }
    }

    /// A record for bytes that never became a request; gives its id. `line`: the method and the path, as far as they
    /// could be told. `bytes_out`: of the answer's body.
    pub(crate) fn unread(
        remote: IpAddr,
        version: http::Version,
        refusal: &Refusal,
        line: Option<(http::Method, http::Uri)>,
        bytes_out: u64,
    ) -> [u8; 32] {
        let (parts, ()) = http::Request::new(()).into_parts();
        let id = crate::sys::random::request_id();
        let mut record = Self::open(id, remote, &parts);
        (record.method, record.uri) = match line {
            Some((method, uri)) => (method, Some(uri)),
            None => (http::Method::default(), None),
        };
        record.version = version;
        record.bytes_out = bytes_out;
        record.private = Some(refusal.private.as_ref().into());
        record.set_status(refusal.reason.status().as_u16());
        record.end(refusal.reason);
        id
    }

    pub(crate) fn set_status(&mut self, status: u16) {
        self.status = status;
    }

    pub(crate) fn first_byte_out(&mut self) {
        if self.ttft.is_none() {
            self.ttft = Some(self.started.elapsed());
        }
    }

    /// The request has ended for this reason; the record is written now.
    pub(crate) fn end(mut self, reason: Reason) {
        self.reason = reason;
        self.write();
    }

    fn write(&mut self) {
        if let Some(mut outcome) = self.outcome.take() {
            outcome.time = clock::unix_now();
            outcome.seconds = outcome.started.elapsed();
            if outcome.reason == Reason::ClientLeft && outcome.status == 0 {
                outcome.status = outcome.reason.status().as_u16();
            }
            super::log::write(&outcome);
        }
    }
}

impl std::ops::Deref for Record {
    type Target = Outcome;

    fn deref(&self) -> &Outcome {
        self.outcome
            .as_deref()
            .expect("the outcome leaves only in `write`, which consumes or drops the record")
    }
}

impl std::ops::DerefMut for Record {
    fn deref_mut(&mut self) -> &mut Outcome {
        self.outcome
            .as_deref_mut()
            .expect("the outcome leaves only in `write`, which consumes or drops the record")
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.write();
    }
}
