//! HTTP towards a CA: bounded in time and size, and remembering what the ACME library does not pass on.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, DATE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as HyperClient;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::reach::Clock;
use crate::sys::trusted;
use crate::types::{Text, text};

const CONNECT_TIME: Duration = Duration::from_secs(10);
/// One request, answered to its end.
const REQUEST_TIME: Duration = Duration::from_secs(30);
/// Certificates and directories are a few KiB.
const MOST_BYTES: usize = 1024 * 1024;
const AGENT: HeaderValue = HeaderValue::from_static(concat!("portico/", env!("CARGO_PKG_VERSION")));

/// What the last answers said beside their bodies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// Of the last answer alone.
    pub(crate) retry_after: Option<Duration>,
    /// The CA's clock beside ours.
    pub(crate) clock: Option<Clock>,
}

#[derive(Clone)]
pub(crate) struct Client {
    inner: HyperClient<HttpsConnector<HttpConnector>, Full<Bytes>>,
    seen: Arc<Mutex<Seen>>,
}

/// An answer that is none of ACME's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it answered {0} without saying why")]
    Status(StatusCode),
    #[error("it did not answer within {} s", REQUEST_TIME.as_secs())]
    Late,
    #[error("{0}")]
    Unreachable(String),
    #[error("its answer broke off or is larger than {MOST_BYTES} bytes: {0}")]
    Body(String),
}

impl Client {
    /// `root`: of a private CA's own server, in PEM. Reads files: not for a data thread.
    pub(crate) fn new(root: Option<&std::path::Path>) -> Result<Self, Text> {
        let mut roots = trusted::roots();
        if let Some(path) = root {
            let file = path.display();
            let bad = |error: &dyn std::fmt::Display| {
                text!("tls.ca_file {file} can't be used: {error}", "无法使用 tls.ca_file {file}:{error}")
            };
            let certificates = CertificateDer::pem_file_iter(path).map_err(|error| bad(&error))?;
            let mut count = 0;
            for certificate in certificates {
                let certificate = certificate.map_err(|error| bad(&error))?;
                roots.add(certificate).map_err(|error| bad(&error))?;
                count += 1;
            }
            if count == 0 {
                return Err(bad(&"there is no certificate in it"));
            }
        }
        let config = trusted::client(roots)
            .map_err(|error| text!("TLS can't be set up: {error}", "无法建立 TLS:{error}"))?;
        let mut connector = HttpConnector::new();
        connector.enforce_http(false);
        connector.set_connect_timeout(Some(CONNECT_TIME));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(connector);
        Ok(Self { inner: HyperClient::builder(TokioExecutor::new()).build(connector), seen: Arc::default() })
    }

    pub(crate) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, headers: &HeaderMap) {
        let now = SystemTime::now();
        let date = headers.get(DATE).and_then(date);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.retry_after = retry_after(headers, now);
        if let Some(theirs) = date {
            seen.clock = Some(Clock { theirs, ours: now });
        }
    }

    /// Any request with a small body, answered whole.
    pub(crate) async fn ask(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Fault> {
        let exchange = async {
            let response =
                self.inner.request(request).await.map_err(|error| Fault::Unreachable(chain(&error)))?;
            let (head, body) = response.into_parts();
            self.note(&head.headers);
            let body = Limited::new(body, MOST_BYTES)
                .collect()
                .await
                .map_err(|error| Fault::Body(error.to_string()))?;
            Ok(Response::from_parts(head, body.to_bytes()))
        };
        tokio::time::timeout(REQUEST_TIME, exchange).await.unwrap_or(Err(Fault::Late))
    }
}

impl HttpClient for Client {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let client = self.clone();
        Box::pin(async move {
            let (mut head, body) = request.into_parts();
            head.headers.insert(USER_AGENT, AGENT);
            let body = match body.collect().await {
                Ok(body) => body.to_bytes(),
                Err(never) => match never {},
            };
            let request = Request::from_parts(head, Full::new(body));
            let response = client.ask(request).await.map_err(|fault| Error::Other(Box::new(fault)))?;
            // The library would only say that this is no JSON.
            let (status, says_why) = (response.status(), is_problem(response.headers()));
            if (status.is_client_error() || status.is_server_error()) && !says_why {
                return Err(Error::Other(Box::new(Fault::Status(status))));
            }
            Ok(BytesResponse::from(response.map(Full::new)))
        })
    }
}

fn is_problem(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/problem+json") || kind.eq_ignore_ascii_case("application/json")
    })
}

/// RFC 9110, 10.2.3: seconds or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?;
    if let Some(seconds) = value.to_str().ok().and_then(|text| text.trim().parse().ok()) {
        return Some(Duration::from_secs(seconds));
    }
    Some(date(value)?.duration_since(now).unwrap_or_default())
}

fn date(value: &HeaderValue) -> Option<SystemTime> {
    httpdate::parse_http_date(value.to_str().ok()?).ok()
}

/// An error with what is behind it: the outermost alone says "error trying to connect".
pub(super) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        source = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sat, 28 Nov 2026 12:00:00 GMT").unwrap();
        for (value, wanted) in [
            ("120", Some(120)),
            (" 5 ", Some(5)),
            ("Sat, 28 Nov 2026 13:00:00 GMT", Some(3600)),
            ("Sat, 28 Nov 2026 11:00:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_static(value));
            assert_eq!(retry_after(&headers, now), wanted.map(Duration::from_secs), "{value}");
        }
    }
}
