//! Which models there are: names, aliases, several of them, and the one without `[[model]]`.

use std::os::fd::AsFd as _;

use serde_json::{Value, json};
use testkit::portico::Portico;
use testkit::scripted::Scripted;
use testkit::wait::{SOON, until};

use crate::setup::{CHAT, Setup, assert_error, chat, events};

async fn list(portico: &Portico) -> Value {
    let answer = portico.get("/v1/models").await;
    assert_eq!(answer.head.status, 200);
    assert_eq!(answer.head.header("content-type"), Some("application/json"));
    assert!(answer.head.header("x-request-id").is_some());
    answer.json()
}

fn ids(list: &Value) -> Vec<&str> {
    list["data"].as_array().into_iter().flatten().filter_map(|entry| entry["id"].as_str()).collect()
}

#[tokio::test]
async fn models_are_listed_and_found_by_every_name() {
    let scripted = Scripted::start().await;
    let portico = Setup::new()
        .model(
            "org/model-8b",
            &[&scripted.endpoint()],
            "aliases = [\"gpt-4o\", \"default\"]\nmodalities = [\"text\"]",
        )
        .model("other", &["http://127.0.0.1:9"], "context = 1234")
        .start()
        .await;
    let list = list(&portico).await;
    assert_eq!(list["object"], "list");
    assert_eq!(ids(&list), ["org/model-8b", "gpt-4o", "default", "other"]);
    let first = &list["data"][0];
    assert_eq!(
        *first,
        json!({
            "id": "org/model-8b", "object": "model", "created": 0, "owned_by": "portico",
            "modalities": ["text"], "max_model_len": null, "state": "ready",
        })
    );
    assert_eq!(list["data"][1]["alias_of"], "org/model-8b");
    assert_eq!(list["data"][3]["max_model_len"], 1234);
    assert_eq!(list["data"][3]["modalities"], json!(["text", "image"]));
    for (path, id) in [
        ("/v1/models/other", "other"),
        ("/v1/models/gpt-4o", "gpt-4o"),
        ("/v1/models/org/model-8b", "org/model-8b"),
        ("/v1/models/org%2Fmodel-8b", "org/model-8b"),
        ("/v1/models/org%2fmodel-8b", "org/model-8b"),
        ("/v1/models/%6Fther", "other"),
        ("/v1/models/other?x=y", "other"),
    ] {
        let answer = portico.get(path).await;
        assert_eq!((answer.head.status, &answer.json()["id"]), (200, &json!(id)), "{path}");
    }
    for path in [
        "/v1/models/nobody",
        "/v1/models/Other",
        "/v1/models/other/",
        "/v1/models/other%252F",
        "/v1/models/%FF",
    ] {
        assert_error(&portico.get(path).await, 404, "not_found_error", "model_not_found");
    }
}

#[tokio::test]
async fn facts_of_the_server_are_shown_and_used() {
    let scripted = Scripted::with(&["--model", "its-own-name"]).await;
    let portico = Setup::new().model("ours", &[&scripted.endpoint()], "").probing().start().await;
    until(SOON, "the context is known", async || {
        (list(&portico).await["data"][0]["max_model_len"] == 4096).then_some(())
    })
    .await;
    assert_eq!(portico.post_json(CHAT, &ours("hello")).await.json()["model"], "ours");
    assert_eq!(scripted.requests_to(CHAT).await[0].json()["model"], "its-own-name", "asked of the server");
}

fn ours(text: &str) -> Value {
    let mut call = chat(text);
    call["model"] = json!("ours");
    call
}

#[tokio::test]
async fn each_name_goes_to_its_model_and_comes_back_as_it_was_asked() {
    let (one, two) = (Scripted::start().await, Scripted::start().await);
    let portico = Setup::new()
        .model("one", &[&one.endpoint()], "aliases = [\"uno\"]\nupstream_name = \"served/one\"")
        .model("two", &[&two.endpoint()], "")
        .start()
        .await;
    for (asked, server, upstream) in
        [("one", &one, "served/one"), ("uno", &one, "served/one"), ("two", &two, "two")]
    {
        for streaming in [false, true] {
            let mut call = chat("hello");
            call["model"] = json!(asked);
            call["stream"] = json!(streaming);
            let mut connection = portico.connect().await;
            connection.post_json(CHAT, &call).await.expect("the call is sent");
            assert_eq!(connection.head().await.expect("a head").status, 200);
            if streaming {
                let all = events(&mut connection).await;
                assert!(
                    all.iter()
                        .filter(|e| e.contains("\"model\""))
                        .all(|e| e.contains(&format!("\"model\":\"{asked}\"")))
                );
            } else {
                let json: Value =
                    serde_json::from_slice(&connection.body().await.expect("a body")).expect("JSON");
                assert_eq!(json["model"], asked);
            }
            let received = server.requests_to(CHAT).await;
            assert_eq!(received.last().expect("a request").json()["model"], upstream);
        }
    }
    assert_eq!((one.requests_to(CHAT).await.len(), two.requests_to(CHAT).await.len()), (4, 2));
    let mut call = chat("hello");
    call["model"] = json!("ONE");
    assert_error(&portico.post_json(CHAT, &call).await, 404, "not_found_error", "model_not_found");
}

#[tokio::test]
async fn pictures_for_a_model_without_eyes_are_refused_before_they_are_sent() {
    let scripted = Scripted::start().await;
    let portico =
        Setup::new().model("scripted", &[&scripted.endpoint()], "modalities = [\"text\"]").start().await;
    let mut call = chat("");
    let url = testkit::image::data_url(&testkit::image::png([1, 2, 3], 64, 64));
    call["messages"][0]["content"] = json!([{ "type": "image_url", "image_url": { "url": url } }]);
    assert_error(&portico.post_json(CHAT, &call).await, 400, "invalid_request_error", "images_not_supported");
    assert!(scripted.requests().await.is_empty());
}

/// The implicit model is at a fixed port: one test at a time, on the whole machine, may stand there.
async fn at_the_usual_place() -> (std::fs::File, Scripted) {
    let file =
        std::fs::File::create(std::env::temp_dir().join("portico-test-port-3001")).expect("a lock file");
    until(SOON * 3, "port 3001 is free of other tests", async || {
        rustix::fs::flock(file.as_fd(), rustix::fs::FlockOperation::NonBlockingLockExclusive).ok()
    })
    .await;
    (file, Scripted::with(&["--listen", "127.0.0.1:3001", "--model", "whatever/it-is"]).await)
}

#[tokio::test]
async fn without_a_model_there_is_one_under_the_names_it_gives_itself() {
    let (_lock, _server) = at_the_usual_place().await;
    let portico = Setup::new().probing().start().await;
    until(SOON, "its name is known", async || {
        (ids(&list(&portico).await) == ["whatever/it-is"]).then_some(())
    })
    .await;
    assert_eq!(portico.get("/v1/models/whatever%2Fit-is").await.json()["state"], "ready");
    let mut call = chat("hello");
    call["model"] = json!("whatever/it-is");
    let answer = portico.post_json(CHAT, &call).await;
    assert_eq!((answer.head.status, &answer.json()["model"]), (200, &json!("whatever/it-is")));
    call["model"] = json!("another");
    assert_error(&portico.post_json(CHAT, &call).await, 404, "not_found_error", "model_not_found");
}

/// Without probes nobody asks for the names before a client does.
#[tokio::test]
async fn without_probes_the_implicit_model_is_asked_only_by_clients() {
    let (_lock, server) = at_the_usual_place().await;
    let portico = Setup::new().start().await;
    let mut call = chat("hello");
    call["model"] = json!("whatever/it-is");
    let answer = portico.post_json(CHAT, &call).await;
    assert_eq!((answer.head.status, &answer.json()["model"]), (200, &json!("whatever/it-is")));
    assert_eq!(server.requests().await.len(), 1, "nothing but what clients asked for");
    assert_eq!(portico.get("/health/ready").await.head.status, 200);
}
