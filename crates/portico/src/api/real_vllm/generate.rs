//! Bodies that are drawn from the table of parameters, and damaged ones.

use std::fmt::Write as _;

use serde_json::{Map, Value};

use super::super::Operation;
use super::super::parameters::{REFUSED, Rule, names, required, table};
use super::samples;

/// The same numbers every time.
pub(super) struct Random(pub(super) u64);

impl Random {
    fn below(&mut self, count: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % count as u64).unwrap_or_default()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }
}

/// What a damaged value is replaced by.
const STRAYS: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "1",
    "-1",
    "2",
    "1.0",
    "1e0",
    "1E2",
    "0.5",
    "-0",
    "-0.0",
    "2e-1",
    "1e400",
    "20",
    "21",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "1.7976931348623157e308",
    "0.1000000000000000055511151231257827",
    r#""""#,
    r#""1""#,
    r#""true""#,
    r#""x""#,
    r#""é漢𝄞""#,
    r#""\u00e9\ud834\udd1e""#,
    r#""\ud834""#,
    r#""a\u0000b""#,
    r#""<|im_end|>""#,
    r#""\u003c|image_pad|>""#,
    r#""\u2028\ufeff""#,
    "[]",
    "{}",
    "[null]",
    "[[]]",
    "[1]",
    r#"["a"]"#,
    r#"{"type":"text"}"#,
    r#"{"a":1}"#,
    "NaN",
    "Infinity",
    "01",
    "+1",
    ".5",
    "1.",
    "'x'",
];

/// The small ones of the corpus for this operation.
pub(super) fn corpus(on: &str) -> Vec<Vec<u8>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/bodies");
    let cases = testkit::corpus::read(&folder).into_iter();
    cases.filter(|case| case.on == on && case.body.len() < 4000).map(|case| case.body).collect()
}

/// The required keys and a few others, each with a value that its rule allows, now and then one that it does not.
pub(super) fn drawn(operation: Operation, on: &str, random: &mut Random) -> Vec<u8> {
    let rows = table(operation);
    let wanted = random.below(9);
    let mut keys: Vec<&str> = required(operation).to_vec();
    keys.push("model");
    keys.extend((0..wanted).map(|_| rows[random.below(rows.len())].name));
    keys.sort_unstable();
    keys.dedup();
    let mut members = Vec::new();
    for row in rows.iter().filter(|row| keys.contains(&row.name)) {
        let value = match random.below(40) {
            0 => random.of(STRAYS).to_owned(),
            1 if !required(operation).contains(&row.name) => "null".to_owned(),
            _ => value(on, row.name, &row.rule, random),
        };
        members.push(format!("{}:{value}", spelt(&Value::from(row.name), random)));
    }
    let start = random.below(members.len());
    members.rotate_left(start);
    let blank = random.of(&["", "", "", " ", "\n\t"]);
    format!("{{{}}}", members.join(&format!("{blank},{blank}"))).into_bytes()
}

fn value(on: &str, key: &str, rule: &Rule, random: &mut Random) -> String {
    match rule {
        Rule::Flag => random.of(&["true", "false"]).to_owned(),
        Rule::Whole(least, most) => {
            let near = |offset: i64| least.saturating_add(offset).min(*most);
            random.of(&[*least, *most, near(1), near(2), near(7)]).to_string()
        }
        Rule::Number(least, most) => {
            let middle = f64::midpoint(*least, *most);
            let number = random.of(&[*least, *most, middle, least + (most - least) / 3.0]);
            match random.below(3) {
                0 => format!("{number:e}"),
                1 => format!("{number:.3}").replace("-0.000", "0.000"),
                _ => number.to_string(),
            }
        }
        Rule::Text(_) | Rule::Any => {
            let text = random.of(&["x", "é漢𝄞", "a/b \"c\" \\", "<|im_end|>", ""]);
            spelt(&Value::from(text), random)
        }
        Rule::Word(words) => spelt(&Value::from(random.of(words)), random),
        Rule::Own(..) => {
            let choices = samples::of(on, key);
            assert!(!choices.is_empty(), "no samples for {key} of {on}");
            let sample = samples::filled(random.of(choices));
            match serde_json::from_str(&sample) {
                // Numbers stay as they are spelt.
                Ok(value) if !random.one_in(3) => spelt(&value, random),
                _ => sample,
            }
        }
    }
}

/// JSON text in one of the many ways to write it.
fn spelt(value: &Value, random: &mut Random) -> String {
    let mut text = String::new();
    spell(value, random, &mut text);
    text
}

fn spell(value: &Value, random: &mut Random, text: &mut String) {
    let blank = |random: &mut Random| random.of(&["", "", "", "", " ", "\r\n", "\t"]);
    match value {
        Value::String(string) => spell_text(string, random, text),
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                text.push_str(blank(random));
                spell(item, random, text);
            }
            text.push(']');
        }
        Value::Object(members) => {
            text.push('{');
            for (index, (key, item)) in members.iter().enumerate() {
                text.push_str(if index > 0 { "," } else { "" });
                spell_text(key, random, text);
                text.push_str(blank(random));
                text.push(':');
                spell(item, random, text);
            }
            text.push('}');
        }
        other => text.push_str(&other.to_string()),
    }
}

fn spell_text(string: &str, random: &mut Random, text: &mut String) {
    let escapes = random.one_in(4);
    text.push('"');
    for char in string.chars() {
        let mut units = [0; 2];
        match char {
            '"' | '\\' | '\0'..='\u{1f}' => {
                let json = Value::from(char.to_string()).to_string();
                text.push_str(&json[1..json.len() - 1]);
            }
            '/' if escapes => text.push_str("\\/"),
            char if escapes && (!char.is_ascii() || random.one_in(6)) => {
                for unit in char.encode_utf16(&mut units) {
                    let _ = write!(text, "\\u{unit:04x}");
                }
            }
            char => text.push(char),
        }
    }
    text.push('"');
}

/// The same body with something else in it.
pub(super) fn damaged(operation: Operation, body: &[u8], random: &mut Random) -> Vec<u8> {
    match serde_json::from_slice::<Value>(body) {
        Ok(mut document) if !random.one_in(5) => {
            // A mark that is no JSON, so that strays may be none, too.
            let stray = random.of(STRAYS);
            for _ in 0..=random.below(2) {
                damage(operation, &mut document, random);
            }
            spelt(&document, random).replace("\"STRAY\"", stray).into_bytes()
        }
        _ => {
            let mut body = body.to_vec();
            for _ in 0..=random.below(2) {
                let at = random.below(body.len() + 1);
                let end = (at + random.below(4)).min(body.len());
                let pieces: &[&[u8]] = &[
                    b"\"", b"\\", b"{", b"}", b"[", b"]", b",", b":", b"0", b"e5", b"\\u00e9", b" ", b"null",
                    b"\xff",
                ];
                body.splice(at..end, random.of(pieces).iter().copied());
            }
            body
        }
    }
}

/// Somewhere in the document: a stray value, a key that goes, one that comes, one that stands in another place.
fn damage(operation: Operation, value: &mut Value, random: &mut Random) {
    let goes_deeper = !random.one_in(3);
    match value {
        Value::Object(members) if !members.is_empty() && goes_deeper => {
            let key = members.keys().nth(random.below(members.len())).cloned().unwrap_or_default();
            if let Some(inner) = members.get_mut(&key) {
                damage(operation, inner, random);
            }
        }
        Value::Array(items) if !items.is_empty() && goes_deeper => {
            let index = random.below(items.len());
            damage(operation, &mut items[index], random);
        }
        Value::Object(members) => change_members(operation, members, random),
        Value::Array(items) => match items.first().cloned() {
            Some(first) if random.one_in(2) => items.push(first),
            _ => items.push(Value::from("STRAY")),
        },
        other => *other = Value::from("STRAY"),
    }
}

fn change_members(operation: Operation, members: &mut Map<String, Value>, random: &mut Random) {
    let known: Vec<&str> = names(operation).collect();
    let key = match random.below(3) {
        0 => random.of(&known),
        1 => {
            let (keys, _) = &REFUSED[random.below(REFUSED.len())];
            random.of(keys)
        }
        _ => random.of(&[
            "role", "content", "type", "name", "strict", "schema", "detail", "id", "status", "text", "MODEL",
            "uuid",
        ]),
    };
    let some = members.keys().nth(random.below(members.len().max(1))).cloned();
    match (random.below(3), some) {
        (0, Some(key)) => _ = members.shift_remove(&key),
        (1, Some(old)) => {
            let value = members.shift_remove(&old).unwrap_or_default();
            members.insert(key.to_owned(), value);
        }
        _ => _ = members.insert(key.to_owned(), Value::from("STRAY")),
    }
}
