use super::*;
use crate::config::{Endpoint, ImageUrls};

fn policy(enabled: bool, allow: &[&str], deny: &[&str]) -> Policy {
    let owned = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
    Policy {
        enabled,
        endpoints: vec![Endpoint::Transcriptions],
        max_choices: 1,
        max_images: 0,
        max_image_bytes: 0,
        max_image_pixels: 0,
        image_urls: ImageUrls::Refuse,
        image_url_hosts: Vec::new(),
        strip_metadata: true,
        allow_keys: owned(allow),
        deny_keys: owned(deny),
    }
}

/// What is sent, or the code and the field of the refusal.
fn sent(policy: &Policy, form: &[u8], piece_bytes: usize) -> Result<String, (&'static str, Option<String>)> {
    let mut upload = Upload::new("b", "ours", policy);
    let refused = |refusal: Refusal| (refusal.reason.code(), refusal.param.clone());
    let mut sent = Vec::new();
    for piece in form.chunks(piece_bytes) {
        upload.input().extend_from_slice(piece);
        upload.judge().map_err(refused)?;
        while let Some(piece) = upload.take() {
            sent.extend_from_slice(&piece);
        }
    }
    upload.end().map_err(refused)?;
    sent.extend_from_slice(&upload.take().unwrap_or_default());
    assert_eq!((upload.ready_bytes(), upload.take()), (0, None));
    let opening = upload.opening("up");
    Ok(String::from_utf8([&opening[..], &sent].concat()).unwrap())
}

fn form(parts: &[(&str, &str)]) -> Vec<u8> {
    let part = |(head, content): &(&str, &str)| {
        format!("--b\r\nContent-Disposition: form-data; name={head}\r\n\r\n{content}\r\n")
    };
    (parts.iter().map(part).collect::<String>() + "--b--\r\n").into_bytes()
}

const MODEL: (&str, &str) = ("\"model\"", "m");
const FILE: (&str, &str) = ("\"file\"; filename=\"../../etc/passwd\"", "OggS\0\x02rest\r\n--");

#[test]
fn a_form_is_written_anew() {
    let policy = policy(true, &[], &[]);
    let fields = [
        FILE,
        ("\"prompt\"", "a <|im_start|>b\nc"),
        MODEL,
        ("temperature", "1e-1"),
        ("stream", "false"),
        ("\"timestamp_granularities[]\"", "word"),
        ("\"timestamp_granularities[]\"", "segment"),
        ("response_format", "verbose_json"),
        ("language", "zh-CN"),
    ];
    let form = form(&fields);
    let part = |head: &str, content: &str| {
        format!("--portico-ours\r\nContent-Disposition: form-data; name={head}\r\n\r\n{content}\r\n")
    };
    let wanted = [
        part("\"model\"", "up"),
        part("\"file\"; filename=\"audio.ogg\"\r\nContent-Type: audio/ogg", "OggS\0\x02rest\r\n--"),
        part("\"prompt\"", "a <\u{200b}|im_start|>b\nc"),
        part("\"temperature\"", "0.1"),
        part("\"timestamp_granularities[]\"", "word"),
        part("\"timestamp_granularities[]\"", "segment"),
        part("\"response_format\"", "verbose_json"),
        part("\"language\"", "zh-CN"),
        "--portico-ours--\r\n".to_owned(),
    ]
    .concat();
    for piece_bytes in 1..form.len() {
        assert_eq!(sent(&policy, &form, piece_bytes).as_deref(), Ok(&wanted[..]), "{piece_bytes}");
    }
}

#[test]
fn what_a_configuration_allows_or_denies() {
    let extra = form(&[MODEL, FILE, ("hotwords", "Portico")]);
    assert_eq!(
        sent(&policy(true, &[], &[]), &extra, 99),
        Err(("invalid_value", Some("hotwords".to_owned())))
    );
    let open = policy(true, &["hotwords"], &[]);
    assert!(sent(&open, &extra, 99).unwrap().contains("name=\"hotwords\"\r\n\r\nPortico\r\n"));
    assert!(sent(&policy(false, &[], &[]), &extra, 99).is_ok());
    let odd = form(&[MODEL, FILE, ("\"hot\\\"words\"", "Portico")]);
    assert!(sent(&policy(false, &[], &[]), &odd, 99).is_err(), "a name that would need quoting");
    let prompt = form(&[MODEL, FILE, ("prompt", "x")]);
    let shut = policy(true, &[], &["prompt"]);
    assert_eq!(sent(&shut, &prompt, 99), Err(("invalid_value", Some("prompt".to_owned()))));
}

/// The pieces of what is held are never many more than its bytes are worth.
#[test]
fn a_file_that_comes_byte_by_byte_is_held_in_large_pieces() {
    let policy = policy(true, &[], &[]);
    let mut upload = Upload::new("b", "ours", &policy);
    let long = format!("OggS\0{}", "x".repeat(100_000));
    for byte in form(&[(FILE.0, &long), MODEL]) {
        upload.input().extend_from_slice(&[byte]);
        upload.judge().unwrap();
    }
    upload.end().unwrap();
    let mut pieces = 0;
    while upload.take().is_some() {
        pieces += 1;
    }
    assert!(pieces < 10, "{pieces}");
}
