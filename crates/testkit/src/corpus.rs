//! A corpus of request bodies: what is sent, what must become of it, and which rule says so.
//!
//! One JSON object a line. `body` is text in which `@{text*count}` stands for a repetition; `hex` is a body that is no
//! text, and `type` its content type where that is not JSON. A refused one has a `code` and a `param`; an accepted one may say what keys the model server gets (`sent`, a
//! part of the whole) and which it does not get (`absent`).

use std::path::Path;

use serde_json::Value;

/// One body and its verdict.
#[derive(Clone, Debug)]
pub struct Case {
    /// File and name, for messages.
    pub name: String,
    /// `chat`, `completions`, `embeddings`, `responses`, `messages`, `count_tokens`, `rerank`, `score` or `transcriptions`.
    pub on: String,
    /// `type`; JSON where nothing else is said.
    pub content_type: String,
    pub body: Vec<u8>,
    pub verdict: Verdict,
    pub rule: String,
}

/// What must become of a body.
#[derive(Clone, Debug)]
pub enum Verdict {
    Refused { code: String, param: Option<String> },
    Accepted { sent: serde_json::Map<String, Value>, absent: Vec<String> },
}

impl Case {
    #[must_use]
    pub fn path(&self) -> &'static str {
        path(&self.on)
    }

    /// The start of the body, for messages.
    #[must_use]
    pub fn shown(&self) -> String {
        String::from_utf8_lossy(&self.body).chars().take(300).collect()
    }

    fn read(theme: &str, line: &str) -> Self {
        let json: Value =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{theme}: {error}: {line}"));
        let text = |key: &str| json[key].as_str().map(str::to_owned);
        let name = format!("{theme}: {}", text("name").unwrap_or_default());
        let body = match (text("body"), text("hex")) {
            (Some(body), None) => expanded(&body).into_bytes(),
            (None, Some(hex)) => bytes(&hex).unwrap_or_else(|| panic!("{name}: `hex` is not hexadecimal")),
            _ => panic!("{name}: it needs `body` or `hex`"),
        };
        let verdict = match text("verdict").as_deref() {
            Some("refused") => Verdict::Refused {
                code: text("code").unwrap_or_else(|| panic!("{name}: no code")),
                param: text("param"),
            },
            Some("accepted") => Verdict::Accepted {
                sent: json["sent"].as_object().cloned().unwrap_or_default(),
                absent: json["absent"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str)
                    .map(str::to_owned)
                    .collect(),
            },
            other => panic!("{name}: the verdict {other:?} is none"),
        };
        let rule = text("rule").filter(|rule| !rule.is_empty()).unwrap_or_else(|| panic!("{name}: no rule"));
        let content_type = text("type").unwrap_or_else(|| "application/json".to_owned());
        Self { on: text("on").unwrap_or_default(), content_type, name, body, verdict, rule }
    }
}

/// Where a body for `on` goes.
#[must_use]
pub fn path(on: &str) -> &'static str {
    match on {
        "chat" => "/v1/chat/completions",
        "completions" => "/v1/completions",
        "embeddings" => "/v1/embeddings",
        "responses" => "/v1/responses",
        "messages" => "/v1/messages",
        "count_tokens" => "/v1/messages/count_tokens",
        "rerank" => "/v1/rerank",
        "score" => "/v1/score",
        "transcriptions" => "/v1/audio/transcriptions",
        other => panic!("there is no operation {other}"),
    }
}

/// Every case of every `.jsonl` file in a folder.
#[must_use]
pub fn read(folder: &Path) -> Vec<Case> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let mut cases = Vec::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "jsonl")) {
        let theme = file.file_stem().unwrap_or_default().to_string_lossy();
        let text =
            std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        cases.extend(text.lines().map(|line| Case::read(&theme, line)));
    }
    cases
}

fn expanded(body: &str) -> String {
    let mut whole = String::new();
    let mut rest = body;
    while let Some((before, after)) = rest.split_once("@{") {
        // The last star before a brace that closes a count.
        let end = after.match_indices('}').map(|(end, _)| end).find(|end| count(&after[..*end]).is_some());
        let end = end.unwrap_or_else(|| panic!("no count in {after:?}"));
        let (text, times) = count(&after[..end]).unwrap_or_default();
        whole.push_str(before);
        whole.push_str(&text.repeat(times));
        rest = &after[end + 1..];
    }
    whole + rest
}

fn count(text: &str) -> Option<(&str, usize)> {
    let (text, count) = text.rsplit_once('*')?;
    Some((text, count.parse().ok()?))
}

fn bytes(hex: &str) -> Option<Vec<u8>> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(hex.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_are_written_out() {
        assert_eq!(expanded(r#"{"a":"@{xy*3}",@{{"b":[*2}1@{]}*2}}"#), r#"{"a":"xyxyxy",{"b":[{"b":[1]}]}}"#);
        assert_eq!(expanded("plain {} * }"), "plain {} * }");
    }
}
