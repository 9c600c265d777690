//! Pictures in Responses and Messages are judged and stripped as those of chats are.

use serde_json::{Value, json};
use testkit::image::base64;
use testkit::scripted::Scripted;

use crate::hostile_pictures::{all, good};
use crate::setup::{CHAT, Setup, all_endpoints};

const RESPONSES: &str = "/v1/responses";
const MESSAGES: &str = "/v1/messages";

/// The same picture in the body of each operation; none where its address can't be written so.
fn bodies(url: &str) -> Vec<(&'static str, &'static str, Value)> {
    let chat = json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": { "url": url } }] }]);
    let input = json!([{ "role": "user", "content": [{ "type": "input_image", "image_url": url }] }]);
    let source =
        |source: Value| json!([{ "role": "user", "content": [{ "type": "image", "source": source }] }]);
    let by_url = source(json!({ "type": "url", "url": url }));
    let mut bodies = vec![
        (CHAT, "/messages/0/content/0/image_url/url", json!({ "model": "scripted", "messages": chat })),
        (RESPONSES, "/input/0/content/0/image_url", json!({ "model": "scripted", "input": input })),
        (
            MESSAGES,
            "/messages/0/content/0/source/url",
            json!({ "model": "scripted", "max_tokens": 9, "messages": by_url }),
        ),
    ];
    if let Some((media_type, data)) = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,")) {
        let apart = source(json!({ "type": "base64", "media_type": media_type, "data": data }));
        bodies.push((
            MESSAGES,
            "/messages/0/content/0/source/data",
            json!({ "model": "scripted", "max_tokens": 9, "messages": apart }),
        ));
    }
    bodies
}

#[tokio::test]
async fn no_hostile_picture_reaches_the_model_server_by_another_way() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with(&all_endpoints()).start().await;
    let mut wrong = Vec::new();
    for (name, url, _) in &all() {
        for (path, at, body) in bodies(url) {
            let status = portico.post_json(path, &body).await.head.status;
            if status != 400 {
                wrong.push(format!("{name} at {at}: {status}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(scripted.requests().await.iter().all(|request| request.body.is_none()));
}

#[tokio::test]
async fn what_a_picture_tells_of_its_maker_is_taken_out_everywhere() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with(&all_endpoints()).start().await;
    for (name, media_type) in [
        ("phone-6.jpg", "image/jpeg"),
        ("ultra-hdr.jpg", "image/jpeg"),
        ("texts.png", "image/png"),
        ("phone.webp", "image/webp"),
        ("plain.png", "image/png"),
    ] {
        let sent = base64(&good(name));
        let mut arrived = Vec::new();
        for (path, at, body) in bodies(&format!("data:{media_type};base64,{sent}")) {
            let answer = portico.post_json(path, &body).await;
            assert_eq!(answer.head.status, 200, "{name} at {at}: {}", answer.text());
            let received = scripted.requests_to(path).await.pop().expect("it arrived").json();
            let text = received.pointer(at).and_then(Value::as_str).expect("a picture").to_owned();
            arrived.push(text.rsplit_once(',').map_or(text.clone(), |(_, data)| data.to_owned()));
        }
        assert_eq!(arrived.len(), 4);
        assert!(arrived.iter().all(|data| *data == arrived[0]), "{name}: each is the same");
        assert_eq!(arrived[0] == sent, name == "plain.png", "{name}: stripped where there is something");
    }
}
