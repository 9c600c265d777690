//! Which of the few things a path is. Pure.

use http::Method;

use crate::access::Surface;
use crate::api::Operation;
use crate::certificate::HTTP_01_PREFIX;
use crate::config::Endpoint;
use crate::types::percent_decoded;

/// What the pages of identity are made of, which everybody may load.
const ACCOUNT_ASSETS: &str = "/account/assets/";
const ACCOUNT_API: &str = "/account/api/";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Route<'p> {
    Health,
    Ready,
    /// A certificate authority's question.
    Challenge,
    Api(Operation),
    /// A page of identity.
    Account,
    /// What those pages ask for: the path behind `/account/api/`.
    AccountApi(&'p str),
    /// Under `/v1/`, in whatever spelling, and not one of the operations.
    UnknownApi,
    Page,
}

pub(crate) fn find<'p>(method: &Method, path: &'p str, endpoints: &[Endpoint]) -> Route<'p> {
    match path {
        "/health" => Route::Health,
        "/health/ready" => Route::Ready,
        "/login" | "/account" | "/invite" | "/setup" => Route::Account,
        _ if path.starts_with(HTTP_01_PREFIX) => Route::Challenge,
        _ if path.starts_with(ACCOUNT_ASSETS) => Route::Account,
        _ if path.starts_with(ACCOUNT_API) => Route::AccountApi(&path[ACCOUNT_API.len()..]),
        _ => match Operation::find(method, path, endpoints) {
            Some(operation) => Route::Api(operation),
            None if is_api(path) => Route::UnknownApi,
            None => Route::Page,
        },
    }
}

/// What of Portico a request asks for; `None`: what is open to everybody.
pub(crate) fn surface(method: &Method, path: &str, endpoints: &[Endpoint]) -> Option<Surface> {
    match find(method, path, endpoints) {
        Route::Health | Route::Ready | Route::Challenge => None,
        Route::Account | Route::AccountApi(_) => Some(Surface::Login),
        Route::Page => Some(Surface::Page),
        Route::Api(_) | Route::UnknownApi => Some(Surface::Api),
    }
}

/// Whether some reader, after decoding, folding case, slashes and dots, could take this path for one under `/v1`.
/// Only decides which kind of 404 it is; no such path ever reaches a model server.
pub(crate) fn is_api(path: &str) -> bool {
    if path.starts_with("/v1/") || path == "/v1" {
        return true;
    }
    let decoded = percent_decoded(path);
    let first = decoded
        .split(|byte| matches!(byte, b'/' | b'\\'))
        .find(|segment| !segment.is_empty() && *segment != b"." && *segment != b"..");
    first.is_some_and(|segment| segment.eq_ignore_ascii_case(b"v1"))
}

/// One round of percent-decoding; `None` where the result is not text.
pub(super) fn decoded(path: &str) -> Option<String> {
    String::from_utf8(percent_decoded(path)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_api_is_the_api() {
        for path in [
            "/v1",
            "/v1/",
            "/v1/x",
            "/V1/x",
            "/%76%31/x",
            "//v1/x",
            "/./v1/x",
            "/../v1/x",
            "/\\v1/x",
            "/%2fv1%2fx",
        ] {
            assert_eq!(find(&Method::POST, path, &[Endpoint::Chat]), Route::UnknownApi, "{path}");
        }
        for path in ["/", "/v1x", "/v2/x", "/chat.html", "/assets/v1/x", "/%zz"] {
            assert_eq!(find(&Method::GET, path, &[Endpoint::Chat]), Route::Page, "{path}");
        }
    }
}
