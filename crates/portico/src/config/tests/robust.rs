//! Nothing that can be written makes the check panic.

use proptest::prelude::*;

use super::super::render::{Render, json};
use super::*;

/// Judges and renders, whatever it is. The entry point for a fuzzer too.
fn survive(text: &str) {
    let document = Document { path: None, text: text.to_owned() };
    let (problems, tongues) = (said(text), [Tongue::English, Tongue::Chinese]);
    for tongue in tongues {
        let shown = Render { tongue, colour: false }.all(&document, &problems);
        assert!(!shown.is_empty());
        let parsed: serde_json::Value =
            serde_json::from_str(&json(&document, &problems, tongue)).expect("JSON");
        assert_eq!(parsed.as_array().map(Vec::len), Some(problems.len()));
    }
    if let Ok(loaded) = read(text) {
        let _is_local = loaded.config.describes_local_mode();
    }
}

/// A piece of a configuration, or of nonsense.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("[site]\n".to_owned()),
        Just("[[model]]\n".to_owned()),
        Just("[plan.a]\n".to_owned()),
        Just("[alerts]\n[[alerts.target]]\n".to_owned()),
        Just("model = 1\n".to_owned()),
        Just("names = [\"中.example\", 1, {}]\n".to_owned()),
        Just("endpoints = [\"http://[::1]:1\", \"unix:\"]\n".to_owned()),
        Just("lockout = { failures = 1e9, x = [[]] }\n".to_owned()),
        "[a-z]{1,8} = \"?[0-9a-z./:\\[\\]-]{0,12}\"?\n",
        "\\PC{0,20}\n",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_survived(text in "\\PC{0,200}") {
        survive(&text);
    }

    #[test]
    fn any_pieces_are_survived(pieces in prop::collection::vec(piece(), 0..8)) {
        survive(&pieces.concat());
    }

    #[test]
    fn a_damaged_reference_file_is_survived(at in 0..REFERENCE.len(), length in 0usize..40, put in "\\PC{0,4}") {
        let start = (0..=at).rev().find(|at| REFERENCE.is_char_boundary(*at)).unwrap_or(0);
        let end = (start + length..=REFERENCE.len()).find(|at| REFERENCE.is_char_boundary(*at)).unwrap_or(REFERENCE.len());
        survive(&format!("{}{put}{}", &REFERENCE[..start], &REFERENCE[end..]));
    }
}

#[test]
fn awkward_ends_are_survived() {
    for text in [
        "[",
        "[[",
        "a",
        "a =",
        "a = \"",
        "a = \"\\",
        "\u{feff}",
        "\u{feff}[site]\n",
        "a = [",
        "中",
        "[中",
        "a = 中",
        "\r",
        "\0",
        "[site]\r\nx = 1\r\n",
        "a.b.c.d.e = 1\na.b = 2",
        "[site]\n[site]\n",
    ] {
        survive(text);
    }
    survive(&"[".repeat(5000));
    survive(&format!("a = {}{}", "[".repeat(5000), "]".repeat(5000)));
    survive(&format!("a = {}", "{b=".repeat(5000)));
    survive(&format!("{} = 1", vec!["a"; 5000].join(".")));
    survive(&"x = 1\n".repeat(2000));
}
