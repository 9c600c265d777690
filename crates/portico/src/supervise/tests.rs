//! Real processes: small programs that stand in for faults, and llama.cpp with a real model.
//!
//! Nothing here sleeps and hopes: every wait is for a condition, with a deadline.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Method, StatusCode};
use tokio::sync::watch;

use super::output::Tail;
use super::*;
use crate::config::Engine;
use crate::sys::http::{Limits, fetch};
use crate::sys::procfs::{self, Identity};
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_exits_at_once_is_tried_again_and_its_last_lines_are_shown() {
    let place = Place::new();
    let spec = place.stand_in(
        "#!/bin/sh\necho it all began well\nprintf '\\033[31mthen it broke\\033[0m\\n' >&2\nexit 3\n",
    );
    let model = Supervised::start(spec);
    let mut status = model.status();
    let failed = wait(&mut status, |status| detail(status).contains("exited with code 3")).await;
    assert_eq!(failed.state, ModelState::Loading, "requests wait: it may come back");
    assert!(detail(&failed).contains("it all began well\n  then it broke"), "{}", detail(&failed));
    wait(&mut status, |status| status.restarts >= 1).await;
    let began = Instant::now();
    model.shutdown().await;
    assert!(began.elapsed() < Duration::from_secs(5), "nobody waits out a pause");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_last_words_make_it_down_at_once_with_the_fix() {
    let place = Place::new();
    let model = Supervised::start(
        place.stand_in("#!/bin/sh\necho 'RuntimeError: No CUDA GPUs are available'\nexit 1\n"),
    );
    let status = wait(&mut model.status(), |status| status.state == ModelState::Down).await;
    assert!(detail(&status).contains("nvidia-smi"), "{}", detail(&status));
    model.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_ignores_sigterm_is_killed_after_its_grace() {
    let place = Place::new();
    let mut spec =
        place.stand_in("#!/bin/sh\ntrap '' TERM\necho $$ > \"$HOME_OF_TEST\"\nwhile :; do sleep 1; done\n");
    // The allowlist lets nothing of ours through, so the script is told by its own text.
    let pid_file = place.file("pid");
    let script = place.file("engines/vllm/venv/bin/vllm");
    let text = fs::read_to_string(&script).unwrap().replace("$HOME_OF_TEST", pid_file.to_str().unwrap());
    fs::write(&script, text).unwrap();
    spec.model.stop_grace = Duration::from_millis(300);
    let model = Supervised::start(spec);
    until("the script to run", || pid_in(&pid_file).is_some()).await;
    let pid = pid_in(&pid_file).unwrap();
    let began = Instant::now();
    tokio::time::timeout(DEADLINE, model.shutdown()).await.unwrap();
    assert!(began.elapsed() >= Duration::from_millis(300), "it had its grace");
    assert!(!alive(pid));
}

/// Starts three kinds of grandchildren that all ignore SIGTERM: in the group; in a session of its own; in a session of
/// its own and with an empty environment. Then the leader waits, or dies.
fn family(place: &Place, leader: &str) -> Spec {
    let pids = place.file("pids");
    let child = place.file("child.sh");
    fs::write(&child, "trap '' TERM\necho $$ >> \"$1\"\nwhile :; do sleep 1; done\n").unwrap();
    let (child, pids) = (child.display(), pids.display());
    place.stand_in(&format!(
        "#!/bin/sh\nsh {child} {pids} &\nsetsid sh {child} {pids} &\nsetsid env -i PATH=\"$PATH\" sh {child} {pids} &\n{leader}\n"
    ))
}

fn pids(place: &Place) -> Vec<u32> {
    let text = fs::read_to_string(place.file("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grandchildren_end_with_it_wherever_they_have_gone() {
    let place = Place::new();
    let mut spec = family(&place, "wait");
    spec.model.stop_grace = Duration::from_millis(200);
    let model = Supervised::start(spec);
    until("three grandchildren", || pids(&place).len() == 3).await;
    tokio::time::timeout(DEADLINE, model.shutdown()).await.unwrap();
    for pid in pids(&place) {
        assert!(!alive(pid), "{pid} has survived");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_that_dies_takes_its_children_along_before_the_next_start() {
    let place = Place::new();
    // vLLM's way to die: the server is gone, the engine with the GPU's memory stays.
    let mut spec = family(&place, "while [ $(wc -l < PIDS) -lt 3 ]; do sleep 0.05; done; kill -9 $$");
    let script = place.file("engines/vllm/venv/bin/vllm");
    let with_pids =
        fs::read_to_string(&script).unwrap().replace("PIDS", place.file("pids").to_str().unwrap());
    let without_third: String =
        with_pids.lines().filter(|line| !line.contains("env -i")).map(|line| format!("{line}\n")).collect();
    fs::write(&script, without_third.replace("-lt 3", "-lt 2")).unwrap();
    spec.model.stop_grace = Duration::from_millis(200);
    let model = Supervised::start(spec);
    let mut status = model.status();
    let exited = wait(&mut status, |status| status.last_exit.is_some()).await;
    assert_eq!(exited.last_exit.unwrap().exit, Exit::Signal(9));
    wait(&mut status, |status| status.restarts == 1).await;
    let first_two = &pids(&place)[..2];
    assert!(first_two.iter().all(|pid| !alive(*pid)), "they still hold what the next start needs");
    model.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_never_ready_is_ended_at_its_deadline_and_tried_again() {
    let place = Place::new();
    let mut spec = place.stand_in("#!/bin/sh\nexec sleep 1000\n");
    spec.model.start_timeout = Duration::from_millis(300);
    let model = Supervised::start(spec);
    let mut status = model.status();
    let first = wait(&mut status, |status| status.pid.is_some()).await;
    let late = wait(&mut status, |status| detail(status).contains("not ready within")).await;
    assert!(detail(&late).contains("can't connect"), "{}", detail(&late));
    wait(&mut status, |status| status.restarts == 1).await;
    assert!(!alive(first.pid.unwrap()));
    model.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_prints_without_end_runs_on_while_its_log_can_not_be_written() {
    let place = Place::new();
    let mark = place.file("printed");
    let mut spec = place.stand_in(&format!(
        "#!/bin/sh\nhead -c 30000000 /dev/zero | tr '\\0' x\necho done > {}\nexec sleep 1000\n",
        mark.display()
    ));
    spec.model.log = "/dev/full".into();
    let model = Supervised::start(spec);
    until("30 MB to be printed", || mark.exists()).await;
    model.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_said_and_found_when_it_comes() {
    let place = Place::new();
    let mut spec = place.stand_in(READY);
    let weights = place.file("on-another-disk");
    spec.model.path = weights.to_str().unwrap().to_owned();
    let model = Supervised::start(spec);
    let mut status = model.status();
    let down = wait(&mut status, |status| status.state == ModelState::Down).await;
    assert!(detail(&down).contains("on-another-disk does not exist"), "{}", detail(&down));
    fs::create_dir(&weights).unwrap();
    model.command(Command::Restart).await;
    ready(&mut status).await;
    model.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_can_not_be_started_is_named() {
    let place = Place::new();
    let model = Supervised::start(place.stand_in("#!/no/such/interpreter\n"));
    let down = wait(&mut model.status(), |status| status.state == ModelState::Down).await;
    assert!(detail(&down).contains("interpreter"), "{}", detail(&down));
    model.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_taken_address_is_refused_before_anything_is_started() {
    let place = Place::new();
    let spec = place.stand_in(READY);
    let _other = std::os::unix::net::UnixListener::bind(place.file("m.sock")).unwrap();
    let model = Supervised::start(spec);
    let down = wait(&mut model.status(), |status| status.state == ModelState::Down).await;
    assert!(detail(&down).contains("in use by another program"), "{}", detail(&down));
    assert_eq!(down.restarts, 0);
    model.shutdown().await;
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

/// A child of a Portico that has crashed: started, recorded, and nobody's any more.
async fn crash(spec: &Spec, owner: Identity) -> u32 {
    let running = launch::launch(spec, &Tail::default()).await.unwrap();
    let pid = running.group.leader().pid;
    let path = record::path(&spec.data_dir, &spec.model.name);
    let text = fs::read_to_string(&path).unwrap();
    let own = procfs::stat(std::process::id()).unwrap().identity;
    let text = text
        .replace(&format!("\"portico_pid\":{}", own.pid), &format!("\"portico_pid\":{}", owner.pid))
        .replace(
            &format!("\"portico_start_ticks\":{}", own.start_ticks),
            &format!("\"portico_start_ticks\":{}", owner.start_ticks),
        );
    fs::write(&path, text).unwrap();
    // Not ended and not waited for, as after a crash.
    std::mem::forget(running);
    pid
}

const NOBODY: Identity = Identity { pid: 4_000_000, start_ticks: 1 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_crashed_portico_left_is_ended_before_a_new_one_starts() {
    let place = Place::new();
    let spec = place.stand_in(READY);
    let left = crash(&spec, NOBODY).await;
    until("the leftover to listen", || place.file("m.sock").exists()).await;
    let model = Supervised::start(spec);
    let now = ready(&mut model.status()).await;
    assert!(!alive(left));
    assert_ne!(now.pid, Some(left));
    model.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_whose_leader_is_gone_are_found_by_their_marker() {
    let place = Place::new();
    let spec = family(&place, "wait");
    let left = crash(&spec, NOBODY).await;
    until("three grandchildren", || pids(&place).len() == 3).await;
    kill(left);
    until("the leader to be gone", || !alive(left)).await;
    let marked: Vec<u32> = pids(&place)
        .into_iter()
        .filter(|pid| {
            let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            String::from_utf8_lossy(&environment).contains(engine::MARKER_NAME)
        })
        .collect();
    assert_eq!(marked.len(), 2, "the third has thrown its environment away");
    let outcome =
        record::end_leftover(&record::path(&place.0, &spec.model.name), Duration::from_millis(200)).await;
    assert_eq!(outcome, record::Leftover::Ended);
    assert!(marked.iter().all(|pid| !alive(*pid)));
    pids(&place).into_iter().filter(|pid| alive(*pid)).for_each(kill);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_somebody_else_has_now_is_left_alone() {
    let place = Place::new();
    let mut innocent = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let real = procfs::stat(innocent.id()).unwrap().identity;
    let other = Identity { pid: real.pid, start_ticks: real.start_ticks - 1 };
    let path = record::path(&place.0, "m");
    record::write(&path, other, "0123456789abcdef").unwrap();
    assert_eq!(record::end_leftover(&path, Duration::from_millis(100)).await, record::Leftover::None);
    assert!(alive(real.pid), "it only has the number");
    assert!(!path.exists());
    innocent.kill().unwrap();
    innocent.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_of_another_living_portico_is_not_touched() {
    let place = Place::new();
    let spec = place.stand_in(READY);
    let mut other_portico = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
    let owner = procfs::stat(other_portico.id()).unwrap().identity;
    let theirs = crash(&spec, owner).await;
    let model = Supervised::start(spec);
    let down = wait(&mut model.status(), |status| status.state == ModelState::Down).await;
    assert!(detail(&down).contains(&format!("another Portico (process {})", owner.pid)), "{}", detail(&down));
    model.shutdown().await;
    assert!(alive(theirs));
    kill(theirs);
    other_portico.kill().unwrap();
    other_portico.wait().unwrap();
}

/// Run only as a program of its own, by the test below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the other half of the_child_ends_when_portico_is_killed"]
async fn portico_that_will_be_killed() {
    let mut command = tokio::process::Command::new("sleep");
    command.arg("1000");
    let child = crate::sys::process::spawn(command).await.unwrap();
    fs::write(std::env::var_os("PORTICO_TEST_PID_FILE").unwrap(), format!("{}\n", child.id().unwrap()))
        .unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_ends_when_portico_is_killed() {
    let place = Place::new();
    let pid_file = place.file("pid");
    let mut portico = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "supervise::tests::portico_that_will_be_killed"])
        .env("PORTICO_TEST_PID_FILE", &pid_file)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the child to run", || pid_in(&pid_file).is_some()).await;
    let pid = pid_in(&pid_file).unwrap();
    assert!(alive(pid));
    portico.kill().unwrap();
    portico.wait().unwrap();
    until("the child to end", || !alive(pid)).await;
}
