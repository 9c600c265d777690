//! Pages and their assets through the real listener: the built-in page, and a folder of the owner's own.

use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::path::Path;

use testkit::client::Answer;
use testkit::portico::Portico;

use crate::command::ask;
use crate::support::{OWN_FOLDER, binary};

const BROWSER: (&str, &str) = ("Accept", "text/html,application/xhtml+xml,*/*;q=0.8");

async fn get(portico: &Portico, target: &str, headers: &[(&str, &str)]) -> Answer {
    portico.once("GET", target, headers, b"").await
}

fn field(answer: &Answer, name: &str) -> String {
    let all = answer.head.headers(name);
    assert!(all.len() <= 1, "{name} stands {} times: {:?}", all.len(), answer.head);
    all.first().copied().unwrap_or_default().to_owned()
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    let mut plain = Vec::new();
    match &*field(answer, "content-encoding") {
        "gzip" => drop(flate2::read::GzDecoder::new(&*answer.body).read_to_end(&mut plain).unwrap()),
        "br" => drop(brotli::Decompressor::new(&*answer.body, 4096).read_to_end(&mut plain).unwrap()),
        "" => plain.clone_from(&answer.body),
        other => panic!("nobody asked for {other}"),
    }
    plain
}

/// Smaller files are not compressed.
const ONE_PACKET_BYTES: usize = 1400;

#[tokio::test]
async fn the_built_in_page_is_locked_down_and_its_assets_are_kept_for_ever() {
    let portico = Portico::start(binary(), OWN_FOLDER).await;
    let page = get(&portico, "/", &[BROWSER]).await;
    assert_eq!(page.head.status, 200);
    let text = page.text();
    let assets: Vec<&str> = text
        .split('"')
        .filter(|part| {
            ["/assets/", "/account/assets/", "/favicon"].iter().any(|start| part.starts_with(start))
        })
        .collect();
    assert!(assets.iter().any(|asset| asset.ends_with(".js")), "{text}");

    for path in assets.iter().copied().chain(["/"]) {
        let plain = get(&portico, path, &[]).await;
        assert_eq!(plain.head.status, 200, "{path}");
        let policy = field(&plain, "content-security-policy");
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        assert_eq!(field(&plain, "x-content-type-options"), "nosniff");
        assert_eq!(field(&plain, "x-frame-options"), "DENY");
        assert_eq!(field(&plain, "vary"), "Accept-Encoding", "{path}");
        let hashed = path.contains("/assets/");
        let wanted = if hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(field(&plain, "cache-control"), wanted, "{path}");
        let mut tags = vec![field(&plain, "etag")];
        for encoding in ["br", "gzip"] {
            let packed = get(&portico, path, &[("Accept-Encoding", encoding)]).await;
            if plain.body.len() <= ONE_PACKET_BYTES {
                assert_eq!(field(&packed, "content-encoding"), "", "{path} fits into one packet");
                continue;
            }
            assert_eq!(field(&packed, "content-encoding"), encoding, "{path}");
            assert!(packed.body.len() < plain.body.len(), "{path} in {encoding}");
            assert!(unpacked(&packed) == plain.body, "{path} in {encoding} is another file");
            tags.push(field(&packed, "etag"));
        }
        // As many tags as bodies, and each is known again.
        let distinct: std::collections::BTreeSet<_> = tags.iter().collect();
        let bodies = if plain.body.len() <= ONE_PACKET_BYTES { 1 } else { 3 };
        assert_eq!(distinct.len(), bodies, "{path}: {tags:?}");
        let same = get(&portico, path, &[("If-None-Match", &tags[0])]).await;
        assert_eq!((same.head.status, same.body.len()), (304, 0), "{path}");
        assert_eq!(
            (field(&same, "etag"), field(&same, "cache-control")),
            (tags[0].clone(), wanted.to_owned())
        );
        let head = portico.once("HEAD", path, &[], b"").await;
        assert_eq!((head.head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(field(&head, "content-length"), plain.body.len().to_string(), "{path}");
    }
}

#[tokio::test]
async fn ranges_are_exact_and_few() {
    let portico = Portico::start(binary(), OWN_FOLDER).await;
    let whole = get(&portico, "/chat.html", &[]).await;
    let length = whole.body.len();
    for (range, part) in [
        ("bytes=0-9", &whole.body[..10]),
        ("bytes=10-", &whole.body[10..]),
        ("bytes=-5", &whole.body[length - 5..]),
    ] {
        let got = get(&portico, "/chat.html", &[("Range", range), ("Accept-Encoding", "br, gzip")]).await;
        assert_eq!((got.head.status, &*got.body), (206, part), "{range}");
        assert!(field(&got, "content-range").ends_with(&format!("/{length}")), "{range}: {:?}", got.head);
        assert_eq!(field(&got, "content-encoding"), "", "a part of the plain file");
    }
    let five = get(&portico, "/chat.html", &[("Range", "bytes=0-1,3-4,6-7,9-10,12-13")]).await;
    assert_eq!(five.head.status, 206);
    assert!(field(&five, "content-type").starts_with("multipart/byteranges"), "{:?}", five.head);
    let six = get(&portico, "/chat.html", &[("Range", "bytes=0-1,3-4,6-7,9-10,12-13,15-16")]).await;
    assert_ne!(six.head.status, 206, "more than five are not cut out");
    let beyond = get(&portico, "/chat.html", &[("Range", &format!("bytes={length}-"))]).await;
    assert_eq!((beyond.head.status, field(&beyond, "content-range")), (416, format!("bytes */{length}")));
    let stale = get(&portico, "/chat.html", &[("Range", "bytes=0-1"), ("If-Range", "\"other\"")]).await;
    assert_eq!((stale.head.status, stale.body.len()), (200, length));
}

#[tokio::test]
async fn what_does_not_exist_is_404_and_only_a_persons_page_is_answered_with_the_index() {
    let portico = Portico::start(binary(), OWN_FOLDER).await;
    for (path, browser, script) in [
        ("/conversation/42", 200, 404),
        ("/conversation/", 200, 404),
        ("/nope.js", 404, 404),
        ("/assets/nope-12345678.js", 404, 404),
        ("/.env", 404, 404),
        ("/.git/config", 404, 404),
        ("/v1/nope", 404, 404),
        ("/metrics", 200, 404),
    ] {
        let seen = get(&portico, path, &[BROWSER]).await;
        assert_eq!(seen.head.status, browser, "{path} for a browser");
        assert_eq!(get(&portico, path, &[]).await.head.status, script, "{path} for a script");
        if browser == 200 {
            assert!(seen.text().contains("<title>") && field(&seen, "vary").contains("Accept"), "{path}");
            assert_eq!(field(&seen, "cache-control"), "no-cache", "{path}");
        }
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
        let refused = portico.once(method, "/", &[BROWSER], b"").await;
        assert_eq!((refused.head.status, &*field(&refused, "allow")), (405, "GET, HEAD"), "{method}");
    }
}

const SECRET: &str = "the secret outside";

/// A root with what must not be served in it, and a secret beside it.
fn make_site(folder: &Path) {
    let root = folder.join("site");
    for below in ["", "docs", ".git"] {
        std::fs::create_dir_all(root.join(below)).unwrap();
    }
    let long: String = (0..500).map(|line| format!("line {line} of a long text\n")).collect();
    for (name, text) in [
        ("chat.html", "the page"),
        ("docs/chat.html", "the docs"),
        ("long.txt", &long),
        ("app-3f2a9c81.js", "hashed()"),
        (".env", SECRET),
        (".git/config", SECRET),
        ("../secret.txt", SECRET),
    ] {
        std::fs::write(root.join(name), text).unwrap();
    }
    symlink("../secret.txt", root.join("link.txt")).unwrap();
    symlink(folder, root.join("up")).unwrap();
    symlink("/proc/self/environ", root.join("environ.txt")).unwrap();
    symlink("/dev/zero", root.join("zero.txt")).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe.txt"), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .unwrap();
}

/// Portico with `site` in its folder as the root.
async fn with_folder() -> Portico {
    let configuration = OWN_FOLDER.replace("[site]", "[site]\nroot = \"{folder}/site\"");
    let portico = Portico::launch(binary(), &configuration, |command| {
        make_site(command.get_current_dir().unwrap());
    });
    portico.serves().await;
    portico
}

#[tokio::test]
async fn a_folder_is_served_and_nothing_around_it() {
    let portico = with_folder().await;
    for (path, text) in [("/", "the page"), ("/docs/", "the docs"), ("/docs/chat.html", "the docs")] {
        let got = get(&portico, path, &[]).await;
        assert_eq!((got.head.status, &*got.text()), (200, text), "{path}");
    }
    let hashed = get(&portico, "/app-3f2a9c81.js", &[]).await;
    assert!(field(&hashed, "cache-control").contains("immutable"));
    let plain = get(&portico, "/long.txt", &[]).await;
    let packed = get(&portico, "/long.txt", &[("Accept-Encoding", "gzip")]).await;
    assert_eq!(field(&packed, "content-encoding"), "gzip");
    assert!(unpacked(&packed) == plain.body && packed.body.len() < plain.body.len());
    assert_eq!(field(&plain, "cache-control"), "no-cache");
    let date = field(&plain, "last-modified");
    assert_eq!(get(&portico, "/long.txt", &[("If-Modified-Since", &date)]).await.head.status, 304);

    // As bytes: a library would tidy them up on the way.
    for target in [
        "/../secret.txt",
        "/docs/../../secret.txt",
        "/./chat.html/../../secret.txt",
        "/%2e%2e/secret.txt",
        "/..%2fsecret.txt",
        "/%252e%252e/secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "//secret.txt",
        "//etc/passwd",
        "/docs//chat.html",
        "/docs%2fchat.html",
        "/chat.html%00.png",
        "/chat.html/",
        "/%c0%ae%c0%ae/secret.txt",
        "/.env",
        "/%2eenv",
        "/.git/config",
        "/docs/.%2e/.env",
        "/link.txt",
        "/up/secret.txt",
        "/up/",
        "/environ.txt",
        "/zero.txt",
        "/pipe.txt",
        "/%",
        "/%zz",
    ] {
        for accept in ["*/*", "text/html"] {
            let mut connection = portico.connect().await;
            let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\n\r\n");
            connection.send(request).await.unwrap();
            let answer = connection.answer().await.unwrap();
            let is_page = answer.text() == "the page";
            // For a person `/up/` may be a page of the application; it is never what lies there.
            assert!(matches!(answer.head.status, 400 | 404) || is_page, "{target}: {}", answer.text());
            assert!(!answer.text().contains(SECRET), "{target}");
            assert!(accept == "text/html" || !is_page, "{target}");
        }
    }
    for target in ["http://localhost/../secret.txt", "*", "secret.txt"] {
        let mut connection = portico.connect().await;
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await.unwrap();
        let answer = connection.answer().await.unwrap();
        assert!(matches!(answer.head.status, 400 | 404), "{target}: {:?}", answer.head);
    }
}

#[tokio::test]
async fn an_answer_without_a_body_leaves_its_connection_usable() {
    let portico = with_folder().await;
    // 412 looks much like what the HTTP library answers by itself to bytes that it can't read.
    let failed = get(&portico, "/", &[("If-Match", "\"another\"")]).await;
    assert_eq!(failed.head.status, 412);
    assert!(failed.body.is_empty());
}

#[tokio::test]
async fn a_folder_that_was_swapped_is_seen_by_a_reload() {
    let portico = with_folder().await;
    let site = portico.folder().join("site");
    // A file that is written anew is seen at once.
    std::fs::write(site.join("chat.html"), "the next page").unwrap();
    assert_eq!(get(&portico, "/", &[]).await.text(), "the next page");
    // The folder itself is held open, so that a swap is a decision.
    std::fs::rename(&site, portico.folder().join("old")).unwrap();
    std::fs::create_dir(&site).unwrap();
    std::fs::write(site.join("chat.html"), "the new site").unwrap();
    ask(&portico, &["reload"]).await.expect(0);
    assert_eq!(get(&portico, "/", &[]).await.text(), "the new site");
    assert_eq!(get(&portico, "/long.txt", &[]).await.head.status, 404);
}
