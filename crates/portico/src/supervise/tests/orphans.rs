//! What is left over when Portico itself is killed.

use std::fs;
use std::time::Duration;

use super::faults::{family, pids};
use super::*;
use crate::supervise::output::Tail;
use crate::sys::procfs::Identity;

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
    let Some(pid_file) = std::env::var_os("PORTICO_TEST_PID_FILE") else { return };
    let mut command = tokio::process::Command::new("sleep");
    command.arg("1000").stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    let child = crate::sys::process::spawn(command).await.unwrap();
    fs::write(pid_file, format!("{}\n", child.id().unwrap())).unwrap();
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_child_ends_when_portico_is_killed() {
    let place = Place::new();
    let pid_file = place.file("pid");
    let mut portico = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "supervise::tests::orphans::portico_that_will_be_killed"])
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
