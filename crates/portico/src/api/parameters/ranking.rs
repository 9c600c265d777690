//! The keys of `/v1/rerank` and `/v1/score`.

use super::Fate::{Dropped, Sent, Set};
use super::Rule::{Flag, Own as By, Text as Short, Whole};
use super::{Parameter, row};
use crate::api::ranking::{documents, query, texts};
use crate::api::stream::asked_model;
use crate::api::tools::instructions;

// Sorted by name.
#[rustfmt::skip]
pub(super) static RERANK: &[Parameter] = &[
    row("documents", Sent, By(documents, "1 to 2048 texts, or objects of `text`; none empty"), "Each is a run of the model. Documents with pictures are not taken."),
    row("instruction", Sent, By(instructions, "a text"), "Stands in the template before every pair."),
    row("max_tokens_per_doc", Sent, Whole(0, 1_000_000), "Cuts the client's own documents."),
    row("max_tokens_per_query", Sent, Whole(0, 1_000_000), "Cuts the client's own query."),
    row("model", Set, By(asked_model, "the name of a model, at most 512 bytes"), "As for chat."),
    row("query", Sent, By(query, "a text, not empty"), "What the documents are held against."),
    row("return_documents", Sent, Flag, "Concerns the answer only."),
    row("top_n", Sent, Whole(0, 2048), "How many results are shown; 0 is all, for vLLM."),
    row("user", Dropped, Short(512), "Who asks is none of the model server's business."),
];

#[rustfmt::skip]
pub(super) static SCORE: &[Parameter] = &[
    row("instruction", Sent, By(instructions, "a text"), "As for rerank."),
    row("max_tokens_per_doc", Sent, Whole(0, 1_000_000), "As for rerank."),
    row("max_tokens_per_query", Sent, Whole(0, 1_000_000), "As for rerank."),
    row("model", Set, By(asked_model, "the name of a model, at most 512 bytes"), "As for chat."),
    row("text_1", Sent, By(texts, "a text, or 1 to 2048 texts; none empty"), "Each pair is a run of the model."),
    row("text_2", Sent, By(texts, "a text, or 1 to 2048 texts; none empty"), "As `text_1`."),
    row("user", Dropped, Short(512), "As for rerank."),
];
