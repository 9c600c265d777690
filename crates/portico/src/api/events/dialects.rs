use super::tests::filtered_in;
use super::*;

/// As llama.cpp and vLLM write it.
fn named(name: &str, json: &str) -> String {
    format!("event: {name}\ndata: {json}\n\n")
}

fn delta(text: &str) -> String {
    named(
        "response.output_text.delta",
        &format!(r#"{{"type":"response.output_text.delta","delta":{text:?}}}"#),
    )
}

fn block(text: &str) -> String {
    let delta = format!(r#"{{"type":"text_delta","text":{text:?}}}"#);
    named("content_block_delta", &format!(r#"{{"type":"content_block_delta","index":0,"delta":{delta}}}"#))
}

fn response(name: &str, model: &str, rest: &str) -> String {
    let response = format!(r#"{{"id":"r","status":"x","model":"{model}","tools":[{{"model":"up"}}]{rest}}}"#);
    named(name, &format!(r#"{{"type":"{name}","response":{response}}}"#))
}

const TOLD: &str = r#","usage":{"input_tokens":13,"output_tokens":6,"total_tokens":19}"#;

fn responses(stream: &str) -> (String, EventFilter) {
    filtered_in(Dialect::Responses, "asked", false, stream)
}

fn messages(stream: &str) -> (String, EventFilter) {
    filtered_in(Dialect::Messages, "asked", false, stream)
}

#[test]
fn a_response_gets_its_name_back_wherever_it_stands_and_ends_by_its_last_event() {
    for last in ["response.completed", "response.incomplete"] {
        let with = |model| {
            [
                response("response.created", model, r#","usage":null"#),
                named("response.in_progress", r#"{"type":"response.in_progress","response":{"id":"r"}}"#),
                delta("say \"response\" and \"response.completed\" and \"error\""),
                delta("b"),
                response(last, model, TOLD),
            ]
            .concat()
        };
        let (out, filter) = responses(&(with("up") + &delta("late")));
        assert_eq!(out, with("asked"));
        assert!(filter.done() && filter.failed().is_none());
        assert_eq!(filter.usage(), Some(Usage { prompt_tokens: 13, completion_tokens: 6 }));
        assert_eq!(filter.data_events(), 2);
    }
}

#[test]
fn a_message_is_counted_from_its_first_and_its_last_event() {
    let with = |model| {
        let start = format!(
            r#"{{"type":"message_start","message":{{"model":"{model}","content":[],"usage":{{"cache_read_input_tokens":12,"input_tokens":1,"output_tokens":0}}}}}}"#
        );
        [
            named("message_start", &start),
            named("ping", r#"{"type":"ping"}"#),
            block("say \"message_stop\" and \"error\""),
            block("b"),
            named(
                "message_delta",
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":6}}"#,
            ),
            named("message_stop", r#"{"type":"message_stop"}"#),
        ]
        .concat()
    };
    let (out, filter) = messages(&(with("up") + "data: [DONE]\n\n"));
    assert_eq!(out, with("asked"));
    assert!(filter.done());
    assert_eq!(filter.usage(), Some(Usage { prompt_tokens: 13, completion_tokens: 6 }));
    assert_eq!(filter.data_events(), 2);
}

#[test]
fn what_ends_another_dialect_ends_nothing_and_does_not_pass() {
    let (out, filter) = responses(&format!("{}data: [DONE]\n\n{}", delta("a"), delta("b")));
    assert_eq!((out, filter.done()), (delta("a") + &delta("b"), false));
    let stop = named("message_stop", r#"{"type":"message_stop"}"#);
    assert!(!responses(&stop).1.done());
    assert!(!messages(&response("response.completed", "m", "")).1.done());
}

#[test]
fn no_failure_passes_however_it_is_written() {
    let leak = r#""message":"/srv/x 127.0.0.1""#;
    for event in [
        named("error", &format!(r#"{{"type":"error",{leak}}}"#)),
        named("error", &format!(r#"{{"type":"error","error":{{"type":"api_error",{leak}}}}}"#)),
        format!("data: {{\"type\":\"error\",{leak}}}\n\n"),
        format!("data:{{ \"type\" : \"error\",{leak}}}\n\n"),
        format!("event:error\ndata: {{{leak}}}\n\n"),
        format!("event: error\r\ndata: {{{leak}}}\r\n\r\n"),
        format!("data: {{{leak},\"event\":1}}\nevent: error\n\n"),
        named("message", &format!(r#"{{"error":{{{leak}}}}}"#)),
        named("error", "plain words of /srv/x"),
        named(
            "response.failed",
            &format!(r#"{{"type":"response.failed","response":{{"error":{{{leak}}}}}}}"#),
        ),
        named(
            "response.created",
            &format!(r#"{{"type":"response.failed","response":{{"error":{{{leak}}}}}}}"#),
        ),
    ] {
        for (dialect, news) in [(Dialect::Responses, delta("a")), (Dialect::Messages, block("a"))] {
            let stream = format!("{news}{event}{news}");
            let (out, filter) = filtered_in(dialect, "asked", false, &stream);
            assert_eq!(out, news, "{event}");
            assert!(filter.failed().is_some() && !filter.done(), "{event}");
        }
    }
}

/// The last event of a response repeats all of it.
#[test]
fn an_event_too_large_to_be_held_still_ends_a_stream_or_fails_it() {
    for (name, ends, fails) in [
        ("response.completed", true, false),
        ("response.failed", false, true),
        ("response.output_text.done", false, false),
    ] {
        let mut filter = EventFilter::new(Dialect::Responses, "up".into(), false);
        let mut out = VecDeque::new();
        filter.push(Bytes::from(format!("event: {name}\ndata: {{\"text\":\"")), &mut out);
        for _ in 0..40 {
            filter.push(Bytes::from(vec![b'x'; 64 * 1024]), &mut out);
        }
        filter.push(Bytes::from_static(b"\"}\n\n"), &mut out);
        assert_eq!((filter.done(), filter.failed().is_some()), (ends, fails), "{name}");
        assert_eq!(out.is_empty(), fails, "{name}");
    }
}
