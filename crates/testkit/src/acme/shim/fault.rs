//! What goes wrong on purpose.

use std::time::{Duration, SystemTime};

use serde_json::json;

use super::server::Answer;

/// What meets a request. All but [`Fault::Slow`], [`Fault::Padded`] and [`Fault::Cut`] keep it from Pebble.
#[derive(Clone, Debug)]
pub enum Fault {
    /// An error as authorities say it (RFC 8555, section 6.7), with a fresh nonce. `kind` is what follows
    /// `urn:ietf:params:acme:error:`.
    Problem { status: u16, kind: &'static str, detail: &'static str, retry_after: Option<RetryAfter> },
    /// An error as the machine in front of an authority says it: a page for people, no nonce.
    Page { status: u16, retry_after: Option<RetryAfter> },
    /// The request is read and never answered.
    Hang,
    /// The connection is closed in place of an answer.
    Close,
    /// The answer comes this much later.
    Slow(Duration),
    /// The answer begins with so many spaces, which JSON and PEM permit, and says no length.
    Padded { bytes: u64 },
    /// Half of the answer's body comes, then the connection is closed.
    Cut,
}

/// Both forms of the header (RFC 9110, section 10.2.3), and what is none.
#[derive(Clone, Debug)]
pub enum RetryAfter {
    Seconds(u64),
    Date(SystemTime),
    Text(&'static str),
}

impl Fault {
    /// 429 as Let's Encrypt says it.
    #[must_use]
    pub fn rate_limited(retry_after: RetryAfter) -> Self {
        let detail =
            "too many certificates (5) already issued for this exact set of domains in the last 168h";
        Self::Problem { status: 429, kind: "rateLimited", detail, retry_after: Some(retry_after) }
    }
}

impl RetryAfter {
    pub(super) fn header(&self) -> (String, String) {
        let value = match self {
            Self::Seconds(seconds) => seconds.to_string(),
            Self::Date(date) => http_date(*date),
            Self::Text(text) => (*text).to_owned(),
        };
        ("Retry-After".to_owned(), value)
    }
}

fn http_date(time: SystemTime) -> String {
    let printed = jiff::Timestamp::try_from(time)
        .and_then(|time| jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&time));
    printed.unwrap_or_else(|error| panic!("no date for a header: {error}"))
}

/// A problem document.
pub(super) fn problem(status: u16, kind: &str, detail: &str, retry_after: Option<&RetryAfter>) -> Answer {
    let body =
        json!({ "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail, "status": status });
    let mut headers = vec![("Content-Type".to_owned(), "application/problem+json".to_owned())];
    headers.extend(retry_after.map(RetryAfter::header));
    Answer { status, headers, body: body.to_string().into_bytes() }
}

/// A page for people.
pub(super) fn page(status: u16, retry_after: Option<&RetryAfter>) -> Answer {
    let mut headers = vec![("Content-Type".to_owned(), "text/html".to_owned())];
    headers.extend(retry_after.map(RetryAfter::header));
    let body = format!("<html><body><h1>{status}</h1><p>We are sorry.</p></body></html>\n");
    Answer { status, headers, body: body.into_bytes() }
}
