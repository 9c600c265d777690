//! Texts that people read, always in both languages.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// A language that Portico speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Tongue {
    #[default]
    English,
    Chinese,
}

/// One text in both languages. It can only be made whole, so a missing translation does not compile;
/// a test reads the sources and refuses a Chinese half without Chinese in it.
/// Kept and sent as an object of `en` and `zh`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Text {
    pub(crate) en: Cow<'static, str>,
    pub(crate) zh: Cow<'static, str>,
}

/// `text!("English {name}", "中文 {name}")`: both halves may use inline arguments.
macro_rules! text {
    ($en:literal, $zh:literal $(,)?) => {
        $crate::types::Text {
            en: $crate::types::Text::piece(format_args!($en)),
            zh: $crate::types::Text::piece(format_args!($zh)),
        }
    };
}
pub(crate) use text;

impl Text {
    pub(crate) const fn fixed(en: &'static str, zh: &'static str) -> Self {
        Self { en: Cow::Borrowed(en), zh: Cow::Borrowed(zh) }
    }

    /// Somebody else's words, which are quoted as they are.
    pub(crate) fn quoted(words: String) -> Self {
        Self { en: Cow::Owned(words.clone()), zh: Cow::Owned(words) }
    }

    /// One half of a text; literals without arguments are not copied.
    pub(crate) fn piece(arguments: std::fmt::Arguments<'_>) -> Cow<'static, str> {
        match arguments.as_str() {
            Some(literal) => Cow::Borrowed(literal),
            None => Cow::Owned(arguments.to_string()),
        }
    }

    pub(crate) fn pick(&self, tongue: Tongue) -> &str {
        match tongue {
            Tongue::English => &self.en,
            Tongue::Chinese => &self.zh,
        }
    }
}

impl Tongue {
    /// What an `Accept-Language` value prefers. Only the first of the two languages that it names with a
    /// non-zero weight matters; anything else is English.
    pub(crate) fn from_accept_language(value: &str) -> Self {
        let mut best = (0.0_f32, Tongue::English);
        for item in value.split(',') {
            let mut parts = item.split(';');
            let tag = parts.next().unwrap_or_default().trim().to_ascii_lowercase();
            let weight = parts.find_map(|p| p.trim().strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            let tongue = match tag.split('-').next() {
                Some("zh") => Tongue::Chinese,
                Some("en") => Tongue::English,
                _ => continue,
            };
            if weight > best.0 {
                best = (weight, tongue);
            }
        }
        best.1
    }

    /// What the locale variables of a terminal say, in the order of POSIX.
    pub(crate) fn from_locale(value: &str) -> Self {
        if value.to_ascii_lowercase().starts_with("zh") { Tongue::Chinese } else { Tongue::English }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_language_takes_the_heaviest_known_language() {
        for (value, wanted) in [
            ("", Tongue::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Tongue::Chinese),
            ("en-US,en;q=0.9,zh-CN;q=0.8", Tongue::English),
            ("fr, zh-TW;q=0.5, en;q=0.1", Tongue::Chinese),
            ("zh;q=0, en;q=0.1", Tongue::English),
            ("de", Tongue::English),
        ] {
            assert_eq!(Tongue::from_accept_language(value), wanted, "{value:?}");
        }
    }

    #[test]
    fn a_text_takes_its_arguments_in_both_halves() {
        let name = "qwen";
        let text = text!("no model {name}", "没有模型 {name}");
        assert_eq!(text.pick(Tongue::English), "no model qwen");
        assert_eq!(text.pick(Tongue::Chinese), "没有模型 qwen");
    }
}
