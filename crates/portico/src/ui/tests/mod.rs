//! Answers as a client sees them, from a table of the tests' own and from folders made for them.

mod built_in;
mod folder;
mod wire;

use http::header::{CONTENT_LENGTH, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt;

use super::*;

/// What a browser sends when a person types an address.
const BROWSER: (HeaderName, &str) =
    (http::header::ACCEPT, "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

#[derive(Debug)]
struct Got {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
}

impl Got {
    /// A field that stands exactly once, or `-`.
    fn field(&self, name: &str) -> &str {
        let mut lines = self.headers.get_all(name).iter();
        let value = lines.next().map_or("-", |value| value.to_str().expect("text"));
        assert!(lines.next().is_none(), "{name} twice");
        value
    }

    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }
}

async fn ask(site: &Site, method: Method, path: &str, lines: &[(HeaderName, &str)]) -> Result<Got, Refusal> {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(name, HeaderValue::from_str(value).expect("a value"));
    }
    let response = site.answer(&PageRequest { method: &method, path, headers: &headers }).await?;
    let (parts, body) = response.into_parts();
    let announced = body.size_hint().exact().expect("an exact length");
    let body = body.collect().await.expect("a body").to_bytes().to_vec();
    assert_eq!(announced, body.len() as u64);
    let got = Got { status: parts.status, headers: parts.headers, body };
    for (name, value) in site.guards() {
        assert_eq!(got.field(name.as_str()), *value);
    }
    if method == Method::HEAD {
        assert!(got.body.is_empty());
    } else if got.status != StatusCode::NOT_MODIFIED {
        assert_eq!(got.field(CONTENT_LENGTH.as_str()), announced.to_string());
    }
    Ok(got)
}

async fn get(site: &Site, path: &str, lines: &[(HeaderName, &str)]) -> Got {
    ask(site, Method::GET, path, lines).await.expect(path)
}

/// The reason of a refusal, which says nothing of the box to the client.
async fn refusal(site: &Site, path: &str, lines: &[(HeaderName, &str)]) -> Refusal {
    ask(site, Method::GET, path, lines).await.expect_err(path)
}
