//! A folder of the owner's own, with everything in it that must not be served.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use http::header::{ACCEPT_ENCODING, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, RANGE};
use proptest::prelude::*;

use super::*;

const SECRET: &str = "the secret outside";

/// A root with good and bad things in it, beside a secret.
struct Place {
    _all: tempfile::TempDir,
    root: PathBuf,
}

impl Place {
    fn new() -> Self {
        let all = tempfile::tempdir().expect("a folder");
        let root = all.path().join("root");
        let outside = all.path().join("outside");
        for folder in [&root, &outside, &root.join("docs"), &root.join(".git"), &root.join("bare")] {
            fs::create_dir(folder).expect("made");
        }
        for (name, text) in [
            ("chat.html", "the page"),
            ("docs/chat.html", "the docs"),
            ("docs/a b.txt", "spaced"),
            ("photo.png", "png"),
            ("main-3f2a9c81.js", "hashed"),
            (".env", SECRET),
            (".git/config", SECRET),
            ("closed.txt", SECRET),
            ("../outside/secret.txt", SECRET),
        ] {
            fs::write(root.join(name), text).expect("written");
        }
        fs::set_permissions(root.join("closed.txt"), fs::Permissions::from_mode(0o000)).expect("closed");
        symlink("../outside/secret.txt", root.join("out.txt")).expect("a link");
        symlink(outside.join("secret.txt"), root.join("absolute.txt")).expect("a link");
        symlink("../outside", root.join("outside")).expect("a link");
        symlink("/proc/self/root", root.join("magic")).expect("a link");
        symlink("loop", root.join("loop")).expect("a link");
        symlink("docs/chat.html", root.join("inside.html")).expect("a link");
        symlink("/dev/zero", root.join("zero.txt")).expect("a link");
        let path = root.join("pipe.txt");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o644.into(), 0)
            .expect("a pipe");
        std::os::unix::net::UnixListener::bind(root.join("socket.txt")).expect("a socket");
        Self { _all: all, root }
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.root.join(name);
        fs::write(&path, content).expect("written");
        path
    }

    fn site(&self) -> Site {
        Site::of(Pages::Folder(Arc::new(self.folder()), Compressor::new()), "chat.html")
    }

    fn walking(&self) -> Site {
        Site::of(Pages::Folder(Arc::new(self.folder().walking()), Compressor::new()), "chat.html")
    }

    fn folder(&self) -> Folder {
        Folder::open(&self.root, "chat.html").expect("a folder")
    }
}

fn date(path: &Path, time: SystemTime) {
    fs::File::options().write(true).open(path).expect("open").set_modified(time).expect("dated");
}

fn long_text() -> String {
    (0..400).map(|i| format!("line {i} of a long text\n")).collect()
}

#[tokio::test]
async fn files_are_served_with_their_kind_date_and_tag() {
    let place = Place::new();
    for site in [place.site(), place.walking()] {
        for (path, text) in [
            ("/", "the page"),
            ("/chat.html", "the page"),
            ("/docs/", "the docs"),
            ("/docs/a%20b.txt", "spaced"),
        ] {
            let got = get(&site, path, &[]).await;
            assert_eq!((got.status.as_u16(), got.text()), (200, text), "{path}");
            assert!(got.field("etag").starts_with('"') && got.field("last-modified").ends_with("GMT"));
            assert_eq!(got.field("cache-control"), "no-cache");
        }
        for path in ["/docs", "/bare/", "/bare", "/c/42", "/docs/deeper/page"] {
            let got = get(&site, path, &[BROWSER]).await;
            assert_eq!((got.text(), got.field("vary")), ("the page", "Accept, Accept-Encoding"), "{path}");
            assert_eq!(refusal(&site, path, &[]).await.reason, Reason::NotFound, "never a listing: {path}");
        }
        let hashed = get(&site, "/main-3f2a9c81.js", &[]).await;
        assert_eq!(hashed.field("cache-control"), "public, max-age=31536000, immutable");
        assert_eq!(hashed.field("content-security-policy"), "-");
    }
}

#[tokio::test]
async fn f50_nothing_leaves_the_root_and_only_regular_files_are_served() {
    let place = Place::new();
    // Followed where the kernel can hold it inside, refused where nobody can.
    assert_eq!(get(&place.site(), "/inside.html", &[]).await.text(), "the docs");
    assert_eq!(refusal(&place.walking(), "/inside.html", &[]).await.reason, Reason::NotFound);
    for site in [place.site(), place.walking()] {
        for path in [
            "/out.txt",
            "/absolute.txt",
            "/outside/secret.txt",
            "/outside/",
            "/magic/etc/passwd",
            "/loop",
            "/loop/x",
            "/zero.txt",
            "/pipe.txt",
            "/socket.txt",
            "/.env",
            "/.git/config",
            "/%2eenv",
            "/../outside/secret.txt",
            "/docs/../../outside/secret.txt",
            "/..%2foutside%2fsecret.txt",
            "/%2e%2e/outside/secret.txt",
            "/chat.html%00.png",
            "/chat.html/",
            "/chat.html/x",
            "/docs%5cchat.html",
            &format!("/{}", "a/".repeat(2000)),
            &format!("/{}.txt", "a".repeat(251)),
        ] {
            let refusal = refusal(&site, path, &[]).await;
            assert_eq!(refusal.reason, Reason::NotFound, "{path}: {}", refusal.private);
            assert!(!refusal.private.is_empty());
        }
    }
}

#[tokio::test]
async fn a_file_without_permission_is_not_found_and_the_log_knows_why() {
    let place = Place::new();
    if fs::File::open(place.root.join("closed.txt")).is_ok() {
        // Root reads everything; the judgement itself is tested in `folder`.
        return;
    }
    let refusal = refusal(&place.site(), "/closed.txt", &[]).await;
    assert_eq!(refusal.reason, Reason::NotFound);
    assert!(refusal.private.contains("permission denied"), "{}", refusal.private);
}

#[tokio::test]
async fn tags_change_with_the_file_and_conditions_follow() {
    let place = Place::new();
    let path = place.write("a.txt", "one");
    let long_ago = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    date(&path, long_ago);
    let site = place.site();
    let first = get(&site, "/a.txt", &[]).await;
    assert_eq!(first.field("last-modified"), "Sun, 13 Sep 2020 12:26:40 GMT");
    let tag = first.field("etag").to_owned();
    assert_eq!(get(&site, "/a.txt", &[(IF_NONE_MATCH, &tag)]).await.status, 304);
    let since = (IF_MODIFIED_SINCE, "Sun, 13 Sep 2020 12:26:40 GMT");
    let unchanged = get(&site, "/a.txt", std::slice::from_ref(&since)).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.field("vary")), (304, "Accept-Encoding"));
    assert_eq!(get(&site, "/a.txt", &[since, (IF_NONE_MATCH, "\"x\"")]).await.status, 200);

    // Same name, length and date, other content.
    let next = place.write("next", "two");
    date(&next, long_ago);
    fs::rename(&next, &path).expect("swapped");
    let second = get(&site, "/a.txt", &[(IF_NONE_MATCH, &tag)]).await;
    assert_eq!((second.status.as_u16(), second.text()), (200, "two"));
    assert_ne!(second.field("etag"), tag);
    let resumed = get(&site, "/a.txt", &[(RANGE, "bytes=1-"), (IF_RANGE, &tag)]).await;
    assert_eq!((resumed.status.as_u16(), resumed.text()), (200, "two"));
}

#[tokio::test]
async fn ranges_of_files() {
    let place = Place::new();
    let content: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    place.write("film.mp4", &content);
    let site = place.site();
    let got = get(&site, "/film.mp4", &[(RANGE, "bytes=65530-140000")]).await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (206, &content[65530..=140_000]));
    assert_eq!(got.field("content-range"), "bytes 65530-140000/200000");
    let got = get(&site, "/film.mp4", &[(RANGE, "bytes=0-0,-1,100000-100002")]).await;
    assert_eq!(got.status, 206);
    assert!(got.field("content-type").starts_with("multipart/byteranges; boundary="));
    assert_eq!(got.body.windows(3).filter(|window| *window == &content[100_000..100_003]).count(), 1);
    let got = get(&site, "/film.mp4", &[(RANGE, "bytes=200000-")]).await;
    assert_eq!((got.status.as_u16(), got.field("content-range")), (416, "bytes */200000"));
}

#[tokio::test]
async fn text_is_compressed_on_the_fly() {
    let place = Place::new();
    let text = long_text();
    place.write("long.txt", &text);
    place.write("short.txt", "short");
    place.write("huge.txt", vec![b'a'; 3 * 1024 * 1024]);
    place.write("long.png", &text);
    let site = place.site();
    let mut tags = Vec::new();
    for encoding in Encoding::ALL {
        let accept = (ACCEPT_ENCODING, encoding.word());
        let got = get(&site, "/long.txt", std::slice::from_ref(&accept)).await;
        assert_eq!((got.field("content-encoding"), got.field("vary")), (encoding.word(), "Accept-Encoding"));
        assert!(got.body.len() < text.len() / 2);
        assert_eq!(compress::decode(encoding, &got.body), text.as_bytes());
        let head =
            ask(&site, Method::HEAD, "/long.txt", std::slice::from_ref(&accept)).await.expect("an answer");
        assert_eq!(head.headers, got.headers);
        tags.push(got.field("etag").to_owned());
        let again = get(&site, "/long.txt", &[accept, (IF_NONE_MATCH, got.field("etag"))]).await;
        assert_eq!((again.status.as_u16(), again.field("vary")), (304, "Accept-Encoding"));
    }
    tags.push(get(&site, "/long.txt", &[]).await.field("etag").to_owned());
    tags.dedup();
    assert_eq!(tags.len(), 3, "{tags:?}");
    for (path, vary) in
        [("/short.txt", "Accept-Encoding"), ("/huge.txt", "Accept-Encoding"), ("/long.png", "-")]
    {
        let got = get(&site, path, &[(ACCEPT_ENCODING, "br, gzip")]).await;
        assert_eq!((got.field("content-encoding"), got.field("vary")), ("-", vary), "{path}");
    }
}

#[tokio::test]
async fn precompressed_siblings_are_used_while_they_are_not_older() {
    let place = Place::new();
    let text = long_text();
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_600_000_000);
    let original = place.write("app.js", &text);
    let sibling = place.write("app.js.br", "made before");
    fs::create_dir(place.root.join("app.js.gz")).expect("a folder");
    date(&original, now);
    date(&sibling, now);
    let site = place.site();
    let accept = (ACCEPT_ENCODING, "gzip;q=0.5, br");
    let got = get(&site, "/app.js", std::slice::from_ref(&accept)).await;
    assert_eq!((got.field("content-encoding"), got.text()), ("br", "made before"));
    assert_eq!(got.field("content-type"), "text/javascript; charset=utf-8");
    // Asked for by its own name it is a file like others.
    let plain = get(&site, "/app.js.br", std::slice::from_ref(&accept)).await;
    assert_eq!(
        (plain.field("content-encoding"), plain.field("content-type")),
        ("-", "application/octet-stream")
    );
    // What is no regular file is passed over.
    let gzip = get(&site, "/app.js", &[(ACCEPT_ENCODING, "gzip")]).await;
    assert_eq!(compress::decode(Encoding::Gzip, &gzip.body), text.as_bytes());

    date(&sibling, now - Duration::from_secs(1));
    let newer = get(&site, "/app.js", &[accept]).await;
    assert_eq!(compress::decode(Encoding::Brotli, &newer.body), text.as_bytes());
    assert_ne!(newer.field("etag"), got.field("etag"));
    fs::remove_file(&sibling).expect("removed");
    symlink("../outside/secret.txt", &sibling).expect("a link");
    let got = get(&site, "/app.js", &[(ACCEPT_ENCODING, "br")]).await;
    assert_eq!(compress::decode(Encoding::Brotli, &got.body), text.as_bytes());
}

#[test]
fn what_cannot_be_served_is_said_at_the_start() {
    let place = Place::new();
    let open = |root: &Path, index: &str| {
        let site = config::Site {
            names: vec![],
            email: String::new(),
            root: config::Root::Folder(root.to_owned()),
            index: index.to_owned(),
            data_dir: PathBuf::new(),
            user: String::new(),
            language: config::Language::Auto,
        };
        Site::open(&site).map(drop)
    };
    assert!(open(&place.root, "chat.html").is_ok());
    assert!(open(&place.root, "docs/chat.html").is_ok());
    assert!(matches!(open(&place.root.join("none"), "chat.html"), Err(OpenError::FolderMissing(_))));
    assert!(matches!(open(&place.root.join("chat.html"), "x"), Err(OpenError::NotAFolder(_))));
    assert!(matches!(open(&place.root.join("chat.html/x"), "x"), Err(OpenError::NotAFolder(_))));
    assert!(matches!(open(&place.root.join("loop"), "x"), Err(OpenError::FolderUnreadable(..))));
    assert!(matches!(open(&place.root, "index.html"), Err(OpenError::IndexMissing(_))));
    assert!(matches!(open(&place.root, "docs"), Err(OpenError::IndexMissing(_))));
    assert!(matches!(open(&place.root, "out.txt"), Err(OpenError::IndexRefused(..))));
    assert!(matches!(open(&place.root, "pipe.txt"), Err(OpenError::IndexRefused(..))));
    for index in ["", "/", "docs/", "../outside/secret.txt", "/etc/passwd", ".env", "a\0b"] {
        assert!(matches!(open(&place.root, index), Err(OpenError::BadIndex(_))), "{index:?}");
    }
    let text = open(&place.root.join("none"), "x").expect_err("missing").text();
    assert!(text.en.contains("site.root") && text.zh.contains("site.root"));
}

/// Paths made of what is there, what is outside and what splits.
fn paths() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "chat.html",
        "docs",
        "out.txt",
        "absolute.txt",
        "outside",
        "secret.txt",
        "magic",
        "etc",
        "passwd",
        ".env",
        ".git",
        "config",
        "pipe.txt",
        "socket.txt",
        "zero.txt",
        "loop",
        "inside.html",
        "..",
        ".",
        "",
        "%2e%2e",
        ".%2e",
        "%2e",
        "%252e%252e",
        "%2f",
        "%5c",
        "\\",
        "%00",
        "%c0%ae",
        "%ff",
        "a b",
        "%20",
        "..;",
        "bare",
    ]);
    let joint = prop::sample::select(vec!["/", "/", "/", "//", "%2f", "%5c", "\\", ""]);
    prop::collection::vec((joint, piece), 0..7).prop_map(|parts| {
        parts.into_iter().fold(String::from("/"), |path, (joint, piece)| path + joint + piece)
    })
}

#[test]
fn f50_no_path_opens_anything_outside() {
    let place = Place::new();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let sites = [place.site(), place.walking()];
    let served = ["the page", "the docs", "spaced", "png", "hashed"];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(3000));
    let answers = std::cell::Cell::new(0);
    let outcome = runner.run(&(paths(), any::<bool>()), |(path, browser)| {
        let lines = if browser { &[BROWSER][..] } else { &[] };
        for site in &sites {
            match runtime.block_on(ask(site, Method::GET, &path, lines)) {
                Ok(got) => {
                    answers.set(answers.get() + 1);
                    prop_assert!(served.contains(&got.text()), "{path} gave {:?}", got.text());
                }
                Err(refusal) => {
                    prop_assert_eq!(refusal.reason, Reason::NotFound, "{}: {}", path, refusal.private)
                }
            }
        }
        Ok(())
    });
    outcome.expect("only what may be served");
    assert!(answers.get() > 100, "the paths have to hit something: {}", answers.get());
}
