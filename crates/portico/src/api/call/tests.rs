use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::config::{Endpoint, ImageUrls};
use crate::types::Tongue;

pub(in crate::api) const LIMITS: Limits = Limits {
    body_bytes: 0,
    body_total_bytes: 0,
    header_bytes: 0,
    header_count: 0,
    target_bytes: 0,
    json_depth: 64,
};

pub(in crate::api) fn policy() -> Policy {
    Policy {
        enabled: true,
        endpoints: vec![Endpoint::Chat],
        max_choices: 1,
        max_images: 2,
        max_image_bytes: 20 << 20,
        max_image_pixels: 40_000_000,
        image_urls: ImageUrls::Refuse,
        image_url_hosts: Vec::new(),
        strip_metadata: true,
        allow_keys: Vec::new(),
        deny_keys: Vec::new(),
    }
}

fn judge_by(policy: &Policy, operation: Operation, body: &[u8]) -> Result<Call, Refusal> {
    let rules = Rules { limits: &LIMITS, policy, max_output_tokens: Some(8192) };
    Call::judge(operation, &Bytes::copy_from_slice(body).into(), rules)
}

fn judge(operation: Operation, body: &str) -> Result<Call, Refusal> {
    judge_by(&policy(), operation, body.as_bytes())
}

fn recipient(server: Option<ServerKind>) -> Recipient<'static> {
    Recipient { name: "upstream", context_tokens: None, server, stops_at_context: false, cache_salt: "salt" }
}

fn sent(call: &Call) -> Value {
    serde_json::from_slice(&call.body(recipient(None)).to_vec()).unwrap()
}

/// A chat with these keys more.
fn with(keys: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{keys}}}"#)
}

fn chat(keys: &str) -> Result<Call, Refusal> {
    judge(Operation::Chat, &with(keys))
}

fn user(content: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#)
}

#[test]
fn a_stream_asks_for_usage_and_remembers_who_wanted_it() {
    let call = chat(r#","stream":true"#).unwrap();
    assert!(call.facts.stream && !call.facts.wants_usage);
    assert_eq!(
        sent(&call),
        json!({
            "model": "upstream", "max_tokens": 8192, "stream_options": {"include_usage": true},
            "messages": [{"role": "user", "content": "hi"}], "stream": true,
        })
    );
    let call = judge(
        Operation::Completions,
        r#"{"prompt":"x","stream_options":{"include_usage":true},"model":"m","stream":true}"#,
    );
    assert!(call.unwrap().facts.wants_usage);
    // vLLM refuses the options of a stream where there is none.
    assert_eq!(
        sent(&chat(r#","stream_options":{"include_usage":true}"#).unwrap())["stream_options"],
        Value::Null
    );
}

#[test]
fn an_embedding_has_no_limit_and_keeps_its_fields() {
    let body = r#"{"input":["a"],"model":"m","dimensions":3,"encoding_format":"float"}"#;
    assert_eq!(
        sent(&judge(Operation::Embeddings, body).unwrap()),
        json!({"model": "upstream", "input": ["a"], "dimensions": 3, "encoding_format": "float"})
    );
}

#[test]
fn the_limit_is_always_written_and_never_larger_than_the_plan_s() {
    for (keys, tokens, completion_tokens) in [
        ("", json!(8192), Value::Null),
        (r#","max_tokens":null"#, json!(8192), Value::Null),
        (r#","max_tokens":5"#, json!(5), Value::Null),
        (r#","max_tokens":8193"#, json!(8192), Value::Null),
        (r#","max_completion_tokens":7"#, json!(7), json!(7)),
        (r#","max_tokens":5,"max_completion_tokens":7"#, json!(7), json!(7)),
        (r#","max_completion_tokens":2147483647,"max_tokens":5"#, json!(8192), json!(8192)),
    ] {
        let sent = sent(&chat(keys).unwrap());
        assert_eq!(
            (&sent["max_tokens"], &sent["max_completion_tokens"]),
            (&tokens, &completion_tokens),
            "{keys}"
        );
    }
    let least = sent(&chat(r#","max_tokens":9000,"min_tokens":8500"#).unwrap());
    assert_eq!((&least["max_tokens"], &least["min_tokens"]), (&json!(8192), &json!(8192)));
    let completion = judge(Operation::Completions, r#"{"model":"m","prompt":"x"}"#).unwrap();
    assert_eq!(sent(&completion)["max_tokens"], 16, "what every implementation of the API gives");
    let in_context = |context_tokens, stops_at_context| {
        let recipient =
            Recipient { context_tokens: Some(context_tokens), stops_at_context, ..recipient(None) };
        let body = chat("").unwrap().body(recipient).to_vec();
        serde_json::from_slice::<Value>(&body).unwrap()["max_tokens"].as_u64().unwrap()
    };
    assert_eq!(in_context(1000, true), 1000);
    assert!((800..1000).contains(&in_context(1000, false)), "room for the prompt is left");
}

#[test]
fn only_vllm_gets_a_salt_and_never_the_client_s() {
    let salt = |call: &Call, server| {
        serde_json::from_slice::<Value>(&call.body(recipient(server)).to_vec()).unwrap()["cache_salt"].clone()
    };
    let call = chat("").unwrap();
    assert_eq!(salt(&call, Some(ServerKind::Vllm)), "salt");
    assert_eq!(salt(&call, Some(ServerKind::LlamaCpp)), Value::Null);
    assert_eq!(salt(&call, None), Value::Null);
    let input = judge(Operation::Embeddings, r#"{"model":"m","input":"x"}"#).unwrap();
    assert_eq!(salt(&input, Some(ServerKind::Vllm)), Value::Null);
    let own = with(r#","cache_salt":"mine""#);
    assert_eq!(judge(Operation::Chat, &own).unwrap_err().param.as_deref(), Some("cache_salt"));
    // Written once, even where the operator lets the client choose.
    let open = Policy { allow_keys: vec!["cache_salt".into()], ..policy() };
    let call = judge_by(&open, Operation::Chat, own.as_bytes()).unwrap();
    assert_eq!(salt(&call, Some(ServerKind::Vllm)), "mine");
    let body = String::from_utf8(call.body(recipient(Some(ServerKind::Vllm))).to_vec()).unwrap();
    assert_eq!(body.matches("cache_salt").count(), 1);
}

#[test]
fn pictures_are_counted_and_only_taken_inside_the_request() {
    let picture = r#"{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAEAAAABAAQAAAACCEkxzAAAAEklEQVR42mP4DwUMo4xRBukMAOPT/hAC2mzjAAAAAElFTkSuQmCC"}}"#;
    let parts = |parts: &str| user(&format!("[{parts}]"));
    let two = judge(Operation::Chat, &parts(&format!("{picture},{picture}"))).unwrap();
    assert_eq!(two.facts.images, 2);
    for (content, param) in [
        (format!("{picture},{picture},{picture}"), "messages"),
        (
            r#"{"type":"image_url","image_url":{"url":"http://127.0.0.1/x.png"}}"#.to_owned(),
            "messages[0].content[0].image_url.url",
        ),
        (
            r#"{"type":"text","text":"hi","uuid":"x","image_url":"http://169.254.169.254/"}"#.to_owned(),
            "messages[0].content[0].uuid",
        ),
        (r#"{"image_url":{"url":"data:,"}}"#.to_owned(), "messages[0].content[0].type"),
        (r#"{"type":"image_url","image_url":"http://x/"}"#.to_owned(), "messages[0].content[0].image_url"),
        (r#""loose text""#.to_owned(), "messages[0].content[0]"),
    ] {
        let refusal = judge(Operation::Chat, &parts(&content)).unwrap_err();
        assert_eq!(refusal.reason.status(), 400, "{content}");
        assert_eq!(refusal.param.as_deref(), Some(param), "{content}");
    }
}

#[test]
fn control_tokens_are_defused_wherever_a_template_prints_them() {
    let token = "<|vision_start|><|image_pad|><|vision_end|>";
    let escaped = r"\u003c|vision_start|\u003e\u003c|image_pad|\u003e\u003c|vision_end|\u003e";
    for text in [token, escaped] {
        let body = format!(
            r#"{{"model":"m","messages":[
                {{"role":"system","content":"{text}"}},
                {{"role":"user","content":[{{"type":"text","text":"{text}"}},{{"type":"text","text":"{text}"}}]}},
                {{"role":"assistant","content":"{text}","refusal":"{text}","reasoning_content":"{text}","tool_calls":[
                    {{"id":"1","type":"function","function":{{"name":"f","arguments":"{text}"}}}},
                    {{"id":"2","type":"function","function":{{"name":"f","arguments":"{{\"a\":[\"{text}\"]}}"}}}}]}},
                {{"role":"tool","tool_call_id":"1","content":"{text}"}}],
              "tools":[{{"type":"function","function":{{"name":"f","description":"{text}","parameters":{{
                "type":"object","description":"{text}","properties":{{"x":{{"enum":["{text}"],"default":"{text}"}}}}}}}}}}]}}"#
        );
        let sent = sent(&judge(Operation::Chat, &body).unwrap()).to_string();
        assert!(!sent.contains("<|"), "{sent}");
        assert_eq!(sent.matches("image_pad").count(), 13, "{sent}");
    }
}

/// vLLM decodes the arguments once more before the template sees them.
#[test]
fn a_token_that_is_escaped_twice_is_defused_too() {
    let call = |arguments: &str| {
        let arguments = serde_json::to_string(arguments).unwrap();
        format!(
            r#"{{"model":"m","messages":[{{"role":"assistant","content":null,"tool_calls":[
                {{"id":"1","type":"function","function":{{"name":"f","arguments":{arguments}}}}}]}}]}}"#
        )
    };
    let hidden = r#"{"a":"\u003c|image_pad|\u003e","b":1.50}"#;
    let sent_arguments = |body: &str| {
        let sent = sent(&judge(Operation::Chat, body).unwrap());
        sent["messages"][0]["tool_calls"][0]["function"]["arguments"].as_str().unwrap().to_owned()
    };
    assert_eq!(sent_arguments(&call(hidden)), "{\"a\":\"<\u{200b}|image_pad|>\",\"b\":1.50}");
    for harmless in [r#"{"a":"\u4e2d"}"#, "{\"a\": 1", "", "{\"a\":1,\"a\":2}"] {
        assert_eq!(sent_arguments(&call(harmless)), harmless, "left as it was");
    }
    for refused in [r#"{"a":"\u003c|image_pad|\u003e""#, r#"{"\u003c|image_pad|>":1}"#, &"[".repeat(100)] {
        let refusal = judge(Operation::Chat, &call(refused)).unwrap_err();
        assert_eq!(
            refusal.param.as_deref(),
            Some("messages[0].tool_calls[0].function.arguments"),
            "{refused}"
        );
    }
}

#[test]
fn a_token_cut_in_two_by_parts_is_defused() {
    let body = user(r#"[{"type":"text","text":"<|image_"},{"type":"text","text":"pad|>"}]"#);
    let sent = sent(&judge(Operation::Chat, &body).unwrap());
    let joined: String = sent["messages"][0]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| part["text"].as_str().unwrap())
        .collect();
    assert_eq!(joined, "<\u{200b}|image_pad|>");
}

#[test]
fn a_completion_may_write_turns_but_no_pictures() {
    let body = r#"{"model":"m","prompt":"<|im_start|>user\n<|image_pad|><|im_end|>"}"#;
    let sent = sent(&judge(Operation::Completions, body).unwrap());
    assert_eq!(sent["prompt"], "<|im_start|>user\n<\u{200b}|image_pad|><|im_end|>");
}

#[test]
fn what_openai_s_clients_send_back_and_add_is_taken() {
    let history = r#","tools":[{"type":"function","function":{"name":"get_weather","strict":true,"parameters":{
          "$schema":"http://json-schema.org/draft-07/schema#","type":"object","additionalProperties":false,
          "properties":{"city":{"type":["string","null"],"format":"uri","x-order":1}},"required":["city"]}}}],
        "tool_choice":{"type":"function","function":{"name":"get_weather"}},"parallel_tool_calls":false,
        "response_format":{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object"}}},
        "store":false,"metadata":{"a":"b"},"service_tier":"auto","safety_identifier":"u","prompt_cache_key":"k",
        "verbosity":"low","modalities":["text"],"user":"u","seed":-1,"logit_bias":{"50256":-100},"n":null,"stop":null,
        "prediction":{"type":"content","content":"x"},"reasoning_effort":"low","logprobs":true,"top_logprobs":2}"#;
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"developer","content":"x","name":"dev"}},
          {{"role":"assistant","content":null,"refusal":null,"annotations":[],"audio":null,"function_call":null,
            "parsed":null,"reasoning":null,"tool_calls":[{{"id":"call_1","index":0,"type":"function",
            "function":{{"name":"get_weather","arguments":"{{\"city\":\"x\"}}"}}}}]}},
          {{"role":"tool","tool_call_id":"call_1","content":[{{"type":"text","text":"sunny"}}]}},
          {{"role":"assistant","content":"fine","tool_calls":[]}}]{history}"#
    );
    let sent = sent(&judge(Operation::Chat, &body).unwrap_or_else(|refusal| panic!("{refusal:?}")));
    assert_eq!(
        sent["messages"],
        json!([
            {"role": "developer", "content": "x", "name": "dev"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function",
                "function": {"name": "get_weather", "arguments": "{\"city\":\"x\"}"}}]},
            {"role": "tool", "tool_call_id": "call_1", "content": [{"type": "text", "text": "sunny"}]},
            {"role": "assistant", "content": "fine"},
        ])
    );
    for dropped in
        ["store", "metadata", "service_tier", "safety_identifier", "verbosity", "prediction", "n", "stop"]
    {
        assert!(sent.get(dropped).is_none(), "{dropped}");
    }
    let schema = &sent["tools"][0]["function"]["parameters"]["properties"]["city"];
    assert_eq!(
        schema,
        &json!({"type": ["string", "null"], "format": "uri"}),
        "unknown keywords mean nothing"
    );
    for kept in ["seed", "user", "logit_bias", "tool_choice", "response_format", "reasoning_effort"] {
        assert!(sent.get(kept).is_some(), "{kept}");
    }
}

#[test]
fn the_operator_may_open_and_close_keys() {
    let open = Policy { allow_keys: vec!["grammar".into(), "cache_prompt".into()], ..policy() };
    let body = with(r#","grammar":"root ::= \"a\"","cache_prompt":true"#);
    let call = judge_by(&open, Operation::Chat, body.as_bytes()).unwrap();
    assert_eq!((&sent(&call)["cache_prompt"], sent(&call)["grammar"].is_string()), (&json!(true), true));
    assert!(judge(Operation::Chat, &body).is_err());
    // Only unknown keys are opened: the rules of the others hold.
    let open = Policy { allow_keys: vec!["n".into(), "messages".into()], ..policy() };
    assert!(judge_by(&open, Operation::Chat, with(r#","n":2"#).as_bytes()).is_err());
    let shut =
        Policy { deny_keys: vec!["temperature".into()], allow_keys: vec!["temperature".into()], ..policy() };
    for value in ["1", "null"] {
        let body = with(&format!(r#","temperature":{value}"#));
        let refusal = judge_by(&shut, Operation::Chat, body.as_bytes()).unwrap_err();
        assert_eq!(refusal.param.as_deref(), Some("temperature"));
    }
}

#[test]
fn without_a_policy_the_json_is_still_strict_and_the_limit_written() {
    let off = Policy { enabled: false, deny_keys: vec!["seed".into()], ..policy() };
    let image = r#"{"type":"image_url","uuid":"x","image_url":{"url":"http://x/"}}"#;
    let body = format!(
        r#"{{"model":"m","n":"100","seed":1,"whatever":{{"a":[1]}},"stream":true,"max_tokens":100000,
        "messages":[{{"content":[{image},{image},{image}]}}]}}"#
    );
    let call = judge_by(&off, Operation::Chat, body.as_bytes()).unwrap();
    assert_eq!((call.facts.images, call.facts.stream), (3, true));
    let sent = sent(&call);
    assert_eq!((&sent["n"], &sent["max_tokens"]), (&json!("100"), &json!(8192)));
    assert_eq!(
        (&sent["whatever"], &sent["stream_options"]),
        (&json!({"a": [1]}), &json!({"include_usage": true}))
    );
    for wrong in [r#"{"model":"m","messages":[1],"messages":[2]}"#, r#"{"model":"m"}"#, r#"{"messages":[1]}"#]
    {
        assert!(judge_by(&off, Operation::Chat, wrong.as_bytes()).is_err(), "{wrong}");
    }
}

#[test]
fn every_refusal_speaks_both_languages() {
    for (operation, body) in [
        (Operation::Chat, "[]".to_owned()),
        (Operation::Chat, "{".to_owned()),
        (Operation::Chat, with(r#","n":2"#)),
        (Operation::Chat, with(r#","nn":2"#)),
        (Operation::Chat, with(r#","echo":true"#)),
        (Operation::Chat, with(r#","stream":"yes""#)),
        (Operation::Chat, with(r#","temperature":3"#)),
        (Operation::Chat, user("7")),
    ] {
        let refusal = judge(operation, &body).unwrap_err();
        assert!(refusal.message(Tongue::Chinese).ends_with(['。', '?']), "{body}");
        assert!(refusal.message(Tongue::English).ends_with(['.', '?']), "{body}");
    }
}

/// What is written is what was judged: nothing appears, nothing but what is meant to goes.
fn agrees(body: &str) -> Result<(), TestCaseError> {
    let Ok(call) = judge(Operation::Chat, body) else { return Ok(()) };
    let mut wanted: Value = serde_json::from_str(body).unwrap();
    let mut sent = sent(&call);
    for own in ["model", "max_tokens", "stream_options"] {
        wanted.as_object_mut().unwrap().remove(own);
        sent.as_object_mut().unwrap().remove(own);
    }
    // In the order of no importance; numbers as they read.
    prop_assert_eq!(sent, wanted);
    Ok(())
}

proptest! {
    #[test]
    fn what_was_judged_is_what_a_reader_reads(
        texts in prop::collection::vec("[^<\u{ff5c}]{0,40}", 1..5), temperature in 0.0_f64..2.0, seed: i64,
        long in 0_usize..6000, bias in prop::collection::btree_map(0_u32..99_999, -100.0_f64..100.0, 0..5),
    ) {
        let messages: Vec<Value> = texts.iter().enumerate().map(|(index, text)| match index % 3 {
            0 => json!({"role": "user", "content": text}),
            1 => json!({"role": "assistant", "content": format!("{text}\n{}", "x".repeat(long))}),
            _ => json!({"role": "user", "content": [{"type": "text", "text": text}]}),
        }).collect();
        let bias: serde_json::Map<_, _> =
            bias.into_iter().map(|(id, much)| (id.to_string(), json!(much))).collect();
        let body = json!({
            "model": "m", "messages": messages, "temperature": temperature, "seed": seed, "logit_bias": bias,
        });
        prop_assert!(judge(Operation::Chat, &body.to_string()).is_ok(), "{}", body);
        agrees(&body.to_string())?;
    }

    /// Whatever is sent for whatever came: a reader reads it, every key once, and none that is not in a table.
    #[test]
    fn what_is_sent_holds_known_keys_only(
        keys in prop::collection::vec(prop::sample::select(vec![
            "temperature", "n", "priority", "cache_salt", "stream", "max_tokens", "x", "stop", "top_k", "tools", "user",
        ]), 0..6),
        values in prop::collection::vec(prop::sample::select(vec![
            "1", "0", "1.0", "-1", "null", "true", "\"a\"", "[]", "[\"a\"]", "{}", "1e3", "9223372036854775807", "[[]]",
        ]), 6),
    ) {
        let extra: String = keys.iter().zip(&values).map(|(key, value)| format!(",\"{key}\":{value}")).collect();
        if let Ok(call) = chat(&extra) {
            let sent = sent(&call);
            for key in sent.as_object().unwrap().keys() {
                prop_assert!(super::super::parameters::find(Operation::Chat, key).is_some(), "{}", key);
            }
            prop_assert!(sent["max_tokens"].as_u64().is_some_and(|tokens| (1..=8192).contains(&tokens)));
            prop_assert!(sent["n"].is_null() || sent["n"] == 1);
        }
    }
}

/// The corpus that goes through the real binary, too: here it is quick, and a wrong verdict names its line.
#[test]
fn every_body_of_the_corpus_gets_its_verdict() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bodies");
    let policy = Policy { max_images: 8, ..policy() };
    let mut wrong = Vec::new();
    for case in testkit::corpus::read(&folder) {
        let operation = match case.on.as_str() {
            "chat" => Operation::Chat,
            "completions" => Operation::Completions,
            "embeddings" => Operation::Embeddings,
            "responses" => Operation::Responses,
            "messages" => Operation::Messages,
            "count_tokens" => Operation::CountTokens,
            "rerank" => Operation::Rerank,
            "score" => Operation::Score,
            other => panic!("there is no operation {other}"),
        };
        let judged = judge_by(&policy, operation, &case.body);
        let fits = match (&case.verdict, &judged) {
            // Refused once its model is known.
            (testkit::corpus::Verdict::Refused { .. }, Ok(call)) => call.facts.token_ids,
            (testkit::corpus::Verdict::Refused { code, param }, Err(refusal)) => {
                refusal.reason.code() == code && refusal.param == *param
            }
            (testkit::corpus::Verdict::Accepted { sent: wanted, absent }, Ok(call)) => {
                let sent = sent(call);
                wanted.iter().all(|(key, value)| sent[key] == *value)
                    && absent.iter().all(|key| sent.get(key).is_none())
            }
            (testkit::corpus::Verdict::Accepted { .. }, Err(_)) => false,
        };
        if !fits {
            let found = judged.map(|call| sent(&call).to_string()).map_err(|refusal| refusal.param.clone());
            wrong.push(format!("{}: {:?} {found:?}: {}", case.name, case.verdict, case.shown()));
        }
    }
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What Portico writes itself it writes without a policy, too, and once.
#[test]
fn without_a_policy_the_other_operations_still_get_their_limit() {
    let open = Policy { enabled: false, ..policy() };
    let picture = r#"{"type":"input_image","image_url":"http://10.0.0.1/"}"#;
    let body = format!(
        r#"{{"model":"m","store":true,"previous_response_id":"r","max_output_tokens":99999,"input":[{{"role":"user","content":[{picture},{picture}]}}]}}"#
    );
    let call = judge_by(&open, Operation::Responses, body.as_bytes()).unwrap();
    assert_eq!(call.facts.images, 2);
    let text = String::from_utf8(call.body(recipient(None)).to_vec()).unwrap();
    let written: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&written["store"], &written["max_output_tokens"]), (&json!(false), &json!(8192)));
    assert_eq!(written["previous_response_id"], "r", "judged no further");
    assert_eq!((text.matches("\"store\"").count(), text.matches("\"max_output_tokens\"").count()), (1, 1));
    let result = r#"{"type":"tool_result","tool_use_id":"t","content":[{"type":"image","source":{}}]}"#;
    let body = format!(
        r#"{{"model":"m","max_tokens":9,"speed":"fast","messages":[{{"role":"user","content":[{result}]}}]}}"#
    );
    let call = judge_by(&open, Operation::Messages, body.as_bytes()).unwrap();
    assert_eq!((call.facts.images, &sent(&call)["speed"]), (1, &json!("fast")));
}
