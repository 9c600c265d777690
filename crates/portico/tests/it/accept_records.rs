//! What the access log says of requests that came to nothing.

use serde_json::json;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::setup::{CHAT, Setup, chat, records};

/// Nginx shows what an upstream took also where its answer was an error, or where none came.
#[tokio::test]
async fn the_recipe_shows_upstream_times_of_failed_calls() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted)
        .log("format = \"recipe\"")
        .with("[timeouts]\nupstream_first_byte = \"1s\"")
        .start()
        .await;
    let cases = [
        ("error 400", 400, true),
        ("error 503", 503, true),
        ("short-body", 502, true),
        ("close-early", 502, false),
        ("silent", 504, false),
    ];
    for (index, (fault, status, has_header)) in cases.into_iter().enumerate() {
        let answer = portico.post_json(CHAT, &chat(&format!("fault:{fault}"))).await;
        assert_eq!(answer.head.status, status, "{fault}");
        let line = until(SOON, "the line is written", async || {
            portico.log_lines("access.log").into_iter().filter(|line| line.contains(CHAT)).nth(index)
        })
        .await;
        assert!(!line.contains("uct=\"-\"") && !line.contains("urt=\"-\""), "{fault}: {line}");
        assert_eq!(!line.contains("uht=\"-\""), has_header, "{fault}: {line}");
    }
}

#[tokio::test]
async fn a_request_that_could_not_be_read_is_recorded_as_far_as_it_was() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    for text in [
        format!("POST {CHAT}?key=secret HTTP/1.1\r\nHost localhost\r\n\r\n"),
        "DELETE /x HTTP/7.7\r\n\r\n".to_owned(),
    ] {
        let mut connection = portico.connect().await;
        connection.send(&text).await.expect("sent");
        assert_eq!(connection.answer().await.expect("an answer").head.status, 400);
    }
    let records = records(&portico, 2).await;
    assert!(records.iter().any(|r| r["method"] == json!("POST") && r["path"] == json!(CHAT)), "{records:?}");
    assert!(
        records.iter().any(|r| r["method"] == json!("DELETE") && r["path"] == json!("/x")),
        "{records:?}"
    );
    assert!(portico.log_lines("access.log").iter().all(|line| !line.contains("secret")));
}
