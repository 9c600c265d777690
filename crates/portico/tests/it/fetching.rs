//! Pictures by their address: fetched from public servers, and never a socket to anything else.
//!
//! The whole test runs in a network namespace of its own: `203.0.114.1` is this machine, `203.0.114.5` a public server in
//! a second namespace that also answers at private addresses, so that a connection to one would succeed and be seen.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use serde_json::{Value, json};
use testkit::client::Answer;
use testkit::image::{named_png, png};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::hostile_pictures::good;
use crate::setup::{CHAT, Setup, assert_error, chat, record_because};
use crate::support::binary;

const AT: &str = "messages[0].content[0].image_url.url";
const SERVER: &str = "203.0.114.5";
/// Where the server in the other namespace answers too, to be seen when it is asked.
const PRIVATE: [&str; 6] = [
    "10.0.0.5/32",
    "100.64.0.5/32",
    "169.254.169.254/32",
    "172.16.0.5/32",
    "192.168.0.5/32",
    "198.18.0.5/32",
];
const INSIDE: &str = "fetching::inside_the_namespaces";

/// Two namespaces with a cable between them. They go with the value.
struct Namespaces {
    ours: String,
    theirs: String,
}

impl Namespaces {
    fn new() -> Self {
        let id = std::process::id();
        let spaces = Self { ours: format!("portico-a{id}"), theirs: format!("portico-b{id}") };
        let (ours, theirs) = (&spaces.ours, &spaces.theirs);
        ip(&format!("netns add {ours}"));
        ip(&format!("netns add {theirs}"));
        ip(&format!("link add veth0 netns {ours} type veth peer name veth0 netns {theirs}"));
        for (space, host) in [(ours, "1"), (theirs, "5")] {
            ip(&format!("-n {space} link set lo up"));
            ip(&format!("-n {space} addr add 203.0.114.{host}/24 dev veth0"));
            ip(&format!("-n {space} addr add 2a0f:ffff::{host}/64 dev veth0 nodad"));
            ip(&format!("-n {space} link set veth0 up"));
        }
        ip(&format!("-n {theirs} addr add 203.0.114.6/24 dev veth0"));
        for address in PRIVATE {
            ip(&format!("-n {theirs} addr add {address} dev veth0"));
            ip(&format!("-n {ours} route add {address} dev veth0"));
        }
        let folder = format!("/etc/netns/{ours}");
        std::fs::create_dir_all(&folder).expect("a folder for the namespace");
        std::fs::write(
            format!("{folder}/resolv.conf"),
            "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n",
        )
        .unwrap();
        spaces
    }
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        for space in [&self.ours, &self.theirs] {
            let _ = Command::new("ip").args(["netns", "del", space]).status();
        }
        let _ = std::fs::remove_dir_all(format!("/etc/netns/{}", self.ours));
    }
}

fn ip(arguments: &str) {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("ip runs");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[expect(clippy::print_stderr, reason = "who runs the tests has to know what was not tested")]
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

fn server() -> IpAddr {
    SERVER.parse().unwrap()
}

/// The other side: web servers that note who was asked, and a resolver.
struct World {
    /// Connections by the address that was asked.
    seen: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
    seen_paths: Arc<Mutex<BTreeMap<String, u32>>>,
    heads: Arc<Mutex<Vec<String>>>,
    questions: Arc<Mutex<BTreeMap<String, u32>>>,
    /// Connections that the other side ended while they were kept waiting.
    ended: Arc<Mutex<u32>>,
    authority: tempfile::NamedTempFile,
}

impl World {
    async fn start(theirs: &str) -> Self {
        let issuer = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let root = parameters.self_signed(&issuer).unwrap();
        let authority = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(authority.path(), root.pem()).unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let issuer = rcgen::Issuer::new(parameters, issuer);
        let leaf = rcgen::CertificateParams::new(vec!["ok.example.com".to_owned()]).unwrap();
        let leaf = leaf.signed_by(&key, &issuer).unwrap();
        let world = Self {
            seen: Arc::default(),
            seen_paths: Arc::default(),
            heads: Arc::default(),
            questions: Arc::default(),
            ended: Arc::default(),
            authority,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![leaf.der().clone()], key)
            .unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        // Also on this machine, where nobody must come.
        let here = [80, 443].map(|port| TcpListener::bind(("::", port)).unwrap());
        let there = bound_in(theirs);
        for listener in here.into_iter().chain(there) {
            world.serve(listener, acceptor.clone());
        }
        world.resolve().await;
        world
    }

    async fn portico(scripted: &Scripted, policy: &str, world: &World) -> Portico {
        let setup = Setup::before(scripted).with(&format!("[policy]\nimage_urls = \"fetch\"\n{policy}"));
        let portico = Portico::launch(binary(), &setup.text(), |command| {
            command.env("SSL_CERT_FILE", world.authority.path());
            // A proxy would look up the name anew.
            for name in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
                command.env(name, "http://10.0.0.5:80");
            }
        });
        portico.serves().await;
        portico
    }

    fn serve(&self, listener: TcpListener, acceptor: tokio_rustls::TlsAcceptor) {
        listener.set_nonblocking(true).unwrap();
        let listener = tokio::net::TcpListener::from_std(listener).unwrap();
        let site =
            Site { heads: self.heads.clone(), paths: self.seen_paths.clone(), ended: self.ended.clone() };
        let seen = self.seen.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let at = stream.local_addr().unwrap();
                *seen.lock().unwrap().entry(at.ip().to_canonical()).or_default() += 1;
                let (site, acceptor) = (site.clone(), acceptor.clone());
                tokio::spawn(async move {
                    if at.port() == 443 {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            site.answer(stream).await;
                        }
                    } else {
                        site.answer(stream).await;
                    }
                });
            }
        });
    }

    async fn resolve(&self) {
        let socket = tokio::net::UdpSocket::bind("127.0.0.1:53").await.unwrap();
        let questions = self.questions.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
                let (name, kind, end) = question(&buffer[..length]);
                let count = {
                    let mut questions = questions.lock().unwrap();
                    let count = questions.entry(format!("{name}/{kind}")).or_default();
                    *count += 1;
                    *count
                };
                let answer = reply(&buffer[..end], &addresses(&name, count), kind);
                let _ = socket.send_to(&answer, from).await;
            }
        });
    }
}

/// Listeners in another namespace, made by a thread that goes there.
fn bound_in(space: &str) -> Vec<TcpListener> {
    let file = std::fs::File::open(format!("/run/netns/{space}")).unwrap();
    let thread = std::thread::spawn(move || {
        use std::os::fd::AsFd as _;
        move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
        let any = PRIVATE.iter().map(|net| net[..net.len() - 3].parse().unwrap());
        let addresses = any.chain([server(), "2a0f:ffff::5".parse().unwrap()]);
        addresses
            .flat_map(|ip| [80, 443].map(|port| TcpListener::bind(SocketAddr::new(ip, port)).unwrap()))
            .collect()
    });
    thread.join().unwrap()
}

fn addresses(name: &str, count: u32) -> Vec<IpAddr> {
    let texts: &[&str] = match name {
        "ok.example.com" => &[SERVER],
        "six.example.com" => &["2a0f:ffff::5"],
        "two.example.com" => &["203.0.114.6", SERVER],
        "own.example.com" => &["203.0.114.1"],
        "private.example.com" => &["10.0.0.5"],
        "loop.example.com" => &["127.0.0.1", "::1"],
        "meta.example.com" => &["169.254.169.254"],
        "mixed.example.com" => &[SERVER, "192.168.0.5"],
        "mapped.example.com" => &["::ffff:10.0.0.5"],
        "nat64.example.com" => &["64:ff9b::a00:5", SERVER],
        "zero.example.com" => &["0.0.0.0"],
        "shared.example.com" => &["100.64.0.5"],
        "rebind.example.com" if count == 1 => &[SERVER],
        "rebind.example.com" => &["127.0.0.1"],
        _ => &[],
    };
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Name, type, and where the question ends.
fn question(packet: &[u8]) -> (String, u16, usize) {
    let (mut at, mut labels) = (12, Vec::new());
    while packet[at] != 0 {
        let length = usize::from(packet[at]);
        labels.push(String::from_utf8_lossy(&packet[at + 1..=at + length]).to_lowercase());
        at += 1 + length;
    }
    (labels.join("."), u16::from_be_bytes([packet[at + 1], packet[at + 2]]), at + 5)
}

fn reply(question: &[u8], addresses: &[IpAddr], kind: u16) -> Vec<u8> {
    let records: Vec<Vec<u8>> = addresses
        .iter()
        .filter_map(|ip| match (ip, kind) {
            (IpAddr::V4(ip), 1) => Some(ip.octets().to_vec()),
            (IpAddr::V6(ip), 28) => Some(ip.octets().to_vec()),
            _ => None,
        })
        .take(28)
        .map(|data| {
            let head = [
                0xc0,
                12,
                0,
                u8::try_from(kind).unwrap(),
                0,
                1,
                0,
                0,
                0,
                0,
                0,
                u8::try_from(data.len()).unwrap(),
            ];
            [&head[..], &data].concat()
        })
        .collect();
    let mut packet = question.to_vec();
    // An answer; a name that nobody has where there is nothing at all.
    packet[2..4].copy_from_slice(&[0x81, if addresses.is_empty() { 0x83 } else { 0x80 }]);
    packet[4..12].copy_from_slice(&[0, 1, 0, u8::try_from(records.len()).unwrap(), 0, 0, 0, 0]);
    packet.extend(records.concat());
    packet
}

/// A web server with every fault that a stranger's may have.
#[derive(Clone)]
struct Site {
    heads: Arc<Mutex<Vec<String>>>,
    paths: Arc<Mutex<BTreeMap<String, u32>>>,
    ended: Arc<Mutex<u32>>,
}

impl Site {
    async fn answer(&self, mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin) {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            match stream.read(&mut byte).await {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
        self.heads.lock().unwrap().push(head);
        *self.paths.lock().unwrap().entry(target.clone()).or_default() += 1;
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        match path {
            "/silent" => {
                let _ = stream.read(&mut [0]).await;
                *self.ended.lock().unwrap() += 1;
            }
            "/drip" => {
                let _ = stream.write_all(&with_body("image/png", &[])[..20]).await;
                while stream.write_all(b"x").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
            "/endless" => {
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n").await;
                while stream.write_all(&[0x41; 4096]).await.is_ok() {}
            }
            _ => {
                let _ = stream.write_all(&answer_for(path, query)).await;
                let _ = stream.shutdown().await;
            }
        }
    }
}

fn with_body(kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn answer_for(path: &str, query: &str) -> Vec<u8> {
    let red = named_png("red", 64, 64);
    let to = |location: &str| {
        format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    let status = |line: &str| {
        format!("HTTP/1.1 {line}\r\nContent-Type: image/png\r\nContent-Length: 0\r\n\r\n").into_bytes()
    };
    match path {
        "/red.png" => with_body("image/png", &red),
        "/phone.jpg" => with_body("image/jpeg; x=y", &good("phone-6.jpg")),
        "/to" => to(&query.replace("%23", "#")),
        "/thrice" => to("/twice"),
        "/twice" => to("once"),
        "/once" => to("//ok.example.com/red.png"),
        "/loop" => to("/loop"),
        "/nowhere" => b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        "/chunked" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Type: IMAGE/PNG\r\nTransfer-Encoding: chunked\r\n\r\n";
            let chunks: Vec<u8> = red
                .chunks(50)
                .flat_map(|piece| [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat())
                .collect();
            [head.as_bytes(), &chunks, b"0\r\n\r\n"].concat()
        }
        "/missing" => status("404 Not Found"),
        "/error" => status("500 Internal Server Error"),
        "/partial" => status("206 Partial Content"),
        "/html" => with_body("text/html", b"<html>"),
        "/no-type" => [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &red].concat(),
        "/two-types" => {
            [&b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Type: text/html\r\n\r\n"[..], &red]
                .concat()
        }
        "/svg" => with_body("image/svg+xml", b"<svg/>"),
        "/lies" => with_body("image/jpeg", &red),
        "/no-image" => with_body("image/png", b"hello"),
        "/gzip" => {
            [&b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Encoding: gzip\r\n\r\n"[..], &red]
                .concat()
        }
        "/announced" => {
            b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: 65537\r\n\r\n".to_vec()
        }
        "/bomb" => with_body("image/png", &bomb()),
        "/cut" => with_body("image/png", &red)[..120].to_vec(),
        "/garbage" => b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
        "/huge-head" => format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(100_000)).into_bytes(),
        _ => status("404 Not Found"),
    }
}

/// A header is enough.
fn bomb() -> Vec<u8> {
    let mut file = png([0, 0, 0], 64, 64);
    file[16..24].copy_from_slice(&[0, 0, 0x40, 0, 0, 0, 0x40, 0]);
    let mut sum = flate2::Crc::new();
    sum.update(&file[12..29]);
    file[29..33].copy_from_slice(&sum.sum().to_be_bytes());
    file
}
