//! **The table of parameters**: every top-level key of every operation, what it may be, what becomes of it, and why.
//!
//! A key that stands in no list here is refused by its name: nearly every crash of a model server was a field that a
//! guest has no use for, and the next one will be, too. `docs/requests.md` is this table in prose; a test holds the two
//! together.

mod messages;
mod ranking;
mod responses;

use std::fmt;

use super::Operation;
use super::inputs::{input, logit_bias, metadata, prompt, stop, stop_token_ids, text_only};
use super::json::Json;
use super::judge::{At, Judge};
use super::limit::{choices, completion_tokens, min_tokens, output_tokens};
use super::messages::{messages as chat_messages, template_switches};
use super::stream::{asked_model, stream, stream_options};
use super::tools::{choice, response_format, tools};
use crate::reason::Refusal;
use crate::types::Text;

/// What becomes of a key that has passed its rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Sent on as it is.
    Sent,
    /// Portico writes a value of its own, never larger than this one.
    Capped,
    /// Portico writes a value of its own.
    Set,
    /// Understood and left out: it asks a model server for nothing.
    Dropped,
}

type Own = fn(&mut Judge<'_>, &mut Json<'_>, At<'_>) -> Result<(), Refusal>;

/// What a value may be.
pub(super) enum Rule {
    /// Anything within the limits of every body.
    Any,
    Flag,
    /// An integer, written as one: model servers take `"100"` and `100.0` for numbers, too.
    Whole(i64, i64),
    Number(f64, f64),
    /// A short text without control characters, of so many bytes.
    Text(usize),
    Word(&'static [&'static str]),
    /// Judged by a function of its own; described in words.
    Own(Own, &'static str),
}

pub(super) struct Parameter {
    pub(super) name: &'static str,
    pub(super) fate: Fate,
    pub(super) rule: Rule,
    /// For people who read the table.
    #[cfg_attr(not(test), expect(dead_code, reason = "docs/requests.md is held against it by a test"))]
    pub(super) why: &'static str,
}

const fn row(name: &'static str, fate: Fate, rule: Rule, why: &'static str) -> Parameter {
    Parameter { name, fate, rule, why }
}

use Fate::{Capped, Dropped, Sent, Set};
use Rule::{Any, Flag, Number, Own as By, Text as Short, Whole, Word};

pub(super) const EFFORTS: &[&str] = &["none", "minimal", "low", "medium", "high", "xhigh", "max"];
const TIERS: &[&str] = &["auto", "default", "flex", "scale", "priority", "standard_only"];
const LEVELS: &[&str] = &["low", "medium", "high"];

// Sorted by name: keys are found by halving.
#[rustfmt::skip]
static CHAT: &[Parameter] = &[
    row("chat_template_kwargs", Sent, By(template_switches, "an object of `enable_thinking`, `thinking`, `preserve_thinking`, `clear_thinking`: true or false each"), "Other keys reach the template and the tokenizer (CVE-2025-62426, CVE-2025-61620)."),
    row("frequency_penalty", Sent, Number(-2.0, 2.0), "OpenAI's range. With speculative decoding on vLLM 0.18 and 0.19 put it on `deny_keys` (CVE-2026-44223)."),
    row("ignore_eos", Sent, Flag, "The answer goes on to the token limit, which is always written."),
    row("include_reasoning", Sent, Flag, "Whether the answer shows the model's thinking."),
    row("include_stop_str_in_output", Sent, Flag, "Concerns the text of the answer only."),
    row("logit_bias", Sent, By(logit_bias, "an object of at most 1024 token ids, a number from -100 to 100 each"), "Each entry costs work at every token."),
    row("logprobs", Sent, Flag, "Bounded by `top_logprobs`."),
    row("max_completion_tokens", Capped, By(completion_tokens, "a whole number from 1"), "Wins over `max_tokens`, as in vLLM. See *The length of an answer*."),
    row("max_tokens", Capped, By(output_tokens, "a whole number from 1"), "See *The length of an answer*."),
    row("messages", Sent, By(chat_messages, "1 to 4096 messages"), "See *Messages*."),
    row("metadata", Dropped, By(metadata, "an object of at most 16 texts"), "Nothing is stored here."),
    row("min_p", Sent, Number(0.0, 1.0), "Sampling."),
    row("min_tokens", Capped, By(min_tokens, "a whole number from 0"), "Never more than the limit that is written."),
    row("modalities", Dropped, By(text_only, "`[\"text\"]`"), "Answers are text."),
    row("model", Set, By(asked_model, "the name of a model, at most 512 bytes"), "Looked up exactly; the model server gets its own name for it."),
    row("n", Sent, By(choices, "a whole number from 1 to `policy.max_choices`"), "Multiplies the work of one request (CVE-2026-34756)."),
    row("parallel_tool_calls", Sent, Flag, "Concerns the answer only."),
    row("prediction", Dropped, Any, "Only makes some servers faster."),
    row("presence_penalty", Sent, Number(-2.0, 2.0), "OpenAI's range. See `frequency_penalty`."),
    row("prompt_cache_key", Dropped, Short(512), "What may share a cache is decided here, not by the client."),
    row("prompt_cache_retention", Dropped, Short(64), "As `prompt_cache_key`."),
    row("reasoning_effort", Sent, Word(EFFORTS), "Words that model servers know."),
    row("repetition_penalty", Sent, Number(0.01, 10.0), "Zero divides by zero. See `frequency_penalty`."),
    row("response_format", Sent, By(response_format, "`text`, `json_object`, or `json_schema` with a schema as in *Schemas*"), "Schemas become grammars (CVE-2025-48944, CVE-2025-48943)."),
    row("safety_identifier", Dropped, Short(512), "Who asks is none of the model server's business."),
    row("seed", Sent, Whole(i64::MIN, i64::MAX), "An integer of 64 bits."),
    row("service_tier", Dropped, Word(TIERS), "There is one."),
    row("skip_special_tokens", Sent, Flag, "Concerns the text of the answer only."),
    row("spaces_between_special_tokens", Sent, Flag, "Concerns the text of the answer only."),
    row("stop", Sent, By(stop, "a text, or at most 16, of 1 to 512 bytes each"), "Each is searched for at every token."),
    row("stop_token_ids", Sent, By(stop_token_ids, "at most 64 token ids"), "Compared at every token."),
    row("store", Dropped, Flag, "Nothing is stored here."),
    row("stream", Sent, By(stream, "true or false"), "Decides how the answer is read."),
    row("stream_options", Set, By(stream_options, "an object of `include_usage`, `include_obfuscation`, `continuous_usage_stats`: true or false each"), "The usage of every stream is asked for, and shown to whoever wanted it."),
    row("temperature", Sent, Number(0.0, 2.0), "OpenAI's range."),
    row("thinking_token_budget", Sent, Whole(-1, 1_000_000), "Within the token limit anyway."),
    row("tool_choice", Sent, By(choice, "`none`, `auto`, `required`, or one function by name"), "Exact fields."),
    row("tools", Sent, By(tools, "at most 128 functions, with schemas as in *Schemas*"), "Schemas become grammars and part of the prompt (CVE-2025-48944)."),
    row("top_k", Sent, Whole(-1, 1_000_000), "Sampling; -1 and 0 switch it off."),
    row("top_logprobs", Sent, Whole(0, 20), "OpenAI's most; each is written out for every token."),
    row("top_p", Sent, Number(0.0, 1.0), "Sampling."),
    row("user", Sent, Short(512), "Ignored by vLLM and llama.cpp."),
    row("verbosity", Dropped, Word(LEVELS), "No model server behind Portico knows it."),
];

#[rustfmt::skip]
static COMPLETIONS: &[Parameter] = &[
    row("frequency_penalty", Sent, Number(-2.0, 2.0), "As for chat."),
    row("ignore_eos", Sent, Flag, "As for chat."),
    row("include_stop_str_in_output", Sent, Flag, "As for chat."),
    row("logit_bias", Sent, By(logit_bias, "an object of at most 1024 token ids, a number from -100 to 100 each"), "As for chat."),
    row("logprobs", Sent, Whole(0, 20), "How many are written out for every token."),
    row("max_tokens", Capped, By(output_tokens, "a whole number from 1"), "16 where it is absent, as in the API. See *The length of an answer*."),
    row("metadata", Dropped, By(metadata, "an object of at most 16 texts"), "As for chat."),
    row("min_p", Sent, Number(0.0, 1.0), "As for chat."),
    row("min_tokens", Capped, By(min_tokens, "a whole number from 0"), "As for chat."),
    row("model", Set, By(asked_model, "the name of a model, at most 512 bytes"), "As for chat."),
    row("n", Sent, By(choices, "a whole number from 1 to `policy.max_choices`"), "As for chat."),
    row("presence_penalty", Sent, Number(-2.0, 2.0), "As for chat."),
    row("prompt", Sent, By(prompt, "a text, at most 32 texts, or token ids; none empty"), "Each is a generation of its own; an empty one ended vLLM (CVE-2024-8768). Token ids only for models that take no images: nobody sees control tokens in them."),
    row("repetition_penalty", Sent, Number(0.01, 10.0), "As for chat."),
    row("response_format", Sent, By(response_format, "as for chat"), "As for chat."),
    row("safety_identifier", Dropped, Short(512), "As for chat."),
    row("seed", Sent, Whole(i64::MIN, i64::MAX), "As for chat."),
    row("skip_special_tokens", Sent, Flag, "As for chat."),
    row("spaces_between_special_tokens", Sent, Flag, "As for chat."),
    row("stop", Sent, By(stop, "a text, or at most 16, of 1 to 512 bytes each"), "As for chat."),
    row("stop_token_ids", Sent, By(stop_token_ids, "at most 64 token ids"), "As for chat."),
    row("stream", Sent, By(stream, "true or false"), "As for chat."),
    row("stream_options", Set, By(stream_options, "as for chat"), "As for chat."),
    row("temperature", Sent, Number(0.0, 2.0), "As for chat."),
    row("top_k", Sent, Whole(-1, 1_000_000), "As for chat."),
    row("top_p", Sent, Number(0.0, 1.0), "As for chat."),
    row("user", Sent, Short(512), "As for chat."),
];

#[rustfmt::skip]
static EMBEDDINGS: &[Parameter] = &[
    row("dimensions", Sent, Whole(1, 65_536), "The length of the vectors."),
    row("encoding_format", Sent, Word(&["float", "base64"]), "What OpenAI's clients ask for."),
    row("input", Sent, By(input, "a text, at most 2048 texts, or token ids; none empty"), "Token ids only for models that take no images, as for completions."),
    row("metadata", Dropped, By(metadata, "an object of at most 16 texts"), "As for chat."),
    row("model", Set, By(asked_model, "the name of a model, at most 512 bytes"), "As for chat."),
    row("safety_identifier", Dropped, Short(512), "As for chat."),
    row("user", Sent, Short(512), "As for chat."),
];

/// Keys that model servers know and guests have no use for, with the reason that a client is told.
#[rustfmt::skip]
pub(super) static REFUSED: &[(&[&str], Text)] = &[
    (&["chat_template", "documents", "add_generation_prompt", "continue_final_message", "add_special_tokens", "echo", "suffix"],
        Text::fixed("the form of the prompt is the model's own", "提示词的格式由模型自身决定")),
    (&["mm_processor_kwargs", "media_io_kwargs", "return_mm_kwargs"],
        Text::fixed("how pictures are prepared is the operator's affair", "图片的处理方式由管理员决定")),
    (&["prompt_embeds", "image_embeds", "audio_embeds"],
        Text::fixed("tensors are not taken from clients; they have been a way into the model server", "不接受客户端提供的张量,它们曾被用来攻击模型服务")),
    (&["guided_json", "guided_regex", "guided_choice", "guided_grammar", "guided_decoding_backend", "guided_whitespace_pattern", "structured_outputs", "grammar", "regex", "ebnf", "json_schema"],
        Text::fixed("use response_format", "请使用 response_format")),
    (&["functions", "function_call"], Text::fixed("use tools and tool_choice", "请使用 tools 和 tool_choice")),
    (&["best_of", "use_beam_search", "beam_width", "length_penalty"],
        Text::fixed("it multiplies the work of one request", "它会成倍增加单个请求的工作量")),
    (&["priority"], Text::fixed("whose turn it is is decided by the queue", "先后次序由队列决定")),
    (&["cache_salt", "session_id"], Text::fixed("what may share a cache is decided by Portico", "缓存的共享范围由 Portico 决定")),
    (&["request_id"], Text::fixed("Portico names requests itself", "请求编号由 Portico 生成")),
    (&["vllm_xargs", "kv_transfer_params", "ec_transfer_params", "data_parallel_rank", "lora_request", "lora"],
        Text::fixed("it steers the inside of the model server", "它控制模型服务的内部行为")),
    (&["prompt_logprobs", "logprob_token_ids", "truncate_prompt_tokens", "truncation_side", "allowed_token_ids", "bad_words", "repetition_detection", "return_token_ids", "return_tokens_as_token_ids", "return_prompt_text", "return_token_offsets", "routed_experts_prompt_start", "stream_interval", "watermarking"],
        Text::fixed("it asks the model server for more than an answer", "它要求模型服务提供回答以外的内容")),
    (&["mcp_servers", "container"], Text::fixed("nothing is run or called from here", "此处不会执行或调用任何东西")),
    (&["audio", "web_search_options"], Text::fixed("answers are text, and nothing is searched for", "回答仅为文本,且不进行检索")),
];

pub(super) fn table(operation: Operation) -> &'static [Parameter] {
    match operation {
        Operation::Chat => CHAT,
        Operation::Completions => COMPLETIONS,
        Operation::Embeddings => EMBEDDINGS,
        Operation::Responses => responses::RESPONSES,
        Operation::Messages => messages::MESSAGES,
        Operation::CountTokens => messages::COUNT_TOKENS,
        Operation::Rerank => ranking::RERANK,
        Operation::Score => ranking::SCORE,
        // A form has a table of its own, in `transcription`.
        Operation::ListModels
        | Operation::RetrieveModel
        | Operation::Transcriptions
        | Operation::Realtime => &[],
    }
}

pub(super) fn required(operation: Operation) -> &'static [&'static str] {
    match operation {
        Operation::Chat | Operation::CountTokens => &["messages"],
        Operation::Completions => &["prompt"],
        Operation::Embeddings | Operation::Responses => &["input"],
        Operation::Messages => &["max_tokens", "messages"],
        Operation::Rerank => &["query", "documents"],
        Operation::Score => &["text_1", "text_2"],
        Operation::ListModels
        | Operation::RetrieveModel
        | Operation::Transcriptions
        | Operation::Realtime => &[],
    }
}

pub(super) fn find(operation: Operation, key: &str) -> Option<&'static Parameter> {
    let table = table(operation);
    table.binary_search_by(|parameter| parameter.name.cmp(key)).ok().map(|index| &table[index])
}

pub(super) fn refused(key: &str) -> Option<&'static Text> {
    REFUSED.iter().find(|(keys, _)| keys.contains(&key)).map(|(_, why)| why)
}

pub(super) fn names(operation: Operation) -> impl Iterator<Item = &'static str> {
    table(operation).iter().map(|parameter| parameter.name)
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sent => "sent",
            Capped => "capped",
            Set => "set by Portico",
            Dropped => "dropped",
        })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Any => f.write_str("anything"),
            Flag => f.write_str("true or false"),
            Whole(i64::MIN, i64::MAX) => f.write_str("a whole number"),
            Whole(least, most) => write!(f, "a whole number from {least} to {most}"),
            Number(least, most) => write!(f, "a number from {least} to {most}"),
            Short(most_bytes) => write!(f, "a text of at most {most_bytes} bytes"),
            Word(words) => {
                f.write_str(&words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", "))
            }
            By(_, words) => f.write_str(words),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use super::*;

    #[test]
    fn keys_are_sorted_and_stand_in_one_list() {
        for operation in Operation::JUDGED {
            let path = operation.path();
            let names: Vec<_> = names(operation).collect();
            assert!(names.is_sorted() && names.windows(2).all(|pair| pair[0] != pair[1]), "{path}");
            for name in names {
                assert!(find(operation, name).is_some_and(|parameter| parameter.name == name), "{name}");
                // To chats `documents` is a part of the template; to rerank it is what is ranked.
                let is_ranked = operation == Operation::Rerank && name == "documents";
                assert!(is_ranked || refused(name).is_none(), "{name} is refused and allowed");
            }
            assert!(required(operation).iter().all(|key| find(operation, key).is_some()));
        }
        let mut all: Vec<_> = REFUSED.iter().flat_map(|(keys, _)| *keys).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count, "a refused key stands there twice");
    }

    /// The part of the page that this file writes.
    fn page() -> String {
        let mut page = String::new();
        for operation in Operation::JUDGED {
            let path = operation.path();
            writeln!(page, "### `{path}`\n\n| key | | what it may be | why |\n|---|---|---|---|").unwrap();
            for Parameter { name, fate, rule, why } in table(operation) {
                writeln!(page, "| `{name}` | {fate} | {rule} | {why} |").unwrap();
            }
            writeln!(page).unwrap();
        }
        writeln!(page, "### Refused\n\n| keys | because |\n|---|---|").unwrap();
        for (keys, why) in REFUSED {
            let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
            writeln!(page, "| {} | {} |", keys.join(", "), why.en).unwrap();
        }
        page
    }

    #[test]
    fn the_documented_table_is_this_one() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/requests.md");
        let document = std::fs::read_to_string(path).unwrap();
        let (begin, end) = ("<!-- table -->\n", "<!-- end of table -->\n");
        let (before, rest) = document.split_once(begin).expect("the page says where the table begins");
        let (table, after) = rest.split_once(end).expect("the page says where it ends");
        if std::env::var_os("WRITE_DOCS").is_some() {
            std::fs::write(path, format!("{before}{begin}{}{end}{after}", page())).unwrap();
        } else {
            assert_eq!(table, page(), "docs/requests.md differs; WRITE_DOCS=1 with this test writes it anew");
        }
    }
}
