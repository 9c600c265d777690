use super::*;

const USAGE: &str =
    "data: {\"choices\":[],\"model\":\"up\",\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":3}}\n\n";

fn event(text: &str) -> String {
    format!("data: {{\"choices\":[{{\"delta\":{{\"content\":{text:?}}}}}],\"model\":\"up\"}}\n\n")
}

/// The stream cut at every place must give the same bytes.
fn filtered(asked: &str, wants_usage: bool, stream: &str) -> (String, EventFilter) {
    filtered_in(Dialect::Chat, asked, wants_usage, stream)
}

pub(super) fn filtered_in(
    dialect: Dialect,
    asked: &str,
    wants_usage: bool,
    stream: &str,
) -> (String, EventFilter) {
    let mut whole = None;
    for size in [1, 2, 3, 7, 64, usize::MAX] {
        let mut filter = EventFilter::new(dialect, asked.into(), wants_usage);
        let mut out = VecDeque::new();
        for chunk in stream.as_bytes().chunks(size.min(stream.len().max(1))) {
            filter.push(Bytes::copy_from_slice(chunk), &mut out);
        }
        let text = String::from_utf8(out.iter().flatten().copied().collect()).unwrap();
        match &whole {
            None => whole = Some((text, filter)),
            Some((first, _)) => assert_eq!(*first, text, "chunks of {size}"),
        }
    }
    whole.unwrap()
}

#[test]
fn events_pass_unchanged_and_the_usage_event_is_taken_out() {
    let stream = format!("{}{}{USAGE}data: [DONE]\n\n", event("a"), event("b"));
    let (out, filter) = filtered("up", false, &stream);
    assert_eq!(out, format!("{}{}data: [DONE]\n\n", event("a"), event("b")));
    assert_eq!(filter.usage(), Some(Usage { prompt_tokens: 7, completion_tokens: 3 }));
    assert!(filter.done());
    assert_eq!(filtered("up", true, &stream).0, stream);
}

#[test]
fn a_usage_event_in_one_chunk_with_others_is_found() {
    let mut filter = EventFilter::new(Dialect::Chat, "up".into(), false);
    let mut out = VecDeque::new();
    for chunk in [event("a"), event("b"), format!("{}{USAGE}", event("c"))] {
        filter.push(Bytes::from(chunk), &mut out);
    }
    assert_eq!(out.iter().map(Bytes::len).sum::<usize>(), event("a").len() * 3);
    assert_eq!((filter.data_events(), filter.usage().unwrap().completion_tokens), (3, 3));
}

#[test]
fn usage_beside_choices_stays() {
    let stream = "data: {\"choices\":[{\"delta\":{}}],\"model\":\"up\",\"usage\":{\"prompt_tokens\":1}}\n\ndata: {\"choices\":[{}],\"usage\":null,\"model\":\"up\"}\n\n";
    assert_eq!(filtered("up", false, stream).0, stream);
}

#[test]
fn the_model_s_name_is_put_back() {
    let stream = format!(
        "{}{}data: [DONE]\n\n",
        event("say \"model\":\"up\" please"),
        "data: {\"id\":\"1\", \"model\" : \"up\", \"choices\":[{\"model\":\"up\"}]}\n\n"
    );
    let (out, _) = filtered("gpt-4o", false, &stream);
    assert_eq!(
        out,
        format!(
            "{}{}data: [DONE]\n\n",
            event("say \"model\":\"up\" please").replace(",\"model\":\"up\"}\n", ",\"model\":\"gpt-4o\"}\n"),
            "data: {\"id\":\"1\", \"model\" : \"gpt-4o\", \"choices\":[{\"model\":\"up\"}]}\n\n"
        )
    );
}

#[test]
fn comments_and_other_line_ends_pass() {
    let stream =
        ": hello\n\ndata: {\"choices\":[{}],\"model\":\"up\"}\r\n\r\nevent: x\ndata: {\"choices\":[{}]}\n\n";
    assert_eq!(filtered("up", false, stream).0, stream);
    let usage = USAGE.replace('\n', "\r\n");
    assert_eq!(filtered("up", false, &usage).0, "");
}

#[test]
fn half_an_event_never_leaves() {
    let stream = format!("{}data: {{\"choices\":[", event("a"));
    assert_eq!(filtered("up", false, &stream).0, event("a"));
}

#[test]
fn the_model_server_s_own_error_is_kept_back() {
    for error in [
        r#"data: {"error":{"message":"/srv/x 127.0.0.1"}}"#,
        r#"data: { "error" : {"message":"/srv/x 127.0.0.1"}}"#,
        r#"data: {"id":null,"error":"/srv/x 127.0.0.1"}"#,
        r#"data:{"object":"error","message":"/srv/x 127.0.0.1","code":500}"#,
    ] {
        // The name is known to need no change: the quick look decides.
        let stream = format!("{}{}{error}\n\ndata: [DONE]\n\n", event("a"), event("b"));
        let (out, filter) = filtered("up", false, &stream);
        assert_eq!(out, event("a") + &event("b"), "{error}");
        assert!(filter.failed().is_some() && !filter.done(), "{error}");
    }
    let harmless = r#"data: {"choices":[{"delta":{"content":"say \"error\""}}],"error":null,"model":"up"}"#;
    let stream = format!("{}{harmless}\n\n", event("a"));
    assert_eq!(filtered("up", false, &stream).0, stream);
}

#[test]
fn an_endless_event_passes_in_bounded_memory() {
    let mut filter = EventFilter::new(Dialect::Chat, "up".into(), false);
    let mut out = VecDeque::new();
    filter.push(Bytes::from_static(b"data: "), &mut out);
    for _ in 0..40 {
        filter.push(Bytes::from(vec![b'x'; 64 * 1024]), &mut out);
        assert!(filter.partial.len() <= LARGEST_EVENT_BYTES + 64 * 1024);
    }
    filter.push(Bytes::from(format!("\n\n{}", event("after"))), &mut out);
    let all: Vec<u8> = out.iter().flatten().copied().collect();
    assert_eq!(all.len(), 6 + 40 * 64 * 1024 + 2 + event("after").len());
    assert!(all.ends_with(event("after").as_bytes()));
}
