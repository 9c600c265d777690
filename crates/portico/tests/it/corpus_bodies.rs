//! A corpus of bodies through the real binary: each gets its verdict, and a recording model server proves that what was
//! refused never reached it and that answers stay with their requests.

use std::path::Path;

use serde_json::Value;
use testkit::corpus::{self, Verdict};
use testkit::scripted::Scripted;

use crate::setup::{CHAT, Setup, all_endpoints, chat};

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test]
async fn every_body_of_the_corpus_gets_its_verdict() {
    let cases = corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bodies"));
    assert!(cases.len() >= 900, "only {} cases", cases.len());
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with(&all_endpoints()).start().await;
    let mut wrong = Vec::new();
    let mut reached = 0;
    let mut codes = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let answer = portico.once("POST", case.path(), &[JSON], &case.body).await;
        let status = answer.head.status;
        match &case.verdict {
            Verdict::Refused { code, param } => {
                let json = answer.json();
                let error = &json["error"];
                let said = (status, error["code"].as_str(), error["param"].as_str());
                let is_right = if json["type"] == "error" {
                    // Anthropic's shape has neither: the message names the field, the record has the code.
                    let message = error["message"].as_str().unwrap_or_default();
                    let id = answer.head.header("x-request-id").unwrap_or_default().to_owned();
                    codes.push((id, code, &case.name));
                    (status, error["type"].as_str()) == (400, Some("invalid_request_error"))
                        && message.contains(param.as_deref().unwrap_or_default())
                } else {
                    said == (400, Some(code), param.as_deref())
                };
                if !is_right {
                    wrong.push(format!("{}: {said:?}: {}", case.name, case.shown()));
                }
            }
            Verdict::Accepted { .. } if status != 200 => {
                wrong.push(format!("{}: {status} {}: {}", case.name, answer.text(), case.shown()));
            }
            Verdict::Accepted { sent, absent } => {
                let received = scripted.requests_to(case.path()).await.pop();
                let got = received.map_or(Value::Null, |received| received.json());
                let differs = sent.iter().any(|(key, value)| got[key] != *value);
                if differs
                    || absent.iter().any(|key| got.get(key).is_some())
                    || got["model"] != "scripted-model"
                {
                    wrong.push(format!("{}: the model server got {got}", case.name));
                }
            }
        }
        // One by one, so that a body that reached it is known by its name.
        let posts = scripted.requests().await.iter().filter(|request| request.body.is_some()).count();
        let expected = usize::from(status == 200);
        if posts != expected || (status == 200) != matches!(case.verdict, Verdict::Accepted { .. }) {
            wrong.push(format!("{}: {status}, and {posts} requests reached the model server", case.name));
        }
        reached += posts;
        scripted.forget_requests().await;
        // A stranger's request now and then gets its own answer.
        if number % 50 == 0 {
            let text = format!("stranger {number}");
            let answer = portico.post_json(CHAT, &chat(&text)).await.json();
            assert_eq!(answer["choices"][0]["message"]["content"], format!("You said: {text}"));
            scripted.forget_requests().await;
        }
    }
    // All records are there when the last one is.
    if let Some((last, ..)) = codes.last() {
        portico.wait_for_record("access.log", "the last record", |line| line["id"] == **last).await;
    }
    let records = portico.records("access.log");
    for (id, code, name) in codes {
        let reason = records.iter().find(|record| record["id"] == *id).map(|record| &record["reason"]);
        if reason.is_none_or(|reason| reason != code) {
            wrong.push(format!("{name}: the record says {reason:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let accepted = cases.iter().filter(|case| matches!(case.verdict, Verdict::Accepted { .. })).count();
    assert_eq!(reached, accepted);
}
