//! The key tables, the reference file, the checks and the generated papers agree.

use std::collections::HashSet;

use toml::de::{DeTable, DeValue};

use super::super::key::{Default, Entry, Shape};
use super::super::problem::{Code, Problem, Spot};
use super::super::schema::value_as_json;
use super::super::{describe, explain, form, key, keys, raw, reference, schema};
use super::*;

/// `key = literal` judged by the key's own rule.
fn judged(entry: &dyn Entry, literal: &str) -> Vec<Problem> {
    let document = format!("value = {literal}");
    let table = DeTable::parse(&document).unwrap_or_else(|error| panic!("{literal}: {error}"));
    let value = table.get_ref().get("value").expect("it was just written");
    let mut problems = Vec::new();
    let spot = Spot { key: entry.at().to_owned(), span: None };
    let is_taken = entry.judge_any(&spot, value, &mut problems);
    assert_eq!(is_taken, problems.is_empty(), "{} = {literal}: refused without a word", entry.at());
    problems
}

/// A file in which the key is written, as small as it can be.
fn file_with(entry: &dyn Entry, literal: &str) -> String {
    let at = entry.at();
    let (section, name) = (describe::section_of(at), key::last_part(at));
    let header = describe::header(section);
    let mut lines = vec![header.clone(), format!("{name} = {literal}")];
    for required in keys::all().filter(|other| matches!(other.default(), Default::Required)) {
        if describe::section_of(required.at()) == section && required.at() != at {
            let value = if key::last_part(required.at()) == "kind" { "webhook" } else { "m" };
            lines.push(format!("{} = \"{value}\"", key::last_part(required.at())));
        }
    }
    lines.join("\n")
}

#[test]
fn every_declared_key_is_really_judged() {
    for entry in keys::all() {
        // No key takes a date: whoever reads the key must complain.
        let text = file_with(entry, "1979-05-27");
        let found = said(&text);
        let is_said = found.iter().any(|problem| {
            problem.code == Code::WrongType
                && key::matches(entry.at(), &problem.spot.key)
                && problem.spot.span.is_some()
        });
        assert!(is_said, "{text}\n{found:#?}");
    }
}

#[test]
fn every_default_passes_its_own_rule() {
    for entry in keys::all() {
        if let Default::Is(written) = entry.default() {
            assert_eq!(judged(entry, written), [], "{}", entry.at());
        }
    }
}

#[test]
fn floors_and_ceilings_hold_on_both_sides() {
    let mut bounds = 0;
    for entry in keys::all() {
        let (inside, outside): (Vec<String>, Vec<String>) = match entry.shape() {
            Shape::Whole { min, max, zero } => {
                let below = i128::from(min) - 1;
                let below = if zero.is_some() && below == 0 { -1 } else { below };
                (
                    vec![min.to_string(), max.to_string()],
                    vec![below.to_string(), (i128::from(max) + 1).to_string()],
                )
            }
            Shape::Number { min, max } => (
                vec![format!("{min:?}"), format!("{max:?}")],
                vec![
                    format!("{:?}", min / 2.0),
                    format!("{:?}", max * 2.0),
                    "nan".to_owned(),
                    "inf".to_owned(),
                ],
            ),
            Shape::Period { min, max, zero } => {
                let period = |written| form::duration(written).expect("a bound is a duration").as_millis();
                let below = period(min) - 1;
                let zero = (zero.is_some(), "\"0s\"".to_owned());
                let mut inside = vec![format!("{min:?}"), format!("{max:?}")];
                let mut outside = vec![format!("\"{}ms\"", period(max) + 1)];
                if below > 0 {
                    outside.push(format!("\"{below}ms\""));
                }
                if zero.0 {
                    inside.push(zero.1)
                } else {
                    outside.push(zero.1)
                }
                (inside, outside)
            }
            Shape::Size { min, max } => {
                let size = |written| form::size(written).expect("a bound is a size");
                (
                    vec![format!("{min:?}"), format!("{max:?}")],
                    vec![format!("\"{}\"", size(min) - 1), format!("\"{}\"", size(max) + 1)],
                )
            }
            _ => continue,
        };
        bounds += 1;
        for literal in inside {
            assert_eq!(judged(entry, &literal), [], "{} = {literal}", entry.at());
        }
        for literal in outside {
            let problems = judged(entry, &literal);
            assert!(
                problems.iter().any(|problem| problem.code == Code::OutOfRange),
                "{} = {literal}: {problems:?}",
                entry.at()
            );
        }
    }
    assert!(bounds > 45, "only {bounds} keys have bounds");
}

#[test]
fn lists_and_texts_are_bounded() {
    for entry in keys::all() {
        match entry.shape() {
            Shape::List { max, .. } => {
                let literal = format!("[{}]", "\"x\", ".repeat(max + 1));
                assert!(
                    judged(entry, &literal).iter().any(|problem| problem.code == Code::OutOfRange),
                    "{}",
                    entry.at()
                );
            }
            Shape::Form(_) | Shape::WordsOr(..) => {
                for literal in [format!("\"{}\"", "a".repeat(5000)), "\"a\\u0007b\"".to_owned()] {
                    assert!(!judged(entry, &literal).is_empty(), "{} takes {literal:.20}", entry.at());
                }
            }
            _ => {}
        }
    }
}

/// The paths of all values of a file, with `[]` for the tables of a list.
fn paths(table: &DeTable<'_>, path: &str, found: &mut Vec<String>) {
    for (name, value) in table.iter() {
        let below =
            if path.is_empty() { name.get_ref().to_string() } else { format!("{path}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(table) => paths(table, &below, found),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                for table in items.iter().filter_map(|item| item.get_ref().as_table()) {
                    paths(table, &format!("{below}[]"), found);
                }
            }
            _ => found.push(below),
        }
    }
}

#[test]
fn the_reference_file_has_every_key_and_no_other() {
    let table = DeTable::parse(REFERENCE).expect("the reference file is TOML");
    let mut written = Vec::new();
    paths(table.get_ref(), "", &mut written);
    for entry in keys::all() {
        assert!(
            written.iter().any(|path| key::matches(entry.at(), path)),
            "{} is not in examples/portico.toml",
            entry.at()
        );
    }
    for path in &written {
        assert!(keys::all().any(|entry| key::matches(entry.at(), path)), "{path} is in no table");
    }
}

/// Where a line of the reference file says `default:`, it is that; where it says nothing, the example is the default.
#[test]
fn the_defaults_of_the_reference_file_are_the_defaults_of_the_tables() {
    let table = DeTable::parse(REFERENCE).expect("the reference file is TOML");
    let mut compared = 0;
    for entry in keys::all() {
        let Default::Is(default) = entry.default() else { continue };
        let section = describe::section_of(entry.at());
        if section == "alerts.target[]" {
            continue;
        }
        let path = entry.at().replace('*', "default").replace("[]", "[0]");
        let Some(span) = raw::place_of(REFERENCE, &path) else { continue };
        let line_end = REFERENCE[span.end..].find('\n').map_or(REFERENCE.len(), |at| span.end + at);
        let comment = REFERENCE[span.end..line_end].split_once("# default: ").map(|(_, comment)| comment);
        let literal = match comment {
            None => REFERENCE[span.clone()].to_owned(),
            Some(comment) if comment.starts_with("[]") => "[]".to_owned(),
            Some(comment) if comment.starts_with('"') => comment
                .split('"')
                .nth(1)
                .map(|inside| format!("\"{inside}\""))
                .expect("a quoted default is closed"),
            Some(_) => continue,
        };
        let value = |literal: &str| {
            let document = format!("value = {literal}");
            let table =
                DeTable::parse(&document).unwrap_or_else(|error| panic!("{path}: {literal}: {error}"));
            table.get_ref().get("value").and_then(|value| value_as_json(value.get_ref()))
        };
        assert_eq!(value(&literal), value(default), "{path}");
        compared += 1;
    }
    assert!(table.get_ref().len() > 15 && compared > 100, "only {compared} defaults were compared");
}

fn has_han(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

#[test]
fn every_key_section_and_code_has_both_texts() {
    let keys_and_sections = keys::all()
        .map(|entry| (entry.at(), entry.text().clone()))
        .chain(keys::SECTIONS.iter().map(|section| (section.at, section.text.clone())))
        .chain(Code::ALL.iter().map(|code| (code.word(), code.text())));
    for (name, text) in keys_and_sections {
        assert!(has_han(&text.zh) && !has_han(&text.en), "{name}: {text:?}");
        assert!(text.en.ends_with('.') && text.zh.ends_with('。'), "{name}: {text:?}");
    }
}

#[test]
fn everything_can_be_explained_in_both_languages() {
    for tongue in [Tongue::English, Tongue::Chinese] {
        let page = reference::reference(tongue);
        for entry in keys::all() {
            let path = describe::plain_path(entry.at());
            let subject = explain::find(&path).unwrap_or_else(|_| panic!("{path} is not found"));
            let shown = explain::explain(subject, tongue);
            assert!(shown.starts_with(&path) && shown.contains(entry.text().pick(tongue)), "{shown}");
            assert!(page.contains(&format!("### `{path}`")) && page.contains(entry.text().pick(tongue)));
        }
        for section in keys::SECTIONS {
            let header = describe::header(section.at);
            assert!(explain::find(&header).is_ok() && page.contains(&format!("## `{header}`")), "{header}");
        }
    }
    for (written, near) in
        [("timeouts.drian", Some("timeouts.drain")), ("acces", Some("access")), ("zzzz", None)]
    {
        let unknown = explain::find(written).err().unwrap_or_else(|| panic!("{written} is found"));
        assert_eq!(unknown.near.as_deref(), near, "{written}");
    }
    for written in [
        "model[0].args[2]",
        "plan.batch.weight",
        "plan.batch",
        "C012",
        "c012",
        "drain",
        "[[model]]",
        "[access]",
        "tls.eab",
    ] {
        assert!(explain::find(written).is_ok(), "{written}");
    }
}

/// The schema takes the reference file, and has no key that the tables do not have.
#[test]
fn the_schema_fits_the_reference_file() {
    let schema: serde_json::Value = serde_json::from_str(&schema::schema(Tongue::English)).expect("JSON");
    let table = DeTable::parse(REFERENCE).expect("TOML");
    let file = value_as_json(&DeValue::Table(table.into_inner())).expect("JSON has all of it");
    fits(&file, &schema, "");
    let mut leaves = HashSet::new();
    leaf_paths(&schema, "", &mut leaves);
    let declared: HashSet<String> = keys::all().map(|entry| entry.at().to_owned()).collect();
    assert_eq!(leaves, declared);
}

fn leaf_paths(schema: &serde_json::Value, path: &str, found: &mut HashSet<String>) {
    let join = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if schema["type"] == "object" {
        for (name, below) in schema["properties"].as_object().into_iter().flatten() {
            leaf_paths(below, &join(name), found);
        }
        if schema["additionalProperties"].is_object() {
            leaf_paths(&schema["additionalProperties"], &join("*"), found);
        }
    } else if schema["items"]["type"] == "object" {
        leaf_paths(&schema["items"], &format!("{path}[]"), found);
    } else {
        found.insert(path.to_owned());
    }
}

/// As much of JSON Schema as ours uses.
fn fits(value: &serde_json::Value, schema: &serde_json::Value, path: &str) {
    if let Some(choices) = schema["anyOf"].as_array() {
        let is_fine =
            choices.iter().any(|choice| std::panic::catch_unwind(|| fits(value, choice, path)).is_ok());
        assert!(is_fine, "{path}: {value} fits none of {choices:?}");
        return;
    }
    match schema["type"].as_str() {
        Some("object") => {
            for (name, below) in value.as_object().unwrap_or_else(|| panic!("{path} is no object")) {
                let known = match &schema["properties"][name] {
                    serde_json::Value::Null => &schema["additionalProperties"],
                    known => known,
                };
                assert!(known.is_object(), "{path}.{name} is not in the schema");
                fits(below, known, &format!("{path}.{name}"));
            }
            for required in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    value.get(required.as_str().expect("a name")).is_some(),
                    "{path}: {required} is missing"
                );
            }
        }
        Some("array") => {
            for item in value.as_array().unwrap_or_else(|| panic!("{path} is no list")) {
                fits(item, &schema["items"], path);
            }
        }
        Some("string") => {
            assert!(value.is_string(), "{path}");
            if let Some(words) = schema["enum"].as_array() {
                assert!(words.contains(value), "{path}: {value}");
            }
        }
        Some("integer") => assert!(value.is_i64() && value.as_f64() >= schema["minimum"].as_f64(), "{path}"),
        Some("number") => assert!(value.is_number(), "{path}"),
        Some("boolean") => assert!(value.is_boolean(), "{path}"),
        other => panic!("{path}: {other:?} is not used"),
    }
}
