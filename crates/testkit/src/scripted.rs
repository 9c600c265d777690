//! The scripted model server, for faults. What it can do stands in the table at the head of
//! `src/bin/scripted/main.rs`.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::SystemTime,
};

use serde_json::Value;

use crate::{
    client::{self, Connection},
    net::Address,
    process::Process,
    temporary::Folder,
    wait::{self, SOON},
    websocket::WebSocket,
};

/// A running scripted server; it ends on drop.
pub struct Scripted {
    address: Address,
    // In this order: the process ends before its folder goes.
    _process: Process,
    _folder: Folder,
}

/// What the server received, as its record says it.
#[derive(Clone, Debug)]
pub struct Received {
    pub connection: u64,
    pub number: u64,
    pub head: Vec<String>,
    pub body: Option<String>,
    pub body_length: u64,
    pub body_sha256: String,
    pub body_complete: bool,
    pub fault: String,
    pub received_ms: u64,
    pub events_sent: u64,
    pub bytes_sent: u64,
    /// Of a realtime session.
    pub frames: Vec<ReceivedFrame>,
    /// `complete`, `client-closed`, `server-closed`; `None` while it runs.
    pub ended: Option<String>,
    pub ended_ms: Option<u64>,
    pub peer_closed_ms: Option<u64>,
}

/// A frame as it came, right or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedFrame {
    pub opcode: u8,
    pub fin: bool,
    pub rsv: u8,
    pub masked: bool,
    /// The mask's key in hexadecimal digits.
    pub mask: String,
    pub length: u64,
    /// The payload, where it is UTF-8; of a close, the reason.
    pub text: Option<String>,
    /// Of a close.
    pub code: Option<u64>,
}

/// Connections of clients, without the ones that this type opens itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connections {
    pub open: u64,
    pub total: u64,
}

impl Scripted {
    /// On a free loopback port, as the model `scripted-model`.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// On a Unix socket.
    pub async fn on_unix_socket() -> Self {
        let folder = Folder::new();
        let socket = folder.path().join("scripted.sock");
        Self::launch(folder, &["--unix", &socket.to_string_lossy()]).await
    }

    /// With more flags, such as `["--model", "name"]` or `["--listen", "127.0.0.1:4000"]`.
    pub async fn with(flags: &[&str]) -> Self {
        Self::launch(Folder::new(), flags).await
    }

    async fn launch(folder: Folder, flags: &[&str]) -> Self {
        let mut command = Command::new(binary());
        command.args(flags);
        let process = Process::start(command, "scripted", folder.path());
        let line = process.first_line("listening ", SOON).await;
        let address = Address::parse(&line).unwrap_or_else(|| panic!("`{line}` is no address"));
        Self { address, _process: process, _folder: folder }
    }

    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// For `model.endpoints`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.address.endpoint()
    }

    pub async fn connect(&self) -> Connection {
        Connection::open(&self.address).await
    }

    /// A realtime session of its own.
    pub async fn realtime(&self) -> WebSocket {
        WebSocket::connect(&self.address, "/v1/realtime").await
    }

    /// What came so far, oldest first.
    pub async fn requests(&self) -> Vec<Received> {
        let json = self.control("GET", "/_scripted/requests", "").await;
        json.as_array().map(|list| list.iter().map(Received::read).collect()).unwrap_or_default()
    }

    /// Only those of one path: health checks and model lists left out.
    pub async fn requests_to(&self, path: &str) -> Vec<Received> {
        let mut requests = self.requests().await;
        requests.retain(|request| request.path() == path);
        requests
    }

    /// Waits until `wanted` gives something for one of the requests.
    pub async fn wait_for<T>(&self, what: &str, wanted: impl Fn(&Received) -> Option<T>) -> T {
        wait::until(SOON, what, async || self.requests().await.iter().find_map(&wanted)).await
    }

    pub async fn forget_requests(&self) {
        self.control("DELETE", "/_scripted/requests", "").await;
    }

    pub async fn connections(&self) -> Connections {
        let json = self.control("GET", "/_scripted/connections", "").await;
        Connections { open: number(&json, "open"), total: number(&json, "total") }
    }

    /// For requests with a body that ask for no fault themselves; empty for none.
    pub async fn set_fault(&self, fault: &str) {
        self.control("PUT", "/_scripted/fault", fault).await;
    }

    /// The same for requests without a body too: health checks, the list of models.
    pub async fn set_fault_for_all(&self, fault: &str) {
        self.control("PUT", "/_scripted/fault/all", fault).await;
    }

    async fn control(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = client::once(&self.address, method, path, &[], body.as_bytes()).await;
        let answer =
            answer.unwrap_or_else(|error| panic!("the scripted server does not answer {path}: {error}"));
        assert_eq!(answer.head.status, 200, "{method} {path} {body}: {}", answer.text());
        answer.json()
    }
}

impl Received {
    fn read(json: &Value) -> Self {
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let lines = json["head"].as_array();
        Self {
            connection: number(json, "connection"),
            number: number(json, "number"),
            head: lines.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect(),
            body: text("body"),
            body_length: number(json, "body_length"),
            body_sha256: text("body_sha256").unwrap_or_default(),
            body_complete: json["body_complete"] == true,
            fault: text("fault").unwrap_or_default(),
            received_ms: number(json, "received_ms"),
            events_sent: number(json, "events_sent"),
            bytes_sent: number(json, "bytes_sent"),
            frames: json["frames"].as_array().into_iter().flatten().map(ReceivedFrame::read).collect(),
            ended: text("ended"),
            ended_ms: json["ended_ms"].as_u64(),
            peer_closed_ms: json["peer_closed_ms"].as_u64(),
        }
    }

    #[must_use]
    pub fn path(&self) -> &str {
        self.head.first().and_then(|line| line.split(' ').nth(1)).unwrap_or_default()
    }

    /// Every value of a header, in order.
    #[must_use]
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let pairs = self.head.iter().skip(1).filter_map(|line| line.split_once(':'));
        pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The texts of a realtime session, fragments joined; one that has not ended is left out.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let (mut messages, mut joined) = (Vec::new(), String::new());
        for frame in self.frames.iter().filter(|frame| frame.opcode < 8) {
            joined.push_str(frame.text.as_deref().unwrap_or("\u{fffd}"));
            if frame.fin {
                messages.push(std::mem::take(&mut joined));
            }
        }
        messages
    }

    /// What the client closed a realtime session with: 1005 where it gave no code, `None` without a close frame.
    #[must_use]
    pub fn close_code(&self) -> Option<u64> {
        self.frames.iter().find_map(|frame| frame.code)
    }

    /// The body; null where it is none or was too long to keep.
    #[must_use]
    pub fn json(&self) -> Value {
        self.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or(Value::Null)
    }
}

impl ReceivedFrame {
    fn read(json: &Value) -> Self {
        let small = |key: &str| u8::try_from(number(json, key)).unwrap_or(u8::MAX);
        Self {
            opcode: small("opcode"),
            fin: json["fin"] == true,
            rsv: small("rsv"),
            masked: json["masked"] == true,
            mask: json["mask"].as_str().unwrap_or_default().to_owned(),
            length: number(json, "length"),
            text: json["text"].as_str().map(str::to_owned),
            code: json["code"].as_u64(),
        }
    }
}

fn number(json: &Value, key: &str) -> u64 {
    json[key].as_u64().unwrap_or_default()
}

/// The program: beside the test that runs, and newer than its source. Cargo builds a package's programs only for that
/// package's own tests, so for others it is built here.
#[must_use]
pub fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(find_binary).clone()
}

fn find_binary() -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("which program is this? {error}"));
    let folder = test.parent().unwrap_or(Path::new("/"));
    // Tests lie in `target/PROFILE/deps`, examples in `examples`, programs in the profile's folder.
    let profile_folder = match folder.file_name().and_then(|name| name.to_str()) {
        Some("deps" | "examples") => folder.parent().unwrap_or(folder),
        _ => folder,
    };
    let binary = profile_folder.join("scripted");
    if modified(&binary) <= newest(Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))) {
        build(profile_folder);
    }
    assert!(binary.is_file(), "{} is missing: cargo build -p testkit --bin scripted", binary.display());
    binary
}

fn build(profile_folder: &Path) {
    let profile = match profile_folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "-p",
            "testkit",
            "--bin",
            "scripted",
            "--profile",
            profile,
            "--target-dir",
        ])
        .arg(profile_folder.parent().unwrap_or(profile_folder))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status();
    assert!(
        status.as_ref().is_ok_and(std::process::ExitStatus::success),
        "cargo build -p testkit --bin scripted: {status:?}"
    );
}

fn modified(path: &Path) -> SystemTime {
    path.metadata().and_then(|data| data.modified()).unwrap_or(SystemTime::UNIX_EPOCH)
}

/// The newest file below a folder.
fn newest(folder: &Path) -> SystemTime {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let times = entries
        .map(|entry| if entry.path().is_dir() { newest(&entry.path()) } else { modified(&entry.path()) });
    times.max().unwrap_or(SystemTime::UNIX_EPOCH)
}
