//! The real model servers, as far as the tests of others rest on them.

use serde_json::json;
use testkit::{
    client::{self, Connection},
    image,
    models::{Colour, Smollm2},
};

use crate::{event_json, events};

#[tokio::test]
async fn the_colour_model_names_the_colour() {
    for server in [Colour::start().await, Colour::on_unix_socket().await] {
        for colour in ["red", "blue", "white"] {
            let url = image::data_url(&image::named_png(colour, 96, 64));
            let content = json!([{ "type": "image_url", "image_url": { "url": url } }, { "type": "text", "text": "Describe this image." }]);
            let call = json!({ "model": "colour", "temperature": 0, "messages": [{ "role": "user", "content": content }] });
            let answer =
                client::post_json(server.address(), "/v1/chat/completions", &call).await.unwrap().json();
            assert_eq!(answer["choices"][0]["message"]["content"], format!("The image is {colour}."));
        }
    }
}

#[tokio::test]
async fn smollm2_streams_counts_and_embeds() {
    let server = Smollm2::start().await;
    let call = json!({
        "model": server.name(), "temperature": 0, "max_tokens": 12, "stream": true,
        "stream_options": { "include_usage": true },
        "messages": [{ "role": "user", "content": "Tell me about the sea." }],
    });
    let mut connection = Connection::open(server.address()).await;
    connection.post_json("/v1/chat/completions", &call).await.unwrap();
    connection.head().await.unwrap();
    let events = events(&mut connection).await;
    assert_eq!(events.last().unwrap(), "data: [DONE]\n\n");
    let usage = event_json(&events[events.len() - 2]);
    assert_eq!(usage["usage"]["completion_tokens"], 12);

    let call = json!({ "model": server.name(), "input": ["one", "two"] });
    let answer = client::post_json(server.address(), "/v1/embeddings", &call).await.unwrap().json();
    assert_eq!(answer["data"][1]["embedding"].as_array().unwrap().len(), 576);
}

#[tokio::test]
async fn a_server_with_a_key_starts_too() {
    let server = Colour::with(&["--api-key", "secret"]).await;
    assert_eq!(client::get(server.address(), "/v1/chat/completions").await.unwrap().head.status, 401);
}
