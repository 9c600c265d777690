//! What a model server says of itself: readers of vLLM's and llama.cpp's JSON, and the asking.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::Value;

use crate::sys::http::{FetchError, Limits, Target, fetch};
use crate::types::{ModelFacts, ServerKind};

const LIMITS: Limits =
    Limits { connect: Duration::from_secs(5), total: Duration::from_secs(10), max_body_bytes: 1 << 20 };
/// A server with more names than this is not one that Portico was made for.
const MAX_NAMES: usize = 256;
const MAX_NAME_BYTES: usize = 256;

/// Why a server could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AskError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error("GET /v1/models was answered with {0}")]
    Status(StatusCode),
    #[error("GET /v1/models was answered with something else than a list of models")]
    NotAList,
    #[error("the key holds characters that no header can carry")]
    Key,
}

/// Asks a model server for its names, context, whether it takes images, and its version. Two requests at most, both GET; takes ten
/// seconds for each at most.
pub(crate) async fn ask(target: &Target, api_key: Option<&str>) -> Result<ModelFacts, AskError> {
    let headers = authorization(api_key).ok_or(AskError::Key)?;
    let (status, _, body) = fetch(target, Method::GET, "/v1/models", &headers, Bytes::new(), LIMITS).await?;
    if status != StatusCode::OK {
        return Err(AskError::Status(status));
    }
    let list = serde_json::from_slice(&body).map_err(|_| AskError::NotAList)?;
    let facts = from_models(&list).ok_or(AskError::NotAList)?;
    if facts.server == Some(ServerKind::Vllm) {
        return Ok(ModelFacts { version: vllm_version(target).await, ..facts });
    }
    if facts.server != Some(ServerKind::LlamaCpp)
        || (facts.context_tokens.is_some() && facts.takes_images.is_some())
    {
        return Ok(facts);
    }
    // An older llama.cpp says the rest elsewhere; that it says nothing there either is no failure.
    match fetch(target, Method::GET, "/props", &headers, Bytes::new(), LIMITS).await {
        Ok((StatusCode::OK, _, body)) => Ok(serde_json::from_slice(&body)
            .map_or_else(|_| facts.clone(), |props| with_props(facts.clone(), &props))),
        _ => Ok(facts),
    }
}

/// The version that a vLLM tells to everybody.
async fn vllm_version(target: &Target) -> Option<Arc<str>> {
    let (status, _, body) = fetch(target, Method::GET, "/version", &[], Bytes::new(), LIMITS).await.ok()?;
    let answer: Value = serde_json::from_slice(&body).ok().filter(|_| status == StatusCode::OK)?;
    let version: String =
        answer.get("version")?.as_str()?.chars().filter(|c| !c.is_control()).take(40).collect();
    (!version.is_empty()).then(|| version.into())
}

/// The header that carries the key; `None` when the key can't be one.
pub(super) fn authorization(api_key: Option<&str>) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let Some(key) = api_key else { return Some(Vec::new()) };
    let mut value = HeaderValue::try_from(format!("Bearer {key}")).ok()?;
    value.set_sensitive(true);
    Some(vec![(header::AUTHORIZATION, value)])
}

/// Reads the answer to `GET /v1/models`; `None` when it is no list.
///
/// Context: vLLM's `max_model_len`, or llama.cpp's `meta.n_ctx`, which is what one request gets (measured: 4096 for
/// four slots are told as 1024). Images: llama.cpp tells in `architecture.input_modalities`; vLLM does not.
fn from_models(list: &Value) -> Option<ModelFacts> {
    let data = list.get("data")?.as_array()?;
    let names = data
        .iter()
        .filter_map(|model| model.get("id")?.as_str())
        .filter(|name| {
            !name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.chars().any(char::is_control)
        })
        .take(MAX_NAMES)
        .map(Arc::from)
        .collect();
    let first = data.first();
    let context = first.and_then(|model| model.get("max_model_len").or_else(|| model.pointer("/meta/n_ctx")));
    let inputs = first.and_then(|model| model.pointer("/architecture/input_modalities")?.as_array());
    Some(ModelFacts {
        names,
        context_tokens: context.and_then(tokens),
        takes_images: inputs.map(|inputs| inputs.iter().any(|input| input == "image")),
        server: match list.pointer("/data/0/owned_by").and_then(Value::as_str) {
            Some("vllm") => Some(ServerKind::Vllm),
            Some("llamacpp") => Some(ServerKind::LlamaCpp),
            _ => None,
        },
        version: None,
    })
}

/// Adds what llama.cpp's `GET /props` tells: `default_generation_settings.n_ctx` is the context of one request.
fn with_props(facts: ModelFacts, props: &Value) -> ModelFacts {
    let context = props.pointer("/default_generation_settings/n_ctx").and_then(tokens);
    let vision = props.pointer("/modalities/vision").and_then(Value::as_bool);
    ModelFacts {
        context_tokens: facts.context_tokens.or(context),
        takes_images: facts.takes_images.or(vision),
        ..facts
    }
}

/// Zero is no context, it is "not told".
fn tokens(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|tokens| u32::try_from(tokens).ok()).filter(|tokens| *tokens > 0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn answers_of_both_engines_are_read() {
        let facts = |names: &[&str], context_tokens, takes_images, server| ModelFacts {
            names: names.iter().map(|name| Arc::from(*name)).collect(),
            context_tokens,
            takes_images,
            server,
            version: None,
        };
        let (vllm, llama_cpp) = (Some(ServerKind::Vllm), Some(ServerKind::LlamaCpp));
        for (answer, wanted) in [
            (
                json!({"object": "list", "data": [
                    {"id": "Qwen/Qwen3-VL-8B-Instruct", "object": "model", "owned_by": "vllm", "max_model_len": 32768},
                    {"id": "lora-a", "parent": "Qwen/Qwen3-VL-8B-Instruct"},
                ]}),
                facts(&["Qwen/Qwen3-VL-8B-Instruct", "lora-a"], Some(32768), None, vllm),
            ),
            (
                json!({"data": [{"id": "col", "owned_by": "llamacpp", "meta": {"n_ctx": 1024, "n_ctx_train": 4096},
                    "architecture": {"input_modalities": ["text", "image"]}}]}),
                facts(&["col"], Some(1024), Some(true), llama_cpp),
            ),
            (
                json!({"data": [{"id": "t", "owned_by": "llamacpp", "meta": null,
                    "architecture": {"input_modalities": ["text"]}}]}),
                facts(&["t"], None, Some(false), llama_cpp),
            ),
            (json!({"data": []}), facts(&[], None, None, None)),
            (
                json!({"data": [{"id": 7, "max_model_len": -1}, {"id": "a\nb"}, {"id": ""}, {"id": "x".repeat(300)}]}),
                facts(&[], None, None, None),
            ),
        ] {
            assert_eq!(from_models(&answer), Some(wanted), "{answer}");
        }
        for answer in [json!([]), json!({"data": {}}), json!("x"), json!({"error": {}})] {
            assert_eq!(from_models(&answer), None, "{answer}");
        }
    }

    #[test]
    fn props_fill_in_only_what_is_missing() {
        let props = json!({"default_generation_settings": {"n_ctx": 512}, "modalities": {"vision": true}});
        let filled = with_props(ModelFacts::default(), &props);
        assert_eq!((filled.context_tokens, filled.takes_images), (Some(512), Some(true)));
        let known =
            ModelFacts { context_tokens: Some(9), takes_images: Some(false), ..ModelFacts::default() };
        assert_eq!(with_props(known.clone(), &props), known);
    }

    #[test]
    fn a_key_that_would_break_the_header_is_refused() {
        assert!(authorization(Some("a\r\nx: y")).is_none());
        assert!(authorization(Some("k1")).is_some());
        assert_eq!(authorization(None), Some(Vec::new()));
    }
}
