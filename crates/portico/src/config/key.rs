//! One key of the file: its path, the rule for its value, its default, whether its feature is built, and its text.
//!
//! The tables in `keys/` are the one place where a key is declared. Reading, `config reference`, `config schema`,
//! `config explain` and the notes about what is not built yet all come from there.

use toml::Spanned;
use toml::de::DeValue;

use super::problem::{Problem, Spot};
use crate::types::Text;

/// A key with the rule that turns what is written into a value of its own type.
#[derive(Debug)]
pub(crate) struct Key<R> {
    /// `timeouts.drain`, `plan.*.weight` (`*`: a name), `model[].name` (`[]`: each of `[[model]]`).
    pub(crate) at: &'static str,
    pub(crate) rule: R,
    pub(crate) default: Default,
    pub(crate) built: Built,
    pub(crate) text: Text,
}

/// What holds when the key is not written.
#[derive(Debug)]
pub(crate) enum Default {
    /// As it would stand in the file. Read by the same rule, so that a default can't be out of range.
    Is(&'static str),
    /// Decided by the check from other keys or from the surroundings.
    Depends(Text),
    /// It must be written wherever its section is.
    Required,
}

/// Whether the key does something yet. A value that asks for nothing (false, empty, zero) is never spoken about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Built {
    Yes,
    /// Not yet, and nothing is less safe without it: a warning where it is written and not the default.
    Later,
    /// Not yet, and it would protect something: `run` refuses to start with it.
    LaterProtects,
    /// Like `LaterProtects`, but only a process started as root needs the protection.
    LaterProtectsRoot,
}

/// What the value of a key may look like, for people and for JSON Schema.
#[derive(Debug, Clone)]
pub(crate) enum Shape {
    Flag,
    Whole {
        min: u64,
        max: u64,
        zero: Option<Text>,
    },
    Number {
        min: f64,
        max: f64,
    },
    /// `"300s"`, between two others; `zero`: `"0s"` is taken too and means this.
    Period {
        min: &'static str,
        max: &'static str,
        zero: Option<Text>,
    },
    /// `"64MiB"`.
    Size {
        min: &'static str,
        max: &'static str,
    },
    Words(Vec<&'static str>),
    /// Text of a form that is described in words.
    Form(Text),
    /// These words, or the other shape.
    WordsOr(Vec<&'static str>, Box<Shape>),
    List {
        item: Box<Shape>,
        max: usize,
    },
}

/// Turns a written value into a typed one, or says why not.
pub(crate) trait Rule: Sync + std::fmt::Debug {
    type Value: Clone + PartialEq;

    fn judge(
        &self,
        spot: &Spot,
        value: &Spanned<DeValue<'_>>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self::Value>;

    fn shape(&self) -> Shape;
}

/// A key without the type of its value: what reference, schema and explain see.
pub(crate) trait Entry: Sync {
    fn at(&self) -> &'static str;
    fn shape(&self) -> Shape;
    fn default(&self) -> &Default;
    fn built(&self) -> Built;
    fn text(&self) -> &Text;
    /// Judges a value by the key's rule and drops the result: for the tests over all keys.
    #[cfg(test)]
    fn judge_any(&self, spot: &Spot, value: &Spanned<DeValue<'_>>, problems: &mut Vec<Problem>) -> bool;
}

impl<R: Rule> Entry for Key<R> {
    fn at(&self) -> &'static str {
        self.at
    }
    fn shape(&self) -> Shape {
        self.rule.shape()
    }
    fn default(&self) -> &Default {
        &self.default
    }
    fn built(&self) -> Built {
        self.built
    }
    fn text(&self) -> &Text {
        &self.text
    }
    #[cfg(test)]
    fn judge_any(&self, spot: &Spot, value: &Spanned<DeValue<'_>>, problems: &mut Vec<Problem>) -> bool {
        self.rule.judge(spot, value, problems).is_some()
    }
}

impl<R> Key<R> {
    /// The last part of the path, as it stands before the `=`.
    pub(crate) fn name(&self) -> &'static str {
        last_part(self.at)
    }
}

pub(crate) fn last_part(at: &'static str) -> &'static str {
    at.rsplit('.').next().unwrap_or(at)
}

/// A section of the file: `[timeouts]`, `[plan.NAME]`, `[[model]]`, or an inline table such as `tls.eab`.
pub(crate) struct Section {
    /// The common path of its keys, such as `plan.*`.
    pub(crate) at: &'static str,
    pub(crate) text: Text,
    pub(crate) keys: &'static [&'static (dyn Entry + 'static)],
}

/// Whether a path of the tables (`plan.*.weight`, `model[].name`) covers a written one (`plan.batch.weight`,
/// `model[0].name`, `model.name`).
pub(crate) fn matches(at: &str, written: &str) -> bool {
    let at = at.replace("[]", "");
    let written = without_indexes(written);
    let (mut left, mut right) = (at.split('.'), written.split('.'));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return true,
            (Some("*"), Some(name)) if !name.is_empty() => {}
            (Some(left), Some(right)) if left == right => {}
            _ => return false,
        }
    }
}

/// `model[0].args[2]` is explained as `model.args`.
pub(crate) fn without_indexes(written: &str) -> String {
    let mut shown = String::with_capacity(written.len());
    let mut inside = false;
    for character in written.chars() {
        match character {
            '[' => inside = true,
            ']' => inside = false,
            other if !inside => shown.push(other),
            _ => {}
        }
    }
    shown
}
