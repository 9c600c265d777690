//! The keys of `/v1/responses`.

use super::Fate::{Capped, Dropped, Sent, Set};
use super::Rule::{Flag, Number, Own as By, Text as Short, Whole, Word};
use super::{Parameter, TIERS, row};
use crate::api::inputs::{logit_bias, metadata, stop, stop_token_ids};
use crate::api::limit::output_tokens;
use crate::api::responses::{
    foreground, function_choice, functions, include, input, nothing_kept, reasoning, text_form,
};
use crate::api::stream::{asked_model, stream, stream_options};
use crate::api::tools::instructions;

// Sorted by name.
#[rustfmt::skip]
pub(super) static RESPONSES: &[Parameter] = &[
    row("background", Dropped, By(foreground, "`false`"), "An answer that is fetched later is one that anybody may fetch."),
    row("conversation", Dropped, By(nothing_kept, "nothing"), "Whoever guesses its name would read what others asked."),
    row("frequency_penalty", Sent, Number(-2.0, 2.0), "As for chat."),
    row("ignore_eos", Sent, Flag, "As for chat."),
    row("include", Sent, By(include, "a list of `message.output_text.logprobs`, `reasoning.encrypted_content`"), "The rest belongs to tools that are not run here."),
    row("include_reasoning", Sent, Flag, "As for chat."),
    row("include_stop_str_in_output", Sent, Flag, "As for chat."),
    row("input", Sent, By(input, "a text, or 1 to 4096 items"), "See *Items*."),
    row("instructions", Sent, By(instructions, "a text"), "The system's message."),
    row("logit_bias", Sent, By(logit_bias, "an object of at most 1024 token ids, a number from -100 to 100 each"), "As for chat."),
    row("max_output_tokens", Capped, By(output_tokens, "a whole number from 1"), "See *The length of an answer*."),
    row("max_tool_calls", Dropped, Whole(1, 4096), "Counts tools that are not run here."),
    row("metadata", Dropped, By(metadata, "an object of at most 16 texts"), "As for chat."),
    row("min_p", Sent, Number(0.0, 1.0), "As for chat."),
    row("model", Set, By(asked_model, "the name of a model, at most 512 bytes"), "As for chat."),
    row("parallel_tool_calls", Sent, Flag, "As for chat."),
    row("presence_penalty", Sent, Number(-2.0, 2.0), "As for chat."),
    row("previous_response_id", Dropped, By(nothing_kept, "nothing"), "As `conversation`."),
    row("prompt_cache_key", Dropped, Short(512), "As for chat."),
    row("prompt_cache_retention", Dropped, Short(64), "As for chat."),
    row("reasoning", Sent, By(reasoning, "an object of `effort` and `summary`"), "Words that model servers know."),
    row("repetition_penalty", Sent, Number(0.01, 10.0), "As for chat."),
    row("safety_identifier", Dropped, Short(512), "As for chat."),
    row("seed", Sent, Whole(i64::MIN, i64::MAX), "As for chat."),
    row("service_tier", Dropped, Word(TIERS), "As for chat."),
    row("skip_special_tokens", Sent, Flag, "As for chat."),
    row("stop", Sent, By(stop, "a text, or at most 16, of 1 to 512 bytes each"), "As for chat."),
    row("stop_token_ids", Sent, By(stop_token_ids, "at most 64 token ids"), "As for chat."),
    row("store", Set, Flag, "Always `false`: what a model server keeps, others can read."),
    row("stream", Sent, By(stream, "true or false"), "As for chat."),
    row("stream_options", Dropped, By(stream_options, "as for chat"), "Usage always stands in the last event."),
    row("temperature", Sent, Number(0.0, 2.0), "As for chat."),
    row("text", Sent, By(text_form, "an object of `format`, with a schema as in *Schemas*, and `verbosity`, which is dropped"), "Schemas become grammars (CVE-2025-48944, CVE-2025-48943)."),
    row("tool_choice", Sent, By(function_choice, "`none`, `auto`, `required`, or one function by name"), "As for chat."),
    row("tools", Sent, By(functions, "at most 128 functions, with schemas as in *Schemas*"), "Other kinds of tools run on the web, in sandboxes, or on servers that the client names."),
    row("top_k", Sent, Whole(-1, 1_000_000), "As for chat."),
    row("top_logprobs", Sent, Whole(0, 20), "As for chat."),
    row("top_p", Sent, Number(0.0, 1.0), "As for chat."),
    row("truncation", Sent, Word(&["auto", "disabled"]), "Concerns the client's own prompt."),
    row("user", Sent, Short(512), "As for chat."),
];
