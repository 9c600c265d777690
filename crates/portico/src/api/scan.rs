//! Finding a key at the top of a JSON object without parsing the rest.
//!
//! Answers come from a model server that is trusted to write JSON, so this only has to be safe on garbage, not to
//! judge it: it never reads outside its input and gives `None` when the text stops making sense.

use std::ops::Range;

/// Where the value of a top-level key stands.
pub(super) fn top_level(json: &[u8], wanted: &str) -> Option<Range<usize>> {
    let mut at = skip_space(json, 0);
    if json.get(at) != Some(&b'{') {
        return None;
    }
    at += 1;
    loop {
        at = skip_space(json, at);
        let key_end = string_end(json, at)?;
        let key = json.get(at + 1..key_end - 1)?;
        at = skip_space(json, key_end);
        if json.get(at) != Some(&b':') {
            return None;
        }
        let start = skip_space(json, at + 1);
        let end = value_end(json, start)?;
        if key == wanted.as_bytes() {
            return Some(start..end);
        }
        at = skip_space(json, end);
        if json.get(at) != Some(&b',') {
            return None;
        }
        at += 1;
    }
}

fn skip_space(json: &[u8], mut at: usize) -> usize {
    while matches!(json.get(at), Some(b' ' | b'\t' | b'\n' | b'\r')) {
        at += 1;
    }
    at
}

/// The index after the closing quote of the string that starts at `at`.
fn string_end(json: &[u8], at: usize) -> Option<usize> {
    if json.get(at) != Some(&b'"') {
        return None;
    }
    let mut at = at + 1;
    loop {
        at += memchr::memchr2(b'"', b'\\', json.get(at..)?)?;
        if json[at] == b'"' {
            return Some(at + 1);
        }
        at += 2;
    }
}

fn value_end(json: &[u8], start: usize) -> Option<usize> {
    match json.get(start)? {
        b'"' => string_end(json, start),
        b'{' | b'[' => {
            let mut depth = 0_usize;
            let mut at = start;
            loop {
                match json.get(at)? {
                    b'"' => {
                        at = string_end(json, at)?;
                        continue;
                    }
                    b'{' | b'[' => depth += 1,
                    b'}' | b']' => {
                        depth -= 1;
                        if depth == 0 {
                            return Some(at + 1);
                        }
                    }
                    _ => {}
                }
                at += 1;
            }
        }
        _ => {
            let length = json[start..]
                .iter()
                .position(|b| matches!(b, b',' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t'))?;
            (length > 0).then_some(start + length)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find<'a>(json: &'a str, key: &str) -> Option<&'a str> {
        top_level(json.as_bytes(), key).map(|range| &json[range])
    }

    #[test]
    fn finds_only_at_the_top() {
        let json = r#" { "choices" : [ {"model":"inner","x":"]}\""} ] ,"n":1 , "model" : "q\"w", "usage": {"a":{"b":2}} } "#;
        assert_eq!(find(json, "model"), Some(r#""q\"w""#));
        assert_eq!(find(json, "usage"), Some(r#"{"a":{"b":2}}"#));
        assert_eq!(find(json, "n"), Some("1"));
        assert_eq!(find(json, "x"), None);
    }

    #[test]
    fn garbage_gives_nothing_and_never_panics() {
        let json = r#"{"a":[{"b":"c\\"}],"d":null,"e":{"f":[1,2]},"g":"h"}"#;
        for end in 0..json.len() {
            let _ = top_level(&json.as_bytes()[..end], "g");
        }
        for text in [
            "",
            "[]",
            "{",
            "{}",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":}",
            "{\"a\":1",
            "\"",
            "{\"a\":\"\\",
            "{,}",
            "{\"a\":1,}",
        ] {
            assert_eq!(find(text, "b"), None, "{text}");
        }
    }
}
