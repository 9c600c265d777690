//! Model servers that Portico runs: ready when they answer, restarted when they die, gone when Portico is.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use testkit::client::Connection;
use testkit::portico::Portico;
use testkit::process::Exit;
use testkit::temporary::Folder;
use testkit::wait::{self, SOON};

use crate::command::{DEADLINE, ask};
use crate::engine::{
    GATE, Marked, close_gate, colour, hello, launch, mark_of, marked, model, open_gate, picture_of, pid,
    pretended, real, scripted, signal, smollm2_file, wait_for_model, wait_for_state,
};
use crate::support::OWN_FOLDER;

/// For real models on a machine full of tests.
const LOADED: Duration = Duration::from_secs(60);

/// A request that is under way.
async fn send(portico: &Portico, body: &serde_json::Value) -> Connection {
    let mut connection = portico.connect().await;
    connection.set_deadline(LOADED);
    connection.post_json("/v1/chat/completions", body).await.unwrap();
    connection
}

#[tokio::test]
async fn a_real_model_is_ready_when_it_answers_and_comes_back_when_it_is_killed() {
    let portico = launch(&format!("{OWN_FOLDER}{}", colour("{port:model}")), &format!("{GATE}{}", real()));
    portico.serves().await;

    // It loads: nothing fails, requests wait.
    let ready = portico.get("/health/ready").await;
    assert_eq!((ready.head.status, &ready.json()["ready"]), (503, &json!(false)), "{}", ready.text());
    assert_eq!(portico.get("/v1/models").await.json()["data"][0]["state"], "loading");
    let mut early = send(&portico, &picture_of("red", "colour", false)).await;
    wait_for_model(&portico, "colour", "waited for", |model| model["waiting"] == 1).await;
    assert_eq!(model(&portico, "colour").await["state"], "loading");
    open_gate(&portico);
    let answer = early.answer().await.unwrap();
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert!(answer.text().contains("red"), "{}", answer.text());
    let id = answer.head.header("x-request-id").unwrap().to_owned();
    let record = portico.wait_for_record("access.log", "the answer's record", |line| line["id"] == id).await;
    assert!(record["queue_seconds"].as_f64() > Some(0.0), "{record}");

    // What it says of itself.
    let ready = portico.get("/health/ready").await;
    assert_eq!((ready.head.status, &ready.json()["ready"]), (200, &json!(true)));
    let listed = portico.get("/v1/models").await.json()["data"][0].clone();
    assert_eq!(
        (&listed["state"], &listed["max_model_len"], &listed["modalities"]),
        (&json!("ready"), &json!(4096), &json!(["text", "image"])),
        "{listed}"
    );

    // Killed while idle: what comes meanwhile waits.
    let before = model(&portico, "colour").await;
    close_gate(&portico);
    signal(pid(&before), Signal::KILL);
    let after = wait_for_model(&portico, "colour", "started again", |model| {
        model["restarts"] == 1 && model["pid"].is_u64()
    })
    .await;
    assert!(pid(&after) != pid(&before) && after["state"] == "loading", "{after}");
    let mut early = send(&portico, &picture_of("blue", "colour", false)).await;
    wait_for_model(&portico, "colour", "waited for", |model| model["waiting"] == 1).await;
    open_gate(&portico);
    let answer = early.answer().await.unwrap();
    assert!(answer.head.status == 200 && answer.text().contains("blue"), "{}", answer.text());

    // The operator's words.
    let mark = mark_of(pid(&model(&portico, "colour").await));
    let said = ask(&portico, &["model", "stop", "colour"]).await.expect(0);
    assert!(said.stdout.contains("colour"), "{said:?}");
    wait_for_state(&portico, "colour", "stopped").await;
    wait::until(SOON, "no process of it is left", async || marked(&mark).is_empty().then_some(())).await;
    let refused = portico.post_json("/v1/chat/completions", &hello("colour")).await;
    assert_eq!((refused.head.status, &refused.json()["error"]["code"]), (503, &json!("model_stopped")));
    assert!(refused.head.header("retry-after").is_some(), "{:?}", refused.head);
    ask(&portico, &["model", "start", "colour"]).await.expect(0);
    let answer = send(&portico, &picture_of("green", "colour", false)).await.answer().await.unwrap();
    assert!(answer.head.status == 200 && answer.text().contains("green"), "{}", answer.text());
    let logs = ask(&portico, &["model", "logs", "colour", "-n", "1000"]).await.expect(0);
    assert!(logs.stdout.contains("[portico] starting") && !logs.stdout.contains('\u{1b}'), "{logs:?}");

    let mark = mark_of(pid(&model(&portico, "colour").await));
    assert_eq!(portico.stop(DEADLINE).await, Exit::Code(0));
    assert_eq!(marked(&mark), [0; 0], "nothing of it is left");
}

#[tokio::test]
async fn a_real_model_that_is_killed_in_a_stream_ends_it_with_an_error_and_comes_back() {
    let configuration = format!(
        "{OWN_FOLDER}[[model]]\nname = \"smol\"\nengine = \"llama.cpp\"\npath = {:?}\n\
         endpoints = [\"http://127.0.0.1:{{port:model}}\"]\nargs = [\"-c\", \"4096\", \"-np\", \"2\", \"-t\", \"1\"]\nstop_grace = \"5s\"\n",
        smollm2_file()
    );
    let portico = launch(&configuration, &real());
    portico.serves().await;
    let refused = {
        // It is a text model, which is known once it is loaded.
        wait::until(LOADED, "it is ready", async || {
            (portico.get("/health/ready").await.head.status == 200).then_some(())
        })
        .await;
        portico.post_json("/v1/chat/completions", &picture_of("red", "smol", false)).await
    };
    assert_eq!(
        (refused.head.status, &refused.json()["error"]["code"]),
        (400, &json!("images_not_supported")),
        "{}",
        refused.text()
    );
    let listed = portico.get("/v1/models").await.json()["data"][0].clone();
    assert_eq!(
        (&listed["max_model_len"], &listed["modalities"]),
        (&json!(2048), &json!(["text"])),
        "{listed}"
    );

    let story = json!({"model": "smol", "stream": true, "max_tokens": 1500,
        "messages": [{"role": "user", "content": "Tell a very long story about a house."}]});
    let mut stream = send(&portico, &story).await;
    let head = stream.head().await.unwrap();
    assert_eq!(head.status, 200);
    for _ in 0..5 {
        assert!(stream.event().await.unwrap().is_some());
    }
    let before = model(&portico, "smol").await;
    signal(pid(&before), Signal::KILL);
    let mut last = String::new();
    // The body is left without its end, so that nobody takes it for whole.
    while let Ok(Some(event)) = stream.event().await {
        assert!(!event.contains("[DONE]"), "{event}");
        last = event;
    }
    assert!(last.contains("\"error\"") && last.contains("upstream_died"), "{last}");
    let id = head.header("x-request-id").unwrap().to_owned();
    let record = portico.wait_for_record("access.log", "the stream's record", |line| line["id"] == id).await;
    assert_eq!(record["reason"], "upstream_died", "{record}");

    let answer =
        send(&portico, &json!({"model": "smol", "max_tokens": 3, "messages": story["messages"]})).await;
    let mut answer = answer;
    assert_eq!(answer.answer().await.unwrap().head.status, 200, "it waits until the model is back");
    assert_eq!(model(&portico, "smol").await["restarts"], 1);
}

/// Hears no SIGTERM, and neither does its child in a session of its own.
const DEAF: &str =
    "trap '' TERM\nsetsid sh -c 'while :; do sleep 0.1; done' &\nwhile :; do sleep 0.1; done\n";

#[tokio::test]
async fn what_a_killed_portico_leaves_behind_is_ended_by_the_next_and_nothing_else() {
    let data = Folder::new();
    let configuration = format!(
        "{}{}",
        OWN_FOLDER.replace("{folder}/data", &data.path().to_string_lossy()),
        pretended("deaf", "stop_grace = \"1s\"")
    );
    let first = launch(&configuration, DEAF);
    first.serves().await;
    let leftover = pid(&wait_for_model(&first, "deaf", "running", |model| model["pid"].is_u64()).await);
    let mark = Marked(mark_of(leftover));
    wait::until(SOON, "both processes run", async || (marked(&mark.0).len() >= 3).then_some(())).await;
    first.process().signal(Signal::KILL);
    first.process().wait(DEADLINE).await;
    assert!(marked(&mark.0).contains(&leftover), "the test is about a process that outlives Portico");

    let second = launch(&configuration, DEAF);
    second.serves().await;
    second.wait_for_line("stderr", "of an earlier Portico").await;
    wait::until(SOON, "the leftover is gone", async || marked(&mark.0).is_empty().then_some(())).await;
    let own = wait_for_model(&second, "deaf", "running", |model| model["pid"].is_u64()).await;
    let own = Marked(mark_of(pid(&own)));
    second.process().signal(Signal::KILL);
    second.process().wait(DEADLINE).await;

    // A record that names the process of somebody else: same number, another start.
    let mut foreign = std::process::Command::new("sleep").arg("600").spawn().unwrap();
    let file = data.path().join("models/deaf.pid");
    let mut record: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    for pid in marked(&own.0) {
        signal(pid, Signal::KILL);
    }
    record["pid"] = foreign.id().into();
    std::fs::write(&file, record.to_string()).unwrap();
    let third = launch(&configuration, DEAF);
    third.serves().await;
    let running = wait_for_model(&third, "deaf", "running", |model| model["pid"].is_u64()).await;
    let _ended = Marked(mark_of(pid(&running)));
    assert!(foreign.try_wait().unwrap().is_none(), "it was none of Portico's");
    foreign.kill().unwrap();
    foreign.wait().unwrap();
}

#[tokio::test]
async fn a_stop_takes_grandchildren_along_and_a_second_one_does_not_wait() {
    // Children that would outlive their parent: one in its group, one in a session of its own.
    let family =
        "sh -c 'while :; do sleep 0.1; done' &\nsetsid sh -c 'while :; do sleep 0.1; done' &\nwait\n";
    for (name, how) in [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT)] {
        let portico = launch(&format!("{OWN_FOLDER}{}", pretended("m", "stop_grace = \"5s\"")), family);
        portico.serves().await;
        let running = pid(&wait_for_model(&portico, "m", "running", |model| model["pid"].is_u64()).await);
        let mark = Marked(mark_of(running));
        wait::until(SOON, "all of them run", async || (marked(&mark.0).len() >= 4).then_some(())).await;
        portico.process().signal(how);
        assert_eq!(portico.process().wait(DEADLINE).await, Exit::Code(0), "{name}");
        assert_eq!(marked(&mark.0), [0; 0], "{name}: nothing of it is left");
    }

    let portico = launch(&format!("{OWN_FOLDER}{}", pretended("m", "stop_grace = \"10m\"")), DEAF);
    portico.serves().await;
    let running = pid(&wait_for_model(&portico, "m", "running", |model| model["pid"].is_u64()).await);
    let mark = Marked(mark_of(running));
    wait::until(SOON, "both run", async || (marked(&mark.0).len() >= 3).then_some(())).await;
    portico.process().signal(Signal::TERM);
    portico.wait_for_line("stderr", "stopping").await;
    wait::until(SOON, "no new connection is taken", async || {
        Connection::try_open(&portico.address()).await.is_err().then_some(())
    })
    .await;
    portico.process().signal(Signal::TERM);
    assert_eq!(portico.process().wait(DEADLINE).await, Exit::Code(0), "it would have waited ten minutes");
    assert_eq!(marked(&mark.0), [0; 0], "nothing of it is left");
}

#[tokio::test]
async fn every_fault_of_a_model_server_is_told_and_takes_nothing_else_with_it() {
    let script = format!(
        "case \" $* \" in\n\
         *' --alias exits '*) echo 'loading the weights'; echo 'error: tensor 7 is odd' >&2; exit 3;;\n\
         *' --alias slow '*) while :; do sleep 0.1; done;;\n\
         esac\n{}",
        scripted("--model fault:error-500")
    );
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let missing = "[[model]]\nname = \"missing\"\nengine = \"llama.cpp\"\npath = \"/nowhere/m.gguf\"\nendpoints = [\"http://127.0.0.1:{port:missing}\"]\n";
    let crowded = format!(
        "[[model]]\nname = \"crowded\"\nengine = \"llama.cpp\"\npath = \"{{folder}}/portico.toml\"\nendpoints = [\"http://127.0.0.1:{port}\"]\n"
    );
    let configuration = [
        OWN_FOLDER,
        "[queue]\nmax_wait = \"1s\"\n",
        &pretended("exits", ""),
        &pretended("slow", "start_timeout = \"1s\"\nstop_grace = \"1s\""),
        &pretended("mute", "start_timeout = \"2s\"\nstop_grace = \"1s\""),
        missing,
        &crowded,
    ]
    .concat();
    let portico = launch(&configuration, &script);
    portico.serves().await;
    let own = std::process::id().to_string();
    for (name, state, words) in [
        ("exits", "loading", &["code 3", "loading the weights", "error: tensor 7 is odd", "exits.log"][..]),
        ("slow", "loading", &["not ready within 1 s", "start_timeout", "slow.log"]),
        ("mute", "loading", &["not ready within 2 s", "500"]),
        ("missing", "down", &["/nowhere/m.gguf"]),
        ("crowded", "down", &[&own, "endpoints"]),
    ] {
        let model = wait_for_model(&portico, name, "explained", |model| {
            let detail = model["detail"]["en"].as_str().unwrap_or_default();
            model["state"] == state && words.iter().all(|word| detail.contains(word))
        })
        .await;
        let line = words[0];
        for command in ["status", "model list"] {
            let arguments: Vec<&str> = command.split(' ').collect();
            let screen = ask(&portico, &arguments).await.stdout;
            assert!(screen.contains(name) && screen.contains(line), "{command}: {screen}\n{model}");
        }
        assert!(model["detail"]["zh"].as_str().is_some_and(|zh| !zh.is_empty()), "{model}");
    }
    ask(&portico, &["status"]).await.expect(1);
    assert_eq!(portico.get("/health").await.head.status, 200);
    assert_eq!(portico.get("/health/ready").await.head.status, 503);
    for (name, code) in [("missing", "model_unavailable"), ("slow", "queue_timeout")] {
        let refused = portico.post_json("/v1/chat/completions", &hello(name)).await;
        assert_eq!((refused.head.status, &refused.json()["error"]["code"]), (503, &json!(code)), "{name}");
    }
    // It was tried again, and later each time.
    wait_for_model(&portico, "exits", "tried again", |model| model["restarts"].as_u64() >= Some(1)).await;
    // What was missing is there: nobody has to restart anything but the model.
    drop(taken);
    ask(&portico, &["model", "restart", "crowded"]).await.expect(0);
    wait_for_model(&portico, "crowded", "started", |model| {
        model["state"] == "loading" && model["pid"].is_u64()
    })
    .await;
}

#[tokio::test]
async fn an_engine_that_is_not_there_is_named_with_the_command_that_brings_it() {
    let portico = Portico::launch(
        crate::support::binary(),
        &format!("{OWN_FOLDER}{}", pretended("m", "")),
        |command| {
            crate::command::plain_surroundings(command);
            command.env("PATH", "/nowhere");
        },
    );
    portico.serves().await;
    let model = wait_for_state(&portico, "m", "down").await;
    let detail = model["detail"]["en"].as_str().unwrap_or_default();
    assert!(detail.contains("portico model install m"), "{model}");
    assert_eq!(portico.get("/health").await.head.status, 200);
}

#[tokio::test]
async fn full_disks_cost_log_lines_and_nothing_else() {
    // /dev/full takes nothing, as a full disk does.
    let configuration = [
        &OWN_FOLDER.replace("access = \"{folder}/access.log\"", "access = \"/dev/full\""),
        &*pretended("m", "log = \"/dev/full\""),
    ]
    .concat();
    let portico = launch(&configuration, &scripted("--model m"));
    portico.serves().await;
    wait_for_state(&portico, "m", "ready").await;
    for _ in 0..5 {
        assert_eq!(portico.post_json("/v1/chat/completions", &hello("m")).await.head.status, 200);
    }
    let lost = wait::until(SOON, "the losses are counted", async || {
        let status = ask(&portico, &["status", "--json"]).await.json();
        status["log_lines_lost"].as_u64().filter(|lost| *lost >= 5)
    })
    .await;
    let screen = ask(&portico, &["status"]).await.stdout;
    assert!(screen.contains("lines were lost"), "{lost}: {screen}");
    assert_eq!(portico.post_json("/v1/chat/completions", &hello("m")).await.head.status, 200);
}
