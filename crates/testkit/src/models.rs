//! Real model servers: llama.cpp with two models small enough for any machine.
//!
//! `scripts/parts` installs them; without it these functions panic and say so.

use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::json;

use crate::{client, net::Address, process::Process, temporary::Folder, wait};

// One thread each (`-t 1`): llama.cpp's threads wait for each other by spinning, which on a machine full of tests costs
// more than the second one brings.

/// A busy machine reads 98 MB and warms up within this.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// A running model server; it ends on drop.
pub struct Server {
    address: Address,
    name: &'static str,
    process: Process,
    _folder: Folder,
}

/// SmolLM2-135M: real text, real token counts, streams of any length; of little sense, and it sees no images.
pub struct Smollm2;

/// The vision model of half a million parameters that says `The image is red.`; see `models/README.md`.
pub struct Colour;

impl Smollm2 {
    pub const NAME: &'static str = "smollm2-135m";

    #[must_use]
    pub fn file() -> PathBuf {
        part("models/smollm2-135m-instruct-q4_1.gguf")
    }

    /// What `llama-server` is told for it, but for the address.
    #[must_use]
    pub fn arguments() -> Vec<String> {
        flags(&["-m", &text(&Self::file()), "-c", "8192", "-np", "4", "-t", "1", "--embedding"])
    }

    /// On a free loopback port.
    pub async fn start() -> Server {
        Server::start(Self::NAME, Self::arguments(), &[], Listen::Port).await
    }

    pub async fn on_unix_socket() -> Server {
        Server::start(Self::NAME, Self::arguments(), &[], Listen::Socket).await
    }

    /// With more flags, such as `["--api-key", "secret"]`.
    pub async fn with(more: &[&str]) -> Server {
        Server::start(Self::NAME, Self::arguments(), more, Listen::Port).await
    }
}

impl Colour {
    pub const NAME: &'static str = "colour";

    /// What `llama-server` is told for it, but for the address.
    #[must_use]
    pub fn arguments() -> Vec<String> {
        let (model, eye) = (text(&part("models/colour.gguf")), text(&part("models/colour-mmproj.gguf")));
        flags(&[
            "-m",
            &model,
            "--mmproj",
            &eye,
            "--image-max-tokens",
            "49",
            "-c",
            "16384",
            "-np",
            "4",
            "-t",
            "1",
        ])
    }

    /// On a free loopback port.
    pub async fn start() -> Server {
        Server::start(Self::NAME, Self::arguments(), &[], Listen::Port).await
    }

    pub async fn on_unix_socket() -> Server {
        Server::start(Self::NAME, Self::arguments(), &[], Listen::Socket).await
    }

    pub async fn with(more: &[&str]) -> Server {
        Server::start(Self::NAME, Self::arguments(), more, Listen::Port).await
    }
}

enum Listen {
    Port,
    Socket,
}

impl Server {
    async fn start(name: &'static str, arguments: Vec<String>, more: &[&str], listen: Listen) -> Self {
        let folder = Folder::new();
        let mut command = Command::new(llama_server());
        command.args(arguments).args(["--alias", name]).args(more);
        match listen {
            Listen::Port => command.args(["--host", "127.0.0.1", "--port", "0"]),
            Listen::Socket => command.arg("--host").arg(folder.path().join("model.sock")),
        };
        let process = Process::start(command, name, folder.path());
        let line = process.first_line("listening ", START_DEADLINE).await;
        let address = Address::parse(&line).unwrap_or_else(|| panic!("`{line}` is no address"));
        let server = Self { address, name, process, _folder: folder };
        server.answers().await;
        server
    }

    /// Ready is who answers, not who listens: one token is made before the test goes on. A server with a key is
    /// ready when it refuses.
    async fn answers(&self) {
        let call =
            json!({ "model": self.name, "max_tokens": 1, "messages": [{ "role": "user", "content": "hi" }] });
        wait::until(START_DEADLINE, "the model server answers", async || {
            let answer = client::post_json(&self.address, "/v1/chat/completions", &call).await.ok()?;
            matches!(answer.head.status, 200 | 401).then_some(())
        })
        .await;
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

    /// What it calls its model.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// To stop or kill it in the middle of a test.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// llama.cpp's server, with `llama-server`'s flags: what a supervised `[[model]]` runs.
#[must_use]
pub fn llama_server() -> PathBuf {
    part("bin/llama-server")
}

/// Where `scripts/parts` puts things.
#[must_use]
pub fn parts_folder() -> PathBuf {
    match std::env::var_os("PORTICO_PARTS") {
        Some(folder) => folder.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.portico/parts"),
    }
}

fn part(name: &str) -> PathBuf {
    let path = parts_folder().join(name);
    assert!(path.exists(), "{} is missing: run scripts/parts first", path.display());
    path
}

fn flags(flags: &[&str]) -> Vec<String> {
    flags.iter().map(|flag| (*flag).to_owned()).collect()
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
