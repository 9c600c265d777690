//! Reads the keys of one section by their rules, notes what is wrong, and what is written but not built yet.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Environment;
use super::form;
use super::key::{Built, Default, Key, Rule};
use super::problem::{Code, Problem, Severity, Spot};
use crate::types::text;

/// What is gathered while the file is judged.
pub(crate) struct Judge<'e> {
    pub(crate) environment: &'e Environment,
    /// Relative paths of the file are meant from here: the folder of the file, so that `reload` and `run` agree
    /// wherever they are called from.
    pub(crate) base: PathBuf,
    pub(crate) problems: Vec<Problem>,
    /// Written keys whose feature does not exist yet, with the severity that `run` gives them.
    pub(crate) unbuilt: Vec<Problem>,
}

impl Judge<'_> {
    pub(crate) fn push(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    pub(crate) fn absolute(&self, path: PathBuf) -> PathBuf {
        if path.is_absolute() { path } else { self.base.join(path) }
    }
}

/// One section of the file, or its absence.
pub(crate) struct Reader<'j, 'e, 't> {
    pub(crate) judge: &'j mut Judge<'e>,
    table: Option<&'t DeTable<'t>>,
    /// Such as `plan.batch` or `model[0]`.
    path: String,
    /// Where the section is named.
    header: Option<Range<usize>>,
    /// Inside of a section that is noted as a whole its keys are not noted again.
    noting: bool,
}

type Value<'t> = Spanned<DeValue<'t>>;

impl<'j, 'e, 't> Reader<'j, 'e, 't> {
    pub(crate) fn of_file(judge: &'j mut Judge<'e>, table: &'t DeTable<'t>) -> Self {
        Self { judge, table: Some(table), path: String::new(), header: None, noting: true }
    }

    /// The section of that name below this one; where it is not written every key takes its default.
    pub(crate) fn section<'s>(&'s mut self, name: &str) -> Reader<'s, 'e, 't> {
        let found = self.table.and_then(|table| table.get_key_value(name));
        let table = found.and_then(|(_, value)| value.get_ref().as_table());
        let header = found.map(|(key, _)| key.span());
        let path = self.path_of(name);
        Reader { judge: &mut *self.judge, table, path, header, noting: self.noting }
    }

    /// The names of the tables below this section, in file order.
    pub(crate) fn names(&self) -> Vec<String> {
        let Some(table) = self.table else { return Vec::new() };
        table
            .iter()
            .filter(|(_, value)| value.get_ref().is_table())
            .map(|(key, _)| key.get_ref().to_string())
            .collect()
    }

    /// How many tables `[[name]]` has.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.array(name).map_or(0, <[Value<'t>]>::len)
    }

    /// The table `[[name]]` with that index.
    pub(crate) fn element<'s>(&'s mut self, name: &str, index: usize) -> Reader<'s, 'e, 't> {
        let value = self.array(name).and_then(|array| array.get(index));
        let table = value.and_then(|value| value.get_ref().as_table());
        let header = value.map(Spanned::span);
        let path = format!("{}[{index}]", self.path_of(name));
        Reader { judge: &mut *self.judge, table, path, header, noting: self.noting }
    }

    fn array(&self, name: &str) -> Option<&'t [Value<'t>]> {
        self.table
            .and_then(|table| table.get(name))
            .and_then(|value| value.get_ref().as_array())
            .map(|array| &**array)
    }

    /// This section as a place.
    pub(crate) fn spot(&self) -> Spot {
        Spot { key: self.path.clone(), span: self.header.clone() }
    }

    /// The value of a key as a place; without a span where it is not written.
    pub(crate) fn spot_of<R>(&self, key: &Key<R>) -> Spot {
        Spot { key: self.path_of(key.name()), span: self.written(key).map(Spanned::span) }
    }

    /// An item of a list.
    pub(crate) fn spot_of_item<R>(&self, key: &Key<R>, index: usize) -> Spot {
        let items = self.written(key).and_then(|value| value.get_ref().as_array());
        let path = self.path_of(key.name());
        match items.and_then(|items| items.get(index)) {
            Some(item) => Spot { key: format!("{path}[{index}]"), span: Some(item.span()) },
            None => Spot { key: path, span: None },
        }
    }

    pub(crate) fn is_written<R>(&self, key: &Key<R>) -> bool {
        self.written(key).is_some()
    }

    /// The value of a key, or its default. `None`: it is wrong, and that has been said.
    pub(crate) fn take<R: Rule>(&mut self, key: &Key<R>) -> Option<R::Value> {
        match &key.default {
            Default::Is(written) => {
                let default = self.default_value(key, written)?;
                self.take_or(key, default)
            }
            Default::Required if !self.is_written(key) => {
                let (section, name) = (self.spot(), key.name());
                let path = self.path_of(name);
                self.judge.push(
                    Problem::error(Code::Missing, &section, text!("`{path}` is missing", "缺少 `{path}`"))
                        .help(text!("add `{name} = …` to this section", "请在此小节中加上 `{name} = …`")),
                );
                None
            }
            Default::Required | Default::Depends(_) => self.take_written(key).ok().flatten(),
        }
    }

    /// Like [`Reader::take`], for a default that follows from other keys or from the surroundings.
    pub(crate) fn take_or<R: Rule>(&mut self, key: &Key<R>, default: R::Value) -> Option<R::Value> {
        match self.take_written(key) {
            Ok(Some(value)) => {
                self.note_unless_default(key, &value, &default);
                Some(value)
            }
            Ok(None) => Some(default),
            Err(Said) => None,
        }
    }

    /// `None`: not written.
    pub(crate) fn take_written<R: Rule>(&mut self, key: &Key<R>) -> Result<Option<R::Value>, Said> {
        let Some(value) = self.written(key) else { return Ok(None) };
        let spot = self.spot_of(key);
        key.rule.judge(&spot, value, &mut self.judge.problems).map(Some).ok_or(Said)
    }

    fn default_value<R: Rule>(&mut self, key: &Key<R>, written: &str) -> Option<R::Value> {
        let document = format!("default = {written}");
        let mut problems = Vec::new();
        let spot = Spot { key: self.path_of(key.name()), span: None };
        let value = DeTable::parse(&document)
            .ok()
            .and_then(|table| key.rule.judge(&spot, table.get_ref().get("default")?, &mut problems));
        if value.is_none() {
            let at = key.at;
            self.judge.push(Problem::error(
                Code::Internal,
                &spot,
                text!(
                    "the default of `{at}` does not pass its own rule",
                    "`{at}` 的默认值没有通过自己的规则"
                ),
            ));
        }
        value
    }

    fn note_unless_default<R: Rule>(&mut self, key: &Key<R>, value: &R::Value, default: &R::Value) {
        let asks =
            value != default && !self.written(key).is_some_and(|written| asks_nothing(written.get_ref()));
        if !asks {
            return;
        }
        let severity = match key.built {
            Built::Yes => return,
            Built::Later => Severity::Warning,
            Built::LaterProtects => Severity::Error,
            Built::LaterProtectsRoot if self.judge.environment.root => Severity::Error,
            Built::LaterProtectsRoot => Severity::Warning,
        };
        self.note(&self.spot_of(key), severity);
    }

    /// Notes that what is written there is not built yet.
    pub(crate) fn note(&mut self, spot: &Spot, severity: Severity) {
        if self.noting {
            self.judge.unbuilt.push(not_built(spot, severity));
        }
    }

    /// Notes the section as a whole and keeps quiet about its keys.
    pub(crate) fn note_whole(&mut self, severity: Severity) {
        self.note(&self.spot(), severity);
        self.noting = false;
    }

    fn written<R>(&self, key: &Key<R>) -> Option<&'t Value<'t>> {
        self.table.and_then(|table| table.get(key.name()))
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }

    /// A path of the file made absolute.
    pub(crate) fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.judge.absolute(path.as_ref().to_owned())
    }
}

/// The value is wrong, and a problem says so.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Said;

pub(crate) fn not_built(spot: &Spot, severity: Severity) -> Problem {
    let key = &spot.key;
    match severity {
        Severity::Warning => Problem::warning(
            Code::NotBuilt,
            spot,
            text!("`{key}` is not built yet in this version", "此版本尚未实现 `{key}`"),
        )
        .label(text!("accepted, and does nothing yet", "会被接受,但目前不起作用")),
        Severity::Error => Problem::error(
            Code::NotBuiltProtection,
            spot,
            text!(
                "`{key}` would protect something and is not built yet",
                "`{key}` 起保护作用,但此版本尚未实现"
            ),
        )
        .label(text!("not enforced by this version", "此版本不会执行"))
        .help(text!(
            "leave it out until it is built: `portico run` refuses to start with it",
            "在实现之前请去掉它:写着它时 `portico run` 拒绝启动"
        )),
    }
}

/// `false`, `""`, `[]` and zero durations ask for nothing, so nothing is lost where the feature is missing.
fn asks_nothing(value: &DeValue<'_>) -> bool {
    match value {
        DeValue::Boolean(flag) => !flag,
        DeValue::String(written) => {
            written.is_empty() || form::duration(written).is_ok_and(|period| period.is_zero())
        }
        DeValue::Array(items) => items.is_empty(),
        _ => false,
    }
}
