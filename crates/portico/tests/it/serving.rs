//! The first path: health, models, an answer and a stream, and the record of each.

use serde_json::json;
use testkit::scripted::Scripted;

use crate::support::before_scripted;

#[tokio::test]
async fn an_answer_and_a_stream_come_through_with_a_record_each() {
    let scripted = Scripted::start().await;
    let portico = before_scripted(&scripted, "").await;
    let health = portico.get("/health").await;
    assert_eq!((health.head.status, health.text().as_str()), (200, "OK"));
    let messages = json!([{"role": "user", "content": "hello"}]);
    let answer =
        portico.post_json("/v1/chat/completions", &json!({"model": "scripted", "messages": messages})).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["model"], "scripted");
    let id = answer.head.header("x-request-id").expect("every API answer has an id").to_owned();
    let record = portico.wait_for_record("access.log", "the answer's record", |line| line["id"] == id).await;
    assert_eq!((&record["status"], &record["reason"]), (&json!(200), &json!("completed")));
    assert_eq!(record["tokens_out"], answer.json()["usage"]["completion_tokens"]);

    let stream = portico
        .post_json(
            "/v1/chat/completions",
            &json!({"model": "scripted", "stream": true, "messages": messages}),
        )
        .await;
    assert!(stream.text().ends_with("data: [DONE]\n\n"), "{}", stream.text());
    assert!(!stream.text().contains("\"usage\""), "nobody asked for it: {}", stream.text());
    let id = stream.head.header("x-request-id").expect("every API answer has an id").to_owned();
    let record = portico.wait_for_record("access.log", "the stream's record", |line| line["id"] == id).await;
    assert_eq!((&record["stream"], &record["reason"]), (&json!(true), &json!("completed")));
    assert!(
        record["tokens_out"].as_u64() > Some(0) && record["ttft_seconds"].as_f64() > Some(0.0),
        "{record}"
    );
}
