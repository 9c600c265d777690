//! Reloads: all or nothing, by whatever way they are asked for, and never felt by who is being answered.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use testkit::client::Connection;
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{self, SOON};

use crate::command::{Ended, ask};
use crate::engine::{hello, launch, pid, pretended, scripted, wait_for_model, wait_for_state};
use crate::support::{OWN_FOLDER, before_scripted, binary};

async fn reload(portico: &Portico) -> Ended {
    ask(portico, &["reload"]).await
}

/// How often it has reloaded.
async fn reloads(portico: &Portico) -> u64 {
    let status = ask(portico, &["status", "--json"]).await.json();
    status["reloads"].as_u64().unwrap_or_else(|| panic!("{status}"))
}

fn external(name: &str, scripted: &Scripted) -> String {
    format!(
        "[[model]]\nname = \"{name}\"\nengine = \"external\"\nendpoints = [\"{}\"]\n",
        scripted.endpoint()
    )
}

async fn status_of(portico: &Portico, path: &str, model: &str) -> u16 {
    let call = match path {
        "/v1/completions" => json!({"model": model, "prompt": "x"}),
        _ => json!({"model": model, "messages": [{"role": "user", "content": "x"}]}),
    };
    portico.post_json(path, &call).await.head.status
}

#[tokio::test]
async fn a_reload_by_command_signal_or_file_applies() {
    let scripted = Scripted::start().await;
    let mut portico = before_scripted(&scripted, "").await;
    let base = format!("{OWN_FOLDER}{}", external("scripted", &scripted));
    assert_eq!(status_of(&portico, "/v1/completions", "scripted").await, 200);

    // By command: an endpoint less, and it says what changed.
    portico.rewrite_configuration(&format!("{base}[policy]\nendpoints = [\"models\", \"chat\"]\n"));
    let difference = ask(&portico, &["config", "diff"]).await;
    // The file may have been seen already.
    assert!(difference.stdout.contains("policy.endpoints") || difference.stdout.contains("No difference"));
    let said = reload(&portico).await.expect(0);
    assert!(said.stdout.contains("Reloaded"), "{said:?}");
    assert_eq!(status_of(&portico, "/v1/completions", "scripted").await, 404);

    // By SIGHUP: a model more, and the log goes elsewhere.
    let more = base.replace("access.log", "other.log") + &external("second", &scripted);
    portico.rewrite_configuration(&more);
    portico.process().signal(Signal::HUP);
    wait::until(SOON, "the second model is there", async || {
        (status_of(&portico, "/v1/chat/completions", "second").await == 200).then_some(())
    })
    .await;
    wait::until(SOON, "the other log has a record", async || {
        status_of(&portico, "/v1/chat/completions", "second").await;
        portico.records("other.log").iter().any(|line| line["model"] == "second").then_some(())
    })
    .await;

    // By the file alone: a model less, rules for who may come in.
    let fewer =
        format!("{base}[access]\nsatisfy = \"any\"\nallow = [\"127.0.0.0/8\"]\ndeny = [\"127.0.0.1/32\"]\n");
    portico.rewrite_configuration(&fewer);
    wait::until(SOON, "the rules hold", async || {
        (status_of(&portico, "/v1/chat/completions", "second").await == 403).then_some(())
    })
    .await;
    portico.rewrite_configuration(&base);
    wait::until(SOON, "the rules are gone", async || {
        (status_of(&portico, "/v1/chat/completions", "scripted").await == 200).then_some(())
    })
    .await;
    assert_eq!(status_of(&portico, "/v1/chat/completions", "second").await, 404);
}

#[tokio::test]
async fn a_bad_file_or_one_that_needs_a_restart_changes_nothing() {
    let scripted = Scripted::start().await;
    let mut portico = before_scripted(&scripted, "").await;
    let base = format!("{OWN_FOLDER}{}", external("scripted", &scripted));
    // Each would also take an endpoint away, which must not happen.
    let narrow = "[policy]\nendpoints = [\"models\"]\n";
    for (wrong, code, words) in [
        (format!("{base}{narrow}[site2]\n"), 2, &["site2", "NOT changed"][..]),
        (format!("{base}{narrow}[site\n"), 2, &["portico.toml:", "NOT changed"]),
        (format!("{base}{narrow}[access]\nhtpasswd = \"/x\"\n"), 1, &["htpasswd file /x", "NOT changed"]),
        (
            base.replace("{folder}/data", "{folder}/data2") + narrow,
            1,
            &["site.data_dir", "restart", "NOT changed"],
        ),
        (base.replace("{port}", "{port:other}") + narrow, 1, &["listen.http", "restart", "NOT changed"]),
        (
            base.replace("/access.log", "/portico.toml/x.log") + narrow,
            1,
            &["access log", "log.access", "NOT changed"],
        ),
        (
            base.replace("[log]", "[log]\nerror = \"{folder}/portico.toml/x.log\"") + narrow,
            1,
            &["error log", "log.error"],
        ),
        (
            base.replace("[site]", "[site]\nroot = \"{folder}/nowhere\"") + narrow,
            1,
            &["nowhere", "NOT changed"],
        ),
        (
            base.replace("external\"", "external\"\napi_key_file = \"{folder}/nokey\"") + narrow,
            1,
            &["api_key_file", "nokey"],
        ),
    ] {
        portico.rewrite_configuration(&wrong);
        let said = reload(&portico).await.expect(code);
        for word in words {
            assert!(said.stderr.contains(word), "`{word}` is missing: {said:?}");
        }
        assert_eq!(status_of(&portico, "/v1/chat/completions", "scripted").await, 200, "{wrong}");
    }
    // What a person does who has missed that: the status says so, and the log does.
    let status = ask(&portico, &["status"]).await.expect(0).stdout;
    assert!(status.contains("the last reload failed") && status.contains("nokey"), "{status}");
    portico.wait_for_line("stderr", "was not reloaded").await;
    assert_eq!(reloads(&portico).await, 0);
    portico.rewrite_configuration(&base);
    reload(&portico).await.expect(0);
}

#[tokio::test]
async fn a_portico_with_a_broken_file_can_still_be_asked_and_stopped() {
    let scripted = Scripted::start().await;
    let mut portico = before_scripted(&scripted, "").await;
    portico.rewrite_configuration(&format!("{OWN_FOLDER}\n[site2]\n"));
    let status = ask(&portico, &["status"]).await.expect(0);
    assert!(status.stdout.contains("scripted") && status.stderr.contains("portico check"), "{status:?}");
    ask(&portico, &["stop"]).await.expect(0);
    portico.process().wait(SOON).await;
}

/// A stream of events that takes as long as the reloads do.
async fn stream(portico: &Portico, model: &str, events: usize) -> Connection {
    let body = json!({"model": model, "stream": true,
        "messages": [{"role": "user", "content": format!("fault:slow-stream {events} 25ms")}]});
    let mut connection = portico.connect().await;
    connection.post_json("/v1/chat/completions", &body).await.unwrap();
    assert_eq!(connection.head().await.unwrap().status, 200);
    assert!(connection.event().await.unwrap().is_some());
    connection
}

/// Reads it to its end and counts.
async fn count(mut stream: Connection) -> usize {
    let (mut events, mut done) = (1, false);
    while let Some(event) = stream.event().await.unwrap() {
        assert!(!event.contains("\"error\""), "{event}");
        done |= event.contains("[DONE]");
        events += usize::from(event.contains("\"content\""));
    }
    assert!(done, "the stream was cut after {events} events");
    events
}

#[tokio::test]
async fn a_stream_outlives_reloads_of_every_kind() {
    let scripted = Scripted::start().await;
    let mut portico = before_scripted(&scripted, "").await;
    let base = format!("{OWN_FOLDER}{}", external("scripted", &scripted));
    let quiet = stream(&portico, "scripted", 5).await;
    let expected = count(quiet).await - 5;

    let live = stream(&portico, "scripted", 100).await;
    for changed in [
        format!("{base}[policy]\nendpoints = [\"models\"]\n"),
        format!("{base}[timeouts]\nstream_idle = \"1m\"\n[health]\ninterval = \"1s\"\n"),
        base.replace("access.log", "other.log"),
        base.replace("[log]", "[log]\nlevel = \"warn\"\nerror = \"{folder}/error.log\""),
        base.replace("engine", "aliases = [\"other\"]\nengine"),
        format!("{base}[access]\nsatisfy = \"any\"\nallow = [\"10.0.0.0/8\"]\n"),
        // Its own model is no more.
        base.replace("scripted", "another"),
    ] {
        portico.rewrite_configuration(&changed);
        reload(&portico).await.expect(0);
    }
    assert_eq!(status_of(&portico, "/v1/chat/completions", "scripted").await, 404);
    assert_eq!(count(live).await, 100 + expected);
}

#[tokio::test]
async fn a_stream_of_a_process_outlives_its_change_and_its_removal() {
    let engine = scripted("--model m");
    let model = |more: &str| pretended("m", &format!("stop_grace = \"1s\"\n{more}"));
    let elsewhere = Scripted::start().await;
    let other = format!("{OWN_FOLDER}{}", external("other", &elsewhere));
    let mut portico = launch(&format!("{OWN_FOLDER}{}", model("")), &engine);
    portico.serves().await;
    let first = pid(&wait_for_state(&portico, "m", "ready").await);

    // Changed so that it has to be started anew: what runs ends first, what comes waits and is answered after.
    let live = stream(&portico, "m", 40).await;
    portico.rewrite_configuration(&format!("{OWN_FOLDER}{}", model("args = [\"--flag\"]")));
    reload(&portico).await.expect(0);
    let waiting = {
        let mut connection = portico.connect().await;
        connection.post_json("/v1/chat/completions", &hello("m")).await.unwrap();
        connection
    };
    let meanwhile = wait_for_model(&portico, "m", "waited for", |model| model["waiting"] == 1).await;
    assert_eq!((&meanwhile["state"], pid(&meanwhile)), (&json!("loading"), first), "{meanwhile}");
    count(live).await;
    let mut waiting = waiting;
    assert_eq!(waiting.answer().await.unwrap().head.status, 200);
    let second = pid(&wait_for_state(&portico, "m", "ready").await);
    assert_ne!(first, second, "it was started anew");

    // Changed in what the process does not know of: it goes on.
    portico
        .rewrite_configuration(&format!("{OWN_FOLDER}{}", model("aliases = [\"n\"]\nargs = [\"--flag\"]")));
    reload(&portico).await.expect(0);
    assert_eq!(status_of(&portico, "/v1/chat/completions", "n").await, 200);
    assert_eq!(pid(&wait_for_state(&portico, "m", "ready").await), second);

    // Removed: it ends when its last answer has.
    let live = stream(&portico, "m", 40).await;
    portico.rewrite_configuration(&other);
    reload(&portico).await.expect(0);
    assert_eq!(status_of(&portico, "/v1/chat/completions", "m").await, 404);
    count(live).await;
    wait::until(SOON, "its process is gone", async || {
        (!std::path::Path::new(&format!("/proc/{second}")).exists()).then_some(())
    })
    .await;

    // Removed, and Portico stopped at once: nothing is left either.
    portico.rewrite_configuration(&format!("{OWN_FOLDER}{}", model("")));
    reload(&portico).await.expect(0);
    let third = pid(&wait_for_state(&portico, "m", "ready").await);
    portico.rewrite_configuration(&other);
    reload(&portico).await.expect(0);
    portico.stop(SOON).await;
    assert!(!std::path::Path::new(&format!("/proc/{third}")).exists());
}

#[tokio::test]
async fn twenty_reloads_fail_no_request() {
    let scripted = Scripted::start().await;
    let mut portico = before_scripted(&scripted, "").await;
    let base = format!("{OWN_FOLDER}{}", external("scripted", &scripted));
    let address = portico.address();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let (address, stop) = (address.clone(), stop.clone());
            tokio::spawn(async move {
                let mut connection = Connection::open(&address).await;
                let mut answered = 0;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    connection.post_json("/v1/chat/completions", &hello("scripted")).await.unwrap();
                    let answer = connection.answer().await.unwrap();
                    assert_eq!(answer.head.status, 200, "{}", answer.text());
                    answered += 1;
                    tokio::time::sleep(Duration::from_millis(2)).await;
                }
                answered
            })
        })
        .collect();
    for round in 0..20 {
        // Another alias each time: the model is another one, as far as Portico knows.
        let changed = base.replace("engine", &format!("aliases = [\"a{round}\"]\nengine"));
        let changed = changed.replace("access.log", &format!("access-{}.log", round % 3));
        portico.rewrite_configuration(&changed);
        reload(&portico).await.expect(0);
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    let mut answered = 0;
    for client in clients {
        answered += client.await.unwrap();
    }
    assert!(answered > 60, "only {answered} requests ran beside the reloads");
    assert!(reloads(&portico).await >= 20);
    // Each has its record, in one of the logs.
    wait::until(SOON, "every request has its record", async || {
        let logs = ["access.log", "access-0.log", "access-1.log", "access-2.log"];
        let records: usize = logs.iter().map(|log| portico.records(log).len()).sum();
        (records > answered).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_key_file_is_read_anew_by_a_reload() {
    let scripted = Scripted::start().await;
    let keyed = external("scripted", &scripted).replace("engine", "api_key_file = \"{folder}/key\"\nengine");
    let portico = Portico::launch(binary(), &format!("{OWN_FOLDER}{keyed}"), |command| {
        std::fs::write(command.get_current_dir().unwrap().join("key"), "first\n").unwrap();
    });
    portico.serves().await;
    let sent = async || {
        scripted.forget_requests().await;
        assert_eq!(status_of(&portico, "/v1/chat/completions", "scripted").await, 200);
        scripted.requests_to("/v1/chat/completions").await[0].headers("authorization").join(", ")
    };
    assert_eq!(sent().await, "Bearer first");
    std::fs::write(portico.folder().join("key"), "second\n").unwrap();
    reload(&portico).await.expect(0);
    assert_eq!(sent().await, "Bearer second");
}
