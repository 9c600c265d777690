//! Pictures by their address: fetched from public servers, and never a socket to anything else.
//!
//! The whole test runs in a network namespace of its own: `203.0.114.1` is this machine, `203.0.114.5` a public server in
//! a second namespace that also answers at private addresses, so that a connection to one would succeed and be seen.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::image::named_png;
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::hostile_pictures::good;
use crate::public_web::{Namespaces, PRIVATE, World, server};
use crate::setup::{CHAT, assert_error, chat, record_because};

const AT: &str = "messages[0].content[0].image_url.url";
const INSIDE: &str = "fetching::inside_the_namespaces";

#[test]
fn pictures_are_fetched_from_public_addresses_only() {
    let may = rustix::process::geteuid().is_root()
        && Command::new("ip").args(["netns", "list"]).output().is_ok_and(|output| output.status.success());
    if !may {
        eprintln!("SKIPPED: fetching pictures needs root and the program `ip`, for network namespaces");
        return;
    }
    let spaces = Namespaces::new();
    let output = Command::new("ip")
        .args(["netns", "exec", &spaces.ours])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", INSIDE, "--ignored", "--nocapture"])
        .env("PORTICO_TEST_OTHER_NAMESPACE", &spaces.theirs)
        .output()
        .expect("the test runs again");
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[tokio::test]
#[ignore = "run by the test above, in a namespace"]
async fn inside_the_namespaces() {
    let Some(theirs) = std::env::var_os("PORTICO_TEST_OTHER_NAMESPACE") else { return };
    let world = World::start(theirs.to_str().unwrap()).await;
    let scripted = Scripted::start().await;
    let hosts = World::portico(&scripted, "image_url_hosts = [\"ok.example.com\"]", &world).await;
    let portico = World::portico(&scripted, "max_image_bytes = \"64KiB\"", &world).await;
    what_is_public_arrives(&portico, &scripted).await;
    other_apis_are_fetched_for(&scripted, &world).await;
    what_is_not_public_is_never_asked(&portico, &scripted, &world).await;
    only_listed_hosts(&hosts).await;
    bad_answers_are_refused(&portico, &scripted).await;
    names_are_asked_once(&portico, &world).await;
    who_leaves_ends_the_fetch(&portico, &world).await;
    what_was_sent_says_nothing(&world);
}

fn asking(urls: &[&str]) -> Value {
    let mut call = chat("");
    let parts: Vec<_> =
        urls.iter().map(|url| json!({ "type": "image_url", "image_url": { "url": url } })).collect();
    call["messages"][0]["content"] = json!(parts);
    call
}

async fn fetched(portico: &Portico, url: &str) -> Answer {
    portico.post_json(CHAT, &asking(&[url])).await
}

/// For answers that take longer than the test's client waits.
async fn patiently(portico: &Portico, url: &str) -> String {
    let body = asking(&[url]).to_string();
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut stream =
        tokio::net::TcpStream::connect(("127.0.0.1", portico.port(""))).await.expect("connected");
    stream.write_all(format!("{head}{body}").as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer
}

/// The one text of everything that is refused on the way.
fn unreachable(answer: &Answer, what: &str) {
    assert_eq!(answer.head.status, 400, "{what}: {}", answer.text());
    assert_error(answer, 400, "invalid_request_error", "invalid_value");
    let error = &answer.json()["error"];
    assert_eq!(error["param"], AT, "{what}");
    let message = error["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("The image could not be fetched from its address."), "{what}: {message}");
    assert!(!message.bytes().any(|byte| byte.is_ascii_digit()), "{what}: {message}");
}

async fn what_is_public_arrives(portico: &Portico, scripted: &Scripted) {
    let red = testkit::image::data_url(&named_png("red", 64, 64));
    for url in [
        "http://ok.example.com/red.png",
        "http://OK.example.com:80/red.png?x=1",
        "http://203.0.114.5/red.png",
        "http://six.example.com/red.png",
        "http://[2a0f:ffff::5]/red.png",
        "https://ok.example.com/red.png",
        "https://ok.example.com:443/red.png",
        "http://ok.example.com/to?http://ok.example.com/red.png",
        "http://ok.example.com/to?/red.png",
        "http://ok.example.com/to?https://ok.example.com/red.png%23top",
        "http://ok.example.com/thrice",
        "http://ok.example.com/chunked",
        // The first of two addresses is closed.
        "http://two.example.com/red.png",
    ] {
        scripted.forget_requests().await;
        let answer = fetched(portico, url).await;
        assert_eq!(answer.head.status, 200, "{url}: {}", answer.text());
        let sent = scripted.requests_to(CHAT).await[0].json();
        assert_eq!(sent["messages"][0]["content"][0]["image_url"]["url"], red, "{url}");
    }
    // Several, among what came inside, each in its place.
    scripted.forget_requests().await;
    let blue = testkit::image::data_url(&named_png("blue", 64, 64));
    let urls = ["http://ok.example.com/phone.jpg", &blue, "http://ok.example.com/red.png"];
    assert_eq!(portico.post_json(CHAT, &asking(&urls)).await.head.status, 200);
    let sent = scripted.requests_to(CHAT).await[0].json();
    let parts: Vec<_> =
        (0..3).map(|at| sent["messages"][0]["content"][at]["image_url"]["url"].as_str().unwrap()).collect();
    assert_eq!(parts[1..], [&blue, &red]);
    let phone = good("phone-6.jpg");
    assert!(
        parts[0].starts_with("data:image/jpeg;base64,/9j/") && parts[0].len() < phone.len() / 3 * 4,
        "stripped"
    );
}

/// An address stands in other places there, and what is fetched takes its place; a private one is as unreachable.
async fn other_apis_are_fetched_for(scripted: &Scripted, world: &World) {
    let portico = World::portico(scripted, "endpoints = [\"responses\", \"messages\"]", world).await;
    let before = world.seen.lock().unwrap().clone();
    let input = |url: &str| json!({ "type": "input_image", "image_url": url });
    let source = |url: &str| json!({ "type": "image", "source": { "type": "url", "url": url } });
    let result = |url: &str| json!({ "type": "tool_result", "tool_use_id": "t", "content": [source(url)] });
    let call = json!({ "type": "tool_use", "id": "t", "name": "look", "input": {} });
    let tool = json!([{ "name": "look", "input_schema": { "type": "object" } }]);
    let told = |part: Value| json!({ "model": "scripted", "input": [{ "role": "user", "content": [part] }] });
    let said = |part: Value| json!({ "model": "scripted", "max_tokens": 9, "messages": [{ "role": "user", "content": [part] }] });
    let shown = |part: Value| {
        let messages = json!([
            { "role": "user", "content": "look" },
            { "role": "assistant", "content": [call.clone()] },
            { "role": "user", "content": [part] },
        ]);
        json!({ "model": "scripted", "max_tokens": 9, "tools": tool.clone(), "messages": messages })
    };
    let red = testkit::image::data_url(&named_png("red", 64, 64));
    let (_, base64) = red.split_once(',').unwrap();
    type Ask<'a> = &'a dyn Fn(&str) -> Value;
    let asks: [(&str, Ask<'_>, &str); 3] = [
        ("/v1/responses", &|url| told(input(url)), "input[0].content[0].image_url"),
        ("/v1/messages", &|url| said(source(url)), "messages[0].content[0].source.url"),
        ("/v1/messages", &|url| shown(result(url)), "messages[2].content[0].content[0].source.url"),
    ];
    for (path, ask, at) in asks {
        scripted.forget_requests().await;
        let answer = portico.post_json(path, &ask("http://ok.example.com/red.png")).await;
        assert_eq!(answer.head.status, 200, "{at}: {}", answer.text());
        let sent = scripted.requests_to(path).await[0].body.clone().unwrap_or_default();
        assert!(sent.contains(base64) && !sent.contains("ok.example.com"), "{at}: {sent}");
        for url in ["http://10.0.0.5/red.png", "http://meta.example.com/latest", "http://127.0.0.1/"] {
            let answer = portico.post_json(path, &ask(url)).await;
            assert!(
                answer.head.status == 400 && answer.text().contains("could not be fetched"),
                "{at}: {}",
                answer.text()
            );
            if path == "/v1/responses" {
                assert_eq!(answer.json()["error"]["param"], at);
            }
        }
        assert_eq!(scripted.requests_to(path).await.len(), 1, "{at}");
    }
    let after = world.seen.lock().unwrap().clone();
    let others: Vec<_> = after.keys().filter(|at| !before.contains_key(*at) && **at != server()).collect();
    assert!(others.is_empty(), "sockets were opened to {others:?}");
}

async fn what_is_not_public_is_never_asked(portico: &Portico, scripted: &Scripted, world: &World) {
    scripted.forget_requests().await;
    let before = world.seen.lock().unwrap().clone();
    let mut urls: Vec<String> =
        PRIVATE.iter().map(|net| format!("http://{}/red.png", &net[..net.len() - 3])).collect();
    for host in [
        "127.0.0.1",
        "127.0.0.1:443",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:203.0.114.5]",
        "[::203.0.114.5]",
        "[64:ff9b::7f00:1]",
        "[64:ff9b::cb00:7205]",
        "[2002:7f00:1::1]",
        "[2001:0:7f00:1::1]",
        "[fe80::1]",
        "[fd00::1]",
        "0.0.0.0",
        "255.255.255.255",
        "224.0.0.1",
        // This machine, by its public address.
        "203.0.114.1",
        "[2a0f:ffff::1]",
        // Names for all of that.
        "own.example.com",
        "private.example.com",
        "loop.example.com",
        "meta.example.com",
        "mixed.example.com",
        "mapped.example.com",
        "nat64.example.com",
        "zero.example.com",
        "shared.example.com",
        // And by way of a public server.
        "ok.example.com/to?http://127.0.0.1/red.png",
        "ok.example.com/to?http://10.0.0.5/red.png",
        "ok.example.com/to?//192.168.0.5/red.png",
        "ok.example.com/to?http://meta.example.com/latest",
        "ok.example.com/to?http://own.example.com/red.png",
        "ok.example.com/to?http://[::1]/red.png",
        "ok.example.com/to?http://ok.example.com/to?http://169.254.169.254/",
        // Nothing there.
        "nobody.example.com",
        "203.0.114.6",
        "203.0.114.77",
        "8.8.8.8",
    ] {
        urls.push(if host.contains('/') {
            format!("http://{host}")
        } else {
            format!("http://{host}/red.png")
        });
    }
    for url in &urls {
        unreachable(&fetched(portico, url).await, url);
    }
    for (url, says) in [
        ("http://ok.example.com:22/red.png", "ports 80 and 443"),
        ("http://ok.example.com:8080/red.png", "ports 80 and 443"),
        ("http://10.0.0.5:6379/", "ports 80 and 443"),
        ("http://user:secret@ok.example.com/red.png", "user name"),
        ("http://ok.example.com@10.0.0.5/red.png", "user name"),
        ("http://ok.example.com\\@10.0.0.5/red.png", "plain http://"),
        ("http://10.0.0.5#@ok.example.com/red.png", "plain http://"),
        ("http://167772165/red.png", "plain http://"),
        ("http://0x0a000005/red.png", "plain http://"),
        ("http://012.0.0.5/red.png", "plain http://"),
        ("http://10.5/red.png", "plain http://"),
        ("http://127.1/red.png", "plain http://"),
        ("http://ok.example.com./red.png", "plain http://"),
        ("http://\u{ff11}0.0.0.5/red.png", "ASCII"),
        ("http://ok.example.com/to?http://ok.example.com:22/", "ports 80 and 443"),
        ("ftp://ok.example.com/red.png", "data:image/png"),
        ("//ok.example.com/red.png", "data:image/png"),
    ] {
        let answer = fetched(portico, url).await;
        assert_eq!(answer.head.status, 400, "{url}");
        assert!(answer.text().contains(says), "{url}: {}", answer.text());
    }
    for host in ["localhost", "printer.local", "metadata.google.internal"] {
        unreachable(&fetched(portico, &format!("http://{host}/")).await, host);
    }
    let after = world.seen.lock().unwrap().clone();
    let others: Vec<_> = after.keys().filter(|at| !before.contains_key(*at) && **at != server()).collect();
    assert!(others.is_empty(), "sockets were opened to {others:?}");
    assert!(before.keys().all(|at| *at == server() || at.is_ipv6()), "{before:?}");
    assert!(scripted.requests_to(CHAT).await.is_empty());
}

async fn only_listed_hosts(portico: &Portico) {
    assert_eq!(fetched(portico, "http://ok.example.com/red.png").await.head.status, 200);
    for url in [
        "http://203.0.114.5/red.png",
        "http://two.example.com/red.png",
        "http://evil-ok.example.com/red.png",
        "http://ok.example.com.evil.example/red.png",
        "http://ok.example.com/to?http://two.example.com/red.png",
    ] {
        let answer = fetched(portico, url).await;
        assert_eq!(answer.head.status, 400, "{url}");
        assert!(answer.text().contains("not fetched from this host"), "{url}: {}", answer.text());
    }
}

async fn bad_answers_are_refused(portico: &Portico, scripted: &Scripted) {
    scripted.forget_requests().await;
    for (path, says) in [
        ("missing", "status 404"),
        ("error", "status 500"),
        ("partial", "status 206"),
        ("html", "not an image by its Content-Type"),
        ("no-type", "not an image by its Content-Type"),
        ("two-types", "not an image by its Content-Type"),
        ("svg", "not a PNG, JPEG, WebP or GIF"),
        ("lies", "is a PNG"),
        ("no-image", "not an image"),
        ("gzip", "not an image by its Content-Type"),
        ("announced", "more than the 65536 bytes"),
        ("endless", "more than the 65536 bytes"),
        ("bomb", "at most 40000000 pixels"),
        ("loop", "leads from one address to the next"),
        ("cut", "could not be fetched"),
        ("garbage", "could not be fetched"),
        ("huge-head", "could not be fetched"),
        ("nowhere", "could not be fetched"),
    ] {
        let answer = fetched(portico, &format!("http://ok.example.com/{path}")).await;
        assert_error(&answer, 400, "invalid_request_error", "invalid_value");
        assert_eq!(answer.json()["error"]["param"], AT, "{path}");
        assert!(answer.text().contains(says), "{path}: {}", answer.text());
    }
    for path in ["silent", "drip"] {
        let began = Instant::now();
        let answer = patiently(portico, &format!("http://ok.example.com/{path}")).await;
        assert!(answer.contains("could not be fetched"), "{path}: {answer}");
        let took = began.elapsed();
        assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(13), "{path}: {took:?}");
    }
    // A name that the certificate does not have, and one that nobody vouches for.
    unreachable(&fetched(portico, "https://two.example.com/red.png").await, "another name");
    unreachable(&fetched(portico, "https://203.0.114.5/red.png").await, "no name");
    unreachable(
        &fetched(portico, "https://ok.example.com/to?http://ok.example.com/red.png").await,
        "downgrade",
    );
    assert!(scripted.requests_to(CHAT).await.is_empty());
}

/// A name that is public when it is judged and private when it is connected to: there is no second question.
async fn names_are_asked_once(portico: &Portico, world: &World) {
    let answer = fetched(portico, "http://rebind.example.com/red.png").await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(world.questions.lock().unwrap().get("rebind.example.com/1"), Some(&1));
    unreachable(&fetched(portico, "http://rebind.example.com/red.png").await, "the second time");
}

async fn who_leaves_ends_the_fetch(portico: &Portico, world: &World) {
    let before = *world.ended.lock().unwrap();
    let mut connection = portico.connect().await;
    connection.post_json(CHAT, &asking(&["http://ok.example.com/silent"])).await.expect("sent");
    let asked = world.seen_paths.lock().unwrap().get("/silent").copied().unwrap_or_default();
    until(SOON, "it is asked for", async || {
        let now = world.seen_paths.lock().unwrap().get("/silent").copied().unwrap_or_default();
        (now > asked).then_some(())
    })
    .await;
    drop(connection);
    until(SOON, "the fetch ends", async || (*world.ended.lock().unwrap() > before).then_some(())).await;
    record_because(portico, "client_left").await;
}

fn what_was_sent_says_nothing(world: &World) {
    let heads = world.heads.lock().unwrap();
    assert!(heads.len() > 20);
    for head in heads.iter() {
        let lower = head.to_ascii_lowercase();
        for never in ["cookie", "authorization", "forwarded", "referer", "proxy", "x-", "origin"] {
            assert!(!lower.contains(&format!("\n{never}")), "{head}");
        }
        assert!(
            lower.contains("user-agent: portico/") && lower.contains("accept-encoding: identity"),
            "{head}"
        );
    }
}
