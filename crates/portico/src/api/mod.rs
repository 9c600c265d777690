//! The surface of OpenAI and of Anthropic: what may be asked, how a body is read and judged, and how answers are read on their way out.
//!
//! A body is parsed once, strictly; what is sent to the model server is written anew from what was judged, never
//! the client's bytes as they came. Everything here is pure but [`body::collect`], which reads the network.

pub(crate) mod answer;
mod anthropic;
mod audio;
mod base64_map;
mod blocks;
pub(crate) mod body;
pub(crate) mod call;
pub(crate) mod events;
mod images;
mod inputs;
mod json;
mod judge;
mod limit;
mod messages;
pub(crate) mod multipart;
mod parameters;
mod ranking;
#[cfg(test)]
mod real_vllm;
pub(crate) mod realtime;
mod responses;
mod scan;
mod schema;
mod stream;
mod tokens;
mod tools;
pub(crate) mod transcription;
mod usage;
pub(crate) mod vision;

pub(crate) use call::{Call, Recipient};
pub(crate) use events::EventFilter;
pub(crate) use usage::Usage;

use crate::config::Endpoint;
use crate::types::Dialect;

/// One operation of the API, as an exact method and path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    ListModels,
    RetrieveModel,
    Chat,
    Completions,
    Embeddings,
    Responses,
    Messages,
    /// How long the prompt of a message would be; nothing is made.
    CountTokens,
    Rerank,
    Score,
    Transcriptions,
    /// A WebSocket: sound in, text out.
    Realtime,
}

impl Operation {
    /// Those with a JSON body. Seeds of `fuzz/` name them by their place here.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) const JUDGED: [Self; 8] = [
        Operation::Chat,
        Operation::Completions,
        Operation::Embeddings,
        Operation::Responses,
        Operation::Messages,
        Operation::CountTokens,
        Operation::Rerank,
        Operation::Score,
    ];

    /// The operation behind a method and a raw path. Nothing is decoded or tidied up before the comparison: a path
    /// in any other spelling does not exist.
    pub(crate) fn find(method: &http::Method, path: &str, endpoints: &[Endpoint]) -> Option<Self> {
        let (operation, endpoint) = match (method.as_str(), path) {
            ("GET", "/v1/models") => (Operation::ListModels, Endpoint::Models),
            ("GET", path) if path.strip_prefix("/v1/models/").is_some_and(|id| !id.is_empty()) => {
                (Operation::RetrieveModel, Endpoint::Models)
            }
            ("POST", "/v1/chat/completions") => (Operation::Chat, Endpoint::Chat),
            ("POST", "/v1/completions") => (Operation::Completions, Endpoint::Completions),
            ("POST", "/v1/embeddings") => (Operation::Embeddings, Endpoint::Embeddings),
            ("POST", "/v1/responses") => (Operation::Responses, Endpoint::Responses),
            ("POST", "/v1/messages") => (Operation::Messages, Endpoint::Messages),
            ("POST", "/v1/messages/count_tokens") => (Operation::CountTokens, Endpoint::Messages),
            ("POST", "/v1/rerank") => (Operation::Rerank, Endpoint::Rerank),
            ("POST", "/v1/score") => (Operation::Score, Endpoint::Score),
            ("POST", "/v1/audio/transcriptions") => (Operation::Transcriptions, Endpoint::Transcriptions),
            ("GET", "/v1/realtime") => (Operation::Realtime, Endpoint::Realtime),
            _ => return None,
        };
        endpoints.contains(&endpoint).then_some(operation)
    }

    /// The key that holds what is asked.
    pub(crate) const fn prompt_key(self) -> &'static str {
        match self {
            Operation::Completions => "prompt",
            Operation::Embeddings | Operation::Responses => "input",
            Operation::Transcriptions => "file",
            Operation::Realtime => "audio",
            Operation::Rerank => "documents",
            Operation::Score => "text_1",
            Operation::Chat
            | Operation::Messages
            | Operation::CountTokens
            | Operation::ListModels
            | Operation::RetrieveModel => "messages",
        }
    }

    /// The path as the model server gets it.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Operation::ListModels | Operation::RetrieveModel => "/v1/models",
            Operation::Chat => "/v1/chat/completions",
            Operation::Completions => "/v1/completions",
            Operation::Embeddings => "/v1/embeddings",
            Operation::Responses => "/v1/responses",
            Operation::Messages => "/v1/messages",
            Operation::CountTokens => "/v1/messages/count_tokens",
            Operation::Rerank => "/v1/rerank",
            Operation::Score => "/v1/score",
            Operation::Transcriptions => "/v1/audio/transcriptions",
            Operation::Realtime => "/v1/realtime",
        }
    }

    /// The key that bounds the answer; `None` where no tokens are made.
    const fn limit_key(self) -> Option<&'static str> {
        match self {
            Operation::Chat | Operation::Completions | Operation::Messages => Some("max_tokens"),
            Operation::Responses => Some("max_output_tokens"),
            Operation::Embeddings
            | Operation::CountTokens
            | Operation::Rerank
            | Operation::Score
            | Operation::Transcriptions
            | Operation::Realtime
            | Operation::ListModels
            | Operation::RetrieveModel => None,
        }
    }

    /// How its streams speak.
    pub(crate) const fn dialect(self) -> Dialect {
        match self {
            Operation::Responses => Dialect::Responses,
            Operation::Messages | Operation::CountTokens => Dialect::Messages,
            _ => Dialect::Chat,
        }
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;

    #[test]
    fn only_exact_methods_and_paths_exist() {
        let all = [
            Endpoint::Models,
            Endpoint::Chat,
            Endpoint::Completions,
            Endpoint::Embeddings,
            Endpoint::Responses,
            Endpoint::Messages,
            Endpoint::Rerank,
            Endpoint::Score,
        ];
        for (method, path, wanted) in [
            (Method::GET, "/v1/models", Some(Operation::ListModels)),
            (Method::GET, "/v1/models/qwen", Some(Operation::RetrieveModel)),
            (Method::GET, "/v1/models/", None),
            (Method::POST, "/v1/chat/completions", Some(Operation::Chat)),
            (Method::GET, "/v1/chat/completions", None),
            (Method::POST, "/v1/chat/completions/", None),
            (Method::POST, "/v1//chat/completions", None),
            (Method::POST, "/v1/chat/completions/batch", None),
            (Method::POST, "/v1/%63hat/completions", None),
            (Method::POST, "/V1/chat/completions", None),
            (Method::POST, "/v1/load_lora_adapter", None),
            (Method::POST, "/invocations", None),
            (Method::HEAD, "/v1/models", None),
            (Method::POST, "/v1/responses", Some(Operation::Responses)),
            (Method::GET, "/v1/responses", None),
            (Method::GET, "/v1/responses/resp_1", None),
            (Method::DELETE, "/v1/responses/resp_1", None),
            (Method::POST, "/v1/responses/resp_1/cancel", None),
            (Method::POST, "/v1/messages", Some(Operation::Messages)),
            (Method::POST, "/v1/messages/count_tokens", Some(Operation::CountTokens)),
            (Method::POST, "/v1/messages/batches", None),
            (Method::POST, "/v1/rerank", Some(Operation::Rerank)),
            (Method::POST, "/v2/rerank", None),
            (Method::POST, "/rerank", None),
            (Method::POST, "/v1/score", Some(Operation::Score)),
            (Method::POST, "/score", None),
        ] {
            assert_eq!(Operation::find(&method, path, &all), wanted, "{method} {path}");
        }
        assert_eq!(Operation::find(&Method::POST, "/v1/embeddings", &[Endpoint::Chat]), None);
    }
}
