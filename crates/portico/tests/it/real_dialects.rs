//! Responses and Messages of a real model server: llama.cpp with a text model and with one that sees.

use serde_json::{Value, json};
use testkit::image::{base64, data_url, named_png};
use testkit::models::{Colour, Smollm2};
use testkit::portico::Portico;

use crate::setup::{Setup, all_endpoints, events, record};

const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// The JSON of every named event.
async fn streamed(portico: &Portico, path: &str, call: &Value) -> (Vec<Value>, Value) {
    let mut call = call.clone();
    call["stream"] = json!(true);
    let mut connection = portico.connect().await;
    connection.post_json(path, &call).await.expect("sent");
    let head = connection.head().await.expect("a head");
    let all = events(&mut connection).await;
    let json = |event: &String| {
        let data = event.lines().find_map(|line| line.strip_prefix("data: ")).expect("data");
        serde_json::from_str(data).expect("JSON")
    };
    (all.iter().map(json).collect(), record(portico, &head).await)
}

#[tokio::test]
async fn a_text_model_responds_whole_and_in_events() {
    let server = Smollm2::start().await;
    let portico = Setup::new().model("smol", &[&server.endpoint()], "").with(&all_endpoints()).start().await;
    let call = json!({
        "model": "smol", "instructions": "Be brief.", "input": "Say hello.", "max_output_tokens": 12, "temperature": 0,
    });
    let answer = portico.post_json(RESPONSES, &call).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let whole = answer.json();
    assert_eq!(whole["model"], "smol");
    let text = whole["output"][0]["content"][0]["text"].as_str().expect("text").to_owned();
    assert!(!text.is_empty());
    let line = record(&portico, &answer.head).await;
    assert_eq!((&line["tokens_in"], &line["tokens_out"]), (&whole["usage"]["input_tokens"], &json!(12)));

    let (all, line) = streamed(&portico, RESPONSES, &call).await;
    let last = all.last().expect("events");
    assert_eq!((&last["type"], &last["response"]["model"]), (&json!("response.completed"), &json!("smol")));
    let pieces: String = all.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(pieces, text, "a stream says what an answer says");
    assert_eq!((&line["reason"], &line["tokens_out"]), (&json!("completed"), &json!(12)));
}

#[tokio::test]
async fn a_text_model_sends_messages_whole_and_in_events() {
    let server = Smollm2::start().await;
    let portico = Setup::new().model("smol", &[&server.endpoint()], "").with(&all_endpoints()).start().await;
    let call = json!({
        "model": "smol", "system": [{ "type": "text", "text": "Be brief." }], "max_tokens": 12, "temperature": 0,
        "messages": [{ "role": "user", "content": [{ "type": "text", "text": "Say hello." }] }],
    });
    let answer = portico.post_json(MESSAGES, &call).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
    let whole = answer.json();
    assert_eq!((&whole["type"], &whole["model"]), (&json!("message"), &json!("smol")));
    let text = whole["content"][0]["text"].as_str().expect("text").to_owned();
    let line = record(&portico, &answer.head).await;
    assert_eq!(line["tokens_out"], whole["usage"]["output_tokens"]);

    let (all, streamed) = streamed(&portico, MESSAGES, &call).await;
    assert_eq!((&all[0]["type"], &all[0]["message"]["model"]), (&json!("message_start"), &json!("smol")));
    assert_eq!(all.last().expect("events")["type"], "message_stop");
    let pieces: String = all.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(pieces, text, "a stream says what an answer says");
    // What came out of the cache counts, too.
    assert_eq!(
        (&streamed["tokens_in"], &streamed["tokens_out"]),
        (&line["tokens_in"], &line["tokens_out"]),
        "{streamed}"
    );

    let counted = json!({ "model": "smol", "messages": call["messages"], "system": call["system"] });
    let counted = portico.post_json("/v1/messages/count_tokens", &counted).await.json();
    assert_eq!(counted["input_tokens"], line["tokens_in"]);
}

#[tokio::test]
async fn a_picture_is_seen_through_both() {
    let server = Colour::start().await;
    let portico =
        Setup::new().model("colour", &[&server.endpoint()], "").with(&all_endpoints()).start().await;
    for colour in ["red", "blue"] {
        let png = named_png(colour, 64, 64);
        let call = json!({ "model": "colour", "max_output_tokens": 16, "temperature": 0, "input": [{ "role": "user", "content": [
            { "type": "input_text", "text": "What colour is the image?" },
            { "type": "input_image", "image_url": data_url(&png), "detail": "auto" },
        ] }] });
        let answer = portico.post_json(RESPONSES, &call).await;
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        let json = answer.json();
        let text = json["output"][0]["content"][0]["text"].as_str().unwrap_or_default();
        assert!(text.contains(colour), "{colour}: {json}");
        assert_eq!(record(&portico, &answer.head).await["images"], 1);

        let source = json!({ "type": "base64", "media_type": "image/png", "data": base64(&png) });
        let call = json!({ "model": "colour", "max_tokens": 16, "temperature": 0, "messages": [{ "role": "user", "content": [
            { "type": "text", "text": "What colour is the image?" },
            { "type": "image", "source": source },
        ] }] });
        let answer = portico.post_json(MESSAGES, &call).await;
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        let json = answer.json();
        assert!(json["content"][0]["text"].as_str().unwrap_or_default().contains(colour), "{colour}: {json}");
        assert_eq!(record(&portico, &answer.head).await["images"], 1);
    }
}

/// It has been started as no ranker: what it says is told in our words.
#[tokio::test]
async fn what_the_engine_can_t_do_is_no_answer() {
    let server = Smollm2::start().await;
    let portico = Setup::new().model("smol", &[&server.endpoint()], "").with(&all_endpoints()).start().await;
    let call = json!({ "model": "smol", "query": "a", "documents": ["b"] });
    let answer = portico.post_json("/v1/rerank", &call).await;
    crate::setup::assert_error(&answer, 502, "upstream_error", "upstream_failed");
    assert!(!answer.text().contains("--reranking"), "{}", answer.text());
}
