//! Small programs that stand in for the ways in which a model server can fail.

use std::fs;
use std::time::{Duration, Instant};

use super::*;

/// Starts three kinds of grandchildren that all ignore SIGTERM: in the group; in a session of its own; in a session of
/// its own and with an empty environment. Then the leader waits, or dies.
pub(super) fn family(place: &Place, leader: &str) -> Spec {
    let pids = place.file("pids");
    let child = place.file("child.sh");
    fs::write(&child, "trap '' TERM\necho $$ >> \"$1\"\nwhile :; do sleep 1; done\n").unwrap();
    let (child, pids) = (child.display(), pids.display());
    place.stand_in(&format!(
        "#!/bin/sh\nsh {child} {pids} &\nsetsid sh {child} {pids} &\nsetsid env -i PATH=\"$PATH\" sh {child} {pids} &\n{leader}\n"
    ))
}

pub(super) fn pids(place: &Place) -> Vec<u32> {
    let text = fs::read_to_string(place.file("pids")).unwrap_or_default();
    text.lines().filter_map(|line| line.parse().ok()).collect()
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grandchildren_end_with_it_wherever_they_have_gone() {
    let place = Place::new();
    let mut spec = family(&place, "wait");
    // Long enough for several searches after the leader's death: then only memory knows the third of them.
    spec.model.stop_grace = Duration::from_secs(1);
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
async fn what_was_seen_when_it_was_ready_ends_after_its_leaders_death() {
    let place = Place::new();
    let mut spec = family(&place, "wait");
    let program = place.file("engines/vllm/venv/bin/vllm");
    let server = place.file("server.py");
    fs::write(&server, READY).unwrap();
    let script = fs::read_to_string(&program).unwrap();
    // Ready only when all three are there.
    let serve = format!(
        "while [ \"$(cat {} | wc -l)\" -lt 3 ]; do sleep 0.05; done\nexec python3 {} \"$@\"\n",
        place.file("pids").display(),
        server.display()
    );
    fs::write(&program, script.replace("wait\n", &serve)).unwrap();
    spec.model.stop_grace = Duration::from_millis(200);
    let model = Supervised::start(spec);
    let mut status = model.status();
    let first = ready(&mut status).await;
    let children = pids(&place);
    kill(first.pid.unwrap());
    wait(&mut status, |status| status.state == ModelState::Ready && status.restarts == 1).await;
    assert!(children.iter().all(|pid| !alive(*pid)), "also the one that can't be found any more");
    model.shutdown().await;
    assert!(pids(&place).iter().all(|pid| !alive(*pid)));
}
