//! Pictures: what is refused before the model server sees it, and what is left of those that pass.

use std::path::Path;

use serde_json::{Value, json};
use testkit::image::{self, base64};
use testkit::models::Colour;
use testkit::portico::Portico;
use testkit::scripted::Scripted;

use crate::hostile_pictures::{all, good};
use crate::setup::{CHAT, Setup, assert_error, chat, record};

const AT: &str = "messages[0].content[1].image_url.url";

fn asking(urls: &[&str]) -> Value {
    let mut call = chat("");
    let mut parts = vec![json!({ "type": "text", "text": "What is it?" })];
    parts.extend(urls.iter().map(|url| json!({ "type": "image_url", "image_url": { "url": url } })));
    call["messages"][0]["content"] = json!(parts);
    call
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("png") => "image/png",
        Some("jpg") => "image/jpeg",
        Some("webp") => "image/webp",
        _ => "image/gif",
    }
}

fn data_url(name: &str) -> String {
    format!("data:{};base64,{}", media_type(name), base64(&good(name)))
}

fn decoded(url: &str) -> Vec<u8> {
    let (_, text) = url.split_once(',').expect("a data: URL");
    let value = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => 0,
    };
    let padding = text.bytes().rev().take_while(|byte| *byte == b'=').count();
    let mut bytes: Vec<u8> = text
        .as_bytes()
        .chunks(4)
        .flat_map(|four| {
            let joined = four.iter().fold(0_u32, |joined, byte| joined << 6 | u32::from(value(*byte)));
            joined.to_be_bytes()[1..].to_vec()
        })
        .collect();
    bytes.truncate(bytes.len() - padding);
    bytes
}

/// The only picture that the model server got.
async fn arrived(scripted: &Scripted) -> String {
    let requests = scripted.requests_to(CHAT).await;
    assert_eq!(requests.len(), 1);
    requests[0].json()["messages"][0]["content"][1]["image_url"]["url"]
        .as_str()
        .expect("a picture")
        .to_owned()
}

#[tokio::test]
async fn no_hostile_picture_reaches_the_model_server() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let cases = all();
    assert!(cases.len() >= 120, "{}", cases.len());
    let mut wrong = Vec::new();
    for (name, url, says) in &cases {
        let answer = portico.post_json(CHAT, &asking(&[url])).await;
        if answer.head.status != 400 {
            wrong.push(format!("{name}: {}", answer.head.status));
            continue;
        }
        assert_error(&answer, 400, "invalid_request_error", "invalid_value");
        let error = answer.json()["error"].clone();
        let message = error["message"].as_str().unwrap_or_default();
        if error["param"] != AT || !message.contains(says) {
            wrong.push(format!("{name}: wanted `{says}` in {error}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(scripted.requests().await.is_empty());
    assert_eq!(
        portico.post_json(CHAT, &asking(&[&data_url("plain.png")])).await.head.status,
        200,
        "and it lives"
    );
}

#[tokio::test]
async fn a_refusal_is_said_in_the_language_of_the_client() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let body = asking(&["data:image/png;base64,AAAA"]).to_string();
    let headers = [("Content-Type", "application/json"), ("Accept-Language", "zh-CN")];
    let answer = portico.once("POST", CHAT, &headers, body.as_bytes()).await;
    assert!(answer.text().contains("不是图片"), "{}", answer.text());
}

#[tokio::test]
async fn pictures_arrive_without_what_they_tell_of_their_maker() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/pictures");
    let names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.contains(".py"))
        .collect();
    assert!(names.len() > 35);
    for name in names {
        scripted.forget_requests().await;
        let answer = portico.post_json(CHAT, &asking(&[&data_url(&name)])).await;
        assert_eq!(answer.head.status, 200, "{name}: {}", answer.text());
        let bytes = decoded(&arrived(&scripted).await);
        for private in [&b"SECRETMARK"[..], b"GPS", b"Photoshop", b"xmpmeta", b"MPF\0"] {
            let found = bytes.windows(private.len()).any(|window| window == private);
            assert!(!found, "{name} still holds {}", String::from_utf8_lossy(private));
        }
    }
}

#[tokio::test]
async fn what_is_allowed_to_stay_stays() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[policy]\nstrip_metadata = false").start().await;
    for name in ["phone-6.jpg", "ultra-hdr.jpg", "texts.png", "phone.webp", "xmp.gif"] {
        scripted.forget_requests().await;
        let answer = portico.post_json(CHAT, &asking(&[&data_url(name)])).await;
        assert_eq!(answer.head.status, 200, "{name}");
        assert_eq!(record(&portico, &answer.head).await["images"], 1);
        assert_eq!(arrived(&scripted).await, data_url(name));
    }
    let bomb = all().into_iter().find(|(name, ..)| name == "png: a text that unpacks").unwrap();
    assert_eq!(portico.post_json(CHAT, &asking(&[&bomb.1])).await.head.status, 400, "bombs do not");
}

#[tokio::test]
async fn a_policy_that_is_off_looks_at_no_picture() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).with("[policy]\nenabled = false").start().await;
    let answer = portico.post_json(CHAT, &asking(&["data:image/png;base64,AAAA"])).await;
    assert_eq!(answer.head.status, 200, "{}", answer.text());
}

/// Escapes in the body's JSON (`\/` as PHP writes it) and spellings of the head make no difference to what is sent.
#[tokio::test]
async fn other_spellings_of_the_same_picture_are_sent_as_one() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let url = data_url("phone-3.jpg");
    let mut seen = Vec::new();
    for spelling in [
        url.clone(),
        url.replace("data:image/jpeg", "DATA:IMAGE/JPG"),
        url.replace("base64", "BASE64"),
        url.replace('/', "\\/"),
    ] {
        scripted.forget_requests().await;
        let body = asking(&["PLACE"]).to_string().replace("PLACE", &spelling);
        let headers = [("Content-Type", "application/json")];
        assert_eq!(
            portico.once("POST", CHAT, &headers, body.as_bytes()).await.head.status,
            200,
            "{spelling:.40}"
        );
        seen.push(arrived(&scripted).await);
    }
    assert!(seen.windows(2).all(|two| two[0] == two[1]));
    assert!(seen[0].starts_with("data:image/jpeg;base64,/9j/"), "{:.60}", seen[0]);
}

#[tokio::test]
async fn bytes_pixels_and_counts_have_limits() {
    let scripted = Scripted::start().await;
    let limits = "[policy]\nmax_image_bytes = \"4KiB\"\nmax_image_pixels = 4096\nmax_images = 6";
    let portico = Setup::before(&scripted).with(limits).start().await;
    let refused = async |urls: &[&str], param: &str, says: &str| {
        let answer = portico.post_json(CHAT, &asking(urls)).await;
        assert_error(&answer, 400, "invalid_request_error", "invalid_value");
        assert_eq!(answer.json()["error"]["param"], param);
        assert!(answer.text().contains(says), "{}", answer.text());
    };
    let exact = image::data_url(&image::png([1, 2, 3], 64, 64));
    assert_eq!(portico.post_json(CHAT, &asking(&[&exact])).await.head.status, 200, "the limit is allowed");
    assert_eq!(portico.post_json(CHAT, &asking(&[exact.as_str(); 4])).await.head.status, 200);
    refused(&[&image::data_url(&image::png([1, 2, 3], 65, 64))], AT, "at most 4096 pixels").await;
    refused(&[exact.as_str(); 5], "messages[0].content[5].image_url.url", "together").await;
    let small = image::data_url(&image::png([1, 2, 3], 32, 32));
    refused(&[small.as_str(); 7], "messages", "at most 6").await;
    refused(&[&data_url("animated.gif")], AT, "at most 4096 are accepted").await;
}

#[tokio::test]
async fn a_picture_has_a_url_and_a_detail_and_nothing_else() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let url = data_url("plain.png");
    for (image, status, param) in [
        (json!({ "url": url, "detail": "low" }), 200, ""),
        (json!({ "url": url, "detail": null }), 200, ""),
        (json!({ "url": url, "detail": "most" }), 400, ".detail"),
        (json!({ "url": url, "detail": 3 }), 400, ".detail"),
        (json!({ "url": url, "uuid": "x" }), 400, ".uuid"),
        (json!({ "url": [url] }), 400, ".url"),
        (json!({ "detail": "low" }), 400, ".url"),
        (json!(url), 400, ""),
        (json!(null), 400, ""),
    ] {
        let mut call = asking(&[""]);
        call["messages"][0]["content"][1]["image_url"] = image.clone();
        let answer = portico.post_json(CHAT, &call).await;
        assert_eq!(answer.head.status, status, "{} {}", image["detail"], answer.text());
        if status == 400 {
            assert_eq!(answer.json()["error"]["param"], format!("messages[0].content[1].image_url{param}"));
        }
    }
}

/// 144 million pixels in 446 KB: refused from its header, without memory for what it claims to be.
#[tokio::test]
async fn a_bomb_is_refused_from_its_header() {
    let scripted = Scripted::start().await;
    let portico = Setup::before(&scripted).start().await;
    let bomb = image::data_url(&image::png([0, 0, 0], 12_000, 12_000));
    assert!(bomb.len() > 400_000);
    let call = asking(&[&bomb]);
    let peak = |portico: &Portico| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", portico.process().id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    assert_error(&portico.post_json(CHAT, &call).await, 400, "invalid_request_error", "invalid_value");
    let before = peak(&portico);
    for _ in 0..20 {
        assert_error(&portico.post_json(CHAT, &call).await, 400, "invalid_request_error", "invalid_value");
    }
    let grown_kb = peak(&portico) - before;
    assert!(grown_kb < 4096, "it grew by {grown_kb} kB");
}

/// A real model server reads what is left: the colour of a picture from a phone, and of a program's with texts in it.
#[tokio::test]
async fn a_real_model_reads_what_was_stripped() {
    let server = Colour::on_unix_socket().await;
    let portico = Setup::new().model("colour", &[&server.endpoint()], "").start().await;
    for (colour, [r, g, b]) in
        image::COLOURS.into_iter().filter(|(name, _)| matches!(*name, "red" | "blue" | "green"))
    {
        let png = image::png([r, g, b], 64, 64);
        let text = crate::hostile_pictures::png_chunk(b"tEXt", b"Author\0SECRETMARK");
        let png = [&png[..33], &text, &png[33..]].concat();
        let mut jpeg = Vec::new();
        let pixels = [r, g, b].repeat(64 * 64);
        ::image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 90)
            .encode(&pixels, 64, 64, ::image::ExtendedColorType::Rgb8)
            .unwrap();
        let phone = good("phone-6.jpg");
        let exif = phone.windows(2).position(|two| two == [0xff, 0xe1]).unwrap();
        let length = usize::from(u16::from_be_bytes([phone[exif + 2], phone[exif + 3]]));
        let jpeg = [&jpeg[..2], &phone[exif..exif + 2 + length], &jpeg[2..], b"SECRETMARK"].concat();
        for (kind, bytes) in [("png", png), ("jpeg", jpeg)] {
            let mut call = asking(&[&format!("data:image/{kind};base64,{}", base64(&bytes))]);
            call["model"] = json!("colour");
            call["messages"][0]["content"][0]["text"] = json!("What colour is the image?");
            call["max_tokens"] = json!(16);
            call["temperature"] = json!(0);
            let answer = portico.post_json(CHAT, &call).await;
            assert_eq!(answer.head.status, 200, "{}", answer.text());
            let said = answer.json()["choices"][0]["message"]["content"].as_str().expect("text").to_owned();
            assert!(said.contains(colour), "{kind} {colour}: {said}");
        }
    }
}
