//! TOML's own mistakes, each said once and in the reader's language.

use std::collections::HashSet;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{Code, Problem, Spot};
use crate::types::text;

/// A parsed file, as far as it could be parsed.
pub(crate) struct Parsed<'t> {
    pub(crate) table: Spanned<DeTable<'t>>,
    /// What stands from here on was swallowed by a bracket that is never closed, and must not be judged.
    sound_until: usize,
    /// Lines with a mistake of TOML: what their values seem to be is a guess of the parser.
    broken_lines: HashSet<usize>,
}

impl Parsed<'_> {
    /// Whether a problem is about what was really written.
    pub(crate) fn is_sound(&self, written: &str, problem: &Problem) -> bool {
        problem.spot.span.as_ref().is_none_or(|span| {
            span.start < self.sound_until && !self.broken_lines.contains(&line_of(written, span.start))
        })
    }
}

fn line_of(written: &str, at: usize) -> usize {
    written[..at].matches('\n').count()
}

pub(crate) fn parse<'t>(written: &'t str, problems: &mut Vec<Problem>) -> Parsed<'t> {
    let (table, errors) = DeTable::parse_recoverable(written);
    let mut errors: Vec<(String, Range<usize>)> = errors
        .iter()
        .map(|error| (error.message().to_owned(), whole_characters(written, error.span().unwrap_or(0..0))))
        .collect();
    errors.sort_by_key(|(_, span)| span.start);
    let unclosed = errors.iter().any(|(message, _)| is_unclosed(message));
    let opener = errors.first().filter(|_| unclosed).and_then(|(_, first)| {
        opening(table.get_ref(), written, first.start).or(Some(first.start..first.end))
    });
    let sound_until = opener.as_ref().map_or(usize::MAX, |opener| opener.start);
    if let Some(opener) = opener {
        problems.push(
            Problem::error(
                Code::Syntax,
                &Spot { key: String::new(), span: Some(opener) },
                text!("not valid TOML: this is never closed", "不是合法的 TOML:此处没有闭合"),
            )
            .label(text!("opened here", "在此处打开")),
        );
    }
    // One slip of the pen makes several errors of the parser; the first of a line says what is wrong.
    let mut lines = HashSet::new();
    for (message, span) in errors.into_iter().filter(|(_, span)| span.start < sound_until) {
        if lines.insert(line_of(written, span.start)) {
            let is_empty = written[span.clone()].trim().is_empty();
            let message =
                if is_empty && message.starts_with(UNQUOTED) { "missing value" } else { message.as_str() };
            problems.push(problem(message, span));
        }
    }
    Parsed { table, sound_until, broken_lines: lines }
}

/// What the parser says of a bare word, and of nothing at all.
const UNQUOTED: &str = "string values must be quoted";

fn is_unclosed(message: &str) -> bool {
    // "unclosed array table" is another matter: a header, which ends with its line.
    let cause = cause_of(message);
    cause == "unclosed array" || cause == "unclosed inline table"
}

/// The message without what the parser would have expected.
fn cause_of(message: &str) -> &str {
    message.split([',', '\n']).next().unwrap_or(message)
}

fn problem(message: &str, span: Range<usize>) -> Problem {
    let spot = Spot { key: String::new(), span: Some(span) };
    let said = message.replace('\n', ", ");
    let cause = cause_of(message);
    let code = if cause.starts_with("duplicate key") { Code::Duplicate } else { Code::Syntax };
    let problem = match translated(cause) {
        Some(chinese) => {
            Problem::error(code, &spot, text!("not valid TOML: {said}", "不是合法的 TOML:{chinese}"))
        }
        None => Problem::error(code, &spot, text!("not valid TOML: {said}", "不是合法的 TOML:{said}")),
    };
    match cause {
        UNQUOTED => problem.label(text!("put it into \"quotes\"", "请加上引号 \"…\"")),
        _ => problem,
    }
}

/// The parser's words for what people really get wrong.
fn translated(cause: &str) -> Option<&'static str> {
    Some(match cause {
        UNQUOTED => "文本值必须加引号",
        "duplicate key" => "键重复",
        "missing comma between array elements" => "数组元素之间缺少逗号",
        "missing comma between key-value pairs" => "键值对之间缺少逗号",
        "missing assignment between key-value pairs" | "key with no value" => "键后面缺少 = 和值",
        "missing value" | "missing value for key" => "缺少值",
        "missing opening quote" => "缺少开始的引号",
        "unexpected key or value" | "unexpected content" => "此处有多余的内容",
        "unclosed table" | "unclosed array table" => "小节标题没有闭合的方括号",
        "invalid unquoted key" => "键名含有不允许的字符,请加引号",
        "unquoted keys cannot be empty" => "键名不能为空",
        "extra comma in array" | "extra comma in inline table" => "多余的逗号",
        "extra `=`" | "extra assignment between key-value pairs" | "unexpected `=` in array" => "多余的 =",
        "unexpected leading zero" => "数字不能以 0 开头",
        "invalid value" => "值不合法",
        "cannot recurse further; max recursion depth met" | "recursion limit" => "嵌套过深",
        "invalid basic string" | "invalid escape sequence" | "missing escaped value" => "文本中的转义不合法",
        _ => return None,
    })
}

/// The bracket of the outermost list or inline table that holds the place of the first error.
fn opening(table: &DeTable<'_>, written: &str, at: usize) -> Option<Range<usize>> {
    for (_, value) in table.iter() {
        let span = whole_characters(written, value.span());
        let bracket = written[span.start..].chars().next();
        let is_inline = match value.get_ref() {
            DeValue::Table(_) => bracket == Some('{'),
            // `[[model]]` is a list too, but what it holds is written below it.
            DeValue::Array(items) => {
                bracket == Some('[') && !items.iter().any(|item| is_headed(item, written))
            }
            _ => continue,
        };
        if is_inline {
            if span.start <= at && at <= span.end {
                return Some(span.start..span.start + 1);
            }
            continue;
        }
        let below: Vec<&DeTable<'_>> = match value.get_ref() {
            DeValue::Table(table) => vec![table],
            DeValue::Array(items) => items.iter().filter_map(|item| item.get_ref().as_table()).collect(),
            _ => Vec::new(),
        };
        if let Some(found) = below.into_iter().find_map(|table| opening(table, written, at)) {
            return Some(found);
        }
    }
    None
}

/// A table with a header of its own, `[a]` or `[[a]]`, rather than `{ … }`.
fn is_headed(item: &Spanned<DeValue<'_>>, written: &str) -> bool {
    let start = whole_characters(written, item.span()).start;
    item.get_ref().is_table() && !written[start..].starts_with('{')
}

/// Spans of the parser may end inside of a character or beyond the file; renderers must not see such.
pub(crate) fn whole_characters(written: &str, span: Range<usize>) -> Range<usize> {
    let floor = |at: usize| {
        let at = at.min(written.len());
        (0..=at).rev().find(|at| written.is_char_boundary(*at)).unwrap_or(0)
    };
    let start = floor(span.start);
    start..floor(span.end).max(start)
}
