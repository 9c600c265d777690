//! A small public internet for the tests of fetching: a second network namespace with web servers that note who was
//! asked, and a resolver.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use testkit::image::{named_png, png};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::hostile_pictures::good;
use crate::setup::Setup;
use crate::support::binary;

pub(crate) const SERVER: &str = "203.0.114.5";
/// Where the server in the other namespace answers too, to be seen when it is asked.
pub(crate) const PRIVATE: [&str; 6] = [
    "10.0.0.5/32",
    "100.64.0.5/32",
    "169.254.169.254/32",
    "172.16.0.5/32",
    "192.168.0.5/32",
    "198.18.0.5/32",
];

/// Two namespaces with a cable between them. They go with the value.
pub(crate) struct Namespaces {
    pub(crate) ours: String,
    pub(crate) theirs: String,
}

impl Namespaces {
    pub(crate) fn new() -> Self {
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

pub(crate) fn server() -> IpAddr {
    SERVER.parse().unwrap()
}

/// The other side: web servers that note who was asked, and a resolver.
pub(crate) struct World {
    /// Connections by the address that was asked.
    pub(crate) seen: Arc<Mutex<BTreeMap<IpAddr, u32>>>,
    pub(crate) seen_paths: Arc<Mutex<BTreeMap<String, u32>>>,
    pub(crate) heads: Arc<Mutex<Vec<String>>>,
    pub(crate) questions: Arc<Mutex<BTreeMap<String, u32>>>,
    /// Connections that the other side ended while they were kept waiting.
    pub(crate) ended: Arc<Mutex<u32>>,
    authority: tempfile::NamedTempFile,
}

impl World {
    pub(crate) async fn start(theirs: &str) -> Self {
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
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
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

    pub(crate) async fn portico(scripted: &Scripted, policy: &str, world: &World) -> Portico {
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
