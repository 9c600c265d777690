//! A corpus of forms through the real binary: each gets its verdict, what was refused never reached the model server, and
//! what reached it was written anew.

use std::path::Path;

use testkit::corpus::{self, Case, Verdict};
use testkit::scripted::{Received, Scripted};

use crate::setup::{CHAT, Setup, chat};

#[tokio::test]
async fn every_form_of_the_corpus_gets_its_verdict() {
    let cases = corpus::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/forms"));
    assert!(cases.len() >= 120, "only {} cases", cases.len());
    let scripted = Scripted::start().await;
    let portico =
        Setup::before(&scripted).with("[policy]\nendpoints = [\"chat\", \"transcriptions\"]").start().await;
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let headers = [("Content-Type", &*case.content_type)];
        let answer = portico.once("POST", case.path(), &headers, &case.body).await;
        let received = scripted.requests().await;
        let said = match &case.verdict {
            Verdict::Refused { code, param } => {
                let wanted = if code == "unsupported_media_type" { 415 } else { 400 };
                let error = &answer.json()["error"];
                let as_wanted = answer.head.status == wanted
                    && error["code"] == **code
                    && error["param"].as_str() == param.as_deref();
                (!as_wanted || !received.is_empty()).then(|| format!("{} requests", received.len()))
            }
            Verdict::Accepted { sent, .. } => match &received[..] {
                [one] if answer.head.status == 200 => unlike(case, one, sent),
                all => Some(format!("{} requests", all.len())),
            },
        };
        if let Some(said) = said {
            wrong.push(format!("{}: {} {}: {said}", case.name, answer.head.status, answer.text()));
        }
        scripted.forget_requests().await;
        // A stranger's request now and then gets its own answer.
        if number % 25 == 0 {
            let text = format!("stranger {number}");
            let answer = portico.post_json(CHAT, &chat(&text)).await.json();
            assert_eq!(answer["choices"][0]["message"]["content"], format!("You said: {text}"));
            scripted.forget_requests().await;
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}

/// What is not as it should be of what the model server got.
fn unlike(case: &Case, one: &Received, sent: &serde_json::Map<String, serde_json::Value>) -> Option<String> {
    let body = one.body.as_deref().unwrap_or_default();
    let boundary = body.lines().next().unwrap_or_default();
    let their_type = one.headers("content-type").concat();
    let field = |name: &str, value: &str| {
        body.contains(&format!(
            "{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        ))
    };
    let inside = usize::from(case.name.contains("inside the file"));
    let parts = body.matches("form-data; name=\"").count() - inside;
    let is_ours = their_type == format!("multipart/form-data; boundary={}", boundary.trim_start_matches('-'))
        && boundary.starts_with("--portico-")
        && boundary.len() == 42
        && body.ends_with(&format!("\r\n{boundary}--\r\n"))
        && body.contains("name=\"file\"; filename=\"audio.ogg\"\r\nContent-Type: audio/ogg\r\n\r\nOggS\0")
        && field("model", "scripted-model")
        // One before each part, and one behind the last.
        && body.matches(boundary).count() == parts + 1;
    let fields_are_there = sent.iter().all(|(name, value)| field(name, value.as_str().unwrap_or_default()));
    (!is_ours || !fields_are_there).then(|| format!("the model server got {their_type} {body:?}"))
}
