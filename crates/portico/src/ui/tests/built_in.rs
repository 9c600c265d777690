//! The built-in page, from a table that needs no build of it.

use http::header::{
    ACCEPT, ACCEPT_ENCODING, ACCEPT_LANGUAGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE,
};

use super::*;

static ASSETS: &[Asset] = &[
    Asset {
        path: "assets/chat-5JHU7LGN.js",
        media: "text/javascript; charset=utf-8",
        compressible: true,
        immutable: true,
        plain: Form { bytes: b"0123456789abcdefghij", tag: "\"js\"" },
        brotli: Some(Form { bytes: b"packed-br", tag: "\"js-br\"" }),
        gzip: Some(Form { bytes: b"packed-gz", tag: "\"js-gz\"" }),
    },
    Asset {
        path: "chat.html",
        media: "text/html; charset=utf-8",
        compressible: true,
        immutable: false,
        plain: Form { bytes: b"<!doctype html>", tag: "\"html\"" },
        brotli: None,
        gzip: Some(Form { bytes: b"html-gz", tag: "\"html-gz\"" }),
    },
    Asset {
        path: "empty.txt",
        media: "text/plain; charset=utf-8",
        compressible: true,
        immutable: false,
        plain: Form { bytes: b"", tag: "\"empty\"" },
        brotli: None,
        gzip: None,
    },
    Asset {
        path: "photo.png",
        media: "image/png",
        compressible: false,
        immutable: false,
        plain: Form { bytes: b"png", tag: "\"png\"" },
        brotli: None,
        gzip: None,
    },
];

const JS: &str = "/assets/chat-5JHU7LGN.js";

fn site() -> Site {
    Site::of(Pages::BuiltIn(ASSETS), "chat.html")
}

#[tokio::test]
async fn the_best_form_is_sent_with_all_its_fields() {
    let site = site();
    for (accept, encoding, tag, body) in [
        ("gzip, deflate, br", "br", "\"js-br\"", "packed-br"),
        ("gzip", "gzip", "\"js-gz\"", "packed-gz"),
        ("", "-", "\"js\"", "0123456789abcdefghij"),
        ("identity;q=0", "-", "\"js\"", "0123456789abcdefghij"),
    ] {
        let got = get(&site, JS, &[(ACCEPT_ENCODING, accept)]).await;
        assert_eq!(got.status, 200);
        assert_eq!((got.field("content-encoding"), got.field("etag"), got.text()), (encoding, tag, body));
        assert_eq!(got.field("vary"), "Accept-Encoding");
        assert_eq!(got.field("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(got.field("content-type"), "text/javascript; charset=utf-8");
        assert_eq!(got.field("accept-ranges"), "bytes");
        assert_eq!(got.field("last-modified"), "-");
    }
    // No brotli form that is smaller: the next best.
    assert_eq!(
        get(&site, "/chat.html", &[(ACCEPT_ENCODING, "br, gzip")]).await.field("content-encoding"),
        "gzip"
    );
    let photo = get(&site, "/photo.png", &[(ACCEPT_ENCODING, "br, gzip")]).await;
    assert_eq!((photo.field("vary"), photo.field("content-encoding")), ("-", "-"));
    assert_eq!(photo.field("cache-control"), "no-cache");
    assert_eq!(get(&site, "/empty.txt", &[(RANGE, "bytes=0-")]).await.status, 200);
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let site = site();
    for lines in [&[][..], &[(ACCEPT_ENCODING, "br")], &[(RANGE, "bytes=0-1")], &[(IF_NONE_MATCH, "*")]] {
        let head = ask(&site, Method::HEAD, JS, lines).await.expect("an answer");
        let without_range: Vec<_> = lines.iter().filter(|(name, _)| name != RANGE).cloned().collect();
        let get = get(&site, JS, &without_range).await;
        assert_eq!((head.status, head.headers), (get.status, get.headers), "{lines:?}");
    }
}

#[tokio::test]
async fn the_index_answers_pages_and_nothing_else() {
    let site = site();
    for (path, accept, instead) in [
        ("/", None, false),
        ("/", Some("*/*"), false),
        ("/chat.html", Some("*/*"), false),
        ("/c/42", Some(BROWSER.1), true),
        ("/c/42/", Some(BROWSER.1), true),
        ("/assets", Some(BROWSER.1), true),
    ] {
        let lines: Vec<_> = accept.map(|accept| (ACCEPT, accept)).into_iter().collect();
        let got = get(&site, path, &lines).await;
        assert_eq!((got.status.as_u16(), got.text()), (200, "<!doctype html>"), "{path}");
        assert_eq!(got.field("cache-control"), "no-cache");
        assert_eq!(got.field("vary"), if instead { "Accept, Accept-Encoding" } else { "Accept-Encoding" });
    }
    // Bug 11 of the recipe: these were 200 with HTML.
    for (path, accept) in [
        ("/c/42", "*/*"),
        ("/c/42", "application/json"),
        ("/c/42", "text/html;q=0, */*"),
        ("/missing.js", BROWSER.1),
        ("/c/42.png", BROWSER.1),
        ("/.well-known/change-password", BROWSER.1),
        ("/.env", BROWSER.1),
        ("/.git/config", BROWSER.1),
        ("/../chat.html", BROWSER.1),
        ("/a%2fb", BROWSER.1),
        ("//chat.html", BROWSER.1),
        ("/chat.html/", BROWSER.1),
        ("/CHAT.HTML", BROWSER.1),
    ] {
        let refusal = refusal(&site, path, &[(ACCEPT, accept)]).await;
        assert_eq!(refusal.reason, Reason::NotFound, "{path}");
        assert!(!refusal.private.is_empty(), "{path}: the log has to know why");
    }
}

#[tokio::test]
async fn what_the_client_has_is_not_sent_again() {
    let site = site();
    let br = (ACCEPT_ENCODING, "br");
    let got = get(&site, JS, &[br.clone(), (IF_NONE_MATCH, "\"x\", W/\"js-br\"")]).await;
    assert_eq!((got.status.as_u16(), got.field("etag")), (304, "\"js-br\""));
    assert_eq!(got.field("vary"), "Accept-Encoding");
    assert_eq!(got.field("cache-control"), "public, max-age=31536000, immutable");
    assert_eq!((got.field("content-type"), got.field("content-encoding")), ("-", "-"));
    // The tag of another form is another tag.
    assert_eq!(get(&site, JS, &[br, (IF_NONE_MATCH, "\"js\"")]).await.status, 200);
    // Files in the program have no date.
    assert_eq!(get(&site, JS, &[(IF_MODIFIED_SINCE, "Fri, 31 Dec 9999 23:59:59 GMT")]).await.status, 200);
    assert_eq!(get(&site, JS, &[(IF_MATCH, "\"x\"")]).await.status, 412);
}

#[tokio::test]
async fn f51_ranges_are_parts_of_the_plain_form() {
    let site = site();
    let br = (ACCEPT_ENCODING, "br");
    let got = get(&site, JS, &[br.clone(), (RANGE, "bytes=2-4")]).await;
    assert_eq!((got.status.as_u16(), got.text()), (206, "234"));
    assert_eq!((got.field("content-range"), got.field("etag")), ("bytes 2-4/20", "\"js\""));
    assert_eq!((got.field("content-encoding"), got.field("vary")), ("-", "Accept-Encoding"));
    assert_eq!(got.field("content-type"), "text/javascript; charset=utf-8");

    for (lines, status, body) in [
        (vec![(RANGE, "bytes=-1"), (IF_RANGE, "\"js\"")], 206, "j"),
        (vec![(RANGE, "bytes=-1"), (IF_RANGE, "\"js-br\"")], 200, "0123456789abcdefghij"),
        (vec![(RANGE, "bytes=-1"), (IF_RANGE, "W/\"js\"")], 200, "0123456789abcdefghij"),
        (vec![(RANGE, "bytes=-1"), (IF_NONE_MATCH, "\"js\"")], 304, ""),
        (vec![(RANGE, "bytes=90-"), (IF_NONE_MATCH, "\"js\"")], 304, ""),
        (vec![(RANGE, "bytes=90-"), (IF_RANGE, "\"old\"")], 200, "0123456789abcdefghij"),
        (vec![(RANGE, "bytes=0-0"), (RANGE, "bytes=0-0")], 200, "0123456789abcdefghij"),
        (vec![(RANGE, "bytes=0-0"), (ACCEPT_ENCODING, "identity;q=0, gzip")], 200, "packed-gz"),
        (vec![(RANGE, "bytes=0-0,2-2,4-4,6-6,8-8,10-10")], 200, "0123456789abcdefghij"),
        (vec![(RANGE, "lines=0-0"), br], 200, "packed-br"),
    ] {
        let got = get(&site, JS, &lines).await;
        assert_eq!((got.status.as_u16(), got.text()), (status, body), "{lines:?}");
    }

    let got = get(&site, JS, &[(RANGE, "bytes=99999999999999999999-"), (ACCEPT_LANGUAGE, "zh-CN")]).await;
    assert_eq!((got.status.as_u16(), got.field("content-range")), (416, "bytes */20"));
    assert_eq!(got.text(), "文件没有该范围。\n");
}

#[tokio::test]
async fn several_parts_are_a_multipart_body() {
    let got = get(&site(), JS, &[(RANGE, "bytes=0-1, 18-30, 5-5")]).await;
    assert_eq!(got.status, 206);
    assert_eq!(got.field("content-range"), "-");
    let boundary =
        got.field("content-type").strip_prefix("multipart/byteranges; boundary=").expect("a boundary");
    let part = |range: &str, text: &str| {
        format!(
            "--{boundary}\r\nContent-Type: text/javascript; charset=utf-8\r\nContent-Range: bytes {range}/20\r\n\r\n{text}\r\n"
        )
    };
    let wanted =
        part("0-1", "01") + &part("18-19", "ij") + &part("5-5", "5") + &format!("--{boundary}--\r\n");
    assert_eq!(got.text(), wanted);
    // Nobody who writes content can know the boundary of another process.
    let other = get(&site(), JS, &[(RANGE, "bytes=0-1, 18-30")]).await;
    assert_ne!(other.field("content-type"), got.field("content-type"));
}

#[tokio::test]
async fn other_methods_learn_what_is_allowed() {
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS, Method::TRACE, Method::CONNECT]
    {
        let got = ask(&site(), method, "/chat.html", &[]).await.expect("an answer");
        assert_eq!((got.status.as_u16(), got.field("allow")), (405, "GET, HEAD"));
        assert_eq!(got.text(), "This method is not allowed here.\n");
    }
}

#[tokio::test]
async fn refusals_that_are_answers_carry_their_reason() {
    let headers = HeaderMap::new();
    let request = PageRequest { method: &Method::POST, path: "/", headers: &headers };
    let response = site().answer(&request).await.expect("an answer");
    assert_eq!(response.extensions().get::<Reason>(), Some(&Reason::MethodNotAllowed));
}

#[cfg(feature = "page")]
#[tokio::test]
async fn the_embedded_page_is_whole_and_compressed() {
    let assets = embedded::built_in().expect("built with the page");
    let mut tags = std::collections::HashSet::new();
    for asset in assets {
        let forms = [Some(asset.plain), asset.brotli, asset.gzip];
        assert!(
            forms.into_iter().flatten().all(|form| tags.insert((asset.path, form.tag))),
            "{}",
            asset.path
        );
        for (encoding, form) in [(Encoding::Brotli, asset.brotli), (Encoding::Gzip, asset.gzip)] {
            if let Some(form) = form {
                assert!(form.bytes.len() < asset.plain.bytes.len());
                assert_eq!(compress::decode(encoding, form.bytes), asset.plain.bytes, "{}", asset.path);
            }
        }
        assert_eq!(asset.immutable, asset.path.contains("assets/"), "{}", asset.path);
    }
    // Every file that the pages name is there; the account's page names none that only known people may read.
    let site = Site::of(Pages::BuiltIn(assets), "chat.html");
    for (path, folders) in
        [("/", &["/assets/", "/account/assets/"][..]), ("/account.html", &["/account/assets/"][..])]
    {
        let page = get(&site, path, &[BROWSER]).await;
        let names: Vec<&str> = page.text().split('"').filter(|text| text.starts_with('/')).collect();
        assert!(names.len() >= 4, "{path}: {names:?}");
        for name in names {
            let known = name == "/favicon.svg" && path == "/";
            assert!(known || folders.iter().any(|folder| name.starts_with(folder)), "{path} names {name}");
            assert_eq!(get(&site, name, &[]).await.status, 200, "{name}");
        }
    }
}

#[cfg(not(feature = "page"))]
#[test]
fn without_the_page_the_built_in_root_says_so() {
    assert!(embedded::built_in().is_none());
}
