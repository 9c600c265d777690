//! What every page answer says to the browser's guards.

use http::header::{
    CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};

/// Names and values, to be set on every answer of a site, refusals included.
pub(crate) type Guards = &'static [(HeaderName, &'static str)];

/// For the built-in page, which needs nothing but itself. `blob:` and `data:` are the pictures that a person attaches;
/// everything else that a model's output could make a browser fetch or run is refused, by the page's own sanitiser
/// first and by this when that one errs.
pub(super) static BUILT_IN: [(HeaderName, &str); 7] = [
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; \
         trusted-types svelte-trusted-html dompurify portico",
    ),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    // Frame-ancestors for browsers that do not know it.
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(self), clipboard-write=(self), fullscreen=(self), microphone=(), geolocation=(), display-capture=(), \
         payment=(), usb=(), serial=(), bluetooth=(), midi=()",
    ),
];

/// For a folder of the owner's own pages. No Content-Security-Policy: what these pages load is theirs to say, in a
/// `<meta>` of their own. Framing by other sites is refused all the same, because a page here acts with its visitor's
/// identity and a frame is how strangers borrow a click.
pub(super) static FOLDER: [(HeaderName, &str); 3] =
    [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (X_FRAME_OPTIONS, "SAMEORIGIN"), (REFERRER_POLICY, "same-origin")];
