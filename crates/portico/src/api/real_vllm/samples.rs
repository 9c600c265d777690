//! Values for keys whose rule is a function, as JSON text. The first ones of each are good.

/// By operation (empty: every one) and key.
pub(super) fn of(on: &str, key: &str) -> &'static [&'static str] {
    match (on, key) {
        ("chat", "messages") => CHAT_MESSAGES,
        ("messages" | "count_tokens", "messages") => BLOCK_MESSAGES,
        ("responses", "input") => ITEMS,
        ("completions", "prompt") => {
            &[r#""Once""#, r#"["a","b"]"#, "[1,2,3]", "[[1,2],[3]]", r#"["é<|image_pad|>"]"#]
        }
        ("embeddings", "input") => &[r#""text""#, r#"["a","b"]"#, "[1,2,3]", "[[1,2],[3]]", r#"["",1]"#],
        ("rerank", "documents") => {
            &[r#"["a","b"]"#, r#"[{"text":"a"},"b"]"#, r#"["<|im_end|>"]"#, r#"{"content":[]}"#]
        }
        ("rerank", "query") => &[r#""q""#, r#""<|im_start|>""#, r#""""#],
        ("rerank" | "score", "instruction") => &[r#""Rank.""#, r#""é\u0000""#],
        ("score", "text_1" | "text_2") => {
            &[r#""a""#, r#"["a","b"]"#, r#"["a"]"#, r#"[""]"#, r#"[{"text":"a"}]"#]
        }
        ("messages" | "count_tokens", "tools") => BLOCK_TOOLS,
        ("messages" | "count_tokens", "tool_choice") => BLOCK_CHOICES,
        ("responses", "tools") => ITEM_TOOLS,
        ("responses", "tool_choice") => {
            &[r#""auto""#, r#""none""#, r#""required""#, r#"{"type":"function","name":"f"}"#]
        }
        ("", _) | (_, _) => common(key),
    }
}

fn common(key: &str) -> &'static [&'static str] {
    match key {
        "model" => &[r#""m""#, r#""a\/b""#, r#""scripted""#],
        "max_tokens" | "max_completion_tokens" | "max_output_tokens" => {
            &["16", "1", "5000", "1000000", "2147483648"]
        }
        "min_tokens" => &["0", "1", "16"],
        "n" => &["1", "2", "4"],
        "stop" => &[r#""\n""#, r#"["a","\u00e9"]"#, "[]", r#"["𝄞"]"#],
        "stop_sequences" => &[r#"["a"]"#, "[]", r#"["\ud834\udd1e"]"#],
        "stop_token_ids" => &["[1,2]", "[]", "[2147483647]"],
        "stream" => &["true", "false"],
        "stream_options" => &[r#"{"include_usage":true}"#, "{}", r#"{"continuous_usage_stats":true}"#],
        "logit_bias" => &[r#"{"7":-100,"8":0.5}"#, "{}", r#"{"999999999":1e1}"#],
        "metadata" => &[r#"{"user_id":"x"}"#, "{}"],
        "modalities" => &[r#"["text"]"#],
        "response_format" => FORMATS,
        "tools" => TOOLS,
        "tool_choice" => {
            &[r#""auto""#, r#""none""#, r#""required""#, r#"{"type":"function","function":{"name":"f"}}"#]
        }
        "chat_template_kwargs" => {
            &[r#"{"enable_thinking":false}"#, "{}", r#"{"thinking":true,"clear_thinking":false}"#]
        }
        "background" => &["false"],
        "conversation" | "previous_response_id" => &["null"],
        "include" => &[r#"["message.output_text.logprobs"]"#, "[]", r#"["reasoning.encrypted_content"]"#],
        "instructions" | "system" => {
            &[r#""Be brief.""#, r#""<|im_end|>""#, r#"[{"type":"text","text":"a"}]"#]
        }
        "reasoning" => &[
            r#"{"effort":"low"}"#,
            r#"{"effort":"none","summary":"auto"}"#,
            "{}",
            r#"{"summary":"detailed"}"#,
        ],
        "text" => &[
            r#"{"format":{"type":"text"}}"#,
            r#"{"format":{"type":"json_object"},"verbosity":"low"}"#,
            r#"{"format":{"type":"json_schema","name":"a","schema":{"type":"object","properties":{"é":{"type":"integer"}}},"strict":true}}"#,
            "{}",
        ],
        "cache_control" => &[r#"{"type":"ephemeral","ttl":"5m"}"#],
        "context_management" => &["{}", r#"{"edits":[]}"#],
        "thinking" => &[
            r#"{"type":"disabled"}"#,
            r#"{"type":"adaptive"}"#,
            r#"{"type":"enabled","budget_tokens":1024}"#,
            r#"{"type":"enabled","budget_tokens":2000,"display":"omitted"}"#,
        ],
        "output_config" => &[
            r#"{"effort":"low"}"#,
            r#"{"format":{"type":"json_schema","schema":{"type":"array","items":{"type":"string"}}}}"#,
            "{}",
        ],
        _ => &[],
    }
}

const PIXELS: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAABwAAAAcCAIAAAD9b0jDAAAAI0lEQVR42u3MsQ0AAAjAoP7/tD7hJgkzTZ1LKpVKpVKp9Ee6DsoNHtgm0ZUAAAAASUVORK5CYII=";

const CHAT_MESSAGES: &[&str] = &[
    r#"[{"role":"user","content":"hi"}]"#,
    r#"[{"role":"system","content":"Sei kurz, é ü 漢字 𝄞"},{"role":"user","content":[{"type":"text","text":"a\u00e9\n"},{"type":"text","text":""}]}]"#,
    r#"[{"role":"developer","content":"d"},{"role":"user","content":"<|im_start|>system","name":"Bob"}]"#,
    r#"[{"role":"user","content":[{"type":"image_url","image_url":{"url":"PICTURE","detail":"low"}},{"type":"text","text":"What?"}]}]"#,
    r#"[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{\"a\":[1,2.5,\"é\"]}"}}]},{"role":"tool","tool_call_id":"call_1","content":"r"}]"#,
    r#"[{"role":"user","content":"a"},{"role":"assistant","content":"b","reasoning":"because","refusal":null},{"role":"user","content":"c"}]"#,
    r#"[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"refusal","refusal":"no"}],"reasoning_content":"x","annotations":[]}]"#,
    r#"[{"role":"user","content":"a"},{"role":"assistant","content":"x","function_call":{"name":"f","arguments":"{}"}},{"role":"function","name":"f","content":"r"}]"#,
    r#"[{"role":"assistant","content":"","tool_calls":[{"id":"1","type":"function","index":0,"function":{"name":"f","arguments":""}}]},{"role":"tool","tool_call_id":"1","content":[{"type":"text","text":"t"}]}]"#,
    r#"[{"role":"user","content":[]}]"#,
    r#"[{"role":"user"}]"#,
];

const BLOCK_MESSAGES: &[&str] = &[
    r#"[{"role":"user","content":"hi"}]"#,
    r#"[{"role":"user","content":[{"type":"text","text":"é 𝄞","cache_control":{"type":"ephemeral"},"citations":null}]}]"#,
    r#"[{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"thinking","thinking":"t","signature":"s"},{"type":"tool_use","id":"t1","name":"f","input":{"a":[1,null,"<|im_end|>"]}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","is_error":false,"content":[{"type":"text","text":"r"}]}]}]"#,
    r#"[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"DATA"}},{"type":"text","text":"What?"}]}]"#,
    r#"[{"role":"system","content":"s"},{"role":"user","content":"a"},{"role":"assistant","content":[{"type":"redacted_thinking","data":"x"},{"type":"text","text":"b"}]},{"role":"user","content":"c"}]"#,
    r#"[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t1","content":"r"}]}]"#,
    r#"[{"role":"user","content":[]}]"#,
];

const ITEMS: &[&str] = &[
    r#""hi""#,
    r#"[{"role":"user","content":"a é"}]"#,
    r#"[{"type":"message","role":"system","content":[{"type":"input_text","text":"s"}]},{"role":"user","content":[{"type":"input_text","text":"<|im_end|>"},{"type":"input_image","image_url":"PICTURE","detail":"auto"}]}]"#,
    r#"[{"role":"user","content":"a"},{"type":"function_call","id":"fc_1","call_id":"c1","name":"f","arguments":"{\"a\":1}","status":"completed"},{"type":"function_call_output","call_id":"c1","output":"r"}]"#,
    r#"[{"role":"user","content":"a"},{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"t"}],"content":[{"type":"reasoning_text","text":"u"}],"encrypted_content":"x"},{"type":"message","role":"assistant","id":"msg_1","status":"completed","content":[{"type":"output_text","text":"b","annotations":[]}]},{"role":"user","content":"c"}]"#,
    r#"[{"role":"user","content":"a"},{"type":"function_call","call_id":"c1","name":"f","arguments":"{}"},{"type":"function_call_output","call_id":"c1","output":[{"type":"input_text","text":"r"}]}]"#,
    r#"[{"role":"assistant","content":"b"},{"role":"user","content":"c"}]"#,
    r#"[{"type":"message","role":"assistant","content":[{"type":"refusal","refusal":"no"}]}]"#,
    r#"[{"type":"message","role":"assistant","content":[]},{"role":"user","content":[]}]"#,
];

const TOOLS: &[&str] = &[
    r#"[{"type":"function","function":{"name":"f","description":"é <|im_end|>","parameters":{"type":"object","properties":{"a":{"type":["string","null"],"enum":["x",null,1.5]}},"required":["a"],"additionalProperties":false},"strict":true}}]"#,
    r#"[{"type":"function","function":{"name":"f"}},{"type":"function","function":{"name":"g.h/i:j","parameters":null}}]"#,
    r##"[{"type":"function","function":{"name":"f","parameters":{"$defs":{"n":{"type":"integer","minimum":0}},"type":"object","properties":{"n":{"$ref":"#/$defs/n"}},"x-vendor":1}}}]"##,
    "[]",
];

const ITEM_TOOLS: &[&str] = &[
    r#"[{"type":"function","name":"f","description":"d","parameters":{"type":"object","properties":{}},"strict":false}]"#,
    r#"[{"type":"function","name":"f","parameters":{}}]"#,
    r#"[{"type":"function","name":"f","parameters":null,"strict":null}]"#,
    "[]",
];

const BLOCK_TOOLS: &[&str] = &[
    r#"[{"name":"f","description":"d","input_schema":{"type":"object","properties":{"a":{"type":"string","maxLength":3}}}}]"#,
    r#"[{"type":"custom","name":"f","input_schema":{"properties":{}},"cache_control":{"type":"ephemeral"},"strict":true}]"#,
    "[]",
];

const BLOCK_CHOICES: &[&str] = &[
    r#"{"type":"auto"}"#,
    r#"{"type":"any","disable_parallel_tool_use":true}"#,
    r#"{"type":"none"}"#,
    r#"{"type":"tool","name":"f"}"#,
];

const FORMATS: &[&str] = &[
    r#"{"type":"text"}"#,
    r#"{"type":"json_object"}"#,
    r#"{"type":"json_schema","json_schema":{"name":"a","strict":true,"schema":{"type":"object","properties":{"é":{"anyOf":[{"type":"integer","maximum":1e3},{"type":"null"}]}}}}}"#,
    r#"{"type":"json_schema","json_schema":{"name":"a","description":"d","schema":{"type":"array","items":{"type":"string","format":"date"},"minItems":1,"maxItems":3}}}"#,
];

/// With the picture in its place.
pub(super) fn filled(sample: &str) -> String {
    let data = PIXELS.rsplit(',').next().unwrap_or_default();
    sample.replace("PICTURE", PIXELS).replace("\"DATA\"", &format!("\"{data}\""))
}
