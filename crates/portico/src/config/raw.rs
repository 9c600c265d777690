//! The file as it is written: a tree of values that know their place. Nothing is judged here but whether every name is
//! known.
//!
//! Not a serde mirror: serde stops at the first wrong type, and a person wants to hear everything at once. The key tables
//! are the mirror instead, and a test holds them against the reference file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::key::Section;
use super::keys::SECTIONS;
use super::problem::{Code, Problem, Spot};
use super::syntax::whole_characters;
use super::{key, keys, nearest};
use crate::types::{Text, text};

/// Complains about every key and section that is not known, and about sections that are not written as such.
pub(crate) fn check_names(table: &DeTable<'_>, problems: &mut Vec<Problem>) {
    Walk { problems }.table(table, "", "");
}

struct Walk<'p> {
    problems: &'p mut Vec<Problem>,
}

impl Walk<'_> {
    /// `pattern` is the table's path in the key tables (`plan.*`), `path` the one that is written (`plan.batch`).
    fn table(&mut self, table: &DeTable<'_>, pattern: &str, path: &str) {
        for (name, value) in table.iter() {
            let written = join(path, name.get_ref());
            let spot = Spot { key: written.clone(), span: Some(name.span()) };
            let exact = join(pattern, name.get_ref());
            let any = join(pattern, "*");
            if is_key(&exact) {
                continue;
            }
            if is_section(&exact) {
                self.section(value, &exact, &spot);
            } else if is_section(&format!("{exact}[]")) {
                self.sections(value, &format!("{exact}[]"), &spot);
            } else if is_section(&any) {
                self.named_section(value, &any, &spot, name.get_ref());
            } else {
                self.problems.push(unknown(&spot, pattern, name.get_ref(), value));
            }
        }
    }

    fn section(&mut self, value: &Spanned<DeValue<'_>>, pattern: &str, spot: &Spot) {
        match value.get_ref() {
            DeValue::Table(table) => self.table(table, pattern, &spot.key),
            DeValue::Array(items) if items.iter().any(|item| item.get_ref().is_table()) => {
                let key = &spot.key;
                self.problems.push(
                    Problem::error(
                        Code::WrongType,
                        spot,
                        text!("`{key}` is one section, not several", "`{key}` 只能有一个小节,不能有多个"),
                    )
                    .label(text!("write [{key}]", "请写 [{key}]")),
                );
            }
            _ => self.not_a_section(spot, &format!("[{}]", spot.key)),
        }
    }

    fn sections(&mut self, value: &Spanned<DeValue<'_>>, pattern: &str, spot: &Spot) {
        let header = format!("[[{}]]", spot.key);
        match value.get_ref() {
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    match item.get_ref() {
                        DeValue::Table(table) => {
                            self.table(table, pattern, &format!("{}[{index}]", spot.key))
                        }
                        _ => self.not_a_section(spot, &header),
                    }
                }
            }
            _ => self.not_a_section(spot, &header),
        }
    }

    fn named_section(&mut self, value: &Spanned<DeValue<'_>>, pattern: &str, spot: &Spot, name: &str) {
        let DeValue::Table(table) = value.get_ref() else {
            // `[plan]` with keys right below it: the name of the plan was left out.
            let parent = pattern.trim_end_matches(".*");
            let known = is_key(&format!("{pattern}.{name}"));
            let problem = unknown(spot, parent, name, value);
            self.problems.push(if known {
                problem.help(text!("write it below [{parent}.default]", "请写在 [{parent}.default] 之下"))
            } else {
                problem
            });
            return;
        };
        self.table(table, pattern, &spot.key);
    }

    fn not_a_section(&mut self, spot: &Spot, header: &str) {
        let key = &spot.key;
        self.problems.push(
            Problem::error(
                Code::WrongType,
                spot,
                text!("`{key}` is a section with keys of its own", "`{key}` 是含有自己各键的小节"),
            )
            .label(text!("write {header}", "请写 {header}")),
        );
    }
}

fn unknown(spot: &Spot, pattern: &str, name: &str, value: &Spanned<DeValue<'_>>) -> Problem {
    let key = &spot.key;
    let is_section_like = matches!(value.get_ref(), DeValue::Table(_));
    let problem = if is_section_like {
        Problem::error(Code::UnknownKey, spot, text!("unknown section `{key}`", "未知的小节 `{key}`"))
    } else {
        Problem::error(Code::UnknownKey, spot, text!("unknown key `{key}`", "未知的键 `{key}`"))
    };
    let secret_file = format!("{name}_file");
    if is_key(&join(pattern, &secret_file)) {
        return Problem { code: Code::SecretInFile, ..problem }
            .label(text!("write `{secret_file}` and the path of a file", "请写 `{secret_file}` 和文件路径"))
            .why(text!(
                "this file is shown, copied and mailed; a secret in it would go along",
                "配置文件会被展示、复制和发送,写在其中的机密也会随之泄露"
            ));
    }
    if let Some(home) = elsewhere(name) {
        return problem
            .label(text!("`{name}` belongs to {home}", "`{name}` 属于 {home}"))
            .why(text!("a key belongs to the last section header above it", "键属于它上方最近的小节标题"));
    }
    if looks_secret(name) {
        return Problem { code: Code::SecretInFile, ..problem }
            .label(Text::fixed("not known here, and it looks like a secret", "此处没有这个键,而且它像是机密"))
            .why(text!(
                "this file is shown, copied and mailed; a secret in it would go along",
                "配置文件会被展示、复制和发送,写在其中的机密也会随之泄露"
            ));
    }
    if let Some(near) = nearest(name, children(pattern)) {
        return problem.label(text!("did you mean `{near}`?", "是否想写 `{near}`?"));
    }
    problem.label(Text::fixed("not known here", "此处没有这个键")).why(text!(
        "a key that is skipped in silence protects nobody, so none is",
        "被悄悄忽略的键保护不了任何人,因此一个也不忽略"
    ))
}

/// Such a value is masked where the line is shown.
fn looks_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    ["password", "passwd", "secret", "token", "api_key", "apikey", "hmac", "credential", "private"]
        .iter()
        .any(|word| name.contains(word))
        && !name.ends_with("_file")
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// Where a key is written, for a problem that was found without the file at hand. `listen.http[1]` finds the item.
/// `None`: some part of the path is not written.
pub(crate) fn place_of(written: &str, key: &str) -> Option<Range<usize>> {
    let (document, _) = DeTable::parse_recoverable(written);
    let mut table = Some(document.get_ref());
    let mut span = None;
    for part in key.split('.') {
        let (name, index) = match part.strip_suffix(']').and_then(|part| part.split_once('[')) {
            Some((name, index)) => (name, Some(index.parse::<usize>().ok()?)),
            None => (part, None),
        };
        let mut value = table?.get(name)?;
        if let Some(index) = index {
            value = value.get_ref().as_array()?.get(index)?;
        }
        span = Some(whole_characters(written, value.span()));
        table = value.get_ref().as_table();
    }
    span
}

fn is_key(pattern: &str) -> bool {
    keys::all().any(|key| key.at() == pattern)
}

/// A section with keys, or one that only holds other sections (`plan`).
fn is_section(pattern: &str) -> bool {
    SECTIONS.iter().any(|section| {
        section.at == pattern || section.at.strip_prefix(pattern).is_some_and(|rest| rest.starts_with('.'))
    })
}

/// The names that are known right below a table.
pub(crate) fn children(pattern: &str) -> impl Iterator<Item = &'static str> {
    let prefix = if pattern.is_empty() { String::new() } else { format!("{pattern}.") };
    let below = move |at: &'static str| {
        at.strip_prefix(prefix.as_str())
            .and_then(|rest| rest.split('.').next())
            .map(|name| name.trim_end_matches("[]"))
    };
    let sections = SECTIONS.iter().map(|section: &&Section| section.at);
    let mut names: Vec<&'static str> = keys::all()
        .map(|key| key.at())
        .chain(sections)
        .filter_map(below)
        .filter(|name| *name != "*")
        .collect();
    names.dedup();
    names.into_iter()
}

/// The one section that has a key of this name, as its header is written.
fn elsewhere(name: &str) -> Option<String> {
    let mut homes = keys::all().filter(|entry| key::last_part(entry.at()) == name).map(|entry| entry.at());
    let home = homes.next()?;
    if homes.next().is_some() {
        return None;
    }
    let section = home.strip_suffix(name)?.trim_end_matches('.');
    Some(match section.strip_suffix("[]") {
        Some(list) => format!("[[{list}]]"),
        None => format!("[{}]", section.replace('*', "NAME")),
    })
}
