//! `portico config explain`: a key, a section or a problem code in words.

use serde::Serialize;

use super::key::{Default, Entry, Section};
use super::problem::Code;
use super::{describe, key, keys, nearest};
use crate::types::{Text, Tongue, text};

/// What can be explained.
#[derive(Clone, Copy)]
pub(crate) enum Subject {
    Key(&'static dyn Entry),
    Section(&'static Section),
    Code(Code),
}

/// Nothing of that name, and what may be meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unknown {
    pub(crate) near: Option<String>,
}

/// A key or section as it is written in the file, in a problem or in the tables, or a code.
pub(crate) fn find(written: &str) -> Result<Subject, Unknown> {
    let written = written.trim().trim_start_matches('[').trim_end_matches(']');
    if let Some(code) = Code::from_word(written) {
        return Ok(Subject::Code(code));
    }
    let plain = describe::plain_path(written);
    if let Some(entry) = keys::all().find(|entry| key::matches(entry.at(), &plain)) {
        return Ok(Subject::Key(entry));
    }
    if let Some(section) = keys::SECTIONS.iter().find(|section| key::matches(section.at, &plain)) {
        return Ok(Subject::Section(section));
    }
    // A bare last part, where only one key has it.
    let mut same = keys::all().filter(|entry| key::last_part(entry.at()) == plain);
    if let (Some(entry), None) = (same.next(), same.next()) {
        return Ok(Subject::Key(entry));
    }
    let paths: Vec<String> = keys::all()
        .map(|entry| entry.at())
        .chain(keys::SECTIONS.iter().map(|section| section.at))
        .map(describe::plain_path)
        .collect();
    let near = nearest(&plain, paths.iter().map(String::as_str)).map(str::to_owned);
    Err(Unknown { near })
}

/// Plain text for a terminal.
pub(crate) fn explain(subject: Subject, tongue: Tongue) -> String {
    match subject {
        Subject::Code(code) => format!("{}\n  {}\n", code.word(), code.text().pick(tongue)),
        Subject::Section(section) => explain_section(section, tongue),
        Subject::Key(entry) => explain_key(entry, tongue),
    }
}

fn explain_section(section: &Section, tongue: Tongue) -> String {
    let mut shown = format!("{}\n  {}\n\n", describe::header(section.at), section.text.pick(tongue));
    let width = section.keys.iter().map(|entry| key::last_part(entry.at()).len()).max().unwrap_or(0);
    for entry in section.keys {
        let name = key::last_part(entry.at());
        shown.push_str(&format!("  {name:width$}  {}\n", entry.text().pick(tongue)));
    }
    shown
}

fn explain_key(entry: &dyn Entry, tongue: Tongue) -> String {
    let (shape, at) = (entry.shape(), entry.at());
    let mut lines = vec![
        (text!("Takes", "取值"), describe::kind(&shape)),
        (text!("Default", "默认"), describe::default(entry)),
    ];
    if let Some(range) = describe::range(&shape) {
        lines.push((text!("Range", "范围"), range));
    }
    lines.push((text!("Built", "已实现"), describe::built(entry.built())));
    let mut shown = format!("{}\n  {}\n\n", describe::plain_path(at), entry.text().pick(tongue));
    for (name, text) in lines {
        shown.push_str(&format!("  {}: {}\n", name.pick(tongue), text.pick(tongue)));
    }
    if let Default::Is(written) = entry.default() {
        let header = describe::header(describe::section_of(at));
        shown.push_str(&format!("\n  {header}\n  {} = {written}\n", key::last_part(at)));
    }
    shown
}

/// A key in `--json`.
#[derive(Debug, Serialize)]
pub(crate) struct JsonKey {
    key: String,
    section: String,
    takes: String,
    default: String,
    range: Option<String>,
    built: bool,
    status: String,
    text: String,
}

pub(crate) fn json_key(entry: &dyn Entry, tongue: Tongue) -> JsonKey {
    let pick = |text: Text| text.pick(tongue).to_owned();
    let (shape, at) = (entry.shape(), entry.at());
    JsonKey {
        key: describe::plain_path(at),
        section: describe::header(describe::section_of(at)),
        takes: pick(describe::kind(&shape)),
        default: pick(describe::default(entry)),
        range: describe::range(&shape).map(pick),
        built: entry.built() == super::key::Built::Yes,
        status: pick(describe::built(entry.built())),
        text: pick(entry.text().clone()),
    }
}

/// `--json`: an object for a key, an array for a section.
pub(crate) fn explain_json(subject: Subject, tongue: Tongue) -> serde_json::Value {
    let value = match subject {
        Subject::Code(code) => {
            Ok(serde_json::json!({ "code": code.word(), "text": code.text().pick(tongue) }))
        }
        Subject::Section(section) => serde_json::to_value(
            section.keys.iter().map(|entry| json_key(*entry, tongue)).collect::<Vec<_>>(),
        ),
        Subject::Key(entry) => serde_json::to_value(json_key(entry, tongue)),
    };
    value.unwrap_or_default()
}
