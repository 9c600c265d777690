//! The keys of `/v1/messages` and `/v1/messages/count_tokens`.

use super::Fate::{Capped, Dropped, Sent, Set};
use super::Rule::{Number, Own as By, Whole, Word};
use super::{Parameter, row};
use crate::api::anthropic::{context_management, output_config, thinking, tool_choice, tools};
use crate::api::blocks::{cache_control, messages, system};
use crate::api::inputs::{metadata, stop_list};
use crate::api::limit::output_tokens;
use crate::api::messages::template_switches;
use crate::api::stream::{asked_model, stream};

// Sorted by name.
#[rustfmt::skip]
pub(super) static MESSAGES: &[Parameter] = &[
    row("cache_control", Dropped, By(cache_control, "an object of `type`, `ttl`, `scope`"), "What may share a cache is decided here, not by the client."),
    row("chat_template_kwargs", Sent, By(template_switches, "as for chat"), "As for chat."),
    row("context_management", Dropped, By(context_management, "an object"), "Nothing is cut from a conversation here."),
    row("max_tokens", Capped, By(output_tokens, "a whole number from 1"), "Required, as in the API. See *The length of an answer*."),
    row("messages", Sent, By(messages, "1 to 4096 messages"), "See *Blocks*."),
    row("metadata", Dropped, By(metadata, "an object of at most 16 texts"), "Who asks is none of the model server's business."),
    row("model", Set, By(asked_model, "the name of a model, at most 512 bytes"), "As for chat."),
    row("output_config", Sent, By(output_config, "an object of `effort` and `format`, with a schema as in *Schemas*"), "Schemas become grammars (CVE-2025-48944, CVE-2025-48943)."),
    row("service_tier", Dropped, Word(&["auto", "standard_only"]), "There is one."),
    row("speed", Dropped, Word(&["standard", "fast"]), "There is one."),
    row("stop_sequences", Sent, By(stop_list, "at most 16 texts of 1 to 512 bytes"), "Each is searched for at every token."),
    row("stream", Sent, By(stream, "true or false"), "As for chat."),
    row("system", Sent, By(system, "a text, or blocks of text"), "See *Blocks*."),
    row("temperature", Sent, Number(0.0, 2.0), "As for chat."),
    row("thinking", Capped, By(thinking, "`disabled`, `adaptive`, or `enabled` with a `budget_tokens` from 1024"), "vLLM refuses a budget that is not below the limit, so it shrinks with it, and is left out below 1024."),
    row("tool_choice", Sent, By(tool_choice, "`auto`, `any`, `none`, or one tool by name"), "Exact fields."),
    row("tools", Sent, By(tools, "at most 128 tools of the client's own, with schemas as in *Schemas*"), "Other kinds of tools run on servers. Schemas become grammars (CVE-2025-48944)."),
    row("top_k", Sent, Whole(-1, 1_000_000), "As for chat."),
    row("top_p", Sent, Number(0.0, 1.0), "As for chat."),
];

#[rustfmt::skip]
pub(super) static COUNT_TOKENS: &[Parameter] = &[
    row("cache_control", Dropped, By(cache_control, "an object of `type`, `ttl`, `scope`"), "As for messages."),
    row("chat_template_kwargs", Sent, By(template_switches, "as for chat"), "As for chat."),
    row("context_management", Dropped, By(context_management, "an object"), "As for messages."),
    row("messages", Sent, By(messages, "1 to 4096 messages"), "As for messages: the model server renders them all the same."),
    row("model", Set, By(asked_model, "the name of a model, at most 512 bytes"), "As for chat."),
    row("output_config", Sent, By(output_config, "as for messages"), "As for messages."),
    row("speed", Dropped, Word(&["standard", "fast"]), "There is one."),
    row("system", Sent, By(system, "a text, or blocks of text"), "As for messages."),
    row("thinking", Sent, By(thinking, "as for messages"), "As for messages."),
    row("tool_choice", Sent, By(tool_choice, "as for messages"), "As for messages."),
    row("tools", Sent, By(tools, "as for messages"), "As for messages."),
];
