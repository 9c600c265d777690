//! Problems as people read them, in the layout of rustc, and as `--json`.

use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

use super::problem::{Code, Problem, Severity};
use super::source::Document;
use super::{key, keys, raw};
use crate::types::{Text, Tongue, text};

/// How to show problems.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Render {
    pub(crate) tongue: Tongue,
    pub(crate) colour: bool,
}

impl Render {
    /// Every problem, a blank line after each, and the line that counts them.
    pub(crate) fn all(self, document: &Document, problems: &[Problem]) -> String {
        let problems = &located(document, problems);
        let shown = masked(document, problems);
        let mut text = String::new();
        for problem in problems {
            text.push_str(&self.one(&shown, problem));
            text.push_str("\n\n");
        }
        text.push_str(&self.count(problems));
        text.push('\n');
        text
    }

    /// `2 errors, 1 warning.`
    pub(crate) fn count(self, problems: &[Problem]) -> String {
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
        let warnings = problems.len() - errors;
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        match self.tongue {
            Tongue::English => {
                format!("{errors} error{}, {warnings} warning{}.", plural(errors), plural(warnings))
            }
            Tongue::Chinese => format!("{errors} 个错误,{warnings} 个警告。"),
        }
    }

    fn one(self, document: &Document, problem: &Problem) -> String {
        let Problem { code, severity, spot, message, label, why, help, also } = problem;
        let pick = |text: &Text| text.pick(self.tongue).to_owned();
        let level = match severity {
            Severity::Error => Level::ERROR.with_name(pick(&text!("error", "错误"))),
            Severity::Warning => Level::WARNING.with_name(pick(&text!("warning", "警告"))),
        };
        let title = level.primary_title(pick(message)).id(code.word());
        let mut group = Group::with_title(title);
        if let Some(span) = &spot.span {
            let mut mark = AnnotationKind::Primary.span(visible(span, &document.text));
            if let Some(label) = label {
                mark = mark.label(pick(label));
            }
            let mut snippet =
                Snippet::source(document.text.as_str()).path(document.shown_path()).annotation(mark);
            if let Some((span, label)) = also {
                snippet = snippet.annotation(
                    AnnotationKind::Context.span(visible(span, &document.text)).label(pick(label)),
                );
            }
            group = group.element(snippet);
        } else if let Some(label) = label {
            group = group.element(Level::NOTE.no_name().message(pick(label)));
        }
        if let Some(why) = why {
            let name = pick(&text!("why ", "原因"));
            group = group.element(Level::NOTE.with_name(name).message(pick(why)));
        }
        let name = pick(&text!("help", "帮助"));
        if let Some(help) = help {
            group = group.element(Level::HELP.with_name(name.clone()).message(pick(help)));
        }
        let subject = explained(*code, &spot.key);
        group =
            group.element(Level::HELP.with_name(name).message(format!("portico config explain {subject}")));
        let renderer = if self.colour { Renderer::styled() } else { Renderer::plain() };
        renderer.render(&[group]).trim_end().to_owned()
    }
}

impl Document {
    /// The file's name in messages.
    pub(crate) fn shown_path(&self) -> String {
        self.path.as_ref().map_or_else(|| "portico.toml".to_owned(), |path| path.display().to_string())
    }
}

/// The most exact thing that `config explain` knows about a problem: its key, its section, or its code.
fn explained(code: Code, written: &str) -> String {
    let known = |key: &str| {
        keys::all().any(|entry| key::matches(entry.at(), key))
            || keys::SECTIONS.iter().any(|section| key::matches(section.at, key))
    };
    let mut key = written.to_owned();
    if let Some((list, _)) = key.rsplit_once('[').filter(|_| key.ends_with(']')) {
        let list = list.to_owned();
        if known(&list) {
            key = list;
        }
    }
    if !key.is_empty() && known(&key) { key::without_indexes(&key) } else { code.word().to_owned() }
}

/// An empty span marks nothing; the character there, or the one before, is shown instead.
fn visible(span: &Range<usize>, source: &str) -> Range<usize> {
    if !span.is_empty() {
        return span.clone();
    }
    match source[span.start..].chars().next() {
        Some(next) if next != '\n' => span.start..span.start + next.len_utf8(),
        _ => span.clone(),
    }
}

/// Problems of a checked configuration know their key but not its place in the file.
fn located(document: &Document, problems: &[Problem]) -> Vec<Problem> {
    let mut located = problems.to_vec();
    for problem in &mut located {
        if problem.spot.span.is_none() && !problem.spot.key.is_empty() {
            problem.spot.span = raw::place_of(&document.text, &problem.spot.key);
        }
    }
    located
}

/// The lines of the file that may hold a secret in place of a file's name are shown with stars: reports get mailed.
fn masked(document: &Document, problems: &[Problem]) -> Document {
    let mut text = document.text.clone();
    for span in problems
        .iter()
        .filter(|problem| problem.code == Code::SecretInFile)
        .filter_map(|problem| problem.spot.span.clone())
    {
        let line_end = text[span.end..].find('\n').map_or(text.len(), |at| span.end + at);
        let stars: String =
            text[span.end..line_end].chars().map(|c| if c == ' ' || c == '=' { c } else { '*' }).collect();
        // Spans of later problems must still fit, so a character of several bytes becomes as many stars.
        let padding = (line_end - span.end) - stars.len();
        text.replace_range(span.end..line_end, &format!("{stars}{}", "*".repeat(padding)));
    }
    Document { path: document.path.clone(), text }
}

/// One problem in `--json`.
#[derive(Debug, Serialize)]
struct JsonProblem<'a> {
    code: &'a str,
    severity: &'a str,
    key: &'a str,
    message: &'a str,
    label: Option<&'a str>,
    why: Option<&'a str>,
    help: String,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
}

/// An array of `{code, severity, key, message, label, why, help, file, line, column}`.
pub(crate) fn json(document: &Document, problems: &[Problem], tongue: Tongue) -> String {
    let problems = located(document, problems);
    let list: Vec<JsonProblem<'_>> = problems
        .iter()
        .map(|problem| {
            let place = problem.spot.span.as_ref().map(|span| line_and_column(&document.text, span.start));
            JsonProblem {
                code: problem.code.word(),
                severity: problem.severity.word(),
                key: &problem.spot.key,
                message: problem.message.pick(tongue),
                label: problem.label.as_ref().map(|text| text.pick(tongue)),
                why: problem.why.as_ref().map(|text| text.pick(tongue)),
                help: match &problem.help {
                    Some(help) => help.pick(tongue).to_owned(),
                    None => format!("portico config explain {}", explained(problem.code, &problem.spot.key)),
                },
                file: document.path.as_ref().map(|path| path.display().to_string()),
                line: place.map(|(line, _)| line),
                column: place.map(|(_, column)| column),
            }
        })
        .collect();
    serde_json::to_string_pretty(&list).unwrap_or_else(|_| "[]".to_owned())
}

/// Counted from 1; columns in characters, as editors count them.
fn line_and_column(source: &str, at: usize) -> (usize, usize) {
    let before = &source[..at.min(source.len())];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
