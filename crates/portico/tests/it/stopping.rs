//! The end of a Portico: answers that run may finish, a second wish cuts them with a word, and logs are complete.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use testkit::client::Connection;
use testkit::portico::Portico;
use testkit::process::Exit;
use testkit::scripted::Scripted;
use testkit::wait::{self, SOON};

use crate::command::{DEADLINE, ask, plain_surroundings};
use crate::engine::{hello, launch, pretended, scripted, wait_for_state};
use crate::support::{OWN_FOLDER, before_scripted, binary};

/// A stream that has begun.
async fn stream(portico: &Portico, fault: &str) -> (Connection, String) {
    let body = json!({"model": "scripted", "stream": true,
        "messages": [{"role": "user", "content": format!("fault:{fault}")}]});
    let mut connection = portico.connect().await;
    connection.post_json("/v1/chat/completions", &body).await.unwrap();
    let head = connection.head().await.unwrap();
    assert!(connection.event().await.unwrap().is_some());
    (connection, head.header("x-request-id").unwrap().to_owned())
}

async fn accepts_nobody(portico: &Portico) {
    wait::until(SOON, "no new connection is taken", async || {
        Connection::try_open(&portico.address()).await.is_err().then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_stop_lets_answers_finish_and_takes_nobody_in() {
    let server = Scripted::start().await;
    let portico = before_scripted(&server, "").await;
    let (mut live, id) = stream(&portico, "slow-stream 30 25ms").await;
    // A connection without a request has nothing to wait for.
    let mut idle = portico.connect().await;
    portico.process().signal(Signal::TERM);
    accepts_nobody(&portico).await;
    assert!(idle.is_closed_within(Duration::from_secs(5)).await, "an idle connection holds nothing up");
    assert!(portico.process().exited().is_none(), "somebody is still answered");
    let mut last = String::new();
    while let Some(event) = live.event().await.unwrap() {
        last = event;
    }
    assert_eq!(last, "data: [DONE]\n\n");
    assert_eq!(portico.process().wait(DEADLINE).await, Exit::Code(0));
    let record = portico.records("access.log").into_iter().find(|line| line["id"] == *id);
    assert_eq!(record.map(|line| line["reason"].clone()), Some(json!("completed")), "its record was written");
}

#[tokio::test]
async fn a_second_wish_or_the_end_of_patience_cuts_with_a_last_word() {
    for patient in [true, false] {
        let server = Scripted::start().await;
        let drain = if patient { "[timeouts]\ndrain = \"10m\"\n" } else { "[timeouts]\ndrain = \"1s\"\n" };
        let portico = before_scripted(&server, drain).await;
        let (mut live, id) = stream(&portico, "hang-mid-stream 3").await;
        portico.process().signal(Signal::INT);
        accepts_nobody(&portico).await;
        if patient {
            ask(&portico, &["stop"]).await.expect(0);
        }
        let mut last = String::new();
        while let Ok(Some(event)) = live.event().await {
            assert!(!event.contains("[DONE]"), "{event}");
            last = event;
        }
        assert!(last.contains("\"error\""), "patient: {patient}: {last}");
        assert_eq!(portico.process().wait(DEADLINE).await, Exit::Code(0));
        let records = portico.records("access.log");
        let record = records.iter().find(|line| line["id"] == *id).unwrap_or_else(|| panic!("{records:?}"));
        assert_ne!(record["reason"], "completed", "{record}");
    }
}

#[tokio::test]
async fn a_log_that_was_moved_away_is_opened_anew_on_sigusr1() {
    let server = Scripted::start().await;
    let portico = before_scripted(&server, "").await;
    assert_eq!(portico.post_json("/v1/chat/completions", &hello("scripted")).await.head.status, 200);
    portico.wait_for_record("access.log", "a record", |line| line["model"] == "scripted").await;
    let (log, moved) = (portico.folder().join("access.log"), portico.folder().join("moved.log"));
    std::fs::rename(&log, &moved).unwrap();
    portico.process().signal(Signal::USR1);
    wait::until(SOON, "there is a new file", async || log.exists().then_some(())).await;
    let old = std::fs::read(&moved).unwrap();
    assert_eq!(portico.post_json("/v1/chat/completions", &hello("scripted")).await.head.status, 200);
    portico.wait_for_record("access.log", "a record", |line| line["model"] == "scripted").await;
    assert_eq!(std::fs::read(&moved).unwrap(), old, "nothing more goes into the old one");
}

#[tokio::test]
async fn two_porticos_never_share_model_processes() {
    let first = launch(&format!("{OWN_FOLDER}{}", pretended("m", "")), &scripted("--model m"));
    first.serves().await;
    wait_for_state(&first, "m", "ready").await;
    let data = first.folder().join("data").to_string_lossy().into_owned();
    let second = Portico::launch(
        binary(),
        &format!("{}{}", OWN_FOLDER.replace("{folder}/data", &data), pretended("m", "")),
        plain_surroundings,
    );
    assert_eq!(second.process().wait(DEADLINE).await, Exit::Code(2), "{}", second.process().output());
    let said = second.process().stderr();
    assert!(said.contains("another Portico") && said.contains("site.data_dir"), "{said}");
    assert_eq!(first.post_json("/v1/chat/completions", &hello("m")).await.head.status, 200);
}
