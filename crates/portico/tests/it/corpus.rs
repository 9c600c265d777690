//! A corpus of bodies through the real binary: each gets its verdict, and a recording model server proves that what was
//! refused never reached it and that answers stay with their requests.

use std::path::Path;

use serde_json::Value;
use testkit::corpus::{self, Verdict};
use testkit::scripted::Scripted;

use crate::setup::{CHAT, Setup, chat};

const JSON: (&str, &str) = ("Content-Type", "application/json");

#[tokio::test]
async fn every_body_of_the_corpus_gets_its_verdict() {
    let cases = corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bodies"));
    assert!(cases.len() >= 220, "only {} cases", cases.len());
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let mut wrong = Vec::new();
    let mut reached = 0;
    for (number, case) in cases.iter().enumerate() {
        let answer = portico.once("POST", case.path(), &[JSON], &case.body).await;
        let status = answer.head.status;
        match &case.verdict {
            Verdict::Refused { code, param } => {
                let error = &answer.json()["error"];
                let said = (status, error["code"].as_str(), error["param"].as_str());
                if said != (400, Some(code), param.as_deref()) {
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
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    let accepted = cases.iter().filter(|case| matches!(case.verdict, Verdict::Accepted { .. })).count();
    assert_eq!(reached, accepted);
}
