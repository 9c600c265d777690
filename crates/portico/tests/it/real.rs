//! Real model servers behind the door: llama.cpp with a text model and with one that sees.

use std::time::Instant;

use serde_json::{Value, json};
use testkit::client;
use testkit::image::{data_url, named_png};
use testkit::models::{Colour, Smollm2};
use testkit::wait::{SOON, until};

use crate::setup::{CHAT, Setup, data, events, record, record_because};

#[tokio::test]
async fn a_text_model_answers_streams_completes_and_embeds() {
    let server = Smollm2::start().await;
    let portico =
        Setup::new().model("smol", &[&server.endpoint()], "aliases = [\"default\"]").probing().start().await;
    let entry = until(SOON, "its context is known", async || {
        let entry = portico.get("/v1/models/smol").await.json();
        entry["max_model_len"].is_u64().then_some(entry)
    })
    .await;
    assert_eq!((&entry["modalities"], &entry["state"]), (&json!(["text"]), &json!("ready")));

    let messages = json!([{ "role": "user", "content": "Say hello." }]);
    let call =
        json!({ "model": "default", "messages": messages, "max_tokens": 12, "temperature": 0, "seed": 1 });
    let answer = portico.post_json(CHAT, &call).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let whole = answer.json();
    assert_eq!(whole["model"], "default");
    let text = whole["choices"][0]["message"]["content"].as_str().expect("text").to_owned();
    let line = record(&portico, &answer.head).await;
    assert_eq!(line["tokens_out"], whole["usage"]["completion_tokens"]);
    assert_eq!(line["tokens_in"], whole["usage"]["prompt_tokens"]);

    let mut streaming = call.clone();
    streaming["stream"] = json!(true);
    let mut connection = portico.connect().await;
    connection.post_json(CHAT, &streaming).await.expect("sent");
    let head = connection.head().await.expect("a head");
    let all = events(&mut connection).await;
    assert_eq!(all.last().map(String::as_str), Some("data: [DONE]\n\n"));
    let pieces: String = all[..all.len() - 1]
        .iter()
        .map(|event| {
            let json = data(event);
            assert_eq!(json["model"], "default");
            assert!(
                json["usage"].is_null()
                    && json["choices"].as_array().is_some_and(|choices| !choices.is_empty()),
                "{event}"
            );
            json["choices"][0]["delta"]["content"].as_str().unwrap_or_default().to_owned()
        })
        .collect();
    assert_eq!(pieces, text, "a stream says what an answer says");
    let streamed = record(&portico, &head).await;
    assert_eq!((&streamed["tokens_in"], &streamed["tokens_out"]), (&line["tokens_in"], &line["tokens_out"]));

    let prompt = json!({ "model": "smol", "prompt": "Once upon a time", "max_tokens": 4 });
    let answer = portico.post_json("/v1/completions", &prompt).await.json();
    assert!(answer["choices"][0]["text"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    let input = json!({ "model": "smol", "input": ["one", "two"] });
    let answer = portico.post_json("/v1/embeddings", &input).await.json();
    assert_eq!((answer["data"].as_array().map(Vec::len), &answer["model"]), (Some(2), &json!("smol")));
}

/// llama.cpp works on a stream as long as somebody reads it: the slot is free again at once.
#[tokio::test]
async fn a_client_that_leaves_stops_the_generation() {
    let server = Smollm2::start().await;
    let portico = Setup::new().model("smol", &[&server.endpoint()], "").start().await;
    let call = json!({
        "model": "smol", "max_tokens": 4000, "stream": true, "ignore_eos": true,
        "messages": [{ "role": "user", "content": "Tell me a very long story." }],
    });
    let mut connection = portico.connect().await;
    connection.post_json(CHAT, &call).await.expect("sent");
    connection.head().await.expect("a head");
    for _ in 0..5 {
        connection.event().await.expect("in time").expect("an event");
    }
    assert_eq!(busy(&server).await, 1);
    drop(connection);
    let left = Instant::now();
    until(SOON, "the slot is free", async || (busy(&server).await == 0).then_some(())).await;
    // 4000 tokens take far longer than that.
    assert!(left.elapsed().as_millis() < 1500, "{:?}", left.elapsed());
    let line = record_because(&portico, "client_left").await;
    assert!(line["tokens_out"].as_u64() >= Some(4), "what was delivered is counted: {line}");
}

async fn busy(server: &testkit::models::Server) -> usize {
    let slots: Value = client::get(server.address(), "/slots").await.expect("an answer").json();
    slots.as_array().expect("slots").iter().filter(|slot| slot["is_processing"] == true).count()
}

#[tokio::test]
async fn this_picture_went_there_and_its_colour_came_back() {
    let server = Colour::on_unix_socket().await;
    let portico = Setup::new().model("colour", &[&server.endpoint()], "").probing().start().await;
    until(SOON, "it is known to see", async || {
        (portico.get("/v1/models/colour").await.json()["max_model_len"].is_u64()).then_some(())
    })
    .await;
    for colour in ["red", "blue", "green"] {
        let call = json!({
            "model": "colour", "max_tokens": 16, "temperature": 0,
            "messages": [{ "role": "user", "content": [
                { "type": "text", "text": "What colour is the image?" },
                { "type": "image_url", "image_url": { "url": data_url(&named_png(colour, 64, 64)) } },
            ] }],
        });
        let answer = portico.post_json(CHAT, &call).await;
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        let text = answer.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned();
        assert!(text.contains(colour), "{colour}: {text}");
        assert_eq!(record(&portico, &answer.head).await["images"], 1);
    }
}

/// The server's own refusals: a picture for a model without eyes, a text that is too long.
#[tokio::test]
async fn what_the_engine_refuses_is_said_in_our_words() {
    let server = Smollm2::with(&["--ctx-size", "1024", "--parallel", "1"]).await;
    // Not asked, so not known to be blind.
    let portico = Setup::new().model("smol", &[&server.endpoint()], "").start().await;
    let picture = json!({
        "model": "smol",
        "messages": [{ "role": "user", "content": [
            { "type": "image_url", "image_url": { "url": data_url(&named_png("red", 64, 64)) } },
        ] }],
    });
    let answer = portico.post_json(CHAT, &picture).await;
    crate::setup::assert_error(&answer, 400, "invalid_request_error", "images_not_supported");
    let long = json!({ "model": "smol", "messages": [{ "role": "user", "content": "word ".repeat(3000) }] });
    for streaming in [false, true] {
        let mut call = long.clone();
        call["stream"] = json!(streaming);
        let answer = portico.post_json(CHAT, &call).await;
        crate::setup::assert_error(&answer, 400, "invalid_request_error", "context_length_exceeded");
        assert!(!answer.text().contains("127.0.0.1"), "{}", answer.text());
    }
}
