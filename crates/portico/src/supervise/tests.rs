//! Real processes: small programs that stand in for faults, and llama.cpp with a real model.
//!
//! Nothing here sleeps and hopes: every wait is for a condition, with a deadline.

mod faults;
mod orphans;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::sync::watch;

use super::*;
use crate::config::Engine;
use crate::sys::http::{Limits, fetch};
use crate::sys::procfs;
use crate::types::Tongue;

/// Long enough for a busy machine; a test that needs all of it has failed.
const DEADLINE: Duration = Duration::from_secs(30);

/// A folder of its own, removed at the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let folder =
            std::env::temp_dir().join(format!("portico-sup-{}", crate::sys::random::hex(6).unwrap()));
        fs::create_dir_all(folder.join("weights-of-a-test")).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A model whose `vllm` is this script: it gets vLLM's arguments and environment.
    fn stand_in(&self, script: &str) -> Spec {
        let program = self.file("engines/vllm/venv/bin/vllm");
        fs::create_dir_all(program.parent().unwrap()).unwrap();
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let weights = self.file("weights-of-a-test");
        self.spec(Engine::Vllm, weights.to_str().unwrap())
    }

    fn spec(&self, engine: Engine, path: &str) -> Spec {
        let mut model = engine::tests::model(engine, path, EndpointAddress::Unix(self.file("m.sock")));
        model.log = self.file("models/m.log");
        model.stop_grace = Duration::from_secs(10);
        model.start_timeout = DEADLINE;
        Spec { model, data_dir: self.0.clone(), max_choices: 1, probe: Probe::Generate }
    }

    /// llama.cpp with the colour model: a real vision model of half a million parameters.
    fn llama(&self) -> Spec {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
        let parts = root.join(".portico/parts");
        let python = match std::env::var_os("PORTICO_TEST_PYTHON") {
            Some(python) => PathBuf::from(python),
            None => [parts.join("server/bin/python3"), parts.join("venv/bin/python3")]
                .into_iter()
                .find(|python| procfs::is_executable(python))
                .unwrap_or_else(|| parts.join("server/bin/python3")),
        };
        assert!(
            procfs::is_executable(&python),
            "no Python with xllamacpp at {}: run scripts/parts, or set PORTICO_TEST_PYTHON",
            python.display()
        );
        let engine = self.file("engines/llama.cpp");
        fs::create_dir_all(&engine).unwrap();
        let venv = python.parent().and_then(Path::parent).unwrap();
        std::os::unix::fs::symlink(venv, engine.join("venv")).unwrap();
        let models = root.join("crates/testkit/models");
        let mut spec = self.spec(Engine::LlamaCpp, models.join("colour.gguf").to_str().unwrap());
        spec.model.name = "colour".to_owned();
        let projector = models.join("colour-mmproj.gguf");
        let args = ["--mmproj", projector.to_str().unwrap(), "-c", "4096", "-np", "4", "-t", "1"];
        spec.model.args = args.map(str::to_owned).to_vec();
        spec
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that answers as a model does, for tests that are not about answers.
const READY: &str = r#"#!/usr/bin/env python3
import http.server, json, os, signal, socketserver, sys
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
class Handler(http.server.BaseHTTPRequestHandler):
    def answer(self, value):
        body = json.dumps(value).encode()
        right = self.headers["Authorization"] == "Bearer " + os.environ["VLLM_API_KEY"]
        self.send_response(200 if right else 401)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        self.answer({"data": [{"id": "m", "max_model_len": 512}]})
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer({"choices": [{}]})
    def log_message(self, *_):
        pass
class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    def get_request(self):
        return self.socket.accept()[0], ("unix", 0)
Server(sys.argv[sys.argv.index("--uds") + 1], Handler).serve_forever()
"#;

async fn wait(status: &mut watch::Receiver<ModelStatus>, what: impl Fn(&ModelStatus) -> bool) -> ModelStatus {
    let reached = match tokio::time::timeout(DEADLINE, status.wait_for(&what)).await {
        Ok(Ok(status)) => Some(status.clone()),
        _ => None,
    };
    reached.unwrap_or_else(|| panic!("not reached in time, or over; it is {:?}", status.borrow()))
}

async fn ready(status: &mut watch::Receiver<ModelStatus>) -> ModelStatus {
    wait(status, |status| status.state == ModelState::Ready).await
}

fn detail(status: &ModelStatus) -> String {
    status.detail.as_ref().map(|text| text.pick(Tongue::English).to_owned()).unwrap_or_default()
}

fn alive(pid: u32) -> bool {
    procfs::stat(pid).is_some_and(|stat| !stat.zombie)
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < DEADLINE, "not reached: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn pid_in(path: &Path) -> Option<u32> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn kill(pid: u32) {
    let identity = procfs::stat(pid).unwrap().identity;
    crate::sys::process::signal(identity, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_model_lives_through_kill_stop_start_and_shutdown() {
    let place = Place::new();
    let spec = place.llama();
    let model = Supervised::start(spec.clone());
    let mut status = model.status();
    let first = ready(&mut status).await;
    assert_eq!(first.facts.names, ["colour".into()]);
    assert_eq!((first.facts.context_tokens, first.facts.takes_images), (Some(1024), Some(true)));
    assert_eq!(first.detail, None);

    let limits = Limits { connect: DEADLINE, total: DEADLINE, max_body_bytes: 1 << 20 };
    let target = target(&spec.model.endpoints[0]);
    let (code, _, _) = fetch(&target, Method::GET, "/v1/models", &[], Bytes::new(), limits).await.unwrap();
    assert_eq!(code, StatusCode::UNAUTHORIZED, "nobody else on this machine may use it");
    let key = first.api_key.clone().unwrap();
    let arguments = fs::read(format!("/proc/{}/cmdline", first.pid.unwrap())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(&*key), "arguments can be read by everybody");
    assert!(ask(&target, Some(&key)).await.is_ok());

    kill(first.pid.unwrap());
    let second =
        wait(&mut status, |status| status.state == ModelState::Ready && status.pid != first.pid).await;
    assert_eq!(second.restarts, 1);
    assert_ne!(second.api_key, first.api_key, "a key lives as long as its process");
    assert_eq!(second.last_exit.unwrap().exit, Exit::Signal(9));

    model.command(Command::Stop).await;
    wait(&mut status, |status| status.state == ModelState::Stopped && status.pid.is_none()).await;
    until("the process to end", || !alive(second.pid.unwrap())).await;
    model.command(Command::Start).await;
    let third = ready(&mut status).await;
    tokio::time::timeout(DEADLINE, model.shutdown()).await.unwrap();
    assert!(!alive(third.pid.unwrap()), "shutdown returns when nothing is left");
    assert!(!record::path(&place.0, "colour").exists());
    assert!(fs::read_to_string(&spec.model.log).unwrap().contains("[portico] starting"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_model_file_is_named_with_llama_cpps_own_last_lines() {
    let place = Place::new();
    let mut spec = place.llama();
    let broken = place.file("broken.gguf");
    fs::write(&broken, "this is no model").unwrap();
    spec.model.path = broken.to_str().unwrap().to_owned();
    let model = Supervised::start(spec);
    let status = wait(&mut model.status(), |status| status.state == ModelState::Down).await;
    let said = detail(&status);
    assert!(said.contains("not GGUF") || said.contains("damaged"), "{said}");
    assert!(said.contains("broken.gguf"), "{said}");
    model.shutdown().await;
}

/// Real vLLM, as `./test --full` has it: PORTICO_TEST_VLLM is its virtual environment, PORTICO_TEST_VLLM_MODEL a
/// checkpoint. On a machine without a GPU also VLLM_CPU_KVCACHE_SPACE=1 and VLLM_CPU_OMP_THREADS_BIND=nobind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs vLLM: 6 GB and two minutes"]
async fn real_vllm_takes_the_command_line_and_ends_as_a_whole() {
    let place = Place::new();
    let engine = place.file("engines/vllm");
    fs::create_dir_all(&engine).unwrap();
    std::os::unix::fs::symlink(std::env::var_os("PORTICO_TEST_VLLM").unwrap(), engine.join("venv")).unwrap();
    let mut spec = place.spec(Engine::Vllm, &std::env::var("PORTICO_TEST_VLLM_MODEL").unwrap());
    let args = ["--max-model-len", "2048", "--dtype", "float32", "--enforce-eager"];
    spec.model.args = args.map(str::to_owned).to_vec();
    spec.model.start_timeout = Duration::from_secs(600);
    let model = Supervised::start(spec.clone());
    let mut status = model.status();
    let slow = Duration::from_secs(600);
    let is_over = |status: &ModelStatus| status.state == ModelState::Ready || status.last_exit.is_some();
    let first = tokio::time::timeout(slow, status.wait_for(is_over)).await.unwrap().unwrap().clone();
    assert_eq!(first.state, ModelState::Ready, "{first:?}");
    assert_eq!(first.facts.context_tokens, Some(2048));
    let limits = Limits { connect: DEADLINE, total: DEADLINE, max_body_bytes: 1 << 20 };
    let target = target(&spec.model.endpoints[0]);
    for (path, wanted) in [("/v1/models", 401), ("/docs", 404), ("/openapi.json", 404), ("/health", 200)] {
        let (code, _, _) = fetch(&target, Method::GET, path, &[], Bytes::new(), limits).await.unwrap();
        assert_eq!(code.as_u16(), wanted, "{path}");
    }
    let leader = procfs::stat(first.pid.unwrap()).unwrap().identity;
    let family = procfs::members(leader, true, "");
    assert!(family.len() > 1, "vLLM's engine is a process of its own");
    let public = procfs::public_listeners(&family);
    let began = Instant::now();
    tokio::time::timeout(slow, model.shutdown()).await.unwrap();
    println!("{} processes ended in {:?}; public listeners: {public:?}", family.len(), began.elapsed());
    assert!(family.iter().all(|member| !alive(member.pid)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_restarts_only_what_would_be_started_differently() {
    let place = Place::new();
    let spec = place.stand_in(READY);
    let model = Supervised::start(spec.clone());
    let mut status = model.status();
    let first = ready(&mut status).await;

    let mut patient = spec.clone();
    patient.model.stop_grace = Duration::from_secs(3);
    patient.model.aliases = vec!["other".to_owned()];
    model.replace(patient).await;
    let mut shorter = spec.clone();
    shorter.model.args = vec!["--max-model-len".to_owned(), "1024".to_owned()];
    model.replace(shorter).await;
    let second =
        wait(&mut status, |status| status.state == ModelState::Ready && status.pid != first.pid).await;
    assert_eq!(second.restarts, 1, "the first change has restarted nothing");

    model.command(Command::Stop).await;
    wait(&mut status, |status| status.state == ModelState::Stopped && status.pid.is_none()).await;
    model.replace(spec).await;
    model.command(Command::Start).await;
    assert_eq!(ready(&mut status).await.restarts, 2, "a stopped model stays stopped until it is told");
    model.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_probes_off_nothing_is_sent() {
    let place = Place::new();
    let seen = place.file("seen");
    let script = READY.replace(
        "    def answer(self, value):",
        &format!("    def answer(self, value):\n        open({seen:?}, 'w')"),
    );
    let mut spec = place.stand_in(&script);
    spec.probe = Probe::ConnectOnly;
    let model = Supervised::start(spec);
    assert_eq!(*ready(&mut model.status()).await.facts, ModelFacts::default());
    model.shutdown().await;
    assert!(!seen.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_of_the_request_path_is_checked_before_it_is_believed() {
    let place = Place::new();
    let model = Supervised::start(place.stand_in(READY));
    let mut status = model.status();
    let first = ready(&mut status).await;
    model.report_unreachable();
    fs::rename(place.file("m.sock"), place.file("away.sock")).unwrap();
    model.report_unreachable();
    wait(&mut status, |status| status.state == ModelState::Loading).await;
    fs::rename(place.file("away.sock"), place.file("m.sock")).unwrap();
    let again = ready(&mut status).await;
    assert_eq!(again.pid, first.pid, "the process was never the problem");
    model.shutdown().await;
}
