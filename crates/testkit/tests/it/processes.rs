//! Nothing that a test starts outlives it.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use testkit::{
    portico::Portico,
    process::{Exit, Process},
    scripted,
    temporary::Folder,
    wait::{SOON, until},
};

fn shell(script: &str, folder: &Folder) -> Process {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    Process::start(command, "shell", folder.path())
}

fn runs(id: u32) -> bool {
    // A zombie has ended; nobody may have taken its status yet.
    std::fs::read_to_string(format!("/proc/{id}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap_or_default().trim_start().starts_with('Z'))
}

#[tokio::test]
async fn a_process_that_ignores_sigterm_goes_with_its_children() {
    let folder = Folder::new();
    // One child in the group, one that left it.
    let script = "trap '' TERM; sleep 1000 & setsid sleep 1001 & echo ready; while :; do sleep 1; done";
    let mut process = shell(script, &folder);
    process.set_grace(Duration::from_millis(100));
    let family = until(SOON, "both children run", async || {
        let family = process.family();
        let sleepers = family.iter().filter(|(_, command)| command.starts_with("sleep 100")).count();
        (sleepers == 2).then_some(family)
    })
    .await;
    let id = process.id();
    drop(process);
    until(SOON, "all have ended", async || {
        (!runs(id) && family.iter().all(|(id, _)| !runs(*id))).then_some(())
    })
    .await;
}

#[tokio::test]
async fn ends_are_told_apart() {
    let folder = Folder::new();
    assert_eq!(shell("echo out; echo err >&2; exit 3", &folder).wait(SOON).await, Exit::Code(3));
    let process = shell("echo out; echo err >&2; kill -9 $$", &folder);
    assert_eq!(process.wait(SOON).await, Exit::Signal(9));
    assert_eq!((process.stdout().as_str(), process.stderr().as_str()), ("out\n", "err\n"));
    let process = shell("exec sleep 1000", &folder);
    assert_eq!(process.exited(), None);
    assert_eq!(process.stop(SOON).await, Exit::Signal(15));
}

/// This very program is started again as a test that is killed with what it has started.
#[tokio::test]
async fn a_killed_test_leaves_nothing() {
    let folder = Folder::new();
    let file = folder.path().join("id");
    let mut test = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "processes::victim", "--ignored"])
        .env("VICTIM_FILE", &file)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let id: u32 = until(SOON, "the victim has started its server", async || {
        std::fs::read_to_string(&file).ok()?.trim().parse().ok()
    })
    .await;
    assert!(runs(id));
    test.kill().unwrap();
    test.wait().unwrap();
    until(SOON, "the server has ended", async || (!runs(id)).then_some(())).await;
    let left = std::fs::read_to_string(folder.path().join("folder")).unwrap();
    until(SOON, "its folder is gone", async || (!Path::new(&left).exists()).then_some(())).await;
}

#[tokio::test]
#[ignore = "started by a_killed_test_leaves_nothing, which kills it"]
async fn victim() {
    let Some(file) = std::env::var_os("VICTIM_FILE") else { return };
    let folder = Folder::new();
    let process = shell("exec sleep 1000", &folder);
    std::fs::write(Path::new(&file).with_file_name("folder"), folder.path().to_str().unwrap()).unwrap();
    // In one step: half a number would be another process.
    let unfinished = Path::new(&file).with_extension("part");
    std::fs::write(&unfinished, format!("{}\n", process.id())).unwrap();
    std::fs::rename(unfinished, file).unwrap();
    std::future::pending::<()>().await;
}

/// A program that stands in for Portico: it reads its port from the configuration and answers `/health`.
#[tokio::test]
async fn portico_s_helper_starts_waits_reads_and_stops() {
    let folder = Folder::new();
    let program = folder.path().join("stand-in");
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = 'run --config' ] || exit 2\nport=$(sed -n 's/^port = //p' \"$3\")\n\
         echo '{{\"a\":1}}' >access.log\necho 'not json' >>access.log\nexec {} --port \"$port\"\n",
        scripted::binary().display()
    );
    std::fs::write(&program, script).unwrap();
    let mut permissions = program.metadata().unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&program, permissions).unwrap();

    let portico = Portico::start(&program, "port = {port}\nother = \"{folder}/x {port:other}\"\n").await;
    assert_eq!(portico.get("/health").await.head.status, 200);
    assert_eq!(portico.records("access.log").len(), 1);
    portico.wait_for_line("stdout", "listening 127.0.0.1").await;
    let text = std::fs::read_to_string(portico.configuration_file()).unwrap();
    let expected = format!("other = \"{}/x {}\"", portico.folder().display(), portico.port("other"));
    assert!(text.contains(&expected), "{text}");
    assert_eq!(portico.stop(SOON).await, Exit::Signal(15));
    let place = portico.folder().to_owned();
    drop(portico);
    assert!(!place.exists());
}

#[tokio::test]
async fn a_portico_that_ends_at_once_is_reported() {
    let portico = Portico::launch(Path::new("/bin/false"), "", |_| {});
    assert_eq!(portico.process().wait(SOON).await, Exit::Code(1));
}

#[tokio::test]
async fn the_scripted_server_ends_with_its_stdin() {
    let mut server = Command::new(scripted::binary())
        .arg("--until-stdin-closes")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    assert!(server.try_wait().unwrap().is_none());
    drop(server.stdin.take());
    let status = until(SOON, "it ends", async || server.try_wait().unwrap()).await;
    assert!(status.success());
}
