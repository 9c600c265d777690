//! The rules for plain values: flags, numbers, durations, sizes, words, lists. Text with a form of its own (addresses,
//! names, paths) has its reader in `form/`.

use std::fmt::Debug;
use std::marker::PhantomData;
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::form::{self, Wrong};
use super::key::{Rule, Shape};
use super::problem::{Code, Problem, Spot};
use super::wrong_type::wrong_type;
use crate::types::{Text, text};

type Value<'a> = Spanned<DeValue<'a>>;

/// `true` or `false`.
#[derive(Debug)]
pub(crate) struct Flag;

impl Rule for Flag {
    type Value = bool;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<bool> {
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            problems.push(wrong_type(spot, value, &self.shape()));
        }
        flag
    }

    fn shape(&self) -> Shape {
        Shape::Flag
    }
}

/// A whole number.
#[derive(Debug)]
pub(crate) struct Whole<T> {
    pub(crate) min: u64,
    pub(crate) max: u64,
    pub(crate) is: PhantomData<T>,
}

impl<T> Whole<T> {
    pub(crate) const fn between(min: u64, max: u64) -> Self {
        Self { min, max, is: PhantomData }
    }
}

impl<T: TryFrom<u64> + Clone + PartialOrd + Sync + Debug> Rule for Whole<T> {
    type Value = T;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<T> {
        let number = whole(spot, value, &self.shape(), problems)?;
        let (min, max) = (self.min, self.max);
        if number < i128::from(min) || number > i128::from(max) {
            let written = value.get_ref().as_integer().map(ToString::to_string).unwrap_or_default();
            problems.push(out_of_range(spot, &written, &min.to_string(), &max.to_string()));
            return None;
        }
        u64::try_from(number).ok().and_then(|number| T::try_from(number).ok())
    }

    fn shape(&self) -> Shape {
        Shape::Whole { min: self.min, max: self.max, zero: None }
    }
}

/// A whole number, where 0 is written for "no limit".
#[derive(Debug)]
pub(crate) struct Limit<T>(pub(crate) Whole<T>);

impl<T: TryFrom<u64> + Clone + PartialOrd + Sync + Debug> Rule for Limit<T> {
    type Value = Option<T>;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<Option<T>> {
        let is_zero = value.get_ref().as_integer().is_some_and(|number| parse_integer(number) == Some(0));
        if is_zero { Some(None) } else { self.0.judge(spot, value, problems).map(Some) }
    }

    fn shape(&self) -> Shape {
        Shape::Whole { min: self.0.min, max: self.0.max, zero: Some(Text::fixed("no limit", "不限")) }
    }
}

/// A number that may have a fraction.
#[derive(Debug)]
pub(crate) struct Number {
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Rule for Number {
    type Value = f64;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<f64> {
        let number: f64 = match value.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok()?,
            DeValue::Integer(number) => parse_integer(number)? as f64,
            _ => {
                problems.push(wrong_type(spot, value, &self.shape()));
                return None;
            }
        };
        if number >= self.min && number <= self.max {
            return Some(number);
        }
        let (min, max) = (self.min.to_string(), self.max.to_string());
        problems.push(out_of_range(spot, &number.to_string(), &min, &max));
        None
    }

    fn shape(&self) -> Shape {
        Shape::Number { min: self.min, max: self.max }
    }
}

/// A duration, written `"300s"`. The bounds are written the same way, so that messages quote them as they stand.
#[derive(Debug)]
pub(crate) struct Period {
    pub(crate) min: &'static str,
    pub(crate) max: &'static str,
    /// What `"0s"` means, where it is taken.
    pub(crate) zero: Option<Text>,
}

impl Period {
    pub(crate) const fn between(min: &'static str, max: &'static str) -> Self {
        Self { min, max, zero: None }
    }

    pub(crate) const fn or_zero(min: &'static str, max: &'static str, meaning: Text) -> Self {
        Self { min, max, zero: Some(meaning) }
    }
}

impl Rule for Period {
    type Value = Duration;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<Duration> {
        let written = text_of(spot, value, &self.shape(), problems)?;
        let period = match form::duration(written) {
            Ok(period) => period,
            Err(wrong) => {
                problems.push(wrong.at(spot));
                return None;
            }
        };
        if period.is_zero() && self.zero.is_some() {
            return Some(period);
        }
        let (min, max) = (form::duration(self.min).ok()?, form::duration(self.max).ok()?);
        if period < min || period > max {
            problems.push(out_of_range(spot, written, self.min, self.max));
            return None;
        }
        Some(period)
    }

    fn shape(&self) -> Shape {
        Shape::Period { min: self.min, max: self.max, zero: self.zero.clone() }
    }
}

/// An amount of bytes, written `"64MiB"`.
#[derive(Debug)]
pub(crate) struct Size<T> {
    pub(crate) min: &'static str,
    pub(crate) max: &'static str,
    pub(crate) is: PhantomData<T>,
}

impl<T> Size<T> {
    pub(crate) const fn between(min: &'static str, max: &'static str) -> Self {
        Self { min, max, is: PhantomData }
    }
}

impl<T: TryFrom<u64> + Clone + PartialOrd + Sync + Debug> Rule for Size<T> {
    type Value = T;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<T> {
        let written = text_of(spot, value, &self.shape(), problems)?;
        let bytes = match form::size(written) {
            Ok(bytes) => bytes,
            Err(wrong) => {
                problems.push(wrong.at(spot));
                return None;
            }
        };
        let (min, max) = (form::size(self.min).ok()?, form::size(self.max).ok()?);
        if bytes < min || bytes > max {
            problems.push(out_of_range(spot, written, self.min, self.max));
            return None;
        }
        T::try_from(bytes).ok()
    }

    fn shape(&self) -> Shape {
        Shape::Size { min: self.min, max: self.max }
    }
}

/// One of a closed list of words.
#[derive(Debug)]
pub(crate) struct OneOf<T: 'static>(pub(crate) &'static [(&'static str, T)]);

impl<T: Copy + PartialEq + Sync + Debug> Rule for OneOf<T> {
    type Value = T;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<T> {
        let written = text_of(spot, value, &self.shape(), problems)?;
        let found = self.0.iter().find(|(word, _)| *word == written).map(|(_, value)| *value);
        if found.is_none() {
            problems.push(unknown_word(spot, written, &self.words()));
        }
        found
    }

    fn shape(&self) -> Shape {
        Shape::Words(self.words())
    }
}

impl<T> OneOf<T> {
    fn words(&self) -> Vec<&'static str> {
        self.0.iter().map(|(word, _)| *word).collect()
    }
}

/// `"auto"` or a whole number.
#[derive(Debug)]
pub(crate) struct AutoOr<T>(pub(crate) Whole<T>);

impl<T: TryFrom<u64> + Clone + PartialOrd + Sync + Debug> Rule for AutoOr<T> {
    type Value = Option<T>;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<Option<T>> {
        match value.get_ref().as_str() {
            Some("auto") => Some(None),
            Some(_) => {
                problems.push(wrong_type(spot, value, &self.shape()));
                None
            }
            None => self.0.judge(spot, value, problems).map(Some),
        }
    }

    fn shape(&self) -> Shape {
        Shape::WordsOr(vec!["auto"], Box::new(self.0.shape()))
    }
}

/// Text with a form of its own.
pub(crate) struct Form<T> {
    pub(crate) read: fn(&str) -> Result<T, Wrong>,
    /// Words that stand for themselves, such as `"builtin"`.
    pub(crate) words: &'static [&'static str],
    pub(crate) is: Text,
}

impl<T> Debug for Form<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Form({})", self.is.en)
    }
}

/// Longer than any path, name or address; a text beyond it is a mistake, and would swell every message about it.
const TEXT_BYTES: usize = 4096;

impl<T: Clone + PartialEq> Rule for Form<T> {
    type Value = T;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<T> {
        let written = text_of(spot, value, &self.shape(), problems)?;
        let key = &spot.key;
        if written.len() > TEXT_BYTES {
            problems.push(Problem::error(
                Code::OutOfRange,
                spot,
                text!("`{key}` is longer than {TEXT_BYTES} bytes", "`{key}` 超过 {TEXT_BYTES} 字节"),
            ));
            return None;
        }
        if written.chars().any(char::is_control) {
            problems.push(Problem::error(
                Code::BadForm,
                spot,
                text!("`{key}` holds a control character", "`{key}` 含有控制字符"),
            ));
            return None;
        }
        match (self.read)(written) {
            Ok(value) => Some(value),
            Err(wrong) => {
                problems.push(wrong.at(spot));
                None
            }
        }
    }

    fn shape(&self) -> Shape {
        let form = Shape::Form(self.is.clone());
        if self.words.is_empty() { form } else { Shape::WordsOr(self.words.to_vec(), Box::new(form)) }
    }
}

/// `[…]` of something.
#[derive(Debug)]
pub(crate) struct List<R> {
    pub(crate) item: R,
    pub(crate) max: usize,
}

impl<R: Rule> Rule for List<R> {
    type Value = Vec<R::Value>;

    fn judge(&self, spot: &Spot, value: &Value<'_>, problems: &mut Vec<Problem>) -> Option<Self::Value> {
        let Some(items) = value.get_ref().as_array() else {
            problems.push(wrong_type(spot, value, &self.shape()));
            return None;
        };
        let (key, max, count) = (&spot.key, self.max, items.len());
        if count > max {
            problems.push(Problem::error(
                Code::OutOfRange,
                spot,
                text!("`{key}` has {count} items, more than {max}", "`{key}` 有 {count} 项,超过 {max} 项"),
            ));
            return None;
        }
        let mut values = Vec::with_capacity(count);
        let mut whole = true;
        for (index, item) in items.iter().enumerate() {
            let spot = Spot { key: format!("{key}[{index}]"), span: Some(item.span()) };
            match self.item.judge(&spot, item, problems) {
                Some(value) => values.push(value),
                None => whole = false,
            }
        }
        whole.then_some(values)
    }

    fn shape(&self) -> Shape {
        Shape::List { item: Box::new(self.item.shape()), max: self.max }
    }
}

/// The text of a value, or a problem.
pub(crate) fn text_of<'v>(
    spot: &Spot,
    value: &'v Value<'_>,
    shape: &Shape,
    problems: &mut Vec<Problem>,
) -> Option<&'v str> {
    let written = value.get_ref().as_str();
    if written.is_none() {
        problems.push(wrong_type(spot, value, shape));
    }
    written
}

fn whole(spot: &Spot, value: &Value<'_>, shape: &Shape, problems: &mut Vec<Problem>) -> Option<i128> {
    let Some(number) = value.get_ref().as_integer() else {
        problems.push(wrong_type(spot, value, shape));
        return None;
    };
    // A number too long for 128 bits is out of every range.
    Some(parse_integer(number).unwrap_or(i128::MAX))
}

fn parse_integer(number: &toml::de::DeInteger<'_>) -> Option<i128> {
    i128::from_str_radix(number.as_str(), number.radix()).ok()
}

fn out_of_range(spot: &Spot, written: &str, min: &str, max: &str) -> Problem {
    let key = &spot.key;
    Problem::error(
        Code::OutOfRange,
        spot,
        text!("`{key}` is {written}, outside of its range", "`{key}` 的值 {written} 超出范围"),
    )
    .label(text!("from {min} to {max}", "应在 {min} 到 {max} 之间"))
}

pub(crate) fn unknown_word(spot: &Spot, written: &str, words: &[&str]) -> Problem {
    let key = &spot.key;
    let list = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    let problem = Problem::error(
        Code::UnknownWord,
        spot,
        text!("`{key}` does not know the word \"{written}\"", "`{key}` 不认识 \"{written}\""),
    );
    match super::nearest(written, words.iter().copied()) {
        Some(near) => problem
            .label(text!("did you mean \"{near}\"?", "是否想写 \"{near}\"?"))
            .help(text!("one of {list}", "可用的词:{list}")),
        None => problem.label(text!("one of {list}", "可用的词:{list}")),
    }
}
