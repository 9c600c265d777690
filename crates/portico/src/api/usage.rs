//! Tokens as the model server counted them, whichever API it counts for.

use serde::Deserialize;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "Counts")]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
}

/// The names of all APIs. OpenAI's first ones, those of Responses and Messages, and the total of servers that only rank.
#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    total_tokens: Option<u64>,
    /// Anthropic counts what came out of the cache, or went into it, beside `input_tokens` and not in it.
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
}

impl From<Counts> for Usage {
    fn from(counts: Counts) -> Self {
        let completion_tokens = counts.completion_tokens.or(counts.output_tokens).unwrap_or_default();
        let cached = [counts.cache_read_input_tokens, counts.cache_creation_input_tokens];
        let input =
            counts.input_tokens.map(|input| cached.into_iter().flatten().fold(input, u64::saturating_add));
        let total = || counts.total_tokens.map(|total| total.saturating_sub(completion_tokens));
        let prompt_tokens = counts.prompt_tokens.or(input).or_else(total).unwrap_or_default();
        Self { prompt_tokens, completion_tokens }
    }
}

impl Usage {
    /// A stream may tell the prompt at its beginning and the answer at its end.
    pub(super) fn or_more(self, earlier: Option<Self>) -> Self {
        let earlier = earlier.unwrap_or_default();
        Self {
            prompt_tokens: self.prompt_tokens.max(earlier.prompt_tokens),
            completion_tokens: self.completion_tokens.max(earlier.completion_tokens),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_api_s_names_are_read() {
        for (json, prompt_tokens, completion_tokens) in [
            (r#"{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}"#, 7, 3),
            (r#"{"input_tokens":7,"output_tokens":3,"total_tokens":10}"#, 7, 3),
            (r#"{"input_tokens":1,"cache_read_input_tokens":12,"output_tokens":6}"#, 13, 6),
            (r#"{"input_tokens":1,"cache_creation_input_tokens":4,"output_tokens":null}"#, 5, 0),
            (r#"{"output_tokens":6}"#, 0, 6),
            (r#"{"total_tokens":9}"#, 9, 0),
            (r#"{"prompt_tokens":9,"total_tokens":9,"input_tokens":2}"#, 9, 0),
            ("{}", 0, 0),
        ] {
            let usage: Usage = serde_json::from_str(json).unwrap();
            assert_eq!(usage, Usage { prompt_tokens, completion_tokens }, "{json}");
        }
        assert!(serde_json::from_str::<Usage>(r#"{"prompt_tokens":-1}"#).is_err());
    }
}
